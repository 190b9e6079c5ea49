#include "orchestrator/cli/task_submit.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <memory>

#include "orchestrator/api/query.hpp"
#include "orchestrator/api/submit.hpp"
#include "orchestrator/cli/json_argument.hpp"
#include "orchestrator/cli/numbers.hpp"
#include "orchestrator/cli/show/answers.hpp"
#include "orchestrator/cli/show/task_watch.hpp"
#include "orchestrator/cli/template_name.hpp"
#include "orchestrator/util/time.hpp"

namespace tasker::cli {
namespace {

using api::TaskRequest;
using templates::ExactJson;

struct SubmitOptions {
    std::string reference;
    std::optional<std::string> context;
    std::optional<std::string> many;
    std::optional<std::string> idempotency_key;
    std::optional<std::int64_t> priority;
    std::vector<std::string> tags;
    std::optional<std::string> not_before;
    std::optional<std::string> initiator;
    std::optional<std::string> source_system;
    std::optional<std::string> reason;
    std::optional<std::string> trace_context;
    std::optional<std::int64_t> parent_task_id;
    std::optional<std::int64_t> parent_step_id;
    bool wait = false;
    std::optional<double> timeout_seconds;
};

/// RFC 3339 as it is; "+90s", "+5m", "+2h", "+1d" from now on.
std::string absolute_time(const std::string& text) {
    if (!text.starts_with('+')) return text;
    const auto seconds = span_seconds(text.substr(1));
    if (!seconds) {
        throw CommandError(ExitCode::usage, fmt::format("--not-before: \"{}\" is no time", text),
                           "write 2025-06-30T12:00:00Z, or +90s, +5m, +2h, +1d (up to ten years)");
    }
    const auto ahead = std::chrono::duration_cast<std::chrono::system_clock::duration>(
        std::chrono::duration<double>(*seconds));
    return util::rfc3339_utc(std::chrono::system_clock::now() + ahead);
}

TaskRequest common_request(const SubmitOptions& options) {
    const TemplateName name = parse_template_name(options.reference);
    TaskRequest request;
    request.namespace_name = name.namespace_name;
    request.name = name.name;
    request.version = name.version;
    request.priority = options.priority;
    request.tags = options.tags;
    if (options.not_before) request.not_before = absolute_time(*options.not_before);
    request.initiator = options.initiator;
    request.source_system = options.source_system;
    request.reason = options.reason;
    request.trace_context = options.trace_context;
    request.parent_task_id = options.parent_task_id;
    request.parent_step_id = options.parent_step_id;
    return request;
}

CommandError bad_entry(std::size_t index, const std::string& message) {
    return {ExitCode::usage, fmt::format("--many: entry {}: {}", index + 1, message),
            "each entry is a context, or an object with a \"context\" and request fields beside it"};
}

void take(const ExactJson& entry, const char* key, std::size_t index, std::optional<std::string>& target) {
    const ExactJson* found = entry.find(key);
    if (found == nullptr || found->is_null()) return;
    if (found->text() == nullptr) throw bad_entry(index, fmt::format("\"{}\" must be a string", key));
    target = *found->text();
}

void take(const ExactJson& entry, const char* key, std::size_t index, std::optional<std::int64_t>& target) {
    const ExactJson* found = entry.find(key);
    if (found == nullptr || found->is_null()) return;
    const std::string text = found->number() != nullptr ? found->number()->text : "";
    std::int64_t value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || code != std::errc{} || end != text.data() + text.size()) {
        throw bad_entry(index, fmt::format("\"{}\" must be an integer", key));
    }
    target = value;
}

/// An entry of --many. With a "context" key it is a request whose other keys override the options.
TaskRequest request_from_entry(const TaskRequest& common, const ExactJson& entry, std::size_t index) {
    TaskRequest request = common;
    if (entry.object() == nullptr) {
        throw bad_entry(index, fmt::format("is {}, not an object", templates::json_type_text(entry)));
    }
    const ExactJson* context = entry.find("context");
    if (context == nullptr) {
        request.context_json = entry.dump();
        return request;
    }
    constexpr std::string_view known[] = {"context",    "idempotency_key", "priority",       "tags",
                                          "initiator",  "source_system",   "reason",         "requested_at",
                                          "not_before", "trace_context",   "parent_task_id", "parent_step_id",
                                          "version"};
    for (const ExactJson::Member& member : *entry.object()) {
        if (std::find(std::begin(known), std::end(known), member.key) == std::end(known)) {
            throw bad_entry(index, fmt::format("\"{}\" is no request field", printable(member.key)));
        }
    }
    request.context_json = context->dump();
    take(entry, "version", index, request.version);
    take(entry, "idempotency_key", index, request.idempotency_key);
    take(entry, "priority", index, request.priority);
    take(entry, "initiator", index, request.initiator);
    take(entry, "source_system", index, request.source_system);
    take(entry, "reason", index, request.reason);
    take(entry, "requested_at", index, request.requested_at);
    take(entry, "not_before", index, request.not_before);
    take(entry, "trace_context", index, request.trace_context);
    take(entry, "parent_task_id", index, request.parent_task_id);
    take(entry, "parent_step_id", index, request.parent_step_id);
    if (const ExactJson* tags = entry.find("tags"); tags != nullptr && !tags->is_null()) {
        if (tags->list() == nullptr) throw bad_entry(index, "\"tags\" must be a list of strings");
        request.tags.clear();
        for (const ExactJson& tag : *tags->list()) {
            if (tag.text() == nullptr) throw bad_entry(index, "\"tags\" must be a list of strings");
            request.tags.push_back(*tag.text());
        }
    }
    return request;
}

std::vector<TaskRequest> build_requests(const SubmitOptions& options) {
    TaskRequest common = common_request(options);
    if (!options.many) {
        common.idempotency_key = options.idempotency_key;
        if (options.context) common.context_json = read_json_argument(*options.context, "--context");
        return {common};
    }
    if (options.idempotency_key) {
        throw CommandError(ExitCode::usage, "--idempotency-key names one task and cannot be used with --many",
                           "give each entry of the list its own \"idempotency_key\"");
    }
    const std::string text = read_json_argument(*options.many, "--many");
    const ExactJson entries = parse_json_argument(text, "--many", "it must be one JSON array of contexts");
    const ExactJson::List* list = entries.list();
    if (list == nullptr || list->empty()) {
        throw CommandError(ExitCode::usage, "--many: must be a JSON array with at least one entry",
                           "one context goes with --context");
    }
    std::vector<TaskRequest> requests;
    for (std::size_t i = 0; i < list->size(); ++i)
        requests.push_back(request_from_entry(common, (*list)[i], i));
    return requests;
}

std::string problem_text(const api::RequestProblem& problem) {
    // A message about the template names it already.
    if (problem.field.empty() || problem.code == "unknown_template" || problem.code == "unknown_version") {
        return problem.message;
    }
    return problem.field + (problem.message.starts_with('$') ? " " : ": ") + problem.message;
}

/// Throws CommandError when anything was refused; nothing was created then.
void require_created(const std::vector<api::RequestOutcome>& outcomes) {
    std::string text;
    std::size_t refused = 0;
    bool unknown = false;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
        if (outcomes[i] || outcomes[i].error().code == "not_created") continue;
        const auto& problem = outcomes[i].error();
        unknown = unknown || problem.code == "unknown_template" || problem.code == "unknown_version";
        if (outcomes.size() == 1) {
            text = problem_text(problem);
        } else if (refused < 20) {
            text += fmt::format("\n  entry {}: {}", i + 1, problem_text(problem));
        }
        ++refused;
    }
    if (refused == 0) return;
    if (outcomes.size() > 1) {
        if (refused > 20) text += fmt::format("\n  … and {} more", refused - 20);
        text = fmt::format("{} of {} entries were refused, so no task was created:{}", refused,
                           outcomes.size(), text);
    } else {
        text = "no task was created: " + text;
    }
    throw CommandError(unknown ? ExitCode::not_found : ExitCode::usage, text);
}

