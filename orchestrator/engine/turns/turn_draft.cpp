#include "orchestrator/engine/turns/turn_draft.hpp"

#include <algorithm>
#include <utility>

#include "orchestrator/engine/turns/reopened.hpp"
#include "orchestrator/engine/turns/report_facts.hpp"
#include "orchestrator/engine/turns/report_words.hpp"
#include "orchestrator/util/log.hpp"
#include "protocol/cpp/convert.hpp"

namespace tasker::engine {
namespace {

constexpr std::size_t kTooLargeBytesKept = std::size_t{64} * 1024;

template <class... Ts>
struct Overloaded : Ts... {
    using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

}  // namespace

OpenBatch* TurnDraft::touch(const std::string& batch_uuid) {
    const auto found = touched_.find(batch_uuid);
    if (found != touched_.end()) return &found->second;
    const auto* known = context_.find_batch(batch_uuid);
    if (!known) return nullptr;
    auto& copy = touched_.emplace(batch_uuid, *known).first->second;
    progress_[batch_uuid].from = copy.state;
    return &copy;
}

BatchProgress& TurnDraft::progress_of(const OpenBatch& batch) {
    return progress_[batch.batch_uuid];
}

void TurnDraft::receive(const ports::Inbound& inbound) {
    std::visit(Overloaded{[&](const ports::Report& report) { receive_report(report); },
                          [&](const ports::Malformed& m) {
                              rejected_.push_back({m.topic, m.code, m.reason, m.session, m.bytes});
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
                          [](const ports::CreditAppeared&) {},  // wake-ups carry no data for a turn
                          [](const ports::CreditShared&) {}, [](const ports::Wake&) {}},
               inbound);
}

// ---------------------------------------------------------------- reports

void TurnDraft::receive_report(const ports::Report& report) {
    const auto facts = facts_of(report);
    // An attempt ends with its result, however large; anything else of that size is refused as a whole.
    if (report.too_large && facts.kind != ReportKind::final_result) {
        refuse_too_large(facts, report);
        return;
    }
    std::visit(
        Overloaded{[&](const protocol::PartialResult& m) { receive_partial(m, facts, report); },
                   [&](const protocol::BatchCompletion& m) { receive_completion(m, facts, report.raw); },
                   [&](const protocol::BatchRejected& m) { receive_rejection(m, facts, report.raw); },
                   [&](const protocol::StepBatchResponse& m) {
                       const auto expanded = protocol::expand(m, "", context_.received_at);
                       for (const auto& partial : expanded.partials)
                           receive_partial(partial, facts_of(partial), report);
                       receive_completion(expanded.completion, facts_of(expanded.completion), report.raw);
                   }},
        report.message);
}

void TurnDraft::reject_unknown_batch(const ReportFacts& facts, std::string_view type,
                                     const std::string& raw) {
    rejected_.push_back({"results", "unknown_batch",
                         std::string(type) + " for batch " + std::string(facts.batch_uuid) +
                             ", which this installation does not have",
                         std::string(facts.session), raw});
    acks_.refuse(facts, "unknown_batch");
}

void TurnDraft::refuse_too_large(const ReportFacts& facts, const ports::Report& report) {
    const std::string& raw = report.raw;
    const auto* batch =
        facts.kind == ReportKind::rejection ? context_.find_batch(std::string(facts.batch_uuid)) : nullptr;
    if (batch != nullptr) add_reopened(reopened_, *batch, report);
    rejected_.push_back({"results", "too_large",
                         "a report of " + std::to_string(raw.size()) + " bytes, which is above its limit",
                         std::string(facts.session), raw.substr(0, kTooLargeBytesKept)});
    acks_.refuse(facts, "too_large");
}

void TurnDraft::receive_partial(const protocol::PartialResult& message, const ReportFacts& facts,
                                const ports::Report& report) {
    auto* batch = touch(message.batch_id);
    if (!batch) {
        reject_unknown_batch(facts, "partial_result", report.raw);
        return;
    }
    auto record = record_of(message, facts, *batch, report.too_large ? without_result(message) : report.raw);
    auto* step = batch->find_step(message.step_id);
    std::string_view fault;
    if (batch->session != facts.session) {
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
        acks_.refuse(facts, fault);
        add_reopened(reopened_, *batch, report);
        return;
    }
    progress_of(*batch).life = true;
    acks_.acknowledge(facts);
    attribute(record, *step);
    if (facts.kind == ReportKind::progress) {
        receive_progress(*batch, *step, message, std::move(record));
    } else {
        receive_final(*batch, *step, message, std::move(record), report.too_large);
    }
}

void TurnDraft::receive_progress(const OpenBatch& batch, OpenStep& step,
                                 const protocol::PartialResult& message, ports::TurnMessage record) {
    record.message_class = ports::MessageClass::noted;
    input_.messages.push_back(std::move(record));
    const auto age = plausible_age(message.execution_time_ms);
    if (!step.started) input_.running.push_back({batch.batch_id, message.step_id, age.count()});
    step.started = true;
    step.started_at = context_.now - age;
    judge_start(batch, step);
}

void TurnDraft::judge_start(const OpenBatch& batch, OpenStep& step) {
    if (step.is_settled() || !batch.lacks_grant(step)) return;
    if (std::exchange(step.expected.started_without_grant, true)) return;
    broken_.push_back(
        {batch.session, batch.batch_uuid, step.expected.step_id, core::SessionFault::started_without_grant});
}

void TurnDraft::receive_final(const OpenBatch& batch, OpenStep& step, const protocol::PartialResult& message,
                              ports::TurnMessage record, bool too_large) {
    const auto status = to_core(message.status);
    // Of what the ledger keeps, so that it is found again after a restart.
    const auto hash = too_large ? report_hash(record.status, "", "")
                                : report_hash(record.status, message.output_json, message.error_json);
    if (too_large) {
        add_too_large(record, message);
    } else {
        add_result(record, message, context_.output_limits);
    }
    if (step.expected.reported) {
        // Sent again because an ack was lost, or a second, different result for one attempt.
        const bool differs = step.report_hash != 0 && step.report_hash != hash;
        if (differs || step.expected.reported != status) step.expected.conflicting_report = true;
        record.message_class = ports::MessageClass::duplicate;
        input_.messages.push_back(std::move(record));
        return;
    }
    record.message_class = ports::MessageClass::final;
    withdraw_hand_back(batch, step);
    judge_start(batch, step);
    if (status == core::ReportStatus::failed && !record.unusable) {
        const auto requested = message.error ? message.error->retry_after_seconds : std::nullopt;
        record.backoff_seconds =
            core::backoff_seconds(step.backoff, step.attempt, requested, context_.random());
        if (const auto cut = core::retry_after_cut(step.backoff, requested)) {
            add_retry_after_cut(record, *cut);
            util::log::warning("a worker's retry_after is cut to max_retry_after_seconds",
                               {{"step_id", step.expected.step_id},
                                {"attempt", step.attempt},
                                {"asked_seconds", *requested},
                                {"seconds", *cut}});
        }
    }
    if (status != core::ReportStatus::completed) add_missing_error(record);
    step.expected.reported = status;
    step.report_hash = hash;
    ++progress_of(batch).partials;
    input_.messages.push_back(std::move(record));
}

void TurnDraft::receive_completion(const protocol::BatchCompletion& message, const ReportFacts& facts,
                                   const std::string& raw) {
    auto* batch = touch(message.batch_id);
    if (!batch) {
        reject_unknown_batch(facts, "batch_completion", raw);
        return;
    }
    auto record = record_of(message, facts, *batch, raw);
    if (batch->session != facts.session) {
        acks_.refuse(facts, "wrong_session");
    } else {
        record.message_class = ports::MessageClass::noted;
        batch->completion = to_core(message);
        progress_of(*batch).completion = true;
        progress_of(*batch).life = true;
        acks_.acknowledge(facts);
    }
    input_.messages.push_back(std::move(record));
}

void TurnDraft::receive_rejection(const protocol::BatchRejected& message, const ReportFacts& facts,
                                  const std::string& raw) {
    auto* batch = touch(message.batch_id);
    if (!batch) {
        reject_unknown_batch(facts, "batch_rejected", raw);
        return;
    }
    if (batch->session != facts.session) {
        acks_.refuse(facts, "wrong_session");
        return;
    }
    // One request that its worker cannot read makes the whole batch too large: which, only each alone can show.
    const auto* const too_large = batch->steps.size() > 1 ? ports::kBatchTooLarge : ports::kRequestTooLarge;
    for (const auto& rejected : message.steps) {
        auto* step = batch->find_step(rejected.step_id);
        if (!step) continue;
        if (step->attempt != rejected.attempt) {
            if (!step->is_settled()) reopened_.push_back({batch->batch_uuid, {rejected.step_id}});
            continue;
        }
        const auto reason = protocol::reject_reason_from_text(rejected.reason);
        if (reason == protocol::RejectReason::snoozed) {
            snooze_step(*batch, *step, rejected);
            continue;
        }
        const bool is_too_large = reason == protocol::RejectReason::too_large;
        hand_back_step(*batch, *step, is_too_large ? too_large : rejected.reason,
                       is_too_large ? "its worker could not take it (too_large)" : "");
    }
    progress_of(*batch).life = true;
    acks_.acknowledge(facts);
}

// ---------------------------------------------------------------- the end of the draft

void TurnDraft::end_grace(const std::string& batch_uuid) {
    if (auto* batch = touch(batch_uuid)) progress_of(*batch).grace_over = true;
}

void TurnDraft::close() {
    apply_losses();
    for (auto& [uuid, batch] : touched_) {
        auto closed = close_batch(batch, progress_of(batch), context_.now, context_.reconcile_grace);
        if (closed.change) input_.batches.push_back(std::move(*closed.change));
        if (closed.alert) alerts_.push_back(uuid);
    }
    // Batches in ascending order, as the lock order asks.
    std::sort(input_.batches.begin(), input_.batches.end(),
              [](const auto& a, const auto& b) { return a.batch_id < b.batch_id; });
}

}  // namespace tasker::engine
