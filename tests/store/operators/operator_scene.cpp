#include "tests/store/operators/operator_scene.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace tasker::api {

std::vector<ports::ClaimedStep> OperatorScene::take(int slots) {
    auto input = claiming({{"s1", slots}});
    input.batch_size = 1;
    input.due = true;
    return turn(input).claims;
}

ports::ClaimedStep OperatorScene::take_step(const std::string& name) {
    const auto claims = take(1);
    if (claims.size() != 1 || claims[0].name != name) {
        throw std::runtime_error("expected " + name + " to be claimed, got " +
                                 (claims.empty() ? "nothing" : claims[0].name));
    }
    return claims[0];
}

std::string OperatorScene::answer(const ports::ClaimedStep& claim, const std::string& status) {
    ports::TurnInput input;
    input.messages = {report(claim, status)};
    const bool first = one("SELECT reported_at IS NULL FROM tasker_step_execution_batch_steps WHERE id = " +
                           std::to_string(claim.batch_step_id)) == "t";
    const std::string state = one("SELECT state FROM tasker_step_execution_batches WHERE batch_id = " +
                                  std::to_string(claim.batch_id));
    if (first && state == "published") {
        ports::TurnMessage completion;
        completion.batch_id = claim.batch_id;
        completion.completion = true;
        completion.worker_id = "worker-1";
        completion.session = "s1";
        completion.sequence = 2;
        completion.raw = "{}";
        input.messages.push_back(completion);
        ports::BatchChange change;
        change.batch_id = claim.batch_id;
        change.to = status == "completed" ? core::BatchState::completed : core::BatchState::failed;
        change.transitions = 2;
        change.partials = 1;
        change.completion = true;
        change.reconciliation = core::ReconciliationStatus::consistent;
        input.batches = {change};
    }
    const auto result = turn(input);
    write_dead_letters();
    return result.reports.at(0).disposition;
}

void OperatorScene::give_back(const ports::ClaimedStep& claim, const std::string& reason) {
    ports::TurnInput input;
    input.hand_backs = {hand_back(claim, reason)};
    ports::BatchChange change;
    change.batch_id = claim.batch_id;
    change.to = core::BatchState::cancelled;
    change.transitions = 1;
    change.reconciliation = core::ReconciliationStatus::consistent;
    input.batches = {change};
    turn(input);
    write_dead_letters();
}

ports::ClaimedStep OperatorScene::fail(const std::string& name) {
    const auto claim = take_step(name);
    EXPECT_EQ(answer(claim, "error"), "applied");
    return claim;
}

std::int64_t OperatorScene::exhaust(const std::string& name) {
    for (;;) {
        const auto claim = take_step(name);
        answer(claim, "failed");
        if (state_of(claim.step_id) != "error") continue;
        return number(
            "SELECT dead_letter_id FROM tasker_dead_letters WHERE resolved_at IS NULL AND "
            "workflow_step_id = " +
            std::to_string(claim.step_id));
    }
}

// A turn writes them together with the step; where it has, this finds nothing to do. All tasks are locked, so
// that an operator comes before or after, and finds the turn and this as one.
void OperatorScene::write_dead_letters() {
    execute(R"(
        SELECT 1 FROM tasker_tasks ORDER BY task_id FOR UPDATE;
        INSERT INTO tasker_dead_letters (workflow_step_id, task_id, attempt, reason, last_error, last_worker,
            resolved_at, resolution)
        SELECT s.workflow_step_id, s.task_id, s.attempts,
               CASE h.event WHEN 'request_too_large' THEN h.event ELSE 'retries_exhausted' END, s.error, 'worker-1',
               CASE WHEN t.state = 'cancelled' THEN now() END, CASE WHEN t.state = 'cancelled' THEN t.state END
        FROM tasker_workflow_steps s
        JOIN tasker_tasks t ON t.task_id = s.task_id
        JOIN tasker_workflow_step_transitions h
            ON h.workflow_step_id = s.workflow_step_id AND h.sort_key = s.transition_count
        LEFT JOIN tasker_step_execution_batch_steps bs
            ON bs.workflow_step_id = s.workflow_step_id AND bs.attempt = s.attempts
        WHERE s.state = 'error' AND (h.event = 'request_too_large' OR (bs.final_status = 'failed' AND s.retryable))
        ON CONFLICT (workflow_step_id, attempt) DO NOTHING)");
}

nlohmann::json OperatorScene::call(const std::string& call_text) {
    return nlohmann::json::parse(one("SELECT row_to_json(r)::text FROM " + call_text + " r"));
}

std::string told_by(const nlohmann::json& row) {
    const auto outcome = row["outcome"].get<std::string>();
    return row["code"].is_null() ? outcome : outcome + ":" + row["code"].get<std::string>();
}

std::string OperatorScene::told(const std::string& call_text) {
    return told_by(call(call_text));
}

std::string OperatorScene::wakes_of(const std::string& call_text) {
    postgres::Connection listener(url());
    listener.listen("tasker_wake");
    call(call_text);
    // Notifications arrive in the order of commits: when this one is there, so are all before it.
    execute("NOTIFY tasker_wake, 'the end'");
    std::string payloads;
    for (;;) {
        for (const auto& notification : listener.take_notifications()) {
            if (notification.payload == "the end") return payloads;
            payloads += (payloads.empty() ? "" : " ") + notification.payload;
        }
        listener.execute("SELECT 1");
    }
}

std::string OperatorScene::found_by_checks() {
    std::string text;
    for (const auto& result : run_checks(sql())) {
        for (const auto& violation : result.violations) {
            text += std::string(result.check.name) + ": " + violation.object + " " +
                    std::to_string(violation.id) + ": " + violation.message + "\n";
        }
    }
    return text;
}

std::string OperatorScene::step_history(std::int64_t step_id) {
    return list(
        "SELECT event || '=' || to_state FROM tasker_workflow_step_transitions WHERE workflow_step_id = " +
        std::to_string(step_id) + " ORDER BY sort_key");
}

std::string OperatorScene::task_history(std::int64_t task_id) {
    return list("SELECT event || '=' || to_state FROM tasker_task_transitions WHERE task_id = " +
                std::to_string(task_id) + " ORDER BY sort_key");
}

}  // namespace tasker::api
