// What crosses the border between the io thread (sockets, sessions, credit) and the listener (turns).
// The io thread never touches the database; the listener never touches a socket. Both sides only see these
// types, so either can be tested with a fake of the other.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "orchestrator/core/ready_position.hpp"
#include "orchestrator/core/sessions/faults.hpp"
#include "protocol/cpp/messages.hpp"

namespace tasker::ports {

/// One step of a batch as delivery sees it. `attempt` counts from 1.
struct DeliveredStep {
    std::int64_t step_id = 0;
    std::int32_t attempt = 0;
};

/// A batch whose rows are committed and which may now be sent. `message` is the whole step_batch_request
/// (JSON, without topic); `session` is empty for plain mode. Sending it again must be byte-identical.
struct OutboundBatch {
    std::string batch_uuid;
    std::string session;
    std::vector<DeliveredStep> steps;
    std::string message;
    std::string handler_class;  // of all its steps; an `unknown_handler` rejection takes it off the session
};

/// A batch that was open when this orchestrator started: its credit is taken at once, and it is sent again,
/// unchanged, when its session returns without knowing it. `steps` are the unreported ones.
struct AdoptedBatch {
    OutboundBatch batch;
    bool accepted = false;
};

/// Sequences of one batch whose reports are committed (or, with `code`, were refused for good).
struct AckedBatch {
    std::string batch_uuid;
    std::vector<std::int64_t> sequences;
};
struct RejectedReport {
    std::string batch_uuid;
    std::int64_t sequence = 0;
    std::string code;
};
struct AckList {
    std::string session;  // where the ack goes: `sent_by` when present, else the batch's session
    std::vector<AckedBatch> batches;
    std::vector<RejectedReport> rejected;
};

/// The committed answer to a start_request; granted when `refusal` is empty.
struct StartAnswer {
    std::string session;
    std::string batch_uuid;
    std::int64_t step_id = 0;
    std::int32_t attempt = 0;
    std::int64_t n = 0;
    std::string refusal;
};

/// Committed batches to be sent to their sessions, in this order.
struct PublishBatches {
    std::vector<OutboundBatch> batches;
};

/// The complete list of a lane's open batches, as read from the database at start or after a lost connection:
/// whatever else the io thread held of that lane is forgotten and its credit returned. A batch that a ready
/// session may not know is sent again, unchanged (the worker recognises the batch id).
struct AdoptBatches {
    int lane = 0;
    std::vector<AdoptedBatch> batches;
};

/// The batches have ended (all their rows are terminal): forget them, return whatever credit they still hold.
struct ForgetBatches {
    std::vector<std::string> batch_uuids;
};

struct Acknowledge {
    std::vector<AckList> lists;
};

/// Asks the session to send again what stands in its outbox for this batch (report_request).
struct RequestReports {
    std::string session;
    std::string batch_uuid;
    std::vector<std::int64_t> step_ids;
};

/// `ended`: the deliveries are over for the database; credit stays taken until the session no longer lists
/// them. Otherwise their reports or rejections are still awaited.
struct CancelSteps {
    std::string session;
    std::string batch_uuid;
    std::vector<DeliveredStep> steps;
    std::string reason;
    bool ended = false;
};

/// Reports that the io thread took for the end of these steps and that did not end them: refused, or left to be
/// sent again. Their session has to account for them as before.
struct ReopenSteps {
    std::string batch_uuid;
    std::vector<std::int64_t> step_ids;
};

/// The session holds steps and starts none: no new work until it answers a probe.
struct SuspectSession {
    std::string session;
};

struct DrainSession {
    std::string session;
    std::int64_t deadline_ms = 0;
};

/// A report shows that its session did what the protocol forbids: counted there.
struct RecordFault {
    std::string session;
    core::SessionFault fault = core::SessionFault::too_large;
};

/// This orchestrator is shutting down: new sessions are refused (`draining`) from now on.
struct RefuseSessions {};

using Outbound =
    std::variant<PublishBatches, AdoptBatches, ForgetBatches, Acknowledge, RequestReports, CancelSteps,
                 StartAnswer, SuspectSession, DrainSession, RecordFault, RefuseSessions, ReopenSteps>;

/// Listener → io. send() is thread-safe and returns at once; messages are carried out in order. The credit of
/// adopted batches is taken before it returns.
class Publisher {
  public:
    virtual ~Publisher() = default;
    virtual void send(Outbound message) = 0;
};

/// A message of the results or workers topic that concerns the database, decoded, with its text as it came.
struct Report {
    std::variant<protocol::PartialResult, protocol::BatchCompletion, protocol::StepBatchResponse,
                 protocol::BatchRejected>
        message;
    std::string raw;
    bool too_large = false;  // its frame is above its limit: of a result only that is kept
};

/// Bytes that could not be parsed or attributed; kept in tasker_rejected_messages with their reason.
struct Malformed {
    std::string topic;
    std::string bytes;
    std::string code;
    std::string reason;
    std::string session = {};  // when it can be read
};

/// The session has sent batch_accepted: the batch is `executing`.
struct Accepted {
    std::string session;
    std::string batch_uuid;
};

/// The batch was never sent because its session is not ready any more: proven unstarted.
struct Undelivered {
    std::string session;
    std::string batch_uuid;
};

/// According to a heartbeat or an in_progress report this step has been running for `age_ms`.
struct StepRunning {
    std::string batch_uuid;
    std::int64_t step_id = 0;
    std::int32_t attempt = 0;
    std::int64_t age_ms = 0;
};

/// Credit has appeared (a session became ready, a pause ended): look for work that waits.
struct CreditAppeared {};
/// Another lane has left credit, or given some back, that this lane waits for.
struct CreditShared {};
/// NOTIFY tasker_wake: work has become ready for these handler keys, or (definitions) a template was loaded,
/// or (full_scan) nobody knows what: look at everything.
struct Wake {
    bool full_scan = false;
    bool definitions = false;
    std::vector<std::int32_t> keys;
    core::ReadyPosition from = {};  // no step of these keys that has become ready comes before this
    std::optional<int> shard = {};  // all of them are of this shard
};

/// A session is gone (lease, disconnect or goodbye); its credit has been returned. `steps_in_flight` were not
/// reported yet. `drained`: by its goodbye all it ever started was reported and acknowledged, so all else
/// that was sent to it is proven unstarted.
struct SessionLost {
    std::string session;
    std::string worker_id;
    std::string reason;
    std::int64_t steps_in_flight = 0;
    bool drained = false;
};

/// Sent and sent again, and never accepted.
struct NotAccepted {
    std::string session;
    std::string batch_uuid;
};

/// Accepted and not reported, but the session's inventories do not list them any more. `withheld`: they list
/// them as reported, and no report came, although it was asked for.
struct StepsAbsent {
    std::string session;
    std::string batch_uuid;
    std::vector<std::int64_t> step_ids;
    bool withheld = false;
};

/// The session holds this step and does not start it, although nothing keeps it from that. `again`: it was
/// cancelled there before, without effect. `at`: when that was seen, by the boot-time clock.
struct HeldTooLong {
    std::string session;
    std::string batch_uuid;
    std::int64_t step_id = 0;
    bool again = false;
    std::optional<std::chrono::milliseconds> at = {};
};

/// A worker asks whether it may start a claim_first step; asked again until answered.
struct StartRequested {
    std::string session;
    std::string batch_uuid;
    std::int64_t step_id = 0;
    std::int32_t attempt = 0;
    std::int64_t n = 0;
};

using Inbound =
    std::variant<Report, Malformed, Accepted, Undelivered, StepRunning, CreditAppeared, CreditShared, Wake,
                 SessionLost, NotAccepted, StepsAbsent, HeldTooLong, StartRequested>;

}  // namespace tasker::ports
