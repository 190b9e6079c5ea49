// What one turn of the product writes for chained steps that succeed (tasker_turn), as plain SQL. Reads,
// locks and decisions are left out: this is the floor below which no orchestrator with these tables can get.
#pragma once

namespace tasker::bench {

struct Statement {
    const char* name;
    const char* sql;
};

// now() is the same in all statements of a turn, as v_now is in tasker_turn. Each update names the ids' lower
// bound and the column its table is cut by, so that partitions it cannot meet are left out.
inline constexpr Statement kStatements[] = {
    {"guard",
     "UPDATE tasker_orchestrators SET turn = $1::bigint, last_seen_at = now()"
     " WHERE lane = $2::smallint AND epoch = $3::bigint"},

    // Reports: the step, its delivery, the ledger.
    {"complete_steps",
     "UPDATE tasker_workflow_steps s SET state = 'complete', transition_count = s.transition_count + 1,"
     " ready_key = NULL, processed_at = now(), results = r.output::jsonb, error = NULL,"
     " backoff_request_seconds = NULL, next_attempt_at = NULL"
     " FROM unnest($1::bigint[], $2::bigint[], $3::text[]) r(step_id, task_id, output)"
     " WHERE s.workflow_step_id = r.step_id AND s.task_id = r.task_id AND s.task_id >= $4::bigint"
     " AND s.attempts = 1 AND s.state = 'in_progress'"},
    {"report_deliveries",
     "UPDATE tasker_step_execution_batch_steps bs SET reported_at = now(), updated_at = now(),"
     " final_status = 'completed' FROM unnest($1::bigint[], $2::bigint[]) r(batch_id, step_id)"
     " WHERE bs.batch_id = r.batch_id AND bs.workflow_step_id = r.step_id AND bs.batch_id >= $3::bigint"},
    {"ledger",
     "INSERT INTO tasker_step_execution_batch_received_results (batch_id, batch_step_id, message_type, "
     "worker_id,"
     " session, sequence_number, status, execution_time_ms, disposition, raw_message_json, processed_at)"
     " SELECT r.batch_id, r.delivery_id, r.type, 'bench', $1, r.sequence, r.status, 0, r.disposition, "
     "r.raw::json,"
     " now() FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::text[], "
     "$8::text[])"
     " r(batch_id, delivery_id, type, sequence, status, disposition, raw)"},

    // A parent's end and the claim of its child are one update.
    {"claim_steps",
     "UPDATE tasker_workflow_steps s SET remaining_parents = s.remaining_parents - c.parents, ready_key = "
     "NULL,"
     " state = 'in_progress', attempts = s.attempts + 1, transition_count = s.transition_count + 1,"
     " last_attempted_at = now(), next_attempt_at = NULL"
     " FROM unnest($1::bigint[], $2::bigint[], $3::int[]) c(step_id, task_id, parents)"
     " WHERE s.workflow_step_id = c.step_id AND s.task_id = c.task_id AND s.task_id >= $4::bigint"
     " AND s.state = 'pending'"},
    {"step_history",
     "INSERT INTO tasker_workflow_step_transitions"
     " (workflow_step_id, task_id, sort_key, from_state, to_state, event, created_at)"
     " SELECT t.step_id, t.task_id, t.sort_key, t.from_state, t.to_state, t.event, now()"
     " FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::text[], $5::text[], $6::text[])"
     " t(step_id, task_id, sort_key, from_state, to_state, event)"},

    // Counters and verdicts.
    {"tasks",
     "UPDATE tasker_tasks t SET state = x.state, open_steps = x.open, movable_steps = x.movable,"
     " transition_count = x.transitions, updated_at = now(),"
     " completed_at = CASE WHEN x.state = 'complete' THEN now() END"
     " FROM unnest($1::bigint[], $2::text[], $3::int[], $4::int[], $5::int[])"
     " x(task_id, state, open, movable, transitions) WHERE t.task_id = x.task_id AND t.task_id >= "
     "$6::bigint"},
    {"task_history",
     "INSERT INTO tasker_task_transitions (task_id, sort_key, from_state, to_state, event, created_at)"
     " SELECT t.task_id, t.sort_key, t.from_state, t.to_state, t.event, now()"
     " FROM unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::text[])"
     " t(task_id, sort_key, from_state, to_state, event)"},

    // New batches.
    {"batches",
     "INSERT INTO tasker_step_execution_batches (batch_id, task_id, handler_class, handler_key, batch_uuid,"
     " initiated_by, batch_size, timeout_seconds, state, session, epoch, turn, transition_count, created_at,"
     " updated_at)"
     " SELECT b.batch_id, b.task_id, $1, $2::int, b.uuid, $3, b.size, 30, 'published', $4, $5::bigint, "
     "$6::bigint,"
     " 2, now(), now() FROM unnest($7::bigint[], $8::bigint[], $9::text[], $10::int[])"
     " b(batch_id, task_id, uuid, size)"},
    {"deliveries",
     "INSERT INTO tasker_step_execution_batch_steps (id, batch_id, workflow_step_id, sequence_order, attempt,"
     " expected_handler_class)"
     " SELECT d.id, d.batch_id, d.step_id, d.place, 1, $1"
     " FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::int[]) d(id, batch_id, step_id, place)"},
    {"batch_starts",
     "INSERT INTO tasker_step_execution_batch_transitions"
     " (batch_id, from_state, to_state, event_name, sort_key, most_recent, created_at)"
     " SELECT b.batch_id, x.from_state, x.to_state, x.event, x.sort_key, x.most_recent, now()"
     " FROM unnest($1::bigint[]) b(batch_id) CROSS JOIN (VALUES (NULL, 'created', 'claim', 1, false),"
     " ('created', 'published', 'publish', 2, true)) AS x(from_state, to_state, event, sort_key, "
     "most_recent)"},

    // Batches that have ended: flags are cleared before new rows come.
    {"batch_ends",
     "UPDATE tasker_step_execution_batches b SET state = 'completed', transition_count = b.transition_count "
     "+ 2,"
     " partial_results_received = b.partial_results_received + x.partials, final_completion_received = true,"
     " reconciliation_status = 'consistent', metadata = b.metadata || '{\"discrepancies\":[]}'::jsonb,"
     " updated_at = now() FROM unnest($1::bigint[], $2::int[]) x(batch_id, partials)"
     " WHERE b.batch_id = x.batch_id AND b.batch_id >= $3::bigint AND b.state = 'published'"},
    {"clear_flags",
     "UPDATE tasker_step_execution_batch_transitions t SET most_recent = false, updated_at = now()"
     " FROM unnest($1::bigint[]) x(batch_id) WHERE t.batch_id = x.batch_id AND t.batch_id >= $2::bigint"
     " AND t.most_recent"},
    {"batch_end_history",
     "INSERT INTO tasker_step_execution_batch_transitions"
     " (batch_id, from_state, to_state, event_name, sort_key, most_recent, created_at)"
     " SELECT b.batch_id, x.from_state, x.to_state, x.event, x.sort_key, x.most_recent, now()"
     " FROM unnest($1::bigint[]) b(batch_id) CROSS JOIN (VALUES ('published', 'executing', 'start', 3, "
     "false),"
     " ('executing', 'completed', 'finish', 4, true)) AS x(from_state, to_state, event, sort_key, "
     "most_recent)"},
};

}  // namespace tasker::bench
