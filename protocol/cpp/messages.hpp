// The messages of the wire, version "1.0" (protocol/SPEC.md): one plain struct per message, for both
// directions.
//
// Field names are those of the wire; only `namespace` becomes `namespace_name`, and members that end in
// `_json` hold raw JSON text that is passed through untouched ("" means absent or null). Times are RFC 3339
// text, durations are milliseconds. A std::optional is an optional field; an optional list that is empty
// counts as absent and is not written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tasker::protocol {

inline constexpr std::string_view kProtocolVersion = "1.0";

/// Defaults of the limits a `welcome` announces. The sender checks first; a receiver refuses what exceeds
/// them.
inline constexpr std::size_t kBatchBytesMax = std::size_t{16} * 1024 * 1024;
inline constexpr std::size_t kResultBytesMax = std::size_t{1024} * 1024;
/// What a message may add around a result of kResultBytesMax: the largest frame body towards the orchestrator
/// is the sum of the two.
inline constexpr std::size_t kEnvelopeBytesMax = std::size_t{256} * 1024;
/// The largest frame that carries no result: hello, ready, worker_heartbeat and the like.
inline constexpr std::size_t kInventoryBytesMax = std::size_t{4} * 1024 * 1024;
inline constexpr std::size_t kJsonDepthMax = 64;

/// What a worker reports about a step. These are not step states: system rules map one to the other.
enum class ReportStatus { in_progress, completed, failed, error };

/// Wire spelling: in_progress, completed, failed, error.
std::string_view to_text(ReportStatus status);
std::optional<ReportStatus> report_status_from_text(std::string_view text);
/// True for completed, failed and error: the report ends its attempt.
constexpr bool is_final(ReportStatus status) {
    return status != ReportStatus::in_progress;
}

/// Why a worker handed a step back. The wire carries text, so that a newer worker's reason is kept as it
/// came; reasons this version does not know read as other.
enum class RejectReason {
    draining,
    unknown_handler,
    over_capacity,
    too_large,
    cancelled,
    start_denied,
    start_window_missed,
    snoozed,  // its handler asked to be called again later
    other
};
/// Wire spelling: draining, unknown_handler, over_capacity, …; other reads "other".
std::string_view to_text(RejectReason reason);
RejectReason reject_reason_from_text(std::string_view text);

/// Codes of `refused`.
inline constexpr std::string_view kRefusedVersion = "version";
inline constexpr std::string_view kRefusedDuplicateSession = "duplicate_session";
inline constexpr std::string_view kRefusedDraining = "draining";
// Answers a heartbeat, not a hello: this session is not known, or has said goodbye.
inline constexpr std::string_view kRefusedUnknownSession = "unknown_session";
// A goodbye with this reason promises that everything the session ever started was reported and acknowledged.
inline constexpr std::string_view kGoodbyeDrained = "drained";
inline constexpr std::string_view kRefusedNotAllowed = "not_allowed";

/// One delivered attempt of a step, as inventories (held, running, unacked) and `cancel` name it.
struct StepRef {
    std::string batch_id;
    std::int64_t step_id = 0;
    std::int32_t attempt = 0;
    bool operator==(const StepRef&) const = default;
};

/// A running step in a worker_heartbeat; `age_ms` counts from the handler's start.
struct RunningStep {
    std::string batch_id;
    std::int64_t step_id = 0;
    std::int32_t attempt = 0;
    std::int64_t age_ms = 0;
    bool operator==(const RunningStep&) const = default;
};

// ---------------------------------------------------------------- worker → orchestrator, topic `workers `

struct Hello {
    std::string worker_id;  // stable name, survives restarts
    std::string session;    // 16 hex digits, new at each start
    std::string language;
    std::string sdk_version;
    std::vector<std::string> namespaces;  // "*" means every namespace
    std::vector<std::string> handlers;    // handler classes; a trailing "*" is a wildcard
    std::int32_t capacity = 0;            // steps at once, from 1
    std::optional<std::int32_t> prefetch;  // in flight ≤ capacity × prefetch; absent: the receiver's default
    std::string host;
    std::int64_t pid = 0;
    std::vector<StepRef> held;                   // accepted and not started
    std::vector<StepRef> running;                // started and not ended
    std::vector<StepRef> unacked;                // reported and not acked
    std::vector<std::string> previous_sessions;  // optional: sessions whose outbox this one replays
    std::optional<std::string> hello_nonce;      // the answer repeats it
    bool operator==(const Hello&) const = default;
};

/// Answer to a probe.
struct Ready {
    std::string session;
    std::string nonce;
    std::vector<StepRef> held;
    std::vector<StepRef> running;
    std::vector<StepRef> unacked;
    bool operator==(const Ready&) const = default;
};

struct WorkerHeartbeat {
    std::string session;
    std::int64_t seen_n = 0;  // n of the last heartbeat seen from the orchestrator, 0 before the first
    std::vector<StepRef> held;
    std::vector<RunningStep> running;
    std::vector<StepRef> unacked;
    std::int64_t oldest_unacked_ms = 0;
    std::int64_t free = 0;  // free slots; informational
    bool operator==(const WorkerHeartbeat&) const = default;
};

