// Random graphs, random workers, random operators: after each round the whole database is checked, and at the
// end every task has ended. Replay a failure with TASKER_TEST_SEED.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/store/operators/operator_scene.hpp"

namespace tasker::api {
namespace {

class RandomOperators {
  public:
    explicit RandomOperators(unsigned seed) : random_(seed) {}

    void run() {
        for (int round = 0; round < 45; ++round) {
            if (round % 3 == 0) submit(round);
            workers(55);
            for (int i = 0; i < 6; ++i) operate();
            ASSERT_EQ(scene_.found_by_checks(), "") << "round " << round;
        }
        finish();
    }
    const std::map<std::string, std::map<std::string, int>>& told() const { return told_; }

  private:
    int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
    bool chance(int percent) { return pick(1, 100) <= percent; }

    void submit(int number) {
        std::string drawing;
        const int count = pick(2, 12);
        for (int i = 0; i < count; ++i) {
            drawing += "s" + std::to_string(i) + " @H" + std::to_string(pick(0, 2)) +
                       " limit=" + std::to_string(pick(1, 2)) + (chance(20) ? " once" : "");
            std::string parents;
            for (int p = 0; p < i; ++p) parents += chance(30) ? " s" + std::to_string(p) : "";
            drawing += (parents.empty() ? "" : " <-" + parents) + "\n";
        }
        const auto definition = scene_.draw("t" + std::to_string(number), drawing);
        scene_.submit_many(definition, 3);
    }

    void workers(int completed_percent) {
        for (const auto& claim : scene_.take(completed_percent == 100 ? 20 : pick(1, 8)))
            out_.push_back(claim);
        std::vector<ports::ClaimedStep> still;
        for (const auto& claim : out_) {
            if (chance(30)) {
                still.push_back(claim);
            } else if (chance(5) && scene_.state_of(claim.step_id) == "in_progress") {
                scene_.give_back(claim, chance(50) ? "draining" : "request_too_large");
            } else {
                scene_.answer(claim, chance(completed_percent) ? "completed"
                                     : chance(70)              ? "failed"
                                                               : "error");
            }
        }
        out_ = std::move(still);
    }

    void count(const std::string& function, std::int64_t id, const std::string& more = "") {
        const auto row = scene_.call(function + "(" + std::to_string(id) + more + ")");
        ++told_[function][row["outcome"].get<std::string>()];
    }

    /// Mostly one of those that fit, so that something happens; sometimes any.
    std::int64_t one_of(const std::string& table, const std::string& id, const std::string& fit) {
        const auto rows = scene_.sql().execute("SELECT " + id + " FROM " + table + " WHERE " +
                                               (chance(75) ? fit : "true") + " ORDER BY 1");
        if (rows.empty()) return 1;
        return rows.at(static_cast<std::size_t>(pick(0, static_cast<int>(rows.size()) - 1)))[0]
            .as<std::int64_t>();
    }
    std::int64_t step(const std::string& fit) {
        return one_of("tasker_workflow_steps", "workflow_step_id", fit);
    }
    std::int64_t task(const std::string& fit) { return one_of("tasker_tasks", "task_id", fit); }
    std::int64_t letter() { return one_of("tasker_dead_letters", "dead_letter_id", "resolved_at IS NULL"); }
    bool any_open_letter() {
        return scene_.one("SELECT count(*) FROM tasker_dead_letters WHERE resolved_at IS NULL") != "0";
    }

    void operate() {
        const int dice = any_open_letter() ? pick(0, 59) : pick(0, 99);
        if (dice < 3) {
            count("tasker_cancel_task", task("state IN ('pending', 'in_progress', 'error')"));
        } else if (dice < 9) {
            count("tasker_cancel_step", step("state IN ('pending', 'in_progress', 'waiting_for_retry')"));
        } else if (dice < 12) {
            count("tasker_retry_task", task("state = 'error'"));
        } else if (dice < 25) {
            count("tasker_replay_dead_letter", letter());
        } else if (dice < 35) {
            count("tasker_resolve_dead_letter", letter(), ", '[1]'");
        } else if (dice < 45) {
            count("tasker_discard_dead_letter", letter());
        } else if (dice < 53 || (dice >= 60 && dice < 85)) {
            count("tasker_retry_step", step("state = 'error'"));
        } else {
            count("tasker_resolve_step", step("state = 'error'"), R"(, '{"by": "hand"}')");
        }
    }

    /// Nothing fails any more, and people retry what has failed: every task comes to its end.
    void finish() {
        for (int round = 0; round < 200; ++round) {
            for (const auto& row :
                 scene_.sql().execute("SELECT task_id FROM tasker_tasks WHERE state = 'error' ORDER BY 1")) {
                count("tasker_retry_task", row[0].as<std::int64_t>());
            }
            workers(100);
            if (scene_.one(
                    "SELECT count(*) FROM tasker_tasks WHERE state NOT IN ('complete', 'cancelled')") ==
                "0") {
                EXPECT_EQ(scene_.found_by_checks(), "");
                EXPECT_EQ(scene_.one("SELECT count(*) FROM tasker_dead_letters WHERE resolved_at IS NULL"),
                          "0");
                return;
            }
        }
        ADD_FAILURE() << "not everything came to its end";
    }

    std::mt19937 random_;
    OperatorScene scene_;
    std::vector<ports::ClaimedStep> out_;
    std::map<std::string, std::map<std::string, int>> told_;
};

TEST(RandomOperations, LeaveADatabaseInWhichAllIsRight) {
    const char* given = std::getenv("TASKER_TEST_SEED");
    const unsigned first =
        given != nullptr ? static_cast<unsigned>(std::stoul(given)) : std::random_device{}();
    std::map<std::string, int> done;
    for (unsigned run = 0; run < (given != nullptr ? 1U : 2U); ++run) {
        std::cout << "TASKER_TEST_SEED=" << first + run << std::endl;
        SCOPED_TRACE("replay with TASKER_TEST_SEED=" + std::to_string(first + run));
        RandomOperators operators(first + run);
        operators.run();
        for (const auto& [function, outcomes] : operators.told()) {
            std::cout << "  " << function;
            for (const auto& [outcome, times] : outcomes) std::cout << "  " << outcome << " " << times;
            std::cout << std::endl;
            const auto times = outcomes.find("done");
            done[function] += times == outcomes.end() ? 0 : times->second;
        }
        if (::testing::Test::HasFailure()) return;
    }
    if (given != nullptr) return;
    // All was tried with success; otherwise this test would prove less than it says.
    EXPECT_EQ(done.size(), 8U);
    for (const auto& [function, times] : done) EXPECT_GT(times, 0) << function;
}

}  // namespace
}  // namespace tasker::api
