// What workers report on the topic `results `.
#include <array>

#include "protocol/cpp/json_reader.hpp"

namespace tasker::protocol {
namespace {

template <typename T>
constexpr FieldSpec<T> error_field() {
    return {"error", false,
            [](JsonReader& reader, JsonValue& value, T& out) {
                return read_error(reader, value, out.error_json, out.error);
            },
            [](T& out) {
                out.error_json.clear();
                out.error.reset();
            }};
}

constexpr std::array<FieldSpec<PartialResult>, 12> kPartialFields = {
    required<&PartialResult::batch_id, read_batch_id>("batch_id"),
    required<&PartialResult::step_id, kReadId>("step_id"),
    optional<&PartialResult::attempt, kReadAttempt>("attempt"),
    required<&PartialResult::status, read_status>("status"),
    optional<&PartialResult::output_json, read_raw>("output"),
    error_field<PartialResult>(),
    required<&PartialResult::worker_id, read_name>("worker_id"),
    optional<&PartialResult::session, read_session_id>("session"),
    optional<&PartialResult::sent_by, read_session_id>("sent_by"),
    required<&PartialResult::sequence, kReadSequence>("sequence"),
    required<&PartialResult::timestamp, read_time>("timestamp"),
    required<&PartialResult::execution_time_ms, kReadDuration>("execution_time_ms")};

constexpr std::array<FieldSpec<StepSummary>, 5> kSummaryFields = {
    required<&StepSummary::step_id, kReadId>("step_id"),
    optional<&StepSummary::attempt, kReadAttempt>("attempt"),
    required<&StepSummary::final_status, read_status>("final_status"),
    optional<&StepSummary::execution_time_ms, kReadDuration>("execution_time_ms"),
    optional<&StepSummary::worker_id, read_name>("worker_id")};
constexpr auto kReadSummary = read_struct<kSummaryFields, StepSummary>;

constexpr std::array<FieldSpec<BatchCompletion>, 12> kCompletionFields = {
    required<&BatchCompletion::batch_id, read_batch_id>("batch_id"),
    required<&BatchCompletion::total_steps, kReadCount>("total_steps"),
    required<&BatchCompletion::completed_steps, kReadCount>("completed_steps"),
    required<&BatchCompletion::failed_steps, kReadCount>("failed_steps"),
    required<&BatchCompletion::in_progress_steps, kReadCount>("in_progress_steps"),
    required<&BatchCompletion::step_summaries, read_list<kReadSummary, StepSummary>>("step_summaries"),
    optional<&BatchCompletion::total_execution_time_ms, kReadDuration>("total_execution_time_ms"),
    required<&BatchCompletion::completed_at, read_time>("completed_at"),
    required<&BatchCompletion::worker_id, read_name>("worker_id"),
    optional<&BatchCompletion::session, read_session_id>("session"),
    optional<&BatchCompletion::sent_by, read_session_id>("sent_by"),
    required<&BatchCompletion::sequence, kReadSequence>("sequence")};

constexpr std::array<FieldSpec<StepBatchResult>, 5> kOldResultFields = {
    required<&StepBatchResult::step_id, kReadId>("step_id"),
    required<&StepBatchResult::status, read_status>("status"),
    optional<&StepBatchResult::output_json, read_raw>("output"), error_field<StepBatchResult>(),
    optional<&StepBatchResult::metadata_json, read_raw_object>("metadata")};
constexpr auto kReadOldResult = read_struct<kOldResultFields, StepBatchResult>;

constexpr std::array<FieldSpec<StepBatchResponse>, 2> kResponseFields = {
    required<&StepBatchResponse::batch_id, read_batch_id>("batch_id"),
    required<&StepBatchResponse::results, read_list<kReadOldResult, StepBatchResult>>("results")};

constexpr std::array<MessageSpec<WorkerMessage>, 3> kMessages = {
    message_spec<WorkerMessage, PartialResult, kPartialFields>("partial_result"),
    message_spec<WorkerMessage, BatchCompletion, kCompletionFields>("batch_completion"),
    message_spec<WorkerMessage, StepBatchResponse, kResponseFields>("step_batch_response")};

}  // namespace

std::span<const MessageSpec<WorkerMessage>> report_message_specs() {
    return kMessages;
}

}  // namespace tasker::protocol
