// The connections beside the lane's: one that only listens, one for the caretaker.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "orchestrator/ports/housekeeping.hpp"
#include "orchestrator/postgres/connection.hpp"

namespace tasker::store {

/// LISTEN tasker_wake on a connection that runs nothing else (libpqxx delivers nothing during a transaction).
class WakeConnection final : public ports::WakeSource {
  public:
    explicit WakeConnection(const postgres::Address& database);
    std::vector<ports::Wake> wait(int stop_fd, int timeout_ms) override;

  private:
    postgres::Connection connection_;
};

class HousekeepingStore final : public ports::Housekeeping {
  public:
    HousekeepingStore(const postgres::Address& database, std::int64_t epoch);
    void beat() override;
    void set_state(const std::string& state, const std::string& endpoints_json) override;
    void write_workers(const std::vector<core::SessionView>& rows,
                       const std::vector<std::string>& known) override;
    void notify_done(const std::vector<std::int64_t>& task_ids) override;

  private:
    std::int64_t epoch_;
    postgres::Connection connection_;
};

}  // namespace tasker::store
