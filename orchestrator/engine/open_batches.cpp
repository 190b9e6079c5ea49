#include "orchestrator/engine/open_batches.hpp"

#include <algorithm>
#include <utility>

#include "orchestrator/engine/report_words.hpp"
#include "protocol/cpp/decode.hpp"

namespace tasker::engine {

OpenStep* OpenBatch::find_step(std::int64_t step_id) {
    for (auto& step : steps) {
        if (step.expected.step_id == step_id) return &step;
    }
    return nullptr;
}

std::vector<core::ExpectedStep> OpenBatch::expectation() const {
    std::vector<core::ExpectedStep> expected;
    expected.reserve(steps.size());
    for (const auto& step : steps) expected.push_back(step.expected);
    return expected;
}

bool OpenBatch::misses_anything() const {
    return !completion || std::any_of(steps.begin(), steps.end(), [](const OpenStep& step) {
        return !step.expected.reported && !step.expected.handed_back;
    });
}

std::optional<core::Completion> completion_from_json(const std::string& raw) {
    if (raw.empty()) return std::nullopt;
    protocol::Decoder decoder;
    const auto message = decoder.decode_worker_message(raw);
    if (!message) return std::nullopt;
    const auto* completion = std::get_if<protocol::BatchCompletion>(&*message);
    if (!completion) return std::nullopt;
    return to_core(*completion);
}

OpenBatch open_batch_from(const ports::StoredBatch& stored) {
    OpenBatch batch;
    batch.batch_id = stored.batch_id;
    batch.batch_uuid = stored.batch_uuid;
    batch.session = stored.session;
    batch.handler_key = stored.handler_key;
    batch.state = stored.state;
    batch.reconciliation = stored.reconciliation;
    batch.accepted = stored.state != core::BatchState::published;
    batch.completion = completion_from_json(stored.completion_json);
    batch.grace_spent = stored.reconciliation == core::ReconciliationStatus::discrepancy;
    for (const auto& row : stored.steps) {
        OpenStep step;
        step.batch_step_id = row.batch_step_id;
        step.task_id = row.task_id;
        step.attempt = row.attempt;
        step.started = row.started;
        step.expected.step_id = row.step_id;
        step.expected.reported = report_status_from(row.final_status);
        step.expected.handed_back = row.final_status == "handed_back";
        step.expected.orphaned = row.final_status == "orphaned";
        step.expected.conflicting_report = row.conflicting;
        batch.steps.push_back(std::move(step));
    }
    return batch;
}

OpenBatch* BatchBook::find(const std::string& batch_uuid) {
    const auto found = batches_.find(batch_uuid);
    return found == batches_.end() ? nullptr : &found->second;
}

void BatchBook::put(OpenBatch batch) {
    auto key = batch.batch_uuid;
    batches_.insert_or_assign(std::move(key), std::move(batch));
}

}  // namespace tasker::engine
