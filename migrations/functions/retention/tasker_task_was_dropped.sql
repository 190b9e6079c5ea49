-- Whether retention has taken this task away: the answer to a reference that leads nowhere.
-- Reads only, raises nothing. Called by `tasker db check`.
CREATE OR REPLACE FUNCTION tasker_task_was_dropped(p_task_id bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM tasker_dropped_ranges d
                   WHERE d.axis = 'task_id' AND p_task_id >= d.low AND p_task_id < d.high
                     AND NOT p_task_id = ANY (d.kept_ids))
$$;
