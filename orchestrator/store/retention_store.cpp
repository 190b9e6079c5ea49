#include "orchestrator/store/retention_store.hpp"

#include "orchestrator/store/fields.hpp"
#include "orchestrator/store/port_errors.hpp"
#include "orchestrator/store/sql.hpp"
#include "orchestrator/util/time.hpp"

namespace tasker::store {
namespace {

using ports::RetentionAction;
using std::chrono::milliseconds;

// One pass at a time, whether the orchestrator's or the command line's. Ends with the session at the latest.
// "tskR" in ASCII.
constexpr std::int32_t kRetentionLock = 0x74736b52;
constexpr const char* kChangedState = "TK002";

// A turn holds its locks for some milliseconds: several short tries find a gap where one long wait would make
// everybody queue behind it.
constexpr milliseconds kLockTimeout{50};
constexpr int kTries = 10;
constexpr milliseconds kTryAgain{100};
constexpr milliseconds kStatementTimeout{600'000};

constexpr int kRowsPerTransaction = 1000;
// What stays of a range is copied while it is locked, so it must be little, and worth it.
constexpr std::int64_t kStayingMax = 10'000;
constexpr std::int64_t kWorthSieving = 10;  // less than a tenth stays

postgres::ConnectionSettings connection_settings(bool orchestrator) {
    postgres::ConnectionSettings settings;
    settings.application_name = orchestrator ? "tasker-orchestrator retention" : "tasker retention";
    settings.statement_timeout = kStatementTimeout;
    settings.lock_timeout = kLockTimeout;
    return settings;
}

// Somebody else was in the way, or something has changed meanwhile: nothing is wrong.
bool may_try_again(const postgres::DatabaseError& error) {
    return error.kind() == postgres::DbFailure::retryable || error.sqlstate() == kLockTimeoutState ||
           error.sqlstate() == kChangedState;
}

}  // namespace

// One pass. Every action is a transaction that first asks whether this orchestrator still rules.
class RetentionStore::Pass {
  public:
    Pass(RetentionStore& store, const ports::RetentionSettings& settings, const ports::RetentionWatch& watch)
        : store_(store), settings_(settings), watch_(watch) {}

    void run() {
        // The task axis first: batches go only after the steps they delivered.
        for (const char* axis : {"task_id", "batch_id"}) split(axis);
        delete_rows("identities", "tasker_task_identities");
        if (settings_.days == 0) return;
        before_ = store_.connection_.query(sql::days_ago, settings_.days).at(0)[0].as<std::string>();
        for (const char* axis : {"task_id", "batch_id"}) drop_expired(axis);
        delete_rows("rejected_messages", "tasker_rejected_messages");
        delete_rows("workers", "tasker_workers");
        delete_rows("dead_letters", "tasker_dead_letters");
    }

  private:
    bool going() { return watch_.pause(milliseconds(0)); }

    void report(RetentionAction action, milliseconds since) {
        action.took = util::boot_time() - since;
        watch_.done(action);
    }

    void check_epoch(postgres::Transaction& transaction) {
        if (!store_.epoch_) return;
        const auto rows = transaction.query(sql::rules_still, static_cast<int>(store_.lane_), *store_.epoch_);
        if (rows.empty()) throw ports::EpochLost{};
    }

    // One transaction with one statement, repeated while somebody is in the way. Empty: postponed, or the
    // retention stops.
    template <typename... Parameters>
    std::optional<postgres::Result> attempt(const std::string& subject, const std::string& sql,
                                            const Parameters&... parameters) {
        for (int left = kTries;; --left) {
            try {
                postgres::Transaction transaction = store_.connection_.begin();
                check_epoch(transaction);
                postgres::Result result = transaction.query(sql, parameters...);
                transaction.commit();
                return result;
            } catch (const postgres::DatabaseError& error) {
                if (!may_try_again(error)) throw;
                if (left == 1) {
                    watch_.done({"postponed", subject + ": " + error.what(), 0, 0, 0, 0, {}});
                    return std::nullopt;
                }
            }
            if (!watch_.pause(kTryAgain)) return std::nullopt;
        }
    }

