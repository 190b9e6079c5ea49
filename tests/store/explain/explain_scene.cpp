#include "tests/store/explain/explain_scene.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "orchestrator/engine/turns/claim_plan.hpp"

namespace tasker::api {

core::SessionView worker(const std::string& name, std::vector<std::string> handlers,
                         std::vector<std::string> namespaces, int limit, int in_flight,
                         core::SessionState state) {
    core::SessionView view;
    view.spec.session = name;
    view.spec.worker_id = "worker-" + name;
    view.spec.language = "test";
    view.spec.handlers = std::move(handlers);
    view.spec.namespaces = std::move(namespaces);
    view.spec.capacity = limit;
    view.spec.host = "localhost";
    view.spec.pid = 1;
    view.state = state;
    view.in_flight = in_flight;
    view.limit = limit;
    view.free = state == core::SessionState::ready ? limit - in_flight : 0;
    return view;
}

void ExplainScene::announce(const std::vector<core::SessionView>& sessions) {
    std::vector<std::string> known;
    for (const auto& view : sessions) known.push_back(view.spec.session);
    caretaker_.write_workers(sessions, known);
}

TaskExplanation ExplainScene::explain(std::int64_t task_id) {
    caretaker_.beat();
    auto answer = explain_task(sql(), task_id);
    if (!answer) {
        ADD_FAILURE() << "nothing about task " << task_id;
        return {};
    }
    return *answer;
}

std::string ExplainScene::causes(std::int64_t task_id) {
    const auto answer = explain(task_id);
    std::string text = answer.task.cause;
    for (const auto& step : answer.steps) text += " " + step.name + ":" + step.cause;
    return text;
}

Explanation ExplainScene::step(std::int64_t task_id, const std::string& name) {
    std::vector<Explanation> found;
    for (const auto& step : explain(task_id).steps) {
        if (step.name == name) found.push_back(step);
    }
    EXPECT_EQ(found.size(), 1U) << name;
    return found.empty() ? Explanation{} : found.front();
}

nlohmann::json ExplainScene::detail(std::int64_t task_id) {
    return nlohmann::json::parse(explain(task_id).task.detail_json);
}

std::vector<core::CreditOffer> OfferedCredit::reserve(int) {
    std::vector<core::CreditOffer> offers;
    for (const auto& view : sessions_) {
        if (view.free > 0) {
            offers.push_back(
                {view.spec.session, view.free, view.in_flight, view.limit, view.spec.capacity, 0});
        }
    }
    return offers;
}

bool OfferedCredit::serves(std::string_view session, std::string_view namespace_name,
                           std::string_view handler_class) {
    return std::any_of(sessions_.begin(), sessions_.end(), [&](const core::SessionView& view) {
        return view.spec.session == session && core::matches_any(view.spec.namespaces, namespace_name) &&
               core::matches_any(view.spec.handlers, handler_class);
    });
}

ports::TurnInput planned(ExplainScene& scene, const std::vector<core::SessionView>& sessions) {
    OfferedCredit credit(sessions);
    engine::HandlerKeys keys;
    keys.replace(scene.store().load_handler_keys());
    keys.mark_all_waiting();
    ports::TurnInput input;
    input.due = true;
    engine::ClaimPlanner planner;
    planner.plan(credit.reserve(0), credit, keys, input);
    return input;
}

}  // namespace tasker::api
