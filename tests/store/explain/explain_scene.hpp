// A Scene whose workers are written as the orchestrator writes them, and what explain says about its tasks.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/api/explain.hpp"
#include "orchestrator/core/sessions/registry.hpp"
#include "orchestrator/ports/credit.hpp"
#include "orchestrator/store/housekeeping_store.hpp"
#include "tests/store/turn/scene.hpp"

namespace tasker::api {

using namespace store;  // the scene of the turn's tests

/// A session that serves these handlers in these namespaces, with so much of its credit in flight.
core::SessionView worker(const std::string& name, std::vector<std::string> handlers,
                         std::vector<std::string> namespaces, int limit, int in_flight,
                         core::SessionState state = core::SessionState::ready);

class ExplainScene : public Scene {
  public:
    /// Writes the worker list through the caretaker's own connection; others are gone.
    void announce(const std::vector<core::SessionView>& sessions);
    /// Explains the task, of which there must be one. The orchestrator has just been seen.
    TaskExplanation explain(std::int64_t task_id);
    /// "name:cause name:cause …" by id, the task's own cause first.
    std::string causes(std::int64_t task_id);
    /// The explanation of one step; fails the test when there is not exactly one.
    Explanation step(std::int64_t task_id, const std::string& name);
    /// detail of the task's own row.
    nlohmann::json detail(std::int64_t task_id);

    HousekeepingStore& caretaker() { return caretaker_; }

  private:
    HousekeepingStore caretaker_{url(), epoch()};
};

/// The credit that these sessions offer to a turn, for ClaimPlanner.
class OfferedCredit : public ports::CreditPool {
  public:
    explicit OfferedCredit(std::vector<core::SessionView> sessions) : sessions_(std::move(sessions)) {}
    std::vector<core::CreditOffer> reserve(int lane) override;
    bool settle(int, const std::vector<core::CreditOffer>&, std::vector<core::TakenBatch>) override {
        return false;
    }
    void set_away(int, bool) override {}
    bool is_gone(std::string_view) override { return false; }
    bool may_return(std::string_view) override { return false; }
    bool serves(std::string_view session, std::string_view namespace_name,
                std::string_view handler_class) override;

  private:
    std::vector<core::SessionView> sessions_;
};

/// What the next turn does with the free credit of these sessions, planned as the listener plans it.
ports::TurnInput planned(ExplainScene& scene, const std::vector<core::SessionView>& sessions);

}  // namespace tasker::api
