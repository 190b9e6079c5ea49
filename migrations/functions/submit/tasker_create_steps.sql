-- Writes the steps of new tasks from their unrolled templates, with their edges and the first transition of everything.
-- p_step_ids: the ids of all their steps, in the order of requests and positions, so that a parent's id is found by its
-- place. (Found by joining the new steps with themselves, the edges of 10 000 steps took a minute.)
-- Locks: nothing that existed before. Returns the handler keys of the first steps, separated by commas; null when there
-- are none. Raises what the constraints of the running tables raise. Called by tasker_create_tasks.
CREATE OR REPLACE FUNCTION tasker_create_steps(p_new tasker_new_task[], p_step_ids bigint[]) RETURNS text
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE v_keys text;
BEGIN
    WITH ids AS MATERIALIZED (
        SELECT n.task_id, n.priority, n.held_until, n.base, t.namespace_id, t.shard, t.context_bytes, s.*,
               p_step_ids[n.base + s.position] AS step_id
        FROM unnest(p_new) n
        CROSS JOIN LATERAL (SELECT t.namespace_id, t.shard, octet_length(t.context::text) AS context_bytes
                            FROM tasker_tasks t WHERE t.task_id = n.task_id OFFSET 0) t
        JOIN tasker_task_template_steps s ON s.task_template_id = n.task_template_id
        WHERE NOT n.existing AND n.problem IS NULL
        ORDER BY n.ord, s.position
    ), steps AS (
        INSERT INTO tasker_workflow_steps (workflow_step_id, task_id, namespace_id, named_step_id, handler_key,
                ready_key, priority, shard, retry_limit, remaining_parents, input_bytes, timeout_ms, retryable, claim_first,
                on_orphan, name, handler_class, next_attempt_at, result_step_ids)
            SELECT i.step_id, i.task_id, i.namespace_id, i.named_step_id, i.handler_key,
                   CASE WHEN i.parent_positions = '{}' AND i.held_until IS NULL THEN i.handler_key END,
                   i.priority, i.shard, i.retry_limit, cardinality(i.parent_positions), i.context_bytes,
                   i.timeout_ms, i.retryable, i.claim_first, i.on_orphan, i.name, i.handler_class,
                   CASE WHEN i.parent_positions = '{}' THEN i.held_until END,
                   CASE WHEN i.result_positions <> '{}' THEN ARRAY(SELECT p_step_ids[i.base + rp.position]
                                                                   FROM unnest(i.result_positions) rp(position)) END
            FROM ids i
    ), edges AS (
        INSERT INTO tasker_workflow_step_edges (from_step_id, to_step_id, task_id)
            SELECT p_step_ids[c.base + pp.position], c.step_id, c.task_id
            FROM ids c CROSS JOIN LATERAL unnest(c.parent_positions) pp(position)
    ), step_history AS (
        INSERT INTO tasker_workflow_step_transitions (workflow_step_id, task_id, sort_key, to_state, event)
            SELECT i.step_id, i.task_id, 1, 'pending', 'create' FROM ids i
    ), task_history AS (
        INSERT INTO tasker_task_transitions (task_id, sort_key, to_state, event)
            SELECT n.task_id, 1, 'pending', 'create' FROM unnest(p_new) n WHERE NOT n.existing AND n.problem IS NULL
    )
    SELECT string_agg(DISTINCT i.handler_key::text, ',') INTO v_keys FROM ids i WHERE i.parent_positions = '{}';
    RETURN v_keys;
END $$;
