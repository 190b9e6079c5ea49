-- Why this member of a request is no list of tags: at most 100, each of 1 to 128 characters.
-- Reads no table. Returns a sentence, null when it is one. Raises nothing. Called by tasker_request_problem.
CREATE OR REPLACE FUNCTION tasker_tags_problem(p_value jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF jsonb_typeof(p_value) <> 'array' THEN
        RETURN 'must be a list of text, not ' || jsonb_typeof(p_value);
    ELSIF jsonb_array_length(p_value) > 100 THEN
        RETURN format('%s tags, at most 100 are allowed', jsonb_array_length(p_value));
    ELSIF NOT jsonb_path_exists(p_value, 'strict $[*] ? (@.type() != "string" || @ == "")')
            AND octet_length(p_value::text) <= 128 THEN
        RETURN NULL;  -- most lists
    END IF;
    RETURN (SELECT 'a tag ' || tasker_text_problem(e.tag, 1, 128) FROM jsonb_array_elements(p_value) e(tag)
            WHERE tasker_text_problem(e.tag, 1, 128) IS NOT NULL LIMIT 1);
END $$;