    void split(const std::string& axis) {
        // Days for ever: nothing is dropped, so the age of a partition does not matter.
        const std::optional<double> age_seconds =
            settings_.days == 0 ? std::nullopt : std::optional(settings_.days * 86'400.0 / 8);
        while (going()) {
            const auto since = util::boot_time();
            const auto rows =
                attempt(axis, sql::split_partitions, axis, settings_.partition_rows, age_seconds);
            if (!rows || rows->at(0)[0].is_null()) return;
            RetentionAction action{"partition_" + rows->at(0)[0].as<std::string>(), axis, 0, 0, 0, 0, {}};
            if (!rows->at(0)[1].is_null()) action.high = rows->at(0)[1].as<std::int64_t>();
            report(std::move(action), since);
        }
    }

    void drop_expired(const std::string& axis) {
        const auto found = attempt(axis, sql::expired_ranges, axis, before_);
        if (!found) return;
        for (const auto& row : *found) {
            const Range range{axis, row[0].as<std::int64_t>(), row[1].as<std::int64_t>()};
            const auto alone = store_.left_alone_.find({axis, range.low});
            if (alone != store_.left_alone_.end() && std::chrono::steady_clock::now() < alone->second)
                continue;
            if (!going()) return;
            drop(range);
        }
    }

    void drop(const Range& range) {
        const auto since = util::boot_time();
        const auto found = attempt(range.axis, sql::staying_ids, range.axis, range.low, range.high, before_,
                                   kStayingMax + 1);
        if (!found) return;
        const auto total = found->at(0)[0].as<std::int64_t>();
        const auto staying = found->at(0)[1].as<std::string>();
        const auto count = found->at(0)[2].as<std::int64_t>();
        RetentionAction action{"range_dropped", range.axis, range.low, range.high, total, count, {}};
        if (count > 0 && (count > kStayingMax || count * kWorthSieving >= total)) {
            store_.left_alone_[{range.axis, range.low}] =
                std::chrono::steady_clock::now() + settings_.look_again;
            action.what = "range_kept";
            action.rows = 0;
            report(std::move(action), since);
            return;
        }
        // Before the tasks go, so that no repeated request is ever answered with a task that is not there.
        if (range.axis == "task_id" && !forget_identities(range, staying)) return;
        const auto done =
            attempt(range.axis, sql::drop_range, range.axis, range.low, range.high, before_, staying);
        if (!done) return;
        action.rows = done->at(0)[0].as<std::int64_t>();
        action.rows_kept = done->at(0)[1].as<std::int64_t>();
        if (action.rows_kept > 0) action.what = "range_sieved";
        report(std::move(action), since);
    }

    bool forget_identities(const Range& range, const std::string& staying) {
        return in_chunks("tasker_task_identities", [&] {
            return attempt("tasker_task_identities", sql::forget_identities, range.low, range.high, staying,
                           kRowsPerTransaction);
        });
    }

    void delete_rows(const std::string& what, const std::string& table) {
        in_chunks(table, [&] {
            return attempt(table, sql::forget_rows, what,
                           before_.empty() ? std::nullopt : std::optional(before_), kRowsPerTransaction);
        });
    }

    // Repeats `chunk` until it deletes less than it might. False: postponed, or the retention stops.
    bool in_chunks(const std::string& table, const std::function<std::optional<postgres::Result>()>& chunk) {
        const auto since = util::boot_time();
        RetentionAction action{"rows_deleted", table, 0, 0, 0, 0, {}};
        bool finished = false;
        while (!finished && going()) {
            const auto rows = chunk();
            if (!rows) break;
            const auto count = rows->at(0)[0].as<std::int64_t>();
            action.rows += count;
            finished = count < kRowsPerTransaction;
        }
        if (action.rows > 0) report(std::move(action), since);
        return finished;
    }

    RetentionStore& store_;
    const ports::RetentionSettings& settings_;
    const ports::RetentionWatch& watch_;
    std::string before_;
};

RetentionStore::RetentionStore(const postgres::Address& database, std::optional<std::int64_t> epoch,
                               std::int16_t lane)
    : epoch_(epoch), lane_(lane), connection_(with_port_errors([&] {
          return postgres::Connection(database, connection_settings(epoch.has_value()));
      })) {}

void RetentionStore::run_pass(const ports::RetentionSettings& settings, const ports::RetentionWatch& watch) {
    with_port_errors([&] {
        if (!connection_.query(sql::try_lock, kRetentionLock).at(0)[0].as<bool>()) {
            watch.done({"postponed", "another session runs retention", 0, 0, 0, 0, {}});
            return;
        }
        try {
            Pass(*this, settings, watch).run();
        } catch (...) {
            // The lock must not outlive the pass; where the connection is gone, it is gone with it.
            try {
                connection_.query(sql::unlock, kRetentionLock);
            } catch (const postgres::DatabaseError&) {
            }
            throw;
        }
        connection_.query(sql::unlock, kRetentionLock);
    });
}

std::vector<PartitionStatus> partition_status(postgres::Connection& connection) {
    std::vector<PartitionStatus> found;
    for (const std::string axis : {"task_id", "batch_id"}) {
        for (const auto& row : connection.query(sql::partition_status, axis)) {
            PartitionStatus one;
            one.axis = axis;
            if (!row["low"].is_null()) one.low = row["low"].as<std::int64_t>();
            if (!row["high"].is_null()) one.high = row["high"].as<std::int64_t>();
            one.rows = row["rows"].as<std::int64_t>();
            one.bytes = row["bytes"].as<std::int64_t>();
            one.oldest_at = text_or_empty(row["oldest_at"]);
            found.push_back(std::move(one));
        }
    }
    return found;
}

}  // namespace tasker::store
