// Dead letters: replay, resolve, discard, and what a person sees of them.
#include <gtest/gtest.h>

#include "tests/store/operators/operator_scene.hpp"

namespace tasker::api {
namespace {

class DeadLetters : public ::testing::Test {
  protected:
    DeadLetters() {
        task = scene.submit(scene.draw("pair", "a limit=1\nb <- a"));
        letter = scene.exhaust("a");
        step = scene.step_id(task, "a");
    }
    void TearDown() override { EXPECT_EQ(scene.found_by_checks(), ""); }

    std::string told(const std::string& function, const std::string& more = "") {
        return scene.told(function + "(" + std::to_string(letter) + more + ")");
    }
    std::string resolution() {
        return scene.one(
            "SELECT concat_ws('|', resolution, resolved_by, resolution_reason) FROM "
            "tasker_dead_letters WHERE dead_letter_id = " +
            std::to_string(letter));
    }

    OperatorScene scene;
    std::int64_t task = 0;
    std::int64_t letter = 0;
    std::int64_t step = 0;
};

TEST_F(DeadLetters, ReplayRetriesTheStep) {
    const auto row =
        scene.call("tasker_replay_dead_letter(" + std::to_string(letter) + ", 'not paid', 'ann')");
    EXPECT_EQ(told_by(row), "done");
    EXPECT_EQ(row["dead_letter_id"], letter);
    EXPECT_EQ(row["workflow_step_id"], step);
    EXPECT_EQ(resolution(), "replayed|ann|not paid");
    scene.answer(scene.take_step("a"), "completed");
    scene.answer(scene.take_step("b"), "completed");
    EXPECT_EQ(scene.task_state(task), "complete");
}

TEST_F(DeadLetters, ReplayAgainDoesNotRetryAgain) {
    EXPECT_EQ(told("tasker_replay_dead_letter"), "done");
    EXPECT_EQ(told("tasker_replay_dead_letter"), "unchanged:already_replayed");
    const auto second = scene.exhaust("a");
    EXPECT_NE(second, letter);
    EXPECT_EQ(told("tasker_replay_dead_letter"), "unchanged:already_replayed");
    EXPECT_EQ(scene.state_of(step), "error") << "the old dead letter says nothing about the new attempt";
}

TEST_F(DeadLetters, ReplayIsFencedByTheAttempt) {
    // As if somebody had retried the step without closing the dead letter.
    scene.execute("UPDATE tasker_dead_letters SET attempt = 0");
    EXPECT_EQ(told("tasker_replay_dead_letter"), "refused:attempt_moved_on");
    EXPECT_EQ(told("tasker_resolve_dead_letter"), "refused:attempt_moved_on");
    scene.execute("UPDATE tasker_dead_letters SET attempt = 1");
}

TEST_F(DeadLetters, ResolveResolvesTheStep) {
    EXPECT_EQ(told("tasker_resolve_dead_letter", R"(, '{"by": "hand"}', NULL, 'ann')"), "done");
    EXPECT_EQ(resolution(), "resolved|ann");
    EXPECT_EQ(scene.take_step("b").previous_results_json, R"({ "a" : {"by": "hand"} })");
    EXPECT_EQ(told("tasker_resolve_dead_letter"), "unchanged:already_resolved");
    EXPECT_EQ(told("tasker_replay_dead_letter"), "refused:dead_letter_closed");
    EXPECT_EQ(told("tasker_discard_dead_letter"), "refused:dead_letter_closed");
}

TEST_F(DeadLetters, DiscardLeavesTheStepInError) {
    EXPECT_EQ(told("tasker_discard_dead_letter", ", 'test order', 'ann'"), "done");
    EXPECT_EQ(resolution(), "discarded|ann|test order");
    EXPECT_EQ(scene.state_of(step), "error");
    EXPECT_EQ(told("tasker_discard_dead_letter"), "unchanged:already_discarded");
    EXPECT_EQ(told("tasker_replay_dead_letter"), "refused:dead_letter_closed");
    EXPECT_EQ(scene.told("tasker_retry_step(" + std::to_string(step) + ")"), "done")
        << "the step itself may still be retried";
    EXPECT_EQ(resolution(), "discarded|ann|test order");
}

TEST_F(DeadLetters, StepRetryAndTaskCancelCloseThem) {
    EXPECT_EQ(scene.told("tasker_retry_step(" + std::to_string(step) + ", NULL, 'again', 'ann')"), "done");
    EXPECT_EQ(resolution(), "replayed|ann|again");
    const auto first = letter;
    letter = scene.exhaust("a");
    EXPECT_EQ(scene.told("tasker_cancel_task(" + std::to_string(task) + ")"), "done");
    EXPECT_EQ(resolution(), "cancelled");
    letter = first;
    EXPECT_EQ(resolution(), "replayed|ann|again");
}

TEST_F(DeadLetters, AreListedWithAllThatOneDecidesBy) {
    const auto list = nlohmann::json::parse(dead_letter_list_json(scene.sql(), {}));
    ASSERT_EQ(list.size(), 1U);
    EXPECT_EQ(list[0]["dead_letter_id"], letter);
    EXPECT_EQ(list[0]["reason"], "retries_exhausted");
    EXPECT_EQ(list[0]["name"], "a");
    EXPECT_EQ(list[0]["namespace"], "shop");
    EXPECT_EQ(list[0]["task_name"], "pair");
    EXPECT_EQ(list[0]["last_error"]["message"], "no luck");
    EXPECT_EQ(list[0]["is_current"], true);
    EXPECT_EQ(list[0]["has_late_result"], false);
    DeadLetterFilter filter;
    filter.reason = "session_lost";
    EXPECT_EQ(dead_letter_list_json(scene.sql(), filter), "[]");
    filter.reason = "retries_exhausted";
    filter.task_id = task + 1;
    EXPECT_EQ(dead_letter_list_json(scene.sql(), filter), "[]");
    told("tasker_discard_dead_letter");
    EXPECT_EQ(dead_letter_list_json(scene.sql(), {}), "[]");
    filter = {};
    filter.all = true;
    EXPECT_EQ(nlohmann::json::parse(dead_letter_list_json(scene.sql(), filter)).size(), 1U);
    EXPECT_FALSE(dead_letter_json(scene.sql(), 4711).has_value());
    const auto shown = nlohmann::json::parse(dead_letter_json(scene.sql(), letter).value());
    EXPECT_EQ(shown["transitions"].size(), 3U);
}

TEST_F(DeadLetters, KnowNoOther) {
    for (const char* function :
         {"tasker_replay_dead_letter", "tasker_resolve_dead_letter", "tasker_discard_dead_letter"}) {
        EXPECT_EQ(scene.told(std::string(function) + "(4711)"), "not_found:unknown_dead_letter");
    }
}

}  // namespace
}  // namespace tasker::api
