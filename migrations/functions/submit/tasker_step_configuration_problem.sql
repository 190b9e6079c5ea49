-- What is wrong with the stored configuration of one step, as far as the orchestrator reads it for each batch:
-- handler_config, retry_backoff and two limits. One that cannot be read would stop the lane that claims the step.
-- Reads no table. Returns {field, sentence}, null when nothing is wrong. Raises nothing.
-- Called by tasker_template_problem.
CREATE OR REPLACE FUNCTION tasker_step_configuration_problem(p_step jsonb) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_config jsonb := p_step -> 'handler_config';
    v_backoff jsonb := coalesce(p_step -> 'retry_backoff', '{}');
    v_field text; v_problem text;
BEGIN
    IF jsonb_typeof(p_step) <> 'object' THEN
        RETURN ARRAY['', 'must be a JSON object, not ' || jsonb_typeof(p_step)];
    ELSIF jsonb_typeof(v_config) <> 'object' THEN
        RETURN ARRAY['handler_config', 'must be a JSON object, not ' || jsonb_typeof(v_config)];
    ELSIF tasker_json_problem(v_config) IS NOT NULL THEN
        RETURN ARRAY['handler_config', tasker_json_problem(v_config)];
    ELSIF octet_length(v_config::text) > 2 * 256 * 1024 THEN  -- C++ counts without the blanks between members
        RETURN ARRAY['handler_config', 'has more than 262144 bytes'];
    ELSIF tasker_integer_problem(coalesce(p_step -> 'max_snoozes', '0'), 0, 1000000) IS NOT NULL THEN
        RETURN ARRAY['max_snoozes', tasker_integer_problem(p_step -> 'max_snoozes', 0, 1000000)];
    ELSIF jsonb_typeof(v_backoff) <> 'object' THEN
        RETURN ARRAY['retry_backoff', 'must be a JSON object, not ' || jsonb_typeof(v_backoff)];
    ELSIF v_backoff = '{}' AND p_step -> 'max_retry_after_seconds' IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT l.field, format('must be a number from %s to %s', l.low, l.high) INTO v_field, v_problem
    FROM (VALUES ('retry_backoff.base_seconds', v_backoff -> 'base_seconds', 0, 86400),
                 ('retry_backoff.multiplier', v_backoff -> 'multiplier', 1, 100),
                 ('retry_backoff.max_seconds', v_backoff -> 'max_seconds', 0, 86400),
                 ('retry_backoff.jitter', v_backoff -> 'jitter', 0, 1),
                 ('max_retry_after_seconds', p_step -> 'max_retry_after_seconds', 0, 31536000))
        AS l(field, value, low, high)
    WHERE l.value IS NOT NULL
      AND CASE WHEN jsonb_typeof(l.value) = 'number' THEN l.value::numeric NOT BETWEEN l.low AND l.high ELSE true END
    LIMIT 1;
    RETURN CASE WHEN v_field IS NOT NULL THEN ARRAY[v_field, v_problem] END;
END $$;
