// Random graphs, random workers, random order: after every turn the database is compared with a model that
// fits on one page. Replay a failure with TASKER_TEST_SEED.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "orchestrator/core/states.hpp"
#include "tests/store/turn/scene.hpp"

namespace tasker::store {
namespace {

struct ModelStep {
    std::string name;
    std::vector<std::int64_t> parents;
    int limit = 3;
    bool retryable = true;
    std::string state = "pending";
    int attempts = 0;
    int unstarted = 0;
};

struct Model {
    std::map<std::int64_t, ModelStep> steps;

    bool ready(const ModelStep& step) const {
        if (step.state == "waiting_for_retry") return true;  // every backoff here is zero
        return step.state == "pending" &&
               std::all_of(step.parents.begin(), step.parents.end(),
                           [&](auto parent) { return steps.at(parent).state == "complete"; });
    }
    std::size_t ready_count() const {
        return static_cast<std::size_t>(std::count_if(
            steps.begin(), steps.end(), [&](const auto& entry) { return ready(entry.second); }));
    }
    std::string task_state() const {
        bool any_open = false, any_movable = false, any_error = false, any_started = false;
        for (const auto& [id, step] : steps) {
            any_open |= step.state != "complete";
            any_movable |= step.state == "in_progress" || ready(step);
            any_error |= step.state == "error";
            any_started |= step.attempts > 0;
        }
        if (!any_open) return "complete";
        if (!any_movable) return any_error ? "error" : "cancelled";
        return any_started ? "in_progress" : "pending";
    }
};

// A delivery that has not been answered, or has been and may be answered again.
struct Delivery {
    ports::ClaimedStep claim;
    bool reported = false;
    bool handed_back = false;
};

class RandomRun {
  public:
    explicit RandomRun(unsigned seed) : random_(seed) {}

    void run() {
        for (int i = 0; i < 4; ++i) submit_random_task(i);
        for (int turn = 0; turn < 400 && !finished(); ++turn) {
            one_turn();
            compare("turn " + std::to_string(turn));
            if (::testing::Test::HasFailure()) return;
        }
        EXPECT_TRUE(finished()) << "not everything came to its end within 400 turns";
    }

  private:
    int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
    bool chance(int percent) { return pick(1, 100) <= percent; }

    void submit_random_task(int number) {
        std::string drawing;
        const int count = pick(1, 14);
        std::vector<ModelStep> drawn;
        for (int i = 0; i < count; ++i) {
            ModelStep step;
            step.name = "s" + std::to_string(i);
            step.limit = pick(1, 4);
            step.retryable = chance(85);
            drawing += step.name + " @H" + std::to_string(pick(0, 2)) +
                       " limit=" + std::to_string(step.limit) + (step.retryable ? "" : " once");
            std::string parents;
            for (int p = 0; p < i; ++p) {
                if (chance(30)) {
                    parents += " s" + std::to_string(p);
                    step.parents.push_back(p);
                }
            }
            drawing += (parents.empty() ? "" : " <-" + parents) + "\n";
            drawn.push_back(step);
        }
        const auto task =
            scene_.submit(scene_.draw("t" + std::to_string(number), drawing, number % 2 ? "odd" : "even"),
                          R"({"priority":)" + std::to_string(pick(0, 2)) + "}");
        auto& model = tasks_[task];
        std::vector<std::int64_t> ids;
        for (const auto& step : drawn) ids.push_back(scene_.step_id(task, step.name));
        for (std::size_t i = 0; i < drawn.size(); ++i) {
            for (auto& parent : drawn[i].parents) parent = ids[static_cast<std::size_t>(parent)];
            model.steps[ids[i]] = drawn[i];
        }
    }

    ModelStep& model_of(const ports::ClaimedStep& claim) {
        return tasks_.at(claim.task_id).steps.at(claim.step_id);
    }

    void one_turn() {
        auto input = scene_.claiming({{"s1", pick(0, 3)}, {"s2", pick(0, 3)}});
        input.batch_size = pick(1, 3);
        input.due = true;
        std::vector<std::string> expected;
        std::shuffle(deliveries_.begin(), deliveries_.end(), random_);
        for (auto& delivery : deliveries_) {
            if (!chance(35)) continue;
            // Hand-backs are applied after reports, so one delivery gets one kind per turn.
            if (!delivery.reported && chance(15)) {
                hand_back(delivery, input);
            } else {
                report(delivery, input, expected);
            }
        }
        const auto result = scene_.turn(input);
        std::vector<std::string> got;
        for (const auto& judged : result.reports) got.push_back(judged.disposition);
        EXPECT_EQ(got, expected);
        take_claims(result, input);
    }

