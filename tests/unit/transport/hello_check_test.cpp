// Which names a hello may bring.
#include "orchestrator/engine/io/hello_check.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace tasker::engine {
namespace {

protocol::Hello hello_with(const std::function<void(protocol::Hello&)>& change) {
    protocol::Hello hello;
    hello.worker_id = "käufer-🛒";
    hello.host = "w1.example.org";
    hello.language = "ruby";
    hello.sdk_version = "1.0.0";
    hello.namespaces = {"*"};
    hello.handlers = {"Order::*"};
    change(hello);
    return hello;
}
std::string fault(const std::function<void(protocol::Hello&)>& change) {
    return fault_of(hello_with(change)).value_or("");
}

TEST(HelloCheck, OrdinaryNamesPass) {
    EXPECT_EQ(fault([](auto&) {}), "");
    EXPECT_EQ(fault([](auto& h) { h.host = "a b=c;\"'{}\\ é\u00a0\u2027\u202f\u2065\u206a"; }), "");
    EXPECT_EQ(fault([](auto& h) { h.hello_nonce = std::string(kNonceBytesMax, 'x'); }), "");
}

TEST(HelloCheck, ControlCharactersArePlacedNowhere) {
    for (const char* bad : {"\n", "\r", "\t", "\x1b[2J", "\x7f", "\u0080", "\u009b", "\u2028", "\u2029",
                            "\u202a", "\u202e", "\u2066", "\u2069"}) {
        const std::string name = std::string("a") + bad + "b";
        EXPECT_EQ(fault([&](auto& h) { h.worker_id = name; }), "worker_id holds a control character");
        EXPECT_EQ(fault([&](auto& h) { h.host = name; }), "host holds a control character");
        EXPECT_EQ(fault([&](auto& h) { h.language = name; }), "language holds a control character");
        EXPECT_EQ(fault([&](auto& h) { h.sdk_version = name; }), "sdk_version holds a control character");
        EXPECT_EQ(fault([&](auto& h) {
                      h.namespaces = {"n", name};
                  }),
                  "namespaces holds a control character");
        EXPECT_EQ(fault([&](auto& h) { h.handlers = {"H", name}; }), "handlers holds a control character");
        EXPECT_NE(fault([&](auto& h) { h.hello_nonce = name; }), "");
    }
}

TEST(HelloCheck, LengthsAreOfCharactersAndBounded) {
    std::string most;
    for (std::size_t i = 0; i < kNameCharactersMax; ++i) most += "ü";
    EXPECT_EQ(fault([&](auto& h) { h.worker_id = most; }), "");
    EXPECT_EQ(fault([&](auto& h) { h.worker_id = most + "x"; }),
              "worker_id has 256 characters, at most 255 are allowed");
    EXPECT_EQ(fault([&](auto& h) { h.handlers = {most + "x"}; }),
              "handlers has 256 characters, at most 255 are allowed");
    EXPECT_NE(fault([&](auto& h) { h.hello_nonce = std::string(kNonceBytesMax + 1, 'x'); }), "");
    EXPECT_EQ(fault([](auto& h) { h.handlers.assign(kNamesBytesMax / 128 - 1, std::string(128, 'x')); }), "");
    EXPECT_EQ(fault([](auto& h) { h.handlers.assign(10'000, std::string(200, 'x')); }),
              "namespaces and handlers have 2000001 bytes, at most 262144 are allowed");
}

}  // namespace
}  // namespace tasker::engine
