// How large a request may be: known before it is built, for one step and for a whole turn.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "orchestrator/ports/database_error.hpp"
#include "protocol/cpp/json_text.hpp"
#include "tests/store/turn/scene.hpp"

namespace tasker::store {
namespace {

class Size : public ::testing::Test {
  protected:
    void TearDown() override { EXPECT_EQ(scene.violations(), std::vector<std::string>{}); }

    /// A success with this output, measured as the listener does.
    static ports::TurnMessage with_output(const ports::ClaimedStep& claim, const std::string& output) {
        auto report = Scene::report(claim);
        protocol::JsonMeasure measure;
        EXPECT_FALSE(protocol::unstorable_reason(output, measure));
        report.output_json = output;
        report.output_bytes = measure.text_bytes;
        return report;
    }
    static std::string steps_of(const ports::TurnResult& result) {
        std::string text;
        for (const auto& claim : result.claims) text += (text.empty() ? "" : " ") + claim.name;
        return text;
    }
    /// Steps whose input_bytes differ from what their request holds.
    std::string wrong_sizes() {
        return scene.list(
            "SELECT s.name || ': ' || s.input_bytes || ', is ' || x.bytes FROM tasker_workflow_steps s"
            " JOIN tasker_tasks t ON t.task_id = s.task_id CROSS JOIN LATERAL ("
            "   SELECT octet_length(t.context::text) + coalesce(sum(octet_length(p.results::text)), 0) AS bytes"
            "   FROM tasker_workflow_step_edges e JOIN tasker_workflow_steps p"
            "   ON p.workflow_step_id = e.from_step_id AND p.state IN ('complete', 'resolved_manually')"
            "   WHERE e.to_step_id = s.workflow_step_id) x WHERE s.input_bytes <> x.bytes");
    }

