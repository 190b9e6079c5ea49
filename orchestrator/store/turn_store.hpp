// The Store of the listener: one lane's connection, its prepared statements, and the instance lock.
#pragma once

#include <memory>
#include <string>

#include "orchestrator/ports/store.hpp"
#include "orchestrator/postgres/connection.hpp"
#include "orchestrator/store/rejected_rows.hpp"

namespace tasker::store {

/// Who this orchestrator is, as tasker_orchestrators records it.
struct Instance {
    std::string id;
    std::string host;
    int pid = 0;
    std::string endpoints_json = "{}";
};

/// Which of how many lanes a connection serves: it sees the steps of its own shards and its own batches.
struct Lane {
    int number = 0;
    int count = 1;
};

/// Owns the lane's connection. Not thread-safe: it belongs to its listener's thread. The instance lock is one
/// for all lanes of a process; it lives and dies with the connection that took it, which is lane 0's.
class TurnStore final : public ports::Store {
  public:
    /// Connects, compares the schema with the one this program was built for, and prepares. Every call throws
    /// ports::DatabaseError when the database cannot answer, this one also when the schema is another or
    /// nothing can be written; its text then names what helps.
    TurnStore(const postgres::Address& database, Instance instance, Lane lane = {});

    /// False when another connection holds the lock; lock_holder() says whose it is.
    bool take_instance_lock();
    std::string lock_holder();
    /// For a standby: the last sign of life of the lane that has been silent longest; "" when nobody ever
    /// served. The other one ends the connections of all lanes of the holder, unless there was another sign
    /// of life since `seen`; then it returns false.
    std::string holder_seen();
    bool end_silent_holder(const std::string& seen);
    /// Writes that this process waits as a standby, for `tasker health`; begin_epoch() removes the row as well. A
    /// database that takes no writes at the moment is no reason to stop waiting: returns false then.
    bool record_standby();
    bool forget_standby();
    /// The next epoch, in the rows of all lanes at once; connections of a predecessor that still stand are
    /// ended, rows of lanes beyond `Lane::count` removed. Call once per process, under the instance lock.
    std::int64_t begin_epoch();
    /// Says that this process lives, for all its lanes: what the caretaker does once it runs.
    void beat(std::int64_t epoch);
    /// Goes on with an epoch that this process owns (after a lost connection) and returns its last committed
    /// turn. Throws ports::EpochLost when another orchestrator has taken over since.
    std::int64_t resume_epoch(std::int64_t epoch);

    ports::TurnResult run_turn(std::int64_t turn, const ports::TurnInput& input) override;
    std::vector<ports::StoredBatch> load_open_batches() override;
    std::optional<ports::StoredBatch> load_batch(const std::string& batch_uuid) override;
    ports::RequestTexts load_request(const std::string& batch_uuid, std::int64_t step_id) override;
    std::vector<ports::HandlerKey> load_handler_keys() override;
    ports::TemplateFacts load_template(std::int32_t named_task_id, std::int32_t revision) override;
    std::optional<std::int64_t> next_due_in_ms() override;
    std::vector<ports::CancelledDelivery> load_cancelled_deliveries() override;
    std::vector<ports::DrainRequest> load_drain_requests() override;
    void record_rejected(const std::vector<ports::RejectedMessage>& messages) override;
    std::string installation_uuid() override;

  private:
    /// As people know it.
    std::string template_name(std::int32_t named_task_id, std::int32_t revision);
    void add_requests(ports::StoredBatch& batch);

    Instance instance_;
    const Lane lane_;
    std::int64_t epoch_ = 0;
    postgres::Connection connection_;
    RejectedRows rejected_rows_;
};

}  // namespace tasker::store