/// What --json prints per task, in the order of the requests.
Json submission_json(const Context&, postgres::Connection& connection,
                     const std::vector<api::RequestOutcome>& outcomes, const std::vector<std::int64_t>& ids) {
    std::map<std::int64_t, Json> mappings;
    for (auto& mapping : parse_answer(api::task_mappings_json(connection, ids))) {
        const auto id = mapping["task_id"].get<std::int64_t>();
        mappings[id] = std::move(mapping);
    }
    Json list = Json::array();
    for (const auto& outcome : outcomes) {
        Json one = mappings.at(outcome->task_id);
        one["existing"] = outcome->existing;
        list.push_back(std::move(one));
    }
    return list;
}

void print_submission(const Context& context, const SubmitOptions& options,
                      const std::vector<api::RequestOutcome>& outcomes) {
    if (outcomes.size() == 1) {
        const auto& one = *outcomes.front();
        context.print(fmt::format("task {} of {} {}, {}", one.task_id, options.reference,
                                  one.existing ? "exists already" : "created",
                                  count_text(one.step_count, "step", "steps")));
        return;
    }
    std::int64_t existing = 0;
    std::int64_t lowest = outcomes.front()->task_id;
    std::int64_t highest = lowest;
    for (const auto& outcome : outcomes) {
        existing += outcome->existing ? 1 : 0;
        lowest = std::min(lowest, outcome->task_id);
        highest = std::max(highest, outcome->task_id);
    }
    context.print(fmt::format(
        "{} of {} created{} (ids {} to {})",
        count_text(static_cast<std::int64_t>(outcomes.size()) - existing, "task", "tasks"), options.reference,
        existing > 0 ? fmt::format(", {} existed already", existing) : "", lowest, highest));
}

