#include "orchestrator/engine/turns/reopened.hpp"

#include <cstdint>
#include <utility>
#include <variant>

#include "orchestrator/engine/turns/report_facts.hpp"

namespace tasker::engine {

void add_reopened(std::vector<ports::ReopenSteps>& reopened, const OpenBatch& batch,
                  const ports::Report& report) {
    const auto facts = facts_of(report);
    if (batch.batch_uuid != facts.batch_uuid || batch.session != facts.session) return;
    std::vector<std::int64_t> named;
    if (facts.kind == ReportKind::final_result) {
        named.push_back(std::get<protocol::PartialResult>(report.message).step_id);
    } else if (facts.kind == ReportKind::rejection) {
        for (const auto& step : std::get<protocol::BatchRejected>(report.message).steps)
            named.push_back(step.step_id);
    }
    std::vector<std::int64_t> out;
    for (const auto& step : batch.steps) {
        if (step.is_settled()) continue;
        for (const auto step_id : named) {
            if (step_id != step.expected.step_id) continue;
            out.push_back(step_id);
            break;
        }
    }
    if (!out.empty()) reopened.push_back({batch.batch_uuid, std::move(out)});
}

}  // namespace tasker::engine