    Scene scene;
};

TEST_F(Size, OfWhatAStepIsGivenIsCountedWhereItIsWritten) {
    scene.submit(scene.draw("fan", "a limit=1\nb limit=1\nc <- a b\nd <- c"),
                 R"({"context": {"n": [1, 2, "é"]}})");
    EXPECT_EQ(wrong_sizes(), "");
    auto claims = scene.claim(2);
    ports::TurnInput input;
    input.messages = {with_output(claims[0], R"({"x" : [1e5,"\u00e9\/", null], "y":-2.50})")};
    scene.turn(input);
    EXPECT_EQ(wrong_sizes(), "");
    scene.apply({Scene::report(claims[1], "failed")});
    EXPECT_EQ(scene.one("SELECT outcome FROM tasker_resolve_step(" + std::to_string(claims[1].step_id) +
                        R"(, '{"by": "hand"}'))"),
              "done");
    EXPECT_EQ(wrong_sizes(), "");
    const auto c = scene.claim(1).at(0);
    auto next = scene.claiming({{"s1", 1}});
    next.messages = {with_output(c, R"("done")")};
    EXPECT_EQ(steps_of(scene.turn(next)), "d") << "claimed by the very turn that made it ready";
    EXPECT_EQ(wrong_sizes(), "");
}

TEST_F(Size, ARequestBeyondTheLimitIsClaimedAndNotBuilt) {
    const int single = scene.draw("single", "only");
    scene.submit(single, R"({"context": {"t": ")" + std::string(1000, 'x') + R"("}})");
    scene.submit(single);
    auto input = scene.claiming({{"s1", 5}});
    input.request_bytes_max = 1000;
    const auto claims = scene.turn(input).claims;
    ASSERT_EQ(claims.size(), 2U);
    EXPECT_EQ(claims[0].unsendable, "request_too_large");
    EXPECT_EQ(claims[0].context_json, "");
    EXPECT_EQ(claims[1].unsendable, "");
    EXPECT_EQ(claims[1].context_json, "{}");
    ports::TurnInput back;
    back.hand_backs = {Scene::hand_back(claims[0], "request_too_large")};
    scene.turn(back);
    EXPECT_EQ(scene.state_of(claims[0].step_id), "error");
}

// Ten children of a large parent, and what waits beside them.
TEST_F(Size, ATurnClaimsNoMoreThanItsBytesAndTheNextOneTheRest) {
    std::string drawing = "parent\n";
    for (int i = 0; i < 10; ++i) drawing += "child" + std::to_string(i) + " <- parent\n";
    scene.submit(scene.draw("wide", drawing), R"({"priority": 5})");
    const auto parent = scene.claim(1).at(0);
    scene.submit_many(scene.draw("single", "waiting"), 3);
    const auto output = "\"" + std::string(996, 'x') + "\"";
    auto input = scene.claiming({{"s1", 50}});
    input.turn_bytes_max = 3500;
    input.messages = {with_output(parent, output)};
    auto result = scene.turn(input);
    EXPECT_EQ(steps_of(result), "child0 child1 child2");
    EXPECT_TRUE(result.is_full);
    EXPECT_EQ(scene.violations(), std::vector<std::string>{});
    std::string rest;
    for (int turns = 0; result.is_full && turns < 10; ++turns) {
        auto next = scene.claiming({{"s1", 50}});
        next.turn_bytes_max = 3500;
        result = scene.turn(next);
        EXPECT_FALSE(result.is_full && result.keys_waiting.empty()) << "nobody would look again";
        rest += (rest.empty() ? "" : " | ") + steps_of(result);
    }
    EXPECT_EQ(rest, "child3 child4 child5 | child6 child7 child8 | child9 waiting waiting waiting");
    EXPECT_EQ(scene.number("SELECT sum(unstarted_attempts) FROM tasker_workflow_steps"), 0);
}

TEST_F(Size, OneRequestAlwaysFitsAndOtherProfilesWaitForTheNextTurn) {
    const int a = scene.draw("a", "big @A");
    const int b = scene.draw("b", "small @B");
    scene.submit_many(a, 2, R"({"context": {"t": ")" + std::string(1000, 'x') + R"("}})");
    scene.submit_many(b, 2);
    const auto input = [&] {
        ports::TurnInput two;
        two.keys = {{1, scene.key_of("A"), true}, {2, scene.key_of("B"), true}};
        two.sessions = {"s1", "s2"};
        two.slots = {{1, 0, 10}, {2, 1, 10}};
        two.turn_bytes_max = 10;
        return two;
    };
    auto result = scene.turn(input());
    EXPECT_EQ(steps_of(result), "big");
    EXPECT_TRUE(result.is_full);
    EXPECT_EQ(result.keys_waiting.size(), 2U);
    EXPECT_EQ(steps_of(scene.turn(input())), "big small") << "the second profile has one that always fits";
    EXPECT_EQ(steps_of(scene.turn(input())), "small");
}

TEST_F(Size, ATimeOutOfAnyLengthIsClaimed) {
    scene.submit(scene.draw("single", "only"));
    scene.execute("UPDATE tasker_workflow_steps SET timeout_ms = 9223372036854775807");
    const auto claim = scene.claim(1).at(0);
    EXPECT_EQ(claim.timeout_ms, 2147483647000) << "68 years";
    EXPECT_EQ(scene.store().load_open_batches().at(0).steps.at(0).timeout_ms, claim.timeout_ms);
    EXPECT_EQ(scene.number("SELECT timeout_seconds FROM tasker_step_execution_batches"), 2147483647);
}

TEST_F(Size, AStepThatItsWorkerDidNotTakeWithNeighboursIsSentAlone) {
    scene.submit_many(scene.draw("single", "only limit=1"), 4);
    const auto first = scene.claim(4);
    ASSERT_EQ(first.at(3).batch_id, first.at(0).batch_id);
    ports::TurnInput back;
    back.hand_backs = {Scene::hand_back(first[0], "batch_too_large"), Scene::hand_back(first[1], "draining")};
    for (const auto* claim : {&first[2], &first[3]}) {
        ports::Orphan orphan{claim->batch_id, claim->step_id, claim->task_id, claim->attempt, "not_accepted"};
        orphan.try_alone = claim == &first[2];
        back.orphans.push_back(orphan);
    }
    scene.turn(back);
    EXPECT_EQ(scene.state_of(first[2].step_id), "waiting_for_retry") << "one attempt beyond its limit";
    EXPECT_EQ(scene.state_of(first[3].step_id), "error");
    scene.submit(scene.draw("more", "only"));
    const auto again = scene.claim(4);
    ASSERT_EQ(again.size(), 4U);
    std::map<std::int64_t, std::int64_t> batch_of;
    for (const auto& claim : again) batch_of[claim.step_id] = claim.batch_id;
    EXPECT_NE(batch_of[first[0].step_id], batch_of[first[1].step_id]);
    EXPECT_NE(batch_of[first[0].step_id], batch_of[first[2].step_id]);
    ports::TurnInput lost;
    for (const auto& claim : again) {
        if (claim.step_id == first[2].step_id)
            lost.orphans = {{claim.batch_id, claim.step_id, claim.task_id, claim.attempt, "not_accepted"}};
    }
    scene.turn(lost);
    EXPECT_EQ(scene.state_of(first[2].step_id), "error") << "alone it was not accepted either";
}

// Rows that no function of ours has written: nothing about them was counted.
TEST_F(Size, OfAnOldContextThatTheServerCannotWriteIsTheReasonOfItsStepOnly) {
    scene.submit_many(scene.draw("single", "only"), 2);
    const auto culprit = scene.number("SELECT min(task_id) FROM tasker_tasks");
    scene.execute(
        "UPDATE tasker_tasks SET context = (SELECT jsonb_build_object('n', jsonb_agg(1e131071::numeric)) "
        "FROM generate_series(1, 9000)) WHERE task_id = " +
        std::to_string(culprit));
    try {
        scene.store().run_turn(scene.last_turn() + 1, scene.claiming({{"s1", 1}}));
        FAIL() << "more than 1 GB of text";
    } catch (const ports::DatabaseError& error) {
        EXPECT_EQ(error.fault(), ports::DatabaseFault::data) << error.what();
    }
    auto unbuilt = scene.claiming({{"s1", 2}});
    unbuilt.request_bytes_max = -1;
    const auto claims = scene.turn(unbuilt).claims;
    ASSERT_EQ(claims.size(), 2U);
    const auto bad = scene.store().load_request(claims[0].batch_uuid, claims[0].step_id);
    EXPECT_EQ(bad.unsendable, "request_too_large");
    EXPECT_NE(bad.cause, "");
    const auto good = scene.store().load_request(claims[1].batch_uuid, claims[1].step_id);
    EXPECT_EQ(good.unsendable, "");
    EXPECT_EQ(good.context_json, "{}");
    // A lane that starts now reads the batch back.
    const auto batches = scene.store().load_open_batches();
    ASSERT_EQ(batches.size(), 1U);
    EXPECT_EQ(batches[0].steps.at(0).unsendable, "request_too_large");
    EXPECT_EQ(batches[0].steps.at(1).context_json, "{}");
    ports::TurnInput back;
    back.hand_backs = {Scene::hand_back(claims[0], "request_too_large")};
    back.hand_backs[0].cause = bad.cause;
    scene.turn(back);
    EXPECT_NE(scene.one("SELECT error->>'message' FROM tasker_workflow_steps WHERE state = 'error'")
                  .find(bad.cause),
              std::string::npos);
}

}  // namespace
}  // namespace tasker::store
