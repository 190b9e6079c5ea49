// Messages → JSON text, appended to a string that the caller may use again. Always snake_case message types
// and protocol_version "1.0". Members that end in `_json` are written as they are and must be valid JSON (the
// decoder and PostgreSQL both guarantee it); every other text is escaped, and must be UTF-8.
#pragma once

#include <string>
#include <string_view>

#include "protocol/cpp/messages.hpp"

namespace tasker::protocol {

void encode(std::string& out, const Hello& message);
void encode(std::string& out, const Ready& message);
void encode(std::string& out, const WorkerHeartbeat& message);
void encode(std::string& out, const BatchAccepted& message);
void encode(std::string& out, const BatchRejected& message);
void encode(std::string& out, const StartRequest& message);
void encode(std::string& out, const Goodbye& message);
void encode(std::string& out, const PartialResult& message);
void encode(std::string& out, const BatchCompletion& message);
void encode(std::string& out, const StepBatchResponse& message);

void encode(std::string& out, const StepBatchRequest& message);
void encode(std::string& out, const Probe& message);
void encode(std::string& out, const Welcome& message);
void encode(std::string& out, const Refused& message);
void encode(std::string& out, const Ack& message);
void encode(std::string& out, const Heartbeat& message);
void encode(std::string& out, const Cancel& message);
void encode(std::string& out, const Drain& message);
void encode(std::string& out, const StartGranted& message);
void encode(std::string& out, const StartDenied& message);
void encode(std::string& out, const ReportRequest& message);

/// One element of a step_batch_request's `steps`, as it stands in the message: to measure a request against
/// the batch limit, or to assemble a batch from elements that were encoded before.
void encode(std::string& out, const StepRequest& step);

/// The JSON text of one message of any type.
template <typename Message>
std::string to_json(const Message& message) {
    std::string out;
    encode(out, message);
    return out;
}
void encode(std::string& out, const WorkerMessage& message);
void encode(std::string& out, const OrchestratorMessage& message);

/// Appends `text` as a JSON string with its quotes. Control characters, quote and backslash are escaped,
/// everything else is copied, so the result is UTF-8 when the text is.
void append_json_string(std::string& out, std::string_view text);

}  // namespace tasker::protocol
