#include "orchestrator/store/connection.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <csignal>
#include <map>

namespace tasker::store {
namespace {

/// The parts of a connection string, by libpq's keyword. Only what the string itself says.
std::map<std::string, std::string> parse_url(const std::string& url) {
    char* problem = nullptr;
    PQconninfoOption* options = PQconninfoParse(url.c_str(), &problem);
    if (options == nullptr) {
        // libpq's own text may repeat parts of the URL, a password among them.
        PQfreemem(problem);
        throw DatabaseError(
            DbFailure::other, "",
            "the database URL cannot be parsed; expected "
            "postgresql://USER:PASSWORD@HOST:PORT/DATABASE (special characters in the password "
            "as %XX), or postgresql:///DATABASE?host=/directory/of/the/socket");
    }
    std::map<std::string, std::string> parts;
    for (const PQconninfoOption* option = options; option->keyword != nullptr; ++option) {
        if (option->val != nullptr) parts[option->keyword] = option->val;
    }
    PQconninfoFree(options);
    return parts;
}

std::string keyword_string(const std::map<std::string, std::string>& parts) {
    std::string text;
    for (const auto& [keyword, value] : parts) {
        text += keyword + "='";
        for (const char character : value) {
            if (character == '\'' || character == '\\') text += '\\';
            text += character;
        }
        text += "' ";
    }
    return text;
}

std::string part_or(const std::map<std::string, std::string>& parts, const std::string& keyword,
                    const char* variable, const std::string& fallback) {
    if (const auto found = parts.find(keyword); found != parts.end() && !found->second.empty())
        return found->second;
    const char* value = std::getenv(variable);
    return value != nullptr && *value != '\0' ? value : fallback;
}

std::string describe(const std::map<std::string, std::string>& parts) {
    const std::string host =
        part_or(parts, "host", "PGHOST", part_or(parts, "hostaddr", "PGHOSTADDR", "local socket"));
    const std::string port = part_or(parts, "port", "PGPORT", "5432");
    const std::string user = part_or(parts, "user", "PGUSER", "");
    const bool socket = host.starts_with('/') || host == "local socket";
    std::string text = "database \"" + part_or(parts, "dbname", "PGDATABASE", user) + "\" at " + host;
    text += socket ? " port " + port : ":" + port;
    return user.empty() ? text : text + " (user \"" + user + "\")";
}

std::string without_password(std::string text, const std::map<std::string, std::string>& parts) {
    const auto password = parts.find("password");
    if (password == parts.end() || password->second.empty()) return text;
    for (auto at = text.find(password->second); at != std::string::npos;
         at = text.find(password->second, at + 3)) {
        text.replace(at, password->second.size(), "***");
    }
    return text;
}

/// Settings travel in the start-up packet: no extra round trip, and no moment in which they do not hold yet.
std::string connection_text(std::map<std::string, std::string> parts, const ConnectionSettings& settings) {
    const auto add = [&](const char* keyword, const std::string& value) { parts.emplace(keyword, value); };
    using std::chrono::ceil, std::chrono::seconds;
    add("application_name", settings.application_name);
    add("connect_timeout",
        std::to_string(std::max<long>(2, ceil<seconds>(settings.connect_timeout).count())));
    add("keepalives_idle", "10");
    add("keepalives_interval", "3");
    add("keepalives_count", "3");
    std::string options;
    const auto option = [&](const char* name, const std::optional<std::chrono::milliseconds>& value) {
        if (value) options += std::string(" -c ") + name + "=" + std::to_string(value->count());
    };
    option("statement_timeout", settings.statement_timeout);
    option("lock_timeout", settings.lock_timeout);
    option("idle_in_transaction_session_timeout", settings.idle_in_transaction_timeout);
    // The URL's own options come last, so they win.
    if (!options.empty()) parts["options"] = options + " " + parts["options"];
    return keyword_string(parts);
}

std::string trimmed(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return text;
}

/// What was sent when the connection broke decides whether something may have been committed.
enum class Sent { nothing, inside_transaction, commit };

DbFailure classify(const std::string& sqlstate, bool open, Sent sent) {
    if (!open && sent == Sent::commit) return DbFailure::in_doubt;
    if (sqlstate == "57P01" || sqlstate == "57P02" || sqlstate == "57P03") return DbFailure::shutting_down;
    if (!open) return DbFailure::connection_lost;
    if (sqlstate == "40001" || sqlstate == "40P01") return DbFailure::retryable;
    return DbFailure::other;
}

/// libpq hands over no SQLSTATE when connecting fails, only the server's words . A refusal that will not go
/// away by itself is the caller's to mend.
DbFailure classify_refusal(const std::string& cause) {
    const auto says = [&](const char* words) { return cause.find(words) != std::string::npos; };
    if (says("the database system is")) return DbFailure::shutting_down;
    if (says("too many clients") || says("remaining connection slots")) return DbFailure::connection_lost;
    return says("FATAL:") || says("no password supplied") || cause.starts_with("invalid ")
               ? DbFailure::other
               : DbFailure::connection_lost;
}

/// Rethrows the exception in flight as DatabaseError. `open` tells whether the connection still stands.
[[noreturn]] void rethrow(const std::string& description, bool open, Sent sent) {
    const auto fail = [&](const std::string& sqlstate, const std::string& message) {
        const DbFailure kind = classify(sqlstate, open, sent);
        std::string text = trimmed(message);
        // What libpqxx says when it notices the loss while preparing to speak; it would only confuse.
        if (!open && text.starts_with("Could not obtain client encoding")) text = "the server closed it";
        if (!open) text = "lost the connection to " + description + ": " + text;
        throw DatabaseError(kind, sqlstate, text);
    };
    try {
        throw;
    } catch (const DatabaseError&) {
        throw;
    } catch (const pqxx::in_doubt_error& error) {
        throw DatabaseError(DbFailure::in_doubt, "",
                            "commit in doubt on " + description + ": " + trimmed(error.what()));
    } catch (const pqxx::statement_completion_unknown& error) {
        throw DatabaseError(DbFailure::in_doubt, "40003",
                            "commit in doubt on " + description + ": " + trimmed(error.what()));
    } catch (const pqxx::serialization_failure& error) {
        fail("40001", error.what());
    } catch (const pqxx::deadlock_detected& error) {
        fail("40P01", error.what());
    } catch (const pqxx::transaction_rollback& error) {
        fail("40000", error.what());
    } catch (const pqxx::sql_error& error) {
        fail(error.sqlstate(), error.what());
    } catch (const pqxx::failure& error) {
        fail("", error.what());
    }
    // pqxx::usage_error and its like are mistakes of ours and go on as they are.
    throw;
}

class Receiver : public pqxx::notification_receiver {
  public:
    Receiver(pqxx::connection_base& connection, const std::string& channel, std::vector<Notification>& inbox)
        : pqxx::notification_receiver(connection, channel), inbox_(inbox) {}
    void operator()(const std::string& payload, int backend_pid) override {
        inbox_.push_back({channel(), payload, backend_pid});
    }

