-- What is wrong with the settings of a template's stored configuration, beside its steps. What is absent has its default;
-- what is there must be what a file may say, and must not contradict the row that it belongs to.
-- Reads no table. Returns "field: sentence", null when nothing is wrong. Raises nothing.
-- Called by tasker_template_problem, which has checked that it is an object.
CREATE OR REPLACE FUNCTION tasker_template_settings_problem(p_namespace text, p_name text, p_version text,
    p_configuration jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE v_schema jsonb := p_configuration -> 'schema';
BEGIN
    RETURN (
        SELECT 'configuration.' || f.field || ': ' || f.problem
        FROM (VALUES
            (1, 'namespace_name', CASE WHEN p_configuration -> 'namespace_name' <> to_jsonb(p_namespace)
                                       THEN 'must be ' || p_namespace || ', as the template is registered' END),
            (2, 'name', CASE WHEN p_configuration -> 'name' <> to_jsonb(p_name)
                             THEN 'must be ' || p_name || ', as the template is registered' END),
            (3, 'version', CASE WHEN p_configuration -> 'version' <> to_jsonb(p_version)
                                THEN 'must be ' || p_version || ', as the template is registered' END),
            (4, 'description', CASE WHEN p_configuration ? 'description'
                                    THEN tasker_description_problem(p_configuration -> 'description') END),
            (5, 'task_handler_class', CASE WHEN p_configuration ? 'task_handler_class'
                                           THEN tasker_text_problem(p_configuration -> 'task_handler_class', 0, 255) END),
            (6, 'default_dependent_system', CASE WHEN p_configuration ? 'default_dependent_system' THEN coalesce(
                tasker_text_problem(p_configuration -> 'default_dependent_system', 1, 128),
                tasker_name_problem(p_configuration ->> 'default_dependent_system', '_.-', 128)) END),
            (7, 'identity', CASE WHEN p_configuration ? 'identity' AND (p_configuration -> 'identity'
                                      IN ('"always_unique"', '"strict"', '"caller_provided"')) IS NOT TRUE
                                 THEN 'must be always_unique, strict or caller_provided' END),
            (8, 'priority', CASE WHEN p_configuration ? 'priority'
                                 THEN tasker_integer_problem(p_configuration -> 'priority', -1000, 1000) END),
            (9, 'schema', CASE WHEN jsonb_typeof(v_schema) NOT IN ('object', 'null')
                               THEN 'must be a JSON Schema (an object), not ' || jsonb_typeof(v_schema)
                               WHEN jsonb_typeof(v_schema) = 'object'
                               THEN tasker_configured_json_problem(v_schema, 47, 1024 * 1024) END))
            AS f(place, field, problem)
        WHERE f.problem IS NOT NULL ORDER BY f.place LIMIT 1);
END $$;
