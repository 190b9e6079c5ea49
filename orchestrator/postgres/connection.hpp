// The one place that knows libpqxx. Version 6.4.5 reopens dead connections behind one's back (advisory locks,
// temporary tables and epochs would vanish unseen), so reopening is forbidden right after connecting, and
// every failure is turned into a DatabaseError that says what the caller must know: is the connection gone,
// is a commit in doubt, may the transaction simply be repeated?
//
// A connection takes nothing from its surroundings that changes what a statement means: right after
// connecting it sets encoding, quoting, time, isolation and limits (session.hpp), and stays in one schema.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <pqxx/pqxx>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tasker::postgres {

using Result = pqxx::result;
using Row = pqxx::row;
using Field = pqxx::field;
/// A bytea parameter.
using Bytes = pqxx::binarystring;

/// What a failure means for the caller. classify() is the one place that reads SQLSTATEs for it.
enum class DbFailure {
    connection_lost,  // nothing of this statement or transaction was committed; connect anew, then repeat
    in_doubt,         // the connection died with a commit on its way: read back by id, never assume
    retryable,        // serialization failure or deadlock (40xxx): repeat the whole transaction
    shutting_down,    // the server stops, starts or recovers (57P01–57P03): nothing committed; connect anew
                      // later
    locked,           // a lock was not to be had in time (55P03)
    read_only,        // the server takes no writes (25006): a replica, or a setting
    forbidden,        // the role may not do this (42501)
    exhausted,        // the server has no room for it now: disk, memory, connections (53xxx)
    data,             // what was given cannot be stored or computed (22xxx, 23xxx, 54xxx)
    other,            // the statement itself is at fault, or the server: repeating it changes nothing
};

const char* to_string(DbFailure failure);

/// What a SQLSTATE means while the connection stands; "" (the statement could not even be sent) is `data`.
DbFailure classify(const std::string& sqlstate);

/// Thrown by everything here when the database cannot or will not answer. `what()` never contains a password.
class DatabaseError : public std::runtime_error {
  public:
    DatabaseError(DbFailure kind, std::string sqlstate, const std::string& message)
        : std::runtime_error(message), kind_(kind), sqlstate_(std::move(sqlstate)) {}

    DbFailure kind() const { return kind_; }
    /// Five characters, or "" when the failure did not come from the server.
    const std::string& sqlstate() const { return sqlstate_; }
    /// The connection is of no use any more: throw the object away and connect anew.
    bool connection_is_gone() const {
        return kind_ == DbFailure::connection_lost || kind_ == DbFailure::in_doubt ||
               kind_ == DbFailure::shutting_down;
    }

  private:
    DbFailure kind_;
    std::string sqlstate_;
};

/// Thrown when no connection could be made at all: kind connection_lost or shutting_down when trying again
/// later may help, other when the URL, the user, the password, the database's name or a pooler is at fault.
class CannotConnect : public DatabaseError {
  public:
    CannotConnect(DbFailure kind, const std::string& message, const std::string& sqlstate = "")
        : DatabaseError(kind, sqlstate, message) {}
};

/// Where the database is, and how long connecting to it may take (rounded up to seconds, at least 2, as libpq
/// does). A URL alone is an address, too. A connect_timeout in the URL wins; it holds for each host. Once
/// `stop_fd` is readable, connecting ends within half a second (-1: nothing ends it before its time).
struct Address {
    Address(std::string database_url, std::chrono::milliseconds timeout = std::chrono::milliseconds(5000))
        : url(std::move(database_url)), connect_timeout(timeout) {}
    Address(const char* database_url) : Address(std::string(database_url)) {}

    std::string url;
    std::chrono::milliseconds connect_timeout;
    int stop_fd = -1;
};

/// How to connect. What the URL itself says (application_name, keepalives, timeouts in its options) wins.
/// A timeout of nothing is none: those of the role or the database are for people, not for a service. Only
/// idle_in_transaction_timeout then leaves the server's own setting.
struct ConnectionSettings {
    std::string application_name = "tasker";
    std::optional<std::chrono::milliseconds> statement_timeout = std::nullopt;
    std::optional<std::chrono::milliseconds> lock_timeout = std::nullopt;
    std::optional<std::chrono::milliseconds> idle_in_transaction_timeout = std::nullopt;
};

/// What the database is like, as seen when connecting. Texts are for people; empty: there is nothing to say.
struct Ground {
    std::string unfit;      // why Tasker must not work in it: encoding, schema, unchecked foreign keys
    std::string read_only;  // why nothing can be written: a replica, or which setting from where
    std::string risk;       // what makes it less safe than it should be
};

