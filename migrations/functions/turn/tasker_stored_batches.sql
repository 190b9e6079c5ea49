-- Batches as a lane reads them back, one row per step: what it needs to understand what is reported about them, to
-- reconcile them, and to send them again (with the texts of tasker_step_request).
-- Called by the orchestrator when a lane connects, and for a batch that it does not remember.
CREATE OR REPLACE VIEW tasker_stored_batches AS
SELECT b.batch_id, b.batch_uuid, coalesce(b.session, '') AS session, b.handler_key, b.state, b.reconciliation_status,
       b.final_completion_received,
       (SELECT r.raw_message_json::text FROM tasker_step_execution_batch_received_results r
        WHERE r.batch_id = b.batch_id AND r.message_type = 'batch_completion' AND r.disposition = 'noted'
        ORDER BY r.id DESC LIMIT 1) AS completion,
       bs.id AS batch_step_id, bs.workflow_step_id, s.task_id, bs.attempt, s.name, t.named_task_id, t.template_revision,
       least(s.timeout_ms, 2147483647000) AS timeout_ms, s.retry_limit, s.claim_first,
       tasker_tries_left(s.retryable, s.retry_limit, bs.attempt, s.unstarted_attempts) AS tries_left,
       coalesce(bs.final_status = 'handed_back' AND bs.metadata ->> 'reason' = 'snoozed', false) AS snoozed,
       coalesce(bs.final_status, '') AS final_status,
       bs.sequence_order,
       bs.started_at IS NOT NULL AS started, bs.granted_at IS NOT NULL AS granted,
       coalesce((extract(epoch FROM clock_timestamp() - bs.started_at) * 1000)::bigint, 0) AS started_ms_ago,
       coalesce(first.status, '') AS reported, coalesce(first.raw_message_json::text, '') AS report,
       -- Refused reports (of another attempt) stand in the ledger beside this step, too: only duplicates can conflict.
       EXISTS (SELECT FROM tasker_step_execution_batch_received_results r
               WHERE r.batch_id = b.batch_id AND r.batch_step_id = bs.id AND r.disposition = 'duplicate'
                 AND (r.status <> first.status
                      OR (r.raw_message_json->'output')::text IS DISTINCT FROM (first.raw_message_json->'output')::text
                      OR (r.raw_message_json->'error')::text IS DISTINCT FROM (first.raw_message_json->'error')::text))
           AS conflicting,
       to_char(b.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS claimed_at
FROM tasker_step_execution_batches b
JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = b.batch_id
JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
JOIN tasker_tasks t ON t.task_id = s.task_id
-- The report that set reported_at: the two were written by one turn, at one time. (One of another attempt may stand
-- beside it as stale.)
LEFT JOIN LATERAL (
    SELECT r.status, r.raw_message_json
    FROM tasker_step_execution_batch_received_results r
    WHERE bs.reported_at IS NOT NULL AND r.batch_id = b.batch_id AND r.batch_step_id = bs.id
      AND r.message_type = 'partial_result' AND r.processed_at = bs.reported_at
      AND r.disposition IN ('applied', 'late', 'stale_attempt')
    ORDER BY r.disposition = 'stale_attempt', r.id LIMIT 1) first ON true;
