// What the listener asks of the database. One implementation (store/turn_store), and a fake in tests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/core/ready_position.hpp"
#include "orchestrator/core/reconciliation.hpp"
#include "orchestrator/core/retry_policy.hpp"
#include "orchestrator/core/states.hpp"

namespace tasker::ports {

/// How a message is to be recorded. `final` lets the database judge it (applied, stale_attempt, late,
/// duplicate); the others are already decided.
enum class MessageClass { final, duplicate, noted, unknown, stale };

/// One attributable message: the ledger's row and, for a final report, what it does to its step. Ids of 0 and
/// empty strings become NULL.
struct TurnMessage {
    MessageClass message_class = MessageClass::noted;
    std::int64_t batch_id = 0;
    std::int64_t batch_step_id = 0;
    std::int64_t step_id = 0;
    std::int64_t task_id = 0;
    std::int32_t attempt = 0;
    bool completion = false;  // message_type batch_completion, else partial_result
    std::string status;
    std::string worker_id;
    std::string session;
    std::int64_t sequence = 0;
    std::int64_t execution_time_ms = 0;
    std::string raw;
    std::string output_json;
    std::string error_json;
    std::int64_t output_bytes = 0;  // as it will stand in the requests of later steps
    std::optional<bool> retryable;
    std::optional<bool> handler_stopped;
    std::optional<double> backoff_seconds;
    // `status` is the worker's own word, but its output cannot be kept: the attempt ends in error_json.
    bool unusable = false;
};

/// Reasons of a hand-back that end the step in error: its request cannot be sent, now or ever.
inline constexpr const char* kRequestTooLarge = "request_too_large";
inline constexpr const char* kRequestNotBuilt = "request_not_built";  // the database cannot give it
/// Its worker could not take a request with neighbours: it is sent again, by itself.
inline constexpr const char* kBatchTooLarge = "batch_too_large";

/// A step proven unstarted. One of the reasons above may end it in error instead of handing it back.
struct HandBack {
    std::int64_t batch_id = 0;
    std::int64_t step_id = 0;
    std::int64_t task_id = 0;
    std::int32_t attempt = 0;
    std::string reason;
    std::string cause = {};  // more words for the step's error, if it ends in one
};

/// A step whose handler asked to be called again later. After `max_snoozes` of them the next one ends it in error.
struct Snooze {
    std::int64_t batch_id = 0;
    std::int64_t step_id = 0;
    std::int64_t task_id = 0;
    std::int32_t attempt = 0;
    double wait_seconds = 0;
    std::int32_t max_snoozes = 0;
    std::string message;  // the handler's words, for people
};

/// A delivery whose worker is gone or whose time is up; `on_orphan` and the limit decide what becomes of the
/// step.
struct Orphan {
    std::int64_t batch_id = 0;
    std::int64_t step_id = 0;
    std::int64_t task_id = 0;
    std::int32_t attempt = 0;
    std::string reason;
    // A neighbour in its batch may be at fault: it gets another attempt, by itself, before it is given up.
    bool try_alone = false;
};

/// A claim_first delivery whose worker asks to start.
struct StartClaim {
    std::int64_t batch_id = 0;
    std::int64_t step_id = 0;
    std::int64_t task_id = 0;
    std::int32_t attempt = 0;
};

struct RunningMark {
    std::int64_t batch_id = 0;
    std::int64_t step_id = 0;
    std::int64_t age_ms = 0;
};

/// What a turn does to a batch row. `transitions`: 0, 1, or 2 (through executing).
struct BatchChange {
    std::int64_t batch_id = 0;
    core::BatchState from = core::BatchState::published;
    core::BatchState to = core::BatchState::published;
    int transitions = 0;
    int partials = 0;
    bool completion = false;
    std::optional<core::ReconciliationStatus> reconciliation;
    std::string detail_json;  // merged into metadata; "" leaves it
};

/// Keys that one group of sessions serves, and the slots to fill, in order: `length` of one session, which
/// indexes TurnInput::sessions. Profiles count from 1 without a gap.
struct ClaimKey {
    int profile = 0;
    std::int32_t handler_key = 0;
    bool scan = false;                   // look at waiting steps too, not only at what this turn makes ready
    core::ReadyPosition look_from = {};  // none waits before
    bool one_namespace = false;          // all keys of the profile are of the same one
};
struct ClaimSlots {
    int profile = 0;
    int session = 0;
    int length = 1;
};

struct TurnInput {
    std::vector<TurnMessage> messages;
    std::vector<HandBack> hand_backs;
    std::vector<Snooze> snoozes;
    std::vector<Orphan> orphans;
    std::vector<StartClaim> starts;
    std::vector<RunningMark> running;
    std::vector<BatchChange> batches;
    std::vector<ClaimKey> keys;
    std::vector<ClaimSlots> slots;
    std::vector<std::string> sessions;
    int batch_size = 10;
    std::int64_t request_bytes_max = std::int64_t{16} << 20;  // of one step; no larger one is built
    std::int64_t turn_bytes_max = std::int64_t{64} << 20;     // of all requests together; one always fits
    bool due = false;          // move retries and held tasks whose time has come into the ready index
    bool notify_done = false;  // NOTIFY tasker_done with the commit: for small turns, see listener.cpp

