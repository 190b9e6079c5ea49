// tasker_create_tasks(): whole tasks, and one task per identity whatever comes together.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tests/store/turn/scene.hpp"

namespace tasker::store {
namespace {

class CreateTasks : public ::testing::Test {
  protected:
    void SetUp() override { template_id = scene.draw("chain", "a\nb <- a\n"); }
    void TearDown() override { EXPECT_EQ(scene.violations(), std::vector<std::string>{}); }

    std::string request(const std::string& hash, const std::string& context_hash,
                        const std::string& more = "") const {
        return R"({"task_template_id":)" + std::to_string(template_id) +
               R"(,"scope":"shop/chain","identity_hash":")" + hash + R"(","context_hash":")" + context_hash +
               "\"" + more + "}";
    }
    // task_id|existing|step_count|problem of each request.
    template <typename Session>
    static std::string create(Session& session, const std::string& requests) {
        std::string text;
        for (const auto& row : session.query(
                 "SELECT coalesce(task_id::text, '-') || '|' || existing || '|' || step_count || '|' || "
                 "coalesce(problem, '-') FROM tasker_create_tasks($1::jsonb)",
                 requests)) {
            text += (text.empty() ? "" : " ") + row[0].template as<std::string>();
        }
        return text;
    }
    std::string create(const std::string& requests) { return create(scene.sql(), requests); }

