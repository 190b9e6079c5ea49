// What is not partitioned and grows all the same: identities, dead letters, workers, rejected messages.
#include <gtest/gtest.h>

#include "tests/store/retention/retention_scene.hpp"

namespace tasker::store {
namespace {

class Forgetting : public ::testing::Test {
  protected:
    void TearDown() override { EXPECT_EQ(scene.found_by_checks(), ""); }
    std::int64_t with_key(const std::string& key) {
        return scene.submit(template_id_,
                            R"({"scope": "shop", "context_hash": "c", "identity_hash": ")" + key + "\"}");
    }

    RetentionScene scene;
    int template_id_ = scene.draw("single", "only");
};

TEST_F(Forgetting, AKeyIsFreeAgainWhenItsTaskIsDropped) {
    const auto first = with_key("a");
    EXPECT_EQ(with_key("a"), first);
    scene.finished(30);
    const auto stuck = scene.submit(scene.draw("hopeless", "no limit=1"),
                                    R"({"scope": "shop", "context_hash": "c", "identity_hash": "stuck"})");
    scene.exhaust("no");
    scene.close_ranges();
    scene.age(40);
    EXPECT_EQ(
        scene.pass(),
        "rows_deleted tasker_task_identities 1/0, range_sieved task_id 31/1, range_sieved batch_id 31/1");
    EXPECT_GT(with_key("a"), first);
    EXPECT_EQ(with_key("stuck"), stuck);
}

TEST_F(Forgetting, ExpiredIdentitiesGoAtAnyTime) {
    with_key("a");
    const auto other = with_key("b");
    scene.execute(
        "UPDATE tasker_task_identities SET expires_at = now() - interval '1 s' WHERE identity_hash = 'a'");
    scene.execute(
        "UPDATE tasker_task_identities SET expires_at = now() + interval '1 h' WHERE identity_hash = 'b'");
    EXPECT_EQ(scene.pass(0), "rows_deleted tasker_task_identities 1/0");
    EXPECT_EQ(scene.list("SELECT task_id FROM tasker_task_identities"), std::to_string(other));
    scene.finish_all();
}

TEST_F(Forgetting, InChunksUntilNothingIsLeft) {
    scene.execute(
        "INSERT INTO tasker_rejected_messages (code, reason, raw, received_at) SELECT 'x', 'y', '', now() - "
        "make_interval(days => CASE WHEN n <= 2500 THEN 31 ELSE 1 END) FROM generate_series(1, 2600) n");
    scene.execute(
        "INSERT INTO tasker_workers (session, worker_id, capacity, state, epoch, last_heartbeat_at) VALUES "
        "('1', 'w', 1, 'gone', 1, now() - interval '31 days'), ('2', 'w', 1, 'gone', 1, now()), "
        "('3', 'w', 1, 'ready', 1, now() - interval '31 days')");
    EXPECT_EQ(scene.pass(), "rows_deleted tasker_rejected_messages 2500/0, rows_deleted tasker_workers 1/0");
    EXPECT_EQ(scene.count("tasker_rejected_messages"), 100);
    EXPECT_EQ(scene.list("SELECT session FROM tasker_workers ORDER BY 1"), "2 3");
    EXPECT_EQ(scene.pass(), "");
}

TEST_F(Forgetting, ClosedDeadLettersGoAfterTheirTasks) {
    scene.submit(scene.draw("hopeless", "no limit=1"));
    const auto letter = scene.exhaust("no");
    scene.finished(30);
    scene.close_ranges();
    scene.age(40);
    EXPECT_EQ(scene.told("tasker_discard_dead_letter(" + std::to_string(letter) + ")"), "done");
    // Its task goes at once; the decision about it is remembered for its own time.
    EXPECT_EQ(scene.pass(), "range_dropped task_id 31/0, range_dropped batch_id 31/0");
    EXPECT_EQ(scene.count("tasker_dead_letters"), 1);
    EXPECT_EQ(scene.found_by_checks(), "");
    scene.age(40);
    EXPECT_EQ(scene.pass(), "rows_deleted tasker_dead_letters 1/0");
}

}  // namespace
}  // namespace tasker::store
