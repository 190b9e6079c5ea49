// The old report form in terms of the new one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "protocol/cpp/messages.hpp"

namespace tasker::protocol {

struct ExpandedResponse {
    std::vector<PartialResult> partials;
    BatchCompletion completion;
};

/// A step_batch_response as its partial results (sequences 1 … n, in the order of `results`) followed by a
/// completion (sequence n + 1). The old form names neither worker nor time: `worker_id` and `received_at`
/// (RFC 3339) stand in; execution_time_ms is taken from each result's metadata when it is a whole number
/// there, else 0.
ExpandedResponse expand(const StepBatchResponse& response, std::string_view worker_id,
                        std::string_view received_at);

}  // namespace tasker::protocol
