// A database in which much has happened, all of it rightly: made by the real functions, so that the checks
// must be silent about it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "orchestrator/ports/store.hpp"
#include "orchestrator/postgres/connection.hpp"
#include "orchestrator/store/turn_store.hpp"
#include "tests/support/postgres.hpp"

namespace tasker::api {

using namespace store;  // the scene of the turn's tests

/// One template "shop/diamond" (a; b and c after a; d after both; handlers Work and, for d, Last), one
/// "shop/single" whose only step may not be retried, and tasks in every situation.
class History {
  public:
    History();

    postgres::Connection& sql() { return *sql_; }
    const std::string& url() const { return database_.url(); }

    std::int64_t complete = 0;     // all steps complete, a duplicate report in the ledger
    std::int64_t failed = 0;       // single: its step in error
    std::int64_t retrying = 0;     // a failed once and waits
    std::int64_t in_flight = 0;    // a complete, b and c published
    std::int64_t handed_back = 0;  // a was handed back and is ready again
    std::int64_t fresh = 0;        // just created, child of `complete`
    std::int64_t held = 0;         // not_before in an hour

    /// The id of a task's step. Runs no query, so it may be asked while a transaction is open.
    std::int64_t step(std::int64_t task_id, const std::string& name) const;
    std::string text(const std::string& query);

  private:
    std::int64_t submit(const std::string& name, const std::string& extra = "{}");
    std::vector<ports::ClaimedStep> claim(int slots);
    void report(const std::vector<ports::ClaimedStep>& claims, const std::string& status);
    void hand_back(const std::vector<ports::ClaimedStep>& claims);
    void repeat_report(const ports::ClaimedStep& claim);

    test::TestDatabase database_;
    std::unique_ptr<postgres::Connection> sql_;
    std::unique_ptr<TurnStore> store_;
    std::int64_t turn_ = 0;
    std::map<std::pair<std::int64_t, std::string>, std::int64_t> steps_;
};

}  // namespace tasker::api
