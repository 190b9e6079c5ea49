// Short ways to write down the wire's messages and the batches they speak of.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "orchestrator/engine/turns/open_batches.hpp"
#include "orchestrator/ports/delivery.hpp"

namespace tasker::engine {

inline constexpr const char* kBatch = "00000000-0000-7000-8000-000000000001";

/// A published batch of session "s1" (or plain with ""), one step per id, all of attempt 1 and of task 7.
inline OpenBatch batch_of(const std::vector<std::int64_t>& step_ids, const std::string& session = "s1",
                          const std::string& uuid = kBatch) {
    OpenBatch batch;
    batch.batch_id = 100;
    batch.batch_uuid = uuid;
    batch.session = session;
    batch.handler_key = 1;
    for (const auto id : step_ids) {
        OpenStep step;
        step.batch_step_id = id * 10;
        step.task_id = 7;
        step.attempt = 1;
        step.expected.step_id = id;
        batch.steps.push_back(step);
    }
    return batch;
}

inline protocol::PartialResult partial(std::int64_t step_id, std::int64_t sequence,
                                       protocol::ReportStatus status = protocol::ReportStatus::completed) {
    protocol::PartialResult message;
    message.batch_id = kBatch;
    message.step_id = step_id;
    message.attempt = 1;
    message.status = status;
    message.session = "s1";
    message.worker_id = "worker-1";
    message.sequence = sequence;
    message.execution_time_ms = 12;
    if (status == protocol::ReportStatus::completed) message.output_json = R"({"ok":true})";
    if (status == protocol::ReportStatus::failed || status == protocol::ReportStatus::error) {
        message.error_json = R"({"message":"no luck","error_type":"E"})";
        message.error = protocol::StepError{"no luck", "E", {}, {}, {}, {}};
    }
    return message;
}

inline protocol::BatchCompletion completion(
    const std::vector<std::pair<std::int64_t, protocol::ReportStatus>>& steps, std::int64_t sequence) {
    protocol::BatchCompletion message;
    message.batch_id = kBatch;
    message.session = "s1";
    message.worker_id = "worker-1";
    message.sequence = sequence;
    for (const auto& [id, status] : steps) {
        message.step_summaries.push_back({id, 1, status, {}, {}});
        ++message.total_steps;
        ++(status == protocol::ReportStatus::completed ? message.completed_steps : message.failed_steps);
    }
    return message;
}

template <typename Message>
ports::Inbound report(Message message, std::string raw = R"({"raw":"text"})") {
    return ports::Report{std::move(message), std::move(raw)};
}

}  // namespace tasker::engine
