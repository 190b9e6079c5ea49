// What the orchestrator says.
#include "protocol/cpp/json_writer.hpp"

namespace tasker::protocol {
namespace {

ObjectWriter begin_with_envelope(std::string& out, std::string_view type, const Envelope& envelope) {
    ObjectWriter writer = begin_message(out, type);
    writer.text("orchestrator_id", envelope.orchestrator_id).integer("epoch", envelope.epoch);
    return writer;
}

void append_metadata(std::string& out, const StepMetadata& metadata) {
    ObjectWriter(out)
        .integer("attempt", std::int64_t{metadata.attempt})
        .integer("retry_limit", std::int64_t{metadata.retry_limit})
        .integer("tries_left", metadata.tries_left)
        .integer("timeout_ms", metadata.timeout_ms)
        .integer("sequence", std::int64_t{metadata.sequence})
        .integer("total_steps", std::int64_t{metadata.total_steps})
        .text("created_at", metadata.created_at)
        .text("idempotency_key", metadata.idempotency_key)
        .boolean("claim_first", metadata.claim_first)
        .text("traceparent", metadata.traceparent)
        .close();
}

void append_acked(std::string& out, const AckedSequences& acked) {
    ObjectWriter(out).text("batch_id", acked.batch_id).list("sequences", acked.sequences, append_id).close();
}

void append_refused_report(std::string& out, const RejectedSequence& rejected) {
    ObjectWriter(out)
        .text("batch_id", rejected.batch_id)
        .integer("sequence", rejected.sequence)
        .text("code", rejected.code)
        .close();
}

/// The fields that name one delivered attempt, as start_granted and start_denied begin.
template <typename Message>
ObjectWriter& write_attempt(ObjectWriter& writer, const Message& message) {
    return writer.text("session", message.session)
        .text("batch_id", message.batch_id)
        .integer("step_id", message.step_id)
        .integer("attempt", std::int64_t{message.attempt})
        .integer("n", message.n);
}

}  // namespace

void encode(std::string& out, const StepRequest& step) {
    ObjectWriter(out)
        .integer("step_id", step.step_id)
        .integer("task_id", step.task_id)
        .text("namespace", step.namespace_name)
        .text("task_name", step.task_name)
        .text("task_version", step.task_version)
        .text("step_name", step.step_name)
        .text("handler_class", step.handler_class)
        .raw_object("handler_config", step.handler_config_json)
        .raw_object("task_context", step.task_context_json)
        .raw_object("previous_results", step.previous_results_json)
        .object("metadata", [&step](std::string& text) { append_metadata(text, step.metadata); })
        .close();
}

void encode(std::string& out, const StepBatchRequest& message) {
    begin_with_envelope(out, "step_batch_request", message.envelope)
        .text("batch_id", message.batch_id)
        .text("handler_class", message.handler_class)
        .list("steps", message.steps, [](std::string& text, const StepRequest& step) { encode(text, step); })
        .close();
}

void encode(std::string& out, const Probe& message) {
    begin_with_envelope(out, "probe", message.envelope).text("nonce", message.nonce).close();
}

void encode(std::string& out, const Welcome& message) {
    begin_with_envelope(out, "welcome", message.envelope)
        .text("session", message.session)
        .integer("heartbeat_ms", message.heartbeat_ms)
        .integer("lease_ms", message.lease_ms)
        .integer("resend_ms", message.resend_ms)
        .object("limits",
                [&message](std::string& text) {
                    ObjectWriter(text)
                        .integer("batch_bytes", message.limits.batch_bytes)
                        .integer("result_bytes", message.limits.result_bytes)
                        .integer("depth", message.limits.depth)
                        .integer("inventory_bytes", message.limits.inventory_bytes)
                        .close();
                })
        .text("installation", message.installation)
        .text("hello_nonce", message.hello_nonce)
        .integer("disconnect_grace_ms", message.disconnect_grace_ms)
        .integer("capacity", message.capacity)
        .integer("prefetch", message.prefetch)
        .close();
}

void encode(std::string& out, const Refused& message) {
    begin_with_envelope(out, "refused", message.envelope)
        .text("code", message.code)
        .text("message", message.message)
        .integer("retry_ms", message.retry_ms)
        .text("hello_nonce", message.hello_nonce)
        .close();
}

void encode(std::string& out, const Ack& message) {
    begin_with_envelope(out, "ack", message.envelope)
        .text("session", message.session)
        .list("batches", message.batches, append_acked)
        .list("rejected", message.rejected, append_refused_report)
        .close();
}

void encode(std::string& out, const Heartbeat& message) {
    begin_with_envelope(out, "heartbeat", message.envelope)
        .integer("n", message.n)
        .text("installation", message.installation)
        .close();
}

void encode(std::string& out, const Cancel& message) {
    begin_with_envelope(out, "cancel", message.envelope)
        .text("session", message.session)
        .list("steps", message.steps, append_step_ref)
        .text("reason", message.reason)
        .close();
}

void encode(std::string& out, const Drain& message) {
    begin_with_envelope(out, "drain", message.envelope)
        .text("session", message.session)
        .integer("deadline_ms", message.deadline_ms)
        .close();
}

void encode(std::string& out, const StartGranted& message) {
    ObjectWriter writer = begin_with_envelope(out, "start_granted", message.envelope);
    write_attempt(writer, message).integer("start_window_ms", message.start_window_ms).close();
}

void encode(std::string& out, const StartDenied& message) {
    ObjectWriter writer = begin_with_envelope(out, "start_denied", message.envelope);
    write_attempt(writer, message).text("reason", message.reason).close();
}

void encode(std::string& out, const ReportRequest& message) {
    begin_with_envelope(out, "report_request", message.envelope)
        .text("session", message.session)
        .text("batch_id", message.batch_id)
        .optional_list("sequences", message.sequences, append_id)
        .optional_list("step_ids", message.step_ids, append_id)
        .close();
}

}  // namespace tasker::protocol
