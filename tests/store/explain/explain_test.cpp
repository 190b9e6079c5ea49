// Every cause, brought about by the functions that bring it about in production.
#include <gtest/gtest.h>

#include "tests/store/explain/explain_scene.hpp"

namespace tasker::api {
namespace {

using core::SessionState;

class Explain : public ::testing::Test {
  protected:
    void TearDown() override { EXPECT_EQ(scene.violations(), std::vector<std::string>{}); }

    std::vector<ports::ClaimedStep> claim(int slots) { return scene.claim(slots, "s1"); }
    void accept(const ports::ClaimedStep& step) {
        ports::TurnInput input;
        ports::BatchChange change;
        change.batch_id = step.batch_id;
        change.to = core::BatchState::executing;
        change.transitions = 1;
        input.batches.push_back(change);
        scene.turn(input);
    }
    void start(const ports::ClaimedStep& step, std::int64_t age_ms) {
        ports::TurnInput input;
        input.running.push_back({step.batch_id, step.step_id, age_ms});
        scene.turn(input);
    }

    ExplainScene scene;
};

TEST_F(Explain, NamesNoSessionAndWhatIsAnnouncedInstead) {
    const auto task = scene.submit(scene.draw("pair", "pay @Shop::PayHandler\nship @Ship\n"));
    EXPECT_EQ(scene.causes(task), "no_session pay:no_session ship:no_session");
    scene.announce(
        {worker("s1", {"Billing::Pay", "Cook"}, {"*"}, 4, 0), worker("s2", {"Ship"}, {"bank"}, 4, 0)});
    EXPECT_EQ(scene.causes(task), "no_session pay:no_session ship:no_session");
    const auto handlers = scene.detail(task)["handlers"];
    EXPECT_EQ(handlers["Shop::PayHandler"]["similar_handlers"], nlohmann::json({"Billing::Pay"}));
    EXPECT_EQ(handlers["Ship"]["other_namespace"][0]["worker_id"], "worker-s2");
    EXPECT_EQ(handlers["Ship"]["other_namespace"][0]["namespaces"], nlohmann::json({"bank"}));
    EXPECT_FALSE(handlers["Ship"].contains("similar_handlers"));
    EXPECT_EQ(scene.step(task, "pay").next_event, "session_connects");
}

TEST_F(Explain, MatchesWildcardsAsTheClaimDoes) {
    const auto task = scene.submit(scene.draw("one", "only @Shop::Pay", "shop.eu"));
    for (const char* handlers : {"Shop::*", "*", "Shop::Pay"}) {
        scene.announce({worker("s1", {handlers}, {"shop*"}, 1, 0)});
        EXPECT_EQ(scene.causes(task), "ready only:ready") << handlers;
    }
    scene.announce({worker("s1", {"Shop::*", "!Shop::Pay"}, {"*"}, 1, 0)});
    EXPECT_EQ(scene.causes(task), "no_session only:no_session") << "refused as unknown";
    for (const char* handlers : {"Shop", "*::Pay", "Shop::Pa", "shop::*"}) {
        scene.announce({worker("s1", {handlers}, {"*"}, 1, 0)});
        EXPECT_EQ(scene.causes(task), "no_session only:no_session") << handlers;
    }
}

TEST_F(Explain, SaysWhyARequestCannotBeSent) {
    const auto task = scene.submit(scene.draw("one", "only"));
    const auto step = claim(1).at(0);
    ports::TurnInput input;
    input.hand_backs = {Scene::hand_back(step, ports::kRequestNotBuilt)};
    input.hand_backs[0].cause = "ERROR: no such digit";
    scene.turn(input);
    EXPECT_EQ(scene.causes(task), "error only:failed");
    const auto detail = nlohmann::json::parse(scene.step(task, "only").detail_json);
    EXPECT_EQ(detail["dead_letter_reason"], "request_not_built");
    EXPECT_EQ(detail["message"], "the request of this step cannot be built: ERROR: no such digit");
}

TEST_F(Explain, SaysThatWorkersKeepHandingItBack) {
    const auto task = scene.submit(scene.draw("one", "only"));
    for (int times = 0; times < 6; ++times) {
        ports::TurnInput input;
        input.hand_backs = {Scene::hand_back(claim(1).at(0), "lunch")};
        scene.turn(input);
    }
    EXPECT_EQ(scene.causes(task), "handed_back only:handed_back");
    const auto said = scene.step(task, "only");
    EXPECT_EQ(said.next_event, "offered_again");
    EXPECT_TRUE(said.next_in_seconds.has_value());
    const auto detail = nlohmann::json::parse(said.detail_json);
    EXPECT_EQ(detail["handed_back"], 6);
    EXPECT_EQ(detail["reason"], "lunch");
}

TEST_F(Explain, NamesNoCreditWithWhoIsFullAndHowManyGoFirst) {
    const auto tasks = scene.submit_many(scene.draw("one", "only"), 3);
    scene.announce(
        {worker("s1", {"Work"}, {"*"}, 4, 4), worker("s2", {"*"}, {"*"}, 4, 1, SessionState::suspect)});
    const auto last = scene.step(tasks[2], "only");
    EXPECT_EQ(last.cause, "no_credit");
    EXPECT_EQ(last.ahead, 2);
    EXPECT_EQ(scene.step(tasks[0], "only").ahead, 0);
    const auto serving = scene.detail(tasks[2])["handlers"]["Work"];
    EXPECT_EQ(serving["session_count"], 2);
    EXPECT_EQ(serving["sessions"][0]["in_flight"], 4);
    EXPECT_EQ(serving["sessions"][0]["credit_limit"], 4);
    EXPECT_EQ(serving["sessions"][1]["state"], "suspect");
}

TEST_F(Explain, SaysReadyToAsManyAsTheFreeCreditReaches) {
    const auto one = scene.draw("one", "only");
    const auto low = scene.submit(one, R"({"priority": 1})");
    const auto tasks = scene.submit_many(one, 2, R"({"priority": 5})");
    scene.announce({worker("s1", {"Work"}, {"*"}, 4, 2)});
    EXPECT_EQ(scene.causes(tasks[0]), "ready only:ready");
    EXPECT_EQ(scene.causes(tasks[1]), "ready only:ready");
    EXPECT_EQ(scene.causes(low), "no_credit only:no_credit");
    const auto claims = claim(2);
    ASSERT_EQ(claims.size(), 2U);
    EXPECT_EQ(scene.task_state(low), "pending");
}

TEST_F(Explain, LeavesItOpenWhichNamespaceIsFirst) {
    const auto a = scene.submit_many(scene.draw("one", "only", "shop"), 2);
    const auto b = scene.submit_many(scene.draw("one", "only", "bank"), 2);
    scene.announce({worker("s1", {"Work"}, {"*"}, 4, 3)});
    EXPECT_EQ(scene.causes(a[0]), "namespace_turn only:namespace_turn");
    EXPECT_EQ(scene.causes(b[0]), "namespace_turn only:namespace_turn");
    EXPECT_EQ(scene.causes(a[1]), "no_credit only:no_credit");
    scene.announce({worker("s1", {"Work"}, {"*"}, 4, 2)});
    EXPECT_EQ(scene.causes(a[0]), "ready only:ready");
    EXPECT_EQ(scene.causes(b[0]), "ready only:ready");
    EXPECT_EQ(scene.causes(b[1]), "no_credit only:no_credit");
}

TEST_F(Explain, SaysWhenATurnCannotTakeAll) {
    const auto tasks = scene.submit_many(scene.draw("one", "only"), 1001);
    scene.announce({worker("s1", {"Work"}, {"*"}, 2000, 0)});
    EXPECT_EQ(scene.causes(tasks[999]), "ready only:ready");
    EXPECT_EQ(scene.causes(tasks[1000]), "turn_full only:turn_full");
    EXPECT_EQ(scene.turn(planned(scene, {worker("s1", {"Work"}, {"*"}, 2000, 0)})).claims.size(), 1000U);
    EXPECT_EQ(scene.task_state(tasks[1000]), "pending");
}

TEST_F(Explain, FollowsADeliveryFromPublishingToItsStart) {
    const auto task = scene.submit(scene.draw("one", "only"));
    scene.announce({worker("s1", {"Work"}, {"*"}, 4, 0)});
    const auto step = claim(1).at(0);
    auto said = scene.step(task, "only");
    EXPECT_EQ(said.cause, "published");
    EXPECT_EQ(said.worker_id, "worker-s1");
    EXPECT_EQ(said.session, "s1");
    EXPECT_EQ(said.attempts, 1);
    EXPECT_LT(said.since_seconds.value_or(-1), 60);
    EXPECT_GE(said.since_seconds.value_or(-1), 0);
    accept(step);
    EXPECT_EQ(scene.causes(task), "accepted only:accepted");
    start(step, 2000);
    said = scene.step(task, "only");
    EXPECT_EQ(said.cause, "running");
    EXPECT_GE(said.since_seconds.value_or(0), 2.0);
    EXPECT_LE(said.next_in_seconds.value_or(0), 28.0)
        << "the start was two seconds ago, the time-out is 30 s";
    EXPECT_GT(said.next_in_seconds.value_or(0), 0.0);
}

TEST_F(Explain, SaysThatAStartMustBeGrantedFirst) {
    const auto task = scene.submit(scene.draw("one", "only"));
    scene.execute("UPDATE tasker_workflow_steps SET claim_first = true");
    const auto step = claim(1).at(0);
    EXPECT_EQ(scene.causes(task), "published only:published");
    accept(step);
    EXPECT_EQ(scene.causes(task), "awaiting_start_grant only:awaiting_start_grant");
    scene.execute("UPDATE tasker_step_execution_batch_steps SET granted_at = clock_timestamp()");
    EXPECT_EQ(scene.causes(task), "accepted only:accepted");
}

TEST_F(Explain, KnowsThePlainWorkerByItsBatch) {
    const auto tasks = scene.submit_many(scene.draw("one", "only"), 2);
    ASSERT_EQ(scene.claim(1, "").size(), 1U);
    auto said = scene.step(tasks[0], "only");
    EXPECT_EQ(said.cause, "plain_worker");
    EXPECT_EQ(said.next_event, "result");
    EXPECT_NEAR(said.next_in_seconds.value_or(0), 30, 25);
    said = scene.step(tasks[1], "only");
    EXPECT_EQ(said.cause, "plain_worker");
    EXPECT_EQ(said.next_event, "plain_batch_ends");
    // Once a session has announced the handler, the plain worker never gets it, whatever its namespaces.
    scene.announce({worker("s1", {"Work"}, {"bank"}, 4, 0)});
    EXPECT_EQ(scene.step(tasks[1], "only").cause, "no_session");
}

TEST_F(Explain, TellsBackoffFromATimeThatWasAskedFor) {
    const auto one = scene.draw("one", "only");
    const auto held = scene.submit(one, R"({"not_before": "2999-01-01T00:00:00Z"})");
    EXPECT_EQ(scene.causes(held), "not_before only:not_before");
    const auto task = scene.submit(one);
    const auto step = claim(1).at(0);
    auto failed = Scene::report(step, "failed");
    failed.backoff_seconds = 3600;
    EXPECT_EQ(scene.apply({failed}), "applied");
    auto said = scene.step(task, "only");
    EXPECT_EQ(said.cause, "backoff");
    EXPECT_NEAR(said.next_in_seconds.value_or(0), 3600, 60);
    EXPECT_LT(said.since_seconds.value_or(-1), 60);
    EXPECT_EQ(said.attempts, 1);
    EXPECT_EQ(said.retry_limit, 3);
    EXPECT_EQ(nlohmann::json::parse(said.detail_json)["message"], "no luck");
    // Due, and not yet in the ready index: the next turn puts it there and claims it.
    scene.execute("UPDATE tasker_workflow_steps SET next_attempt_at = clock_timestamp() WHERE task_id = " +
                  std::to_string(task));
    scene.announce({worker("s1", {"Work"}, {"*"}, 1, 0)});
    EXPECT_EQ(scene.causes(task), "ready only:ready");
    EXPECT_EQ(scene.turn(planned(scene, {worker("s1", {"Work"}, {"*"}, 1, 0)})).claims.size(), 1U);
}

TEST_F(Explain, TellsASnoozeFromABackoffWithItsTimeAndCount) {
    const auto task = scene.submit(scene.draw("one", "only"));
    const auto step = claim(1).at(0);
    ports::TurnInput input;
    input.snoozes = {
        {step.batch_id, step.step_id, step.task_id, step.attempt, 3600, 48, "the bank is closed"}};
    scene.turn(input);
    EXPECT_EQ(scene.causes(task), "snoozed only:snoozed");
    const auto said = scene.step(task, "only");
    EXPECT_EQ(said.next_event, "wait_ends");
    EXPECT_NEAR(said.next_in_seconds.value_or(0), 3600, 60);
    EXPECT_EQ(said.attempts, 0) << "no attempt is used up";
    const auto detail = nlohmann::json::parse(said.detail_json);
    EXPECT_EQ(detail["snoozes"], 1);
    EXPECT_EQ(detail["max_snoozes"], 1000) << "what a template without the key has";
    EXPECT_EQ(detail["message"], "the bank is closed");
}

TEST_F(Explain, NamesTheParentsAndTheStepAtTheRootOfTheWait) {
    const auto task = scene.submit(scene.draw("graph", "a\nb\nc <- a b\nd <- c\n"));
    const auto claims = claim(2);
    ASSERT_EQ(claims.size(), 2U);
    EXPECT_EQ(scene.causes(task),
              "published a:published b:published c:waiting_for_parents d:waiting_for_parents");
    const auto a = scene.step_id(task, "a");
    const auto b = scene.step_id(task, "b");
    EXPECT_EQ(scene.step(task, "c").waits_for, (std::vector{a, b}));
    EXPECT_EQ(scene.step(task, "d").waits_for, std::vector{scene.step_id(task, "c")});
    EXPECT_EQ(scene.step(task, "d").blocking_step_id, a);
    EXPECT_EQ(scene.apply({Scene::report(claims[0].step_id == a ? claims[0] : claims[1])}), "applied");
    EXPECT_EQ(scene.step(task, "c").waits_for, std::vector{b});
    EXPECT_EQ(scene.step(task, "d").blocking_step_id, b) << "what is complete is waited for by nobody";
}

TEST_F(Explain, NamesTheFailedStepThatBlocksHoweverFarAway) {
    const auto task = scene.submit(scene.draw("graph", "a\nb\nc <- a\nd <- b c\ne <- b\n"));
    const auto claims = claim(2);
    const auto a = scene.step_id(task, "a");
    EXPECT_EQ(scene.apply({Scene::report(claims[0].step_id == a ? claims[0] : claims[1], "error")}),
              "applied");
    EXPECT_EQ(scene.causes(task),
              "published a:failed b:published c:blocked_by_failed_step d:blocked_by_failed_step "
              "e:waiting_for_parents");
    EXPECT_EQ(scene.step(task, "d").blocking_step_id, a)
        << "the failed ancestor, not the one that merely runs";
    EXPECT_EQ(scene.step(task, "c").next_event, "operator_decides");
    EXPECT_EQ(nlohmann::json::parse(scene.step(task, "a").detail_json)["message"], "no luck");
}

TEST_F(Explain, SaysOfEndedTasksThatTheyHaveEnded) {
    const auto one = scene.draw("chain", "a\nb <- a\n");
    const auto failed = scene.submit(one);
    EXPECT_EQ(scene.apply({Scene::report(claim(1).at(0), "error")}), "applied");
    EXPECT_EQ(scene.causes(failed), "error a:failed b:blocked_by_failed_step");
    EXPECT_EQ(scene.explain(failed).task.next_event, "operator_decides");
    const auto done = scene.submit(scene.draw("one", "only"));
    EXPECT_EQ(scene.apply({Scene::report(claim(1).at(0))}), "applied");
    EXPECT_EQ(scene.causes(done), "complete");
    EXPECT_FALSE(explain_task(scene.sql(), 4711).has_value());
    EXPECT_FALSE(explain_json(scene.sql(), 4711).has_value());
}

TEST_F(Explain, PutsAnAbsentOrchestratorBeforeEverythingElse) {
    const auto task = scene.submit(scene.draw("one", "only"));
    scene.announce({worker("s1", {"Work"}, {"*"}, 1, 0)});
    EXPECT_EQ(scene.causes(task), "ready only:ready");
    scene.execute("UPDATE tasker_orchestrators SET last_seen_at = clock_timestamp() - interval '6 s'");
    auto answer = explain_task(scene.sql(), task);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->task.cause, "orchestrator_down");
    EXPECT_EQ(answer->task.next_event, "orchestrator_starts");
    EXPECT_EQ(answer->steps.at(0).cause, "ready") << "the cause it left behind is still shown";
    scene.caretaker().set_state("stopped", "{}");
    EXPECT_EQ(explain_task(scene.sql(), task)->task.cause, "orchestrator_down");
    scene.execute("DELETE FROM tasker_orchestrators");
    EXPECT_EQ(explain_task(scene.sql(), task)->task.cause, "orchestrator_down");
    scene.execute(
        "INSERT INTO tasker_orchestrators (lane, instance, epoch, host, pid) VALUES (0, 'x', 9, 'h', 1)");
}

TEST_F(Explain, IgnoresSessionsThatHaveNotComeBackSinceTheRestart) {
    const auto task = scene.submit(scene.draw("one", "only"));
    scene.announce({worker("s1", {"Work"}, {"*"}, 1, 0)});
    scene.execute("UPDATE tasker_orchestrators SET epoch = epoch + 1");
    EXPECT_EQ(explain_task(scene.sql(), task)->task.cause, "no_session");
    scene.execute("UPDATE tasker_orchestrators SET epoch = epoch - 1");
}

TEST_F(Explain, AnswersScriptsWithColumnsAndOneStepOnRequest) {
    const auto task = scene.submit(scene.draw("chain", "a\nb <- a\n"));
    const auto all = nlohmann::json::parse(explain_json(scene.sql(), task).value());
    EXPECT_EQ(all["task_id"], task);
    EXPECT_EQ(all["detail"]["causes"], (nlohmann::json{{"no_session", 1}, {"waiting_for_parents", 1}}));
    ASSERT_EQ(all["steps"].size(), 2U);
    EXPECT_EQ(all["steps"][1]["blocking_step_id"], all["steps"][0]["workflow_step_id"]);
    for (const std::string& wanted : {std::string("b"), std::to_string(scene.step_id(task, "b"))}) {
        const auto one = nlohmann::json::parse(explain_json(scene.sql(), task, wanted).value());
        ASSERT_EQ(one["steps"].size(), 1U);
        EXPECT_EQ(one["steps"][0]["name"], "b");
        EXPECT_EQ(one["state"], "pending");
    }
}

}  // namespace
}  // namespace tasker::api
