// Partitions of the running tables: makes new ones in time, drops old ones, deletes what is old elsewhere.
// The rules are the functions of migrations/functions/retention; here is the order of the transactions, and what happens
// when a lock is not to be had: it is given up within 50 ms, since whoever waits for an exclusive lock keeps
// every turn waiting.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "orchestrator/ports/retention.hpp"
#include "orchestrator/postgres/connection.hpp"

namespace tasker::store {

class RetentionStore final : public ports::Retention {
  public:
    /// Without an epoch (the command line) nobody is asked whether he still rules.
    explicit RetentionStore(const postgres::Address& database,
                            std::optional<std::int64_t> epoch = std::nullopt, std::int16_t lane = 0);
    void run_pass(const ports::RetentionSettings& settings, const ports::RetentionWatch& watch) override;
    void cancel() override { connection_.cancel(); }

  private:
    struct Range {
        std::string axis;
        std::int64_t low = 0;
        std::int64_t high = 0;
    };
    class Pass;

    std::optional<std::int64_t> epoch_;
    std::int16_t lane_;
    postgres::Connection connection_;
    /// Ranges of which too much must stay, and when they are looked at again. By axis and low.
    std::map<std::pair<std::string, std::int64_t>, std::chrono::steady_clock::time_point> left_alone_;
};

/// One range of ids. `low` is empty for the first partition, `high` for the open one; `rows` (tasks or
/// batches) is the estimate of the statistics; `oldest_at` when its first row was made, empty without rows;
/// `bytes` counts all tables of the axis with their indexes.
struct PartitionStatus {
    std::string axis;
    std::optional<std::int64_t> low;
    std::optional<std::int64_t> high;
    std::int64_t rows = 0;
    std::string oldest_at;
    std::int64_t bytes = 0;
};

/// All partitions by axis, oldest first. Throws DatabaseError.
std::vector<PartitionStatus> partition_status(postgres::Connection& connection);

}  // namespace tasker::store
