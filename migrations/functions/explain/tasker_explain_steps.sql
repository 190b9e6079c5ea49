-- Explains the open steps of a task, from what tasker_explain_task has gathered about it.
-- Reads only, by index, raises nothing. Returns one row per step that is not complete or resolved, by id.
-- Called by tasker_explain_task, whose comment explains the columns.
CREATE OR REPLACE FUNCTION tasker_explain_steps(p_task_id bigint, p_now timestamptz, p_graph tasker_explain_graph,
    p_ended bigint[], p_deliveries tasker_explain_delivery[], p_keys tasker_explain_key[],
    p_places tasker_explain_place[]) RETURNS SETOF tasker_explanation
LANGUAGE plpgsql STABLE
SET jit = off SET enable_seqscan = off SET enable_nestloop = off SET enable_bitmapscan = off AS $$
DECLARE
    v_roots bigint[] := p_graph.roots; v_failed boolean[] := p_graph.failed;
BEGIN
    RETURN QUERY
    WITH steps AS (
        SELECT s.*, tasker_is_claimable(s.state, s.remaining_parents, s.ready_key, s.next_attempt_at, p_now) AS claimable,
               (s.workflow_step_id - p_graph.low)::int + 1 AS at,
               CASE WHEN s.unstarted_attempts > 0 AND s.state = 'pending' AND s.next_attempt_at IS NOT NULL THEN
                   (SELECT h.metadata FROM tasker_workflow_step_transitions h
                    WHERE h.workflow_step_id = s.workflow_step_id AND h.sort_key = s.transition_count) END AS hand_back
        FROM tasker_workflow_steps s
        WHERE s.task_id = p_task_id AND s.state NOT IN ('complete', 'resolved_manually')
        OFFSET 0
    ), parents AS MATERIALIZED (
        SELECT e.to_step_id, array_agg(e.from_step_id ORDER BY e.from_step_id) AS ids
        FROM unnest(p_graph.to_ids, p_graph.from_ids) e(to_step_id, from_step_id) GROUP BY e.to_step_id
    ), dead_letters AS MATERIALIZED (
        SELECT DISTINCT ON (d.workflow_step_id) d.workflow_step_id, d.dead_letter_id, d.reason
        FROM unnest(p_ended) f(id) CROSS JOIN LATERAL (
            SELECT x.workflow_step_id, x.dead_letter_id, x.reason FROM tasker_dead_letters x
            WHERE x.workflow_step_id = f.id AND x.resolved_at IS NULL OFFSET 0) d
        ORDER BY d.workflow_step_id, d.dead_letter_id DESC
    ), judged AS (
        SELECT s.*, d.batch_uuid, d.session, d.worker_id, d.worker_state, d.worker_seen_at, d.published_at, d.started_at,
               d.times_out_at, p.ahead, l.dead_letter_id, l.reason AS dead_letter_reason, w.ids AS waits_for,
               tasker_explain_cause(s.state, s.remaining_parents, s.claim_first, s.claimable, s.next_attempt_at,
                   s.hand_back ->> 'reason', v_failed[s.at], d, p, k) AS cause,
               CASE WHEN s.state IN ('error', 'waiting_for_retry') THEN s.error ->> 'message' END AS message
        FROM steps s
        LEFT JOIN unnest(p_deliveries) d ON d.step_id = s.workflow_step_id
        LEFT JOIN unnest(p_places) p ON p.step_id = s.workflow_step_id
        LEFT JOIN unnest(p_keys) k ON s.claimable AND k.handler_key = s.handler_key
        LEFT JOIN parents w ON w.to_step_id = s.workflow_step_id
        LEFT JOIN dead_letters l ON l.workflow_step_id = s.workflow_step_id
        OFFSET 0  -- the cause is worked out once, not wherever it is named
    )
    SELECT j.workflow_step_id, j.name::text, j.state::text, j.cause,
           CASE WHEN j.cause IN ('failed', 'cancelled') THEN j.processed_at
                WHEN j.cause = 'running' THEN j.started_at
                WHEN j.state = 'in_progress' THEN coalesce(j.published_at, j.last_attempted_at)
                WHEN j.cause = 'backoff' THEN
                    j.next_attempt_at - make_interval(secs => coalesce(j.backoff_request_seconds, 0))
                WHEN j.cause = 'not_before' THEN j.created_at
                WHEN j.cause IN ('snoozed', 'handed_back') THEN j.last_attempted_at
                ELSE greatest(j.created_at, j.next_attempt_at, j.last_attempted_at) END,
           tasker_explain_next_event(j.cause, j.state),
           CASE WHEN j.cause = 'running' THEN
                    coalesce(j.times_out_at, j.started_at + make_interval(secs => j.timeout_ms / 1000.0))
                WHEN j.cause = 'plain_worker' THEN j.times_out_at
                WHEN j.cause IN ('backoff', 'snoozed', 'handed_back', 'not_before') THEN j.next_attempt_at END,
           CASE WHEN j.remaining_parents > 0 AND j.state = 'pending' THEN v_roots[j.at] END,
           j.waits_for, CASE WHEN j.claimable THEN j.ahead END, j.attempts - j.unstarted_attempts,
           CASE WHEN j.retryable THEN j.retry_limit ELSE 1 END, j.handler_class::text, j.worker_id, j.session,
           CASE WHEN j.state = 'in_progress' THEN
                    jsonb_build_object('batch_uuid', j.batch_uuid, 'worker_state', j.worker_state, 'worker_silent_seconds',
                        round(extract(epoch FROM p_now - j.worker_seen_at), 3), 'on_orphan', j.on_orphan)
                WHEN j.state = 'error' THEN jsonb_build_object('message', j.message, 'dead_letter_id',
                    j.dead_letter_id, 'dead_letter_reason', j.dead_letter_reason)
                WHEN j.cause = 'snoozed' THEN jsonb_build_object('until', j.next_attempt_at, 'snoozes', j.snoozes,
                    'max_snoozes', tasker_max_snoozes(p_task_id, j.name), 'message', j.hand_back ->> 'message')
                WHEN j.cause = 'handed_back' THEN jsonb_build_object(
                    'handed_back', j.unstarted_attempts - j.snoozes, 'reason', j.hand_back ->> 'reason')
                WHEN j.message IS NOT NULL THEN jsonb_build_object('message', j.message) END
    FROM judged j ORDER BY j.workflow_step_id;
END $$;
