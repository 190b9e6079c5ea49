// The life of a session on real sockets.
#include <limits>
#include <utility>

#include "tests/unit/transport/fake_worker.hpp"

namespace tasker::engine {
namespace {

using core::SessionState;

class IoSessionsTest : public IoTest {};

TEST_F(IoSessionsTest, TheWholeHandshake) {
    start();
    FakeWorker& a = worker(kA);
    a.subscribe(protocol::control_subscription(kA));
    const auto first_beat = a.next<protocol::Heartbeat>();
    ASSERT_TRUE(first_beat);
    EXPECT_EQ(first_beat->envelope.epoch, 3) << "on subscribing it is told at once who rules";
    EXPECT_EQ(first_beat->envelope.orchestrator_id, "test");

    ASSERT_TRUE(eventually([&] { return a.waiting<protocol::Welcome>() > 0; },
                           [&](milliseconds limit) {
                               a.send("workers", a.hello());
                               a.receive(limit);
                           }));
    const auto welcome = a.next<protocol::Welcome>();
    EXPECT_EQ(a.last_topic(), "control." + std::string(kA));
    EXPECT_EQ(welcome->session, kA);
    EXPECT_EQ(welcome->heartbeat_ms, 50);
    EXPECT_EQ(welcome->lease_ms, 40'000);
    EXPECT_EQ(welcome->resend_ms, 1000);
    protocol::Limits limits;
    limits.inventory_bytes = 4 * 1024 * 1024;
    EXPECT_EQ(welcome->limits, limits);
    EXPECT_EQ(welcome->disconnect_grace_ms, 20'000);
    EXPECT_EQ(welcome->capacity, 5);
    EXPECT_EQ(welcome->prefetch, 2);
    EXPECT_EQ(welcome->hello_nonce, std::nullopt) << "its hello had none";
    EXPECT_EQ(a.waiting<protocol::Probe>(), 0);
    EXPECT_TRUE(next_event<ports::CreditAppeared>()) << "new handlers were announced";

    a.subscribe(protocol::steps_subscription(kA));
    a.answer_probe();
    EXPECT_EQ(a.last_topic(), "steps." + std::string(kA)) << "it must prove the steps topic";
    ASSERT_TRUE(becomes([&] { return in_state(kA, SessionState::ready); }));
    EXPECT_TRUE(next_event<ports::CreditAppeared>());
    const auto offers = registry_->reserve(0);
    ASSERT_EQ(offers.size(), 1U);
    EXPECT_EQ(offers[0].free, 10);
    registry_->settle(0, offers, {});
}

TEST_F(IoSessionsTest, AHelloThatOvertakesTheSubscriptionIsAnsweredWithIt) {
    start();
    FakeWorker& a = worker(kA);
    ASSERT_TRUE(eventually([&] { return in_state(kA, SessionState::greeted); },
                           [&](milliseconds limit) {
                               a.send("workers", a.hello());
                               a.receive(limit);
                           }));
    a.subscribe_all();
    EXPECT_TRUE(a.next<protocol::Welcome>());
    EXPECT_TRUE(a.next<protocol::Probe>());
}

TEST_F(IoSessionsTest, HeartbeatsCountUpwardsForEachSession) {
    start();
    FakeWorker& a = ready_worker(kA);
    FakeWorker& b = ready_worker(kB);
    for (FakeWorker* worker : {&a, &b}) {
        const auto first = worker->next<protocol::Heartbeat>();
        auto later = worker->next<protocol::Heartbeat>();
        while (later && later->n == first->n) later = worker->next<protocol::Heartbeat>();
        EXPECT_GT(later->n, first->n);
        EXPECT_EQ(worker->last_topic(), "control." + worker->session);
    }
}

TEST_F(IoSessionsTest, TheSameSessionFromAnotherProcessIsRefused) {
    start();
    FakeWorker& a = ready_worker(kA);
    auto hello = a.hello();
    hello.pid = 1;
    a.send("workers", hello);
    const auto refused = a.next<protocol::Refused>();
    EXPECT_EQ(refused->code, protocol::kRefusedDuplicateSession);
    EXPECT_TRUE(in_state(kA, SessionState::ready));
}

TEST_F(IoSessionsTest, AHelloThatNamesNoPrefetchGetsTheOneOfTheSettings) {
    options_.delivery.prefetch = 7;
    start();
    const auto prefetch_of = [&](const char* session, std::optional<std::int32_t> named) {
        FakeWorker& a = worker(session);
        a.subscribe_all();
        auto hello = a.hello();
        hello.prefetch = named;
        EXPECT_TRUE(eventually([&] { return a.waiting<protocol::Welcome>() > 0; },
                               [&](milliseconds limit) {
                                   a.send("workers", hello);
                                   a.receive(limit);
                               }));
        for (const auto& view : registry_->snapshot()) {
            if (view.spec.session == session) return view.spec.prefetch;
        }
        return -1;
    };
    EXPECT_EQ(prefetch_of(kA, std::nullopt), 7);
    EXPECT_EQ(prefetch_of(kB, 3), 3);
}

TEST_F(IoSessionsTest, AnotherProtocolVersionIsToldSo) {
    start();
    FakeWorker& a = ready_worker(kA);
    a.send_raw(std::string(R"(workers {"message_type":"hello","protocol_version":"2.0","session":")") + kA +
               R"("})");
    EXPECT_EQ(a.next<protocol::Refused>()->code, protocol::kRefusedVersion);
    const auto kept = next_event<ports::Malformed>();
    EXPECT_EQ(kept->code, "unsupported_version");
}

TEST_F(IoSessionsTest, NobodyIsWelcomeAtAnOrchestratorThatStops) {
    start();
    FakeWorker& a = ready_worker(kA);
    loop_->send(ports::RefuseSessions{});
    ASSERT_TRUE(eventually([&] { return a.waiting<protocol::Refused>() > 0; },
                           [&](milliseconds limit) {
                               a.send("workers", a.hello());
                               a.receive(limit);
                           }));
    const auto refused = a.next<protocol::Refused>();
    EXPECT_EQ(refused->code, protocol::kRefusedDraining);
    EXPECT_GT(refused->retry_ms, 0);
}

TEST_F(IoSessionsTest, UnsubscribingStopsDispatch) {
    start();
    FakeWorker& a = ready_worker(kA);
    a.unsubscribe(protocol::steps_subscription(kA));
    ASSERT_TRUE(becomes([&] { return in_state(kA, SessionState::suspect); }));
    EXPECT_TRUE(registry_->reserve(0).empty());
    a.subscribe(protocol::steps_subscription(kA));
    a.answer_probe();
    ASSERT_TRUE(becomes([&] { return in_state(kA, SessionState::ready); }));
}

TEST_F(IoSessionsTest, ADeadWorkerIsNoticedByItsConnectionAndLostAfterTheGrace) {
    options_.timers.disconnect_grace = milliseconds{50};
    start();
    FakeWorker& a = ready_worker(kA);
    loop_->send(ports::PublishBatches{{take_batch("b1"_id, kA, {1, 2})}});
    a.next<protocol::StepBatchRequest>();
    a.close();
    const auto lost = next_event<ports::SessionLost>();
    EXPECT_EQ(lost->session, kA);
    EXPECT_EQ(lost->worker_id, "worker-aa");
    EXPECT_EQ(lost->reason, "grace_ended");
    EXPECT_EQ(lost->steps_in_flight, 2);
    EXPECT_EQ(registry_->with([](auto& registry) { return registry.credit_in_flight(); }), 0);
}

TEST_F(IoSessionsTest, TheEndOfTheLeaseOfALostWorkerIsPostedToo) {
    options_.timers.disconnect_grace = milliseconds{50};
    options_.timers.lease = milliseconds{1000};
    start();
    FakeWorker& a = ready_worker(kA);
    a.close();
    EXPECT_EQ(next_event<ports::SessionLost>()->reason, "grace_ended");
    const auto ended = next_event<ports::SessionLost>();
    EXPECT_EQ(ended->session, kA);
    EXPECT_EQ(ended->reason, "lease_ended") << "what waits for the lease waits for a scan otherwise";
    EXPECT_EQ(ended->steps_in_flight, 0);
}

TEST_F(IoSessionsTest, SilenceEndsTheLease) {
    options_.timers.suspect_after = milliseconds{150};
    options_.timers.lease = milliseconds{400};
    start();
    FakeWorker& a = ready_worker(kA);
    EXPECT_EQ(next_event<ports::SessionLost>()->reason, "lease_ended");
    // Its process was merely frozen: with its next heartbeat it is greeted and probed.
    ASSERT_TRUE(eventually([&] { return a.waiting<protocol::Probe>() > 0; },
                           [&](milliseconds limit) {
                               a.beat();
                               a.receive(limit);
                           }));
}

TEST_F(IoSessionsTest, GoodbyeEndsTheSession) {
    start();
    FakeWorker& a = ready_worker(kA);
    protocol::Goodbye goodbye;
    goodbye.session = kA;
    goodbye.reason = "stopped";
    a.send("workers", goodbye);
    const auto lost = next_event<ports::SessionLost>();
    EXPECT_EQ(lost->reason, "goodbye");
    EXPECT_EQ(lost->steps_in_flight, 0);
}

TEST_F(IoSessionsTest, AHeartbeatAfterAGoodbyeIsAnsweredSoThatItsWorkerSaysHello) {
    start();
    FakeWorker& a = ready_worker(kA);
    protocol::Goodbye goodbye;
    goodbye.session = kA;
    goodbye.reason = "drained";
    a.send("workers", goodbye);
    ASSERT_TRUE(becomes([&] { return in_state(kA, SessionState::left); }));
    a.beat();
    const auto refused = a.next<protocol::Refused>();
    EXPECT_EQ(refused->code, protocol::kRefusedUnknownSession);
    EXPECT_EQ(refused->hello_nonce, std::nullopt) << "it answers no hello";
    a.send("workers", a.hello());
    a.answer_probe();
    EXPECT_TRUE(becomes([&] { return in_state(kA, SessionState::ready); }));
}

TEST_F(IoSessionsTest, AHeartbeatOfASessionThatNobodyKnowsIsAnsweredToo) {
    start();
    FakeWorker& a = worker(kA);
    a.subscribe_all();
    ASSERT_TRUE(eventually([&] { return a.waiting<protocol::Refused>() > 0; },
                           [&](milliseconds limit) {
                               a.beat();
                               a.receive(limit);
                           }));
    EXPECT_EQ(a.next<protocol::Refused>()->code, protocol::kRefusedUnknownSession);
}

TEST_F(IoSessionsTest, AHeartbeatThatHasSeenTheFutureIsRefused) {
    start();
    FakeWorker& a = ready_worker(kA);
    protocol::WorkerHeartbeat beat;
    beat.session = kA;
    beat.seen_n = std::numeric_limits<std::int64_t>::max();
    a.send("workers", beat);
    const auto refused = next_event<ports::Malformed>();
    EXPECT_EQ(refused->code, "out_of_range");
    EXPECT_EQ(refused->session, kA);
    EXPECT_NE(refused->reason.find("seen_n"), std::string::npos);
    EXPECT_EQ(registry_->snapshot().at(0).faults, (core::FaultCounts{0, 1, 0, 0}));
    const auto seen = a.next<protocol::Heartbeat>();
    beat.seen_n = seen->n;
    a.send("workers", beat);
    EXPECT_TRUE(becomes([&] { return counted(loop_->counters().heartbeats_received) == 2; }));
    EXPECT_EQ(waiting_events<ports::Malformed>(), 0);
}

TEST_F(IoSessionsTest, AnAnswerNamesTheHelloThatItAnswers) {
    start();
    FakeWorker& a = worker(kA);
    a.subscribe_all();
    auto hello = a.hello();
    hello.hello_nonce = "mine";
    ASSERT_TRUE(eventually([&] { return a.waiting<protocol::Welcome>() > 0; },
                           [&](milliseconds limit) {
                               a.send("workers", hello);
                               a.receive(limit);
                           }));
    EXPECT_EQ(a.next<protocol::Welcome>()->hello_nonce, "mine");
    auto other = hello;
    other.pid = 1;
    other.hello_nonce = "another";
    a.send("workers", other);
    EXPECT_EQ(a.next<protocol::Refused>()->hello_nonce, "another");
    a.send_raw(
        std::string(R"(workers {"message_type":"hello","protocol_version":"2.0","hello_nonce":"third",)") +
        R"("session":")" + kA + R"("})");
    EXPECT_EQ(a.next<protocol::Refused>()->hello_nonce, "third");
}

TEST_F(IoSessionsTest, ASessionIsGivenNoMoreThanIsAllowedAndItsWelcomeSaysSo) {
    options_.limits.capacity = 100;
    start();
    const auto given = [&](const char* session, std::int32_t capacity, std::int32_t prefetch) {
        FakeWorker& a = worker(session);
        a.subscribe_all();
        auto hello = a.hello();
        hello.capacity = capacity;
        hello.prefetch = prefetch;
        EXPECT_TRUE(eventually([&] { return a.waiting<protocol::Welcome>() > 0; },
                               [&](milliseconds limit) {
                                   a.send("workers", hello);
                                   a.receive(limit);
                               }));
        const auto welcome = a.next<protocol::Welcome>();
        return std::pair(*welcome->capacity, *welcome->prefetch);
    };
    constexpr auto kMost = std::numeric_limits<std::int32_t>::max();
    EXPECT_EQ(given(kA, kMost, kMost), std::pair(100, 200));
    EXPECT_EQ(given(kB, 100, 200), std::pair(100, 200));
    EXPECT_EQ(given("00000000000000cc", 1, 1), std::pair(1, 1));
    for (const auto& view : registry_->snapshot()) EXPECT_LE(view.limit, kStepsInHandMax);
}

TEST_F(IoSessionsTest, ANameThatHarmsOthersIsRefusedForGood) {
    start();
    FakeWorker& healthy = ready_worker(kA);
    FakeWorker& b = worker(kB);
    b.subscribe_all();
    const auto refusal_of = [&](const std::function<void(protocol::Hello&)>& change) {
        auto hello = b.hello();
        change(hello);
        EXPECT_TRUE(eventually([&] { return b.waiting<protocol::Refused>() > 0; },
                               [&](milliseconds limit) {
                                   b.send("workers", hello);
                                   b.receive(limit);
                               }));
        // Repeated until it was answered, so that more answers may be on their way.
        std::string message;
        while (b.waiting<protocol::Refused>() > 0) {
            const auto refused = b.next<protocol::Refused>();
            EXPECT_EQ(refused->code, protocol::kRefusedNotAllowed);
            message = refused->message;
        }
        EXPECT_EQ(next_event<ports::Malformed>()->code, "out_of_range");
        return message;
    };
    EXPECT_EQ(refusal_of([](auto& h) { h.host = "a\nb"; }), "host holds a control character");
    healthy.receive(milliseconds{0});
    auto stolen = healthy.hello();
    stolen.host = "a\nb";
    b.send("workers", stolen);
    b.send("workers", stolen);
    EXPECT_TRUE(becomes([&] { return waiting_events<ports::Malformed>() >= 2; }));
    EXPECT_EQ(healthy.waiting<protocol::Refused>(), 0) << "in its name, but not by it";
    EXPECT_TRUE(in_state(kA, SessionState::ready));
    EXPECT_FALSE(in_state(kB, SessionState::greeted));
}

TEST_F(IoSessionsTest, ThePauseOfOurOwnProcessCostsNobodyItsLease) {
    options_.timers.heartbeat = milliseconds{20};
    options_.timers.suspect_after = milliseconds{300};
    options_.timers.lease = milliseconds{600};
    // The health source runs on the io thread: while it blocks, the loop stands still as after SIGSTOP.
    health_ = [&](bool) {
        const milliseconds end = util::boot_time() + milliseconds{1000};
        std::vector<ports::Inbound> nothing;
        Mailbox quiet(1);
        quiet.take_all(nothing, end);
        return nlohmann::json::object();
    };
    start();
    FakeWorker& a = ready_worker(kA);
    zmq::socket_t client(context_, zmq::socket_type::dealer);
    client.set(zmq::sockopt::linger, 0);
    client.connect(loop_->command_endpoint());
    a.beat();
    client.send(zmq::str_buffer(R"({"command":"health_check"})"), zmq::send_flags::none);
    ASSERT_TRUE(becomes([&] { return counted(loop_->counters().pauses_detected) == 1; }));
    a.beat();
    ASSERT_TRUE(becomes([&] { return counted(loop_->counters().heartbeats_received) == 2; }));
    EXPECT_TRUE(in_state(kA, SessionState::ready)) << "a second of silence was our own";
    EXPECT_EQ(waiting_events<ports::SessionLost>(), 0);
}

// Large inventories, one after the other, keep the thread busy for longer than any silence may last: that is no stop.
TEST_F(IoSessionsTest, WorkIsNotTakenForAPauseOfOurOwnProcess) {
    options_.timers.suspect_after = milliseconds{1000};
    options_.peers.words_bytes = {1e12, 1e12};
    start();
    loop_->send(ports::AdoptBatches{0, {}});
    FakeWorker& a = ready_worker(kA);
    FakeWorker& b = ready_worker(kB);
    protocol::WorkerHeartbeat large;
    large.session = kA;
    for (std::int64_t id = 1; id <= 10'000; ++id)
        large.unacked.push_back({batch_id(std::to_string(id)), id, 1});
    const std::string frame = protocol::make_frame("workers", protocol::to_json(large));
    const auto before = counted(loop_->counters().heartbeats_received);
    for (int i = 0; i < 100; ++i) a.send_raw(frame);
    ASSERT_TRUE(eventually([&] { return counted(loop_->counters().heartbeats_received) >= before + 100; },
                           [&](milliseconds limit) {
                               b.beat();
                               a.receive(limit);
                               b.receive(milliseconds{0});
                           }));
    EXPECT_EQ(counted(loop_->counters().pauses_detected), 0);
    EXPECT_TRUE(in_state(kB, SessionState::ready)) << "heard in between";
}

TEST_F(IoSessionsTest, AcksAndRequestsReachTheirSession) {
    start();
    FakeWorker& a = ready_worker(kA);
    loop_->send(ports::Acknowledge{{{kA, {{"b1"_id, {1, 2}}}, {{"b2"_id, 3, "wrong_session"}}}}});
    const auto ack = a.next<protocol::Ack>();
    EXPECT_EQ(ack->session, kA);
    EXPECT_EQ(ack->batches, (std::vector<protocol::AckedSequences>{{"b1"_id, {1, 2}}}));
    EXPECT_EQ(ack->rejected, (std::vector<protocol::RejectedSequence>{{"b2"_id, 3, "wrong_session"}}));
    EXPECT_EQ(a.last_topic(), "control." + std::string(kA));
    EXPECT_EQ(ack->envelope.epoch, 3);

    loop_->send(ports::RequestReports{kA, "b1"_id, {7}});
    EXPECT_EQ(a.next<protocol::ReportRequest>()->step_ids, std::vector<std::int64_t>{7});
    loop_->send(ports::CancelSteps{kA, "b1"_id, {{7, 2}}, "cancelled", false});
    const auto cancel = a.next<protocol::Cancel>();
    EXPECT_EQ(cancel->steps, (std::vector<protocol::StepRef>{{"b1"_id, 7, 2}}));
    EXPECT_EQ(cancel->reason, "cancelled");
    loop_->send(ports::DrainSession{kA, 5000});
    EXPECT_EQ(a.next<protocol::Drain>()->deadline_ms, 5000);
    EXPECT_TRUE(in_state(kA, SessionState::draining));
}

TEST_F(IoSessionsTest, WhatWasCalledBeforeStopIsStillSent) {
    start();
    FakeWorker& a = ready_worker(kA);
    for (int i = 1; i <= 100; ++i) loop_->send(ports::Acknowledge{{{kA, {{"b"_id, {i}}}, {}}}});
    loop_->stop();
    for (int i = 1; i <= 100; ++i) {
        const auto ack = a.next<protocol::Ack>();
        ASSERT_TRUE(ack);
        EXPECT_EQ(ack->batches.front().sequences.front(), i);
    }
}

TEST_F(IoSessionsTest, WorksInsideOneProcessAndOverTcp) {
    for (const std::string transport : {"inproc", "tcp"}) {
        for (auto* endpoint : {&options_.endpoints.steps.bind, &options_.endpoints.results.bind,
                               &options_.endpoints.command.bind}) {
            *endpoint = transport == "tcp" ? "tcp://127.0.0.1:0" : "inproc://" + endpoint->substr(6);
        }
        start();
        FakeWorker& a = ready_worker(kA);
        loop_->send(ports::PublishBatches{{take_batch("b1"_id, kA, {1})}});
        EXPECT_EQ(a.next<protocol::StepBatchRequest>()->batch_id, "b1"_id) << transport;
        workers_.clear();
        loop_.reset();
    }
}

TEST_F(IoSessionsTest, ALoopThatNeverStartedLetsGoOfItsEndpoints) {
    make();
    loop_.reset();
    start();
    ready_worker(kA);
}

}  // namespace
}  // namespace tasker::engine
