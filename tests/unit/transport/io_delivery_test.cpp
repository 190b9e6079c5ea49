// Batches on their way: to exactly one session, accepted, repeated, adopted.
#include <gmock/gmock.h>

#include "tests/unit/transport/fake_worker.hpp"

namespace tasker::engine {
namespace {

using core::SessionState;

class IoDeliveryTest : public IoTest {
  protected:
    std::int64_t in_flight() {
        return registry_->with([](auto& registry) { return registry.credit_in_flight(); });
    }
};

TEST_F(IoDeliveryTest, ABatchGoesToExactlyOneSession) {
    start();
    FakeWorker& a = ready_worker(kA);
    FakeWorker& b = ready_worker(kB);
    loop_->send(ports::PublishBatches{{take_batch("for-a"_id, kA, {1, 2})}});
    EXPECT_EQ(a.next<protocol::StepBatchRequest>()->batch_id, "for-a"_id);
    EXPECT_EQ(a.last_topic(), "steps." + std::string(kA));
    // What b gets first is its own batch, so the other one never came this way.
    loop_->send(ports::PublishBatches{{take_batch("for-b"_id, kB, {3})}});
    EXPECT_EQ(b.next<protocol::StepBatchRequest>()->batch_id, "for-b"_id);
    EXPECT_EQ(a.waiting<protocol::StepBatchRequest>(), 0);
    EXPECT_TRUE(becomes([&] { return counted(loop_->counters().batches_sent) == 2; }));
}

TEST_F(IoDeliveryTest, AcceptanceIsToldOnce) {
    options_.timers.accept_timeout = milliseconds{100};
    start();
    FakeWorker& a = ready_worker(kA);
    loop_->send(ports::PublishBatches{{take_batch("b1"_id, kA, {1})}});
    a.next<protocol::StepBatchRequest>();
    a.accept("b1"_id);
    a.accept("b1"_id);
    a.beat({{"b1"_id, 1, 1}});
    const auto accepted = next_event<ports::Accepted>();
    EXPECT_EQ(accepted->batch_uuid, "b1"_id);
    EXPECT_EQ(accepted->session, kA);
    ASSERT_TRUE(becomes([&] { return counted(loop_->counters().heartbeats_received) == 1; }));
    EXPECT_EQ(waiting_events<ports::Accepted>(), 0);

    // A later batch that is left alone is repeated; the accepted one never was, though it waited longer.
    loop_->send(ports::PublishBatches{{take_batch("b2"_id, kA, {2})}});
    ASSERT_TRUE(becomes([&] { return counted(loop_->counters().batches_resent) == 1; }));
    EXPECT_EQ(a.next<protocol::StepBatchRequest>()->batch_id, "b2"_id);
    EXPECT_EQ(a.next<protocol::StepBatchRequest>()->batch_id, "b2"_id);
}

TEST_F(IoDeliveryTest, NotAcceptedIsSentTwiceAgainUnchangedThenTheSessionIsSuspect) {
    options_.timers.accept_timeout = milliseconds{60};
    registry_settings_.probe_delay_first = milliseconds{100};
    start();
    FakeWorker& a = ready_worker(kA);
    const ports::OutboundBatch batch = take_batch("b1"_id, kA, {1, 2, 3});
    loop_->send(ports::PublishBatches{{batch}});
    ASSERT_TRUE(becomes([&] { return in_state(kA, SessionState::suspect); }));
    EXPECT_TRUE(becomes([&] { return counted(loop_->counters().batches_sent) == 1; }));
    EXPECT_TRUE(becomes([&] { return counted(loop_->counters().batches_resent) == 2; }));
    EXPECT_EQ(in_flight(), 3) << "it may well be running there";
    for (int i = 0; i < 3; ++i) {
        a.next<protocol::StepBatchRequest>();
        EXPECT_EQ(a.last_text(), batch.message);
    }
    EXPECT_EQ(a.waiting<protocol::StepBatchRequest>(), 0);

    // The delayed probe is answered by a session that never saw the batch: it gets it again, and takes it.
    a.answer_probe();
    EXPECT_EQ(a.next<protocol::StepBatchRequest>()->batch_id, "b1"_id);
    EXPECT_EQ(a.last_text(), batch.message);
    a.accept("b1"_id);
    EXPECT_TRUE(next_event<ports::Accepted>());
    EXPECT_TRUE(in_state(kA, SessionState::ready));
    EXPECT_EQ(in_flight(), 3);
}

TEST_F(IoDeliveryTest, ABatchTheProbedSessionListsIsNotSentAgain) {
    start();
    FakeWorker& a = ready_worker(kA);
    loop_->send(ports::PublishBatches{{take_batch("b1"_id, kA, {1, 2})}});
    a.next<protocol::StepBatchRequest>();
    a.unsubscribe(protocol::steps_subscription(kA));
    ASSERT_TRUE(becomes([&] { return in_state(kA, SessionState::suspect); }));
    a.subscribe(protocol::steps_subscription(kA));
    protocol::Ready inventory;
    inventory.held = {{"b1"_id, 1, 1}};
    inventory.unacked = {{"b1"_id, 2, 1}};
    a.answer_probe(inventory);
    EXPECT_EQ(next_event<ports::Accepted>()->batch_uuid, "b1"_id);
    loop_->send(ports::PublishBatches{{take_batch("b2"_id, kA, {3})}});
    EXPECT_EQ(a.next<protocol::StepBatchRequest>()->batch_id, "b2"_id);
    EXPECT_EQ(counted(loop_->counters().batches_resent), 0);
}

TEST_F(IoDeliveryTest, ABatchForASessionThatIsNotReadyComesBackUndelivered) {
    start();
    FakeWorker& a = ready_worker(kA);
    auto batch = take_batch("b1"_id, kA, {1, 2});
    EXPECT_EQ(in_flight(), 2);
    a.unsubscribe(protocol::steps_subscription(kA));
    ASSERT_TRUE(becomes([&] { return in_state(kA, SessionState::suspect); }));
    loop_->send(ports::PublishBatches{{std::move(batch), make_batch("b2"_id, kB, {3})}});
    EXPECT_EQ(next_event<ports::Undelivered>()->batch_uuid, "b1"_id);
    const auto second = next_event<ports::Undelivered>();
    EXPECT_EQ(second->batch_uuid, "b2"_id) << "a session nobody knows";
    EXPECT_EQ(second->session, kB);
    EXPECT_EQ(in_flight(), 0);
    EXPECT_EQ(counted(loop_->counters().batches_sent), 0);
}

TEST_F(IoDeliveryTest, ForgettingEndsRepetitionAndReturnsCredit) {
    options_.timers.accept_timeout = milliseconds{150};
    start();
    FakeWorker& a = ready_worker(kA);
    loop_->send(ports::PublishBatches{{take_batch("b1"_id, kA, {1, 2})}});
    loop_->send(ports::ForgetBatches{{"b1"_id, "never-known"_id}});
    ASSERT_TRUE(becomes([&] { return in_flight() == 0; }));
    loop_->send(ports::PublishBatches{{take_batch("b2"_id, kA, {3})}});
    ASSERT_TRUE(becomes([&] { return counted(loop_->counters().batches_resent) >= 1; }));
    EXPECT_EQ(a.next<protocol::StepBatchRequest>()->batch_id, "b1"_id);
    EXPECT_EQ(a.next<protocol::StepBatchRequest>()->batch_id, "b2"_id);
    EXPECT_EQ(a.next<protocol::StepBatchRequest>()->batch_id, "b2"_id);
    EXPECT_EQ(counted(loop_->counters().open_batches), 1);
}

TEST_F(IoDeliveryTest, AcceptanceByTheWrongSessionIsKeptAsMalformed) {
    start();
    FakeWorker& a = ready_worker(kA);
    FakeWorker& b = ready_worker(kB);
    loop_->send(ports::PublishBatches{{take_batch("b1"_id, kA, {1})}});
    a.next<protocol::StepBatchRequest>();
    b.accept("b1"_id);
    EXPECT_EQ(next_event<ports::Malformed>()->code, "wrong_session");
    EXPECT_EQ(waiting_events<ports::Accepted>(), 0);
    b.accept("long-forgotten"_id);
    ASSERT_TRUE(becomes([&] { return counted(loop_->counters().late) == 1; }));
}

// ---------------------------------------------------------------- after a restart

TEST_F(IoDeliveryTest, AnAdoptedBatchIsSentAgainOnlyIfItsSessionLacksAStep) {
    make();
    ports::AdoptedBatch unknown{make_batch("unknown"_id, kA, {1, 2}), false};
    ports::AdoptedBatch partly{make_batch("partly"_id, kA, {3, 4}), true};
    ports::AdoptedBatch known{make_batch("known"_id, kA, {5, 6}), false};
    ports::AdoptedBatch elsewhere{make_batch("elsewhere"_id, kB, {7}), true};
    loop_->send(ports::AdoptBatches{0, {unknown, partly, known, elsewhere}});
    EXPECT_EQ(in_flight(), 7) << "its credit is taken at once";
    loop_->start();

    FakeWorker& a = worker(kA);
    protocol::Ready inventory;
    inventory.held = {{"known"_id, 5, 1}};
    inventory.running = {{"known"_id, 6, 1}};
    inventory.unacked = {{"partly"_id, 3, 1}};
    a.join(*loop_, *registry_, inventory);
    std::vector<std::string> sent;
    for (int i = 0; i < 2; ++i) {
        sent.push_back(a.next<protocol::StepBatchRequest>()->batch_id);
        EXPECT_EQ(a.last_text(), (sent.back() == "unknown"_id ? unknown : partly).batch.message);
    }
    EXPECT_THAT(sent, ::testing::UnorderedElementsAre("partly"_id, "unknown"_id));
    EXPECT_EQ(next_event<ports::Accepted>()->batch_uuid, "known"_id);
    const auto offers = registry_->reserve(0);
    ASSERT_EQ(offers.size(), 1U);
    EXPECT_EQ(offers[0].free, 4) << "10 less the 6 adopted ones";
    registry_->settle(0, offers, {});

    a.accept("partly"_id);
    a.accept("unknown"_id);
    EXPECT_EQ(next_event<ports::Accepted>()->batch_uuid, "unknown"_id) << "partly had been accepted long ago";
    EXPECT_EQ(waiting_events<ports::Accepted>(), 0);
    EXPECT_EQ(in_flight(), 7);
}

TEST_F(IoDeliveryTest, AnAdoptedStepReportedBeforeTheReturnIsNotAskedFor) {
    make();
    loop_->send(ports::AdoptBatches{0, {{make_batch("b1"_id, kA, {1, 2}), true}}});
    loop_->start();
    FakeWorker& a = worker(kA);
    // The report waited in the worker's queue while no orchestrator was there.
    ASSERT_TRUE(eventually([&] { return in_flight() == 1; },
                           [&](milliseconds limit) {
                               a.send("results", a.result("b1"_id, 2, 1));
                               a.receive(limit);
                           }));
    protocol::Ready inventory;
    inventory.running = {{"b1"_id, 1, 1}};
    a.join(*loop_, *registry_, inventory);
    loop_->send(ports::PublishBatches{{take_batch("b2"_id, kA, {3})}});
    EXPECT_EQ(a.next<protocol::StepBatchRequest>()->batch_id, "b2"_id);
}

TEST_F(IoDeliveryTest, AdoptingAgainChangesNothing) {
    start();
    FakeWorker& a = ready_worker(kA);
    loop_->send(ports::PublishBatches{{take_batch("b1"_id, kA, {1})}});
    loop_->send(ports::AdoptBatches{
        0, {{make_batch("b1"_id, kA, {1}), false}, {make_batch("in-doubt"_id, kA, {2}), false}}});
    EXPECT_EQ(a.next<protocol::StepBatchRequest>()->batch_id, "b1"_id);
    EXPECT_EQ(a.next<protocol::StepBatchRequest>()->batch_id, "in-doubt"_id)
        << "committed, but its commit was in doubt: a ready session is simply sent it";
    EXPECT_EQ(in_flight(), 2);
    EXPECT_EQ(counted(loop_->counters().open_batches), 2);
}

// The hand-back may still wait for its turn when the listener reads back what is open.
TEST_F(IoDeliveryTest, WhatWasGivenBackUndeliveredIsNotSentWhenItIsAdopted) {
    start();
    FakeWorker& a = ready_worker(kA);
    auto batch = take_batch("b1"_id, kA, {1});
    a.unsubscribe(protocol::steps_subscription(kA));
    ASSERT_TRUE(becomes([&] { return in_state(kA, SessionState::suspect); }));
    loop_->send(ports::PublishBatches{{batch}});
    EXPECT_EQ(next_event<ports::Undelivered>()->batch_uuid, "b1"_id);
    a.subscribe(protocol::steps_subscription(kA));
    a.answer_probe();
    ASSERT_TRUE(becomes([&] { return in_state(kA, SessionState::ready); }));
    loop_->send(ports::AdoptBatches{0, {{batch, false}}});
    EXPECT_EQ(next_event<ports::Undelivered>()->batch_uuid, "b1"_id)
        << "said again, should it have been lost";
    EXPECT_EQ(in_flight(), 0);
    loop_->send(ports::PublishBatches{{take_batch("b2"_id, kA, {2})}});
    EXPECT_EQ(a.next<protocol::StepBatchRequest>()->batch_id, "b2"_id);
    EXPECT_TRUE(becomes([&] { return counted(loop_->counters().batches_sent) == 1; }));
}

// ---------------------------------------------------------------- a full queue

TEST_F(IoDeliveryTest, AHighWaterMarkOfOneLosesNothing) {
    constexpr int kBatches = 24;
    options_.delivery.step_queue_hwm = 1;
    options_.timers.accept_timeout = milliseconds{100};
    options_.delivery.accept_resends = 1000;
    start();
    FakeWorker& a = worker(kA);
    a.capacity = kBatches;
    a.join(*loop_, *registry_);
    std::vector<ports::OutboundBatch> batches;
    for (int i = 0; i < kBatches; ++i) {
        batches.push_back(take_batch(batch_id(std::to_string(i)), kA, {i + 1}, 20'000));
    }
    loop_->send(ports::PublishBatches{std::move(batches)});
    ASSERT_TRUE(becomes([&] { return counted(loop_->counters().sends_blocked) > 0; }));
    std::set<std::string> seen;
    ASSERT_TRUE(eventually([&] { return seen.size() == kBatches; },
                           [&](milliseconds limit) {
                               a.receive(limit);
                               while (a.waiting<protocol::StepBatchRequest>() > 0) {
                                   const auto batch = a.next<protocol::StepBatchRequest>();
                                   seen.insert(batch->batch_id);
                                   a.accept(batch->batch_id);
                               }
                           }));
    std::set<std::string> accepted;
    while (accepted.size() < kBatches) {
        const auto event = next_event<ports::Accepted>();
        ASSERT_TRUE(event);
        EXPECT_TRUE(accepted.insert(event->batch_uuid).second);
    }
    EXPECT_EQ(in_flight(), kBatches);
    EXPECT_TRUE(in_state(kA, SessionState::ready));
}

}  // namespace
}  // namespace tasker::engine