    bool writes_anything() const {
        return due || !messages.empty() || !hand_backs.empty() || !snoozes.empty() || !orphans.empty() ||
               !starts.empty() || !running.empty() || !batches.empty();
    }
};

/// One claimed step, in order of batch and place. JSON texts are raw; empty means none.
struct ClaimedStep {
    std::int64_t step_id = 0;
    std::int64_t task_id = 0;
    std::int64_t batch_id = 0;
    std::int64_t batch_step_id = 0;
    std::string batch_uuid;
    int session = 0;                               // index into TurnInput::sessions
    std::optional<core::ReadyPosition> waited_at;  // none: this very turn made it ready
    std::int32_t attempt = 0;
    std::int32_t retry_limit = 0;
    std::int32_t tries_left = 0;  // attempts that may come after this one
    std::int64_t timeout_ms = 0;
    std::int32_t handler_key = 0;
    std::int32_t named_task_id = 0;
    std::int32_t template_revision = 0;
    bool claim_first = false;
    std::string name;
    std::string claimed_at;
    std::string context_json;
    std::string previous_results_json;
    // Why it cannot be sent: kRequestTooLarge or kRequestNotBuilt, with the cause in words. Then it has no
    // texts.
    std::string unsendable = {};
    std::string cause = {};
};

/// The database's judgement of messages[index].
struct JudgedReport {
    std::size_t index = 0;
    std::string disposition;
    std::string new_state;  // "" when nothing changed
};

struct EndedTask {
    std::int64_t task_id = 0;
    std::string state;
    bool notified = false;  // those who wait for it were notified
};

/// Ready steps of this key may still wait, none before `from`.
struct WaitingKey {
    std::int32_t handler_key = 0;
    core::ReadyPosition from = core::ReadyPosition::end();
    bool operator==(const WaitingKey&) const = default;
};

/// What became of orphans[index]; absent when its step had moved on before.
struct JudgedOrphan {
    std::size_t index = 0;
    std::string new_state;
    std::int32_t handler_key = 0;
};

/// The answer to starts[index]: granted when `refusal` is empty.
struct JudgedStart {
    std::size_t index = 0;
    std::string refusal;
};

struct TurnResult {
    std::vector<JudgedReport> reports;
    std::vector<JudgedOrphan> orphans;
    std::vector<JudgedStart> starts;
    std::vector<ClaimedStep> claims;
    std::vector<EndedTask> tasks;  // every task whose state changed
    std::vector<WaitingKey> keys_waiting;
    std::vector<std::int32_t> keys_locked;  // ready steps wait, because somebody held their tasks
    bool is_full = false;                   // more might have been claimed, but turn_bytes_max was reached
};

/// An open batch as the database knows it: for start, reconnection, and reports of batches long forgotten.
struct StoredBatchStep {
    std::int64_t batch_step_id = 0;
    std::int64_t step_id = 0;
    std::int64_t task_id = 0;
    std::int32_t attempt = 0;
    std::string step_name;
    std::int32_t named_task_id = 0;
    std::int32_t template_revision = 0;
    std::int64_t timeout_ms = 0;
    std::int32_t retry_limit = 0;
    std::int32_t tries_left = 0;
    bool claim_first = false;
    bool snoozed = false;      // handed back by its handler
    std::string final_status;  // completed, failed, error, handed_back, orphaned or ""
    bool started = false;
    std::int64_t started_ms_ago = 0;
    bool granted = false;
    bool conflicting = false;  // the ledger has two different final reports
    std::string reported;      // the status of the first report, "" when there is none
    std::string report_json;   // its text as it came
    std::string claimed_at;
    std::string context_json;           // only of open batches, and of steps that are still expected
    std::string previous_results_json;  // likewise
    std::string unsendable = {};        // as in ClaimedStep
    std::string cause = {};
};
struct StoredBatch {
    std::int64_t batch_id = 0;
    std::string batch_uuid;
    std::string session;
    std::int32_t handler_key = 0;
    core::BatchState state = core::BatchState::published;
    core::ReconciliationStatus reconciliation = core::ReconciliationStatus::pending;
    bool completion_received = false;
    std::string completion_json;  // the ledger's text of the completion, if any
    std::vector<StoredBatchStep> steps;
};

/// The texts of one step's request, or why there are none.
struct RequestTexts {
    std::string context_json;
    std::string previous_results_json;
    std::string unsendable = {};  // as in ClaimedStep
    std::string cause = {};
};

struct HandlerKey {
    std::int32_t handler_key = 0;
    std::string namespace_name;
    std::string handler_class;
};

/// What a step request needs from its template revision.
struct TemplateStepFacts {
    std::string name;
    std::string handler_config_json;
    core::RetryBackoff backoff;
    bool waits_for_lease = false;  // on_orphan: dead_letter
    std::int32_t max_snoozes = 1000;
};
struct TemplateFacts {
    std::string namespace_name;
    std::string task_name;
    std::string task_version;
    std::vector<TemplateStepFacts> steps;
};

struct RejectedMessage {
    std::string topic;
    std::string code;
    std::string reason;
    std::string session;
    std::string raw;
};

/// A step that was cancelled while it was out: its worker is to be sent `cancel` with this reason.
struct CancelledDelivery {
    std::string session;
    std::string batch_uuid;
    std::int64_t step_id = 0;
    std::int32_t attempt = 0;
    std::string reason;  // the operator's, or "cancelled"; never empty
};

/// An operator wants this session to drain.
struct DrainRequest {
    std::string session;
    std::int64_t deadline_ms = 0;
};

/// Thrown by a Store whose lane has a newer epoch: another orchestrator has taken over; stop at once.
struct EpochLost {};

/// Every call is one round trip and throws DatabaseError (database_error.hpp) when the database cannot
/// answer; the listener decides by its kind whether to repeat, to reconnect or to isolate a poison message.
class Store {
  public:
    virtual ~Store() = default;
    virtual TurnResult run_turn(std::int64_t turn, const TurnInput& input) = 0;
    virtual std::vector<StoredBatch> load_open_batches() = 0;
    /// Without the texts of its requests.
    virtual std::optional<StoredBatch> load_batch(const std::string& batch_uuid) = 0;
    /// Of a step that is out. A request that the database cannot give is an answer, not an error.
    virtual RequestTexts load_request(const std::string& batch_uuid, std::int64_t step_id) = 0;
    virtual std::vector<HandlerKey> load_handler_keys() = 0;
    virtual TemplateFacts load_template(std::int32_t named_task_id, std::int32_t revision) = 0;
    /// Milliseconds until the next retry or held task is due; nothing when none waits.
    virtual std::optional<std::int64_t> next_due_in_ms() = 0;
    /// Of open batches with a session; empty unless an operator cancelled something.
    virtual std::vector<CancelledDelivery> load_cancelled_deliveries() = 0;
    virtual std::vector<DrainRequest> load_drain_requests() = 0;
    virtual void record_rejected(const std::vector<RejectedMessage>& messages) = 0;
    virtual std::string installation_uuid() = 0;
};

}  // namespace tasker::ports
