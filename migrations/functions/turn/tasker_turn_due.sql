-- The section `due` of a turn: retries that have become due, and steps of tasks whose not_before has passed, join the
-- ready index. Up to 1000 of a lane's shards; tasker_next_claims counts the same.
-- Locks: the steps it writes, skipping those somebody holds. Returns how many. Raises nothing.
-- Called by tasker_turn.
CREATE OR REPLACE FUNCTION tasker_turn_due(p_now timestamptz, p_lane smallint, p_lanes smallint) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE v_count int;
BEGIN
    WITH due AS (
        SELECT s.workflow_step_id FROM tasker_workflow_steps s
        WHERE s.next_attempt_at <= p_now AND s.ready_key IS NULL AND s.remaining_parents = 0
          AND s.state IN ('pending', 'waiting_for_retry') AND s.shard % p_lanes = p_lane
        ORDER BY s.next_attempt_at, s.workflow_step_id LIMIT 1000 FOR UPDATE SKIP LOCKED)
    UPDATE tasker_workflow_steps s SET ready_key = s.handler_key FROM due
    WHERE s.workflow_step_id = due.workflow_step_id;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;
