-- What is wrong with the stored configuration of one step. The orchestrator reads handler_config, retry_backoff and
-- max_snoozes for each batch: one that cannot be read would stop the lane that claims the step. All else is read by
-- whoever submits. What is absent has its default; what is there must be what a file may say.
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
    ELSIF tasker_configured_json_problem(v_config, 45, 256 * 1024) IS NOT NULL THEN
        RETURN ARRAY['handler_config', tasker_configured_json_problem(v_config, 45, 256 * 1024)];
    ELSIF tasker_integer_problem(coalesce(p_step -> 'max_snoozes', '0'), 0, 1000000) IS NOT NULL THEN
        RETURN ARRAY['max_snoozes', tasker_integer_problem(p_step -> 'max_snoozes', 0, 1000000)];
    ELSIF jsonb_typeof(v_backoff) <> 'object' THEN
        RETURN ARRAY['retry_backoff', 'must be a JSON object, not ' || jsonb_typeof(v_backoff)];
    END IF;
    SELECT e.key, CASE e.key
            WHEN 'handler_class' THEN coalesce(tasker_text_problem(e.value, 1, 255),
                                               tasker_name_problem(e.value #>> '{}', '_.:/-', 255))
            WHEN 'dependent_system' THEN coalesce(tasker_text_problem(e.value, 1, 128),
                                                  tasker_name_problem(e.value #>> '{}', '_.-', 128))
            WHEN 'description' THEN tasker_description_problem(e.value)
            WHEN 'depends_on_steps' THEN CASE WHEN jsonb_typeof(e.value) <> 'array'
                OR jsonb_path_exists(e.value, 'strict $[*] ? (@.type() != "string")') THEN 'must be a list of names' END
            WHEN 'default_retryable' THEN CASE WHEN jsonb_typeof(e.value) <> 'boolean' THEN 'must be true or false' END
            WHEN 'claim_first' THEN CASE WHEN jsonb_typeof(e.value) <> 'boolean' THEN 'must be true or false' END
            WHEN 'on_orphan' THEN CASE WHEN (e.value IN ('"retry"', '"dead_letter"')) IS NOT TRUE
                                       THEN 'must be retry or dead_letter' END
            WHEN 'default_retry_limit' THEN tasker_integer_problem(e.value, 1, 1000) END
        INTO v_field, v_problem
    FROM jsonb_each(p_step) e
    WHERE e.key IN ('handler_class', 'dependent_system', 'description', 'depends_on_steps', 'default_retryable',
                    'claim_first', 'on_orphan', 'default_retry_limit')
    ORDER BY 2 NULLS LAST LIMIT 1;
    IF v_problem IS NOT NULL THEN
        RETURN ARRAY[v_field, v_problem];
    ELSIF v_backoff = '{}' AND NOT p_step ?| '{max_retry_after_seconds,timeout_seconds}' THEN
        RETURN NULL;
    END IF;
    SELECT l.field, format('must be a number from %s to %s', l.low, l.high) INTO v_field, v_problem
    FROM (VALUES ('retry_backoff.base_seconds', v_backoff -> 'base_seconds', 0, 86400),
                 ('retry_backoff.multiplier', v_backoff -> 'multiplier', 1, 100),
                 ('retry_backoff.max_seconds', v_backoff -> 'max_seconds', 0, 86400),
                 ('retry_backoff.jitter', v_backoff -> 'jitter', 0, 1),
                 ('max_retry_after_seconds', p_step -> 'max_retry_after_seconds', 0, 31536000),
                 ('timeout_seconds', p_step -> 'timeout_seconds', 0.001, 86400))
        AS l(field, value, low, high)
    WHERE l.value IS NOT NULL
      AND CASE WHEN jsonb_typeof(l.value) = 'number' THEN l.value::numeric NOT BETWEEN l.low AND l.high ELSE true END
    LIMIT 1;
    RETURN CASE WHEN v_field IS NOT NULL THEN ARRAY[v_field, v_problem] END;
END $$;