  private:
    std::vector<Notification>& inbox_;
};

}  // namespace

const char* to_string(DbFailure failure) {
    switch (failure) {
        case DbFailure::connection_lost:
            return "connection_lost";
        case DbFailure::in_doubt:
            return "in_doubt";
        case DbFailure::retryable:
            return "retryable";
        case DbFailure::shutting_down:
            return "shutting_down";
        case DbFailure::other:
            return "other";
    }
    return "other";
}

// Order matters: receivers go before the connection they are registered with.
struct Connection::State {
    std::string description;
    std::unique_ptr<pqxx::connection> link;
    // Errors reach people as exceptions; without this libpqxx also prints notices to standard error.
    std::unique_ptr<pqxx::quiet_errorhandler> quiet;
    std::vector<Notification> inbox;
    std::vector<std::unique_ptr<Receiver>> receivers;
};

struct Transaction::State {
    State(std::string name, pqxx::connection& connection)
        : description(std::move(name)), link(connection), work(connection) {}

    std::string description;
    pqxx::connection& link;
    pqxx::work work;
};

Connection::Connection(const std::string& url, ConnectionSettings settings)
    : state_(std::make_unique<State>()) {
    std::signal(SIGPIPE, SIG_IGN);
    if (url.empty()) throw CannotConnect(DbFailure::other, "no database URL is given");
    const auto parts = parse_url(url);
    state_->description = describe(parts);
    try {
        state_->link = std::make_unique<pqxx::connection>(connection_text(parts, settings));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
        state_->link->inhibit_reactivation(true);
#pragma GCC diagnostic pop
        state_->quiet = std::make_unique<pqxx::quiet_errorhandler>(*state_->link);
    } catch (const pqxx::failure& error) {
        const std::string cause = without_password(trimmed(error.what()), parts);
        throw CannotConnect(classify_refusal(cause),
                            "cannot connect to " + state_->description + ": " + cause);
    }
}

Connection::~Connection() = default;
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;

Result Connection::autocommit(const std::function<Result(pqxx::transaction_base&)>& action) {
    Sent sent = Sent::nothing;
    try {
        if (!is_open()) throw pqxx::broken_connection("the connection was lost before");
        pqxx::nontransaction session(*state_->link);
        sent = Sent::commit;
        return action(session);
    } catch (const std::exception&) {
        rethrow(state_->description, is_open(), sent);
    }
}

void Connection::prepare(const std::string& name, const std::string& sql) {
    try {
        if (!is_open()) throw pqxx::broken_connection("the connection was lost before");
        state_->link->prepare(name, sql);
        state_->link->prepare_now(name);
    } catch (const std::exception&) {
        rethrow(state_->description, is_open(), Sent::nothing);
    }
}

Transaction Connection::begin() {
    try {
        if (!is_open()) throw pqxx::broken_connection("the connection was lost before");
        return Transaction(std::make_unique<Transaction::State>(state_->description, *state_->link));
    } catch (const std::exception&) {
        rethrow(state_->description, is_open(), Sent::inside_transaction);
    }
}

void Connection::listen(const std::string& channel) {
    try {
        if (!is_open()) throw pqxx::broken_connection("the connection was lost before");
        state_->receivers.push_back(std::make_unique<Receiver>(*state_->link, channel, state_->inbox));
    } catch (const std::exception&) {
        rethrow(state_->description, is_open(), Sent::nothing);
    }
}

std::vector<Notification> Connection::take_notifications() {
    try {
        if (!is_open()) throw pqxx::broken_connection("the connection was lost before");
        state_->link->get_notifs();
        return std::exchange(state_->inbox, {});
    } catch (const std::exception&) {
        rethrow(state_->description, is_open(), Sent::nothing);
    }
}

int Connection::socket() const {
    return is_open() ? state_->link->sock() : -1;
}
void Connection::cancel() const {
    try {
        state_->link->cancel_query();
    } catch (const std::exception&) {
        // The connection is lost, and the statement with it.
    }
}
bool Connection::is_open() const {
    return state_->link->is_open();
}
int Connection::backend_pid() const {
    return state_->link->backendpid();
}
const std::string& Connection::description() const {
    return state_->description;
}

Transaction::Transaction(std::unique_ptr<State> state) : state_(std::move(state)) {}
Transaction::~Transaction() = default;
Transaction::Transaction(Transaction&&) noexcept = default;

Result Transaction::guarded(const std::function<Result(pqxx::transaction_base&)>& action) {
    try {
        return action(state_->work);
    } catch (const std::exception&) {
        rethrow(state_->description, state_->link.is_open(), Sent::inside_transaction);
    }
}

void Transaction::commit() {
    try {
        state_->work.commit();
    } catch (const std::exception&) {
        rethrow(state_->description, state_->link.is_open(), Sent::commit);
    }
}

void Transaction::roll_back() {
    try {
        state_->work.abort();
    } catch (const std::exception&) {
        rethrow(state_->description, state_->link.is_open(), Sent::inside_transaction);
    }
}

std::string describe_database(const std::string& url) {
    try {
        return describe(parse_url(url));
    } catch (const DatabaseError&) {
        return "a database URL that cannot be parsed";
    }
}

std::string with_database(const std::string& url, const std::string& database) {
    auto parts = parse_url(url);
    parts["dbname"] = database;
    return keyword_string(parts);
}

}  // namespace tasker::store
