#include "orchestrator/options/endpoint.hpp"

#include <gtest/gtest.h>

namespace tasker::options {
namespace {

TEST(EndpointFault, AcceptsWhatZeroMqCanBind) {
    for (const char* endpoint : {"tcp://127.0.0.1:5555", "tcp://*:5555", "tcp://[::1]:1", "tcp://localhost:0",
                                 "tcp://127.0.0.1:*", "ipc:///run/x.sock", "ipc://*", "inproc://steps"}) {
        EXPECT_EQ(endpoint_fault(endpoint, EndpointUse::bind), std::nullopt) << endpoint;
    }
}

TEST(EndpointFault, RefusesWhatItCannot) {
    for (const char* endpoint :
         {"", "5555", "tcp://", "tcp://127.0.0.1", "tcp://:5555", "tcp://h:65536", "tcp://h:-1", "tcp://h:5x",
          "tcp://a b:1", "udp://h:1", "ipc://", "inproc://", "ipc:///a\n"}) {
        EXPECT_NE(endpoint_fault(endpoint, EndpointUse::bind), std::nullopt) << endpoint;
    }
}

TEST(EndpointFault, IpcPathsEndWhereTheSystemCutsThem) {
    EXPECT_EQ(endpoint_fault("ipc://" + std::string(107, 'x'), EndpointUse::bind), std::nullopt);
    EXPECT_EQ(endpoint_fault("ipc://" + std::string(108, 'x'), EndpointUse::bind),
              "has a path of 108 bytes, the system allows 107");
}

TEST(EndpointFault, NobodyConnectsToAWildcard) {
    for (const char* endpoint : {"tcp://*:5555", "tcp://h:0", "tcp://h:*", "ipc://*"}) {
        EXPECT_NE(endpoint_fault(endpoint, EndpointUse::connect), std::nullopt) << endpoint;
    }
}

TEST(IsLocal, OnlySpelledOutLoopbackCounts) {
    for (const char* address : {"tcp://127.0.0.1:1", "tcp://127.9.9.9:1", "tcp://localhost:1",
                                "tcp://[::1]:1", "ipc:///x", "inproc://x", "127.0.0.1:8080", "off"}) {
        EXPECT_TRUE(is_local(address)) << address;
    }
    for (const char* address :
         {"tcp://*:1", "tcp://0.0.0.0:1", "tcp://10.0.0.1:1", "tcp://eth0:1", "tcp://[::]:1",
          "tcp://127.evil.example:1", "0.0.0.0:8080", "*:80", "tcp://lo:1"}) {
        EXPECT_FALSE(is_local(address)) << address;
    }
}

TEST(ConnectForm, WildcardsBecomeLoopback) {
    EXPECT_EQ(connect_form("tcp://*:5555"), "tcp://127.0.0.1:5555");
    EXPECT_EQ(connect_form("tcp://0.0.0.0:5555"), "tcp://127.0.0.1:5555");
    EXPECT_EQ(connect_form("tcp://[::]:5555"), "tcp://[::1]:5555");
    EXPECT_EQ(connect_form("tcp://10.0.0.1:5555"), "tcp://10.0.0.1:5555");
    EXPECT_EQ(connect_form("ipc:///run/x"), "ipc:///run/x");
}

}  // namespace
}  // namespace tasker::options
