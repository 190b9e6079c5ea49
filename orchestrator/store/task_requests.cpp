#include "orchestrator/store/task_requests.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "orchestrator/store/array_text.hpp"
#include "orchestrator/store/repeat.hpp"
#include "orchestrator/store/request_fields.hpp"
#include "orchestrator/templates/context_validator.hpp"
#include "orchestrator/templates/identity.hpp"
#include "orchestrator/templates/template.hpp"

namespace tasker::store {
namespace {

using nlohmann::json;

constexpr const char* kResolveTemplates = R"(
    SELECT r.ord, f.task_template_id
    FROM jsonb_to_recordset($1::jsonb) AS r(ord int, namespace text, name text, version text)
    CROSS JOIN LATERAL tasker_find_template(r.namespace, r.name, r.version) f)";

constexpr const char* kLoadRevisions = R"(
    SELECT tt.task_template_id, tt.configuration::text
    FROM tasker_task_templates tt WHERE tt.task_template_id = ANY ($1::int[]))";

constexpr const char* kKnownTemplates = R"(
    SELECT n.name || '/' || nt.name AS full_name, nt.version
    FROM tasker_named_tasks nt JOIN tasker_task_namespaces n ON n.task_namespace_id = nt.task_namespace_id
    ORDER BY 1, 2)";

// The parents that do not exist, as places in the list.
constexpr const char* kUnknownParents = R"(
    SELECT r.ord, t.task_id IS NULL AS task_is_unknown
    FROM jsonb_to_recordset($1::jsonb) AS r(ord int, task_id bigint, step_id bigint)
    LEFT JOIN tasker_tasks t ON t.task_id = r.task_id
    LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = r.step_id AND s.task_id = r.task_id
    WHERE t.task_id IS NULL OR (r.step_id IS NOT NULL AND s.workflow_step_id IS NULL))";

constexpr const char* kCreateTasks =
    "SELECT ord, task_id, existing, step_count, problem FROM tasker_create_tasks($1::jsonb) ORDER BY ord";

constexpr const char* kCountSteps =
    "SELECT task_id, count(*)::int FROM tasker_workflow_steps WHERE task_id = ANY ($1::bigint[]) GROUP BY "
    "task_id";

void refuse(RequestOutcome& outcome, RequestProblem problem) {
    outcome = tl::unexpected(std::move(problem));
}

template <typename Value>
void set_if(json& target, const char* key, const std::optional<Value>& value) {
    if (value) target[key] = *value;
}

bool any_refused(const std::vector<RequestOutcome>& outcomes) {
    return std::any_of(outcomes.begin(), outcomes.end(),
                       [](const auto& outcome) { return !outcome.has_value(); });
}

/// Every request that would have been fine says why it has no task after all.
void mark_not_created(std::vector<RequestOutcome>& outcomes) {
    const auto refused = static_cast<std::size_t>(std::count_if(
        outcomes.begin(), outcomes.end(), [](const auto& outcome) { return !outcome.has_value(); }));
    for (auto& outcome : outcomes) {
        if (!outcome) continue;
        refuse(outcome, {"not_created",
                         fmt::format("nothing was created, because {} of the {} requests were refused",
                                     refused, outcomes.size()),
                         ""});
    }
}

RequestProblem unknown_template_problem(const TaskRequest& request,
                                        const std::vector<std::pair<std::string, std::string>>& known) {
    const std::string wanted = request.namespace_name + "/" + request.name;
    std::vector<std::string> names;
    std::string versions;
    for (const auto& [full_name, version] : known) {
        if (names.empty() || names.back() != full_name) names.push_back(full_name);
        if (full_name == wanted) versions += (versions.empty() ? "" : ", ") + version;
    }
    if (!versions.empty()) {
        return {"unknown_version",
                fmt::format("{} has no version {}; there is {}", wanted, yaml::in_quotes(*request.version),
                            versions),
                "version"};
    }
    std::string advice = yaml::did_you_mean(wanted, names);
    if (advice.empty()) {
        advice = names.empty() ? " No template is loaded yet: `tasker template load FILE|DIR`"
                               : " See `tasker template list`";
    }
    return {"unknown_template", fmt::format("no template {} is loaded.{}", yaml::in_quotes(wanted), advice),
            "name"};
}

RequestProblem context_problem(const std::vector<templates::ContextProblem>& problems) {
    std::string message;
    for (const auto& problem : problems)
        message += (message.empty() ? "" : "; ") + templates::to_string(problem);
    return {"invalid_context", message, "context"};
}

}  // namespace

struct TaskCreator::Revision {
    templates::Template definition;
    templates::ContextValidator validator;
};

struct TaskCreator::Prepared {
    std::int32_t task_template_id = 0;
    json request;
};

