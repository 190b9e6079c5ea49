#include "orchestrator/api/submit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "orchestrator/api/request_fields.hpp"
#include "orchestrator/api/sql.hpp"
#include "orchestrator/api/submit_payload.hpp"
#include "orchestrator/postgres/array_text.hpp"
#include "orchestrator/postgres/repeat.hpp"

namespace tasker::api {
namespace {

using nlohmann::json;

void refuse(RequestOutcome& outcome, RequestProblem problem) {
    outcome = tl::unexpected(std::move(problem));
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

RequestProblem conflict(const std::string& where) {
    return {"idempotency_conflict", "was already used with another context by " + where, "idempotency_key"};
}

/// The same key twice in one call, with two contexts: only one can be meant.
void find_conflicts_within(const std::vector<TaskPayload>& payloads, std::vector<RequestOutcome>& outcomes) {
    std::map<std::string_view, std::size_t> first;
    for (std::size_t i = 0; i < payloads.size(); ++i) {
        if (!outcomes[i] || payloads[i].identity.empty()) continue;
        const auto [known, fresh] = first.emplace(payloads[i].identity, i);
        if (!fresh && payloads[known->second].context_hash != payloads[i].context_hash) {
            refuse(outcomes[i], conflict(fmt::format("request {} of this call", known->second + 1)));
        }
    }
}

/// Refuses the requests whose parent task or step does not exist.
void check_parents(postgres::Connection& connection, std::span<const TaskRequest> requests,
                   std::vector<RequestOutcome>& outcomes) {
    json parents = json::array();
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (!outcomes[i] || !requests[i].parent_task_id) continue;
        parents.push_back({{"ord", i}, {"task_id", *requests[i].parent_task_id}});
        if (requests[i].parent_step_id) parents.back()["step_id"] = *requests[i].parent_step_id;
    }
    if (parents.empty()) return;
    for (const auto& row : connection.query(sql::unknown_parents, parents.dump())) {
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

/// What became of the requests that were sent; `sent` are their places.
void read_created(const postgres::Result& rows, const std::vector<std::size_t>& sent,
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
void count_existing_steps(postgres::Transaction& transaction, std::vector<RequestOutcome>& outcomes) {
    postgres::ArrayText ids;
    bool any = false;
    for (const auto& outcome : outcomes) {
        if (!outcome || !outcome->existing) continue;
        ids.add(outcome->task_id);
        any = true;
    }
    if (!any) return;
    std::map<std::int64_t, int> counts;
    for (const auto& row : transaction.query(sql::count_steps, ids.take())) {
        counts[row[0].as<std::int64_t>()] = row[1].as<int>();
    }
    for (auto& outcome : outcomes) {
        if (outcome && outcome->existing) outcome->step_count = counts[outcome->task_id];
    }
}

/// The first look, which needs neither templates nor the database.
void check_fields(std::span<const TaskRequest> requests, std::vector<RequestOutcome>& outcomes) {
    if (requests.size() > kRequestsMax) {
        const RequestProblem too_many{
            "invalid_field",
            fmt::format("{} requests in one call, at most {} are allowed", requests.size(), kRequestsMax),
            ""};
        for (auto& outcome : outcomes) refuse(outcome, too_many);
        return;
    }
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (auto problem = field_problem(requests[i])) refuse(outcomes[i], std::move(*problem));
    }
}

std::vector<TaskPayload> make_payloads(std::span<const TaskRequest> requests,
                                       const TemplateRevisions& revisions,
                                       const std::vector<std::int64_t>& template_ids,
                                       std::vector<RequestOutcome>& outcomes) {
    std::vector<TaskPayload> payloads(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (!outcomes[i]) continue;
        auto payload = make_task_payload(requests[i], template_ids[i], revisions.at(template_ids[i]));
        if (payload) {
            payloads[i] = std::move(*payload);
        } else {
            refuse(outcomes[i], std::move(payload.error()));
        }
    }
    return payloads;
}

/// The payloads of the requests that nothing was found wrong with, and their places.
struct Sending {
    Sending(std::vector<TaskPayload> payloads, const std::vector<RequestOutcome>& outcomes) {
        for (std::size_t i = 0; i < payloads.size(); ++i) {
            if (!outcomes[i]) continue;
            places.push_back(i);
            list.push_back(std::move(payloads[i].json));
        }
    }
    void leave_out_refused(const std::vector<RequestOutcome>& outcomes) {
        std::vector<std::string> kept;
        std::vector<std::size_t> kept_places;
        for (std::size_t i = 0; i < places.size(); ++i) {
            if (!outcomes[places[i]]) continue;
            kept_places.push_back(places[i]);
            kept.push_back(std::move(list[i]));
        }
        list = std::move(kept);
        places = std::move(kept_places);
    }
    /// The JSON list that tasker_create_tasks() takes.
    std::string parameter() const { return fmt::format("[{}]", fmt::join(list, ",")); }

    std::vector<std::size_t> places;
    std::vector<std::string> list;
};

std::vector<RequestOutcome> send(postgres::Connection& connection, const std::string& parameter,
                                 const std::vector<std::size_t>& places,
                                 const std::vector<RequestOutcome>& outcomes, WhenRefused when_refused) {
    return postgres::repeat_while_retryable([&] {
        std::vector<RequestOutcome> result = outcomes;
        postgres::Transaction transaction = connection.begin();
        read_created(transaction.query(sql::create_tasks, parameter), places, result);
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

/// The database measures a context as it writes it, so it may refuse one that was short enough as it came.
/// Returns how many requests it finds something wrong with.
int refuse_as_the_database_does(postgres::Connection& connection, const std::string& parameter,
                                const std::vector<std::size_t>& places,
                                std::vector<RequestOutcome>& outcomes) {
    int refused = 0;
    for (const auto& row : connection.query(sql::request_problems, parameter)) {
        const auto ord = row["ord"].as<std::size_t>();
        if (ord == 0) continue;
        const auto field = row["field"].as<std::string>();
        refuse(outcomes[places.at(ord - 1)], {field == "context" ? "invalid_context" : "invalid_field",
                                              row["message"].as<std::string>(), field});
        ++refused;
    }
    return refused;
}

/// Creates the tasks of all requests that nothing was found wrong with, in one transaction.
std::vector<RequestOutcome> create(postgres::Connection& connection, std::vector<TaskPayload> payloads,
                                   std::vector<RequestOutcome> outcomes, WhenRefused when_refused) {
    Sending sending(std::move(payloads), outcomes);
    while (!sending.places.empty()) {
        const std::string parameter = sending.parameter();
        try {
            return send(connection, parameter, sending.places, outcomes, when_refused);
        } catch (const postgres::DatabaseError& error) {
            if (error.sqlstate() != "22023") throw;
            if (refuse_as_the_database_does(connection, parameter, sending.places, outcomes) == 0) throw;
        }
        if (when_refused == WhenRefused::create_nothing) {
            mark_not_created(outcomes);
            return outcomes;
        }
        sending.leave_out_refused(outcomes);
    }
    return outcomes;
}

}  // namespace

TaskCreator::TaskCreator() : revisions_(std::make_unique<TemplateRevisions>()) {}
TaskCreator::~TaskCreator() = default;
TaskCreator::TaskCreator(TaskCreator&&) noexcept = default;
TaskCreator& TaskCreator::operator=(TaskCreator&&) noexcept = default;

std::vector<RequestOutcome> TaskCreator::create_tasks(postgres::Connection& connection,
                                                      std::span<const TaskRequest> requests,
                                                      WhenRefused when_refused) {
    std::vector<RequestOutcome> outcomes(requests.size(), CreatedTask{});
    check_fields(requests, outcomes);
    const auto template_ids = revisions_->resolve(connection, requests, outcomes);
    auto payloads = make_payloads(requests, *revisions_, template_ids, outcomes);
    find_conflicts_within(payloads, outcomes);
    check_parents(connection, requests, outcomes);
    if (when_refused == WhenRefused::create_nothing && any_refused(outcomes)) {
        mark_not_created(outcomes);
        return outcomes;
    }
    return create(connection, std::move(payloads), outcomes, when_refused);
}

}  // namespace tasker::api
