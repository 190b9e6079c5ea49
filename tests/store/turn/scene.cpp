#include "tests/store/turn/scene.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

namespace tasker::store {
namespace {

nlohmann::json steps_from(const std::string& drawing) {
    nlohmann::json steps = nlohmann::json::array();
    std::map<std::string, int> positions;
    std::istringstream lines(drawing);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string word;
        if (!(words >> word)) continue;
        const int position = static_cast<int>(positions.size()) + 1;
        positions[word] = position;
        nlohmann::json step = {{"position", position},
                               {"name", word},
                               {"handler_class", "Work"},
                               {"dependent_system", "sys"},
                               {"retryable", true},
                               {"retry_limit", 3},
                               {"timeout_ms", 30000},
                               {"on_orphan", "retry"},
                               {"claim_first", false},
                               {"description", nullptr},
                               {"parents", nlohmann::json::array()}};
        bool parents = false;
        while (words >> word) {
            if (word == "<-")
                parents = true;
            else if (parents)
                step["parents"].push_back(positions.at(word));
            else if (word[0] == '@')
                step["handler_class"] = word.substr(1);
            else if (word.starts_with("limit="))
                step["retry_limit"] = std::stoi(word.substr(6));
            else if (word == "once")
                step["retryable"] = false;
            else if (word == "dead_letter")
                step["on_orphan"] = word;
            else
                throw std::invalid_argument("what is " + word + " in a drawing?");
        }
        steps.push_back(step);
    }
    return steps;
}

Instance instance() {
    return {"orchestrator-test", "localhost", 1, "{}"};
}

}  // namespace

Scene::Scene() {
    sql_ = std::make_unique<postgres::Connection>(url());
    store_ = std::make_unique<TurnStore>(url(), instance());
    if (!store_->take_instance_lock())
        throw std::runtime_error("somebody else holds the lane of a fresh database");
    epoch_ = store_->begin_epoch();
}

void Scene::reopen_store() {
    store_.reset();
    store_ = std::make_unique<TurnStore>(url(), instance());
    turn_ = store_->resume_epoch(epoch_);
}

int Scene::draw(const std::string& name, const std::string& drawing, const std::string& namespace_name) {
    const auto steps = steps_from(drawing);
    nlohmann::json configuration = {{"step_templates", nlohmann::json::array()}};
    for (const auto& step : steps) configuration["step_templates"].push_back({{"name", step["name"]}});
    return sql_
        ->query(
            "SELECT task_template_id FROM tasker_register_template($1, $2, '1.0.0', NULL, $3::jsonb, "
            "encode(sha256(convert_to($4::text, 'UTF8')), 'hex'), $4::text::jsonb)",
            namespace_name, name, configuration.dump(), steps.dump())
        .at(0)[0]
        .as<int>();
}

std::vector<std::int64_t> Scene::submit_many(int template_id, int count, const std::string& extra) {
    auto request = nlohmann::json::parse(extra);
    request["task_template_id"] = template_id;
    const auto rows = sql_->query(
        "SELECT task_id, problem FROM tasker_create_tasks((SELECT jsonb_agg($1::jsonb) FROM "
        "generate_series(1, $2)))",
        request.dump(), count);
    std::vector<std::int64_t> ids;
    for (const auto& row : rows) {
        if (!row[1].is_null()) throw std::runtime_error("not created: " + row[1].as<std::string>());
        ids.push_back(row[0].as<std::int64_t>());
    }
    return ids;
}

std::int64_t Scene::submit(int template_id, const std::string& extra) {
    return submit_many(template_id, 1, extra).at(0);
}

ports::TurnInput Scene::claiming(const std::vector<Free>& sessions) const {
    ports::TurnInput input;
    for (const auto& row : sql_->execute("SELECT handler_key FROM tasker_handler_keys ORDER BY 1")) {
        input.keys.push_back({1, row[0].as<std::int32_t>(), true});
    }
    for (const auto& session : sessions) {
        const int place = static_cast<int>(input.sessions.size());
        input.sessions.push_back(session.session);
        for (int i = 0; i < session.slots; ++i) input.slots.push_back({1, place});
    }
    return input;
}

ports::TurnResult Scene::turn(const ports::TurnInput& input) {
    return store_->run_turn(++turn_, input);
}

std::vector<ports::ClaimedStep> Scene::claim(int slots, const std::string& session) {
    return turn(claiming({{session, slots}})).claims;
}

ports::TurnMessage Scene::report(const ports::ClaimedStep& claim, const std::string& status) {
    ports::TurnMessage message;
    message.message_class = ports::MessageClass::final;
    message.batch_id = claim.batch_id;
    message.batch_step_id = claim.batch_step_id;
    message.step_id = claim.step_id;
    message.task_id = claim.task_id;
    message.attempt = claim.attempt;
    message.status = status;
    message.worker_id = "worker-1";
    message.session = "s1";
    message.sequence = 1;
    message.raw = R"({"message_type":"partial_result","status":")" + status + "\"}";
    if (status == "completed") {
        message.output_json = R"({"by":")" + claim.name + "\"}";
    } else {
        message.error_json = R"({"message":"no luck"})";
        message.backoff_seconds = 0.0;
    }
    return message;
}