struct BatchAccepted {
    std::string session;
    std::string batch_id;
    bool operator==(const BatchAccepted&) const = default;
};

struct RejectedStep {
    std::int64_t step_id = 0;
    std::int32_t attempt = 0;
    std::string reason;                       // see RejectReason
    std::optional<double> wait_seconds = {};  // ≥ 0; of a snoozed one
    std::optional<std::string> message = {};  // for people; of a snoozed one
    bool operator==(const RejectedStep&) const = default;
};

/// A promise that these steps were not started and will not be; that the snoozed ones have ended without an
/// effect. Goes through the outbox and is acked.
struct BatchRejected {
    std::string session;
    std::string batch_id;
    std::int64_t sequence = 0;
    std::vector<RejectedStep> steps;
    bool operator==(const BatchRejected&) const = default;
};

/// Asks for permission to start a claim_first step; repeated each resend_ms with the next n.
struct StartRequest {
    std::string session;
    std::string batch_id;
    std::int64_t step_id = 0;
    std::int32_t attempt = 0;
    std::int64_t n = 0;
    bool operator==(const StartRequest&) const = default;
};

struct Goodbye {
    std::string session;
    std::string reason;
    bool operator==(const Goodbye&) const = default;
};

// ---------------------------------------------------------------- worker → orchestrator, topic `results `

/// The fields of a report's `error` that decide what happens next. The whole object, unknown fields and the
/// backtrace included, stays in the report's error_json.
struct StepError {
    std::string message;
    std::string error_type;
    std::optional<std::string> error_code;
    std::optional<bool> retryable;
    std::optional<double> retry_after_seconds;  // ≥ 0
    std::optional<bool> handler_stopped;        // false: timed out and still running
    bool operator==(const StepError&) const = default;
};

struct PartialResult {
    std::string batch_id;
    std::int64_t step_id = 0;
    std::optional<std::int32_t> attempt;  // absent in plain mode: the batch's own
    ReportStatus status = ReportStatus::in_progress;
    std::string output_json;
    std::string error_json;
    /// Parsed from error_json by the decoder; the encoder writes error_json when it is not empty, else this.
    std::optional<StepError> error;
    std::string worker_id;
    std::optional<std::string> session;  // absent in plain mode
    std::optional<std::string> sent_by;  // the session that replays another's outbox
    std::int64_t sequence = 0;           // 1, 2, 3 … within the batch
    std::string timestamp;
    std::int64_t execution_time_ms = 0;
    bool operator==(const PartialResult&) const = default;
};

struct StepSummary {
    std::int64_t step_id = 0;
    std::optional<std::int32_t> attempt;
    ReportStatus final_status = ReportStatus::completed;
    std::optional<std::int64_t> execution_time_ms;
    std::optional<std::string> worker_id;
    bool operator==(const StepSummary&) const = default;
};

struct BatchCompletion {
    std::string batch_id;
    std::int64_t total_steps = 0;
    std::int64_t completed_steps = 0;
    std::int64_t failed_steps = 0;
    std::int64_t in_progress_steps = 0;
    std::vector<StepSummary> step_summaries;
    std::optional<std::int64_t> total_execution_time_ms;
    std::string completed_at;
    std::string worker_id;
    std::optional<std::string> session;
    std::optional<std::string> sent_by;
    std::int64_t sequence = 0;  // after the last partial result
    bool operator==(const BatchCompletion&) const = default;
};

struct StepBatchResult {
    std::int64_t step_id = 0;
    ReportStatus status = ReportStatus::completed;
    std::string output_json;
    std::string error_json;
    std::optional<StepError> error;  // as in PartialResult
    std::string metadata_json;
    bool operator==(const StepBatchResult&) const = default;
};

/// The old form of a report; see `expand` in convert.hpp, which turns it into the new form.
struct StepBatchResponse {
    std::string batch_id;
    std::vector<StepBatchResult> results;
    bool operator==(const StepBatchResponse&) const = default;
};

// ---------------------------------------------------------------- orchestrator → worker

/// Who speaks: every message from the orchestrator carries it. A worker drops messages of lower epochs.
struct Envelope {
    std::string orchestrator_id;
    std::int64_t epoch = 0;
    bool operator==(const Envelope&) const = default;
};

struct StepMetadata {
    std::int32_t attempt = 0;  // of all deliveries, from 1
    std::int32_t retry_limit = 0;
    std::optional<std::int32_t> tries_left;  // attempts that may come after this one
    std::int64_t timeout_ms = 0;
    std::int32_t sequence = 0;  // place in the batch, from 1
    std::int32_t total_steps = 0;
    std::string created_at;
    std::string idempotency_key;
    std::optional<bool> claim_first;
    std::optional<std::string> traceparent;
    bool operator==(const StepMetadata&) const = default;
};