TaskCreator::TaskCreator() = default;
TaskCreator::~TaskCreator() = default;
TaskCreator::TaskCreator(TaskCreator&&) noexcept = default;
TaskCreator& TaskCreator::operator=(TaskCreator&&) noexcept = default;

void TaskCreator::load_revisions(Connection& connection, const std::vector<std::int32_t>& task_template_ids) {
    ArrayText missing;
    bool any = false;
    for (const auto id : task_template_ids) {
        if (revisions_.contains(id)) continue;
        missing.add(id);
        any = true;
    }
    if (!any) return;
    for (const auto& row : connection.query(kLoadRevisions, missing.take())) {
        const auto id = row[0].as<std::int32_t>();
        auto definition = templates::from_configuration(json::parse(row[1].as<std::string>()));
        if (!definition) {
            throw std::runtime_error(
                fmt::format("the stored configuration of template revision {} cannot be used: {}", id,
                            definition.error()));
        }
        templates::ContextValidator validator(definition->schema);
        revisions_[id] = std::make_unique<Revision>(Revision{std::move(*definition), std::move(validator)});
    }
}

void TaskCreator::resolve_templates(Connection& connection, std::span<const TaskRequest> requests,
                                    std::vector<RequestOutcome>& outcomes, std::vector<Prepared>& prepared) {
    using Name = std::tuple<std::string, std::string, std::optional<std::string>>;
    std::map<Name, std::vector<std::size_t>> wanted;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (!outcomes[i]) continue;
        wanted[{requests[i].namespace_name, requests[i].name, requests[i].version}].push_back(i);
    }
    json names = json::array();
    std::vector<const std::vector<std::size_t>*> places;
    for (const auto& [name, indexes] : wanted) {
        names.push_back(
            {{"ord", places.size()}, {"namespace", std::get<0>(name)}, {"name", std::get<1>(name)}});
        set_if(names.back(), "version", std::get<2>(name));
        places.push_back(&indexes);
    }
    if (places.empty()) return;
    std::vector<std::int32_t> found;
    for (const auto& row : connection.query(kResolveTemplates, names.dump())) {
        found.push_back(row[1].as<std::int32_t>());
        for (const auto i : *places.at(row[0].as<std::size_t>())) prepared[i].task_template_id = found.back();
    }
    load_revisions(connection, found);
    if (found.size() == places.size()) return;

    std::vector<std::pair<std::string, std::string>> known;
    for (const auto& row : connection.execute(kKnownTemplates)) {
        known.emplace_back(row[0].as<std::string>(), row[1].as<std::string>());
    }
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (outcomes[i] && prepared[i].task_template_id == 0) {
            refuse(outcomes[i], unknown_template_problem(requests[i], known));
        }
    }
}

void TaskCreator::check_parents(Connection& connection, std::span<const TaskRequest> requests,
                                std::vector<RequestOutcome>& outcomes) {
    json parents = json::array();
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (!outcomes[i] || !requests[i].parent_task_id) continue;
        parents.push_back({{"ord", i}, {"task_id", *requests[i].parent_task_id}});
        set_if(parents.back(), "step_id", requests[i].parent_step_id);
    }
    if (parents.empty()) return;
    for (const auto& row : connection.query(kUnknownParents, parents.dump())) {
        const auto i = row[0].as<std::size_t>();
        if (row[1].as<bool>()) {
            refuse(outcomes[i],
                   {"unknown_parent", fmt::format("there is no task {}", *requests[i].parent_task_id),
                    "parent_task_id"});
        } else {
            refuse(outcomes[i], {"unknown_parent",
                                 fmt::format("task {} has no step {}", *requests[i].parent_task_id,
                                             *requests[i].parent_step_id),
                                 "parent_step_id"});
        }
    }
}

