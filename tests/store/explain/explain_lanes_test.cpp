// Explain beside several lanes: a step competes within its lane, and for the lane's part of the credit.
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "orchestrator/core/sessions/shares.hpp"
#include "tests/store/explain/explain_scene.hpp"

namespace tasker::api {
namespace {

class ExplainLanes : public ::testing::Test {
  protected:
    void TearDown() override { EXPECT_EQ(scene.violations(), std::vector<std::string>{}); }

    /// As if the scene's orchestrator had so many lanes.
    void have_lanes(int count) {
        scene.execute("DELETE FROM tasker_orchestrators WHERE lane > 0");
        scene.execute(
            "INSERT INTO tasker_orchestrators (lane, instance, epoch, host, pid, state) SELECT n, instance, "
            "epoch, "
            "host, pid, state FROM tasker_orchestrators, generate_series(1, " +
            std::to_string(count - 1) + ") n WHERE lane = 0");
    }
    /// Tasks of one step, by the lane that they belong to.
    std::map<int, std::vector<std::int64_t>> submit_for_lanes(int count, int lanes) {
        std::map<int, std::vector<std::int64_t>> tasks;
        for (const auto task : scene.submit_many(scene.draw("one", "only"), count)) {
            tasks[static_cast<int>(scene.number("SELECT shard FROM tasker_tasks WHERE task_id = " +
                                                std::to_string(task))) %
                  lanes]
                .push_back(task);
        }
        return tasks;
    }

    ExplainScene scene;
};

TEST_F(ExplainLanes, AStepIsBehindThoseOfItsOwnLaneOnly) {
    auto tasks = submit_for_lanes(40, 2);
    scene.announce({worker("s1", {"Work"}, {"*"}, 4, 0)});
    EXPECT_EQ(scene.causes(std::max(tasks[0][2], tasks[1][2])), "no_credit only:no_credit")
        << "with one lane, four steps are before it";
    have_lanes(2);
    for (const int lane : {0, 1}) {
        ASSERT_GE(tasks[lane].size(), 5U);
        for (const std::size_t place : {0U, 1U}) {
            EXPECT_EQ(scene.causes(tasks[lane][place]), "ready only:ready") << lane << " " << place;
        }
        for (const std::size_t place : {2U, 3U}) {
            EXPECT_EQ(scene.causes(tasks[lane][place]), "turn_full only:turn_full")
                << "there is credit, unless the other lane takes its share: " << lane << " " << place;
        }
        EXPECT_EQ(scene.causes(tasks[lane][4]), "no_credit only:no_credit") << lane;
        EXPECT_EQ(scene.step(tasks[lane][4], "only").ahead, 4) << lane;
    }
}

TEST_F(ExplainLanes, ALaneThatHoldsMoreOfASessionGetsLessOfWhatIsFree) {
    auto tasks = submit_for_lanes(60, 2);
    // The first eight of lane 0 are out, none of lane 1.
    scene.execute("UPDATE tasker_workflow_steps SET priority = 9 WHERE shard % 2 = 0");
    ASSERT_EQ(scene.claim(8, "s1").size(), 8U);
    scene.announce({worker("s1", {"Work"}, {"*"}, 12, 8)});
    have_lanes(2);
    EXPECT_EQ(scene.causes(tasks[0][8]), "turn_full only:turn_full");
    EXPECT_EQ(scene.causes(tasks[1][3]), "ready only:ready");
    EXPECT_EQ(scene.causes(tasks[1][4]), "no_credit only:no_credit");
    scene.execute("UPDATE tasker_workflow_steps SET priority = 0");
}

TEST_F(ExplainLanes, TheShareIsThatOfTheLanesThemselves) {
    submit_for_lanes(120, 1);
    ASSERT_EQ(scene.claim(37, "s1").size(), 37U);
    for (int lanes = 1; lanes <= 5; ++lanes) {
        core::LaneShares shares;
        std::uint32_t away = ~0U;
        for (int lane = 0; lane < lanes; ++lane) {
            shares[lane].hungry = true;
            shares[lane].in_flight = static_cast<std::int32_t>(scene.number(
                "SELECT count(*) FROM tasker_workflow_steps WHERE state = 'in_progress' AND shard % " +
                std::to_string(lanes) + " = " + std::to_string(lane)));
            away &= ~(1U << lane);
        }
        for (const int free : {1, 2, 5, 9, 14, 40}) {
            scene.announce({worker("s1", {"Work"}, {"*"}, 37 + free, 37)});
            for (int lane = 0; lane < lanes; ++lane) {
                const auto offered = shares.offer(lane, free, away);
                const auto explained =
                    scene.number("SELECT share FROM tasker_lane_credit(" + std::to_string(scene.epoch()) +
                                 ", " + std::to_string(lane) + ", " + std::to_string(lanes) + ")");
                // What does not divide evenly goes to one lane after the other, so nobody can count on it.
                EXPECT_LE(explained, offered) << free << " free, lane " << lane << " of " << lanes;
                EXPECT_GE(explained, offered - 1) << free << " free, lane " << lane << " of " << lanes;
            }
        }
    }
}

}  // namespace
}  // namespace tasker::api
