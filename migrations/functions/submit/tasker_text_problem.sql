-- Why this member of a request is no text of p_min to p_max characters: a sentence, null when it is one.
-- Reads no table; inlined, raises nothing. Called by the checks of this folder.
CREATE OR REPLACE FUNCTION tasker_text_problem(p_value jsonb, p_min int, p_max int) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN jsonb_typeof(p_value) IS DISTINCT FROM 'string'
                THEN 'must be text, not ' || coalesce(jsonb_typeof(p_value), 'missing')
                WHEN length(p_value #>> '{}') NOT BETWEEN p_min AND p_max
                THEN 'has ' || length(p_value #>> '{}')::text || ' characters, allowed are ' || p_min::text || ' to '
                     || p_max::text END
$$;