ports::HandBack Scene::hand_back(const ports::ClaimedStep& claim, const std::string& reason) {
    return {claim.batch_id, claim.step_id, claim.task_id, claim.attempt, reason};
}

std::string Scene::apply(const std::vector<ports::TurnMessage>& messages) {
    ports::TurnInput input;
    input.messages = messages;
    std::string dispositions;
    for (const auto& judged : turn(input).reports) {
        dispositions += (dispositions.empty() ? "" : " ") + judged.disposition;
    }
    return dispositions;
}

std::string Scene::one(const std::string& query) {
    const auto rows = sql_->execute(query);
    if (rows.empty()) {
        ADD_FAILURE() << "no row: " << query;
        return "0";
    }
    return rows.at(0)[0].is_null() ? "" : rows.at(0)[0].as<std::string>();
}

std::string Scene::list(const std::string& query) {
    std::string text;
    for (const auto& row : sql_->execute(query)) {
        text += (text.empty() ? "" : " ") + (row[0].is_null() ? std::string("-") : row[0].as<std::string>());
    }
    return text;
}

std::string Scene::state_of(std::int64_t step_id) {
    return one("SELECT state FROM tasker_workflow_steps WHERE workflow_step_id = " + std::to_string(step_id));
}
std::string Scene::task_state(std::int64_t task_id) {
    return one("SELECT state FROM tasker_tasks WHERE task_id = " + std::to_string(task_id));
}
std::int64_t Scene::step_id(std::int64_t task_id, const std::string& name) {
    return number("SELECT workflow_step_id FROM tasker_workflow_steps WHERE task_id = " +
                  std::to_string(task_id) + " AND name = '" + name + "'");
}
std::int32_t Scene::key_of(const std::string& handler_class, const std::string& namespace_name) {
    return static_cast<std::int32_t>(
        number("SELECT handler_key FROM tasker_handler_keys k JOIN tasker_task_namespaces n ON "
               "n.task_namespace_id = "
               "k.namespace_id WHERE k.handler_class = '" +
               handler_class + "' AND n.name = '" + namespace_name + "'"));
}
std::string Scene::step_row(std::int64_t step_id) {
    return one("SELECT s::text FROM tasker_workflow_steps s WHERE workflow_step_id = " +
               std::to_string(step_id));
}

