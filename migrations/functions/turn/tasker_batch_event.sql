-- The event by which a published batch reaches this state.
-- Reads no table; inlined, raises nothing. Called by tasker_turn_moved_batches.
CREATE OR REPLACE FUNCTION tasker_batch_event(p_to_state text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_to_state WHEN 'executing' THEN 'start' WHEN 'timed_out' THEN 'time_out' WHEN 'cancelled' THEN 'cancel'
                           ELSE 'finish' END
$$;
