-- The section `tasks` of a turn: the counters of the tasks and the verdicts on them, in the same transaction as the
-- last result.
-- Locks: nothing of its own; the turn holds the tasks. p_notify: NOTIFY tasker_done of ended tasks with this
-- transaction.
-- Returns a row of kind `task` for each task whose state changed, null when there is none. Raises nothing. Called by
-- tasker_turn.
CREATE OR REPLACE FUNCTION tasker_turn_tasks(p_now timestamptz, p_low_task bigint, p_final tasker_turn_verdict[],
    p_claim tasker_turn_assignment[], p_child tasker_turn_candidate[], p_moved tasker_turn_move[], p_notify boolean)
RETURNS tasker_turn_row[]
LANGUAGE plpgsql AS $$
DECLARE v_rows tasker_turn_row[];
BEGIN
    WITH changed AS MATERIALIZED (
        SELECT t.task_id, t.state::text AS old_state, t.transition_count + 1 AS sort_key,
               t.open_steps - d.completed AS open_steps, t.movable_steps + d.movable AS movable_steps,
               tasker_task_verdict(t.state, t.open_steps - d.completed, t.movable_steps + d.movable, d.claimed,
                   EXISTS (SELECT 1 FROM tasker_workflow_steps s WHERE s.task_id = t.task_id
                           AND s.task_id >= p_low_task AND s.state = 'error')) AS new_state
        FROM (SELECT x.task_id, sum(x.completed)::int AS completed, sum(x.movable)::int AS movable,
                     bool_or(x.claimed) AS claimed
              FROM (SELECT f.task_id, (f.new_state = 'complete')::int AS completed,
                           -(f.new_state IN ('complete', 'error'))::int AS movable, false AS claimed
                    FROM unnest(p_final) f WHERE f.disposition = 'applied'
                    UNION ALL
                    SELECT a.task_id, 0, (a.parents_done > 0)::int, a.old_state = 'pending' AND a.attempt = 1
                    FROM unnest(p_claim) a WHERE a.attempt = 1 OR a.parents_done > 0
                    UNION ALL
                    SELECT c.task_id, 0, 1, false FROM unnest(p_child) c WHERE c.is_ready
                    UNION ALL
                    SELECT m.task_id, 0, -1, false FROM unnest(p_moved) m WHERE m.new_state = 'error') x
              GROUP BY x.task_id) d
        JOIN tasker_tasks t ON t.task_id = d.task_id AND t.task_id >= p_low_task
        WHERE d.completed <> 0 OR d.movable <> 0 OR (d.claimed AND t.state = 'pending')
    ), written AS (
        UPDATE tasker_tasks t SET
            state = c.new_state, open_steps = c.open_steps, movable_steps = c.movable_steps,
            transition_count = t.transition_count + CASE WHEN c.new_state <> c.old_state THEN 1 ELSE 0 END,
            updated_at = p_now,
            completed_at = CASE WHEN c.new_state NOT IN ('pending', 'in_progress')
                                THEN coalesce(t.completed_at, p_now) END
        FROM changed c WHERE t.task_id = c.task_id AND t.task_id >= p_low_task
    ), history AS (
        INSERT INTO tasker_task_transitions (task_id, sort_key, from_state, to_state, event, created_at)
            SELECT c.task_id, c.sort_key, c.old_state, c.new_state, tasker_task_event(c.new_state), p_now
            FROM changed c WHERE c.new_state <> c.old_state
    )
    SELECT array_agg(ROW('task', NULL, c.new_state,
               CASE WHEN p_notify AND c.new_state IN ('complete', 'error', 'cancelled')
                    THEN pg_notify(tasker_channel('tasker_done'), c.task_id::text)::text END,
               c.task_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
               NULL, NULL)::tasker_turn_row)
        INTO v_rows
    FROM changed c WHERE c.new_state <> c.old_state;
    RETURN v_rows;
END $$;
