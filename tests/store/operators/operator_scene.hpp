// A scene in which every batch carries one step and ends with its report, so that `tasker db check` has
// nothing to say about it; and the operators' functions in few words.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "orchestrator/api/checks/checks.hpp"
#include "orchestrator/api/operate.hpp"
#include "tests/store/turn/scene.hpp"

namespace tasker::api {

using namespace store;  // the scene of the turn's tests

class OperatorScene : public Scene {
  public:
    /// A turn that moves what is due and claims up to `slots` steps, one per batch.
    std::vector<ports::ClaimedStep> take(int slots = 10);
    /// Claims exactly the step of this name; fails the test when it is not the next.
    ports::ClaimedStep take_step(const std::string& name);
    /// A turn with this final report and its batch's completion; returns its disposition.
    std::string answer(const ports::ClaimedStep& claim, const std::string& status);
    /// A turn that hands this step back unstarted, or ends it as too large to be sent.
    void give_back(const ports::ClaimedStep& claim, const std::string& reason = "draining");
    /// Fails a step permanently: it and, when nothing else moves, its task are in error.
    ports::ClaimedStep fail(const std::string& name);
    /// Reports failures until its attempts are used up; returns the id of its dead letter.
    std::int64_t exhaust(const std::string& name);

    /// Runs this function of the operators, for instance "tasker_retry_step(17)". Returns the row.
    nlohmann::json call(const std::string& call_text);
    /// Its outcome, with its code behind a colon when there is one: "done", "refused:wrong_state".
    std::string told(const std::string& call_text);
    /// Payloads of tasker_wake while `call_text` ran.
    std::string wakes_of(const std::string& call_text);

    /// What `tasker db check` finds, one line each; "" when all is right.
    std::string found_by_checks();
    /// "error retry pending" …: a history as event and state, in order.
    std::string step_history(std::int64_t step_id);
    std::string task_history(std::int64_t task_id);

  private:
    void write_dead_letters();
};

/// "outcome" or "outcome:code" of an operation's row.
std::string told_by(const nlohmann::json& row);

}  // namespace tasker::api
