-- Where the claimable steps of a task stand in the queues of their handler keys; those of which nothing is known,
-- because they are far behind, are left out. Only steps of the same lane stand in a step's way.
-- Reads only, by index, raises nothing. Called by tasker_explain_task.
CREATE OR REPLACE FUNCTION tasker_explain_places(p_step_ids bigint[], p_keys int[], p_epoch bigint, p_lane int,
    p_lanes int, p_any_free boolean, p_now timestamptz) RETURNS SETOF tasker_explain_place
LANGUAGE sql STABLE SET jit = off SET enable_seqscan = off SET enable_nestloop = off AS $$
    WITH queue AS MATERIALIZED (
        SELECT q.workflow_step_id, row_number() OVER (PARTITION BY k.key ORDER BY q.priority DESC, q.workflow_step_id) - 1
               AS ahead
        FROM unnest(p_keys) k(key) CROSS JOIN LATERAL (
            SELECT s.workflow_step_id, s.priority FROM tasker_workflow_steps s
            WHERE s.ready_key = k.key AND s.shard % p_lanes = p_lane
            ORDER BY -s.priority::int, s.workflow_step_id
            LIMIT greatest(100, 2000 / cardinality(p_keys))) q
    ), next AS MATERIALIZED (
        SELECT c.workflow_step_id, c.cause FROM tasker_next_claims(p_epoch, p_lane, p_lanes, p_now) c WHERE p_any_free
    ), known AS MATERIALIZED (
        SELECT coalesce(q.workflow_step_id, n.workflow_step_id) AS id, q.ahead, n.cause
        FROM queue q FULL JOIN next n ON n.workflow_step_id = q.workflow_step_id)
    SELECT k.id, k.ahead::int, k.cause
    FROM known k JOIN unnest(p_step_ids) m(id) ON m.id = k.id
$$;
