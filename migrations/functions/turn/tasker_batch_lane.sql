-- The lane that has made a batch: it stands in the batch's uuid, as core/lanes.hpp reads it.
-- Reads no table; inlined. Raises nothing. Called by the orchestrator for what a lane reads back.
CREATE OR REPLACE FUNCTION tasker_batch_lane(p_batch_uuid text) RETURNS int
LANGUAGE sql IMMUTABLE AS $$
    SELECT greatest(strpos('0123456789abcdef', substr(p_batch_uuid, 21, 1)) - 1, 0)
$$;
