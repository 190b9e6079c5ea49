-- Whether a batch in this state may still move: its worker owes reports. is_terminal(BatchState) in
-- orchestrator/core/states.hpp is its opposite; a test compares them. The predicate of the index
-- tasker_step_execution_batches_open is the same list.
-- Reads no table; inlined, so that the index is found. Raises nothing.
-- Called by views, counts, explain, retention, `tasker db check` and the orchestrator's recovery.
CREATE OR REPLACE FUNCTION tasker_is_open_batch(p_state text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT p_state IN ('created', 'published', 'executing')
$$;
