-- The ids of a range that must stay, at most p_limit. Tasks: those that have not ended, or not before p_before; that
-- have an open dead letter; or a delivery that is still out or not reconciled. Batches: those that are open, not
-- reconciled, changed since p_before, or that delivered a step which still exists.
-- Reads only, raises nothing. Called by retention and tasker_drop_range.
CREATE OR REPLACE FUNCTION tasker_staying_ids(p_axis text, p_low bigint, p_high bigint, p_before timestamptz, p_limit int,
    OUT total bigint, OUT staying bigint[])
LANGUAGE plpgsql AS $$
DECLARE v_first bigint; v_last bigint;
BEGIN
    IF p_axis = 'task_id' THEN
        SELECT count(*) INTO total FROM tasker_tasks t WHERE t.task_id >= p_low AND t.task_id < p_high;
        staying := ARRAY(SELECT x.task_id FROM (
            (SELECT t.task_id FROM tasker_tasks t WHERE t.task_id >= p_low AND t.task_id < p_high
             AND (t.state IN ('pending', 'in_progress') OR coalesce(t.completed_at, t.updated_at) >= p_before)
             LIMIT p_limit)
            UNION
            SELECT d.task_id FROM tasker_dead_letters d
            WHERE d.resolved_at IS NULL AND d.task_id >= p_low AND d.task_id < p_high
            UNION
            SELECT s.task_id FROM tasker_step_execution_batches b
            JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = b.batch_id
            JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
            WHERE (b.reconciliation_status = 'pending' OR tasker_is_open_batch(b.state))
              AND s.task_id >= p_low AND s.task_id < p_high) x ORDER BY x.task_id LIMIT p_limit);
        RETURN;
    END IF;
    SELECT count(*) INTO total FROM tasker_step_execution_batches b WHERE b.batch_id >= p_low AND b.batch_id < p_high;
    SELECT min(bs.workflow_step_id), max(bs.workflow_step_id) INTO v_first, v_last
        FROM tasker_step_execution_batch_steps bs WHERE bs.batch_id >= p_low AND bs.batch_id < p_high;
    staying := ARRAY(SELECT x.batch_id FROM (
        (SELECT b.batch_id FROM tasker_step_execution_batches b WHERE b.batch_id >= p_low AND b.batch_id < p_high
         AND (b.reconciliation_status = 'pending' OR tasker_is_open_batch(b.state)
              OR b.updated_at >= p_before) LIMIT p_limit)
        UNION
        (SELECT DISTINCT bs.batch_id FROM tasker_step_execution_batch_steps bs
         JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
         WHERE bs.batch_id >= p_low AND bs.batch_id < p_high
           AND s.workflow_step_id BETWEEN v_first AND v_last LIMIT p_limit)) x
        ORDER BY x.batch_id LIMIT p_limit);
END $$;
