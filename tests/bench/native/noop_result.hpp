// What a no-op step reports. The worker sends it, and the floor writes it: the very same bytes in the ledger.
#pragma once

#include <cstdint>
#include <string>

#include "protocol/cpp/messages.hpp"

namespace tasker::bench {

/// A result of about 200 bytes.
inline const std::string& noop_output() {
    static const std::string output = R"({"ok":true,"filler":")" + std::string(170, 'x') + R"("})";
    return output;
}

inline protocol::PartialResult noop_result(const std::string& batch_id, const std::string& session,
                                           std::int64_t step_id, std::int32_t attempt, std::int64_t sequence,
                                           const std::string& timestamp) {
    protocol::PartialResult partial;
    partial.batch_id = batch_id;
    partial.step_id = step_id;
    partial.attempt = attempt;
    partial.status = protocol::ReportStatus::completed;
    partial.output_json = noop_output();
    partial.worker_id = "bench";
    partial.session = session;
    partial.sequence = sequence;
    partial.timestamp = timestamp;
    return partial;
}

/// Without its summaries, counts and sequence, which follow from the batch's steps.
inline protocol::BatchCompletion noop_completion(const std::string& batch_id, const std::string& session,
                                                 const std::string& completed_at) {
    protocol::BatchCompletion completion;
    completion.batch_id = batch_id;
    completion.completed_at = completed_at;
    completion.worker_id = "bench";
    completion.session = session;
    return completion;
}

}  // namespace tasker::bench
