// One well-filled and one bare example of every message, for tests that want them all.
#pragma once

#include <vector>

#include "protocol/cpp/messages.hpp"

namespace tasker::protocol::testing {

inline constexpr const char* kSession = "00ff12ab34cd56ef";
inline constexpr const char* kOtherSession = "a1b2c3d4e5f60718";
inline constexpr const char* kBatch = "0198c5a4-7d1e-7c3a-9f10-2b6d5e4f3a21";
inline constexpr const char* kTime = "2026-03-01T12:00:00.123456Z";

PartialResult completed_report();
PartialResult failed_report();
StepBatchRequest batch_of_two();

std::vector<WorkerMessage> worker_messages();
std::vector<OrchestratorMessage> orchestrator_messages();

}  // namespace tasker::protocol::testing
