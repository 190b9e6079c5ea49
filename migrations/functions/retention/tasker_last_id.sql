-- The highest id of an axis that was ever drawn.
-- Reads only, raises nothing. Called by the functions of this folder.
CREATE OR REPLACE FUNCTION tasker_last_id(p_axis text) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
    IF p_axis = 'task_id' THEN
        RETURN greatest((SELECT s.last_value - (NOT s.is_called)::int FROM tasker_tasks_task_id_seq s),
                        (SELECT max(t.task_id) FROM tasker_tasks t));
    END IF;
    RETURN greatest((SELECT s.last_value - (NOT s.is_called)::int FROM tasker_step_execution_batches_batch_id_seq s),
                    (SELECT max(b.batch_id) FROM tasker_step_execution_batches b));
END $$;
