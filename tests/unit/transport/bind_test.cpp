// Binding: what is refused, how it is said, and what is left behind.
#include <gtest/gtest.h>

#include <array>
#include <filesystem>

#include "orchestrator/transport/command_router.hpp"
#include "orchestrator/transport/peer.hpp"
#include "orchestrator/transport/results_subscriber.hpp"
#include "orchestrator/transport/steps_publisher.hpp"
#include "tests/unit/transport/temp_dir.hpp"

namespace tasker::transport {
namespace {

using testing::TempDir;

class BindTest : public ::testing::Test {
  protected:
    std::string refusal(const std::string& endpoint) {
        try {
            const StepsPublisher publisher(context_, endpoint, 10);
        } catch (const BindError& error) {
            return error.what();
        }
        return "bound";
    }

    TempDir dir_;
    zmq::context_t context_;
};

TEST_F(BindTest, ASecondBindOnAnIpcPathIsRefusedAndTheFirstGoesOn) {
    const std::string endpoint = dir_.ipc("steps");
    StepsPublisher first(context_, endpoint, 10);
    const std::string text = refusal(endpoint);
    EXPECT_NE(text.find("cannot bind " + endpoint), std::string::npos) << text;
    EXPECT_NE(text.find("in use by process " + std::to_string(getpid())), std::string::npos) << text;
    EXPECT_NE(text.find("TASKER_STEPS_ENDPOINT"), std::string::npos) << text;

    zmq::socket_t worker(context_, zmq::socket_type::sub);
    worker.set(zmq::sockopt::linger, 0);
    worker.set(zmq::sockopt::subscribe, "steps ");
    worker.connect(endpoint);
    std::array items = {first.poll_item()};
    wait_for(items, std::chrono::milliseconds(5000));
    const auto change = first.next_change();
    ASSERT_TRUE(change.has_value()) << "the refused bind must not have taken the path away";
    EXPECT_EQ(change->topic, "steps ");
    EXPECT_EQ(change->kind, SubscriptionChange::Kind::subscribed);
}

TEST_F(BindTest, AnIpcPathIsFreeAgainAfterItsOwnerClosed) {
    const std::string endpoint = dir_.ipc("steps");
    { const StepsPublisher first(context_, endpoint, 10); }
    EXPECT_FALSE(std::filesystem::exists(dir_.path() / "steps")) << "the socket file is removed";
    EXPECT_EQ(refusal(endpoint), "bound");
}

TEST_F(BindTest, AStaleSocketFileOfADeadProcessIsNoObstacle) {
    const std::string endpoint = dir_.ipc("steps");
    std::filesystem::create_directory(dir_.path() / "elsewhere");
    {
        const StepsPublisher first(context_, endpoint, 10);
        std::filesystem::create_hard_link(dir_.path() / "steps", dir_.path() / "elsewhere/steps");
    }
    std::filesystem::rename(dir_.path() / "elsewhere/steps", dir_.path() / "steps");
    EXPECT_EQ(refusal(endpoint), "bound");
}

TEST_F(BindTest, TheSocketFileIsForOwnerAndGroup) {
    const StepsPublisher publisher(context_, dir_.ipc("steps"), 10);
    const auto permissions = std::filesystem::status(dir_.path() / "steps").permissions();
    EXPECT_EQ(permissions & std::filesystem::perms::all, std::filesystem::perms(0660));
}

TEST_F(BindTest, AMissingDirectoryIsNamed) {
    const std::string text = refusal(dir_.ipc("nowhere/steps"));
    EXPECT_NE(text.find("the directory " + (dir_.path() / "nowhere").string() + " does not exist"),
              std::string::npos)
        << text;
}

TEST_F(BindTest, ATcpPortInUseIsNamedWithWhatToDo) {
    const CommandRouter first(context_, "tcp://127.0.0.1:0", 1000);
    EXPECT_EQ(first.endpoint().find("tcp://127.0.0.1:"), 0U);
    EXPECT_NE(first.endpoint(), "tcp://127.0.0.1:0") << "the real port is told";
    const std::string text = refusal(first.endpoint());
    EXPECT_NE(text.find("cannot bind " + first.endpoint() + ": the address is in use"), std::string::npos)
        << text;
    EXPECT_NE(text.find("choose another steps endpoint"), std::string::npos) << text;
}

TEST_F(BindTest, NonsenseAndForeignAddressesAreNamed) {
    EXPECT_NE(refusal("nonsense").find("this is no endpoint"), std::string::npos) << refusal("nonsense");
    EXPECT_NE(refusal("carrier://pigeon").find("this is no endpoint"), std::string::npos);
    EXPECT_NE(refusal("tcp://192.0.2.1:5555").find("no such address"), std::string::npos)
        << refusal("tcp://192.0.2.1:5555");
}

TEST_F(BindTest, LocalhostAndIpv6AreBoundAndReached) {
    for (const std::string wanted : {"tcp://localhost:*", "tcp://[::1]:*", "tcp://[::]:*"}) {
        SCOPED_TRACE(wanted);
        StepsPublisher publisher(context_, wanted, 10);
        const std::string bound = publisher.endpoint();
        const std::string port = bound.substr(bound.rfind(':') + 1);
        zmq::socket_t worker(context_, zmq::socket_type::sub);
        worker.set(zmq::sockopt::linger, 0);
        worker.set(zmq::sockopt::subscribe, "steps ");
        const bool by_name = wanted == "tcp://localhost:*";
        worker.set(zmq::sockopt::ipv6, !by_name);
        worker.connect((by_name ? "tcp://localhost:" : "tcp://[::1]:") + port);
        std::array items = {publisher.poll_item()};
        wait_for(items, std::chrono::milliseconds(5000));
        EXPECT_TRUE(publisher.next_change().has_value()) << bound;
    }
}

// The socket identifies a connection: a number that is used again for something else is never touched.
TEST_F(BindTest, APeerIsItsSocketAndNotItsNumber) {
    for (const std::string& wanted : {dir_.ipc("steps"), std::string("tcp://127.0.0.1:*")}) {
        SCOPED_TRACE(wanted);
        StepsPublisher publisher(context_, wanted, 10);
        zmq::context_t elsewhere;
        zmq::socket_t worker(elsewhere, zmq::socket_type::sub);
        worker.set(zmq::sockopt::linger, 0);
        worker.set(zmq::sockopt::reconnect_ivl, -1);
        worker.set(zmq::sockopt::subscribe, "steps ");
        worker.connect(publisher.endpoint());
        std::array items = {publisher.poll_item()};
        wait_for(items, std::chrono::milliseconds(5000));
        const auto change = publisher.next_change();
        ASSERT_TRUE(change.has_value());
        const Peer peer = identify(change->descriptor, publisher.endpoint());
        ASSERT_GE(peer.fd, 0);
        EXPECT_NE(describe(peer), "");
        EXPECT_EQ(identify(change->descriptor, "tcp://127.0.0.1:1").fd, -1) << "a socket of somebody else";
        EXPECT_EQ(identify(0, publisher.endpoint()).fd, -1);
        EXPECT_FALSE(cut(Peer{peer.fd, peer.socket + 1}));
        EXPECT_TRUE(is_connected(peer));
        EXPECT_TRUE(cut(peer));
        wait_for(items, std::chrono::milliseconds(5000));
        const auto end = publisher.next_change();
        ASSERT_TRUE(end.has_value());
        EXPECT_EQ(end->kind, SubscriptionChange::Kind::unsubscribed);
    }
}

TEST_F(BindTest, AWildcardIpcEndpointIsToldAndRemoved) {
    std::string path;
    {
        const ResultsSubscriber subscriber(context_, "ipc://*", 1000);
        EXPECT_EQ(subscriber.endpoint().find("ipc://"), 0U);
        path = subscriber.endpoint().substr(6);
        EXPECT_TRUE(std::filesystem::exists(path));
    }
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(BindTest, AnEnormousSubscriptionEndsItsConnectionOnly) {
    StepsPublisher publisher(context_, dir_.ipc("steps"), 10);
    zmq::socket_t greedy(context_, zmq::socket_type::sub);
    greedy.set(zmq::sockopt::linger, 0);
    greedy.connect(publisher.endpoint());
    greedy.set(zmq::sockopt::subscribe, std::string(100'000, 'x'));
    zmq::socket_t modest(context_, zmq::socket_type::sub);
    modest.set(zmq::sockopt::linger, 0);
    modest.set(zmq::sockopt::subscribe, "steps ");
    modest.connect(publisher.endpoint());
    std::array items = {publisher.poll_item()};
    wait_for(items, std::chrono::milliseconds(5000));
    const auto change = publisher.next_change();
    ASSERT_TRUE(change.has_value());
    EXPECT_EQ(change->topic, "steps ");
    EXPECT_FALSE(publisher.next_change().has_value());
}

}  // namespace
}  // namespace tasker::transport
