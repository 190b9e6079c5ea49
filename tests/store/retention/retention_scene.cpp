#include "tests/store/retention/retention_scene.hpp"

#include <gtest/gtest.h>

#include <set>

namespace tasker::store {

void RetentionScene::finish_all() {
    for (auto claims = take(500); !claims.empty(); claims = take(500)) {
        ports::TurnInput input;
        for (const auto& claim : claims) {
            input.messages.push_back(report(claim));
            ports::TurnMessage completion;
            completion.batch_id = claim.batch_id;
            completion.completion = true;
            completion.worker_id = "worker-1";
            completion.session = "s1";
            completion.sequence = 2;
            completion.raw = "{}";
            input.messages.push_back(completion);
            ports::BatchChange change;
            change.batch_id = claim.batch_id;
            change.to = core::BatchState::completed;
            change.transitions = 2;
            change.partials = 1;
            change.completion = true;
            change.reconciliation = core::ReconciliationStatus::consistent;
            input.batches.push_back(change);
        }
        turn(input);
    }
}

std::vector<std::int64_t> RetentionScene::finished(int count) {
    const auto ids = submit_many(draw("single", "only"), count);
    finish_all();
    return ids;
}

void RetentionScene::age(int days) {
    const std::string by = " - make_interval(days => " + std::to_string(days) + ")";
    execute("UPDATE tasker_tasks SET created_at = created_at" + by + ", updated_at = updated_at" + by +
            ", completed_at = completed_at" + by);
    execute("UPDATE tasker_step_execution_batches SET created_at = created_at" + by +
            ", updated_at = updated_at" + by);
    execute("UPDATE tasker_dead_letters SET resolved_at = resolved_at" + by);
}

std::string RetentionScene::split(const std::string& axis, int rows, const std::string& max_age, int limit) {
    std::string steps;
    for (; limit > 0; --limit) {
        const auto done = sql()
                              .query("SELECT coalesce(done, '') FROM tasker_split_partitions($1, $2, " +
                                         max_age + "::interval)",
                                     axis, rows)
                              .at(0)[0]
                              .as<std::string>();
        if (done.empty()) break;
        steps += (steps.empty() ? "" : " ") + done;
    }
    return steps;
}

std::string RetentionScene::bounds(const std::string& axis) {
    std::set<std::string> found;
    for (const auto& table : tables(axis)) {
        found.insert(list(
            "SELECT coalesce(low::text, '') || '-' || coalesce(high::text, '') FROM tasker_partitions('" +
            axis + "') WHERE table_name = '" + table + "'"));
    }
    EXPECT_EQ(found.size(), 1U) << "the tables of " << axis << " are cut differently";
    return found.empty() ? "" : *found.begin();
}

void RetentionScene::close_ranges() {
    for (const std::string axis : {"task_id", "batch_id"}) {
        EXPECT_NE(split(axis, 1'000'000, "'0 s'", 2), "") << axis;
    }
}

std::string RetentionScene::pass(int days) {
    ports::RetentionSettings settings;
    settings.days = days;
    std::string text;
    ports::RetentionWatch watch;
    watch.done = [&](const ports::RetentionAction& action) {
        if (action.what.starts_with("partition_")) return;
        text += (text.empty() ? "" : ", ") + action.what + " " + action.subject;
        if (action.what != "postponed")
            text += " " + std::to_string(action.rows) + "/" + std::to_string(action.rows_kept);
    };
    watch.pause = [](std::chrono::milliseconds) { return true; };
    RetentionStore(url(), epoch()).run_pass(settings, watch);
    return text;
}

std::string RetentionScene::contents(const std::string& table, const std::string& condition) {
    return one("SELECT coalesce(string_agg(x::text, E'\\n' ORDER BY x::text), '') FROM " + table +
               " x WHERE " + condition);
}

std::vector<std::string> RetentionScene::tables(const std::string& axis) {
    std::vector<std::string> names;
    for (const auto& row : sql().query(
             "SELECT table_name FROM tasker_partitioned_tables() WHERE $1 IN ('', axis) ORDER BY axis, place",
             axis)) {
        names.push_back(row[0].as<std::string>());
    }
    return names;
}

}  // namespace tasker::store
