-- Why this text is no name of a template: it has other characters than letters, digits and p_signs, or is not 1 to
-- p_max long. A sentence, null when it is one. The same as templates/step_reader.cpp checks.
-- Reads no table; inlined, raises nothing. Called by the checks of this folder.
CREATE OR REPLACE FUNCTION tasker_name_problem(p_name text, p_signs text, p_max int) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_name IS NULL THEN 'is missing'
                WHEN length(p_name) NOT BETWEEN 1 AND p_max
                THEN 'has ' || length(p_name)::text || ' characters, allowed are 1 to ' || p_max::text
                WHEN p_name COLLATE "C" ~ ('[^A-Za-z0-9' || p_signs || ']')
                THEN 'has a character that is no letter, no digit and none of ' || p_signs END
$$;
