// What heartbeats list, against what was sent: absent, stale and held steps, and the credit of what still
// runs.
#include "tests/unit/transport/fake_worker.hpp"

namespace tasker::engine {
namespace {

class IoInventoryTest : public IoTest {
  protected:
    IoInventoryTest() { options_.timers.heartbeat = milliseconds{50}; }

    std::int64_t in_flight() {
        return registry_->with([](auto& registry) { return registry.credit_in_flight(); });
    }
    /// A ready worker that has accepted one batch of `steps`.
    FakeWorker& accepting_worker(std::vector<std::int64_t> steps) {
        start();
        loop_->send(ports::AdoptBatches{0, {}});
        FakeWorker& a = ready_worker(kA);
        loop_->send(ports::PublishBatches{{take_batch("b1"_id, kA, std::move(steps))}});
        a.next<protocol::StepBatchRequest>();
        a.accept("b1"_id);
        EXPECT_EQ(next_event<ports::Accepted>()->batch_uuid, "b1"_id);
        return a;
    }
    /// A heartbeat that shows the last one of the orchestrator, as a worker's does.
    void beat(FakeWorker& a, const std::vector<protocol::StepRef>& held,
              const std::vector<protocol::RunningStep>& running = {}, std::int64_t free = 0) {
        protocol::WorkerHeartbeat beat;
        beat.session = a.session;
        beat.held = held;
        beat.running = running;
        beat.free = free;
        beat.seen_n = a.next<protocol::Heartbeat>()->n;
        a.send("workers", beat);
    }
    /// Beats until `condition` holds.
    bool beats_until(FakeWorker& a, const std::vector<protocol::StepRef>& held,
                     const std::function<bool()>& condition, std::int64_t free = 0) {
        for (int i = 0; i < 400; ++i) {
            if (condition()) return true;
            beat(a, held, {}, free);
        }
        return false;
    }
};

TEST_F(IoInventoryTest, WhatNewHeartbeatsDoNotListIsAbsent) {
    FakeWorker& a = accepting_worker({1, 2});
    ASSERT_TRUE(beats_until(a, {{"b1"_id, 1, 1}}, [&] { return waiting_events<ports::StepsAbsent>() > 0; }));
    EXPECT_EQ(next_event<ports::StepsAbsent>()->step_ids, std::vector<std::int64_t>{2});
}

TEST_F(IoInventoryTest, AnOldInventoryProvesNothing) {
    FakeWorker& a = accepting_worker({1});
    protocol::WorkerHeartbeat old;
    old.session = kA;
    old.seen_n = 1;  // of an earlier epoch, or from before the acceptance
    const auto before = counted(loop_->counters().heartbeats_received);
    for (int i = 0; i < 5; ++i) a.send("workers", old);
    ASSERT_TRUE(becomes([&] { return counted(loop_->counters().heartbeats_received) >= before + 5; }));
    EXPECT_EQ(waiting_events<ports::StepsAbsent>(), 0);
}

TEST_F(IoInventoryTest, WhatIsReportedIsNotAbsent) {
    FakeWorker& a = accepting_worker({1, 2});
    a.send("results", a.result("b1"_id, 2, 1));
    ASSERT_TRUE(becomes([&] { return in_flight() == 1; }));
    const auto before = counted(loop_->counters().heartbeats_received);
    ASSERT_TRUE(beats_until(a, {{"b1"_id, 1, 1}},
                            [&] { return counted(loop_->counters().heartbeats_received) >= before + 5; }));
    EXPECT_EQ(waiting_events<ports::StepsAbsent>(), 0);
}

TEST_F(IoInventoryTest, AStepThatIsOverIsCancelledWithEachHeartbeatThatListsIt) {
    FakeWorker& a = accepting_worker({1});
    beat(a, {{"b1"_id, 1, 1}, {"b9"_id, 7, 2}});
    auto cancel = a.next<protocol::Cancel>();
    EXPECT_EQ(cancel->steps, (std::vector<protocol::StepRef>{{"b9"_id, 7, 2}}));
    beat(a, {}, {{"b9"_id, 7, 2, 500}});
    cancel = a.next<protocol::Cancel>();
    EXPECT_EQ(cancel->steps, (std::vector<protocol::StepRef>{{"b9"_id, 7, 2}}));
    EXPECT_EQ(cancel->reason, "stale");
}

TEST_F(IoInventoryTest, BeforeTheOpenBatchesAreKnownNothingIsStale) {
    start();
    FakeWorker& a = ready_worker(kA);
    beat(a, {{"b9"_id, 7, 2}});
    const auto before = counted(loop_->counters().heartbeats_received);
    ASSERT_TRUE(beats_until(a, {{"b9"_id, 7, 2}},
                            [&] { return counted(loop_->counters().heartbeats_received) >= before + 3; }));
    EXPECT_EQ(a.waiting<protocol::Cancel>(), 0);
}

TEST_F(IoInventoryTest, WhatALaneHasNotReadYetIsNotStale) {
    const std::string of_lane_0 = "0191b5a0-7c1e-7001-8000-00000000002a";
    const std::string of_lane_1 = "0191b5a0-7c1e-7001-8100-00000000002b";
    options_.lanes = 2;
    start();
    loop_->send(ports::AdoptBatches{0, {}});
    FakeWorker& a = ready_worker(kA);
    beat(a, {{of_lane_0, 1, 1}, {of_lane_1, 2, 1}});
    EXPECT_EQ(a.next<protocol::Cancel>()->steps, (std::vector<protocol::StepRef>{{of_lane_0, 1, 1}}));
    loop_->send(ports::AdoptBatches{1, {}});
    ASSERT_TRUE(beats_until(a, {{of_lane_1, 2, 1}}, [&] { return a.waiting<protocol::Cancel>() > 0; }));
    EXPECT_EQ(a.next<protocol::Cancel>()->steps, (std::vector<protocol::StepRef>{{of_lane_1, 2, 1}}));
}

TEST_F(IoInventoryTest, AStepThatEndedForUsKeepsItsCreditUntilItIsNotListedAnyMore) {
    FakeWorker& a = accepting_worker({1, 2});
    loop_->send(ports::CancelSteps{kA, "b1"_id, {{1, 1}}, "timed_out", true});
    loop_->send(ports::ForgetBatches{{"b1"_id}});
    EXPECT_EQ(a.next<protocol::Cancel>()->reason, "timed_out");
    ASSERT_TRUE(becomes([&] { return in_flight() == 1; })) << "step 2 is forgotten, 1 may still run";
    const auto before = counted(loop_->counters().heartbeats_received);
    beat(a, {}, {{"b1"_id, 1, 1, 900}});
    ASSERT_TRUE(becomes([&] { return counted(loop_->counters().heartbeats_received) > before; }));
    EXPECT_EQ(in_flight(), 1);
    beat(a, {});
    EXPECT_TRUE(becomes([&] { return in_flight() == 0; }));
}

TEST_F(IoInventoryTest, TheCreditOfASessionThatNeverReturnsComesBack) {
    options_.timers.lease = milliseconds{200};
    options_.timers.suspect_after = milliseconds{100};
    make();
    ports::AdoptedBatch adopted;
    adopted.batch = make_batch("b1"_id, kB, {1, 2});
    adopted.accepted = true;
    loop_->send(ports::AdoptBatches{0, {adopted}});
    EXPECT_EQ(in_flight(), 2);
    loop_->send(ports::CancelSteps{kB, "b1"_id, {{1, 1}}, "timed_out", true});
    loop_->start();
    const auto lost = next_event<ports::SessionLost>();
    EXPECT_EQ(lost->session, kB);
    EXPECT_EQ(lost->reason, "did_not_return");
    EXPECT_TRUE(becomes([&] { return in_flight() == 0; }));
    EXPECT_TRUE(registry_->is_gone(kB));
}

TEST_F(IoInventoryTest, AStepHeldBesideFreeSlotsIsCalledInAndThenCalledInAgain) {
    options_.held_limit = milliseconds{100};
    FakeWorker& a = accepting_worker({1});
    ASSERT_TRUE(beats_until(
        a, {{"b1"_id, 1, 1}}, [&] { return waiting_events<ports::HeldTooLong>() >= 2; }, 1));
    EXPECT_FALSE(next_event<ports::HeldTooLong>()->again);
    EXPECT_TRUE(next_event<ports::HeldTooLong>()->again);
}

TEST_F(IoInventoryTest, AStepHeldBehindOthersIsHeldByRight) {
    options_.held_limit = milliseconds{100};
    FakeWorker& a = accepting_worker({1});
    const auto before = counted(loop_->counters().heartbeats_received);
    ASSERT_TRUE(beats_until(a, {{"b1"_id, 1, 1}},
                            [&] { return counted(loop_->counters().heartbeats_received) >= before + 6; }));
    EXPECT_EQ(waiting_events<ports::HeldTooLong>(), 0);
}

TEST_F(IoInventoryTest, ADrainedGoodbyeIsToldAsAPromise) {
    FakeWorker& a = accepting_worker({1});
    protocol::Goodbye goodbye;
    goodbye.session = kA;
    goodbye.reason = "drained";
    a.send("workers", goodbye);
    EXPECT_TRUE(next_event<ports::SessionLost>()->drained);
}

TEST_F(IoInventoryTest, ABatchThatNobodyAcceptsIsReported) {
    options_.timers.accept_timeout = milliseconds{50};
    start();
    FakeWorker& a = ready_worker(kA);
    loop_->send(ports::PublishBatches{{take_batch("b1"_id, kA, {1})}});
    EXPECT_EQ(next_event<ports::NotAccepted>()->batch_uuid, "b1"_id);
    EXPECT_EQ(a.waiting<protocol::StepBatchRequest>(), 3);
    EXPECT_TRUE(in_state(kA, core::SessionState::suspect));
}

// Heard, so never lost; not ready, so never sent anything again: its other batches must not wait for ever.
TEST_F(IoInventoryTest, EveryBatchOfASessionThatBeatsAndTakesNothingIsReported) {
    options_.timers.accept_timeout = milliseconds{50};
    options_.timers.lease = registry_settings_.lease = milliseconds{1000};
    registry_settings_.suspect_after = milliseconds{500};
    make();
    loop_->send(ports::AdoptBatches{0, {{make_batch("adopted"_id, kA, {3}), false}}});
    loop_->start();
    FakeWorker& a = ready_worker(kA);
    loop_->send(ports::PublishBatches{{take_batch("b1"_id, kA, {1}), take_batch("b2"_id, kA, {2})}});
    std::set<std::string> reported;
    ASSERT_TRUE(eventually(
        [&] {
            while (waiting_events<ports::NotAccepted>() > 0)
                reported.insert(next_event<ports::NotAccepted>()->batch_uuid);
            return reported.size() == 3;
        },
        [&](milliseconds) { beat(a, {}); }));
    EXPECT_EQ(waiting_events<ports::SessionLost>(), 0);
}

TEST_F(IoInventoryTest, AdoptionForgetsWhatIsNotOpenAnyMore) {
    accepting_worker({1, 2});
    EXPECT_EQ(in_flight(), 2);
    loop_->send(ports::AdoptBatches{0, {}});  // it ended in a turn whose answer was lost
    EXPECT_TRUE(becomes([&] { return in_flight() == 0; }));
}

}  // namespace
}  // namespace tasker::engine
