#include "orchestrator/api/checks/checks.hpp"

#include <string_view>

#include "orchestrator/api/sql.hpp"
#include "orchestrator/util/time.hpp"

namespace tasker::api {
namespace {

std::string framed(const Check& check) {
    constexpr std::string_view kPlace = ":check";
    std::string text = sql::check_frame;
    return text.replace(text.find(kPlace), kPlace.size(), check.sql);
}

CheckResult run_check(postgres::Transaction& transaction, const Check& check, const CheckSettings& settings) {
    const auto started = util::boot_time();
    CheckResult result{check, 0, {}, {}};
    const double grace_seconds = std::chrono::duration<double>(settings.reconcile_grace).count();
    for (const auto& row : transaction.query(framed(check), settings.violations_max, grace_seconds)) {
        result.total = row["total"].as<std::int64_t>();
        Violation violation;
        violation.object = row["object"].as<std::string>();
        violation.id = row["id"].as<std::int64_t>();
        if (!row["task_id"].is_null()) violation.task_id = row["task_id"].as<std::int64_t>();
        violation.message = row["message"].as<std::string>();
        result.violations.push_back(std::move(violation));
    }
    result.took = util::boot_time() - started;
    return result;
}

}  // namespace

std::vector<CheckResult> run_checks(postgres::Transaction& transaction, const CheckSettings& settings) {
    // Compiling these queries takes longer than running them on all but huge databases.
    transaction.execute("SET LOCAL jit = off");
    // On tables never analysed the planner believes them small, and loops over all of one for each row of
    // another.
    transaction.execute("SET LOCAL enable_nestloop = off");
    std::vector<CheckResult> results;
    for (const auto& check : all_checks()) results.push_back(run_check(transaction, check, settings));
    return results;
}

std::vector<CheckResult> run_checks(postgres::Connection& connection, const CheckSettings& settings) {
    postgres::Transaction transaction = connection.begin();
    transaction.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY");
    auto results = run_checks(transaction, settings);
    transaction.roll_back();
    return results;
}

}  // namespace tasker::api
