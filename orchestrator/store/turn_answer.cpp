#include "orchestrator/store/turn_answer.hpp"

#include <map>
#include <string>
#include <utility>

#include "orchestrator/store/fields.hpp"

namespace tasker::store {
namespace {

// Column numbers of tasker_turn()'s rows.
enum TurnColumn {
    kKind,
    kOrd,
    kInfo,
    kName,
    kTaskId,
    kStepId,
    kAttempt,
    kRetryLimit,
    kTriesLeft,
    kTimeoutMs,
    kHandlerKey,
    kClaimFirst,
    kBatchId,
    kBatchUuid,
    kBatchStepId,
    kSequence,
    kSession,
    kNamedTask,
    kRevision,
    kClaimedAt,
    kContext,
    kPrevious
};

ports::ClaimedStep claimed_step(const postgres::Row& row) {
    ports::ClaimedStep step;
    step.name = row[kName].as<std::string>();
    step.task_id = row[kTaskId].as<std::int64_t>();
    step.step_id = row[kStepId].as<std::int64_t>();
    if (!row[kOrd].is_null())
        step.waited_at = core::ReadyPosition::of(row[kOrd].as<std::int32_t>(), step.step_id);
    step.attempt = row[kAttempt].as<std::int32_t>();
    step.retry_limit = row[kRetryLimit].as<std::int32_t>();
    step.tries_left = row[kTriesLeft].as<std::int32_t>();
    step.timeout_ms = row[kTimeoutMs].as<std::int64_t>();
    step.handler_key = row[kHandlerKey].as<std::int32_t>();
    step.claim_first = row[kClaimFirst].as<bool>();
    step.batch_id = row[kBatchId].as<std::int64_t>();
    step.batch_uuid = row[kBatchUuid].as<std::string>();
    step.batch_step_id = row[kBatchStepId].as<std::int64_t>();
    step.session = row[kSession].as<int>() - 1;
    step.named_task_id = row[kNamedTask].as<std::int32_t>();
    step.template_revision = row[kRevision].as<std::int32_t>();
    step.claimed_at = row[kClaimedAt].as<std::string>();
    // Nothing was built of what is too large.
    if (!row[kInfo].is_null()) step.unsendable = row[kInfo].as<std::string>();
    step.context_json = text_or_empty(row[kContext]);
    step.previous_results_json = text_or_empty(row[kPrevious]);
    return step;
}

// Kind `more`: slots ran out, or children of this turn wait (then with the first of them).
void read_waiting(const postgres::Row& row, ports::TurnResult& result) {
    const auto handler_key = row[kHandlerKey].as<std::int32_t>();
    if (!row[kInfo].is_null()) {
        result.keys_locked.push_back(handler_key);
    } else if (row[kStepId].is_null()) {
        result.keys_waiting.push_back({handler_key});
    } else {
        result.keys_waiting.push_back(
            {handler_key,
             core::ReadyPosition::of(row[kOrd].as<std::int32_t>(), row[kStepId].as<std::int64_t>())});
    }
}

/// Disposition and new step state of a report that had another outcome than the usual one.
struct Unusual {
    std::string disposition;
    std::string state;
};

/// One judgement per final report, in order.
std::vector<ports::JudgedReport> judge_reports(const ports::TurnInput& input,
                                               const std::map<std::size_t, Unusual>& unusual) {
    std::vector<ports::JudgedReport> reports;
    for (std::size_t i = 0; i < input.messages.size(); ++i) {
        if (input.messages[i].message_class != ports::MessageClass::final) continue;
        const auto found = unusual.find(i);
        if (found == unusual.end()) {
            reports.push_back({i, "applied", "complete"});
        } else {
            reports.push_back({i, found->second.disposition, found->second.state});
        }
    }
    return reports;
}

}  // namespace

ports::TurnResult read_turn_answer(const postgres::Result& rows, const ports::TurnInput& input) {
    ports::TurnResult result;
    std::map<std::size_t, Unusual> unusual;
    for (const auto& row : rows) {
        switch (row[kKind].c_str()[0]) {
            case 'r':
                unusual[row[kOrd].as<std::size_t>() - 1] = {row[kInfo].as<std::string>(),
                                                            text_or_empty(row[kName])};
                break;
            case 'c':
                result.claims.push_back(claimed_step(row));
                break;
            case 't':
                result.tasks.push_back(
                    {row[kTaskId].as<std::int64_t>(), row[kInfo].as<std::string>(), !row[kName].is_null()});
                break;
            case 'o':
                result.orphans.push_back({row[kOrd].as<std::size_t>() - 1, row[kInfo].as<std::string>(),
                                          row[kHandlerKey].as<std::int32_t>()});
                break;
            case 'g':
                result.starts.push_back({row[kOrd].as<std::size_t>() - 1, text_or_empty(row[kInfo])});
                break;
            case 'f':
                result.is_full = true;
                break;
            default:
                read_waiting(row, result);
        }
    }
    result.reports = judge_reports(input, unusual);
    return result;
}

}  // namespace tasker::store
