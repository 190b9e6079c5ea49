// A lane's memory of its open batches, without a listener.
#include "orchestrator/engine/turns/lane_memory.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "tests/unit/engine/fakes.hpp"
#include "tests/unit/engine/messages.hpp"

namespace tasker::engine {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class LaneMemoryTest : public ::testing::Test {
  protected:
    LaneMemoryTest() {
        options.orchestrator_id = "o-1";
        options.epoch = 3;
        options.timers.reconcile_grace = seconds(2);
        keys.replace({{1, "shop", "Pay"}});
        deadlines.restart_full_scan(kNow);
    }

    /// One step, `out` unless it has this final status.
    static ports::StoredBatch stored(const std::string& uuid, const std::string& final_status = "") {
        ports::StoredBatch batch;
        batch.batch_id = 1;
        batch.batch_uuid = uuid;
        batch.session = "s1";
        batch.handler_key = 1;
        ports::StoredBatchStep step;
        step.batch_step_id = 10;
        step.step_id = 1;
        step.task_id = 7;
        step.attempt = 1;
        step.step_name = "pay";
        step.named_task_id = step.template_revision = 1;
        step.timeout_ms = 30'000;
        step.retry_limit = 3;
        step.context_json = "{}";
        step.final_status = final_status;
        step.reported = final_status;
        batch.steps.push_back(step);
        return batch;
    }
    TurnDraft draft() {
        DraftContext context;
        context.find_batch = [this](const std::string& uuid) { return memory.find(store, uuid); };
        context.batches_of = [this](const std::string& session) { return memory.open().batches_of(session); };
        context.random = [] { return 0.5; };
        context.now = kNow;
        return TurnDraft(std::move(context));
    }

    static constexpr milliseconds kNow{1'000'000};
    ListenerOptions options;
    FakeDatabase database;
    FakeStore store{database};
    HandlerKeys keys;
    Deadlines deadlines{options};
    OwnWork own_work;
    LaneMemory memory{options, deadlines, own_work};
};

TEST_F(LaneMemoryTest, ReadsBackWhatIsOutAndForgetsTheRest) {
    memory.open().put(batch_of({9}, "s9", "of-before"));
    own_work.add_time_out({"of-before", 9});
    database.batches["out"] = stored("out");
    auto ended = stored("ended", "completed");
    ended.state = core::BatchState::completed;  // its completion has not come
    database.batches["ended"] = ended;
    const auto adopted = memory.read_back(store, keys, kNow);
    ASSERT_EQ(adopted.size(), 1U) << "nothing of the other is out";
    EXPECT_EQ(adopted[0].batch.batch_uuid, "out");
    EXPECT_EQ(adopted[0].batch.handler_class, "Pay");
    EXPECT_FALSE(adopted[0].accepted);
    EXPECT_EQ(memory.open().size(), 2U);
    EXPECT_TRUE(own_work.is_empty());
    EXPECT_DOUBLE_EQ(memory.open().find("out")->steps[0].backoff.base_seconds, 0.2) << "the template's";
    EXPECT_EQ(deadlines.next(), kNow + options.timers.reconcile_grace) << "for the completion";
}

TEST_F(LaneMemoryTest, ALateMessagesBatchIsKnownForOneTurnOnly) {
    memory.read_back(store, keys, kNow);
    auto over = stored("over", "completed");
    over.state = core::BatchState::completed;
    over.reconciliation = core::ReconciliationStatus::consistent;
    database.batches["over"] = over;
    memory.begin_turn();
    const auto* first = memory.find(store, "over");
    ASSERT_NE(first, nullptr);
    EXPECT_EQ(memory.find(store, "over"), first) << "looked up once";
    EXPECT_EQ(memory.open().size(), 0U);
    EXPECT_EQ(memory.find(store, "nobody's"), nullptr);
    database.batches.clear();
    memory.begin_turn();
    EXPECT_EQ(memory.find(store, "over"), nullptr);
}

TEST_F(LaneMemoryTest, TakesOverWhatATurnChangedAndNamesWhatHasEnded) {
    database.batches["b1"] = stored("b1");
    memory.read_back(store, keys, kNow);
    memory.begin_turn();
    auto turn = draft();
    turn.receive(ports::StepRunning{"b1", 1, 1, 0});
    turn.close();
    EXPECT_FALSE(memory.open().find("b1")->steps[0].started) << "not committed yet";
    EXPECT_TRUE(memory.take_over(turn).empty());
    EXPECT_TRUE(memory.open().find("b1")->steps[0].started);
    EXPECT_EQ(deadlines.time_outs(), 1U);
    auto last = draft();
    last.time_out("b1", 1);
    last.close();
    EXPECT_EQ(memory.take_over(last), std::vector<std::string>{"b1"});
}

TEST_F(LaneMemoryTest, RemembersClaimsAndKeepsWhatCannotBeSent) {
    options.limits.batch_bytes = 10'000;
    memory.read_back(store, keys, kNow);
    auto small = FakeDatabase::claim(1, 1);
    small.batch_id = 1;
    small.batch_uuid = "small";
    auto huge = FakeDatabase::claim(2, 1);
    huge.batch_id = 2;
    huge.batch_uuid = "huge";
    huge.context_json = R"({"x":")" + std::string(20'000, 'x') + "\"}";
    const auto batches = memory.add_claims(store, {small, huge}, {"s1"}, keys, kNow);
    ASSERT_EQ(batches.size(), 1U);
    EXPECT_EQ(batches[0].batch_uuid, "small");
    EXPECT_EQ(memory.open().size(), 2U) << "the rows of both are committed";
    EXPECT_EQ(memory.open().find("small")->claimed_at, kNow);
    EXPECT_FALSE(own_work.is_empty());
}

TEST_F(LaneMemoryTest, KnowsTheSessionsOfWhatIsOut) {
    memory.open().put(batch_of({1}, "s1", "b1"));
    memory.open().put(batch_of({2}, "s1", "b2"));
    memory.open().put(batch_of({3}, "", "plain"));
    auto ended = batch_of({4}, "s2", "b4");
    ended.state = core::BatchState::failed;
    memory.open().put(ended);
    EXPECT_EQ(memory.open().sessions(), std::set<std::string>{"s1"});
    EXPECT_EQ(memory.open().batches_of("s1").size(), 2U);
    EXPECT_TRUE(memory.open().batches_of("s2").empty());
    EXPECT_TRUE(memory.open().batches_of("").empty()) << "a plain batch has no session to lose";
}

}  // namespace
}  // namespace tasker::engine
