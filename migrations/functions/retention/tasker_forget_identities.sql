-- Deletes up to p_limit identities of tasks that are about to be dropped: the same request makes a new task from now
-- on.
-- Locks: the rows it deletes, skipping those somebody holds. Returns how many. Raises nothing. Called by retention.
CREATE OR REPLACE FUNCTION tasker_forget_identities(p_low bigint, p_high bigint, p_staying bigint[], p_limit int) RETURNS bigint
LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM tasker_task_identities i WHERE i.ctid = ANY (ARRAY(
            SELECT x.ctid FROM tasker_task_identities x
            WHERE x.task_id >= p_low AND x.task_id < p_high AND NOT x.task_id = ANY (p_staying)
            LIMIT p_limit FOR UPDATE SKIP LOCKED)) RETURNING 1)
    SELECT count(*) FROM gone
$$;