/// Says on standard error who has to come before anything can run. (Also with --json: the answer stays alone on
/// standard output.)
void say_who_is_missing(postgres::Connection& connection, std::vector<std::int64_t> ids) {
    // Tasks of one template begin with the same handlers.
    constexpr std::size_t looked_at = 20;
    if (ids.size() > looked_at) ids.resize(looked_at);
    api::Missing missing;
    try {
        missing = api::who_is_missing(connection, ids);
    } catch (const postgres::DatabaseError&) {
        // The tasks exist: no remark is worth a failure that makes somebody submit them again.
        return;
    }
    if (missing.orchestrator) {
        std::fprintf(stderr,
                     "tasker: no orchestrator serves this database right now: start one with "
                     "`tasker dev` or tasker-orchestrator\n");
    }
    if (missing.handlers.empty()) return;
    std::string names;
    for (const auto& handler : missing.handlers) names += (names.empty() ? "" : ", ") + handler;
    std::fprintf(stderr, "tasker: no worker serves %s right now; the task waits until one does\n",
                 shortened(names, 200).c_str());
}

ExitCode submit(const Context& context, const SubmitOptions& options) {
    const auto requests = build_requests(options);
    // Listens before the tasks exist, so that it receives even the fastest ending.
    std::optional<TaskWatch> watch;
    if (options.wait) watch.emplace(context);
    auto connection = context.connect_checked();
    api::TaskCreator creator;
    const auto outcomes = creator.create_tasks(connection, requests, api::WhenRefused::create_nothing);
    require_created(outcomes);
    std::vector<std::int64_t> ids;
    ids.reserve(outcomes.size());
    for (const auto& outcome : outcomes) ids.push_back(outcome->task_id);
    if (!context.json) print_submission(context, options, outcomes);

    ExitCode code = ExitCode::ok;
    if (watch) {
        std::optional<std::chrono::milliseconds> limit;
        if (options.timeout_seconds) {
            limit = std::chrono::milliseconds(static_cast<std::int64_t>(*options.timeout_seconds * 1000));
        }
        code = report_wait(context, watch->wait(ids, limit));
    }
    if (!watch) say_who_is_missing(connection, ids);
    if (context.json) {
        // While it waited, the first connection may have been lost.
        if (watch) connection = context.connect_checked();
        Json list = submission_json(context, connection, outcomes, ids);
        context.print_json(options.many ? list : list.front());
    }
    return code;
}

}  // namespace