    void report(Delivery& delivery, ports::TurnInput& input, std::vector<std::string>& expected) {
        const int dice = pick(1, 10);
        const std::string status = dice <= 6 ? "completed" : dice <= 9 ? "failed" : "error";
        input.messages.push_back(Scene::report(delivery.claim, status));
        auto& step = model_of(delivery.claim);
        if (delivery.reported) {
            expected.push_back("duplicate");
            return;
        }
        delivery.reported = true;
        if (step.attempts != delivery.claim.attempt) {
            expected.push_back("stale_attempt");
        } else if (step.state != "in_progress") {
            expected.push_back("late");
        } else {
            expected.push_back("applied");
            if (status == "completed")
                step.state = "complete";
            else if (status == "failed" && step.retryable && step.attempts - step.unstarted < step.limit)
                step.state = "waiting_for_retry";
            else
                step.state = "error";
        }
    }

    void hand_back(Delivery& delivery, ports::TurnInput& input) {
        input.hand_backs.push_back(Scene::hand_back(delivery.claim));
        auto& step = model_of(delivery.claim);
        if (delivery.handed_back || step.state != "in_progress" || step.attempts != delivery.claim.attempt)
            return;
        delivery.handed_back = true;
        step.state = "pending";
        ++step.unstarted;
    }

    void take_claims(const ports::TurnResult& result, const ports::TurnInput& input) {
        std::size_t ready = 0;
        for (const auto& [id, model] : tasks_) ready += model.ready_count();
        EXPECT_EQ(result.claims.size(), std::min(ready, input.slots.size()))
            << "credit or ready work was left unused";
        for (const auto& claim : result.claims) {
            auto& step = model_of(claim);
            EXPECT_TRUE(tasks_.at(claim.task_id).ready(step))
                << claim.name << " was claimed and is " << step.state;
            EXPECT_EQ(claim.attempt, step.attempts + 1);
            step.state = "in_progress";
            ++step.attempts;
            deliveries_.push_back({claim});
        }
    }

    void compare(const std::string& when) {
        SCOPED_TRACE(when);
        for (const auto& row : scene_.sql().execute("SELECT task_id, workflow_step_id, state, attempts, "
                                                    "unstarted_attempts FROM tasker_workflow_steps")) {
            const auto& step = tasks_.at(row[0].as<std::int64_t>()).steps.at(row[1].as<std::int64_t>());
            EXPECT_EQ(row[2].as<std::string>(), step.state) << step.name;
            EXPECT_EQ(row[3].as<int>(), step.attempts) << step.name;
            EXPECT_EQ(row[4].as<int>(), step.unstarted) << step.name;
        }
        for (const auto& [task, model] : tasks_) EXPECT_EQ(scene_.task_state(task), model.task_state());
        EXPECT_EQ(scene_.violations(), std::vector<std::string>{});
    }

    bool finished() const {
        return std::all_of(tasks_.begin(), tasks_.end(), [](const auto& entry) {
            const auto state = entry.second.task_state();
            return state == "complete" || state == "error";
        });
    }

    std::mt19937 random_;
    Scene scene_;
    std::map<std::int64_t, Model> tasks_;
    std::vector<Delivery> deliveries_;
};

TEST(RandomTurns, AgreeWithTheModelAfterEveryTurn) {
    const char* given = std::getenv("TASKER_TEST_SEED");
    const unsigned first =
        given != nullptr ? static_cast<unsigned>(std::stoul(given)) : std::random_device{}();
    for (unsigned run = 0; run < (given != nullptr ? 1U : 8U); ++run) {
        std::cout << "TASKER_TEST_SEED=" << first + run << std::endl;
        SCOPED_TRACE("replay with TASKER_TEST_SEED=" + std::to_string(first + run));
        RandomRun(first + run).run();
        if (HasFailure()) return;
    }
}

}  // namespace
}  // namespace tasker::store
