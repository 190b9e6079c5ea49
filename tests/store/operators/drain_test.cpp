// tasker_request_drain: the request stands on the live sessions' rows until the orchestrator carries it out.
#include <gtest/gtest.h>

#include "orchestrator/api/operate.hpp"
#include "tests/store/operators/operator_scene.hpp"

namespace tasker::api {
namespace {

class DrainRequest : public ::testing::Test {
  protected:
    DrainRequest() {
        const char* states[] = {"greeted", "ready", "suspect", "draining", "lost", "gone", "left"};
        for (int i = 0; i < 7; ++i) {
            scene.sql().query(
                "INSERT INTO tasker_workers (session, worker_id, capacity, state, epoch, in_flight)"
                " VALUES ($1, 'orders', 4, $2, 1, 2)",
                "s" + std::to_string(i), std::string(states[i]));
        }
        scene.execute(
            "INSERT INTO tasker_workers (session, worker_id, capacity, state, epoch) VALUES"
            " ('t0', 'other', 4, 'ready', 1), ('t1', 'dead', 4, 'lost', 1)");
    }

    /// "session outcome" of each row.
    std::string asked(const std::string& worker, std::optional<std::int64_t> deadline_ms, bool all = false) {
        std::string text;
        for (const auto& row :
             nlohmann::json::parse(request_drain_json(scene.sql(), worker, deadline_ms, all))) {
            text += (text.empty() ? "" : ", ") + row["session"].get<std::string>() + " " +
                    row["outcome"].get<std::string>();
        }
        return text;
    }
    std::string standing() {
        return scene.list(
            "SELECT session || ':' || coalesce(drain_deadline_ms::text, 'own') FROM "
            "tasker_workers WHERE drain_requested_at IS NOT NULL ORDER BY session");
    }

    OperatorScene scene;
};

TEST_F(DrainRequest, ByANameThatSeveralLiveSessionsShareReachesNone) {
    EXPECT_EQ(asked("orders", 5000),
              "s0 ambiguous, s1 ambiguous, s2 ambiguous, s3 ambiguous, s4 ended, s5 ended, s6 ended");
    EXPECT_EQ(standing(), "");
}

TEST_F(DrainRequest, ByANameOfOneLiveSessionReachesIt) {
    EXPECT_EQ(asked("other", 5000), "t0 requested");
    scene.execute("UPDATE tasker_workers SET worker_id = 'other' WHERE session = 's5'");
    EXPECT_EQ(asked("other", 6000), "s5 ended, t0 requested");
    EXPECT_EQ(standing(), "t0:6000");
}

TEST_F(DrainRequest, OfAllReachesEveryLiveSessionOfTheName) {
    EXPECT_EQ(asked("orders", 5000, true),
              "s0 requested, s1 requested, s2 requested, s3 requested, s4 ended, s5 ended, s6 ended");
    EXPECT_EQ(standing(), "s0:5000 s1:5000 s2:5000 s3:5000");
}

TEST_F(DrainRequest, BySessionReachesThatOne) {
    EXPECT_EQ(asked("s1", std::nullopt), "s1 requested");
    EXPECT_EQ(standing(), "s1:own");
}

TEST_F(DrainRequest, AgainChangesOnlyTheDeadline) {
    asked("s1", 5000);
    const auto first = scene.one("SELECT drain_requested_at::text FROM tasker_workers WHERE session = 's1'");
    EXPECT_EQ(asked("s1", 5000), "s1 unchanged");
    EXPECT_EQ(scene.one("SELECT drain_requested_at::text FROM tasker_workers WHERE session = 's1'"), first);
    EXPECT_EQ(asked("s1", 1000), "s1 requested");
    EXPECT_EQ(standing(), "s1:1000");
}

TEST_F(DrainRequest, OfAWorkerThatIsGoneOrUnknownAsksNobody) {
    EXPECT_EQ(asked("dead", 5000), "t1 ended");
    EXPECT_EQ(asked("nobody", 5000), "");
    EXPECT_EQ(standing(), "");
}

TEST_F(DrainRequest, WithADeadlineInThePastIsRefused) {
    EXPECT_THROW(asked("t0", -1), postgres::DatabaseError);
    EXPECT_THROW(asked("t0", 9'223'372'036'854'775'807), postgres::DatabaseError);
    EXPECT_EQ(standing(), "");
}

TEST_F(DrainRequest, WakesTheOrchestrator) {
    postgres::Connection listener(scene.url());
    listener.listen("tasker_wake");
    asked("other", 5000);
    listener.execute("SELECT 1");
    const auto told = listener.take_notifications();
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].payload, "scan");
}

}  // namespace
}  // namespace tasker::api
