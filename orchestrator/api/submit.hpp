// Creating tasks. Whoever creates them (command line, command endpoint, HTTP) goes through here, so every
// request is checked in the same way and a task is always made whole: task, identity, steps, edges, counters,
// histories.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "orchestrator/postgres/connection.hpp"

namespace tasker::api {

/// Limits of a request. A context travels inside messages of at most 16 MiB (limits.batch_bytes) together
/// with the results of earlier steps, so it may take half of one. The texts stand in columns of these widths.
constexpr std::size_t kContextBytesMax = 8UL * 1024 * 1024;
constexpr std::size_t kIdempotencyKeyBytesMax = 1024;
constexpr std::size_t kInitiatorCharactersMax = 128;
constexpr std::size_t kReasonCharactersMax = 10'000;
constexpr std::size_t kTagCharactersMax = 128;
constexpr std::size_t kTagsMax = 100;
constexpr std::size_t kRequestsMax = 100'000;

/// What a caller asks for. Absent optional fields take their default: the highest version, the template's
/// priority, now. Times are RFC 3339 ("2025-06-30T12:00:00Z"). `context_json` is the text of one JSON object.
struct TaskRequest {
    std::string namespace_name;
    std::string name;
    std::optional<std::string> version;
    std::string context_json = "{}";
    std::optional<std::int64_t> priority;
    std::vector<std::string> tags;
    std::optional<std::string> initiator;
    std::optional<std::string> source_system;
    std::optional<std::string> reason;
    std::optional<std::string> requested_at;
    std::optional<std::string> not_before;
    std::optional<std::string> idempotency_key;
    std::optional<std::string> trace_context;
    std::optional<std::int64_t> parent_task_id;
    std::optional<std::int64_t> parent_step_id;
};

/// `existing`: the identity was seen before; this is the task it named then, untouched, and `step_count` is
/// its own.
struct CreatedTask {
    std::int64_t task_id = 0;
    bool existing = false;
    int step_count = 0;
};

/// Why a request was refused. `code` is one of: unknown_template, unknown_version, invalid_json,
/// invalid_context, invalid_field, idempotency_key_required, idempotency_conflict, unknown_parent,
/// not_created (nothing wrong with this one, but with another of the same call). `field` names the request's
/// field, such as "context" or "idempotency_key"; contexts say the path inside it in `message`.
struct RequestProblem {
    std::string code;
    std::string message;
    std::string field;
};

using RequestOutcome = tl::expected<CreatedTask, RequestProblem>;

/// What becomes of the good requests when another one of the same call is refused.
enum class WhenRefused { create_nothing, create_the_others };

class TemplateRevisions;

/// Creates tasks. Keeps the parsed definition and compiled schema of every revision it has met; which
/// revision is the newest is asked of the database each time, so a template loaded a moment ago counts at
/// once. Not thread-safe: one per thread.
class TaskCreator {
  public:
    TaskCreator();
    ~TaskCreator();
    TaskCreator(TaskCreator&&) noexcept;
    TaskCreator& operator=(TaskCreator&&) noexcept;

    /// Creates all requested tasks in one transaction and wakes the orchestrator. One outcome per request, in
    /// order. A deadlock is repeated. Throws DatabaseError when the database cannot answer; kind in_doubt
    /// when the tasks may have been created (repeat with the same idempotency keys to be safe).
    std::vector<RequestOutcome> create_tasks(postgres::Connection& connection,
                                             std::span<const TaskRequest> requests,
                                             WhenRefused when_refused = WhenRefused::create_nothing);

  private:
    std::unique_ptr<TemplateRevisions> revisions_;
};

}  // namespace tasker::api
