// What the database is sent for one task request, once its template is known.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>

#include "orchestrator/api/submit_templates.hpp"

namespace tasker::api {

/// `json` is the text of one element of tasker_create_tasks()'s list. `identity` is scope and hash, "" for a request
/// without one.
struct TaskPayload {
    std::string json;
    std::string identity;
    std::string context_hash;
};

/// Checks the context against the template's schema and works out the identity. The error is invalid_json,
/// invalid_context, invalid_field or idempotency_key_required.
tl::expected<TaskPayload, RequestProblem> make_task_payload(const TaskRequest& request,
                                                            std::int64_t task_template_id,
                                                            const TemplateRevision& revision);

}  // namespace tasker::api
