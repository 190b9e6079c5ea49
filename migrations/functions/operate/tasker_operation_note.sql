-- The metadata by which a transition remembers the operator; null when there is neither reason nor actor.
-- Reads no table. Raises nothing. Called by the functions of this folder.
CREATE OR REPLACE FUNCTION tasker_operation_note(p_reason text, p_actor text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT nullif(jsonb_strip_nulls(jsonb_build_object('reason', nullif(p_reason, ''), 'actor', nullif(p_actor, ''))),
                  '{}')
$$;
