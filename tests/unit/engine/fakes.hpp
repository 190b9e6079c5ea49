// What the listener depends on, as fakes: a small model of the database, a publisher that records, credit
// that is counted, and a clock turned by hand.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "orchestrator/ports/clock.hpp"
#include "orchestrator/ports/credit.hpp"
#include "orchestrator/ports/database_error.hpp"
#include "orchestrator/ports/delivery.hpp"
#include "orchestrator/ports/store.hpp"

namespace tasker::engine {

/// What happened, in order, whichever fake it happened to; tests wait for a line instead of for a time.
class EventLog {
  public:
    void add(const std::string& line);
    std::vector<std::string> lines() const;
    /// All lines that start with `prefix`, joined by ", ".
    std::string with(const std::string& prefix) const;
    std::size_t count(const std::string& line) const;
    /// Place of the first such line; fails the test when there is none.
    std::size_t place(const std::string& line) const;
    void clear();
    /// Waits until `condition` holds; it is asked anew after every event. False after 20 s.
    bool wait(const std::function<bool()>& condition);
    void touch() { changed_.notify_all(); }

  private:
    mutable std::recursive_mutex mutex_;
    std::condition_variable_any changed_;
    std::vector<std::string> lines_;
};

/// A database that outlives its connections. Judges reports by whether their delivery has been reported,
/// claims what stands in `ready` for handler key 1, and fails as it is told.
class FakeDatabase {
  public:
    using Failure = std::function<void()>;  // throws, or does nothing

    static ports::ClaimedStep claim(std::int64_t step_id, int session_index);
    void add_ready(std::vector<std::int64_t> step_ids);

    // Told by the test, before or between turns.
    std::deque<Failure> turn_failures;          // one per run_turn, thrown before anything is written
    std::deque<Failure> after_commit_failures;  // one per committed turn: the answer is lost
    std::deque<Failure> open_failures;          // one per connection
    std::deque<Failure> record_failures;        // one per record_rejected
    std::deque<Failure> due_failures;           // one per next_due_in_ms, after its turn's commit
    bool claims_fail = false;                   // whatever is claimed, with its request or without
    std::set<std::int64_t> unbuildable;         // steps whose request fails the turn that builds it
    ports::DatabaseFault unbuildable_fault = ports::DatabaseFault::data;
    std::string poison;  // a message whose raw text holds this cannot be stored
    std::optional<std::int64_t> due_in_ms;
    bool claim_first = false;                         // of what is claimed from now on
    std::string start_refusal;                        // what start requests are answered with
    std::vector<ports::CancelledDelivery> cancelled;  // by an operator
    std::vector<ports::DrainRequest> drains;
    std::string next_context = "{}";                // of what is claimed from now on
    bool notifies = false;                          // as the turn is told to
    std::map<std::int64_t, std::int64_t> child_of;  // step → the step that becomes ready when it completes

    // Seen by the test.
    std::vector<ports::TurnInput> turns;  // committed ones
    std::vector<std::int64_t> turn_numbers_tried;
    std::map<std::string, ports::StoredBatch> batches;
    std::vector<ports::RejectedMessage> rejected;
    int templates_loaded = 0;
    int keys_loaded = 0;
    std::int64_t last_turn = 0;

    EventLog log;
    mutable std::recursive_mutex mutex;

  private:
    friend class FakeStore;
    void judge(const ports::TurnInput& input, ports::TurnResult& result);
    void claim_for(const ports::TurnInput& input, ports::TurnResult& result);

    std::deque<std::pair<std::int64_t, std::int32_t>> ready_;  // step, its next attempt
    std::set<std::int64_t> reported_;
    std::int64_t next_batch_ = 0;
};

class FakeStore final : public ports::Store {
  public:
    explicit FakeStore(FakeDatabase& database) : database_(database) {}
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
    std::string installation_uuid() override { return "uuid-1"; }

  private:
    FakeDatabase& database_;
};

class FakePublisher final : public ports::Publisher {
  public:
    explicit FakePublisher(EventLog& log) : log_(log) {}
    void send(ports::Outbound message) override;

    std::atomic<int> acknowledge_calls{0};

  private:
    void log(const ports::PublishBatches& message);
    void log(const ports::AdoptBatches& message);
    void log(const ports::ForgetBatches& message);
    void log(const ports::Acknowledge& message);
    void log(const ports::RequestReports& message);
    void log(const ports::CancelSteps& message);
    void log(const ports::StartAnswer& answer);
    void log(const ports::SuspectSession& message);
    void log(const ports::DrainSession& message);
    void log(const ports::RecordFault& message);
    void log(const ports::RefuseSessions&);
    void log(const ports::ReopenSteps& message);

    EventLog& log_;
};

class FakeCredit final : public ports::CreditPool {
  public:
    std::vector<core::CreditOffer> reserve(int lane) override;
    bool settle(int lane, const std::vector<core::CreditOffer>& offers,
                std::vector<core::TakenBatch> taken) override;
    void set_away(int lane, bool away) override;
    bool is_gone(std::string_view session) override;
    bool may_return(std::string_view session) override;
    bool serves(std::string_view session, std::string_view namespace_name,
                std::string_view handler_class) override;

    std::mutex mutex;
    std::vector<core::CreditOffer> offers;
    std::map<std::string, std::set<std::string>, std::less<>> serves_keys;  // session → handler classes
    std::set<std::string, std::less<>> gone;
    std::set<std::string, std::less<>> may_come_back;
    int reserved = 0;  // turns that have reserved and not settled
    int reservations = 0;
    int taken_steps = 0;
    bool away = false;
    int more = 0;                        // so many times settle says that there is more
    std::map<std::string, bool> wanted;  // as last said, by session
};

class FakeClock final : public ports::Clock {
  public:
    FakeClock();
    std::chrono::milliseconds boot_time() const override { return std::chrono::milliseconds(now_.load()); }
    std::string wall_time_rfc3339() const override { return "2026-01-01T00:00:00.000Z"; }
    void advance(std::chrono::milliseconds by) { now_ += by.count(); }

  private:
    std::atomic<std::int64_t> now_;
};

}  // namespace tasker::engine
