// What a worker's report does to its step, over every combination of the facts it depends on.
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "orchestrator/core/states.hpp"

namespace tasker::core {
namespace {

const std::optional<bool> kThreeValues[] = {std::nullopt, false, true};

// The rules as sentences, in the order in which a reader would ask them.
StepEvent by_the_design(const VerdictInput& in) {
    if (in.status == ReportStatus::completed) return StepEvent::complete;
    if (in.status == ReportStatus::error) return StepEvent::fail;       // permanent
    if (in.report_retryable == false) return StepEvent::fail;           // the worker says so
    if (!in.step_retryable) return StepEvent::fail;                     // no second attempt
    if (in.counted_attempts >= in.retry_limit) return StepEvent::fail;  // the limit is reached
    if (in.handler_stopped == false && in.dead_letter_on_orphan)
        return StepEvent::fail;  // would run beside it
    return StepEvent::await_retry;
}

TEST(Verdict, AgreesWithTheRulesForEveryCombination) {
    int combinations = 0;
    for (const auto status : {ReportStatus::completed, ReportStatus::failed, ReportStatus::error}) {
        for (const auto& report_retryable : kThreeValues) {
            for (const auto& handler_stopped : kThreeValues) {
                for (const bool step_retryable : {false, true}) {
                    for (const bool dead_letter : {false, true}) {
                        for (int counted = 0; counted <= 4; ++counted) {
                            for (int limit = 1; limit <= 3; ++limit) {
                                const VerdictInput input{status,         report_retryable, handler_stopped,
                                                         step_retryable, dead_letter,      counted,
                                                         limit};
                                EXPECT_EQ(verdict(input), by_the_design(input))
                                    << "status " << static_cast<int>(status) << ", counted " << counted
                                    << " of " << limit << ", step retryable " << step_retryable
                                    << ", dead letter " << dead_letter;
                                ++combinations;
                            }
                        }
                    }
                }
            }
        }
    }
    EXPECT_EQ(combinations, 3 * 3 * 3 * 2 * 2 * 5 * 3);
}

TEST(Verdict, LeadsToAStateThatIsLegalFromInProgress) {
    for (const auto status : {ReportStatus::completed, ReportStatus::failed, ReportStatus::error}) {
        VerdictInput input;
        input.status = status;
        EXPECT_TRUE(next_state(StepState::in_progress, verdict(input)).has_value());
    }
}

}  // namespace
}  // namespace tasker::core