namespace {

// Each query lists what is wrong; none may return a row.
struct Law {
    const char* name;
    const char* query;
};

constexpr Law kLaws[] = {
    {"task counters",
     "SELECT t.task_id || ': open ' || t.open_steps || ' movable ' || t.movable_steps || ', steps say ' || "
     "x.open"
     " || ' and ' || x.movable FROM tasker_tasks t CROSS JOIN LATERAL (SELECT"
     " count(*) FILTER (WHERE s.state NOT IN ('complete', 'resolved_manually')) AS open,"
     " count(*) FILTER (WHERE s.state IN ('in_progress', 'waiting_for_retry') OR s.state = 'pending' AND NOT "
     "EXISTS"
     " (SELECT FROM tasker_workflow_step_edges e JOIN tasker_workflow_steps p ON p.workflow_step_id = "
     "e.from_step_id"
     "  WHERE e.to_step_id = s.workflow_step_id AND p.state NOT IN ('complete', 'resolved_manually'))) AS "
     "movable"
     " FROM tasker_workflow_steps s WHERE s.task_id = t.task_id) x"
     " WHERE (t.open_steps, t.movable_steps) IS DISTINCT FROM (x.open::int, x.movable::int)"},
    {"task verdict",
     "SELECT t.task_id || ' is ' || t.state || ' with open ' || t.open_steps || ' movable ' || "
     "t.movable_steps"
     " FROM tasker_tasks t WHERE t.state IN ('pending', 'in_progress') AND (t.open_steps = 0 OR "
     "t.movable_steps = 0)"
     " OR t.state = 'complete' AND t.open_steps > 0 OR t.state = 'error' AND t.movable_steps > 0"
     " OR (t.completed_at IS NULL) <> (t.state IN ('pending', 'in_progress'))"},
    {"remaining parents",
     "SELECT s.workflow_step_id || ': ' || s.remaining_parents || ', edges say ' || x.n FROM "
     "tasker_workflow_steps s"
     " CROSS JOIN LATERAL (SELECT count(*) AS n FROM tasker_workflow_step_edges e JOIN tasker_workflow_steps "
     "p"
     " ON p.workflow_step_id = e.from_step_id WHERE e.to_step_id = s.workflow_step_id"
     " AND p.state NOT IN ('complete', 'resolved_manually')) x WHERE x.n <> s.remaining_parents"},
    {"ready index",
     "SELECT workflow_step_id || ' ' || state FROM tasker_workflow_steps WHERE CASE"
     " WHEN ready_key IS NOT NULL THEN ready_key <> handler_key OR state NOT IN ('pending', "
     "'waiting_for_retry')"
     "      OR remaining_parents > 0"
     " WHEN state = 'waiting_for_retry' OR state = 'pending' AND remaining_parents = 0 THEN next_attempt_at "
     "IS NULL"
     " ELSE next_attempt_at IS NOT NULL END"},
    {"step started before its parents ended",
     "SELECT s.workflow_step_id::text FROM tasker_workflow_steps s WHERE s.attempts > 0 AND "
     "s.remaining_parents > 0"},
    {"step history",
     "SELECT s.workflow_step_id || ' ' || s.state || ': ' || coalesce(x.path, 'none') FROM "
     "tasker_workflow_steps s"
     " CROSS JOIN LATERAL (SELECT string_agg(sort_key || to_state, ',' ORDER BY sort_key) AS path, count(*) "
     "AS n,"
     " max(sort_key) AS last, (array_agg(to_state ORDER BY sort_key DESC))[1] AS state,"
     " bool_and(from_state IS NOT DISTINCT FROM before) AS linked FROM (SELECT t.*, lag(to_state) OVER"
     " (ORDER BY sort_key) AS before FROM tasker_workflow_step_transitions t"
     " WHERE t.workflow_step_id = s.workflow_step_id) t) x"
     " WHERE x.n <> s.transition_count OR x.last <> x.n OR x.state <> s.state OR NOT x.linked OR x.n = 0"},
    {"task history",
     "SELECT s.task_id || ' ' || s.state || ': ' || coalesce(x.path, 'none') FROM tasker_tasks s"
     " CROSS JOIN LATERAL (SELECT string_agg(sort_key || to_state, ',' ORDER BY sort_key) AS path, count(*) "
     "AS n,"
     " max(sort_key) AS last, (array_agg(to_state ORDER BY sort_key DESC))[1] AS state,"
     " bool_and(from_state IS NOT DISTINCT FROM before) AS linked FROM (SELECT t.*, lag(to_state) OVER"
     " (ORDER BY sort_key) AS before FROM tasker_task_transitions t WHERE t.task_id = s.task_id) t) x"
     " WHERE x.n <> s.transition_count OR x.last <> x.n OR x.state <> s.state OR NOT x.linked OR x.n = 0"},
    {"batch history",
     "SELECT s.batch_id || ' ' || s.state || ': ' || coalesce(x.path, 'none') FROM "
     "tasker_step_execution_batches s"
     " CROSS JOIN LATERAL (SELECT string_agg(sort_key || to_state, ',' ORDER BY sort_key) AS path, count(*) "
     "AS n,"
     " max(sort_key) AS last, (array_agg(to_state ORDER BY sort_key DESC))[1] AS state,"
     " count(*) FILTER (WHERE most_recent) AS flags, max(sort_key) FILTER (WHERE most_recent) AS flagged,"
     " bool_and(from_state IS NOT DISTINCT FROM before) AS linked FROM (SELECT t.*, lag(to_state) OVER"
     " (ORDER BY sort_key) AS before FROM tasker_step_execution_batch_transitions t WHERE t.batch_id = "
     "s.batch_id) t) x"
     " WHERE x.n <> s.transition_count OR x.last <> x.n OR x.state <> s.state OR NOT x.linked OR x.flags <> 1"
     " OR x.flagged <> x.last"},
    {"applied results",
     "SELECT bs.workflow_step_id || ' attempt ' || bs.attempt || ': ' || count(*)"
     " FROM tasker_step_execution_batch_received_results r JOIN tasker_step_execution_batch_steps bs"
     " ON bs.id = r.batch_step_id WHERE r.disposition = 'applied' GROUP BY bs.workflow_step_id, bs.attempt"
     " HAVING count(*) > 1"},
    {"attempts",
     "SELECT s.workflow_step_id || ' ' || s.state || ' attempts ' || s.attempts || ', deliveries ' || x.n"
     " FROM tasker_workflow_steps s CROSS JOIN LATERAL (SELECT count(*) AS n, count(*) FILTER (WHERE "
     "bs.attempt ="
     " s.attempts AND bs.final_status IS NULL) AS running, count(*) FILTER (WHERE bs.final_status = "
     "'handed_back') AS"
     " back FROM tasker_step_execution_batch_steps bs WHERE bs.workflow_step_id = s.workflow_step_id) x"
     " WHERE x.n <> s.attempts OR (x.back <> s.unstarted_attempts AND s.state <> 'cancelled') OR s.attempts "
     "- s.unstarted_attempts > "
     "s.retry_limit"
     " OR (s.state = 'in_progress') <> (x.running = 1)"},
    {"history in time",
     "SELECT h.workflow_step_id || ' transition ' || h.sort_key || ' is older than the one before it' FROM"
     " (SELECT t.*, lag(t.created_at) OVER (PARTITION BY t.workflow_step_id ORDER BY t.sort_key) AS before"
     " FROM tasker_workflow_step_transitions t) h WHERE h.created_at < h.before"},
};

}  // namespace

std::vector<std::string> Scene::violations() {
    std::vector<std::string> found;
    for (const auto& law : kLaws) {
        for (const auto& row : sql_->execute(law.query)) {
            found.push_back(std::string(law.name) + ": " + row[0].as<std::string>());
        }
    }
    return found;
}

}  // namespace tasker::store
