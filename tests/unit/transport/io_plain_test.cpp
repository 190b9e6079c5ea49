// Plain mode on real sockets.
#include "tests/unit/transport/fake_worker.hpp"

namespace tasker::engine {
namespace {

class IoPlainTest : public IoTest {
  protected:
    IoPlainTest() { options_.timers.lease = milliseconds{100}; }

    zmq::socket_t plain_subscriber(const std::string& topic) {
        zmq::socket_t socket(context_, zmq::socket_type::sub);
        socket.set(zmq::sockopt::linger, 0);
        socket.set(zmq::sockopt::subscribe, topic);
        socket.set(zmq::sockopt::rcvtimeo, static_cast<int>(kLimit.count()));
        socket.connect(loop_->steps_endpoint());
        return socket;
    }
    std::vector<core::CreditOffer> offer() {
        std::vector<core::CreditOffer> offers;
        EXPECT_TRUE(becomes([&] {
            offers = registry_->reserve(0);
            return !offers.empty();
        }));
        return offers;
    }
    std::int32_t subscriptions() {
        return registry_->with([](auto& registry) { return registry.plain().subscriptions(); });
    }
    void publish_plain(const std::string& uuid, std::vector<std::int64_t> steps) {
        auto batch = make_batch(uuid, "", steps);
        registry_->settle(0, offer(), {{uuid, "", "Echo", std::move(steps)}});
        loop_->send(ports::PublishBatches{{std::move(batch)}});
    }
    static std::string received(zmq::socket_t& socket) {
        zmq::message_t frame;
        return socket.recv(frame) ? frame.to_string() : "nothing";
    }
};

TEST_F(IoPlainTest, OnePlainWorkerGetsOneBatchAtATime) {
    start();
    zmq::socket_t steps = plain_subscriber("steps ");
    publish_plain("b1"_id, {1, 2});
    EXPECT_EQ(received(steps), "steps " + make_batch("b1"_id, "", {1, 2}).message);
    EXPECT_TRUE(registry_->reserve(0).empty()) << "one open batch at a time";

    FakeWorker& reporter = worker(kA);
    auto result = reporter.result("b1"_id, 1, 1);
    result.session.reset();
    result.attempt.reset();
    protocol::BatchCompletion completion;
    completion.batch_id = "b1"_id;
    completion.completed_at = "2026-01-01T00:00:00Z";
    completion.worker_id = "plain";
    completion.sequence = 3;
    ASSERT_TRUE(eventually([&] { return waiting_events<ports::Report>() > 0; },
                           [&](milliseconds limit) {
                               reporter.send("results", result);
                               collect(limit);
                           }));
    EXPECT_TRUE(registry_->reserve(0).empty());
    reporter.send("results", completion);  // the partial of step 2 was lost: the worker is free all the same
    publish_plain("b2"_id, {3});
    EXPECT_NE(received(steps).find("b2"_id), std::string::npos);
}

TEST_F(IoPlainTest, ASecondPlainSubscriberStopsPlainMode) {
    start();
    zmq::socket_t first = plain_subscriber("steps ");
    const auto offers = offer();
    zmq::socket_t second = plain_subscriber("steps");
    ASSERT_TRUE(becomes([&] { return subscriptions() == 2; }));
    // The turn had its credit already: the batch comes back, proven unsent.
    registry_->settle(0, offers, {{"b1"_id, "", "Echo", {1}}});
    loop_->send(ports::PublishBatches{{make_batch("b1"_id, "", {1})}});
    EXPECT_EQ(next_event<ports::Undelivered>()->batch_uuid, "b1"_id);
    EXPECT_TRUE(registry_->reserve(0).empty());
    second.close();
    ASSERT_TRUE(becomes([&] { return subscriptions() == 1; }));
    publish_plain("b2"_id, {2});
    EXPECT_NE(received(first).find("b2"_id), std::string::npos) << "b1 was never sent";
}

TEST_F(IoPlainTest, TheOldTopicWithoutItsSpaceCounts) {
    start();
    zmq::socket_t steps = plain_subscriber("steps");
    publish_plain("b1"_id, {1});
    EXPECT_EQ(received(steps).substr(0, 7), "steps {");
}

TEST_F(IoPlainTest, BroaderSubscriptionsAndForeignFramesDoNotCount) {
    start();
    zmq::socket_t all = plain_subscriber("");
    zmq::socket_t prefix = plain_subscriber("step");
    zmq::socket_t upstream(context_, zmq::socket_type::xsub);
    upstream.set(zmq::sockopt::linger, 0);
    upstream.connect(loop_->steps_endpoint());
    upstream.send(zmq::str_buffer("not a subscription"), zmq::send_flags::none);
    EXPECT_EQ(next_event<ports::Malformed>()->bytes, "not a subscription");
    EXPECT_EQ(subscriptions(), 0);
    EXPECT_TRUE(registry_->reserve(0).empty());
}

TEST_F(IoPlainTest, AnAdoptedPlainBatchIsNotSentAgain) {
    make();
    loop_->send(ports::AdoptBatches{0, {{make_batch("b1"_id, "", {1}), true}}});
    loop_->start();
    zmq::socket_t steps = plain_subscriber("steps ");
    ASSERT_TRUE(becomes([&] { return subscriptions() == 1; }));
    EXPECT_TRUE(registry_->reserve(0).empty()) << "its results are awaited";
    loop_->send(ports::ForgetBatches{{"b1"_id}});
    publish_plain("b2"_id, {2});
    EXPECT_NE(received(steps).find("b2"_id), std::string::npos);
}

}  // namespace
}  // namespace tasker::engine
