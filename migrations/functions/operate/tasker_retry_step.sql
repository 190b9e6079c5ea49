-- error → pending: another go, with as many attempts as the template gives. `p_expected_attempts` refuses when the
-- step has moved on since the caller looked. Closes its dead letter as replayed.
-- Locks: the task, then its steps by ascending id. Batches and deliveries are never touched: what is still out at a
-- worker is ended by the orchestrator. Works also while no orchestrator runs.
-- Returns one tasker_operation. Raises 40001 when the step changed meanwhile.
-- Called by the command line, HTTP, other languages and tasker_replay_dead_letter.
CREATE OR REPLACE FUNCTION tasker_retry_step(p_step_id bigint, p_expected_attempts int DEFAULT NULL, p_reason text DEFAULT NULL,
    p_actor text DEFAULT NULL) RETURNS tasker_operation
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_task tasker_tasks; v_step tasker_workflow_steps; v_dead_letter bigint; v_what text;
BEGIN
    SELECT t.* INTO v_task FROM tasker_tasks t
        WHERE t.task_id = (SELECT s.task_id FROM tasker_workflow_steps s WHERE s.workflow_step_id = p_step_id) FOR UPDATE;
    SELECT * INTO v_step FROM tasker_workflow_steps s WHERE s.workflow_step_id = p_step_id;
    IF v_task.task_id IS NULL OR v_step.workflow_step_id IS NULL THEN
        RETURN tasker_operation_result('not_found', 'unknown_step', format('there is no step %s', p_step_id), NULL);
    END IF;
    v_what := format('step %s (%s) of task %s', p_step_id, v_step.name, v_task.task_id);
    IF v_step.attempts <> p_expected_attempts THEN
        RETURN tasker_operation_result('refused', 'attempt_moved_on',
            format('%s is at attempt %s (%s), not at attempt %s', v_what, v_step.attempts, v_step.state,
                   p_expected_attempts), v_task.task_id, p_step_id);
    ELSIF v_task.state = 'cancelled' THEN
        RETURN tasker_operation_result('refused', 'task_cancelled',
            format('%s cannot be retried: the task is cancelled and stays so', v_what), v_task.task_id, p_step_id);
    ELSIF v_step.state = 'pending' AND EXISTS (
            SELECT 1 FROM tasker_workflow_step_transitions h WHERE h.workflow_step_id = p_step_id
            AND h.sort_key = v_step.transition_count AND h.event = 'retry') THEN
        RETURN tasker_operation_result('unchanged', 'already_retried',
            format('%s was retried already and waits for a worker', v_what), v_task.task_id, p_step_id);
    ELSIF v_step.state <> 'error' OR v_task.state NOT IN ('pending', 'in_progress', 'error') THEN
        RETURN tasker_operation_result('refused', 'wrong_state',
            format('%s is %s in a task that is %s; only a step in error can be retried', v_what, v_step.state,
                   v_task.state), v_task.task_id, p_step_id);
    END IF;
    v_dead_letter := tasker_retry_failed_steps(v_task.task_id, ARRAY[p_step_id], p_reason, p_actor);
    SELECT * INTO v_step FROM tasker_workflow_steps s WHERE s.workflow_step_id = p_step_id;
    RETURN tasker_operation_result('done', NULL,
        format('%s is ready again and may take %s%s', v_what,
               CASE WHEN NOT v_step.retryable OR v_step.retry_limit - v_step.attempts + v_step.unstarted_attempts = 1
                    THEN 'one more attempt'
                    ELSE format('%s more attempts', v_step.retry_limit - v_step.attempts + v_step.unstarted_attempts) END,
               CASE WHEN EXISTS (SELECT 1 FROM tasker_dead_letters d WHERE d.workflow_step_id = p_step_id
                                 AND d.attempt = v_step.attempts AND d.late_result IS NOT NULL)
                    THEN ', although its last attempt did succeed, too late' ELSE '' END),
        v_task.task_id, p_step_id, v_dead_letter, ARRAY[p_step_id], ARRAY[p_step_id]);
END $$;
