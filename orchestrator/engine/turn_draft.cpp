#include "orchestrator/engine/turn_draft.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "orchestrator/engine/report_words.hpp"
#include "protocol/cpp/convert.hpp"
#include "protocol/cpp/encode.hpp"
#include "protocol/cpp/json_text.hpp"

namespace tasker::engine {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
    using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

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
    record.unusable = true;
    record.retryable = false;
}

// Legal JSON that jsonb cannot hold, or that later steps could not be sent, fails its attempt for good; the
// raw message stays in the ledger as it came.
void make_storable(ports::TurnMessage& record, std::int64_t result_bytes_max) {
    if (static_cast<std::int64_t>(record.output_json.size()) > result_bytes_max) {
        fail_for_good(record, "output_too_large",
                      "the output has " + std::to_string(record.output_json.size()) + " bytes, at most " +
                          std::to_string(result_bytes_max) + " are allowed (limits.result_bytes)");
        return;
    }
    for (const std::string* text : {&record.output_json, &record.error_json}) {
        if (text->empty()) continue;
        const auto reason = protocol::unstorable_reason(*text);
        if (!reason) continue;
        fail_for_good(record, "unstorable_output", "the report cannot be stored: " + *reason);
        return;
    }
}

// What is missing because its worker is gone needs nobody's attention: the steps were retried or
// dead-lettered.
bool is_expected_loss(const OpenBatch& batch, const core::Reconciliation& verdict) {
    return batch.session_lost &&
           std::all_of(verdict.differences.begin(), verdict.differences.end(), [](const auto& difference) {
               return difference.kind == core::DiscrepancyKind::missing_partial ||
                      difference.kind == core::DiscrepancyKind::missing_completion ||
                      difference.kind == core::DiscrepancyKind::count_mismatch;
           });
}

const std::string& reply_address(const std::optional<std::string>& sent_by,
                                 const std::optional<std::string>& session) {
    static const std::string nobody;
    if (sent_by && !sent_by->empty()) return *sent_by;
    return session ? *session : nobody;
}

}  // namespace

std::string discrepancies_json(const std::vector<core::Discrepancy>& differences) {
    nlohmann::json list = nlohmann::json::array();
    for (const auto& difference : differences) {
        nlohmann::json entry = {{"kind", core::to_text(difference.kind)}, {"detail", difference.detail}};
        if (difference.step_id != 0) entry["step_id"] = difference.step_id;
        list.push_back(std::move(entry));
    }
    return nlohmann::json{{"discrepancies", std::move(list)}}.dump();
}

OpenBatch* TurnDraft::touch(const std::string& batch_uuid) {
    const auto found = touched_.find(batch_uuid);
    if (found != touched_.end()) return &found->second;
    const auto* known = context_.find_batch(batch_uuid);
    if (!known) return nullptr;
    auto& copy = touched_.emplace(batch_uuid, *known).first->second;
    progress_[batch_uuid].from = copy.state;
    return &copy;
}

TurnDraft::Progress& TurnDraft::progress_of(const OpenBatch& batch) {
    return progress_[batch.batch_uuid];
}

void TurnDraft::ack(const std::string& to, const std::string& batch_uuid, std::int64_t sequence) {
    if (!to.empty() && sequence > 0) acked_[to][batch_uuid].push_back(sequence);
}

void TurnDraft::refuse(const std::string& to, const std::string& batch_uuid, std::int64_t sequence,
                       std::string_view code) {
    if (!to.empty() && sequence > 0) refused_[to].push_back({batch_uuid, sequence, std::string(code)});
}

std::vector<ports::AckList> TurnDraft::acks() const {
    std::map<std::string, ports::AckList> lists;
    for (const auto& [to, batches] : acked_) {
        auto& list = lists[to];
        for (const auto& [batch_uuid, sequences] : batches) list.batches.push_back({batch_uuid, sequences});
    }
    for (const auto& [to, refusals] : refused_) lists[to].rejected = refusals;
    std::vector<ports::AckList> result;
    for (auto& [to, list] : lists) {
        list.session = to;
        result.push_back(std::move(list));
    }
    return result;
}

