// Making a connection: libpq's own steps, so that a stop need not wait for a server that is silent.
#pragma once

#include <libpq-fe.h>

#include <chrono>
#include <pqxx/pqxx>
#include <stdexcept>
#include <string>

#include "orchestrator/postgres/address.hpp"

namespace tasker::postgres {

/// Why no connection was made: the cause as libpq and the server word it, and the SQLSTATE of a server that
/// refused ("" when none answered).
class NoLink : public std::runtime_error {
  public:
    NoLink(const std::string& cause, std::string sqlstate)
        : std::runtime_error(cause), sqlstate_(std::move(sqlstate)) {}
    const std::string& sqlstate() const { return sqlstate_; }

  private:
    std::string sqlstate_;
};

/// Connects to the first host that answers and suits. Each address of a host is given up after `limit`
/// (zero: never). Once `stop_fd` is readable all that is left is half a second. Resolving a name cannot be
/// cut short. Throws NoLink.
PGconn* open_link(const UrlParts& parts, std::chrono::milliseconds limit, int stop_fd);

/// Takes an SQLSTATE and a place in the server's source out of a verbose message.
std::string take_sqlstate(std::string& message);

/// libpqxx's connection around one that libpq has made. It is never made anew.
class Link final : public pqxx::connection_base {
  public:
    explicit Link(PGconn* made) : pqxx::connection_base(policy_), policy_(made) { init(); }
    ~Link() { close(); }
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

  private:
    class Policy final : public pqxx::connectionpolicy {
      public:
        explicit Policy(PGconn* made) : pqxx::connectionpolicy(""), made_(made) {}
        handle do_startconnect(handle orig) override;

      private:
        PGconn* made_;
    };

    Policy policy_;
};

}  // namespace tasker::postgres
