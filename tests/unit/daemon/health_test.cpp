#include "orchestrator/daemon/health.hpp"

#include <gtest/gtest.h>

namespace tasker {
namespace {

class Health : public ::testing::Test {
  protected:
    nlohmann::json document(bool detailed) {
        return health_document({"orchestrator-1",
                                7,
                                std::chrono::milliseconds(1500),
                                {&first_, &second_},
                                io_,
                                [this] { return ++asked_, sessions_; }},
                               detailed);
    }

    engine::ListenerCounters first_;
    engine::ListenerCounters second_;
    engine::IoCounters io_;
    std::vector<core::SessionView> sessions_;
    int asked_ = 0;
};

TEST_F(Health, TheShortDocumentSaysWhoServesAndSinceWhen) {
    EXPECT_EQ(document(false), (nlohmann::json{{"status", "healthy"},
                                               {"database", "reachable"},
                                               {"instance", "orchestrator-1"},
                                               {"epoch", 7},
                                               {"uptime_ms", 1500}}));
    EXPECT_EQ(asked_, 0) << "a probe each second must not copy the worker list";
}

TEST_F(Health, OneLaneWithoutItsDatabaseDegradesTheWhole) {
    second_.database_reachable = false;
    const auto shown = document(true);
    EXPECT_EQ(shown["status"], "degraded");
    EXPECT_EQ(shown["database"], "unreachable");
    EXPECT_EQ(shown["lanes"][0]["database"], "reachable");
    EXPECT_EQ(shown["lanes"][1]["database"], "unreachable");
}

TEST_F(Health, CountersOfTheLanesAreSummedAndShownOneByOne) {
    first_.turns = 3;
    second_.turns = 4;
    second_.orphans = 1;
    io_.batches_sent = 9;
    const auto shown = document(true);
    EXPECT_EQ(shown["listener"]["turns"], 7);
    EXPECT_EQ(shown["listener"]["orphans"], 1);
    EXPECT_EQ(shown["lanes"].size(), 2U);
    EXPECT_EQ(shown["lanes"][0]["turns"], 3);
    EXPECT_EQ(shown["lanes"][1]["lane"], 1);
    EXPECT_EQ(shown["io"]["batches_sent"], 9);
    // Each lane shows what the sum shows, and its number and database besides.
    EXPECT_EQ(shown["lanes"][0].size(), shown["listener"].size() + 2);
}

TEST_F(Health, WorkersAreListedWithTheirState) {
    core::SessionView view;
    view.spec.session = "00000000000000aa";
    view.spec.worker_id = "payments-1";
    view.spec.language = "ruby";
    view.spec.capacity = 10;
    view.state = core::SessionState::ready;
    view.in_flight = 4;
    sessions_ = {view};
    EXPECT_EQ(document(true)["workers"], nlohmann::json::array({{{"session", "00000000000000aa"},
                                                                 {"worker_id", "payments-1"},
                                                                 {"language", "ruby"},
                                                                 {"state", "ready"},
                                                                 {"in_flight", 4},
                                                                 {"capacity", 10}}}));
}

TEST_F(Health, AStandbySaysThatItIsOne) {
    EXPECT_EQ(
        standby_health_document("orchestrator-2"),
        (nlohmann::json{{"status", "standby"}, {"database", "reachable"}, {"instance", "orchestrator-2"}}));
}

}  // namespace
}  // namespace tasker
