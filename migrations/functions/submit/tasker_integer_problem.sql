-- Why this member of a request is no whole number from p_min to p_max: a sentence, null when it is one. As in JSON
-- Schema, 1.0 is one: whoever uses it reads it as numeric first.
-- Reads no table; inlined, raises nothing. Called by the checks of this folder.
CREATE OR REPLACE FUNCTION tasker_integer_problem(p_value jsonb, p_min bigint, p_max bigint) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN jsonb_typeof(p_value) IS DISTINCT FROM 'number'
                THEN 'must be a whole number, not ' || coalesce(jsonb_typeof(p_value), 'missing')
                WHEN abs(p_value::numeric) >= 1e19 OR p_value::numeric <> trunc(p_value::numeric)
                     OR p_value::numeric NOT BETWEEN p_min AND p_max
                THEN 'must be a whole number from ' || p_min::text || ' to ' || p_max::text END
$$;