    Scene scene;
    int template_id = 0;
};

TEST_F(CreateTasks, MakesTaskStepsEdgesCountersAndTransitionsAtOnce) {
    const auto task =
        scene.submit(scene.draw("diamond", "a\nb <- a\nc <- a\nd <- b c\n"),
                     R"({"context":{"x":1},"tags":["t"],"priority":3,"initiator":"me","reason":"why"})");
    EXPECT_EQ(
        scene.one(
            "SELECT state || ' ' || open_steps || ' ' || movable_steps || ' ' || priority || ' ' || context "
            "|| ' ' || tags || ' ' || initiator FROM tasker_tasks"),
        R"(pending 4 1 3 {"x": 1} ["t"] me)");
    EXPECT_EQ(
        scene.list(
            "SELECT name || ':' || remaining_parents || ':' || (ready_key IS NOT NULL) || ':' || priority "
            "FROM tasker_workflow_steps ORDER BY workflow_step_id"),
        "a:0:true:3 b:1:false:3 c:1:false:3 d:2:false:3");
    EXPECT_EQ(scene.list(
                  "SELECT p.name || c.name FROM tasker_workflow_step_edges e JOIN tasker_workflow_steps p ON "
                  "p.workflow_step_id = e.from_step_id JOIN tasker_workflow_steps c ON c.workflow_step_id = "
                  "e.to_step_id WHERE e.task_id = " +
                  std::to_string(task) + " ORDER BY 1"),
              "ab ac bd cd");
}

TEST_F(CreateTasks, AnswersInTheOrderOfTheRequestsAndLeavesOutOnlyTheFaultyOnes) {
    const std::string good = R"({"task_template_id":)" + std::to_string(template_id) + "}";
    const auto answer = create("[" + good + R"(,{"namespace":"shop","name":"typo"},)" +
                               R"({"namespace":"shop","name":"chain","version":"9.9"},)" +
                               R"({"namespace":"shop","name":"chain"}])");
    EXPECT_EQ(answer, "1|false|2|- -|false|0|unknown_template -|false|0|unknown_template 2|false|2|-");
    EXPECT_EQ(scene.number("SELECT count(*) FROM tasker_tasks"), 2);
    EXPECT_EQ(create("[]"), "");
}

TEST_F(CreateTasks, RepeatedIdentityReturnsTheTaskThatExists) {
    EXPECT_EQ(create("[" + request("k", "c") + "]"), "1|false|2|-");
    EXPECT_EQ(create("[" + request("k", "c") + "]"), "1|true|2|-");
    EXPECT_EQ(create("[" + request("k", "other") + "]"), "1|true|0|idempotency_conflict");
    EXPECT_EQ(scene.number("SELECT count(*) FROM tasker_tasks"), 1);
    EXPECT_EQ(scene.number("SELECT count(*) FROM tasker_workflow_steps"), 2);
}

TEST_F(CreateTasks, RepeatedIdentityWithinOneCallCountsOnce) {
    EXPECT_EQ(create("[" + request("k", "c") + "," + request("k", "c") + "," + request("k", "d") + "]"),
              "1|false|2|- 1|true|2|- 1|true|0|idempotency_conflict");
    EXPECT_EQ(scene.number("SELECT count(*) FROM tasker_tasks"), 1);
}

TEST_F(CreateTasks, AnIdentityCountsWithinItsScopeOnly) {
    auto other = request("k", "c");
    other.replace(other.find("shop/chain"), 10, "shop/other");
    EXPECT_EQ(create("[" + request("k", "c") + "," + other + "]"), "1|false|2|- 2|false|2|-");
}

TEST_F(CreateTasks, AnExpiredIdentityIsFree) {
    EXPECT_EQ(create("[" + request("k", "c", R"(,"identity_expires_at":"2020-01-01T00:00:00Z")") + "]"),
              "1|false|2|-");
    EXPECT_EQ(create("[" + request("k", "other", R"(,"identity_expires_at":"2999-01-01T00:00:00Z")") + "]"),
              "2|false|2|-");
    EXPECT_EQ(create("[" + request("k", "other") + "]"), "2|true|2|-");
}

// The second submission waits for the first one's transaction and then sees its task, or makes its own.
TEST_F(CreateTasks, TwoConnectionsAtOnceMakeOneTask) {
    for (const bool first_commits : {true, false}) {
        const std::string key = first_commits ? "committed" : "rolled back";
        Connection first(scene.url());
        auto transaction = first.begin();
        const auto mine = create(transaction, "[" + request(key, "c") + "]");
        std::string theirs;
        std::thread second([&] {
            ConnectionSettings settings;
            settings.application_name = "second submitter";
            Connection connection(scene.url(), settings);
            theirs = create(connection, "[" + request(key, "c") + "]");
        });
        const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        int waiting = 0;
        while (waiting == 0 && std::chrono::steady_clock::now() < limit) {
            waiting = static_cast<int>(scene.number(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'second submitter' AND "
                "datname = current_database() AND wait_event_type = 'Lock'"));
        }
        EXPECT_EQ(waiting, 1);
        first_commits ? transaction.commit() : transaction.roll_back();
        second.join();
        const auto id = mine.substr(0, mine.find('|'));
        EXPECT_EQ(mine, id + "|false|2|-");
        if (first_commits) {
            EXPECT_EQ(theirs, id + "|true|2|-");
        } else {
            EXPECT_NE(theirs.find("|false|2|-"), std::string::npos) << theirs;
        }
    }
    EXPECT_EQ(scene.number("SELECT count(*) FROM tasker_tasks"), 2);
}

TEST_F(CreateTasks, WakesTheOrchestratorWithTheKeysOfTheRoots) {
    Connection listener(scene.url());
    listener.listen("tasker_wake");
    const auto pair = scene.draw("pair", "a @A\nb @B <- a\n");
    scene.submit(pair);
    scene.submit(pair, R"({"not_before":"2999-01-01T00:00:00Z"})");
    std::vector<std::string> payloads;
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (payloads.size() < 3 && std::chrono::steady_clock::now() < limit) {
        for (const auto& notification : listener.take_notifications())
            payloads.push_back(notification.payload);
    }
    const auto shard = scene.one("SELECT shard FROM tasker_tasks ORDER BY task_id LIMIT 1");
    // A held task asks for a scan, because only that sets the timer of the next due step anew.
    EXPECT_EQ(
        payloads,
        (std::vector<std::string>{
            "templates", "keys:" + std::to_string(scene.key_of("A")) + ";from:0:1;shard:" + shard, "scan"}));
}

TEST_F(CreateTasks, ChangedContentBecomesTheNextRevisionAndOldTasksKeepTheirs) {
    const auto before = scene.submit(template_id);
    EXPECT_EQ(scene.draw("chain", "a\nb <- a\n"), template_id) << "unchanged content is left alone";
    const auto changed = scene.draw("chain", "a\nb <- a\nc <- b\n");
    EXPECT_NE(changed, template_id);
    const auto after = scene.submit(changed);
    EXPECT_EQ(scene.list("SELECT template_revision || ':' || open_steps FROM tasker_tasks ORDER BY task_id"),
              "1:2 2:3");
    EXPECT_NE(before, after);
    EXPECT_EQ(create(R"([{"namespace":"shop","name":"chain"}])"), "3|false|3|-")
        << "the newest revision counts";
}

}  // namespace
}  // namespace tasker::store
