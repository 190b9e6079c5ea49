// One peer against all: subscriptions to what is not its own, floods, and what a standby makes of them.
#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <thread>
#include <tuple>

#include "orchestrator/engine/io/announced.hpp"
#include "orchestrator/engine/io/flood_gate.hpp"
#include "tests/unit/transport/fake_worker.hpp"

namespace tasker::engine {
namespace {

class IoPeersTest : public IoTest, public ::testing::WithParamInterface<const char*> {
  protected:
    IoPeersTest() {
        if (std::string_view(GetParam()) == "tcp") {
            for (auto* endpoint : {&options_.endpoints.steps, &options_.endpoints.results}) {
                endpoint->bind = "tcp://127.0.0.1:*";
            }
        }
    }
    zmq::socket_t subscriber(const std::vector<std::string>& topics, int queue = 1) {
        zmq::socket_t socket(strangers_, zmq::socket_type::sub);
        socket.set(zmq::sockopt::linger, 0);
        socket.set(zmq::sockopt::rcvhwm, queue);
        socket.set(zmq::sockopt::rcvbuf, 4096);
        // Once is enough: what the orchestrator ends stays ended.
        socket.set(zmq::sockopt::reconnect_ivl, -1);
        for (const auto& topic : topics) socket.set(zmq::sockopt::subscribe, topic);
        socket.connect(loop_->steps_endpoint());
        return socket;
    }
    /// Answers probes until one counts.
    bool is_ready_again(FakeWorker& worker) {
        return eventually([&] { return in_state(worker.session, core::SessionState::ready); },
                          [&](milliseconds limit) {
                              if (worker.waiting<protocol::Probe>() > 0) worker.answer_probe();
                              worker.receive(limit);
                          });
    }
    bool cut(std::int64_t times) {
        return becomes([&] { return counted(loop_->counters().connections_cut) == times; });
    }

