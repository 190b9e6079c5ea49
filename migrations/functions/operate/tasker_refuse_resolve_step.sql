-- Why an operator cannot resolve this step. A repeated operation is no fault.
-- Reads only; the caller holds the task. Returns one tasker_operation, null when nothing stands in the way. Raises
-- nothing. Called by tasker_resolve_step.
CREATE OR REPLACE FUNCTION tasker_refuse_resolve_step(p_task tasker_tasks, p_step tasker_workflow_steps, p_results jsonb,
    p_expected_attempts int) RETURNS tasker_operation
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_what text := format('step %s (%s) of task %s', p_step.workflow_step_id, p_step.name, p_task.task_id);
BEGIN
    IF p_step.attempts <> p_expected_attempts THEN
        RETURN tasker_operation_result('refused', 'attempt_moved_on',
            format('%s is at attempt %s (%s), not at attempt %s', v_what, p_step.attempts, p_step.state,
                   p_expected_attempts), p_task.task_id, p_step.workflow_step_id);
    ELSIF p_step.state = 'resolved_manually' AND (p_results IS NULL OR p_results IS NOT DISTINCT FROM p_step.results) THEN
        RETURN tasker_operation_result('unchanged', 'already_resolved', format('%s was resolved already', v_what),
            p_task.task_id, p_step.workflow_step_id);
    ELSIF p_step.state = 'resolved_manually' THEN
        RETURN tasker_operation_result('refused', 'already_resolved',
            format('%s was resolved already, with other results; they may have been used and stay', v_what),
            p_task.task_id, p_step.workflow_step_id);
    ELSIF p_task.state = 'cancelled' THEN
        RETURN tasker_operation_result('refused', 'task_cancelled',
            format('%s cannot be resolved: the task is cancelled and stays so', v_what), p_task.task_id, p_step.workflow_step_id);
    ELSIF p_step.state <> 'error' OR p_task.state NOT IN ('pending', 'in_progress', 'error') THEN
        RETURN tasker_operation_result('refused', 'wrong_state',
            format('%s is %s in a task that is %s; only a step in error can be resolved', v_what, p_step.state,
                   p_task.state), p_task.task_id, p_step.workflow_step_id);
    END IF;
    RETURN NULL;
END $$;
