// What sessions say on the topic `workers `.
#include <array>

#include "protocol/cpp/json_reader.hpp"

namespace tasker::protocol {
namespace {

constexpr auto kReadNames = read_list<read_name, std::string>;
constexpr auto kReadRefs = read_list<read_step_ref, StepRef>;

constexpr std::array<FieldSpec<Hello>, 15> kHelloFields = {
    required<&Hello::worker_id, read_name>("worker_id"),
    required<&Hello::session, read_session_id>("session"),
    required<&Hello::language, read_name>("language"),
    required<&Hello::sdk_version, read_name>("sdk_version"),
    required<&Hello::namespaces, kReadNames>("namespaces"),
    required<&Hello::handlers, kReadNames>("handlers"),
    required<&Hello::capacity, kReadAttempt>("capacity"),
    optional<&Hello::prefetch, kReadAttempt>("prefetch"),
    required<&Hello::host, read_name>("host"),
    required<&Hello::pid, kReadCount>("pid"),
    required<&Hello::held, kReadRefs>("held"),
    required<&Hello::running, kReadRefs>("running"),
    required<&Hello::unacked, kReadRefs>("unacked"),
    optional<&Hello::previous_sessions, read_list<read_session_id, std::string>>("previous_sessions"),
    optional<&Hello::hello_nonce, read_name>("hello_nonce")};

constexpr std::array<FieldSpec<Ready>, 5> kReadyFields = {
    required<&Ready::session, read_session_id>("session"), required<&Ready::nonce, read_name>("nonce"),
    required<&Ready::held, kReadRefs>("held"), required<&Ready::running, kReadRefs>("running"),
    required<&Ready::unacked, kReadRefs>("unacked")};

constexpr std::array<FieldSpec<RunningStep>, 4> kRunningFields = {
    required<&RunningStep::batch_id, read_batch_id>("batch_id"),
    required<&RunningStep::step_id, kReadId>("step_id"),
    required<&RunningStep::attempt, kReadAttempt>("attempt"),
    required<&RunningStep::age_ms, kReadDuration>("age_ms")};
constexpr auto kReadRunning = read_struct<kRunningFields, RunningStep>;

constexpr std::array<FieldSpec<WorkerHeartbeat>, 7> kHeartbeatFields = {
    required<&WorkerHeartbeat::session, read_session_id>("session"),
    required<&WorkerHeartbeat::seen_n, kReadDuration>("seen_n"),
    required<&WorkerHeartbeat::held, kReadRefs>("held"),
    required<&WorkerHeartbeat::running, read_list<kReadRunning, RunningStep>>("running"),
    required<&WorkerHeartbeat::unacked, kReadRefs>("unacked"),
    required<&WorkerHeartbeat::oldest_unacked_ms, kReadDuration>("oldest_unacked_ms"),
    required<&WorkerHeartbeat::free, kReadDuration>("free")};

constexpr std::array<FieldSpec<BatchAccepted>, 2> kAcceptedFields = {
    required<&BatchAccepted::session, read_session_id>("session"),
    required<&BatchAccepted::batch_id, read_batch_id>("batch_id")};

constexpr std::array<FieldSpec<RejectedStep>, 5> kRejectedStepFields = {
    required<&RejectedStep::step_id, kReadId>("step_id"),
    required<&RejectedStep::attempt, kReadAttempt>("attempt"),
    required<&RejectedStep::reason, read_name>("reason"),
    optional<&RejectedStep::wait_seconds, read_seconds>("wait_seconds"),
    optional<&RejectedStep::message, read_text>("message")};
constexpr auto kReadRejectedStep = read_struct<kRejectedStepFields, RejectedStep>;

constexpr std::array<FieldSpec<BatchRejected>, 4> kRejectedFields = {
    required<&BatchRejected::session, read_session_id>("session"),
    required<&BatchRejected::batch_id, read_batch_id>("batch_id"),
    required<&BatchRejected::sequence, kReadSequence>("sequence"),
    required<&BatchRejected::steps, read_list<kReadRejectedStep, RejectedStep>>("steps")};

constexpr std::array<FieldSpec<StartRequest>, 5> kStartRequestFields = {
    required<&StartRequest::session, read_session_id>("session"),
    required<&StartRequest::batch_id, read_batch_id>("batch_id"),
    required<&StartRequest::step_id, kReadId>("step_id"),
    required<&StartRequest::attempt, kReadAttempt>("attempt"), required<&StartRequest::n, kReadId>("n")};

constexpr std::array<FieldSpec<Goodbye>, 2> kGoodbyeFields = {
    required<&Goodbye::session, read_session_id>("session"), required<&Goodbye::reason, read_name>("reason")};

constexpr std::array<MessageSpec<WorkerMessage>, 7> kMessages = {
    message_spec<WorkerMessage, WorkerHeartbeat, kHeartbeatFields>("worker_heartbeat"),
    message_spec<WorkerMessage, BatchAccepted, kAcceptedFields>("batch_accepted"),
    message_spec<WorkerMessage, BatchRejected, kRejectedFields>("batch_rejected"),
    message_spec<WorkerMessage, StartRequest, kStartRequestFields>("start_request"),
    message_spec<WorkerMessage, Hello, kHelloFields>("hello"),
    message_spec<WorkerMessage, Ready, kReadyFields>("ready"),
    message_spec<WorkerMessage, Goodbye, kGoodbyeFields>("goodbye")};

}  // namespace

std::span<const MessageSpec<WorkerMessage>> session_message_specs() {
    return kMessages;
}

}  // namespace tasker::protocol
