// What the orchestrator says, on the topics `steps.<session> `, `control.<session> ` and `steps `.
#include <array>

#include "protocol/cpp/json_reader.hpp"

namespace tasker::protocol {
namespace {

constexpr auto kReadIds = read_list<kReadId, std::int64_t>;
constexpr auto kReadSequences = read_list<kReadSequence, std::int64_t>;

/// The two fields of the envelope, which every message of this direction carries.
template <typename T>
constexpr FieldSpec<T> orchestrator_id() {
    return {"orchestrator_id", true,
            [](JsonReader& reader, JsonValue& value, T& out) {
                return read_name(reader, value, out.envelope.orchestrator_id);
            },
            [](T& out) { out.envelope.orchestrator_id.clear(); }};
}
template <typename T>
constexpr FieldSpec<T> epoch() {
    return {"epoch", true,
            [](JsonReader& reader, JsonValue& value, T& out) {
                return kReadDuration(reader, value, out.envelope.epoch);
            },
            [](T& out) { out.envelope.epoch = 0; }};
}

constexpr auto kReadTriesLeft = read_int<0, std::int32_t>;

constexpr std::array<FieldSpec<StepMetadata>, 10> kMetadataFields = {
    required<&StepMetadata::attempt, kReadAttempt>("attempt"),
    required<&StepMetadata::retry_limit, kReadAttempt>("retry_limit"),
    optional<&StepMetadata::tries_left, kReadTriesLeft>("tries_left"),
    required<&StepMetadata::timeout_ms, kReadId>("timeout_ms"),
    required<&StepMetadata::sequence, kReadAttempt>("sequence"),
    required<&StepMetadata::total_steps, kReadAttempt>("total_steps"),
    required<&StepMetadata::created_at, read_time>("created_at"),
    required<&StepMetadata::idempotency_key, read_name>("idempotency_key"),
    optional<&StepMetadata::claim_first, read_bool>("claim_first"),
    optional<&StepMetadata::traceparent, read_name>("traceparent")};

constexpr std::array<FieldSpec<StepRequest>, 11> kStepFields = {
    required<&StepRequest::step_id, kReadId>("step_id"),
    required<&StepRequest::task_id, kReadId>("task_id"),
    required<&StepRequest::namespace_name, read_name>("namespace"),
    required<&StepRequest::task_name, read_name>("task_name"),
    required<&StepRequest::task_version, read_name>("task_version"),
    required<&StepRequest::step_name, read_name>("step_name"),
    required<&StepRequest::handler_class, read_name>("handler_class"),
    required<&StepRequest::handler_config_json, read_raw_object>("handler_config"),
    required<&StepRequest::task_context_json, read_raw_object>("task_context"),
    required<&StepRequest::previous_results_json, read_raw_object>("previous_results"),
    required<&StepRequest::metadata, read_struct<kMetadataFields, StepMetadata>>("metadata")};
constexpr auto kReadStep = read_struct<kStepFields, StepRequest>;

constexpr std::array<FieldSpec<StepBatchRequest>, 5> kBatchFields = {
    orchestrator_id<StepBatchRequest>(), epoch<StepBatchRequest>(),
    required<&StepBatchRequest::batch_id, read_batch_id>("batch_id"),
    required<&StepBatchRequest::handler_class, read_name>("handler_class"),
    required<&StepBatchRequest::steps, read_list<kReadStep, StepRequest>>("steps")};

constexpr std::array<FieldSpec<Probe>, 3> kProbeFields = {orchestrator_id<Probe>(), epoch<Probe>(),
                                                          required<&Probe::nonce, read_name>("nonce")};

constexpr std::array<FieldSpec<Limits>, 4> kLimitsFields = {
    required<&Limits::batch_bytes, kReadId>("batch_bytes"),
    required<&Limits::result_bytes, kReadId>("result_bytes"), required<&Limits::depth, kReadId>("depth"),
    optional<&Limits::inventory_bytes, kReadId>("inventory_bytes")};

constexpr std::array<FieldSpec<Welcome>, 12> kWelcomeFields = {
    orchestrator_id<Welcome>(),
    epoch<Welcome>(),
    required<&Welcome::session, read_session_id>("session"),
    required<&Welcome::heartbeat_ms, kReadId>("heartbeat_ms"),
    required<&Welcome::lease_ms, kReadId>("lease_ms"),
    required<&Welcome::resend_ms, kReadId>("resend_ms"),
    required<&Welcome::limits, read_struct<kLimitsFields, Limits>>("limits"),
    optional<&Welcome::installation, read_name>("installation"),
    optional<&Welcome::hello_nonce, read_name>("hello_nonce"),
    optional<&Welcome::disconnect_grace_ms, kReadDuration>("disconnect_grace_ms"),
    optional<&Welcome::capacity, kReadAttempt>("capacity"),
    optional<&Welcome::prefetch, kReadAttempt>("prefetch")};

constexpr std::array<FieldSpec<Refused>, 6> kRefusedFields = {
    orchestrator_id<Refused>(),
    epoch<Refused>(),
    required<&Refused::code, read_name>("code"),
    required<&Refused::message, read_text>("message"),
    required<&Refused::retry_ms, kReadDuration>("retry_ms"),
    optional<&Refused::hello_nonce, read_name>("hello_nonce")};

constexpr std::array<FieldSpec<AckedSequences>, 2> kAckedFields = {
    required<&AckedSequences::batch_id, read_batch_id>("batch_id"),
    required<&AckedSequences::sequences, kReadSequences>("sequences")};
constexpr auto kReadAcked = read_struct<kAckedFields, AckedSequences>;
constexpr std::array<FieldSpec<RejectedSequence>, 3> kRejectedFields = {
    required<&RejectedSequence::batch_id, read_batch_id>("batch_id"),
    required<&RejectedSequence::sequence, kReadSequence>("sequence"),
    required<&RejectedSequence::code, read_name>("code")};
constexpr auto kReadRejected = read_struct<kRejectedFields, RejectedSequence>;
constexpr std::array<FieldSpec<Ack>, 5> kAckFields = {
    orchestrator_id<Ack>(), epoch<Ack>(), required<&Ack::session, read_session_id>("session"),
    required<&Ack::batches, read_list<kReadAcked, AckedSequences>>("batches"),
    required<&Ack::rejected, read_list<kReadRejected, RejectedSequence>>("rejected")};

constexpr std::array<FieldSpec<Heartbeat>, 4> kHeartbeatFields = {
    orchestrator_id<Heartbeat>(), epoch<Heartbeat>(), required<&Heartbeat::n, kReadDuration>("n"),
    optional<&Heartbeat::installation, read_name>("installation")};

constexpr std::array<FieldSpec<Cancel>, 5> kCancelFields = {
    orchestrator_id<Cancel>(), epoch<Cancel>(), required<&Cancel::session, read_session_id>("session"),
    required<&Cancel::steps, read_list<read_step_ref, StepRef>>("steps"),
    required<&Cancel::reason, read_name>("reason")};

constexpr std::array<FieldSpec<Drain>, 4> kDrainFields = {
    orchestrator_id<Drain>(), epoch<Drain>(), required<&Drain::session, read_session_id>("session"),
    required<&Drain::deadline_ms, kReadDuration>("deadline_ms")};

constexpr std::array<FieldSpec<StartGranted>, 8> kGrantedFields = {
    orchestrator_id<StartGranted>(),
    epoch<StartGranted>(),
    required<&StartGranted::session, read_session_id>("session"),
    required<&StartGranted::batch_id, read_batch_id>("batch_id"),
    required<&StartGranted::step_id, kReadId>("step_id"),
    required<&StartGranted::attempt, kReadAttempt>("attempt"),
    required<&StartGranted::n, kReadId>("n"),
    required<&StartGranted::start_window_ms, kReadDuration>("start_window_ms")};

constexpr std::array<FieldSpec<StartDenied>, 8> kDeniedFields = {
    orchestrator_id<StartDenied>(),
    epoch<StartDenied>(),
    required<&StartDenied::session, read_session_id>("session"),
    required<&StartDenied::batch_id, read_batch_id>("batch_id"),
    required<&StartDenied::step_id, kReadId>("step_id"),
    required<&StartDenied::attempt, kReadAttempt>("attempt"),
    required<&StartDenied::n, kReadId>("n"),
    required<&StartDenied::reason, read_name>("reason")};

constexpr std::array<FieldSpec<ReportRequest>, 6> kReportRequestFields = {
    orchestrator_id<ReportRequest>(),
    epoch<ReportRequest>(),
    required<&ReportRequest::session, read_session_id>("session"),
    required<&ReportRequest::batch_id, read_batch_id>("batch_id"),
    optional<&ReportRequest::sequences, kReadSequences>("sequences"),
    optional<&ReportRequest::step_ids, kReadIds>("step_ids")};

using Spec = MessageSpec<OrchestratorMessage>;
constexpr std::array<Spec, 11> kMessages = {
    message_spec<OrchestratorMessage, StepBatchRequest, kBatchFields>("step_batch_request"),
    message_spec<OrchestratorMessage, Ack, kAckFields>("ack"),
    message_spec<OrchestratorMessage, Heartbeat, kHeartbeatFields>("heartbeat"),
    message_spec<OrchestratorMessage, Probe, kProbeFields>("probe"),
    message_spec<OrchestratorMessage, Welcome, kWelcomeFields>("welcome"),
    message_spec<OrchestratorMessage, Refused, kRefusedFields>("refused"),
    message_spec<OrchestratorMessage, Cancel, kCancelFields>("cancel"),
    message_spec<OrchestratorMessage, Drain, kDrainFields>("drain"),
    message_spec<OrchestratorMessage, StartGranted, kGrantedFields>("start_granted"),
    message_spec<OrchestratorMessage, StartDenied, kDeniedFields>("start_denied"),
    message_spec<OrchestratorMessage, ReportRequest, kReportRequestFields>("report_request")};

}  // namespace

std::span<const MessageSpec<OrchestratorMessage>> orchestrator_message_specs() {
    return kMessages;
}

}  // namespace tasker::protocol
