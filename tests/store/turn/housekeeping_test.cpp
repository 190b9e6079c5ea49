// The connections beside the lane's: wake-ups, the heartbeat, the worker list.
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "orchestrator/ports/database_error.hpp"
#include "orchestrator/store/housekeeping_store.hpp"
#include "orchestrator/store/wake_payload.hpp"
#include "tests/store/turn/scene.hpp"

namespace tasker::store {
namespace {

TEST(ParseWake, KnowsItsThreePayloadsAndTakesAnythingElseForAScan) {
    EXPECT_EQ(parse_wake("keys:3,14").keys, (std::vector<std::int32_t>{3, 14}));
    EXPECT_FALSE(parse_wake("keys:3,14").full_scan);
    EXPECT_EQ(parse_wake("keys:3,14").from, core::ReadyPosition{});
    EXPECT_EQ(parse_wake("keys:3,14;from:0:900").keys, (std::vector<std::int32_t>{3, 14}));
    EXPECT_EQ(parse_wake("keys:3,14;from:0:900").from, core::ReadyPosition::of(0, 900));
    EXPECT_FALSE(parse_wake("keys:3,14;from:0:900").shard);
    EXPECT_EQ(parse_wake("keys:3,14;from:0:900;shard:17").shard, 17);
    EXPECT_EQ(parse_wake("keys:3;from:-32768:1").from, core::ReadyPosition::of(-32768, 1));
    EXPECT_TRUE(parse_wake("templates").definitions);
    EXPECT_FALSE(parse_wake("templates").full_scan);
    for (const char* payload : {"",
                                "scan",
                                "keys:x",
                                "keys:1,x",
                                "keys:99999999999",
                                "Templates",
                                "keys:",
                                "keys:1;2",
                                "keys:1,",
                                "keys:1 ",
                                "keys:-1",
                                "keys:1,-0",
                                "keys:1;from:",
                                "keys:1;from:1",
                                "keys:1;from:--1:2",
                                "keys:1;from:1:-2",
                                "keys:1;from:1:2 ",
                                "keys:1;from:9999999999:2",
                                "keys:1;from:0:2;shard:",
                                "keys:1;from:0:2;shard:-1"}) {
        EXPECT_TRUE(parse_wake(payload).full_scan) << payload;
    }
}

class Housekeeping : public ::testing::Test {
  protected:
    static core::SessionView view(const std::string& session, core::SessionState state) {
        core::SessionView view;
        view.spec.session = session;
        view.spec.worker_id = "worker \"" + session + "\"";
        view.spec.handlers = {"Pay", "Ship::*"};
        view.spec.namespaces = {"*"};
        view.spec.language = "ruby";
        view.spec.host = "host";
        view.spec.pid = 42;
        view.spec.capacity = 4;
        view.state = state;
        view.in_flight = 2;
        view.limit = 8;
        view.free = state == core::SessionState::ready ? 6 : 0;
        view.heartbeat_age = std::chrono::milliseconds(1500);
        return view;
    }
    Scene scene;
    HousekeepingStore store{scene.url(), scene.epoch()};
};

TEST_F(Housekeeping, BeatsWhileItsEpochRulesAndSaysWhenItDoesNot) {
    scene.execute("UPDATE tasker_orchestrators SET last_seen_at = '2020-01-01'");
    store.beat();
    EXPECT_EQ(scene.one("SELECT last_seen_at > now() - interval '1 min' FROM tasker_orchestrators"), "t");
    store.set_state("serving", R"({"steps":"ipc:///x"})");
    EXPECT_EQ(scene.one("SELECT state || (endpoints->>'steps') FROM tasker_orchestrators"),
              "servingipc:///x");
    scene.execute("UPDATE tasker_orchestrators SET epoch = epoch + 1");
    EXPECT_THROW(store.beat(), ports::EpochLost);
    store.set_state("stopped", "{}");
    EXPECT_EQ(scene.one("SELECT state FROM tasker_orchestrators"), "serving")
        << "a predecessor changes nothing";
}

TEST_F(Housekeeping, WritesTheWorkerListAndMarksThoseThatAreGone) {
    store.write_workers({view("aaaa", core::SessionState::ready), view("bbbb", core::SessionState::greeted)},
                        {"aaaa", "bbbb"});
    EXPECT_EQ(
        scene.list(
            "SELECT session || '|' || worker_id || '|' || state || '|' || in_flight || '|' || capacity || "
            "'|' || handlers || '|' || host || '|' || pid FROM tasker_workers ORDER BY session"),
        R"(aaaa|worker "aaaa"|ready|2|4|["Pay", "Ship::*"]|host|42 bbbb|worker "bbbb"|greeted|2|4|["Pay", "Ship::*"]|host|42)");
    EXPECT_EQ(scene.one("SELECT round(extract(epoch FROM clock_timestamp() - last_heartbeat_at)) >= 1 FROM "
                        "tasker_workers LIMIT 1"),
              "t");
    EXPECT_EQ(scene.list("SELECT credit_limit || '/' || free_credit FROM tasker_workers ORDER BY session"),
              "8/6 8/0");
    store.write_workers({view("bbbb", core::SessionState::ready)}, {"bbbb"});
    EXPECT_EQ(scene.list("SELECT credit_limit || '/' || free_credit FROM tasker_workers ORDER BY session"),
              "8/0 8/6");
    EXPECT_EQ(scene.list("SELECT session || state || in_flight FROM tasker_workers ORDER BY session"),
              "aaaagone0 bbbbready2");
    store.write_workers({}, {});
    EXPECT_EQ(scene.list("SELECT DISTINCT state FROM tasker_workers"), "gone");
}

TEST_F(Housekeeping, AStepThatIsNeverDueSetsNoTimer) {
    scene.submit(scene.draw("one", "a\n"));
    scene.execute("UPDATE tasker_workflow_steps SET ready_key = NULL, next_attempt_at = 'infinity'");
    EXPECT_EQ(scene.store().next_due_in_ms(), std::nullopt);
}

TEST_F(Housekeeping, ASessionThatLeftStaysSo) {
    store.write_workers({view("aaaa", core::SessionState::left), view("bbbb", core::SessionState::lost)}, {});
    EXPECT_EQ(scene.list("SELECT session || state FROM tasker_workers ORDER BY 1"), "aaaaleft bbbbgone");
}

TEST_F(Housekeeping, LeavesSessionsOfAnEarlierEpochTimeToComeBack) {
    store.write_workers({view("aaaa", core::SessionState::ready)}, {"aaaa"});
    HousekeepingStore successor{scene.url(), scene.epoch() + 1};
    successor.write_workers({}, {});
    EXPECT_EQ(scene.one("SELECT state FROM tasker_workers"), "ready");
    scene.execute("UPDATE tasker_workers SET last_heartbeat_at = now() - interval '2 min'");
    successor.write_workers({}, {});
    EXPECT_EQ(scene.one("SELECT state FROM tasker_workers"), "gone");
}

TEST_F(Housekeeping, AnnouncesEndedTasksOnTheirChannel) {
    postgres::Connection listener(scene.url());
    listener.listen("tasker_done");
    store.notify_done({7, 8});
    std::vector<std::string> payloads;
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (payloads.size() < 2 && std::chrono::steady_clock::now() < limit) {
        for (const auto& notification : listener.take_notifications())
            payloads.push_back(notification.payload);
    }
    EXPECT_EQ(payloads, (std::vector<std::string>{"7", "8"}));
}

TEST_F(Housekeeping, WakeConnectionWaitsForNotificationsTheStopAndItsTimeout) {
    WakeConnection wake(scene.url());
    const int stop = ::eventfd(0, EFD_NONBLOCK);
    EXPECT_TRUE(wake.wait(stop, 0).empty());
    scene.execute("NOTIFY tasker_wake, 'keys:5'");
    const auto wakes = wake.wait(stop, 20'000);
    ASSERT_EQ(wakes.size(), 1U);
    EXPECT_EQ(wakes[0].keys, std::vector<std::int32_t>{5});
    ASSERT_EQ(::eventfd_write(stop, 1), 0);
    const auto start = std::chrono::steady_clock::now();
    EXPECT_TRUE(wake.wait(stop, 60'000).empty());
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
    ::close(stop);
    scene.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
        "'tasker-orchestrator wake' AND datname = current_database()");
    // The server's farewell is read first, the end of the connection after it.
    int lost = 0;
    for (int waits = 0; lost == 0 && waits < 3; ++waits) {
        try {
            wake.wait(-1, 20'000);
        } catch (const ports::DatabaseError& error) {
            ++lost;
            EXPECT_EQ(error.fault(), ports::DatabaseFault::connection) << error.what();
        }
    }
    EXPECT_EQ(lost, 1);
}

}  // namespace
}  // namespace tasker::store