namespace {

json request_json(const TaskRequest& request, std::int32_t task_template_id,
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
                                           const json& context, json& target) {
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
    target["scope"] = templates::identity_scope(definition.namespace_name, definition.name);
    target["identity_hash"] = hash;
    target["context_hash"] = templates::context_hash(context);
    return std::nullopt;
}

RequestProblem conflict(const std::string& where) {
    return {"idempotency_conflict", "was already used with another context by " + where, "idempotency_key"};
}

/// The same key twice in one call, with two contexts: only one can be meant.
void find_conflicts_within(const std::vector<std::pair<std::string, std::string>>& identities,
                           std::vector<RequestOutcome>& outcomes) {
    std::map<std::string_view, std::size_t> first;
    for (std::size_t i = 0; i < identities.size(); ++i) {
        if (!outcomes[i] || identities[i].first.empty()) continue;
        const auto [known, fresh] = first.emplace(identities[i].first, i);
        if (!fresh && identities[known->second].second != identities[i].second) {
            refuse(outcomes[i], conflict(fmt::format("request {} of this call", known->second + 1)));
        }
    }
}

/// Runs the creating function on the requests that are still good. Returns what to make of each.
void read_created(const Result& rows, const std::vector<std::size_t>& sent,
                  std::vector<RequestOutcome>& outcomes) {
    if (rows.size() != sent.size()) {
        throw std::runtime_error(
            fmt::format("tasker_create_tasks answered {} of {} requests", rows.size(), sent.size()));
    }
    for (const auto& row : rows) {
        auto& outcome = outcomes[sent.at(row["ord"].as<std::size_t>() - 1)];
        if (row["problem"].is_null()) {
            outcome = CreatedTask{row["task_id"].as<std::int64_t>(), row["existing"].as<bool>(),
                                  row["step_count"].as<int>()};
        } else if (row["problem"].as<std::string>() == "idempotency_conflict") {
            refuse(outcome, conflict("task " + row["task_id"].as<std::string>()));
        } else {
            refuse(outcome, {"unknown_template", "its template was removed meanwhile", "name"});
        }
    }
}

/// A task that existed before may come from another version or revision, so its own steps are counted.
void count_existing_steps(Transaction& transaction, std::vector<RequestOutcome>& outcomes) {
    ArrayText ids;
    bool any = false;
    for (const auto& outcome : outcomes) {
        if (!outcome || !outcome->existing) continue;
        ids.add(outcome->task_id);
        any = true;
    }
    if (!any) return;
    std::map<std::int64_t, int> counts;
    for (const auto& row : transaction.query(kCountSteps, ids.take())) {
        counts[row[0].as<std::int64_t>()] = row[1].as<int>();
    }
    for (auto& outcome : outcomes) {
        if (outcome && outcome->existing) outcome->step_count = counts[outcome->task_id];
    }
}

}  // namespace

std::vector<std::pair<std::string, std::string>> TaskCreator::prepare(std::span<const TaskRequest> requests,
                                                                      std::vector<RequestOutcome>& outcomes,
                                                                      std::vector<Prepared>& prepared) const {
    std::vector<std::pair<std::string, std::string>> identities(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (!outcomes[i]) continue;
        auto context = parse_context(requests[i].context_json);
        if (!context) {
            refuse(outcomes[i], context.error());
            continue;
        }
        const Revision& revision = *revisions_.at(prepared[i].task_template_id);
        if (const auto wrong = revision.validator.validate(*context); !wrong.empty()) {
            refuse(outcomes[i], context_problem(wrong));
            continue;
        }
        json& request = prepared[i].request;
        request = request_json(requests[i], prepared[i].task_template_id, revision.definition);
        if (auto problem = add_identity(requests[i], revision.definition, *context, request)) {
            refuse(outcomes[i], std::move(*problem));
            continue;
        }
        if (request.contains("scope")) {
            identities[i] = {
                request["scope"].get<std::string>() + "\n" + request["identity_hash"].get<std::string>(),
                request["context_hash"].get<std::string>()};
        }
        request["context"] = std::move(*context);
    }
    return identities;
}

std::vector<RequestOutcome> TaskCreator::create_tasks(Connection& connection,
                                                      std::span<const TaskRequest> requests,
                                                      WhenRefused when_refused) {
    std::vector<RequestOutcome> outcomes(requests.size(), CreatedTask{});
    if (requests.size() > kRequestsMax) {
        for (auto& outcome : outcomes) {
            refuse(outcome, {"invalid_field",
                             fmt::format("{} requests in one call, at most {} are allowed", requests.size(),
                                         kRequestsMax),
                             ""});
        }
        return outcomes;
    }
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (auto problem = field_problem(requests[i])) refuse(outcomes[i], std::move(*problem));
    }
    std::vector<Prepared> prepared(requests.size());
    resolve_templates(connection, requests, outcomes, prepared);
    const auto identities = prepare(requests, outcomes, prepared);
    find_conflicts_within(identities, outcomes);
    check_parents(connection, requests, outcomes);
    if (when_refused == WhenRefused::create_nothing && any_refused(outcomes)) {
        mark_not_created(outcomes);
        return outcomes;
    }

    std::vector<std::size_t> sent;
    json list = json::array();
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (!outcomes[i]) continue;
        sent.push_back(i);
        list.push_back(std::move(prepared[i].request));
    }
    if (sent.empty()) return outcomes;
    const std::string parameter = list.dump();
    return repeat_while_retryable([&] {
        std::vector<RequestOutcome> result = outcomes;
        Transaction transaction = connection.begin();
        read_created(transaction.query(kCreateTasks, parameter), sent, result);
        if (when_refused == WhenRefused::create_nothing && any_refused(result)) {
            transaction.roll_back();
            mark_not_created(result);
            return result;
        }
        count_existing_steps(transaction, result);
        transaction.commit();
        return result;
    });
}

}  // namespace tasker::store