void add_task_submit(CLI::App& group, Context& context) {
    auto options = std::make_shared<SubmitOptions>();
    CLI::App* command = group.add_subcommand("submit", "create a task, or many");
    command->add_option("template", options->reference, "without a version: the highest")
        ->required()
        ->type_name("NS/NAME[:VERSION]");
    auto* one = command->add_option("--context", options->context, "one JSON object; default {}")
                    ->type_name("JSON|@FILE|-");
    command
        ->add_option(
            "--many", options->many,
            "a JSON array: one task per entry, all of them or none. An entry is a context, or an object "
            "{\"context\": …, \"idempotency_key\": …, \"priority\": …, \"tags\": […], …}")
        ->type_name("@FILE|-|JSON")
        ->excludes(one);
    command->add_flag("--wait", options->wait, "show the steps until the task has ended");
    command->add_option("--timeout", options->timeout_seconds, "wait at most so long")
        ->type_name("SECONDS")
        ->check(CLI::Range(0.0, 31'536'000.0).description(""))
        ->needs("--wait");
    command
        ->add_option("--idempotency-key", options->idempotency_key,
                     "a repeated submission with this key returns the task that exists")
        ->type_name("KEY");
    command->add_option("--priority", options->priority, "higher goes first; default: the template's")
        ->type_name("N");
    command->add_option("--tag", options->tags, "may be repeated")->type_name("TAG")->allow_extra_args(false);
    command
        ->add_option("--not-before", options->not_before,
                     "start no step earlier: 2025-06-30T12:00:00Z, or +90s, +5m, +2h, +1d")
        ->type_name("TIME");
    command->add_option("--initiator", options->initiator, "who asks")->type_name("TEXT");
    command->add_option("--source-system", options->source_system, "the system that asks")->type_name("TEXT");
    command->add_option("--reason", options->reason, "why")->type_name("TEXT");
    command->add_option("--trace-context", options->trace_context, "handed on to the handlers")
        ->type_name("TEXT");
    command->add_option("--parent-task", options->parent_task_id, "the task this one belongs to")
        ->type_name("ID");
    command->add_option("--parent-step", options->parent_step_id, "and its step")->type_name("ID");
    command->footer(
        "The context is checked against the template's schema before anything is written. Its numbers keep\n"
        "every digit; an object that gives a key twice is refused.\n"
        "Exits with 0 when created (with --wait: when all tasks completed), 1 when a task ended otherwise "
        "or\n"
        "the time was over, 2 when the request was refused, 4 when there is no such template.\n"
        "--json prints task_id, step_count, step_mapping {name: id}, namespace, name, version, existing and\n"
        "state; with --many a list of that, in the order of the entries.\n"
        "\n"
        "Examples:\n"
        "  tasker task submit patterns/diamond --context '{\"value\": 6}' --wait\n"
        "  tasker task submit fulfillment/order_fulfillment:1.0.0 \\\n"
        "    --context @order.json --idempotency-key order-17\n"
        "  tasker task submit fulfillment/order_fulfillment \\\n"
        "    --many @examples/orders.json --wait --timeout 60\n"
        "  echo '{\"value\": 6}' | tasker task submit patterns/diamond --context -");
    context.on_run(command, [&context, options] { return submit(context, *options); });
}

}  // namespace tasker::cli
