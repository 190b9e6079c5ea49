// Bytes that are no message: kept with their reason, never a crash, never silence.
#include <random>

#include "orchestrator/engine/io/post.hpp"
#include "tests/unit/transport/fake_worker.hpp"

namespace tasker::engine {
namespace {

class IoFaultsTest : public IoTest {
  protected:
    ports::Malformed malformed(FakeWorker& from, const std::string& frame) {
        from.send_raw(frame);
        const auto event = next_event<ports::Malformed>();
        return event ? *event : ports::Malformed{};
    }
};

TEST_F(IoFaultsTest, EveryKindIsKeptWithItsReason) {
    start();
    FakeWorker& a = ready_worker(kA);
    const std::string hello = protocol::to_json(a.hello());
    EXPECT_EQ(malformed(a, "results {\"message_type\":").code, "malformed_json");
    EXPECT_EQ(malformed(a, "results ").code, "malformed_json");
    EXPECT_EQ(malformed(a, "results \xff\xfe").code, "invalid_utf8");
    EXPECT_EQ(malformed(a, R"(results {"message_type":"song"})").code, "unknown_type");
    EXPECT_EQ(malformed(a, R"(results {"message_type":"partial_result"})").code, "missing_field");
    EXPECT_EQ(malformed(a, "results " + std::string(10'000, '[')).code, "too_deep");
    const auto misplaced = malformed(a, "results " + hello);
    EXPECT_EQ(misplaced.code, "bad_frame");
    EXPECT_EQ(misplaced.topic, "results");
    EXPECT_EQ(misplaced.bytes, hello);
    EXPECT_NE(misplaced.reason.find("hello"), std::string::npos);
    EXPECT_EQ(malformed(a, "results " + protocol::to_json(protocol::Heartbeat{})).code, "unknown_type")
        << "a message of the other direction";

    auto nameless = a.hello();
    nameless.session = "not hexadecimal!";
    EXPECT_EQ(malformed(a, "workers " + protocol::to_json(nameless)).code, "out_of_range");

    a.send_raw("results {", true);
    a.send_raw("}");
    EXPECT_EQ(next_event<ports::Malformed>()->code, "bad_frame");
    EXPECT_EQ(counted(loop_->counters().malformed), 10);
    EXPECT_TRUE(in_state(kA, core::SessionState::ready));
}

TEST_F(IoFaultsTest, OnlyTheBeginningOfLongBytesIsKept) {
    start();
    FakeWorker& a = ready_worker(kA);
    const auto kept = malformed(a, "results " + std::string(500'000, 'x'));
    EXPECT_EQ(kept.bytes, std::string(kMalformedBytesKept, 'x'));
    EXPECT_EQ(kept.topic, "results");
}

TEST_F(IoFaultsTest, AFloodOfThemIsCountedAndBounded) {
    mailbox_max_ = 3;
    start();
    FakeWorker& a = ready_worker(kA);
    for (int i = 0; i < 50; ++i) a.send_raw("results nonsense");
    ASSERT_TRUE(becomes([&] { return counted(loop_->counters().malformed) == 50; }));
    ASSERT_TRUE(becomes([&] { return counted(loop_->counters().malformed_dropped) == 47; }));
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(next_event<ports::Malformed>());
    EXPECT_EQ(waiting_events<ports::Malformed>(), 0);
}

TEST_F(IoFaultsTest, ATooLongFrameEndsItsConnectionAndTheWorkerComesBack) {
    options_.limits.result_bytes = 1000;
    start();
    FakeWorker& a = ready_worker(kA);
    FakeWorker& b = ready_worker(kB);
    a.send_raw("results " + std::string(2 * protocol::kInventoryBytesMax, 'x'));
    ASSERT_TRUE(eventually([&] { return counted(loop_->counters().heartbeats_received) > 0; },
                           [&](milliseconds limit) {
                               a.beat();
                               a.receive(limit);
                           }));
    b.send("results", b.result("unknown"_id, 1, 1));
    EXPECT_TRUE(next_event<ports::Report>());
}

TEST_F(IoFaultsTest, AFrameThatIsTooLargeIsRefusedByName) {
    options_.limits.result_bytes = 1000;
    start();
    FakeWorker& a = ready_worker(kA);
    auto batch = take_batch("b1"_id, kA, {1});
    auto result = a.result("b1"_id, 1, 1);
    result.output_json = "\"" + std::string(1000 + protocol::kEnvelopeBytesMax, 'x') + "\"";
    a.send("results", result);
    EXPECT_TRUE(next_event<ports::Report>()->too_large);
    result.output_json = "\"" + std::string(1000 + protocol::kEnvelopeBytesMax / 2, 'x') + "\"";
    a.send("results", result);
    EXPECT_FALSE(next_event<ports::Report>()->too_large);

    protocol::WorkerHeartbeat beat;
    beat.session = kA;
    beat.unacked.assign(10'000, {"b1"_id, 1, 1});
    a.send("workers", beat);
    ASSERT_TRUE(becomes([&] { return counted(loop_->counters().heartbeats_received) == 1; }))
        << "an inventory may be larger than a result";
    beat.unacked.assign(60'000, {"b1"_id, 1, 1});
    a.send("workers", beat);
    const auto refused = next_event<ports::Malformed>();
    EXPECT_EQ(refused->code, "too_large");
    EXPECT_EQ(refused->session, kA);
    EXPECT_NE(refused->reason.find("worker_heartbeat has"), std::string::npos) << refused->reason;
    EXPECT_EQ(registry_->snapshot().at(0).faults[0], 2);
    EXPECT_EQ(counted(loop_->counters().frames_too_large), 2);
    EXPECT_TRUE(in_state(kA, core::SessionState::ready)) << "its connection stands";
}

TEST_F(IoFaultsTest, AHelloThatIsTooLargeStopsItsWorkerAndNobodyElse) {
    start();
    FakeWorker& a = ready_worker(kA);
    FakeWorker& b = worker(kB);
    b.subscribe_all();
    auto hello = b.hello();
    hello.hello_nonce = "n-1";
    hello.unacked.assign(60'000, {"b1"_id, 1, 1});
    ASSERT_TRUE(eventually([&] { return b.waiting<protocol::Refused>() > 0; },
                           [&](milliseconds limit) {
                               b.send("workers", hello);
                               b.receive(limit);
                           }));
    const auto refused = b.next<protocol::Refused>();
    EXPECT_EQ(refused->code, protocol::kRefusedNotAllowed);
    EXPECT_EQ(refused->hello_nonce, "n-1");
    EXPECT_EQ(next_event<ports::Malformed>()->code, "too_large");
    hello.session = kA;
    b.send("workers", hello);
    // The hellos that were sent until one was answered come first.
    for (int i = 0; i < 50 && next_event<ports::Malformed>()->session != kA; ++i) ASSERT_LT(i, 49);
    EXPECT_EQ(a.waiting<protocol::Refused>(), 0) << "in its name, but not by it";
    EXPECT_TRUE(in_state(kA, core::SessionState::ready));
}

// Frames mutated at random: whatever comes, the loop goes on and answers.
TEST_F(IoFaultsTest, MutatedFramesDoNotHarm) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    start();
    FakeWorker& a = ready_worker(kA);
    const std::vector<std::string> frames = {"workers " + protocol::to_json(a.hello()),
                                             "results " + protocol::to_json(a.result("b1"_id, 1, 1)),
                                             "workers " + protocol::to_json(protocol::WorkerHeartbeat{}),
                                             "workers " + protocol::to_json(protocol::Ready{})};
    for (int i = 0; i < 5000; ++i) {
        std::string frame = frames[random() % frames.size()];
        for (int change = static_cast<int>(random() % 4); change >= 0; --change) {
            const std::size_t place = 8 + random() % (frame.size() - 8);
            switch (random() % 3) {
                case 0:
                    frame[place] = static_cast<char>(random());
                    break;
                case 1:
                    frame.erase(place, 1 + random() % 5);
                    break;
                default:
                    frame.insert(place, 1, "{}[],:\"0\\ \x01\xff"[random() % 12]);
            }
            if (frame.size() <= 9) break;
        }
        a.send_raw(frame);
        if (i % 100 == 0) {
            collect(milliseconds{0});
            events_.clear();
        }
    }
    a.send("results", a.result("the-end"_id, 1, 1));
    ASSERT_TRUE(eventually(
        [&] {
            for (const auto& event : events_) {
                const auto* report = std::get_if<ports::Report>(&event);
                if (report != nullptr && report->raw.find("the-end"_id) != std::string::npos) return true;
            }
            events_.clear();
            return false;
        },
        [&](milliseconds limit) {
            a.send("results", a.result("the-end"_id, 1, 1));  // unacked reports are sent again
            collect(limit);
        }));
}

}  // namespace
}  // namespace tasker::engine
