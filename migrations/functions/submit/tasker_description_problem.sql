-- Why this member is no description: it must be text of at most 2000 bytes. A sentence, null when it is one.
-- Reads no table; inlined, raises nothing. Called by the checks of this folder.
CREATE OR REPLACE FUNCTION tasker_description_problem(p_value jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN jsonb_typeof(p_value) <> 'string' THEN 'must be text, not ' || jsonb_typeof(p_value)
                WHEN octet_length(p_value #>> '{}') > 2000 THEN 'has more than 2000 bytes' END
$$;
