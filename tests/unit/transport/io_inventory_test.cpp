// What heartbeats list, against what was sent: absent, stale and held steps, and the credit of what still
// runs.
#include "orchestrator/engine/io/inventory.hpp"
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
              const std::vector<protocol::RunningStep>& running = {}, std::int64_t free = 0,
              const std::vector<protocol::StepRef>& unacked = {}) {
        protocol::WorkerHeartbeat beat;
        beat.session = a.session;
        beat.held = held;
        beat.running = running;
        beat.free = free;
        beat.unacked = unacked;
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
    /// Beats with what `list` says each time, until `condition` holds.
    bool listed_until(const std::function<void()>& list, const std::function<bool()>& condition) {
        return eventually(condition, [&](milliseconds) { list(); });
    }
    /// So many more heartbeats are worked off.
    void beat_times(int times, const std::function<void()>& list) {
        const auto before = counted(loop_->counters().heartbeats_received);
        for (int i = 0; i < times; ++i) list();
        ASSERT_TRUE(
            becomes([&] { return counted(loop_->counters().heartbeats_received) >= before + times; }));
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
    FakeWorker& a = accepting_worker({1, 2});
    beat_times(6, [&] { beat(a, {{"b1"_id, 1, 1}}, {{"b1"_id, 2, 1, 5}}); });
    EXPECT_EQ(waiting_events<ports::HeldTooLong>(), 0);
}

TEST_F(IoInventoryTest, AStepHeldBehindNothingIsCalledInWhateverIsSaidOfFreeSlots) {
    options_.held_limit = milliseconds{100};
    FakeWorker& a = accepting_worker({1});
    ASSERT_TRUE(beats_until(
        a, {{"b1"_id, 1, 1}}, [&] { return waiting_events<ports::HeldTooLong>() >= 2; }, 0));
    EXPECT_FALSE(next_event<ports::HeldTooLong>()->again);
    EXPECT_TRUE(next_event<ports::HeldTooLong>()->again);
}

// Its handler hangs in the only slot, and its time is over: what stands behind it may run elsewhere.
TEST_F(IoInventoryTest, AStepHeldBehindOneThatIsOverIsCalledIn) {
    options_.held_limit = milliseconds{100};
    FakeWorker& a = accepting_worker({1, 2});
    loop_->send(ports::CancelSteps{kA, "b1"_id, {{2, 1}}, "timed_out", true});
    a.next<protocol::Cancel>();
    EXPECT_TRUE(listed_until(
        [&] {
            beat(a, {{"b1"_id, 1, 1}}, {{"b1"_id, 2, 1, 5}});
        },
        [&] { return waiting_events<ports::HeldTooLong>() > 0; }));
}

TEST_F(IoInventoryTest, AStepThatAllOthersOvertakeIsCalledIn) {
    options_.timers.heartbeat = milliseconds{20};
    start();
    loop_->send(ports::AdoptBatches{0, {}});
    FakeWorker& a = worker(kA);
    a.capacity = 50;
    a.join(*loop_, *registry_);
    std::vector<std::int64_t> steps;
    for (std::int64_t id = 1; id <= 2; ++id) steps.push_back(id);
    loop_->send(ports::PublishBatches{{take_batch("b1"_id, kA, steps)}});
    a.next<protocol::StepBatchRequest>();
    a.accept("b1"_id);
    const auto beat_held = [&] { beat(a, {{"b1"_id, 1, 1}}, {{"b1"_id, 2, 1, 5}}); };
    beat_times(2, beat_held);
    // 4 times the credit of 100.
    for (int i = 0; i < 400; ++i) {
        const std::string uuid = batch_id("other-" + std::to_string(i));
        loop_->send(ports::PublishBatches{{take_batch(uuid, kA, {1000 + i})}});
        a.next<protocol::StepBatchRequest>();
        if (i == 399) {
            beat_times(2, beat_held);
            EXPECT_EQ(waiting_events<ports::HeldTooLong>(), 0);
        }
        a.send("results", a.result(uuid, 1000 + i, 1));
        ASSERT_TRUE(becomes([&] { return in_flight() == 2; }));
        loop_->send(ports::ForgetBatches{{uuid}});
        collect(milliseconds{0});
    }
    EXPECT_TRUE(listed_until(beat_held, [&] { return waiting_events<ports::HeldTooLong>() > 0; }));
}

TEST_F(IoInventoryTest, AReportThatDoesNotComeIsAskedForAndThenGivenUp) {
    options_.held_limit = milliseconds{100};
    FakeWorker& a = accepting_worker({1, 2});
    const auto list = [&] { beat(a, {{"b1"_id, 2, 1}}, {}, 0, {{"b1"_id, 1, 1}}); };
    ASSERT_TRUE(listed_until(list, [&] { return waiting_events<ports::StepsAbsent>() > 0; }));
    const auto given_up = next_event<ports::StepsAbsent>();
    EXPECT_TRUE(given_up->withheld);
    EXPECT_EQ(given_up->step_ids, std::vector<std::int64_t>{1});
    EXPECT_EQ(a.waiting<protocol::ReportRequest>(), kTimesAskedMax);
    EXPECT_EQ(a.next<protocol::ReportRequest>()->step_ids, std::vector<std::int64_t>{1});
    EXPECT_TRUE(in_state(kA, core::SessionState::suspect)) << "it gets no more of them for a while";
}

TEST_F(IoInventoryTest, AReportThatCameIsNotAskedFor) {
    options_.held_limit = milliseconds{50};
    FakeWorker& a = accepting_worker({1, 2});
    a.send("results", a.result("b1"_id, 1, 1));
    ASSERT_TRUE(becomes([&] { return in_flight() == 1; }));
    beat_times(8, [&] { beat(a, {}, {{"b1"_id, 2, 1, 5}}, 0, {{"b1"_id, 1, 1}}); });
    EXPECT_EQ(a.waiting<protocol::ReportRequest>(), 0);
    EXPECT_EQ(waiting_events<ports::StepsAbsent>(), 0);
}

TEST_F(IoInventoryTest, AReportThatEndedNothingLeavesItsStepToBeAccountedFor) {
    FakeWorker& a = accepting_worker({1});
    a.send("results", a.result("b1"_id, 1, 1));
    ASSERT_TRUE(becomes([&] { return in_flight() == 0; }));
    loop_->send(ports::ReopenSteps{"b1"_id, {1}});
    ASSERT_TRUE(beats_until(a, {}, [&] { return waiting_events<ports::StepsAbsent>() > 0; }));
    EXPECT_EQ(next_event<ports::StepsAbsent>()->step_ids, std::vector<std::int64_t>{1});
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
