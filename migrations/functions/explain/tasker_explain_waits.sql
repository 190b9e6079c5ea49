-- The root of each wait in a task. Steps have ascending ids in topological order, and those of a task lie close
-- together, so one pass over the edges between them suffices: a step inherits the root of an unfinished parent, first
-- of one that has failed or waits for a failed one.
-- p_low … p_high: the open steps. p_first … p_last: those of them that have unfinished parents (null: none).
-- p_ended: those in error or cancelled.
-- Reads only, by index, raises nothing. Called by tasker_explain_task.
CREATE OR REPLACE FUNCTION tasker_explain_waits(p_task_id bigint, p_low bigint, p_high bigint, p_first bigint,
    p_last bigint, p_ended bigint[]) RETURNS tasker_explain_graph
LANGUAGE plpgsql STABLE
SET jit = off SET enable_seqscan = off SET enable_nestloop = off SET enable_bitmapscan = off AS $$
DECLARE
    c_listed_max CONSTANT int := 1000;  -- parents that are named, whole steps at a time
    v_roots bigint[]; v_failed boolean[]; v_from_ids bigint[] := '{}'; v_to_ids bigint[] := '{}';
    v_id bigint; v_parents bigint[]; v_parent bigint; v_root bigint; v_at int;
    v_listed int := 0; v_last_listed bigint := 0;
BEGIN
    IF p_first IS NULL THEN
        RETURN ROW(p_low, NULL, NULL, NULL, NULL)::tasker_explain_graph;
    END IF;
    v_roots := array_fill(0::bigint, ARRAY[(p_high - p_low + 1)::int]);
    v_failed := array_fill(false, ARRAY[(p_high - p_low + 1)::int]);
    FOR v_id IN SELECT s.workflow_step_id FROM tasker_workflow_steps s
                WHERE s.task_id = p_task_id AND s.state NOT IN ('complete', 'resolved_manually') LOOP
        v_roots[v_id - p_low + 1] := v_id;
    END LOOP;
    FOREACH v_id IN ARRAY p_ended LOOP
        v_failed[v_id - p_low + 1] := true;
    END LOOP;
    FOR v_id, v_parents IN
        SELECT e.to_step_id, array_agg(e.from_step_id)
        FROM (SELECT x.to_step_id, x.from_step_id FROM tasker_workflow_step_edges x
              WHERE x.to_step_id BETWEEN p_first AND p_last AND x.from_step_id BETWEEN p_low AND p_high
              ORDER BY x.to_step_id, x.from_step_id) e
        GROUP BY e.to_step_id ORDER BY e.to_step_id
    LOOP
        v_at := v_id - p_low + 1;
        CONTINUE WHEN v_roots[v_at] = 0 OR v_failed[v_at];
        v_root := 0;
        FOREACH v_parent IN ARRAY v_parents LOOP
            CONTINUE WHEN v_roots[v_parent - p_low + 1] = 0;
            IF v_root = 0 THEN
                v_root := v_roots[v_parent - p_low + 1];
                -- One unfinished parent is enough, unless a failed one may follow or the list is wanted.
                EXIT WHEN v_listed >= c_listed_max AND p_ended = '{}';
            END IF;
            IF v_failed[v_parent - p_low + 1] AND NOT v_failed[v_at] THEN
                v_failed[v_at] := true;
                v_root := v_roots[v_parent - p_low + 1];
            END IF;
            IF v_listed < c_listed_max OR v_id = v_last_listed THEN
                v_from_ids := v_from_ids || v_parent;
                v_to_ids := v_to_ids || v_id;
                v_last_listed := v_id;
                v_listed := v_listed + 1;
            END IF;
        END LOOP;
        IF v_root <> 0 THEN
            v_roots[v_at] := v_root;
        END IF;
    END LOOP;
    RETURN ROW(p_low, v_roots, v_failed, v_from_ids, v_to_ids)::tasker_explain_graph;
END $$;
