// The Store of the listener: one lane's connection, its prepared statements, and the instance lock.
#pragma once

#include <memory>
#include <string>

#include "orchestrator/ports/store.hpp"
#include "orchestrator/store/connection.hpp"

namespace tasker::store {

/// Who this orchestrator is, as tasker_orchestrators records it.
struct Instance {
    std::string id;
    std::string host;
    int pid = 0;
    std::string endpoints_json = "{}";
};

/// Owns the lane's connection. Not thread-safe: it belongs to the listener's thread. The instance lock lives
/// and dies with the connection.
class TurnStore final : public ports::Store {
  public:
    /// Connects and prepares. Every call throws ports::DatabaseError when the database cannot answer.
    TurnStore(const std::string& database_url, Instance instance, std::int16_t lane = 0);

    /// False when another connection holds the lock of this lane; lock_holder() says whose it is.
    /// For a standby: what the holder of the lock has last said of itself; "" when nobody ever served. And to
    /// end the connections of one that has said nothing since `seen`; false when it has.
    std::string holder_seen();
    bool end_silent_holder(const std::string& seen);
    bool take_instance_lock();
    std::string lock_holder();
    /// The next epoch of this lane: raises it in the table. Call once per process, under the instance lock.
    std::int64_t begin_epoch();
    /// Goes on with an epoch that this process owns (after a lost connection) and returns its last committed
    /// turn. Throws ports::EpochLost when another orchestrator has taken over since.
    std::int64_t resume_epoch(std::int64_t epoch);

    ports::TurnResult run_turn(std::int64_t turn, const ports::TurnInput& input) override;
    std::vector<ports::StoredBatch> load_open_batches() override;
    std::optional<ports::StoredBatch> load_batch(const std::string& batch_uuid) override;
    std::vector<ports::HandlerKey> load_handler_keys() override;
    ports::TemplateFacts load_template(std::int32_t named_task_id, std::int32_t revision) override;
    std::optional<std::int64_t> next_due_in_ms() override;
    std::vector<ports::CancelledDelivery> load_cancelled_deliveries() override;
    std::vector<ports::DrainRequest> load_drain_requests() override;
    void record_rejected(const std::vector<ports::RejectedMessage>& messages) override;
    std::string installation_uuid() override;

  private:
    static std::vector<ports::StoredBatch> stored_batches(const pqxx::result& rows);

    Instance instance_;
    std::int16_t lane_;
    std::int64_t epoch_ = 0;
    Connection connection_;
};

}  // namespace tasker::store