void TurnDraft::receive(const ports::Inbound& inbound) {
    std::visit(Overloaded{[&](const ports::Report& report) { receive_report(report); },
                          [&](const ports::Malformed& m) {
                              rejected_.push_back({m.topic, m.code, m.reason, "", m.bytes});
                          },
                          [&](const ports::Accepted& accepted) {
                              // `executing` is written with the next turn that touches the batch anyway.
                              auto* batch = touch(accepted.batch_uuid);
                              if (batch && batch->session == accepted.session) batch->accepted = true;
                          },
                          [&](const ports::Undelivered& undelivered) { receive_undelivered(undelivered); },
                          [&](const ports::StepRunning& running) { receive_running(running); },
                          [&](const ports::HeldTooLong& held) { receive_held(held); },
                          [&](const ports::StartRequested& request) { receive_start(request); },
                          [&](const ports::SessionLost& loss) { losses_.emplace_back(loss); },
                          [&](const ports::NotAccepted& loss) { losses_.emplace_back(loss); },
                          [&](const ports::StepsAbsent& loss) { losses_.emplace_back(loss); },
                          [](const auto&) {}},  // wake-ups carry no data for a turn
               inbound);
}

void TurnDraft::receive_report(const ports::Report& report) {
    std::visit(Overloaded{[&](const protocol::PartialResult& m) { receive_partial(m, report.raw); },
                          [&](const protocol::BatchCompletion& m) { receive_completion(m, report.raw); },
                          [&](const protocol::BatchRejected& m) { receive_rejection(m, report.raw); },
                          [&](const protocol::StepBatchResponse& m) {
                              const auto expanded = protocol::expand(m, "", context_.received_at);
                              for (const auto& partial : expanded.partials)
                                  receive_partial(partial, report.raw);
                              receive_completion(expanded.completion, report.raw);
                          }},
               report.message);
}

void TurnDraft::reject_unknown_batch(const std::string& batch_uuid, const std::string& session,
                                     std::string_view type, const std::string& raw) {
    rejected_.push_back(
        {"results", "unknown_batch",
         std::string(type) + " for batch " + batch_uuid + ", which this installation does not have", session,
         raw});
}

void TurnDraft::receive_partial(const protocol::PartialResult& message, const std::string& raw) {
    const auto& to = reply_address(message.sent_by, message.session);
    const std::string session = message.session.value_or("");
    auto* batch = touch(message.batch_id);
    if (!batch) {
        reject_unknown_batch(message.batch_id, session, "partial_result", raw);
        refuse(to, message.batch_id, message.sequence, "unknown_batch");
        return;
    }
    ports::TurnMessage record;
    record.message_class = ports::MessageClass::unknown;
    record.batch_id = batch->batch_id;
    record.status = std::string(protocol::to_text(message.status));
    record.worker_id = message.worker_id;
    record.session = session;
    record.sequence = message.sequence;
    record.execution_time_ms = message.execution_time_ms;
    record.raw = raw;

    auto* step = batch->find_step(message.step_id);
    std::string_view fault;
    if (batch->session != session) {
        fault = "wrong_session";
    } else if (!step) {
        fault = "unknown_step";
    } else if (message.attempt && *message.attempt != step->attempt) {
        fault = "wrong_attempt";
        // An older or newer attempt of a step of this very batch cannot be: the batch holds one attempt of
        // it.
        record.message_class = ports::MessageClass::stale;
        record.batch_step_id = step->batch_step_id;
    }
    if (!fault.empty()) {
        input_.messages.push_back(std::move(record));
        refuse(to, message.batch_id, message.sequence, fault);
        return;
    }

    progress_of(*batch).life = true;
    ack(to, message.batch_id, message.sequence);
    record.batch_step_id = step->batch_step_id;
    record.step_id = message.step_id;
    record.task_id = step->task_id;
    record.attempt = step->attempt;
    if (!protocol::is_final(message.status)) {
        record.message_class = ports::MessageClass::noted;
        input_.messages.push_back(std::move(record));
        if (!step->started)
            input_.running.push_back({batch->batch_id, message.step_id, message.execution_time_ms});
        step->started = true;
        step->started_at = context_.now - std::chrono::milliseconds(message.execution_time_ms);
        return;
    }
    receive_final(*batch, *step, message, std::move(record));
}

