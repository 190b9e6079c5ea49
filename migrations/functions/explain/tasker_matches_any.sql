-- Whether a JSON array of patterns covers a name. A pattern is a whole name or, with a final *, the beginning of one;
-- as matches_pattern() in orchestrator/core/sessions/spec.cpp. "!name": not this one, though a wildcard covers it (the
-- session has refused it).
-- Reads no table, raises nothing. Called by the functions of this folder.
CREATE OR REPLACE FUNCTION tasker_matches_any(p_patterns jsonb, p_text text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT p_patterns ? p_text
        OR (EXISTS (SELECT FROM jsonb_array_elements_text(p_patterns) p(pattern)
                    WHERE right(p.pattern, 1) = '*' AND starts_with(p_text, left(p.pattern, -1)))
            AND NOT p_patterns ? ('!' || p_text))
$$;
