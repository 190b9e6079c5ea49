#include "tests/store/checks/history.hpp"

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "orchestrator/api/definitions.hpp"
#include "orchestrator/api/submit.hpp"
#include "orchestrator/templates/template.hpp"

namespace tasker::api {
namespace {

templates::StepTemplate step_template(const std::string& name, const std::string& handler,
                                      std::vector<std::string> parents = {}) {
    templates::StepTemplate step;
    step.name = name;
    step.handler_class = handler;
    step.depends_on = std::move(parents);
    step.dependent_system = "default";
    return step;
}

templates::Template named(const std::string& name) {
    templates::Template definition;
    definition.namespace_name = "shop";
    definition.name = name;
    definition.version = "1.0.0";
    return definition;
}

ports::TurnMessage message_for(const ports::ClaimedStep& claim, const std::string& status) {
    ports::TurnMessage message;
    message.message_class = ports::MessageClass::final;
    message.batch_id = claim.batch_id;
    message.batch_step_id = claim.batch_step_id;
    message.step_id = claim.step_id;
    message.task_id = claim.task_id;
    message.attempt = claim.attempt;
    message.status = status;
    message.worker_id = "worker-1";
    message.session = "s1";
    message.sequence = 1;
    message.raw = "{}";
    if (status == "completed") {
        message.output_json = R"({"value":1})";
    } else {
        message.error_json = R"({"message":"no luck"})";
        message.backoff_seconds = 3600;
    }
    return message;
}

}  // namespace

History::History() {
    sql_ = std::make_unique<postgres::Connection>(database_.url());
    store_ =
        std::make_unique<TurnStore>(database_.url(), Instance{"orchestrator-test", "localhost", 1, "{}"});
    if (!store_->take_instance_lock())
        throw std::runtime_error("somebody else holds the lane of a fresh database");
    store_->begin_epoch();

    auto diamond = named("diamond");
    diamond.steps = {step_template("a", "Work"), step_template("b", "Work", {"a"}),
                     step_template("c", "Work", {"a"}), step_template("d", "Last", {"b", "c"})};
    auto single = named("single");
    single.steps = {step_template("only", "Work")};
    single.steps.front().retryable = false;
    register_templates(*sql_, {diamond, single});

    complete = submit("diamond");
    auto first = claim(1);
    report(first, "completed");
    report(claim(2), "completed");
    report(claim(1), "completed");
    repeat_report(first.front());

    failed = submit("single");
    report(claim(1), "error");
    retrying = submit("diamond");
    report(claim(1), "failed");
    in_flight = submit("diamond");
    report(claim(1), "completed");
    claim(2);
    handed_back = submit("diamond");
    hand_back(claim(1));
    fresh = submit("diamond", R"({"parent_task_id": )" + std::to_string(complete) + "}");
    held = submit("diamond", R"({"not_before": "2999-01-01T00:00:00Z"})");
    for (const auto& row :
         sql_->execute("SELECT task_id, name, workflow_step_id FROM tasker_workflow_steps")) {
        steps_[{row[0].as<std::int64_t>(), row[1].as<std::string>()}] = row[2].as<std::int64_t>();
    }
}

std::int64_t History::submit(const std::string& name, const std::string& extra) {
    const auto fields = nlohmann::json::parse(extra);
    TaskRequest request;
    request.namespace_name = "shop";
    request.name = name;
    if (fields.contains("parent_task_id"))
        request.parent_task_id = fields["parent_task_id"].get<std::int64_t>();
    if (fields.contains("not_before")) request.not_before = fields["not_before"].get<std::string>();
    request.idempotency_key = name + std::to_string(turn_) + extra;
    const auto outcome = TaskCreator().create_tasks(*sql_, std::span(&request, 1)).front();
    if (!outcome) throw std::runtime_error("not created: " + outcome.error().message);
    return outcome->task_id;
}

std::vector<ports::ClaimedStep> History::claim(int slots) {
    ports::TurnInput input;
    for (const auto& row : sql_->execute("SELECT handler_key FROM tasker_handler_keys ORDER BY 1")) {
        input.keys.push_back({1, row[0].as<std::int32_t>(), true});
    }
    input.sessions = {"s1"};
    for (int i = 0; i < slots; ++i) input.slots.push_back({1, 0});
    auto claims = store_->run_turn(++turn_, input).claims;
    if (claims.size() != static_cast<std::size_t>(slots)) throw std::runtime_error("claimed too little");
    return claims;
}

/// Reports every step of one or more batches, and completes them.
void History::report(const std::vector<ports::ClaimedStep>& claims, const std::string& status) {
    ports::TurnInput input;
    std::map<std::int64_t, ports::BatchChange> changes;
    for (const auto& claim : claims) {
        input.messages.push_back(message_for(claim, status));
        auto& change = changes[claim.batch_id];
        change.batch_id = claim.batch_id;
        change.to = status == "completed" ? core::BatchState::completed : core::BatchState::failed;
        change.transitions = 2;
        ++change.partials;
        change.completion = true;
        change.reconciliation = core::ReconciliationStatus::consistent;
    }
    for (const auto& [id, change] : changes) {
        ports::TurnMessage completion;
        completion.batch_id = id;
        completion.completion = true;
        completion.worker_id = "worker-1";
        completion.session = "s1";
        completion.sequence = 9;
        completion.raw = "{}";
        input.messages.push_back(completion);
        input.batches.push_back(change);
    }
    store_->run_turn(++turn_, input);
}

void History::hand_back(const std::vector<ports::ClaimedStep>& claims) {
    ports::TurnInput input;
    for (const auto& claim : claims) {
        input.hand_backs.push_back({claim.batch_id, claim.step_id, claim.task_id, claim.attempt, "draining"});
    }
    ports::BatchChange change;
    change.batch_id = claims.front().batch_id;
    change.to = core::BatchState::cancelled;
    change.transitions = 1;
    change.reconciliation = core::ReconciliationStatus::consistent;
    input.batches.push_back(change);
    store_->run_turn(++turn_, input);
}

void History::repeat_report(const ports::ClaimedStep& claim) {
    ports::TurnInput input;
    input.messages.push_back(message_for(claim, "completed"));
    store_->run_turn(++turn_, input);
}

std::int64_t History::step(std::int64_t task_id, const std::string& name) const {
    return steps_.at({task_id, name});
}

std::string History::text(const std::string& query) {
    return sql_->execute(query).at(0)[0].as<std::string>();
}

}  // namespace tasker::api
