#include "orchestrator/api/submit_payload.hpp"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "orchestrator/api/request_fields.hpp"
#include "orchestrator/templates/identity.hpp"

namespace tasker::api {
namespace {

using nlohmann::json;
using templates::ExactJson;

template <typename Value>
void set_if(json& target, const char* key, const std::optional<Value>& value) {
    if (value) target[key] = *value;
}

RequestProblem context_problem(const std::vector<templates::ContextProblem>& problems) {
    std::string message;
    for (const auto& problem : problems)
        message += (message.empty() ? "" : "; ") + templates::to_string(problem);
    return {"invalid_context", message, "context"};
}

json request_json(const TaskRequest& request, std::int64_t task_template_id,
                  const templates::Template& definition) {
    json result = {{"task_template_id", task_template_id},
                   {"priority", request.priority.value_or(definition.priority)},
                   {"tags", request.tags}};
    set_if(result, "initiator", request.initiator);
    set_if(result, "source_system", request.source_system);
    set_if(result, "reason", request.reason);
    set_if(result, "requested_at", request.requested_at);
    set_if(result, "not_before", request.not_before);
    set_if(result, "trace_context", request.trace_context);
    set_if(result, "parent_task_id", request.parent_task_id);
    set_if(result, "parent_step_id", request.parent_step_id);
    return result;
}

/// Adds scope, identity_hash and context_hash where the request has an identity.
std::optional<RequestProblem> add_identity(const TaskRequest& request, const templates::Template& definition,
                                           const ExactJson& context, json& fields, TaskPayload& payload) {
    std::string hash;
    if (request.idempotency_key) {
        hash = templates::key_identity_hash(*request.idempotency_key);
    } else if (definition.identity == templates::Identity::strict) {
        hash = templates::strict_identity_hash(definition, context);
    } else if (definition.identity == templates::Identity::caller_provided) {
        return RequestProblem{
            "idempotency_key_required",
            definition.full_name() + " has `identity: caller_provided`, so each request must bring one",
            "idempotency_key"};
    } else {
        return std::nullopt;
    }
    const std::string scope = templates::identity_scope(definition.namespace_name, definition.name);
    payload.identity = scope + "\n" + hash;
    payload.context_hash = templates::context_hash(context);
    fields["scope"] = scope;
    fields["identity_hash"] = hash;
    fields["context_hash"] = payload.context_hash;
    return std::nullopt;
}

/// The text of the request. The context goes in as text: a tree of doubles would round its numbers.
std::string with_context(const json& fields, const ExactJson& context) {
    std::string text = fields.dump();
    text.back() = ',';
    return text.append("\"context\":").append(context.dump()).append("}");
}

}  // namespace

tl::expected<TaskPayload, RequestProblem> make_task_payload(const TaskRequest& request,
                                                            std::int64_t task_template_id,
                                                            const TemplateRevision& revision) {
    auto context = parse_context(request.context_json);
    if (!context) return tl::unexpected(context.error());
    if (const auto wrong = revision.validator.validate(*context); !wrong.empty()) {
        return tl::unexpected(context_problem(wrong));
    }
    TaskPayload payload;
    json fields = request_json(request, task_template_id, revision.definition);
    if (auto problem = add_identity(request, revision.definition, *context, fields, payload)) {
        return tl::unexpected(std::move(*problem));
    }
    payload.json = with_context(fields, *context);
    return payload;
}

}  // namespace tasker::api
