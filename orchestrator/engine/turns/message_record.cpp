#include "orchestrator/engine/turns/message_record.hpp"

#include <fmt/format.h>

#include <optional>
#include <string_view>

#include "protocol/cpp/encode.hpp"
#include "protocol/cpp/json_text.hpp"

namespace tasker::engine {
namespace {

std::string error_object(std::string_view code, std::string_view message) {
    std::string json = R"({"message":)";
    protocol::append_json_string(json, message);
    json += R"(,"error_type":"TaskerError","error_code":)";
    protocol::append_json_string(json, code);
    json += R"(,"retryable":false})";
    return json;
}

void fail_for_good(ports::TurnMessage& record, std::string_view code, std::string_view message) {
    record.error_json = error_object(code, message);
    record.output_json.clear();
    record.output_bytes = 0;
    record.unusable = true;
    record.retryable = false;
}

void make_storable(ports::TurnMessage& record, const OutputLimits& limits) {
    if (static_cast<std::int64_t>(record.output_json.size()) > limits.bytes) {
        fail_for_good(record, "output_too_large",
                      "the output has " + std::to_string(record.output_json.size()) + " bytes, at most " +
                          std::to_string(limits.bytes) + " are allowed (limits.result_bytes)");
        return;
    }
    protocol::JsonMeasure output;
    auto reason =
        record.output_json.empty() ? std::nullopt : protocol::unstorable_reason(record.output_json, output);
    if (!reason && output.depth > limits.depth) {
        reason = "the output is nested " + std::to_string(output.depth) + " levels deep, at most " +
                 std::to_string(limits.depth) +
                 " fit into the request of a later step (limits.depth less the " +
                 std::to_string(protocol::kLevelsAroundOutput) + " around it)";
    }
    if (!reason && !record.error_json.empty()) reason = protocol::unstorable_reason(record.error_json);
    record.output_bytes = output.text_bytes;
    if (reason) fail_for_good(record, "unstorable_output", "the report cannot be stored: " + *reason);
}

template <typename Message>
ports::TurnMessage record_of_any(const Message& message, const ReportFacts& facts, const OpenBatch& batch,
                                 const std::string& raw) {
    ports::TurnMessage record;
    record.message_class = ports::MessageClass::unknown;
    record.batch_id = batch.batch_id;
    record.worker_id = message.worker_id;
    record.session = facts.session;
    record.sequence = facts.sequence;
    record.raw = raw;
    return record;
}

}  // namespace

ports::TurnMessage record_of(const protocol::PartialResult& message, const ReportFacts& facts,
                             const OpenBatch& batch, const std::string& raw) {
    auto record = record_of_any(message, facts, batch, raw);
    record.status = protocol::to_text(message.status);
    record.execution_time_ms = message.execution_time_ms;
    return record;
}

ports::TurnMessage record_of(const protocol::BatchCompletion& message, const ReportFacts& facts,
                             const OpenBatch& batch, const std::string& raw) {
    auto record = record_of_any(message, facts, batch, raw);
    record.completion = true;
    record.execution_time_ms = message.total_execution_time_ms.value_or(0);
    return record;
}

void attribute(ports::TurnMessage& record, const OpenStep& step) {
    record.batch_step_id = step.batch_step_id;
    record.step_id = step.expected.step_id;
    record.task_id = step.task_id;
    record.attempt = step.attempt;
}

std::string without_result(const protocol::PartialResult& message) {
    auto kept = message;
    kept.output_json.clear();
    kept.error_json.clear();
    kept.error.reset();
    return protocol::to_json(kept);
}

void add_too_large(ports::TurnMessage& record, const protocol::PartialResult& message) {
    if (message.error) record.handler_stopped = message.error->handler_stopped;
    fail_for_good(record, "output_too_large",
                  "the report has more bytes than a frame may have (limits.result_bytes and what a message "
                  "may add)");
}

void add_result(ports::TurnMessage& record, const protocol::PartialResult& message,
                const OutputLimits& limits) {
    record.output_json = message.output_json;
    record.error_json = message.error_json;
    if (message.error) {
        record.retryable = message.error->retryable;
        record.handler_stopped = message.error->handler_stopped;
    }
    make_storable(record, limits);
}

void add_retry_after_cut(ports::TurnMessage& record, double seconds) {
    const auto end = record.error_json.rfind('}');
    if (end == std::string::npos) return;
    // An error has a message, so another member stands before this one; of two by that name the last counts.
    record.error_json.insert(end, fmt::format(R"(,"retry_after_cut_to_seconds":{})", seconds));
}

void add_missing_error(ports::TurnMessage& record) {
    if (!record.error_json.empty()) return;
    record.error_json = error_object("unspecified", "the worker gave no error with status " + record.status);
}

}  // namespace tasker::engine
