-- A step that a turn may claim: it waits in the ready index, or its time has come and the next turn puts it there.
-- Reads no table, is inlined where it is used, raises nothing. The claim reads the first half from the index on
-- ready_key, the second half when due. Called by tasker_explain_task and tasker_explain_steps.
CREATE OR REPLACE FUNCTION tasker_is_claimable(p_state text, p_remaining_parents int, p_ready_key int, p_next_attempt_at timestamptz,
    p_now timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT p_ready_key IS NOT NULL
        OR (p_state IN ('pending', 'waiting_for_retry') AND p_remaining_parents = 0 AND p_next_attempt_at <= p_now)
$$;