    zmq::context_t strangers_;
};

INSTANTIATE_TEST_SUITE_P(Transports, IoPeersTest, ::testing::Values("ipc", "tcp"));

TEST_P(IoPeersTest, WhoSubscribesToAPrefixIsDisconnected) {
    start();
    FakeWorker& a = ready_worker(kA);
    const std::vector<std::string> prefixes = {"",          "s",
                                               "steps.",    "control.",
                                               "steps.0",   "steps. ",
                                               "steps.zz ", "control.00000000000000aa",
                                               "control ",  "steps.00000000000000aa"};
    std::int64_t times = 0;
    for (const auto& prefix : prefixes) {
        SCOPED_TRACE("\"" + prefix + "\"");
        const bool is_prefix = prefix != "control ";  // a topic that is never used, and harmless
        auto stranger = subscriber({prefix});
        times += is_prefix ? 1 : 0;
        ASSERT_TRUE(cut(times));
    }
    EXPECT_TRUE(in_state(kA, core::SessionState::ready));
    loop_->send(ports::PublishBatches{{take_batch("b"_id, kA, {1})}});
    EXPECT_EQ(a.next<protocol::StepBatchRequest>()->batch_id, "b"_id);
}

// `steps` without the space is what old plain workers use: they stay, as long as they read.
TEST_P(IoPeersTest, AnOldPlainSubscriberIsDisconnectedOnlyWhenItDoesNotRead) {
    options_.delivery.step_queue_hwm = 20;
    start();
    FakeWorker& a = ready_worker(kA);
    auto stopped = subscriber({"steps"});
    ASSERT_TRUE(becomes([&] {
        return registry_->with([](auto& registry) {
            return registry.plain().may_publish(util::boot_time() + milliseconds{100'000});
        });
    }));
    EXPECT_EQ(counted(loop_->counters().connections_cut), 0);
    for (int i = 0; i < 200; ++i) {
        const std::string uuid = batch_id("b" + std::to_string(i));
        loop_->send(ports::PublishBatches{{take_batch(uuid, kA, {i + 1}, 50'000)}});
        ASSERT_EQ(a.next<protocol::StepBatchRequest>()->batch_id, uuid) << i;
        a.accept(uuid);
        ASSERT_TRUE(next_event<ports::Accepted>());
        a.send("results", a.result(uuid, i + 1, 1));
        ASSERT_TRUE(next_event<ports::Report>());
    }
    EXPECT_EQ(counted(loop_->counters().connections_cut), 1);
    EXPECT_TRUE(in_state(kA, core::SessionState::ready));
}

// A stranger on one session's topic can stop that session only, and not for long.
TEST_P(IoPeersTest, AStrangerOnTheTopicOfASessionDoesNotStopIt) {
    options_.delivery.step_queue_hwm = 2;
    start();
    FakeWorker& a = ready_worker(kA);
    auto stopped = subscriber({protocol::steps_subscription(kA)});
    ASSERT_TRUE(becomes([&] { return in_state(kA, core::SessionState::greeted); }));
    ASSERT_TRUE(is_ready_again(a));
    // 10 MB: more than the kernel keeps for a connection (4 MiB over tcp) and the queue together.
    for (int i = 0; i < 10; ++i) {
        const std::string uuid = batch_id("b" + std::to_string(i));
        loop_->send(ports::PublishBatches{{take_batch(uuid, kA, {i + 1}, 1'000'000)}});
    }
    ASSERT_TRUE(eventually([&] { return counted(loop_->counters().connections_cut) >= 2; },
                           [&](milliseconds limit) { a.receive(limit); }));
    // The honest one connects again and subscribes by itself, and is proven anew.
    EXPECT_TRUE(is_ready_again(a));
}

TEST_P(IoPeersTest, WhoSubscribesWithoutEndIsDisconnected) {
    options_.peers.subscriptions = {100, 0};
    start();
    FakeWorker& a = ready_worker(kA);
    std::vector<std::string> topics;
    for (int i = 0; i < 500; ++i) topics.push_back("topic " + std::to_string(i));
    auto greedy = subscriber(topics);
    EXPECT_TRUE(cut(1));
    loop_->send(ports::PublishBatches{{take_batch("b"_id, kA, {1})}});
    EXPECT_EQ(a.next<protocol::StepBatchRequest>()->batch_id, "b"_id);
}

TEST_P(IoPeersTest, WhoSendsSomethingElseUpstreamIsDisconnected) {
    start();
    FakeWorker& a = ready_worker(kA);
    zmq::socket_t talker(strangers_, zmq::socket_type::xsub);
    talker.set(zmq::sockopt::linger, 0);
    talker.set(zmq::sockopt::reconnect_ivl, -1);
    talker.connect(loop_->steps_endpoint());
    talker.send(zmq::buffer(std::string("hello?")), zmq::send_flags::none);
    EXPECT_TRUE(cut(1));
    EXPECT_EQ(next_event<ports::Malformed>()->code, "bad_frame");
    EXPECT_TRUE(in_state(kA, core::SessionState::ready));
    (void)a;
}

// A flood of frames is dropped unread; others are read, and judged, in time.
TEST_P(IoPeersTest, AFloodNeitherHidesOthersNorTheirSilence) {
    options_.peers.frames = {500, 0};
    options_.timers.lease = milliseconds{2000};
    start();
    FakeWorker& honest = ready_worker(kA);
    FakeWorker& silent = ready_worker(kB);
    zmq::socket_t flood(strangers_, zmq::socket_type::pub);
    flood.set(zmq::sockopt::linger, 0);
    flood.connect(loop_->results_endpoint());
    const std::string junk = "results " + std::string(200, 'x');
    milliseconds beaten{0};
    const bool lost = eventually([&] { return in_state(kB, core::SessionState::lost); },
                                 [&](milliseconds) {
                                     for (int i = 0; i < 500; ++i) {
                                         flood.send(zmq::buffer(junk), zmq::send_flags::dontwait);
                                     }
                                     // Not so often that it floods itself.
                                     if (util::boot_time() - beaten >= milliseconds{50}) {
                                         beaten = util::boot_time();
                                         honest.beat();
                                     }
                                     honest.receive(milliseconds{0});
                                     events_.clear();
                                     collect(milliseconds{0});
                                 });
    EXPECT_TRUE(lost);
    EXPECT_TRUE(in_state(kA, core::SessionState::ready));
    EXPECT_GT(counted(loop_->counters().frames_flooded), 0);
    EXPECT_LE(counted(loop_->counters().malformed), 500);
    (void)silent;
}

// Well-formed, and about nothing that is open: they neither take all the room nor go on for ever.
TEST_P(IoPeersTest, UselessReportsLeaveRoomForOthersAndAreBounded) {
    mailbox_max_ = 100;
    options_.peers.useless = {80, 0};
    start();
    FakeWorker& a = ready_worker(kA);
    FakeWorker& b = ready_worker(kB);
    loop_->send(ports::PublishBatches{{take_batch("open"_id, kA, {1})}});
    a.next<protocol::StepBatchRequest>();
    for (int i = 0; i < 300; ++i) b.send("results", b.result(batch_id("old" + std::to_string(i)), 1, 1));
    ASSERT_TRUE(becomes([&] { return counted(loop_->counters().reports_dropped) > 0; }));
    a.send("results", a.result("open"_id, 1, 1));
    ASSERT_TRUE(becomes(
        [&] { return registry_->with([](auto& registry) { return registry.credit_in_flight(); }) == 0; }));
    EXPECT_LE(waiting_events<ports::Report>(), 52) << "half of the room, and the one that was awaited";
}

TEST_P(IoPeersTest, RowsAboutMalformedMessagesAreFewThenOnlyCounted) {
    start();
    FakeWorker& a = ready_worker(kA);
    for (int i = 0; i < 400; ++i) a.send_raw("results nonsense");
    ASSERT_TRUE(becomes([&] { return counted(loop_->counters().malformed) == 400; }));
    EXPECT_EQ(counted(loop_->counters().malformed_dropped), 400 - options_.peers.rejected_rows_per_minute);
    a.send_raw("results \xff");  // another code has rows of its own
    ASSERT_TRUE(becomes([&] { return counted(loop_->counters().malformed) == 401; }));
    EXPECT_EQ(counted(loop_->counters().malformed_dropped), 400 - options_.peers.rejected_rows_per_minute);
    collect(milliseconds{0});
    EXPECT_TRUE(in_state(kA, core::SessionState::ready));
}

// Speaks ZMTP by itself: libzmq's own sockets send nothing of a message before its last part is there.
class RawPeer {
  public:
    RawPeer(const std::string& endpoint, const std::string& socket_type)
        : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port =
            htons(static_cast<std::uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1))));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        std::string greeting = "\xff" + std::string(8, '\0') + "\x7f\x03" + std::string(1, '\0') + "NULL";
        greeting.resize(64, '\0');
        const std::string ready = std::string("\5READY") + "\xbSocket-Type" + std::string(3, '\0') +
                                  static_cast<char>(socket_type.size()) + socket_type;
        send_all(greeting + '\4' + static_cast<char>(ready.size()) + ready);
    }
    ~RawPeer() { close(fd_); }
    RawPeer(const RawPeer&) = delete;
    RawPeer& operator=(const RawPeer&) = delete;

    static std::string part_with_more(const std::string& bytes) {
        std::string frame = "\3";
        for (int shift = 56; shift >= 0; shift -= 8) frame += static_cast<char>(bytes.size() >> shift);
        return frame + bytes;
    }
    /// As much as the connection takes now. False when it has been ended.
    bool send_some(std::string_view bytes) {
        while (!bytes.empty()) {
            const auto sent = send(fd_, bytes.data() + at_, bytes.size() - at_, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (sent < 0) return errno == EAGAIN;
            at_ = (at_ + static_cast<std::size_t>(sent)) % bytes.size();
            if (at_ == 0) return true;
        }
        return true;
    }

  private:
    void send_all(const std::string& bytes) {
        EXPECT_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    }

    int fd_;
    std::size_t at_ = 0;
};

// Nothing of such a message reaches this process before its end, which never comes.
TEST_P(IoPeersTest, WhoSendsAMessageWithoutEndIsDisconnected) {
    if (std::string_view(GetParam()) != "tcp") GTEST_SKIP() << "the kernel counts no bytes of unix sockets";
    options_.endpoints.command.bind = "tcp://127.0.0.1:*";
    start();
    FakeWorker& honest = ready_worker(kA);
    const std::tuple<std::string, const char*, std::size_t> targets[] = {
        {loop_->results_endpoint(), "PUB", 1'000'000},
        {loop_->steps_endpoint(), "SUB", 500},
        {loop_->command_endpoint(), "DEALER", 100'000}};
    for (const auto& [endpoint, type, part_bytes] : targets) {
        auto endless = std::make_unique<RawPeer>(endpoint, type);
        std::string parts;
        while (parts.size() < 4'000'000) parts += RawPeer::part_with_more(std::string(part_bytes, 'x'));
        const auto before = counted(loop_->counters().connections_cut);
        int ended = 0;
        EXPECT_TRUE(eventually([&] { return counted(loop_->counters().connections_cut) > before; },
                               [&](milliseconds) {
                                   // What ended it otherwise is no concern of this test: it comes again.
                                   if (!endless->send_some(parts)) {
                                       ++ended;
                                       endless = std::make_unique<RawPeer>(endpoint, type);
                                   }
                                   honest.beat();
                                   honest.receive(milliseconds{1});
                               }))
            << type << ", ended " << ended;
    }
    EXPECT_TRUE(in_state(kA, core::SessionState::ready)) << "it kept to its own";
}

// Each of these hellos is legal. Together they would fill memory, since every name is kept many times over.
TEST_P(IoPeersTest, HellosBeyondWhatOneConnectionMayAnnounceAreRefused) {
    options_.peers.announced_bytes_of_peer = 200'000;
    options_.peers.announced_bytes = 300'000;
    start();
    FakeWorker& honest = ready_worker(kA);
    FakeWorker& greedy = worker("00000000000000f0");
    greedy.subscribe_all();
    protocol::Hello hello = greedy.hello();
    hello.handlers.clear();
    for (int i = 0; i < 300; ++i) hello.handlers.push_back(std::string(200, 'x') + std::to_string(i));
    const auto known = [&] {
        return registry_->with([](auto& registry) { return registry.snapshot(util::boot_time()).size(); });
    };
    int next = 0;
    const auto say = [&](milliseconds limit) {
        greedy.send("workers", hello);
        greedy.receive(limit);
    };
    // 70 kB each: there is room for two.
    ASSERT_TRUE(eventually([&] { return known() == 3; },
                           [&](milliseconds limit) {
                               hello.session = fmt::format("{:016x}", 0xf1 + next++ % 50);
                               say(limit);
                           }));
    hello.session = greedy.session;
    ASSERT_TRUE(eventually([&] { return greedy.waiting<protocol::Refused>() > 0; }, say));
    const auto refused = greedy.next<protocol::Refused>();
    EXPECT_EQ(refused->code, "too_many");
    EXPECT_NE(refused->message.find("this connection"), std::string::npos) << refused->message;
    EXPECT_LE(known(), 3U);
    // Another connection has room of its own, up to what all may announce.
    EXPECT_TRUE(in_state(kA, core::SessionState::ready));
    ready_worker(kB);
    (void)honest;
}

TEST(AnnouncedTest, CountsEachSessionOnceAndFreesWhatIsGone) {
    PeerLimits limits;
    limits.announced_bytes_of_peer = 10'000;
    limits.announced_bytes = 15'000;
    Announced announced(limits);
    protocol::Hello hello;
    const auto say = [&](const std::string& session, std::size_t bytes, std::uint64_t peer) {
        hello.session = session;
        hello.handlers = {std::string(bytes, 'x')};
        return announced.enter(hello, peer);
    };
    EXPECT_FALSE(say("a", 8000, 1));
    EXPECT_FALSE(say("a", 8000, 1)) << "said again it counts once";
    EXPECT_TRUE(say("b", 2000, 1)) << "of its connection";
    EXPECT_TRUE(say("b", 8000, 2)) << "of all";
    EXPECT_FALSE(say("b", 2000, 2));
    EXPECT_FALSE(say("a", 1000, 3)) << "it moved to another connection";
    EXPECT_FALSE(say("c", 7000, 1));
    announced.keep_only([](const std::string& session) { return session == "c"; });
    EXPECT_LT(announced.bytes(), 8200U);
    announced.keep_only([](const std::string&) { return false; });
    EXPECT_EQ(announced.bytes(), 0U);
}

TEST_P(IoPeersTest, AFleetBehindOneConnectionHasRoom) {
    Announced announced(options_.peers);
    protocol::Hello hello;
    for (int i = 0; i < 20; ++i) hello.handlers.push_back("Billing::Invoices::Step" + std::to_string(i));
    for (int i = 0; i < 3000; ++i) {
        hello.session = std::to_string(i);
        ASSERT_EQ(announced.enter(hello, 1), std::nullopt) << i;
    }
    for (int i = 3000; i < 10'000; ++i) {
        hello.session = std::to_string(i);
        ASSERT_EQ(announced.enter(hello, static_cast<std::uint64_t>(i)), std::nullopt) << i;
    }
}

// ---------------------------------------------------------------- standby

class StandbyPeersTest : public ::testing::Test {
  protected:
    StandbyPeersTest() {
        options_.endpoints.steps.bind = dir_.ipc("steps");
        options_.endpoints.results.bind = dir_.ipc("results");
        options_.endpoints.command.bind = dir_.ipc("command");
        sockets_ = std::make_unique<IoSockets>(context_, options_);
    }
    /// One turn of a standby; how long it took.
    milliseconds idle() {
        const milliseconds began = util::boot_time();
        sockets_->idle([](bool) { return nlohmann::json::object(); });
        return util::boot_time() - began;
    }

    testing::TempDir dir_;
    IoOptions options_;
    zmq::context_t context_, strangers_;
    std::unique_ptr<IoSockets> sockets_;
};

TEST_F(StandbyPeersTest, AFloodOfSubscriptionsIsOverInTimeAndForgotten) {
    zmq::socket_t worker(strangers_, zmq::socket_type::sub);
    worker.set(zmq::sockopt::linger, 0);
    worker.set(zmq::sockopt::subscribe, protocol::steps_subscription(kA));
    worker.set(zmq::sockopt::subscribe, protocol::control_subscription(kA));
    worker.connect(sockets_->steps.endpoint());
    zmq::socket_t flood(strangers_, zmq::socket_type::xsub);
    flood.set(zmq::sockopt::linger, 0);
    flood.set(zmq::sockopt::sndhwm, 0);
    flood.set(zmq::sockopt::reconnect_ivl, -1);
    flood.connect(sockets_->steps.endpoint());
    for (int i = 0; i < 200'000; ++i) {
        flood.send(zmq::buffer('\1' + std::string("topic ") + std::to_string(i)), zmq::send_flags::none);
    }
    std::int64_t ended = 0;
    milliseconds longest{0};
    ASSERT_TRUE(eventually([&] { return (ended += sockets_->guard.take_cut()) > 0; },
                           [&](milliseconds) { longest = std::max(longest, idle()); }));
    for (int i = 0; i < 20; ++i) longest = std::max(longest, idle());
    EXPECT_LT(longest, milliseconds{2000}) << "a longer pause would look as if this process had been away";
    // What is left to tell when it takes over: the two topics of the worker, its steps topic first.
    std::vector<std::string> told;
    ASSERT_TRUE(eventually([&] { return told.size() == 2; },
                           [&](milliseconds) {
                               while (const auto change = sockets_->next_change(util::boot_time())) {
                                   if (change->kind == transport::SubscriptionChange::Kind::subscribed) {
                                       told.push_back(change->topic);
                                   }
                               }
                           }));
    EXPECT_EQ(told.front(), protocol::steps_subscription(kA));
    EXPECT_EQ(told.back(), protocol::control_subscription(kA));
}

TEST_F(StandbyPeersTest, AnEndCancelsOutItsBeginning) {
    zmq::socket_t worker(strangers_, zmq::socket_type::sub);
    worker.set(zmq::sockopt::linger, 0);
    worker.connect(sockets_->steps.endpoint());
    for (int i = 0; i < 50; ++i) {
        worker.set(zmq::sockopt::subscribe, protocol::steps_subscription(kA));
        worker.set(zmq::sockopt::unsubscribe, protocol::steps_subscription(kA));
    }
    worker.set(zmq::sockopt::subscribe, protocol::steps_subscription(kB));
    std::vector<std::string> told;
    ASSERT_TRUE(eventually([&] { return !told.empty(); },
                           [&](milliseconds) {
                               idle();
                               while (const auto change = sockets_->next_change(util::boot_time()))
                                   told.push_back(change->topic);
                           }));
    EXPECT_EQ(told.back(), protocol::steps_subscription(kB));
}

// ---------------------------------------------------------------- the gate alone

TEST(FloodGateTest, EachPeerHasItsOwnAllowanceWhichTimeFills) {
    PeerLimits limits;
    limits.frames = {10, 5};
    FloodGate gate(limits);
    const auto admitted = [&](int peer, milliseconds now) {
        int count = 0;
        while (count < 100 && gate.admit(peer, 10, now)) ++count;
        return count;
    };
    EXPECT_EQ(admitted(1, milliseconds{0}), 10);
    EXPECT_EQ(admitted(2, milliseconds{0}), 10);
    EXPECT_EQ(gate.flooding(), 2U);
    EXPECT_EQ(admitted(1, milliseconds{1000}), 5);
    EXPECT_EQ(admitted(1, milliseconds{100'000}), 10) << "never more than at once";
}

TEST(FloodGateTest, BytesOfInventoriesCountForMore) {
    PeerLimits limits;
    limits.words_bytes = {1000, 100};
    FloodGate gate(limits);
    EXPECT_TRUE(gate.admit(1, 2000, milliseconds{0}, false));
    EXPECT_FALSE(gate.admit(1, 1, milliseconds{0}, false));
    EXPECT_TRUE(gate.admit(1, 2000, milliseconds{0}, true)) << "results have their own";
    EXPECT_TRUE(gate.admit(2, 1, milliseconds{0}, false)) << "and so have others";
    EXPECT_TRUE(gate.admit(1, 1, milliseconds{11'000}, false));
}

TEST(FloodGateTest, BytesCountToo) {
    PeerLimits limits;
    limits.bytes = {1000, 0};
    FloodGate gate(limits);
    EXPECT_TRUE(gate.admit(1, 999, milliseconds{0}));
    EXPECT_TRUE(gate.admit(1, 999, milliseconds{0}));
    EXPECT_FALSE(gate.admit(1, 1, milliseconds{0}));
}

TEST(FloodGateTest, WhatServesEarnsWhatServesNothingCosts) {
    PeerLimits limits;
    limits.useless = {3, 0};
    limits.useless_earned = 2;
    FloodGate gate(limits);
    for (int i = 0; i < 1000; ++i) {
        ASSERT_TRUE(gate.admit(1, 1, milliseconds{0})) << i;
        gate.earn();
        ASSERT_TRUE(gate.admit(1, 1, milliseconds{0})) << i;
        gate.waste();
    }
    int wasted = 0;
    while (wasted < 100 && gate.admit(1, 1, milliseconds{0})) {
        gate.waste();
        ++wasted;
    }
    EXPECT_LE(wasted, 3);
}

TEST(FloodGateTest, ManyPeersShareTheRowsOfOneCode) {
    PeerLimits limits;
    limits.rejected_rows_per_minute = 5;
    FloodGate gate(limits);
    int recorded = 0;
    for (int peer = 0; peer < 100; ++peer) {
        gate.admit(peer, 1, milliseconds{0});
        for (int i = 0; i < 8; ++i) recorded += gate.may_record("bad_frame") ? 1 : 0;
    }
    EXPECT_EQ(recorded, 50);
    EXPECT_TRUE(gate.may_record("too_deep"));
    gate.admit(1, 1, milliseconds{61'000});
    EXPECT_TRUE(gate.may_record("bad_frame"));
}

}  // namespace
}  // namespace tasker::engine
