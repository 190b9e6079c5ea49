#include "orchestrator/store/turn_store.hpp"

#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "orchestrator/store/array_text.hpp"
#include "orchestrator/store/port_errors.hpp"
#include "orchestrator/store/turn_parameters.hpp"

namespace tasker::store {
namespace {

// The planner must not be led astray by tables that were empty when a plan was made: every access of a turn
// is by index, and a cached sequential scan would make the whole session slow.
constexpr const char* kPlannerSettings =
    "SET enable_seqscan = off; SET enable_mergejoin = off; SET enable_bitmapscan = off; SET enable_memoize = "
    "off; SET jit = off; "
    "SET plan_cache_mode = force_generic_plan";

// Somebody who holds a task's row (a transaction left open in a console) must hold up that task only, and not
// the whole lane for as long as it likes.
constexpr const char* kLockTimeout = "SET lock_timeout = '200ms'";

// The instance lock ends with the session: a host that vanished must not hold it for hours. Unix sockets
// ignore these.
constexpr const char* kKeepalives =
    "SET tcp_keepalives_idle = 3; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3; "
    "SET tcp_user_timeout = 6000";

constexpr const char* kBatchColumns =
    "SELECT b.batch_id, b.batch_uuid, coalesce(b.session, '') AS session, b.handler_key, b.state,"
    " b.reconciliation_status, b.final_completion_received,"
    " (SELECT r.raw_message_json::text FROM tasker_step_execution_batch_received_results r"
    "   WHERE r.batch_id = b.batch_id AND r.message_type = 'batch_completion' AND r.disposition = 'noted'"
    "   ORDER BY r.id DESC LIMIT 1) AS completion,"
    " bs.id AS batch_step_id, bs.workflow_step_id, s.task_id, bs.attempt, s.name, t.named_task_id,"
    " t.template_revision, s.timeout_ms, s.retry_limit, s.claim_first, coalesce(bs.final_status, '') AS "
    "final_status,"
    " bs.started_at IS NOT NULL AS started, bs.granted_at IS NOT NULL AS granted,"
    " coalesce((extract(epoch FROM clock_timestamp() - bs.started_at) * 1000)::bigint, 0) AS started_ms_ago,"
    " coalesce(first.status, '') AS reported, coalesce(first.raw_message_json::text, '') AS report,"
    // Refused reports (of another attempt) stand in the ledger beside this step, too: only duplicates can
    // conflict.
    " EXISTS (SELECT FROM tasker_step_execution_batch_received_results r"
    "   WHERE r.batch_id = b.batch_id AND r.batch_step_id = bs.id AND r.disposition = 'duplicate'"
    "   AND (r.status <> first.status"
    "        OR (r.raw_message_json->'output')::text IS DISTINCT FROM "
    "(first.raw_message_json->'output')::text"
    "        OR (r.raw_message_json->'error')::text IS DISTINCT FROM "
    "(first.raw_message_json->'error')::text))"
    " AS conflicting,"
    " to_char(b.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS claimed_at,"
    " CASE WHEN bs.final_status IS NULL THEN t.context::text END AS context,"
    " CASE WHEN bs.final_status IS NULL THEN (SELECT json_object_agg(p.name, p.results)"
    "   FROM tasker_workflow_step_edges e JOIN tasker_workflow_steps p ON p.workflow_step_id = e.from_step_id"
    "   WHERE e.to_step_id = s.workflow_step_id)::text END AS previous_results"
    " FROM tasker_step_execution_batches b"
    " JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = b.batch_id"
    " JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id"
    " JOIN tasker_tasks t ON t.task_id = s.task_id"
    // The report that set reported_at: the two were written by one turn, at one time. (One of another attempt
    // may stand beside it as stale.)
    " LEFT JOIN LATERAL (SELECT r.status, r.raw_message_json"
    "   FROM tasker_step_execution_batch_received_results r"
    "   WHERE bs.reported_at IS NOT NULL AND r.batch_id = b.batch_id AND r.batch_step_id = bs.id"
    "   AND r.message_type = 'partial_result' AND r.processed_at = bs.reported_at"
    "   AND r.disposition IN ('applied', 'late', 'stale_attempt')"
    "   ORDER BY r.disposition = 'stale_attempt', r.id LIMIT 1) first ON true ";

// The lane of a batch stands in its uuid, as core/lanes.hpp reads it: $1 lanes, $2 this one.
constexpr const char* kOwnBatch =
    "greatest(strpos('0123456789abcdef', substr(b.batch_uuid::text, 21, 1)) - 1, 0) % $1::int = $2::int";

std::string text_or_empty(const pqxx::field& field) {
    return field.is_null() ? std::string() : field.as<std::string>();
}

core::ReconciliationStatus reconciliation_from(const std::string& text) {
    if (text == "consistent") return core::ReconciliationStatus::consistent;
    return text == "discrepancy" ? core::ReconciliationStatus::discrepancy
                                 : core::ReconciliationStatus::pending;
}

// Column numbers of tasker_turn()'s rows.
enum TurnColumn {
    kKind,
    kOrd,
    kInfo,
    kName,
    kTaskId,
    kStepId,
    kAttempt,
    kRetryLimit,
    kTimeoutMs,
    kHandlerKey,
    kClaimFirst,
    kBatchId,
    kBatchUuid,
    kBatchStepId,
    kSequence,
    kSession,
    kNamedTask,
    kRevision,
    kClaimedAt,
    kContext,
    kPrevious
};

ports::ClaimedStep claimed_step(const pqxx::row& row) {
    ports::ClaimedStep step;
    step.name = row[kName].as<std::string>();
    step.task_id = row[kTaskId].as<std::int64_t>();
    step.step_id = row[kStepId].as<std::int64_t>();
    if (!row[kOrd].is_null())
        step.waited_at = core::ReadyPosition::of(row[kOrd].as<std::int32_t>(), step.step_id);
    step.attempt = row[kAttempt].as<std::int32_t>();
    step.retry_limit = row[kRetryLimit].as<std::int32_t>();
    step.timeout_ms = row[kTimeoutMs].as<std::int64_t>();
    step.handler_key = row[kHandlerKey].as<std::int32_t>();
    step.claim_first = row[kClaimFirst].as<bool>();
    step.batch_id = row[kBatchId].as<std::int64_t>();
    step.batch_uuid = row[kBatchUuid].as<std::string>();
    step.batch_step_id = row[kBatchStepId].as<std::int64_t>();
    step.session = row[kSession].as<int>() - 1;
    step.named_task_id = row[kNamedTask].as<std::int32_t>();
    step.template_revision = row[kRevision].as<std::int32_t>();
    step.claimed_at = row[kClaimedAt].as<std::string>();
    step.context_json = text_or_empty(row[kContext]);
    step.previous_results_json = text_or_empty(row[kPrevious]);
    return step;
}

// Kind `more`: slots ran out, or children of this turn wait (then with the first of them).
void note_waiting(const pqxx::row& row, ports::TurnResult& result) {
    const auto handler_key = row[kHandlerKey].as<std::int32_t>();
    if (!row[kInfo].is_null()) {
        result.keys_locked.push_back(handler_key);
    } else if (row[kStepId].is_null()) {
        result.keys_waiting.push_back({handler_key});
    } else {
        result.keys_waiting.push_back(
            {handler_key,
             core::ReadyPosition::of(row[kOrd].as<std::int32_t>(), row[kStepId].as<std::int64_t>())});
    }
}

ports::StoredBatchStep stored_step(const pqxx::row& row) {
    ports::StoredBatchStep step;
    step.batch_step_id = row["batch_step_id"].as<std::int64_t>();
    step.step_id = row["workflow_step_id"].as<std::int64_t>();
    step.task_id = row["task_id"].as<std::int64_t>();
    step.attempt = row["attempt"].as<std::int32_t>();
    step.step_name = row["name"].as<std::string>();
    step.named_task_id = row["named_task_id"].as<std::int32_t>();
    step.template_revision = row["template_revision"].as<std::int32_t>();
    step.timeout_ms = row["timeout_ms"].as<std::int64_t>();
    step.retry_limit = row["retry_limit"].as<std::int32_t>();
    step.claim_first = row["claim_first"].as<bool>();
    step.final_status = row["final_status"].as<std::string>();
    step.started = row["started"].as<bool>();
    step.conflicting = row["conflicting"].as<bool>();
    step.started_ms_ago = row["started_ms_ago"].as<std::int64_t>();
    step.granted = row["granted"].as<bool>();
    step.reported = row["reported"].as<std::string>();
    step.report_json = row["report"].as<std::string>();
    step.claimed_at = row["claimed_at"].as<std::string>();
    step.context_json = text_or_empty(row["context"]);
    step.previous_results_json = text_or_empty(row["previous_results"]);
    return step;
}

ConnectionSettings lane_settings() {
    ConnectionSettings settings;
    settings.application_name = "tasker-orchestrator lane";
    return settings;
}

}  // namespace

TurnStore::TurnStore(const std::string& database_url, Instance instance, Lane lane)
    : instance_(std::move(instance)), lane_(lane), connection_([&] {
          return with_port_errors([&] { return Connection(database_url, lane_settings()); });
      }()) {
    with_port_errors([&] {
        connection_.execute(kPlannerSettings);
        connection_.execute(kKeepalives);
        connection_.execute(kLockTimeout);
        connection_.prepare("turn", turn_statement());
        connection_.prepare("open_batches", std::string(kBatchColumns) +
                                                "WHERE (b.reconciliation_status = 'pending' OR b.state IN "
                                                "('created', 'published', 'executing')) AND " +
                                                kOwnBatch + " ORDER BY b.batch_id, bs.sequence_order");
        connection_.prepare(
            "one_batch", std::string(kBatchColumns) + "WHERE b.batch_uuid = $1 ORDER BY bs.sequence_order");
        connection_.prepare(
            "cancelled",
            std::string(
                "SELECT b.session, b.batch_uuid, bs.workflow_step_id, bs.attempt"
                " FROM tasker_step_execution_batches b"
                " JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = b.batch_id"
                " JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id"
                " WHERE (b.reconciliation_status = 'pending' OR b.state IN ('created', 'published', "
                "'executing'))"
                " AND b.state IN ('created', 'published', 'executing') AND b.session IS NOT NULL"
                " AND bs.reported_at IS NULL AND bs.final_status IS NULL AND s.state = 'cancelled' AND ") +
                kOwnBatch + " ORDER BY b.batch_id, bs.sequence_order LIMIT 1000");
        connection_.prepare(
            "next_due",
            "SELECT ceil(extract(epoch FROM min(s.next_attempt_at) - clock_timestamp()) * 1000)::bigint AS "
            "due"
            " FROM tasker_workflow_steps s WHERE s.next_attempt_at IS NOT NULL AND s.ready_key IS NULL"
            " AND s.remaining_parents = 0 AND s.state IN ('pending', 'waiting_for_retry')"
            " AND s.shard % $1::int = $2::int");
    });
}

ports::TurnResult TurnStore::run_turn(std::int64_t turn, const ports::TurnInput& input) {
    const auto parameters = turn_parameters(lane_.number, lane_.count, epoch_, turn, instance_.id, input);
    const auto rows = with_port_errors(
        [&] { return connection_.run("turn", pqxx::prepare::make_dynamic_params(parameters)); });
    ports::TurnResult result;
    std::map<std::size_t, std::pair<std::string, std::string>> judged;  // but for the usual
    for (const auto& row : rows) {
        switch (row[kKind].c_str()[0]) {
            case 'r':
                judged[row[kOrd].as<std::size_t>() - 1] = {row[kInfo].as<std::string>(),
                                                           text_or_empty(row[kName])};
                break;
            case 'c':
                result.claims.push_back(claimed_step(row));
                break;
            case 't':
                result.tasks.push_back(
                    {row[kTaskId].as<std::int64_t>(), row[kInfo].as<std::string>(), !row[kName].is_null()});
                break;
            case 'o':
                result.orphans.push_back({row[kOrd].as<std::size_t>() - 1, row[kInfo].as<std::string>(),
                                          row[kHandlerKey].as<std::int32_t>()});
                break;
            case 'g':
                result.starts.push_back({row[kOrd].as<std::size_t>() - 1, text_or_empty(row[kInfo])});
                break;
            default:
                note_waiting(row, result);
        }
    }
    for (std::size_t i = 0; i < input.messages.size(); ++i) {
        if (input.messages[i].message_class != ports::MessageClass::final) continue;
        const auto unusual = judged.find(i);
        if (unusual == judged.end()) {
            result.reports.push_back({i, "applied", "complete"});
        } else {
            result.reports.push_back({i, unusual->second.first, unusual->second.second});
        }
    }
    return result;
}

std::vector<ports::StoredBatch> TurnStore::stored_batches(const pqxx::result& rows) {
    std::vector<ports::StoredBatch> batches;
    for (const auto& row : rows) {
        const auto batch_id = row["batch_id"].as<std::int64_t>();
        if (batches.empty() || batches.back().batch_id != batch_id) {
            ports::StoredBatch batch;
            batch.batch_id = batch_id;
            batch.batch_uuid = row["batch_uuid"].as<std::string>();
            batch.session = row["session"].as<std::string>();
            batch.handler_key = row["handler_key"].as<std::int32_t>();
            batch.state =
                core::parse_batch_state(row["state"].as<std::string>()).value_or(core::BatchState::published);
            batch.reconciliation = reconciliation_from(row["reconciliation_status"].as<std::string>());
            batch.completion_received = row["final_completion_received"].as<bool>();
            batch.completion_json = text_or_empty(row["completion"]);
            batches.push_back(std::move(batch));
        }
        batches.back().steps.push_back(stored_step(row));
    }
    return batches;
}

std::vector<ports::StoredBatch> TurnStore::load_open_batches() {
    return stored_batches(
        with_port_errors([&] { return connection_.run("open_batches", lane_.count, lane_.number); }));
}

std::optional<ports::StoredBatch> TurnStore::load_batch(const std::string& batch_uuid) {
    auto batches = stored_batches(with_port_errors([&] { return connection_.run("one_batch", batch_uuid); }));
    if (batches.empty()) return std::nullopt;
    return std::move(batches.front());
}

std::vector<ports::HandlerKey> TurnStore::load_handler_keys() {
    const auto rows = with_port_errors([&] {
        return connection_.execute(
            "SELECT k.handler_key, n.name, k.handler_class FROM tasker_handler_keys k "
            "JOIN tasker_task_namespaces n ON n.task_namespace_id = k.namespace_id ORDER BY k.handler_key");
    });
    std::vector<ports::HandlerKey> keys;
    for (const auto& row : rows) {
        keys.push_back({row[0].as<std::int32_t>(), row[1].as<std::string>(), row[2].as<std::string>()});
    }
    return keys;
}

ports::TemplateFacts TurnStore::load_template(std::int32_t named_task_id, std::int32_t revision) {
    const auto rows = with_port_errors([&] {
        return connection_.query(
            "SELECT n.name AS namespace, nt.name, nt.version, s.value->>'name' AS step, "
            "coalesce(s.value->'handler_config', '{}')::text AS config, "
            "coalesce((s.value->'retry_backoff'->>'base_seconds')::float8, 1) AS base, "
            "coalesce((s.value->'retry_backoff'->>'multiplier')::float8, 2) AS multiplier, "
            "coalesce((s.value->'retry_backoff'->>'max_seconds')::float8, 300) AS max, "
            "coalesce((s.value->'retry_backoff'->>'jitter')::float8, 0.1) AS jitter "
            "FROM tasker_task_templates tt JOIN tasker_named_tasks nt ON nt.named_task_id = tt.named_task_id "
            "JOIN tasker_task_namespaces n ON n.task_namespace_id = nt.task_namespace_id "
            "CROSS JOIN LATERAL jsonb_array_elements(tt.configuration->'step_templates') s "
            "WHERE tt.named_task_id = $1 AND tt.revision = $2",
            named_task_id, revision);
    });
    ports::TemplateFacts facts;
    for (const auto& row : rows) {
        facts.namespace_name = row["namespace"].as<std::string>();
        facts.task_name = row["name"].as<std::string>();
        facts.task_version = row["version"].as<std::string>();
        facts.steps.push_back({row["step"].as<std::string>(),
                               row["config"].as<std::string>(),
                               {row["base"].as<double>(), row["multiplier"].as<double>(),
                                row["max"].as<double>(), row["jitter"].as<double>()}});
    }
    return facts;
}

std::optional<std::int64_t> TurnStore::next_due_in_ms() {
    const auto rows =
        with_port_errors([&] { return connection_.run("next_due", lane_.count, lane_.number); });
    const auto field = rows.at(0)[0];
    if (field.is_null()) return std::nullopt;
    return std::max<std::int64_t>(0, field.as<std::int64_t>());
}

std::vector<ports::CancelledDelivery> TurnStore::load_cancelled_deliveries() {
    const auto rows =
        with_port_errors([&] { return connection_.run("cancelled", lane_.count, lane_.number); });
    std::vector<ports::CancelledDelivery> cancelled;
    for (const auto& row : rows) {
        cancelled.push_back({row[0].as<std::string>(), row[1].as<std::string>(), row[2].as<std::int64_t>(),
                             row[3].as<std::int32_t>()});
    }
    return cancelled;
}

std::vector<ports::DrainRequest> TurnStore::load_drain_requests() {
    const auto rows = with_port_errors([&] {
        return connection_.execute(
            // Without a deadline the worker's own limit decides: a day is longer than any.
            "SELECT w.session, coalesce(w.drain_deadline_ms, 86400000) FROM tasker_workers w"
            " WHERE w.drain_requested_at IS NOT NULL AND w.state IN ('greeted', 'ready', 'suspect')");
    });
    std::vector<ports::DrainRequest> requests;
    for (const auto& row : rows) {
        requests.push_back({row[0].as<std::string>(), row[1].as<std::int64_t>()});
    }
    return requests;
}

void TurnStore::record_rejected(const std::vector<ports::RejectedMessage>& messages) {
    ArrayText topics, codes, reasons, sessions, raws;
    for (const auto& message : messages) {
        // Topic and session come from the outside and may be any bytes; what is not plain text is left out.
        const auto plain = [](const std::string& text) {
            for (const char c : text) {
                if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e)
                    return std::string();
            }
            return text.substr(0, 64);
        };
        topics.add_text_or_null(plain(message.topic));
        codes.add_text(message.code);
        reasons.add_text(plain(message.reason).empty() ? message.code : message.reason);
        sessions.add_text_or_null(plain(message.session));
        static constexpr char kHex[] = "0123456789abcdef";
        std::string hex = "\\x";
        for (const char c : message.raw) {
            hex += kHex[static_cast<unsigned char>(c) >> 4];
            hex += kHex[static_cast<unsigned char>(c) & 15];
        }
        raws.add_text(hex);
    }
    with_port_errors([&] {
        connection_.query(
            "INSERT INTO tasker_rejected_messages (topic, code, reason, session, raw) "
            "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[])",
            topics.take(), codes.take(), reasons.take(), sessions.take(), raws.take());
    });
}

std::string TurnStore::installation_uuid() {
    return with_port_errors([&] {
        return connection_.execute("SELECT installation_uuid FROM tasker_installation")
            .at(0)[0]
            .as<std::string>();
    });
}

}  // namespace tasker::store