void TurnDraft::receive_final(OpenBatch& batch, OpenStep& step, const protocol::PartialResult& message,
                              ports::TurnMessage record) {
    record.output_json = message.output_json;
    record.error_json = message.error_json;
    if (message.error) {
        record.retryable = message.error->retryable;
        record.handler_stopped = message.error->handler_stopped;
    }
    const auto status = report_status_from(record.status);
    const auto hash = report_hash(record.status, record.output_json, record.error_json);
    make_storable(record, context_.result_bytes_max);
    if (step.expected.reported) {
        // Sent again because an ack was lost, or a second, different result for one attempt.
        const bool differs = step.report_hash != 0 && step.report_hash != hash;
        if (differs || step.expected.reported != status) step.expected.conflicting_report = true;
        record.message_class = ports::MessageClass::duplicate;
        input_.messages.push_back(std::move(record));
        return;
    }
    record.message_class = ports::MessageClass::final;
    if (status == core::ReportStatus::failed && !record.unusable) {
        const auto requested = message.error ? message.error->retry_after_seconds : std::nullopt;
        record.backoff_seconds =
            core::backoff_seconds(step.backoff, step.attempt, requested, context_.random());
    }
    if (status != core::ReportStatus::completed && record.error_json.empty()) {
        record.error_json =
            error_object("unspecified", "the worker gave no error with status " + record.status);
    }
    step.expected.reported = status;
    step.report_hash = hash;
    ++progress_of(batch).partials;
    input_.messages.push_back(std::move(record));
}

void TurnDraft::receive_completion(const protocol::BatchCompletion& message, const std::string& raw) {
    const auto& to = reply_address(message.sent_by, message.session);
    const std::string session = message.session.value_or("");
    auto* batch = touch(message.batch_id);
    if (!batch) {
        reject_unknown_batch(message.batch_id, session, "batch_completion", raw);
        refuse(to, message.batch_id, message.sequence, "unknown_batch");
        return;
    }
    ports::TurnMessage record;
    record.batch_id = batch->batch_id;
    record.completion = true;
    record.worker_id = message.worker_id;
    record.session = session;
    record.sequence = message.sequence;
    record.execution_time_ms = message.total_execution_time_ms.value_or(0);
    record.raw = raw;
    if (batch->session != session) {
        record.message_class = ports::MessageClass::unknown;
        refuse(to, message.batch_id, message.sequence, "wrong_session");
    } else {
        record.message_class = ports::MessageClass::noted;
        batch->completion = to_core(message);
        progress_of(*batch).completion = true;
        progress_of(*batch).life = true;
        ack(to, message.batch_id, message.sequence);
    }
    input_.messages.push_back(std::move(record));
}

void TurnDraft::hand_back_step(const OpenBatch& batch, OpenStep& step, const std::string& reason) {
    if (step.is_settled()) return;
    step.expected.handed_back = true;
    input_.hand_backs.push_back({batch.batch_id, step.expected.step_id, step.task_id, step.attempt, reason});
}

void TurnDraft::receive_rejection(const protocol::BatchRejected& message, const std::string& raw) {
    auto* batch = touch(message.batch_id);
    if (!batch || batch->session != message.session) {
        const std::string_view code = batch ? "wrong_session" : "unknown_batch";
        if (!batch) reject_unknown_batch(message.batch_id, message.session, "batch_rejected", raw);
        refuse(message.session, message.batch_id, message.sequence, code);
        return;
    }
    for (const auto& rejected : message.steps) {
        auto* step = batch->find_step(rejected.step_id);
        if (!step || step->attempt != rejected.attempt) continue;
        const bool too_large =
            protocol::reject_reason_from_text(rejected.reason) == protocol::RejectReason::kTooLarge;
        hand_back_step(*batch, *step, too_large ? "request_too_large" : rejected.reason);
    }
    progress_of(*batch).life = true;
    ack(message.session, message.batch_id, message.sequence);
}

