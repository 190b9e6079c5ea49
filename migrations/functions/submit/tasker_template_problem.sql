-- What is wrong with a template that is to be registered: the first fault found, as "field: sentence"; null when there is
-- none. The same limits as templates/load.cpp has. Steps stand in topological order, so a parent stands before its
-- child and no circle can be written down.
-- Reads no table. Raises nothing. Called by tasker_register_template.
CREATE OR REPLACE FUNCTION tasker_template_problem(p_namespace text, p_name text, p_version text, p_description text,
    p_configuration jsonb, p_digest text, p_steps jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_problem text;
    v_steps jsonb := p_configuration -> 'step_templates';
BEGIN
    SELECT f.field || ': ' || f.problem INTO v_problem
    FROM (VALUES (1, 'namespace', tasker_name_problem(p_namespace, '_.-', 128)),
                 (2, 'name', tasker_name_problem(p_name, '_.-', 128)),
                 (3, 'version', tasker_name_problem(p_version, '._+-', 64)),
                 (4, 'description', tasker_description_problem(to_jsonb(p_description))),
                 (5, 'digest', CASE WHEN p_digest !~ '^[0-9a-f]{64}$' OR p_digest IS NULL
                                    THEN 'must be 64 hexadecimal digits' END),
                 (6, 'configuration', CASE WHEN jsonb_typeof(p_configuration) IS DISTINCT FROM 'object'
                                           THEN 'must be a JSON object'
                                           WHEN jsonb_typeof(v_steps) IS DISTINCT FROM 'array'
                                           THEN 'has no list step_templates' END),
                 (7, 'steps', CASE WHEN jsonb_typeof(p_steps) IS DISTINCT FROM 'array' THEN 'must be a JSON list'
                                   WHEN jsonb_array_length(p_steps) NOT BETWEEN 1 AND 10000
                                   THEN jsonb_array_length(p_steps) || ' steps, allowed are 1 to 10000' END))
        AS f(place, field, problem)
    WHERE f.problem IS NOT NULL ORDER BY f.place LIMIT 1;
    IF v_problem IS NOT NULL THEN
        RETURN v_problem;
    END IF;
    v_problem := tasker_template_settings_problem(p_namespace, p_name, p_version, p_configuration);
    IF v_problem IS NOT NULL THEN
        RETURN v_problem;
    END IF;
    SELECT format('steps[%s].%s: %s', e.ord - 1, p.problem[1], p.problem[2]) INTO v_problem
    FROM jsonb_array_elements(p_steps) WITH ORDINALITY e(step, ord)
    CROSS JOIN LATERAL (SELECT tasker_template_step_problem(e.step, e.ord::int) AS problem OFFSET 0) p
    WHERE p.problem IS NOT NULL ORDER BY e.ord LIMIT 1;
    IF v_problem IS NULL THEN
        SELECT format('configuration.step_templates[%s].%s: %s', e.ord - 1, p.problem[1], p.problem[2]) INTO v_problem
        FROM jsonb_array_elements(v_steps) WITH ORDINALITY e(step, ord)
        CROSS JOIN LATERAL (SELECT tasker_step_configuration_problem(e.step) AS problem OFFSET 0) p
        WHERE p.problem IS NOT NULL ORDER BY e.ord LIMIT 1;
    END IF;
    RETURN coalesce(v_problem, tasker_template_shape_problem(p_steps, v_steps));
END $$;
