// The checks find every kind of damage planted into a database, and nothing in one where all went well.
#include "orchestrator/api/checks/checks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "tests/store/checks/damages.hpp"
#include "tests/store/checks/history.hpp"

namespace tasker::api {
namespace {

// Each damage is rolled back, so one history serves all of them.
class Checks : public testing::Test {
  protected:
    static void SetUpTestSuite() { history_ = new History(); }
    static void TearDownTestSuite() {
        delete history_;
        history_ = nullptr;
    }

    /// Puts ids in place of @task and @task.step.
    static std::string with_ids(std::string text) {
        const std::map<std::string, std::int64_t> tasks = {{"complete", history_->complete},
                                                           {"failed", history_->failed},
                                                           {"retrying", history_->retrying},
                                                           {"in_flight", history_->in_flight},
                                                           {"handed_back", history_->handed_back},
                                                           {"fresh", history_->fresh},
                                                           {"held", history_->held}};
        for (auto at = text.find('@'); at != std::string::npos; at = text.find('@', at + 1)) {
            const auto end =
                std::min(text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_.", at + 1), text.size());
            std::string word = text.substr(at + 1, end - at - 1);
            const auto dot = word.find('.');
            const auto task = tasks.at(word.substr(0, dot));
            const auto id = dot == std::string::npos ? task : history_->step(task, word.substr(dot + 1));
            text.replace(at, end - at, std::to_string(id));
        }
        return text;
    }

    static std::string listing(const std::vector<CheckResult>& results) {
        std::string text;
        for (const auto& result : results) {
            for (const auto& violation : result.violations) {
                text += std::string(result.check.name) + ": " + violation.object + " " +
                        std::to_string(violation.id) + ": " + violation.message + "\n";
            }
        }
        return text;
    }

    static inline History* history_ = nullptr;
};

TEST_F(Checks, FindNothingWhereAllWentWell) {
    const auto results = run_checks(history_->sql());
    EXPECT_EQ(listing(results), "");
    EXPECT_EQ(results.size(), all_checks().size());
    // The history is worth checking: every kind of row is there.
    for (const char* table :
         {"tasker_task_identities", "tasker_workflow_step_edges", "tasker_step_execution_batches",
          "tasker_step_execution_batch_received_results"}) {
        EXPECT_NE(history_->text("SELECT count(*) FROM " + std::string(table)), "0") << table;
    }
}

TEST_F(Checks, FindEveryDamage) {
    for (const auto& damage : damages()) {
        SCOPED_TRACE(damage.name);
        const std::string sql = with_ids(damage.sql);
        const std::string says = with_ids(damage.says);
        postgres::Transaction transaction = history_->sql().begin();
        transaction.execute(sql);
        const auto results = run_checks(transaction);
        const auto found = std::find_if(results.begin(), results.end(), [&](const CheckResult& result) {
            return std::string_view(result.check.name) == damage.check;
        });
        ASSERT_NE(found, results.end()) << "there is no check " << damage.check;
        EXPECT_TRUE(std::any_of(
            found->violations.begin(), found->violations.end(),
            [&](const Violation& violation) { return violation.message.find(says) != std::string::npos; }))
            << "expected \"" << says << "\" from " << damage.check << ", found:\n"
            << listing(results);
        transaction.roll_back();
    }
}

TEST_F(Checks, EachHasADamageThatItFinds) {
    std::set<std::string> tested;
    for (const auto& damage : damages()) tested.insert(damage.check);
    for (const auto& check : all_checks()) EXPECT_TRUE(tested.contains(check.name)) << check.name;
}

TEST_F(Checks, CountAllButListNoMoreThanAskedFor) {
    postgres::Transaction transaction = history_->sql().begin();
    transaction.execute("UPDATE tasker_tasks SET open_steps = open_steps + 1");
    CheckSettings settings;
    settings.violations_max = 2;
    for (const auto& result : run_checks(transaction, settings)) {
        if (std::string_view(result.check.name) != "task_counters") continue;
        EXPECT_EQ(result.total, 7);
        EXPECT_EQ(result.violations.size(), 2U);
        EXPECT_EQ(result.violations.front().task_id, history_->complete);
    }
    transaction.roll_back();
}

TEST_F(Checks, AcceptADeadLetterForEachOfItsGrounds) {
    const std::string orphaned =
        "UPDATE tasker_step_execution_batch_steps SET final_status = 'orphaned' WHERE workflow_step_id = "
        "@failed.only;"
        "UPDATE tasker_workflow_step_transitions SET metadata = jsonb_build_object('reason', '%')"
        " WHERE workflow_step_id = @failed.only AND to_state = 'error'";
    const std::string failed =
        "UPDATE tasker_step_execution_batch_steps SET final_status = 'failed' WHERE workflow_step_id = "
        "@failed.only; UPDATE tasker_workflow_steps SET retryable = true, ";
    const std::map<std::string, std::string> grounds = {
        {"session_lost", orphaned},
        {"timed_out", orphaned},
        {"not_accepted", orphaned},
        {"held_unstarted", orphaned},
        {"not_reported", orphaned},
        {"handler_still_running", failed + "error = '{\"handler_stopped\": false}', on_orphan = 'dead_letter'"
                                           " WHERE workflow_step_id = @failed.only"},
        {"retries_exhausted", failed + "retry_limit = 1 WHERE workflow_step_id = @failed.only"},
        {"handed_back_too_often",
         "UPDATE tasker_workflow_step_transitions SET event = 'give_up'"
         " WHERE workflow_step_id = @failed.only AND to_state = 'error'"},
        {"request_too_large",
         "UPDATE tasker_workflow_step_transitions SET event = 'request_too_large'"
         " WHERE workflow_step_id = @failed.only AND to_state = 'error'"}};
    const auto about_dead_letters = [](postgres::Transaction& transaction) {
        std::string names;
        for (const auto& result : run_checks(transaction)) {
            const std::string name = result.check.name;
            if (name.starts_with("dead_letter") && result.total > 0) names += name + " ";
        }
        return names;
    };
    for (const auto& [reason, sql] : grounds) {
        SCOPED_TRACE(reason);
        std::string setup = with_ids(sql);
        if (const auto at = setup.find('%'); at != std::string::npos) setup.replace(at, 1, reason);
        postgres::Transaction transaction = history_->sql().begin();
        transaction.execute(setup);
        EXPECT_EQ(about_dead_letters(transaction), "dead_letter_missing ");
        transaction.execute(with_ids("INSERT INTO tasker_dead_letters (workflow_step_id, task_id, attempt, "
                                     "reason) VALUES (@failed.only, @failed, 1, '") +
                            reason + "')");
        EXPECT_EQ(about_dead_letters(transaction), "");
        transaction.roll_back();
    }
}

TEST_F(Checks, AReconciliationWithinItsGraceIsNoFault) {
    const auto violations_with = [&](const char* last_seen_at) {
        postgres::Transaction transaction = history_->sql().begin();
        transaction.execute(
            with_ids("UPDATE tasker_step_execution_batches SET reconciliation_status = 'pending',"
                     " updated_at = now() - interval '1 hour' WHERE task_id = @failed"));
        transaction.query(
            "UPDATE tasker_orchestrators SET started_at = now() - interval '2 hours', last_seen_at = "
            "now() + $1::text::interval",
            std::string(last_seen_at));
        std::int64_t total = 0;
        for (const auto& result : run_checks(transaction)) {
            if (std::string_view(result.check.name) == "reconciliation_open") total = result.total;
        }
        transaction.roll_back();
        return total;
    };
    // Stopped ten seconds after the batch ended: nobody could reconcile since.
    EXPECT_EQ(violations_with("-3590 seconds"), 0);
    EXPECT_EQ(violations_with("-3570 seconds"), 1);
}

}  // namespace
}  // namespace tasker::api
