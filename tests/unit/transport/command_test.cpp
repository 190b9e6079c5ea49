// The command endpoint: the answers, and the way there with REQ and DEALER.
#include "tests/unit/transport/fake_worker.hpp"

namespace tasker::engine {
namespace {

using nlohmann::json;

class CommandTest : public IoTest {
  protected:
    json answer(const std::string& request) { return json::parse(answer_command(request, health_)); }
    std::string code(const std::string& request) {
        const json reply = answer(request);
        EXPECT_EQ(reply["ok"], false);
        EXPECT_FALSE(reply["error"]["message"].get<std::string>().empty());
        return reply["error"]["code"];
    }
    json ask(zmq::socket_t& socket, const std::string& request) {
        socket.send(zmq::buffer(request), zmq::send_flags::none);
        return reply_on(socket);
    }
    json reply_on(zmq::socket_t& socket) {
        socket.set(zmq::sockopt::rcvtimeo, static_cast<int>(kLimit.count()));
        zmq::message_t reply;
        if (!socket.recv(reply)) return {{"timeout", true}};
        return json::parse(reply.to_string());
    }
};

TEST_F(CommandTest, HealthCheckInBothLevels) {
    EXPECT_EQ(answer(R"({"command":"health_check"})"), json({{"ok", true}, {"detailed", false}}));
    EXPECT_EQ(answer(R"({"command":"health_check","level":null})"),
              json({{"ok", true}, {"detailed", false}}));
    EXPECT_EQ(answer(R"({"command":"health_check","level":"basic"})"),
              json({{"ok", true}, {"detailed", false}}));
    EXPECT_EQ(answer(R"({"command":"health_check","level":"detailed"})"),
              json({{"ok", true}, {"detailed", true}}));
}

TEST_F(CommandTest, WhatIsWrongIsNamed) {
    EXPECT_EQ(code("nonsense"), "malformed_json");
    EXPECT_EQ(code(""), "malformed_json");
    EXPECT_EQ(code("[]"), "wrong_type");
    EXPECT_EQ(code("{}"), "missing_field");
    EXPECT_EQ(code(R"({"command":7})"), "wrong_type");
    EXPECT_EQ(code(R"({"command":"health_check","level":"full"})"), "out_of_range");
    EXPECT_EQ(code(R"({"command":"health_check","level":1})"), "wrong_type");
    EXPECT_EQ(code("{\"command\":\"\xff\"}"), "malformed_json");
    const json unknown = answer(R"({"command":"cancel_task","task_id":1})");
    EXPECT_EQ(unknown["error"]["code"], "unknown_command");
    EXPECT_EQ(unknown["error"]["field"], "command");
    EXPECT_NE(unknown["error"]["message"].get<std::string>().find("known: health_check"), std::string::npos);
}

TEST_F(CommandTest, AFailingHealthSourceIsAnAnswerToo) {
    health_ = [](bool) -> json { throw std::runtime_error("no figures"); };
    EXPECT_EQ(code(R"({"command":"health_check"})"), "internal");
}

TEST_F(CommandTest, RequAndDealerAreAnswered) {
    start();
    zmq::socket_t req(context_, zmq::socket_type::req);
    req.set(zmq::sockopt::linger, 0);
    req.connect(loop_->command_endpoint());
    EXPECT_EQ(ask(req, R"({"command":"health_check"})")["ok"], true);
    EXPECT_EQ(ask(req, "?")["error"]["code"], "malformed_json");
    EXPECT_EQ(ask(req, R"({"command":"health_check","level":"detailed"})")["detailed"], true);

    zmq::socket_t dealer(context_, zmq::socket_type::dealer);
    dealer.set(zmq::sockopt::linger, 0);
    dealer.connect(loop_->command_endpoint());
    EXPECT_EQ(ask(dealer, R"({"command":"health_check"})")["ok"], true);
    dealer.send(zmq::str_buffer("{}"), zmq::send_flags::sndmore);
    EXPECT_EQ(ask(dealer, "{}")["error"]["code"], "bad_frame");
    EXPECT_EQ(counted(loop_->counters().commands), 5);
}

}  // namespace
}  // namespace tasker::engine
