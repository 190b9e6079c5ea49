// From a report to its row in the ledger.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "orchestrator/engine/turns/open_batches.hpp"
#include "orchestrator/engine/turns/report_facts.hpp"
#include "orchestrator/ports/store.hpp"
#include "protocol/cpp/messages.hpp"

namespace tasker::engine {

/// The row of a report on a known batch, as it came; `unknown` until its step is found.
ports::TurnMessage record_of(const protocol::PartialResult& message, const ReportFacts& facts,
                             const OpenBatch& batch, const std::string& raw);
ports::TurnMessage record_of(const protocol::BatchCompletion& message, const ReportFacts& facts,
                             const OpenBatch& batch, const std::string& raw);

/// Attributes the row to the step's delivery.
void attribute(ports::TurnMessage& record, const OpenStep& step);

/// What an output may be.
struct OutputLimits {
    std::int64_t bytes = 0;
    std::size_t depth = 0;  // what fits into the request of a later step
};

/// Adds the content of a final report. Legal JSON that cannot be kept (unstorable_reason), or an output beyond
/// the limits, fails its attempt for good: the row keeps the worker's own status, becomes `unusable` and has an
/// error of ours. The raw message stays as it came.
void add_result(ports::TurnMessage& record, const protocol::PartialResult& message,
                const OutputLimits& limits);
/// The same for a report whose frame is above its limit: nothing of its content is kept.
void add_too_large(ports::TurnMessage& record, const protocol::PartialResult& message);
/// Its text without output and error, for the ledger.
std::string without_result(const protocol::PartialResult& message);

/// Shows in the error that the worker's retry_after was cut to this: the member retry_after_cut_to_seconds.
void add_retry_after_cut(ports::TurnMessage& record, double seconds);

/// A failure without an error gets a general one.
void add_missing_error(ports::TurnMessage& record);

}  // namespace tasker::engine
