#include "tests/unit/protocol/samples.hpp"

namespace tasker::protocol::testing {
namespace {

const Envelope kEnvelope{"tasker-1", 7};

StepRef ref(std::int64_t step_id) {
    return {kBatch, step_id, 1};
}

Hello full_hello() {
    Hello hello;
    hello.worker_id = "käufer-🛒 \"one\"";
    hello.session = kSession;
    hello.language = "cpp";
    hello.sdk_version = "0.1.0";
    hello.namespaces = {"*"};
    hello.handlers = {"Order::*", "Billing::Invoice"};
    hello.capacity = 10;
    hello.prefetch = 3;
    hello.host = "w1";
    hello.pid = 4711;
    hello.held = {ref(1)};
    hello.running = {ref(2), ref(3)};
    hello.unacked = {ref(4)};
    hello.previous_sessions = {kOtherSession};
    return hello;
}

Hello bare_hello() {
    Hello hello;
    hello.worker_id = "w";
    hello.session = kSession;
    hello.language = "cpp";
    hello.sdk_version = "0";
    hello.capacity = 1;
    hello.host = "h";
    return hello;
}

BatchCompletion completion() {
    BatchCompletion completion;
    completion.batch_id = kBatch;
    completion.total_steps = 2;
    completion.completed_steps = 1;
    completion.failed_steps = 1;
    completion.step_summaries = {{41, 2, ReportStatus::completed, 37, "w"},
                                 {42, std::nullopt, ReportStatus::error, std::nullopt, std::nullopt}};
    completion.total_execution_time_ms = 90;
    completion.completed_at = kTime;
    completion.worker_id = "w";
    completion.session = kSession;
    completion.sent_by = kOtherSession;
    completion.sequence = 3;
    return completion;
}

}  // namespace

PartialResult completed_report() {
    PartialResult report;
    report.batch_id = kBatch;
    report.step_id = 41;
    report.attempt = 2;
    report.status = ReportStatus::completed;
    report.output_json =
        R"({"big": 123456789012345678901234567890, "tiny": 1e-400, "text": "\u0000\ud83d\ude00"})";
    report.worker_id = "w";
    report.session = kSession;
    report.sent_by = kOtherSession;
    report.sequence = 1;
    report.timestamp = kTime;
    report.execution_time_ms = 37;
    return report;
}

PartialResult failed_report() {
    PartialResult report = completed_report();
    report.status = ReportStatus::failed;
    report.output_json.clear();
    report.error = StepError{"gateway\ntimed out", "NetworkError", "gateway_504", true, 2.5, false};
    report.error_json =
        R"({"message":"gateway\ntimed out","error_type":"NetworkError","error_code":"gateway_504","retryable":true,)"
        R"("retry_after_seconds":2.5,"handler_stopped":false,"backtrace":["a:1"],"context":{"kept":null}})";
    return report;
}

StepBatchRequest batch_of_two() {
    StepRequest step;
    step.step_id = 41;
    step.task_id = 9223372036854775807;
    step.namespace_name = "fulfillment";
    step.task_name = "order_fulfillment";
    step.task_version = "1.0.0";
    step.step_name = "process_payment";
    step.handler_class = "Order::Payment";
    step.handler_config_json = R"({"a":[1,2.50]})";
    step.task_context_json = R"({ "order" : "A-17" })";
    step.previous_results_json = R"({"validate":{"ok":true},"reserve":null})";
    step.metadata = {
        2, 3, 1, 30000, 1, 2, kTime, "installation-41", true, "00-4bf92f3577b34da6a3ce929d0e0e4736-1-01"};
    StepRequest second = step;
    second.step_id = 42;
    second.handler_config_json = second.task_context_json = second.previous_results_json = "{}";
    second.metadata.claim_first.reset();
    second.metadata.tries_left.reset();
    second.metadata.traceparent.reset();
    return {kEnvelope, kBatch, "Order::Payment", {step, second}};
}

std::vector<WorkerMessage> worker_messages() {
    PartialResult bare;
    bare.batch_id = kBatch;
    bare.step_id = 1;
    bare.worker_id = "w";
    bare.sequence = 1;
    bare.timestamp = kTime;
    StepBatchResponse response{kBatch,
                               {{41, ReportStatus::completed, "[1]", "", {}, R"({"execution_time_ms":12})"}}};
    return {full_hello(),
            bare_hello(),
            Ready{kSession, "n-1", {ref(1)}, {}, {ref(2)}},
            WorkerHeartbeat{kSession, 12, {ref(1)}, {{kBatch, 2, 1, 250}}, {}, 0, 9},
            BatchAccepted{kSession, kBatch},
            BatchRejected{kSession, kBatch, 4, {{41, 1, "draining"}, {42, 2, "of a later version"}}},
            StartRequest{kSession, kBatch, 41, 1, 3},
            Goodbye{kSession, "SIGTERM"},
            bare,
            completed_report(),
            failed_report(),
            completion(),
            response,
            StepBatchResponse{kBatch, {}}};
}

std::vector<OrchestratorMessage> orchestrator_messages() {
    return {batch_of_two(),
            StepBatchRequest{kEnvelope, kBatch, "Order::Payment", {}},
            Probe{kEnvelope, "n-1"},
            Welcome{kEnvelope, kSession, 1000, 8000, 1000, {}, "installation-1", "nonce-1", 2000, 10, 2},
            Refused{kEnvelope, "duplicate_session", "in use\ton host w2", 5000, "nonce-1"},
            Ack{kEnvelope, kSession, {{kBatch, {1, 2, 3}}}, {{kBatch, 4, "wrong_session"}}},
            Ack{kEnvelope, kSession, {}, {}},
            Heartbeat{kEnvelope, 12345, "installation-1"},
            Cancel{kEnvelope, kSession, {ref(1), ref(2)}, "task cancelled"},
            Drain{kEnvelope, kSession, 30000},
            StartGranted{kEnvelope, kSession, kBatch, 41, 1, 3, 1000},
            StartDenied{kEnvelope, kSession, kBatch, 41, 1, 3, "stale attempt"},
            ReportRequest{kEnvelope, kSession, kBatch, {2, 3}, {41}},
            ReportRequest{kEnvelope, kSession, kBatch, {}, {}}};
}

}  // namespace tasker::protocol::testing
