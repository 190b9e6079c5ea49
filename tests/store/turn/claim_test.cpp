// What a turn claims, in which order, and into which batches.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/store/turn/scene.hpp"

namespace tasker::store {
namespace {

using Names = std::vector<std::string>;

class Claim : public ::testing::Test {
  protected:
    void TearDown() override { EXPECT_EQ(scene.violations(), Names{}); }

    std::vector<std::int64_t> tasks_of(const std::vector<ports::ClaimedStep>& claims) {
        std::vector<std::int64_t> ids;
        for (const auto& claim : claims) ids.push_back(claim.task_id);
        return ids;
    }

    Scene scene;
};

TEST_F(Claim, TakesTheHigherPriorityFirstThenTheOlder) {
    const int single = scene.draw("single", "only");
    const auto low = scene.submit(single, R"({"priority": 1})");
    const auto middle = scene.submit_many(single, 2, R"({"priority": 5})");
    const auto high = scene.submit(single, R"({"priority": 9})");
    EXPECT_EQ(tasks_of(scene.claim(3)), (std::vector{high, middle[0], middle[1]}));
    EXPECT_EQ(tasks_of(scene.claim(3)), (std::vector{low}));
    EXPECT_TRUE(scene.claim(3).empty());
}

TEST_F(Claim, TakesNamespacesInTurnWithinAPriority) {
    const int flood = scene.draw("single", "only", "flood");
    const int quiet = scene.draw("single", "only", "quiet");
    const auto many = scene.submit_many(flood, 20);
    const auto two = scene.submit_many(quiet, 2);
    const auto tasks = tasks_of(scene.claim(4));
    const std::set<std::int64_t> claimed(tasks.begin(), tasks.end());
    EXPECT_EQ(claimed, (std::set{many[0], many[1], two[0], two[1]}));
}

// The usual case under load: every turn has just the slot that one report gave back.
TEST_F(Claim, OfOneSlotPerTurnIsNotKeptByTheNamespaceThatFloods) {
    const int flood = scene.draw("single", "only", "flood");
    const int quiet = scene.draw("single", "only", "quiet");
    scene.submit_many(flood, 60);
    const auto task = scene.submit(quiet);
    int turns = 0;
    while (scene.task_state(task) == "pending" && turns < 40) {
        ASSERT_EQ(scene.claim(1).size(), 1U);
        ++turns;
    }
    EXPECT_EQ(scene.task_state(task), "in_progress")
        << "waited behind " << turns << " steps of another namespace";
}

TEST_F(Claim, MakesOneBatchPerSessionAndHandlerAndSplitsItAtTheBatchSize) {
    const int pair = scene.draw("pair", "a @A\nb @B\n");
    scene.submit_many(pair, 7);
    auto input = scene.claiming({{"s1", 9}, {"s2", 5}});
    input.batch_size = 3;
    const auto claims = scene.turn(input).claims;
    ASSERT_EQ(claims.size(), 14U);
    std::map<std::int64_t, std::vector<const ports::ClaimedStep*>> batches;
    for (const auto& claim : claims) batches[claim.batch_id].push_back(&claim);
    std::map<int, int> slots;
    std::map<std::pair<int, int>, std::vector<std::size_t>> sizes;
    std::set<std::string> uuids;
    for (const auto& [batch_id, steps] : batches) {
        for (const auto* step : steps) {
            EXPECT_EQ(step->session, steps.front()->session);
            EXPECT_EQ(step->handler_key, steps.front()->handler_key);
            EXPECT_EQ(step->batch_uuid, steps.front()->batch_uuid);
            ++slots[step->session];
        }
        uuids.insert(steps.front()->batch_uuid);
        sizes[{steps.front()->session, steps.front()->handler_key}].push_back(steps.size());
    }
    EXPECT_EQ(slots, (std::map<int, int>{{0, 9}, {1, 5}}));
    EXPECT_EQ(uuids.size(), batches.size());
    for (auto& [key, list] : sizes) {
        std::size_t left = 0;
        for (const auto size : list) {
            EXPECT_LE(size, 3U);
            if (size < 3) ++left;
        }
        EXPECT_LE(left, 1U) << "more than one batch that is not full";
    }
    EXPECT_EQ(
        scene.one(
            "SELECT string_agg(DISTINCT session, ',' ORDER BY session) FROM tasker_step_execution_batches"),
        "s1,s2");
    EXPECT_EQ(
        scene.one("SELECT count(*) FROM tasker_step_execution_batches b WHERE batch_size <> (SELECT count(*) "
                  "FROM tasker_step_execution_batch_steps bs WHERE bs.batch_id = b.batch_id)"),
        "0");
    EXPECT_EQ(
        scene.one("SELECT bool_and(task_id IS NULL) FROM tasker_step_execution_batches WHERE batch_size > 1"),
        "t");
}

TEST_F(Claim, WritesBatchJoinRowsAndTransitionsAsCommittedForSending) {
    const auto task = scene.submit(scene.draw("single", "only limit=2"), R"({"context": {"order": 17}})");
    const auto claims = scene.claim(5);
    ASSERT_EQ(claims.size(), 1U);
    const auto& step = claims[0];
    EXPECT_EQ(step.name, "only");
    EXPECT_EQ(step.task_id, task);
    EXPECT_EQ(step.attempt, 1);
    EXPECT_EQ(step.retry_limit, 2);
    EXPECT_EQ(step.timeout_ms, 30000);
    EXPECT_EQ(step.context_json, R"({"order": 17})");
    EXPECT_EQ(step.previous_results_json, "");
    EXPECT_EQ(step.batch_uuid.size(), 36U);
    EXPECT_EQ(scene.state_of(step.step_id), "in_progress");
    EXPECT_EQ(scene.task_state(task), "in_progress");
    EXPECT_EQ(scene.list("SELECT from_state || '>' || to_state || ':' || event_name || ':' || most_recent "
                         "FROM tasker_step_execution_batch_transitions WHERE from_state IS NOT NULL"),
              "created>published:publish:true");
    EXPECT_EQ(scene.list("SELECT to_state || ':' || most_recent FROM tasker_step_execution_batch_transitions "
                         "WHERE from_state IS NULL"),
              "created:false");
    EXPECT_EQ(scene.list("SELECT state || '/' || session || '/' || epoch || '/' || turn || '/' || task_id "
                         "FROM tasker_step_execution_batches"),
              "published/s1/1/1/" + std::to_string(task));
    EXPECT_EQ(scene.list("SELECT sequence_order || '/' || attempt || '/' || expected_handler_class "
                         "FROM tasker_step_execution_batch_steps"),
              "1/1/Work");
    // A step's text of its claim is that of its batch, so that a message built again is the same.
    EXPECT_EQ(scene.store().load_open_batches().at(0).steps.at(0).claimed_at, step.claimed_at);
}

TEST_F(Claim, OfAChildMadeReadyByTwoParentsInOneTurnHappensOnceWithTheirResults) {
    const auto task = scene.submit(scene.draw("diamond", R"(
        start
        left  <- start
        right <- start
        end   <- left right
    )"));
    auto claims = scene.claim(5);
    ASSERT_EQ(claims.size(), 1U);
    auto input = scene.claiming({{"s1", 5}});
    input.messages = {Scene::report(claims[0])};
    claims = scene.turn(input).claims;
    ASSERT_EQ(claims.size(), 2U);
    const auto end = scene.step_id(task, "end");
    EXPECT_EQ(scene.one("SELECT remaining_parents FROM tasker_workflow_steps WHERE workflow_step_id = " +
                        std::to_string(end)),
              "2");
    input = scene.claiming({{"s1", 5}});
    input.messages = {Scene::report(claims[0]), Scene::report(claims[1])};
    const auto last = scene.turn(input);
    ASSERT_EQ(last.claims.size(), 1U);
    EXPECT_EQ(last.claims[0].step_id, end);
    EXPECT_EQ(last.claims[0].attempt, 1);
    EXPECT_EQ(scene.one("SELECT remaining_parents FROM tasker_workflow_steps WHERE workflow_step_id = " +
                        std::to_string(end)),
              "0");
    const auto& previous = last.claims[0].previous_results_json;
    EXPECT_NE(previous.find(R"("left" : {"by": "left"})"), std::string::npos) << previous;
    EXPECT_NE(previous.find(R"("right" : {"by": "right"})"), std::string::npos) << previous;
    // A step claimed by the turn that made it ready never was in the ready index.
    EXPECT_EQ(scene.number("SELECT count(*) FROM tasker_workflow_steps WHERE ready_key IS NOT NULL"), 0);
}

TEST_F(Claim, OfAChildWithoutCreditWaitsInTheReadyIndexAndIsNamedAsWaiting) {
    const auto task = scene.submit(scene.draw("chain", "a @A\nb @B <- a\n"));
    const auto claims = scene.claim(1);
    ports::TurnInput input;
    input.messages = {Scene::report(claims.at(0))};
    const auto result = scene.turn(input);
    EXPECT_TRUE(result.claims.empty());
    const auto waits_at = core::ReadyPosition::of(0, scene.step_id(task, "b"));
    EXPECT_EQ(result.keys_waiting, (std::vector<ports::WaitingKey>{{scene.key_of("B"), waits_at}}));
    EXPECT_EQ(scene.one("SELECT ready_key FROM tasker_workflow_steps WHERE workflow_step_id = " +
                        std::to_string(scene.step_id(task, "b"))),
              std::to_string(scene.key_of("B")));
    EXPECT_EQ(scene.claim(1).size(), 1U);
}

TEST_F(Claim, OnlyLooksAtKeysThatTheProfileServesAndTheMarkedOnes) {
    scene.submit(scene.draw("pair", "a @A\nb @B\n"));
    auto input = scene.claiming({{"s1", 5}});
    input.keys = {{1, scene.key_of("B"), false}};
    EXPECT_TRUE(scene.turn(input).claims.empty()) << "nothing is marked as waiting";
    input.keys = {{1, scene.key_of("B"), true}};
    const auto claims = scene.turn(input).claims;
    ASSERT_EQ(claims.size(), 1U);
    EXPECT_EQ(claims[0].name, "b");
}

TEST_F(Claim, LooksFromWhereTheLastOneEnded) {
    scene.submit_many(scene.draw("single", "only"), 4);
    auto input = scene.claiming({{"s1", 2}});
    const auto first = scene.turn(input).claims;
    ASSERT_EQ(first.size(), 2U);
    ASSERT_TRUE(first[1].waited_at);
    EXPECT_EQ(*first[1].waited_at, core::ReadyPosition::of(0, first[1].step_id));
    input.keys[0].look_from = core::ReadyPosition::of(0, first[1].step_id + 2);
    const auto behind = scene.turn(input).claims;
    ASSERT_EQ(behind.size(), 1U) << "the third step stands before that place";
    EXPECT_EQ(behind[0].step_id, first[1].step_id + 2);
    input.keys[0].look_from = core::ReadyPosition::end();
    EXPECT_TRUE(scene.turn(input).claims.empty());
    input.keys[0].look_from = {};
    EXPECT_EQ(scene.turn(input).claims.size(), 1U);
}

// What need not be read is not, and neither the order nor the word that more wait suffers by that.
TEST_F(Claim, ChildrenThatStandBeforeAllThatWaitsComeFirst) {
    const auto chain = scene.draw("chain", "a @A\nb @A <- a\n");
    scene.submit_many(chain, 6);
    const auto first = scene.turn(scene.claiming({{"s1", 3}})).claims;
    ASSERT_EQ(first.size(), 3U);
    const auto claimed = [&](int slots, core::ReadyPosition from, const std::vector<std::size_t>& reports) {
        auto turn = scene.claiming({{"s1", slots}});
        for (auto& key : turn.keys) key = {1, key.handler_key, true, from, true};
        for (const auto report : reports) turn.messages.push_back(Scene::report(first[report]));
        const auto result = scene.turn(turn);
        std::string names;
        for (const auto& claim : result.claims) names += claim.name;
        return names + (result.keys_waiting.empty() ? "" : "+");
    };
    const auto behind = first.back().waited_at->after();
    EXPECT_EQ(claimed(1, behind, {0}), "b+") << "the slot is taken, and more wait";
    const auto urgent = scene.submit(chain, R"({"priority": 5})");
    const auto before_all = core::ReadyPosition::of(5, scene.step_id(urgent, "a"));
    EXPECT_EQ(claimed(1, before_all, {1}), "a+") << "of a higher priority";
    EXPECT_EQ(scene.state_of(scene.step_id(urgent, "a")), "in_progress");
    EXPECT_EQ(claimed(4, behind, {2}), "baaa+") << "the last one waits since the turn before";
    EXPECT_EQ(claimed(4, {}, {}), "b");
}

TEST_F(Claim, ASubmissionOfAHigherPriorityStandsBeforeWhatWasTaken) {
    EXPECT_LT(core::ReadyPosition::of(5, 900), core::ReadyPosition::of(0, 1));
    EXPECT_LT(core::ReadyPosition::of(0, 1), core::ReadyPosition::of(0, 2));
    EXPECT_LT(core::ReadyPosition{}, core::ReadyPosition::of(32767, 0));
    EXPECT_GT(core::ReadyPosition::end(), core::ReadyPosition::of(-32768, 1));
}

TEST_F(Claim, FillsEachProfileFromItsOwnKeys) {
    scene.submit_many(scene.draw("pair", "a @A\nb @B\n"), 3);
    ports::TurnInput input;
    input.keys = {{1, scene.key_of("A"), true}, {2, scene.key_of("A"), true}, {2, scene.key_of("B"), true}};
    input.sessions = {"sa", "sb"};
    input.slots = {{1, 0}, {1, 0}, {2, 1}, {2, 1}, {2, 1}, {2, 1}};
    std::map<int, std::multiset<std::string>> got;
    for (const auto& claim : scene.turn(input).claims) got[claim.session].insert(claim.name);
    EXPECT_EQ(got[0], (std::multiset<std::string>{"a", "a"}));
    EXPECT_EQ(got[1], (std::multiset<std::string>{"a", "b", "b", "b"}));
}

TEST_F(Claim, NamesAKeyAsWaitingExactlyWhileSlotsMayBeMissing) {
    scene.submit_many(scene.draw("single", "only"), 5);
    EXPECT_EQ(scene.turn(scene.claiming({{"s1", 3}})).keys_waiting,
              std::vector<ports::WaitingKey>{{scene.key_of("Work")}});
    EXPECT_TRUE(scene.turn(scene.claiming({{"s1", 3}})).keys_waiting.empty());
}

TEST_F(Claim, SkipsAStepThatAnotherConnectionHoldsAndDoesNotWait) {
    const auto tasks = scene.submit_many(scene.draw("single", "only"), 2);
    postgres::Connection other(scene.url());
    auto holding = other.begin();
    holding.query("SELECT 1 FROM tasker_workflow_steps WHERE workflow_step_id = $1 FOR UPDATE",
                  scene.step_id(tasks[0], "only"));
    EXPECT_EQ(tasks_of(scene.claim(5)), std::vector{tasks[1]});
    holding.roll_back();
    EXPECT_EQ(tasks_of(scene.claim(5)), std::vector{tasks[0]});
}

TEST_F(Claim, SkipsTheFirstStepOfATaskThatAnotherConnectionHolds) {
    const auto tasks = scene.submit_many(scene.draw("single", "only"), 2);
    postgres::Connection other(scene.url());
    auto holding = other.begin();
    holding.query("SELECT 1 FROM tasker_tasks WHERE task_id = $1 FOR UPDATE", tasks[0]);
    const auto result = scene.turn(scene.claiming({{"s1", 5}}));
    EXPECT_EQ(tasks_of(result.claims), std::vector{tasks[1]});
    holding.roll_back();
    EXPECT_EQ(tasks_of(scene.claim(5)), std::vector{tasks[0]});
}

TEST_F(Claim, LeavesATaskAloneBeforeItsTime) {
    const auto task = scene.submit(scene.draw("single", "only"), R"({"not_before": "2999-01-01T00:00:00Z"})");
    EXPECT_TRUE(scene.claim(5).empty());
    EXPECT_GT(scene.store().next_due_in_ms().value_or(0), 1'000'000'000);
    auto due = scene.claiming({{"s1", 5}});
    due.due = true;
    EXPECT_TRUE(scene.turn(due).claims.empty());
    scene.execute("UPDATE tasker_workflow_steps SET next_attempt_at = clock_timestamp() - interval '1 s'");
    EXPECT_EQ(scene.store().next_due_in_ms(), 0);
    EXPECT_EQ(tasks_of(scene.turn(due).claims), std::vector{task});
    EXPECT_FALSE(scene.store().next_due_in_ms().has_value());
}

TEST_F(Claim, OfARetryHappensWhenItIsDueAndNotBefore) {
    scene.submit(scene.draw("single", "only"));
    const auto first = scene.claim(1).at(0);
    auto failed = Scene::report(first, "failed");
    failed.backoff_seconds = 3600;
    EXPECT_EQ(scene.apply({failed}), "applied");
    EXPECT_EQ(scene.state_of(first.step_id), "waiting_for_retry");
    auto due = scene.claiming({{"s1", 1}});
    due.due = true;
    EXPECT_TRUE(scene.turn(due).claims.empty());
    const auto wait = scene.store().next_due_in_ms();
    ASSERT_TRUE(wait.has_value());
    EXPECT_NEAR(static_cast<double>(*wait), 3'600'000.0, 60'000.0);
    scene.execute("UPDATE tasker_workflow_steps SET next_attempt_at = clock_timestamp()");
    const auto second = scene.turn(due).claims;
    ASSERT_EQ(second.size(), 1U);
    EXPECT_EQ(second[0].attempt, 2);
    EXPECT_NE(second[0].batch_id, first.batch_id) << "each attempt is in a new batch";
    EXPECT_EQ(scene.state_of(first.step_id), "in_progress");
}

TEST_F(Claim, OfPlainModeLeavesTheSessionOfTheBatchNull) {
    scene.submit(scene.draw("single", "only"));
    ASSERT_EQ(scene.claim(1, "").size(), 1U);
    EXPECT_EQ(scene.number("SELECT count(*) FROM tasker_step_execution_batches WHERE session IS NULL"), 1);
    EXPECT_EQ(scene.store().load_open_batches().at(0).session, "");
}

}  // namespace
}  // namespace tasker::store
