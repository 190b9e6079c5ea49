-- The section `new_batches` of a turn: forms batches of what is claimed, at most p_batch_size steps of one handler for
-- one session, and writes them with their deliveries, the steps' history and their first two transitions. A step that
-- is `sent_alone` gets one of its own (except for the plain worker, who never has two). Of a request with more than
-- p_request_bytes of text nothing is built.
-- Locks: nothing that existed before. Returns a row of kind `claim` per step, batch by batch, in sequence. Raises
-- nothing. Called by tasker_turn.
CREATE OR REPLACE FUNCTION tasker_turn_new_batches(p_now timestamptz, p_low_task bigint, p_lane smallint, p_epoch bigint,
    p_turn bigint, p_instance text, p_batch_size int, p_request_bytes bigint, p_claim tasker_turn_assignment[],
    c_sessions text[]) RETURNS SETOF tasker_turn_row
LANGUAGE plpgsql AS $$
DECLARE v_claimed_at text := to_char(p_now AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
BEGIN
    RETURN QUERY
    WITH placed AS MATERIALIZED (
        SELECT a.*, nextval('tasker_step_execution_batch_steps_id_seq') AS batch_step_id,
               dense_rank() OVER (ORDER BY a.session_no, a.handler_key, a.is_alone, a.n / a.size) AS batch_no,
               (a.n % a.size + 1)::int AS sequence_order
        FROM (SELECT a.*, CASE WHEN a.is_alone THEN 1 ELSE p_batch_size END AS size,
                     row_number() OVER (PARTITION BY a.session_no, a.handler_key, a.is_alone ORDER BY a.place) - 1 AS n
              FROM (SELECT a.*, a.sent_alone AND c_sessions[a.session_no] <> '' AS is_alone FROM unnest(p_claim) a) a) a
    ), formed AS MATERIALIZED (
        SELECT p.batch_no, nextval('tasker_step_execution_batches_batch_id_seq') AS batch_id,
               CASE WHEN min(p.task_id) = max(p.task_id) THEN min(p.task_id) END AS task_id,
               min(p.handler_key) AS handler_key, min(p.session_no) AS session_no, count(*)::int AS batch_size,
               greatest(1, least(max(p.timeout_ms) / 1000, 2147483647)::int) AS timeout_seconds
        FROM placed p GROUP BY p.batch_no
    ), named AS MATERIALIZED (
        -- Time-ordered uuids (version 7 layout: 48 bits of milliseconds, epoch, lane, then the batch's own id).
        SELECT f.*, k.handler_class, substr(h.ms, 1, 8) || '-' || substr(h.ms, 9, 4) || '-7' || h.epoch || '-8'
                   || substr(h.id, 1, 3) || '-' || substr(h.id, 4, 12) AS batch_uuid
        FROM formed f
        JOIN tasker_handler_keys k ON k.handler_key = f.handler_key
        CROSS JOIN LATERAL (SELECT lpad(to_hex((extract(epoch FROM p_now) * 1000)::bigint), 12, '0') AS ms,
                                   lpad(to_hex(p_epoch % 4096), 3, '0') AS epoch,
                                   to_hex(p_lane % 16) || lpad(to_hex(f.batch_id), 14, '0') AS id) h
    ), batches AS (
        INSERT INTO tasker_step_execution_batches (batch_id, task_id, handler_class, handler_key, batch_uuid,
                initiated_by, batch_size, timeout_seconds, state, session, epoch, turn, transition_count, created_at,
                updated_at)
            SELECT n.batch_id, n.task_id, n.handler_class, n.handler_key, n.batch_uuid, p_instance, n.batch_size,
                   n.timeout_seconds, 'published', nullif(c_sessions[n.session_no], ''), p_epoch, p_turn, 2, p_now, p_now
            FROM named n
    ), deliveries AS (
        INSERT INTO tasker_step_execution_batch_steps (id, batch_id, workflow_step_id, sequence_order, attempt,
                expected_handler_class)
            SELECT p.batch_step_id, n.batch_id, p.step_id, p.sequence_order, p.attempt, n.handler_class
            FROM placed p JOIN named n ON n.batch_no = p.batch_no
    ), batch_history AS (
        INSERT INTO tasker_step_execution_batch_transitions
                (batch_id, from_state, to_state, event_name, sort_key, most_recent, created_at)
            SELECT n.batch_id, x.from_state, x.to_state, x.event, x.sort_key, x.most_recent, p_now
            FROM named n
            CROSS JOIN (VALUES (NULL, 'created', 'claim', 1, false), ('created', 'published', 'publish', 2, true))
                AS x(from_state, to_state, event, sort_key, most_recent)
    ), step_history AS (
        INSERT INTO tasker_workflow_step_transitions
                (workflow_step_id, task_id, sort_key, from_state, to_state, event, created_at)
            SELECT p.step_id, p.task_id, p.sort_key, p.old_state, 'in_progress', 'claim', p_now FROM placed p
    )
    SELECT 'claim', CASE WHEN p.parents_done = 0 THEN p.priority::int END,
           CASE WHEN p.input_bytes > p_request_bytes THEN 'request_too_large' END, s.name::text, p.task_id, p.step_id,
           p.attempt, s.retry_limit, tasker_tries_left(s.retryable, s.retry_limit, p.attempt, s.unstarted_attempts),
           least(p.timeout_ms, 2147483647000), p.handler_key, s.claim_first, n.batch_id,
           n.batch_uuid, p.batch_step_id, p.sequence_order, p.session_no, t.named_task_id, t.template_revision,
           v_claimed_at, CASE WHEN p.input_bytes <= p_request_bytes THEN t.context::text END,
           CASE WHEN p.input_bytes <= p_request_bytes THEN (SELECT json_object_agg(parent.name, parent.results)
            FROM tasker_workflow_steps parent
            WHERE parent.workflow_step_id = ANY (ARRAY(SELECT e.from_step_id FROM tasker_workflow_step_edges e
                                   WHERE e.to_step_id = p.step_id AND e.task_id >= p_low_task) || s.result_step_ids)
              AND parent.task_id >= p_low_task)::text END
    FROM placed p JOIN named n ON n.batch_no = p.batch_no
    CROSS JOIN LATERAL (SELECT s.* FROM tasker_workflow_steps s
                        WHERE s.workflow_step_id = p.step_id AND s.task_id >= p_low_task LIMIT 1) s
    JOIN tasker_tasks t ON t.task_id = p.task_id AND t.task_id >= p_low_task
    ORDER BY p.batch_no, p.sequence_order;
END $$;
