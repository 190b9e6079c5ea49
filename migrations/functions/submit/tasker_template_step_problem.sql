-- What is wrong with one step of a template that is to be registered, the p_position-th of its list.
-- That `results_from` are ancestors is the caller's to check: it takes the whole graph.
-- Reads no table. Returns {field, sentence}, null when nothing is wrong. Raises nothing.
-- Called by tasker_template_problem.
CREATE OR REPLACE FUNCTION tasker_template_step_problem(p_step jsonb, p_position int) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_problem text; v_parents jsonb := p_step -> 'parents';
    v_results_from jsonb := coalesce(p_step -> 'results_from', '[]');
BEGIN
    IF jsonb_typeof(p_step) <> 'object' THEN
        RETURN ARRAY['', 'must be a JSON object, not ' || jsonb_typeof(p_step)];
    END IF;
    v_problem := coalesce(tasker_text_problem(p_step -> 'name', 1, 128),
                          tasker_name_problem(p_step ->> 'name', '_.-', 128));
    IF v_problem IS NOT NULL THEN
        RETURN ARRAY['name', v_problem];
    END IF;
    v_problem := coalesce(tasker_text_problem(p_step -> 'handler_class', 1, 255),
                          tasker_name_problem(p_step ->> 'handler_class', '_.:/-', 255));
    IF v_problem IS NOT NULL THEN
        RETURN ARRAY['handler_class', v_problem];
    END IF;
    v_problem := coalesce(tasker_text_problem(p_step -> 'dependent_system', 1, 128),
                          tasker_name_problem(p_step ->> 'dependent_system', '_.-', 128));
    IF v_problem IS NOT NULL THEN
        RETURN ARRAY['dependent_system', v_problem];
    ELSIF p_step -> 'position' IS DISTINCT FROM to_jsonb(p_position) THEN
        RETURN ARRAY['position', format('must be %s: steps are listed in the order of their positions', p_position)];
    ELSIF p_step -> 'description' <> 'null' AND tasker_description_problem(p_step -> 'description') IS NOT NULL THEN
        RETURN ARRAY['description', tasker_description_problem(p_step -> 'description')];
    ELSIF jsonb_typeof(p_step -> 'retryable') IS DISTINCT FROM 'boolean' THEN
        RETURN ARRAY['retryable', 'must be true or false'];
    ELSIF jsonb_typeof(p_step -> 'claim_first') IS DISTINCT FROM 'boolean' THEN
        RETURN ARRAY['claim_first', 'must be true or false'];
    ELSIF tasker_integer_problem(p_step -> 'retry_limit', 1, 1000) IS NOT NULL THEN
        RETURN ARRAY['retry_limit', tasker_integer_problem(p_step -> 'retry_limit', 1, 1000)];
    ELSIF tasker_integer_problem(p_step -> 'timeout_ms', 1, 86400000) IS NOT NULL THEN
        RETURN ARRAY['timeout_ms', tasker_integer_problem(p_step -> 'timeout_ms', 1, 86400000)];
    ELSIF p_step ->> 'on_orphan' NOT IN ('retry', 'dead_letter') OR p_step ->> 'on_orphan' IS NULL THEN
        RETURN ARRAY['on_orphan', 'must be retry or dead_letter'];
    ELSIF jsonb_typeof(v_parents) IS DISTINCT FROM 'array' THEN
        RETURN ARRAY['parents', 'must be a list of positions'];
    ELSIF jsonb_typeof(v_results_from) <> 'array' THEN
        RETURN ARRAY['results_from', 'must be a list of positions'];
    ELSIF v_parents = '[]' AND v_results_from = '[]' THEN
        RETURN NULL;
    END IF;
    SELECT tasker_integer_problem(p.parent, 1, p_position - 1) INTO v_problem FROM jsonb_array_elements(v_parents) p(parent)
        WHERE tasker_integer_problem(p.parent, 1, p_position - 1) IS NOT NULL LIMIT 1;
    IF FOUND THEN
        RETURN ARRAY['parents', CASE WHEN p_position = 1 THEN 'the first step has no step before it'
                                     ELSE 'each ' || v_problem || ', a step before this one' END];
    ELSIF (SELECT count(DISTINCT p.parent::numeric) FROM jsonb_array_elements(v_parents) p(parent))
            < jsonb_array_length(v_parents) THEN
        RETURN ARRAY['parents', 'lists a step twice'];
    END IF;
    SELECT tasker_integer_problem(r.position, 1, p_position - 1) INTO v_problem
        FROM jsonb_array_elements(v_results_from) r(position)
        WHERE tasker_integer_problem(r.position, 1, p_position - 1) IS NOT NULL LIMIT 1;
    IF FOUND THEN
        RETURN ARRAY['results_from', CASE WHEN p_position = 1 THEN 'the first step has no step before it'
                                          ELSE 'each ' || v_problem || ', a step before this one' END];
    END IF;
    RETURN NULL;
END $$;