struct Notification {
    std::string channel;
    std::string payload;
    int backend_pid = 0;
};

class Transaction;

/// One session with PostgreSQL. Not thread-safe: a connection and its transactions belong to one thread.
/// Outside of a Transaction each call is one autocommit statement and one round trip. While a Transaction is
/// open, use only that. After DatabaseError::connection_is_gone() the object only throws.
class Connection {
  public:
    /// Connects, refuses a pooler that changes the backend between transactions, sets what every session
    /// relies on, and stays in the schema of the installation that the search path reaches (else the first of
    /// the path). Throws CannotConnect whose text names the server (without password), the cause and what to
    /// do. Ignores SIGPIPE for the whole process, since libpq would otherwise let a dead server kill it.
    explicit Connection(const Address& address, ConnectionSettings settings = {});
    ~Connection();
    Connection(Connection&&) noexcept;
    Connection& operator=(Connection&&) noexcept;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// Runs SQL without parameters, also several statements at once (then as one implicit transaction).
    Result execute(const std::string& sql) {
        return autocommit([&](pqxx::transaction_base& sql_session) { return sql_session.exec(sql); });
    }
    /// Runs one statement with parameters $1…: numbers, bool, std::string, char*, std::optional, nullptr,
    /// Bytes.
    template <typename... Parameters>
    Result query(const std::string& sql, const Parameters&... parameters) {
        return autocommit(
            [&](pqxx::transaction_base& sql_session) { return sql_session.exec_params(sql, parameters...); });
    }
    /// Runs a prepared statement.
    template <typename... Parameters>
    Result run(const std::string& statement, const Parameters&... parameters) {
        return autocommit([&](pqxx::transaction_base& sql_session) {
            return sql_session.exec_prepared(statement, parameters...);
        });
    }
    /// Prepares at once (one round trip), so that a faulty statement shows at start and not on first use.
    void prepare(const std::string& name, const std::string& sql);

    /// Opens a transaction. Its destructor rolls back what was not committed.
    Transaction begin();

    /// LISTEN on a channel. libpqxx delivers nothing while a transaction is open: use a connection of its
    /// own.
    void listen(const std::string& channel);
    /// What has come since the last call, without waiting. Throws DatabaseError when the connection is lost.
    std::vector<Notification> take_notifications();
    /// The socket to poll for reading; -1 when the connection is gone.
    int socket() const;

    /// Asks the server to end the statement that runs, if any. The only call that other threads may make,
    /// while this object exists. Never throws: where the server cannot be asked, nothing is ended.
    void cancel() const;

    bool is_open() const;
    int backend_pid() const;
    /// The server as people may see it: `database "x" at host:port (user "y")`, never a password.
    const std::string& description() const;
    const Ground& ground() const;

  private:
    friend class Transaction;
    struct State;

    void settle(const std::map<std::string, std::string>& url_parts, const ConnectionSettings& settings);
    Result autocommit(const std::function<Result(pqxx::transaction_base&)>& action);

    std::unique_ptr<State> state_;
};

/// An explicit transaction (READ COMMITTED). Once a call has thrown, only its destruction makes sense.
class Transaction {
  public:
    ~Transaction();
    Transaction(Transaction&&) noexcept;
    Transaction& operator=(Transaction&&) = delete;
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;

    Result execute(const std::string& sql) {
        return guarded([&](pqxx::transaction_base& sql_session) { return sql_session.exec(sql); });
    }
    template <typename... Parameters>
    Result query(const std::string& sql, const Parameters&... parameters) {
        return guarded(
            [&](pqxx::transaction_base& sql_session) { return sql_session.exec_params(sql, parameters...); });
    }
    template <typename... Parameters>
    Result run(const std::string& statement, const Parameters&... parameters) {
        return guarded([&](pqxx::transaction_base& sql_session) {
            return sql_session.exec_prepared(statement, parameters...);
        });
    }
    /// Throws DatabaseError; kind in_doubt when the connection died before the server's answer.
    void commit();
    void roll_back();

  private:
    friend class Connection;
    struct State;

    explicit Transaction(std::unique_ptr<State> state);
    Result guarded(const std::function<Result(pqxx::transaction_base&)>& action);

    std::unique_ptr<State> state_;
};

/// `database "x" at host:port (user "y")` for a URL or keyword string, without its password. Text that libpq
/// cannot parse is described as such and not repeated.
std::string describe_database(const std::string& url);

/// `url` with the database name replaced: to reach the `postgres` database beside it, for instance. Throws
/// DatabaseError when libpq cannot parse it.
std::string with_database(const std::string& url, const std::string& database);

}  // namespace tasker::postgres
