-- What is wrong with the steps of a template together: a name twice, too many edges, or other steps than those of the
-- configuration, by whose names handler_config and retry_backoff are found later.
-- Reads no table. Returns "field: sentence", null when nothing is wrong. Raises nothing. Called by
-- tasker_template_problem, which has checked each step.
CREATE OR REPLACE FUNCTION tasker_template_shape_problem(p_steps jsonb, p_configured jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE v_name text; v_edges bigint;
BEGIN
    SELECT e.step ->> 'name' INTO v_name FROM jsonb_array_elements(p_steps) e(step)
        GROUP BY 1 HAVING count(*) > 1 ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        RETURN format('steps: the name %s is used twice', v_name);
    END IF;
    SELECT sum(jsonb_array_length(e.step -> 'parents')) INTO v_edges FROM jsonb_array_elements(p_steps) e(step);
    IF v_edges > 500000 THEN
        RETURN format('steps: %s dependencies, at most 500000 are allowed', v_edges);
    END IF;
    SELECT coalesce(s.name, c.name) INTO v_name
    FROM (SELECT e.step ->> 'name' AS name FROM jsonb_array_elements(p_steps) e(step)) s
    FULL JOIN (SELECT e.step ->> 'name' AS name FROM jsonb_array_elements(p_configured) e(step)) c ON c.name = s.name
    WHERE s.name IS NULL OR c.name IS NULL LIMIT 1;
    IF FOUND THEN
        RETURN format('configuration.step_templates: the step %s is not in both lists of steps', v_name);
    END IF;
    RETURN NULL;
END $$;
