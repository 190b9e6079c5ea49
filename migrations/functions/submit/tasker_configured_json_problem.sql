-- Why this JSON of a template's configuration (handler_config, schema) is none that a file could hold: it is nested
-- deeper than p_depth, has more than p_bytes without the blanks between members, or holds a number that C++ cannot read
-- exactly: a whole one beyond 64 bits, or another that is not what a double becomes as text.
-- Reads no table. Returns a sentence, null when nothing is wrong. Raises nothing.
-- Called by tasker_step_configuration_problem and tasker_template_settings_problem.
CREATE OR REPLACE FUNCTION tasker_configured_json_problem(p_value jsonb, p_depth int, p_bytes int) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE v_number numeric; v_problem text;
BEGIN
    IF p_value = '{}' THEN
        RETURN NULL;  -- most of them
    END IF;
    v_problem := tasker_json_problem(p_value);
    IF v_problem IS NOT NULL THEN
        RETURN v_problem;
    ELSIF jsonb_path_exists(p_value, format('strict $.**{%s} ? (@.type() == "object" || @.type() == "array")',
                                            p_depth)::jsonpath) THEN
        RETURN format('is nested deeper than %s levels', p_depth);
    ELSIF octet_length(p_value::text) > p_bytes
            AND octet_length(regexp_replace(p_value::text, '("(?:[^"\\]|\\.)*")|([:,]) ', '\1\2', 'g')) > p_bytes THEN
        RETURN format('has more than %s bytes', p_bytes);
    END IF;
    FOR v_number IN SELECT e::numeric FROM jsonb_array_elements(
            jsonb_path_query_array(p_value, 'strict $.** ? (@.type() == "number")')) e LOOP
        IF v_number = trunc(v_number) AND v_number BETWEEN -9223372036854775808 AND 18446744073709551615 THEN
            CONTINUE;
        ELSIF abs(v_number) > 1.7976931348623157e308 OR (v_number <> 0 AND abs(v_number) < 5e-324) THEN
            RETURN 'holds a number beyond what a double can hold';
        ELSIF v_number::float8::text::numeric <> v_number THEN
            RETURN format('holds a number that becomes %s as a double', v_number::float8);
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
