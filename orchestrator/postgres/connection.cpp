#include "orchestrator/postgres/connection.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "orchestrator/postgres/address.hpp"
#include "orchestrator/postgres/link.hpp"
#include "orchestrator/postgres/pooler.hpp"
#include "orchestrator/postgres/session.hpp"
#include "orchestrator/postgres/sql.hpp"

namespace tasker::postgres {
namespace {

std::chrono::milliseconds connect_limit(const UrlParts& parts, std::chrono::milliseconds wanted) {
    using std::chrono::ceil, std::chrono::seconds;
    const auto given = parts.find("connect_timeout");
    const long limit =
        given == parts.end() ? ceil<seconds>(wanted).count() : std::atol(given->second.c_str());
    if (given != parts.end() && limit <= 0) return std::chrono::milliseconds(0);
    return seconds(std::max(2L, limit));
}

/// What the string itself says wins.
UrlParts with_defaults(UrlParts parts, const ConnectionSettings& settings) {
    const auto add = [&](const char* keyword, const std::string& value) { parts.emplace(keyword, value); };
    add("application_name", settings.application_name);
    add("keepalives_idle", "10");
    add("keepalives_interval", "3");
    add("keepalives_count", "3");
    return parts;
}

std::string trimmed(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return text;
}

/// What was sent when the connection broke decides whether something may have been committed.
enum class Sent { nothing, inside_transaction, commit };

DbFailure classify_in_flight(const std::string& sqlstate, bool open, Sent sent) {
    if (!open && sent == Sent::commit) return DbFailure::in_doubt;
    const DbFailure kind = classify(sqlstate);
    return open || kind == DbFailure::shutting_down ? kind : DbFailure::connection_lost;
}

/// A refusal that does not pass by itself is for the caller to mend.
DbFailure classify_refusal(const NoLink& refusal) {
    switch (classify(refusal.sqlstate())) {
        case DbFailure::shutting_down:
            return DbFailure::shutting_down;
        case DbFailure::exhausted:
            return DbFailure::connection_lost;
        default:
            break;
    }
    const std::string cause = refusal.what();
    // libpq's own words for what it lacks have no SQLSTATE.
    const bool for_good =
        cause.find("no password supplied") != std::string::npos || cause.starts_with("invalid ");
    const bool transient = refusal.sqlstate().empty() || refusal.sqlstate().starts_with("08");
    return transient && !for_good ? DbFailure::connection_lost : DbFailure::other;
}

/// Rethrows the exception in flight as DatabaseError. `open` tells whether the connection still stands.
[[noreturn]] void rethrow(const std::string& description, bool open, Sent sent) {
    const auto fail = [&](const std::string& sqlstate, const std::string& message) {
        const DbFailure kind = classify_in_flight(sqlstate, open, sent);
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
        case DbFailure::locked:
            return "locked";
        case DbFailure::read_only:
            return "read_only";
        case DbFailure::forbidden:
            return "forbidden";
        case DbFailure::exhausted:
            return "exhausted";
        case DbFailure::data:
            return "data";
        case DbFailure::other:
            return "other";
    }
    return "other";
}

DbFailure classify(const std::string& sqlstate) {
    const auto is = [&](const char* state) { return sqlstate == state; };
    const auto in = [&](const char* family) { return sqlstate.starts_with(family); };
    if (is("57P01") || is("57P02") || is("57P03")) return DbFailure::shutting_down;
    if (in("40") && !is("40003")) return DbFailure::retryable;
    if (is("55P03")) return DbFailure::locked;
    if (is("25006")) return DbFailure::read_only;
    if (is("42501")) return DbFailure::forbidden;
    if (in("53")) return DbFailure::exhausted;
    if (sqlstate.empty() || in("22") || in("23") || in("54")) return DbFailure::data;
    return DbFailure::other;
}

// Order matters: receivers go before the connection they are registered with.
struct Connection::State {
    std::string description;
    Ground ground;
    std::unique_ptr<Link> link;
    // Errors reach people as exceptions; without this libpqxx also prints notices to standard error.
    std::unique_ptr<pqxx::quiet_errorhandler> quiet;
    std::vector<Notification> inbox;
    std::vector<std::unique_ptr<Receiver>> receivers;
};

struct Transaction::State {
    State(std::string name, pqxx::connection_base& connection)
        : description(std::move(name)), link(connection), work(connection) {}

    std::string description;
    pqxx::connection_base& link;
    pqxx::work work;
};

Connection::Connection(const Address& address, ConnectionSettings settings)
    : state_(std::make_unique<State>()) {
    std::signal(SIGPIPE, SIG_IGN);
    if (address.url.empty()) throw CannotConnect(DbFailure::other, "no database URL is given");
    const auto parts = parse_url(address.url);
    state_->description = describe(parts);
    const auto fail = [&](DbFailure kind, const std::string& cause, const std::string& sqlstate) {
        throw CannotConnect(
            kind, "cannot connect to " + state_->description + ": " + without_password(trimmed(cause), parts),
            sqlstate);
    };
    try {
        state_->link = std::make_unique<Link>(open_link(
            with_defaults(parts, settings), connect_limit(parts, address.connect_timeout), address.stop_fd));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
        state_->link->inhibit_reactivation(true);
#pragma GCC diagnostic pop
        state_->quiet = std::make_unique<pqxx::quiet_errorhandler>(*state_->link);
        settle(parts, settings);
    } catch (const NoLink& refusal) {
        fail(classify_refusal(refusal), refusal.what(), refusal.sqlstate());
    } catch (const pqxx::failure& error) {
        fail(DbFailure::connection_lost, error.what(), "");
    } catch (const DatabaseError& error) {
        // Nothing of anybody's was on its way yet.
        const bool lost = error.kind() == DbFailure::in_doubt;
        fail(lost ? DbFailure::connection_lost : error.kind(), error.what(), error.sqlstate());
    }
}

void Connection::settle(const UrlParts& parts, const ConnectionSettings& settings) {
    const Row found = execute(sql::ground)[0];
    // Nothing is set before this: another program would get the backend with our settings.
    if (found["pid"].as<int>() != backend_pid()) {
        const Pooling pooling =
            probe_pooler(parts, [this] { return execute("SELECT pg_backend_pid()")[0][0].as<int>(); });
        if (pooling == Pooling::changes_backend)
            throw DatabaseError(DbFailure::other, "",
                                "this connection changes its backend between transactions: connect directly, "
                                "or use pool_mode = session in the pooler");
        if (pooling == Pooling::no_second)
            throw DatabaseError(
                DbFailure::connection_lost, "",
                "the pooler has no backend left for a second connection: make its pool larger, "
                "or connect directly");
    }
    execute(session_settings(settings, own_options(parts), state_->link->server_version()));
    if (!found["schema"].is_null()) query(sql::stay_in_schema, found["schema"].as<std::string>());
    state_->ground = describe_ground(found);
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
const Ground& Connection::ground() const {
    return state_->ground;
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

}  // namespace tasker::postgres
