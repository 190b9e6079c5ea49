-- error → pending for these steps of one task, each with exactly as many further attempts as its template allows in
-- all, whatever is left of those before; one that is not retryable gets one. Its snoozes count anew.
-- Locks: the steps by ascending id; the caller holds the task. Returns the last dead letter closed, or null.
-- Raises 40001 when a step is not in error any more, P0002 when the template is gone.
-- Called by tasker_retry_step and tasker_retry_task.
CREATE OR REPLACE FUNCTION tasker_retry_failed_steps(p_task_id bigint, p_step_ids bigint[], p_reason text, p_actor text)
RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_note jsonb := tasker_operation_note(p_reason, p_actor);
    v_now timestamptz;
    v_count int; v_dead_letter bigint; v_template bigint;
BEGIN
    PERFORM 1 FROM tasker_workflow_steps s WHERE s.workflow_step_id = ANY (p_step_ids)
        ORDER BY s.workflow_step_id FOR UPDATE;
    v_now := clock_timestamp();  -- after the locks: whoever held them has written a history before ours
    SELECT tt.task_template_id INTO STRICT v_template FROM tasker_tasks t
        JOIN tasker_task_templates tt ON tt.named_task_id = t.named_task_id AND tt.revision = t.template_revision
        WHERE t.task_id = p_task_id;
    -- The limit is looked up step by step: joined, it would be compared with all steps of the template while the
    -- tables have never been analysed.
    WITH moved AS (
        UPDATE tasker_workflow_steps s SET
            state = 'pending', ready_key = s.handler_key,
            retry_limit = s.attempts - s.unstarted_attempts
                + CASE WHEN s.retryable THEN (SELECT d.retry_limit FROM tasker_task_template_steps d
                                              WHERE d.task_template_id = v_template AND d.name = s.name) ELSE 1 END,
            transition_count = s.transition_count + 1, processed_at = NULL, next_attempt_at = NULL,
            backoff_request_seconds = NULL, snoozes = 0
        WHERE s.task_id = p_task_id AND s.workflow_step_id = ANY (p_step_ids) AND s.state = 'error'
        RETURNING s.workflow_step_id, s.transition_count
    )
    INSERT INTO tasker_workflow_step_transitions
        (workflow_step_id, task_id, sort_key, from_state, to_state, event, metadata, created_at)
        SELECT m.workflow_step_id, p_task_id, m.transition_count, 'error', 'pending', 'retry', v_note, v_now
        FROM moved m;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF v_count <> cardinality(p_step_ids) THEN
        RAISE EXCEPTION 'retried % of % steps of task %', v_count, cardinality(p_step_ids), p_task_id
            USING ERRCODE = '40001';
    END IF;
    v_dead_letter := tasker_close_dead_letters(p_step_ids, 'replayed', p_reason, p_actor);
    PERFORM tasker_settle_task(p_task_id, 0, v_count, 'reopen', v_note);
    PERFORM tasker_wake_for_steps(p_step_ids);
    RETURN v_dead_letter;
END $$;