struct StepRequest {
    std::int64_t step_id = 0;
    std::int64_t task_id = 0;
    std::string namespace_name;  // `namespace` on the wire
    std::string task_name;
    std::string task_version;
    std::string step_name;
    std::string handler_class;
    std::string handler_config_json;  // JSON object; "" is written as {}
    std::string task_context_json;    // JSON object; "" is written as {}
    std::string
        previous_results_json;  // JSON object: parent step name → its results or null; "" is written as {}
    StepMetadata metadata;
    bool operator==(const StepRequest&) const = default;
};

/// Topics `steps.<session> ` and `steps `.
struct StepBatchRequest {
    Envelope envelope;
    std::string batch_id;
    std::string handler_class;
    std::vector<StepRequest> steps;
    bool operator==(const StepBatchRequest&) const = default;
};

/// Topic `steps.<session> `: proves that this session hears its steps topic.
struct Probe {
    Envelope envelope;
    std::string nonce;
    bool operator==(const Probe&) const = default;
};

struct Limits {
    std::int64_t batch_bytes = static_cast<std::int64_t>(kBatchBytesMax);
    std::int64_t result_bytes = static_cast<std::int64_t>(kResultBytesMax);
    std::int64_t depth = static_cast<std::int64_t>(kJsonDepthMax);
    std::optional<std::int64_t> inventory_bytes;  // of a frame without a result
    bool operator==(const Limits&) const = default;
};

struct Welcome {
    Envelope envelope;
    std::string session;
    std::int64_t heartbeat_ms = 0;
    std::int64_t lease_ms = 0;
    std::int64_t resend_ms = 0;
    Limits limits;
    std::optional<std::string> installation;  // which database this is; epochs are compared within one only
    std::optional<std::string> hello_nonce;   // of the hello that this answers
    std::optional<std::int64_t> disconnect_grace_ms;
    std::optional<std::int32_t> capacity;  // as far as the orchestrator uses it
    std::optional<std::int32_t> prefetch;  // the same
    bool operator==(const Welcome&) const = default;
};

struct Refused {
    Envelope envelope;
    std::string code;  // kRefusedVersion and its like
    std::string message;
    std::int64_t retry_ms = 0;
    std::optional<std::string> hello_nonce;  // of the hello that this answers
    bool operator==(const Refused&) const = default;
};

struct AckedSequences {
    std::string batch_id;
    std::vector<std::int64_t> sequences;
    bool operator==(const AckedSequences&) const = default;
};

struct RejectedSequence {
    std::string batch_id;
    std::int64_t sequence = 0;
    std::string code;
    bool operator==(const RejectedSequence&) const = default;
};

/// Sent only after the reports are committed (or recorded as refused, with their code).
struct Ack {
    Envelope envelope;
    std::string session;
    std::vector<AckedSequences> batches;
    std::vector<RejectedSequence> rejected;
    bool operator==(const Ack&) const = default;
};

struct Heartbeat {
    Envelope envelope;
    std::int64_t n = 0;
    std::optional<std::string> installation;  // as in Welcome
    bool operator==(const Heartbeat&) const = default;
};

struct Cancel {
    Envelope envelope;
    std::string session;
    std::vector<StepRef> steps;
    std::string reason;
    bool operator==(const Cancel&) const = default;
};

struct Drain {
    Envelope envelope;
    std::string session;
    std::int64_t deadline_ms = 0;
    bool operator==(const Drain&) const = default;
};

struct StartGranted {
    Envelope envelope;
    std::string session;
    std::string batch_id;
    std::int64_t step_id = 0;
    std::int32_t attempt = 0;
    std::int64_t n = 0;  // of the request that is answered
    std::int64_t start_window_ms =
        0;  // from when the worker sent request n, on a clock that runs during suspend
    bool operator==(const StartGranted&) const = default;
};

struct StartDenied {
    Envelope envelope;
    std::string session;
    std::string batch_id;
    std::int64_t step_id = 0;
    std::int32_t attempt = 0;
    std::int64_t n = 0;
    std::string reason;
    bool operator==(const StartDenied&) const = default;
};

/// Send again what stands in the outbox for this batch; both lists empty: everything of it.
struct ReportRequest {
    Envelope envelope;
    std::string session;
    std::string batch_id;
    std::vector<std::int64_t> sequences;  // optional
    std::vector<std::int64_t> step_ids;   // optional
    bool operator==(const ReportRequest&) const = default;
};

using WorkerMessage = std::variant<Hello, Ready, WorkerHeartbeat, BatchAccepted, BatchRejected, StartRequest,
                                   Goodbye, PartialResult, BatchCompletion, StepBatchResponse>;
using OrchestratorMessage = std::variant<StepBatchRequest, Probe, Welcome, Refused, Ack, Heartbeat, Cancel,
                                         Drain, StartGranted, StartDenied, ReportRequest>;

/// The message_type as written (snake_case).
std::string_view message_type_of(const WorkerMessage& message);
std::string_view message_type_of(const OrchestratorMessage& message);

}  // namespace tasker::protocol
