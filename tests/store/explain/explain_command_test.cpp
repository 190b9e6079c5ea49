// What `tasker task explain` shows to people.
#include <gtest/gtest.h>

#include "tests/store/explain/explain_scene.hpp"
#include "tests/store/queries/command_run.hpp"

namespace tasker::api {
namespace {

class ExplainCommand : public ::testing::Test {
  protected:
    std::string shown(std::int64_t task_id, std::vector<std::string> options = {}) {
        scene.caretaker().beat();
        options.insert(options.begin(), {"task", "explain", std::to_string(task_id)});
        const auto run = cli::run_command(scene.url(), options);
        EXPECT_EQ(run.code, 0) << run.err;
        return run.out;
    }
    static void expect_in(const std::string& text, const std::string& part) {
        EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in\n" << text;
    }

    ExplainScene scene;
};

TEST_F(ExplainCommand, CountsStepsOfOneCauseInsteadOfListingAll) {
    std::string drawing = "start\n";
    for (int i = 0; i < 1000; ++i) drawing += "w" + std::to_string(i) + " <- start\n";
    const auto task = scene.submit(scene.draw("wide", drawing));
    const auto text = shown(task);
    expect_in(text, "task 1  pending  1 no_session, 1000 waiting_for_parents\n");
    expect_in(text, "… 992 more steps wait for their parents");
    expect_in(text, "w7 ");
    EXPECT_EQ(text.find("w8 "), std::string::npos) << text;
    expect_in(shown(task, {"--step", "w999"}), "waits for start (no_session)");
}

TEST_F(ExplainCommand, SuggestsWhatWasProbablyMeant) {
    const auto task = scene.submit(scene.draw("pair", "pay @Shop::PayHandler\nship @Ship\ncook @Cook\n"));
    scene.announce({worker("s1", {"Billing::Pay"}, {"*"}, 4, 0), worker("s2", {"Ship"}, {"bank"}, 4, 0)});
    const auto text = shown(task);
    expect_in(text, "no worker serves Shop::PayHandler in namespace shop");
    expect_in(text, "did you mean Billing::Pay? A worker serves that");
    expect_in(text, "worker worker-s2 runs it, but only for namespace bank: start it with --namespace shop");
    expect_in(text, "start a worker that has this handler");
}

TEST_F(ExplainCommand, NamesFullWorkersAndThoseThatTakeNothing) {
    const auto task = scene.submit_many(scene.draw("one", "only"), 2).at(1);
    scene.announce(
        {worker("s1", {"Work"}, {"*"}, 4, 4), worker("s2", {"*"}, {"*"}, 4, 1, core::SessionState::suspect)});
    expect_in(shown(task), "worker-s1 has 4 of 4 in flight, worker-s2 is suspect");
    expect_in(shown(task), "1 step goes first");
    scene.announce({worker("s2", {"*"}, {"*"}, 4, 1, core::SessionState::suspect)});
    expect_in(shown(task), "these workers take nothing now: wait, or start another one");
}

TEST_F(ExplainCommand, SaysThatADrainingWorkerTakesNothingMore) {
    const auto task = scene.submit(scene.draw("one", "only"));
    scene.announce({worker("s1", {"Work"}, {"*"}, 4, 2, core::SessionState::draining)});
    expect_in(shown(task), "worker-s1 is draining");
    expect_in(shown(task), "it takes nothing new and leaves when it has finished: start another worker");
}

TEST_F(ExplainCommand, SaysOfADeliveryWhereItIsAndThatItsWorkerIsAway) {
    const auto task = scene.submit(scene.draw("one", "only"));
    ASSERT_EQ(scene.claim(1, "s1").size(), 1U);
    scene.announce({worker("s1", {"Work"}, {"*"}, 4, 1, core::SessionState::suspect)});
    const auto text = shown(task);
    expect_in(text, "sent to worker worker-s1 (session s1)");
    expect_in(text, "has not started");
    expect_in(text, "that worker is suspect, last seen ");
    expect_in(text, "after timers.lease_ms of silence (8 s by default) the step is taken from it");
    expect_in(text, "it is tried again, or fails at its limit");
}

TEST_F(ExplainCommand, TellsWhatAnOperatorCanDoAboutAFailedTask) {
    const auto task = scene.submit(scene.draw("chain", "a\nb <- a\n"));
    EXPECT_EQ(scene.apply({Scene::report(scene.claim(1).at(0), "error")}), "applied");
    const auto id = std::to_string(scene.step_id(task, "a"));
    scene.execute("INSERT INTO tasker_dead_letters (workflow_step_id, task_id, attempt, reason) VALUES (" +
                  id + ", " + std::to_string(task) + ", 1, 'permanent_failure')");
    const auto text = shown(task);
    expect_in(text, "ended in error");
    expect_in(text, "1 step has failed");
    expect_in(text, "after 1 attempt: no luck (dead letter 1: permanent_failure)");
    expect_in(text, "tasker step retry " + id + ", or tasker dlq replay 1");
    expect_in(text, "a has failed before it");
}

}  // namespace
}  // namespace tasker::api
