// What workers say.
#include "protocol/cpp/json_writer.hpp"

namespace tasker::protocol {
namespace {

void append_name(std::string& out, const std::string& name) {
    append_json_string(out, name);
}

void append_running(std::string& out, const RunningStep& step) {
    ObjectWriter(out)
        .text("batch_id", step.batch_id)
        .integer("step_id", step.step_id)
        .integer("attempt", std::int64_t{step.attempt})
        .integer("age_ms", step.age_ms)
        .close();
}

void append_rejected(std::string& out, const RejectedStep& step) {
    ObjectWriter(out)
        .integer("step_id", step.step_id)
        .integer("attempt", std::int64_t{step.attempt})
        .text("reason", step.reason)
        .number("wait_seconds", step.wait_seconds)
        .text("message", step.message)
        .close();
}

void append_summary(std::string& out, const StepSummary& summary) {
    ObjectWriter(out)
        .integer("step_id", summary.step_id)
        .integer("attempt", summary.attempt)
        .text("final_status", to_text(summary.final_status))
        .integer("execution_time_ms", summary.execution_time_ms)
        .text("worker_id", summary.worker_id)
        .close();
}

/// The raw text when there is one, else the parsed fields.
void write_error(ObjectWriter& writer, const std::string& error_json, const std::optional<StepError>& error) {
    if (!error_json.empty() || !error) {
        writer.raw("error", error_json);
        return;
    }
    writer.object("error", [&error](std::string& out) {
        ObjectWriter(out)
            .text("message", error->message)
            .text("error_type", error->error_type)
            .text("error_code", error->error_code)
            .boolean("retryable", error->retryable)
            .number("retry_after_seconds", error->retry_after_seconds)
            .boolean("handler_stopped", error->handler_stopped)
            .close();
    });
}

void append_old_result(std::string& out, const StepBatchResult& result) {
    ObjectWriter writer(out);
    writer.integer("step_id", result.step_id)
        .text("status", to_text(result.status))
        .raw("output", result.output_json);
    write_error(writer, result.error_json, result.error);
    writer.raw("metadata", result.metadata_json).close();
}

}  // namespace

void encode(std::string& out, const Hello& message) {
    begin_message(out, "hello")
        .text("worker_id", message.worker_id)
        .text("session", message.session)
        .text("language", message.language)
        .text("sdk_version", message.sdk_version)
        .list("namespaces", message.namespaces, append_name)
        .list("handlers", message.handlers, append_name)
        .integer("capacity", std::int64_t{message.capacity})
        .integer("prefetch", message.prefetch)
        .text("host", message.host)
        .integer("pid", message.pid)
        .list("held", message.held, append_step_ref)
        .list("running", message.running, append_step_ref)
        .list("unacked", message.unacked, append_step_ref)
        .optional_list("previous_sessions", message.previous_sessions, append_name)
        .text("hello_nonce", message.hello_nonce)
        .close();
}

void encode(std::string& out, const Ready& message) {
    begin_message(out, "ready")
        .text("session", message.session)
        .text("nonce", message.nonce)
        .list("held", message.held, append_step_ref)
        .list("running", message.running, append_step_ref)
        .list("unacked", message.unacked, append_step_ref)
        .close();
}

void encode(std::string& out, const WorkerHeartbeat& message) {
    begin_message(out, "worker_heartbeat")
        .text("session", message.session)
        .integer("seen_n", message.seen_n)
        .list("held", message.held, append_step_ref)
        .list("running", message.running, append_running)
        .list("unacked", message.unacked, append_step_ref)
        .integer("oldest_unacked_ms", message.oldest_unacked_ms)
        .integer("free", message.free)
        .close();
}

void encode(std::string& out, const BatchAccepted& message) {
    begin_message(out, "batch_accepted")
        .text("session", message.session)
        .text("batch_id", message.batch_id)
        .close();
}

void encode(std::string& out, const BatchRejected& message) {
    begin_message(out, "batch_rejected")
        .text("session", message.session)
        .text("batch_id", message.batch_id)
        .integer("sequence", message.sequence)
        .list("steps", message.steps, append_rejected)
        .close();
}

void encode(std::string& out, const StartRequest& message) {
    begin_message(out, "start_request")
        .text("session", message.session)
        .text("batch_id", message.batch_id)
        .integer("step_id", message.step_id)
        .integer("attempt", std::int64_t{message.attempt})
        .integer("n", message.n)
        .close();
}

void encode(std::string& out, const Goodbye& message) {
    begin_message(out, "goodbye").text("session", message.session).text("reason", message.reason).close();
}

void encode(std::string& out, const PartialResult& message) {
    ObjectWriter writer = begin_message(out, "partial_result");
    writer.text("batch_id", message.batch_id)
        .integer("step_id", message.step_id)
        .integer("attempt", message.attempt)
        .text("status", to_text(message.status))
        .raw("output", message.output_json);
    write_error(writer, message.error_json, message.error);
    writer.text("worker_id", message.worker_id)
        .text("session", message.session)
        .text("sent_by", message.sent_by)
        .integer("sequence", message.sequence)
        .text("timestamp", message.timestamp)
        .integer("execution_time_ms", message.execution_time_ms)
        .close();
}

void encode(std::string& out, const BatchCompletion& message) {
    begin_message(out, "batch_completion")
        .text("batch_id", message.batch_id)
        .integer("total_steps", message.total_steps)
        .integer("completed_steps", message.completed_steps)
        .integer("failed_steps", message.failed_steps)
        .integer("in_progress_steps", message.in_progress_steps)
        .list("step_summaries", message.step_summaries, append_summary)
        .integer("total_execution_time_ms", message.total_execution_time_ms)
        .text("completed_at", message.completed_at)
        .text("worker_id", message.worker_id)
        .text("session", message.session)
        .text("sent_by", message.sent_by)
        .integer("sequence", message.sequence)
        .close();
}

void encode(std::string& out, const StepBatchResponse& message) {
    begin_message(out, "step_batch_response")
        .text("batch_id", message.batch_id)
        .list("results", message.results, append_old_result)
        .close();
}

}  // namespace tasker::protocol
