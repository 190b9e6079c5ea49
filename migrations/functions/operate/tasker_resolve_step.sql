-- error → resolved_manually: an operator has done by hand what the step should have done; `p_results` are what its
-- children get, or, with `p_take_late_result`, what the step's last attempt reported too late. Closes its dead
-- letter as resolved.
-- Locks: the task, then its steps by ascending id. Batches and deliveries are never touched: what is still out at a
-- worker is ended by the orchestrator. Works also while no orchestrator runs.
-- Returns one tasker_operation. Raises 40001 when a step changed meanwhile, 22023 for results that no request can carry
-- (tasker_json_problem).
-- Called by the command line, HTTP, other languages and tasker_resolve_dead_letter.
CREATE OR REPLACE FUNCTION tasker_resolve_step(p_step_id bigint, p_results jsonb DEFAULT NULL, p_reason text DEFAULT NULL,
    p_actor text DEFAULT NULL, p_take_late_result boolean DEFAULT false, p_expected_attempts int DEFAULT NULL)
RETURNS tasker_operation
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz; v_problem text := tasker_json_problem(p_results);
    v_note jsonb := tasker_operation_note(p_reason, p_actor);
    v_task tasker_tasks; v_step tasker_workflow_steps; v_results jsonb := p_results; v_what text;
    v_children bigint[]; v_ready bigint[]; v_dead_letter bigint; v_state text; v_count int; v_refused tasker_operation;
BEGIN
    IF v_problem IS NOT NULL THEN
        RAISE EXCEPTION 'results: %', v_problem USING ERRCODE = 'invalid_parameter_value', COLUMN = 'results';
    END IF;
    SELECT t.* INTO v_task FROM tasker_tasks t
        WHERE t.task_id = (SELECT s.task_id FROM tasker_workflow_steps s WHERE s.workflow_step_id = p_step_id) FOR UPDATE;
    SELECT * INTO v_step FROM tasker_workflow_steps s WHERE s.workflow_step_id = p_step_id;
    IF v_task.task_id IS NULL OR v_step.workflow_step_id IS NULL THEN
        RETURN tasker_operation_result('not_found', 'unknown_step', format('there is no step %s', p_step_id), NULL);
    END IF;
    v_what := format('step %s (%s) of task %s', p_step_id, v_step.name, v_task.task_id);
    IF p_take_late_result THEN
        SELECT d.late_result INTO v_results FROM tasker_dead_letters d
            WHERE d.workflow_step_id = p_step_id AND d.attempt = v_step.attempts;
        IF v_results IS NULL THEN
            RETURN tasker_operation_result('refused', 'no_late_result',
                format('%s has no late result: its attempt %s has not reported a success since', v_what,
                       v_step.attempts), v_task.task_id, p_step_id);
        END IF;
    END IF;
    v_refused := tasker_refuse_resolve_step(v_task, v_step, v_results, p_expected_attempts);
    IF v_refused.outcome IS NOT NULL THEN
        RETURN v_refused;
    END IF;

    v_children := ARRAY(SELECT e.to_step_id FROM tasker_workflow_step_edges e WHERE e.from_step_id = p_step_id);
    PERFORM 1 FROM tasker_workflow_steps s WHERE s.workflow_step_id = ANY (v_children || p_step_id)
        ORDER BY s.workflow_step_id FOR UPDATE;
    v_now := clock_timestamp();  -- after the locks: whoever held them has written a history before ours
    UPDATE tasker_workflow_steps s SET state = 'resolved_manually', results = v_results,
        transition_count = s.transition_count + 1, processed_at = v_now
    WHERE s.workflow_step_id = p_step_id AND s.state = 'error' AND s.attempts = v_step.attempts;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% changed while it was resolved', v_what USING ERRCODE = '40001';
    END IF;
    INSERT INTO tasker_workflow_step_transitions
        (workflow_step_id, task_id, sort_key, from_state, to_state, event, metadata, created_at)
        VALUES (p_step_id, v_task.task_id, v_step.transition_count + 1, 'error', 'resolved_manually',
                'resolve_manually', v_note, v_now);
    WITH lost AS (
        UPDATE tasker_workflow_steps s SET remaining_parents = s.remaining_parents - 1,
            input_bytes = least(s.input_bytes::bigint + coalesce(octet_length(v_results::text), 0)
                + CASE WHEN s.result_step_ids IS NOT NULL AND s.remaining_parents = 1
                       THEN (SELECT coalesce(sum(octet_length(a.results::text)), 0) FROM tasker_workflow_steps a
                             WHERE a.workflow_step_id = ANY (s.result_step_ids)) ELSE 0 END, 2147483647),
            ready_key = CASE WHEN s.state = 'pending' AND s.remaining_parents = 1 THEN s.handler_key ELSE s.ready_key END
        WHERE s.workflow_step_id = ANY (v_children)
        RETURNING s.workflow_step_id, s.ready_key)
    SELECT coalesce(array_agg(l.workflow_step_id ORDER BY l.workflow_step_id) FILTER (WHERE l.ready_key IS NOT NULL),
                    '{}'), count(*) INTO v_ready, v_count FROM lost l;
    IF v_count <> cardinality(v_children) THEN
        RAISE EXCEPTION 'resolving % reached % of % children', v_what, v_count, cardinality(v_children)
            USING ERRCODE = '40001';
    END IF;
    v_dead_letter := tasker_close_dead_letters(ARRAY[p_step_id], 'resolved', p_reason, p_actor);
    v_state := tasker_settle_task(v_task.task_id, 1, cardinality(v_ready), 'reopen', v_note);
    PERFORM tasker_wake_for_steps(v_ready);
    RETURN tasker_operation_result('done', NULL, format('%s counts as done; the task is %s', v_what, v_state),
        v_task.task_id, p_step_id, v_dead_letter, ARRAY[p_step_id], v_ready);
END $$;
