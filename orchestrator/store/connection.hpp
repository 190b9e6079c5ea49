// The one place that knows libpqxx. Version 6.4.5 reopens dead connections behind one's back (advisory locks,
// temporary tables and epochs would vanish unseen), so reopening is forbidden right after connecting, and
// every failure is turned into a DatabaseError that says what the caller must know: is the connection gone,
// is a commit in doubt, may the transaction simply be repeated?
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <pqxx/pqxx>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tasker::store {

using Result = pqxx::result;
using Row = pqxx::row;
/// A bytea parameter.
using Bytes = pqxx::binarystring;

/// What a failure means for the caller.
enum class DbFailure {
    connection_lost,  // nothing of this statement or transaction was committed; connect anew, then repeat
    in_doubt,         // the connection died with a commit on its way: read back by id, never assume
    retryable,        // serialization failure or deadlock (40001, 40P01): repeat the whole transaction
    shutting_down,    // the server stops, starts or recovers (57P01–57P03): nothing committed; connect anew
                      // later
    other,            // the statement itself is at fault: repeating it changes nothing
};

const char* to_string(DbFailure failure);

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
/// later may help, other when the URL, the user, the password or the database's name is at fault.
class CannotConnect : public DatabaseError {
  public:
    CannotConnect(DbFailure kind, const std::string& message) : DatabaseError(kind, "", message) {}
};

/// How to connect. What the URL itself says (application_name, connect_timeout, keepalives, options) wins.
/// A timeout of nothing leaves the server's own setting.
struct ConnectionSettings {
    std::string application_name = "tasker";
    std::chrono::milliseconds connect_timeout{5000};  // rounded up to seconds, at least 2 (libpq's minimum)
    std::optional<std::chrono::milliseconds> statement_timeout = std::nullopt;
    std::optional<std::chrono::milliseconds> lock_timeout = std::nullopt;
    std::optional<std::chrono::milliseconds> idle_in_transaction_timeout = std::nullopt;
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
    /// Connects. Throws CannotConnect whose text names the server (without password), the cause and what to
    /// do. Ignores SIGPIPE for the whole process, since libpq would otherwise let a dead server kill it.
    explicit Connection(const std::string& url, ConnectionSettings settings = {});
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

  private:
    friend class Transaction;
    struct State;

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

}  // namespace tasker::store
