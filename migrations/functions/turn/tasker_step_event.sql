-- The event by which a report, or its missing, takes a step in progress to this state.
-- Reads no table; inlined, raises nothing. Called by tasker_turn_reports and tasker_turn_orphans.
CREATE OR REPLACE FUNCTION tasker_step_event(p_to_state text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_to_state WHEN 'complete' THEN 'complete' WHEN 'error' THEN 'fail' ELSE 'await_retry' END
$$;
