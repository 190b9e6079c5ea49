// Does the database keep its promises? Every reference that has no foreign key, and every invariant the
// database can know, each as one set-based query that returns what violates it. Only reads; may be run at any
// time, also under load: all queries see one snapshot, and each commit leaves the invariants intact.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "orchestrator/postgres/connection.hpp"

namespace tasker::api {

/// One named check. `invariant` says which promise it watches (I2 … I10, or "reference"). `sql` (a file of
/// sql/checks) selects one row per violation: object (text), id (bigint), task_id (bigint or NULL), message
/// (text: found and expected). It may read settings.grace_seconds.
struct Check {
    const char* name;
    const char* invariant;
    const char* promise;
    const char* sql;
};

/// All checks, grouped by subject: references, tasks, steps, deliveries, batches, dead letters.
std::span<const Check> all_checks();

struct Violation {
    std::string object;  // "task", "step", "batch", "ledger row" …
    std::int64_t id = 0;
    std::optional<std::int64_t> task_id;
    std::string message;
};

/// What one check found: how many violations there are, and the first of them by id.
struct CheckResult {
    Check check;
    std::int64_t total = 0;
    std::vector<Violation> violations;
    std::chrono::milliseconds took{0};
};

struct CheckSettings {
    /// How long a batch that has ended may wait for its reconciliation while an orchestrator serves. Longer
    /// than reconcile_grace_ms, because missing reports are asked for before the verdict.
    std::chrono::milliseconds reconcile_grace{20'000};
    int violations_max = 20;  // listed per check; all are counted
};

/// Runs all checks in one read-only snapshot. Throws DatabaseError.
std::vector<CheckResult> run_checks(postgres::Connection& connection, const CheckSettings& settings = {});
/// The same inside a transaction of the caller, which sees its own changes.
std::vector<CheckResult> run_checks(postgres::Transaction& transaction, const CheckSettings& settings = {});

}  // namespace tasker::api
