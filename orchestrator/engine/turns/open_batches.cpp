#include "orchestrator/engine/turns/open_batches.hpp"

#include <algorithm>
#include <utility>

#include "orchestrator/engine/turns/report_words.hpp"
#include "protocol/cpp/convert.hpp"
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

std::size_t report_hash(std::string_view status, std::string_view output_json, std::string_view error_json) {
    const std::hash<std::string_view> hash;
    const std::size_t mixed = hash(status) ^ (hash(output_json) * 31) ^ (hash(error_json) * 131);
    return mixed == 0 ? 1 : mixed;
}

std::size_t report_hash(const std::string& raw, std::int64_t step_id) {
    if (raw.empty()) return 0;
    protocol::Decoder decoder;
    auto message = decoder.decode_worker_message(raw);
    if (!message) return 0;
    std::vector<protocol::PartialResult> partials;
    if (const auto* old_form = std::get_if<protocol::StepBatchResponse>(&*message)) {
        partials = protocol::expand(*old_form, "", "").partials;
    } else if (auto* partial = std::get_if<protocol::PartialResult>(&*message)) {
        partials.push_back(std::move(*partial));
    }
    for (const auto& partial : partials) {
        if (partial.step_id == step_id && protocol::is_final(partial.status))
            return report_hash(protocol::to_text(partial.status), partial.output_json, partial.error_json);
    }
    return 0;
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
        step.timeout_ms = row.timeout_ms;
        step.claim_first = row.claim_first;
        step.granted = row.granted;
        step.expected.step_id = row.step_id;
        step.expected.reported = report_status_from(row.reported);
        step.report_hash = report_hash(row.report_json, row.step_id);
        step.expected.handed_back = row.final_status == "handed_back";
        step.expected.orphaned = row.final_status == "orphaned";
        step.expected.conflicting_report = row.conflicting;
        const bool ran = step.started || step.expected.reported.has_value();
        step.expected.started_without_grant = ran && batch.lacks_grant(step);
        step.expected.broken_promise = step.started && step.expected.handed_back && !row.snoozed;
        batch.session_lost = batch.session_lost || step.expected.orphaned;
        batch.steps.push_back(step);
    }
    return batch;
}

OpenBatch* BatchBook::find(const std::string& batch_uuid) {
    const auto found = batches_.find(batch_uuid);
    return found == batches_.end() ? nullptr : &found->second;
}

std::vector<std::string> BatchBook::batches_of(const std::string& session) const {
    std::vector<std::string> uuids;
    if (session.empty()) return uuids;
    for (const auto& [uuid, batch] : batches_) {
        if (batch.session == session && !core::is_terminal(batch.state)) uuids.push_back(uuid);
    }
    return uuids;
}

std::set<std::string> BatchBook::sessions() const {
    std::set<std::string> sessions;
    for (const auto& [uuid, batch] : batches_) {
        if (!batch.session.empty() && !core::is_terminal(batch.state)) sessions.insert(batch.session);
    }
    return sessions;
}

void BatchBook::put(OpenBatch batch) {
    auto key = batch.batch_uuid;
    batches_.insert_or_assign(std::move(key), std::move(batch));
}

}  // namespace tasker::engine