void TurnDraft::receive_undelivered(const ports::Undelivered& undelivered) {
    auto* batch = touch(undelivered.batch_uuid);
    if (!batch || batch->session != undelivered.session) return;
    for (auto& step : batch->steps) hand_back_step(*batch, step, "undelivered");
}

void TurnDraft::hand_back(const std::string& batch_uuid, std::int64_t step_id, const std::string& reason) {
    auto* batch = touch(batch_uuid);
    auto* step = batch ? batch->find_step(step_id) : nullptr;
    if (step) hand_back_step(*batch, *step, reason);
}

void TurnDraft::receive_running(const ports::StepRunning& running) {
    auto* batch = touch(running.batch_uuid);
    auto* step = batch ? batch->find_step(running.step_id) : nullptr;
    if (!step || step->started || step->attempt != running.attempt) return;
    step->started = true;
    step->started_at = context_.now - std::chrono::milliseconds(running.age_ms);
    progress_of(*batch).life = true;
    input_.running.push_back({batch->batch_id, running.step_id, running.age_ms});
}

void TurnDraft::end_grace(const std::string& batch_uuid) {
    if (auto* batch = touch(batch_uuid)) progress_of(*batch).grace_over = true;
}

void TurnDraft::close() {
    apply_losses();
    for (auto& [uuid, batch] : touched_) close_batch(batch, progress_of(batch));
    // Batches in ascending order, as the lock order asks.
    std::sort(input_.batches.begin(), input_.batches.end(),
              [](const auto& a, const auto& b) { return a.batch_id < b.batch_id; });
}

void TurnDraft::close_batch(OpenBatch& batch, const Progress& progress) {
    ports::BatchChange change;
    change.batch_id = batch.batch_id;
    change.from = progress.from;
    change.partials = progress.partials;
    change.completion = progress.completion;

    const auto expectation = batch.expectation();
    auto state = progress.from;
    if (progress.life && state == core::BatchState::published) {
        state = *core::next_state(state, core::BatchEvent::start);
        ++change.transitions;
    }
    if (!core::is_terminal(state)) {
        if (const auto event = core::batch_end(expectation)) {
            // A batch that reports without a sign of life in between passes through executing all the same.
            if (!core::next_state(state, *event)) {
                state = *core::next_state(state, core::BatchEvent::start);
                ++change.transitions;
            }
            state = *core::next_state(state, *event);
            ++change.transitions;
        }
    }
    change.to = state;
    batch.state = state;

    const bool settled = core::is_terminal(state) || batch.completion.has_value();
    if (settled) {
        batch.grace_spent = batch.grace_spent || progress.grace_over;
        const auto verdict = core::reconcile(expectation, batch.completion, batch.grace_spent);
        const auto detail = discrepancies_json(verdict.differences);
        // Later arrivals change what a discrepancy consists of, not only whether there is one.
        if (verdict.status != core::ReconciliationStatus::pending &&
            (verdict.status != batch.reconciliation ||
             (!verdict.differences.empty() && detail != batch.detail))) {
            change.reconciliation = verdict.status;
            change.detail_json = detail;
            if (verdict.status == core::ReconciliationStatus::discrepancy &&
                !is_expected_loss(batch, verdict))
                alerts_.push_back(batch.batch_uuid);
            batch.reconciliation = verdict.status;
            batch.detail = detail;
        }
        if (batch.grace_spent || !batch.misses_anything()) {
            batch.grace_ends.reset();
        } else if (!batch.grace_ends) {
            batch.grace_ends = context_.now + context_.reconcile_grace;
        }
    }
    if (change.transitions > 0 || change.partials > 0 || change.completion || change.reconciliation) {
        input_.batches.push_back(std::move(change));
    }
}

}  // namespace tasker::engine
