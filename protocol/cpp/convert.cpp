#include "protocol/cpp/convert.hpp"

#include <simdjson.h>

namespace tasker::protocol {
namespace {

/// metadata.execution_time_ms when it is a whole number that is not negative, else 0: the old form is loose
/// here.
std::int64_t execution_time_ms(const std::string& metadata_json) {
    if (metadata_json.empty()) return 0;
    simdjson::dom::parser parser;
    simdjson::dom::element metadata;
    std::int64_t milliseconds = 0;
    if (parser.parse(metadata_json).get(metadata) != simdjson::SUCCESS) return 0;
    if (metadata["execution_time_ms"].get(milliseconds) != simdjson::SUCCESS) return 0;
    return milliseconds < 0 ? 0 : milliseconds;
}

}  // namespace

ExpandedResponse expand(const StepBatchResponse& response, std::string_view worker_id,
                        std::string_view received_at) {
    ExpandedResponse expanded;
    BatchCompletion& completion = expanded.completion;
    completion.batch_id = response.batch_id;
    completion.worker_id = worker_id;
    completion.completed_at = received_at;
    expanded.partials.reserve(response.results.size());
    std::int64_t sequence = 0;
    for (const StepBatchResult& result : response.results) {
        PartialResult& partial = expanded.partials.emplace_back();
        partial.batch_id = response.batch_id;
        partial.step_id = result.step_id;
        partial.status = result.status;
        partial.output_json = result.output_json;
        partial.error_json = result.error_json;
        partial.error = result.error;
        partial.worker_id = worker_id;
        partial.sequence = ++sequence;
        partial.timestamp = received_at;
        partial.execution_time_ms = execution_time_ms(result.metadata_json);

        StepSummary& summary = completion.step_summaries.emplace_back();
        summary.step_id = result.step_id;
        summary.final_status = result.status;
        summary.execution_time_ms = partial.execution_time_ms;
        ++completion.total_steps;
        switch (result.status) {
            case ReportStatus::completed:
                ++completion.completed_steps;
                break;
            case ReportStatus::failed:
            case ReportStatus::error:
                ++completion.failed_steps;
                break;
            case ReportStatus::in_progress:
                ++completion.in_progress_steps;
                break;
        }
    }
    completion.sequence = sequence + 1;
    return expanded;
}

}  // namespace tasker::protocol
