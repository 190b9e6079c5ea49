-- What is wrong with one request of tasker_create_tasks. The same as api/request_fields.cpp checks, except the schema
-- of the template, which only C++ can read. A member that is not known is refused: a misspelt one would be left out
-- without a word.
-- Reads tasks and steps only for a parent. Returns {field, sentence}, null when nothing is wrong. Raises nothing.
-- Called by tasker_request_problems.
CREATE OR REPLACE FUNCTION tasker_request_problem(p_request jsonb) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
DECLARE v_key text; v_value jsonb; v_problem text; v_has text[] := '{}';
BEGIN
    IF jsonb_typeof(p_request) <> 'object' THEN
        RETURN ARRAY['', 'must be a JSON object, not ' || jsonb_typeof(p_request)];
    END IF;
    FOR v_key, v_value IN SELECT * FROM jsonb_each(p_request) LOOP
        IF v_value <> 'null' OR v_key = 'context' THEN
            v_has := v_has || v_key;
        END IF;
        v_problem := CASE v_key
            WHEN 'context' THEN CASE WHEN jsonb_typeof(v_value) = 'object' THEN tasker_json_problem(v_value)
                                     ELSE 'must be a JSON object, not ' || jsonb_typeof(v_value) END
            WHEN 'tags' THEN tasker_tags_problem(v_value)
            WHEN 'priority' THEN tasker_integer_problem(v_value, -1000, 1000)
            WHEN 'namespace' THEN tasker_text_problem(v_value, 1, 128)
            WHEN 'name' THEN tasker_text_problem(v_value, 1, 128)
            WHEN 'version' THEN tasker_text_problem(v_value, 1, 64)
            WHEN 'scope' THEN tasker_text_problem(v_value, 1, 300)
            WHEN 'identity_hash' THEN tasker_text_problem(v_value, 1, 64)
            WHEN 'context_hash' THEN tasker_text_problem(v_value, 0, 64)
            WHEN 'initiator' THEN tasker_text_problem(v_value, 0, 128)
            WHEN 'source_system' THEN tasker_text_problem(v_value, 0, 128)
            WHEN 'reason' THEN tasker_text_problem(v_value, 0, 10000)
            WHEN 'trace_context' THEN tasker_text_problem(v_value, 0, 10000)
            WHEN 'requested_at' THEN tasker_time_problem(v_value)
            WHEN 'not_before' THEN tasker_time_problem(v_value)
            WHEN 'identity_expires_at' THEN tasker_time_problem(v_value)
            WHEN 'task_template_id' THEN tasker_integer_problem(v_value, 1, 9223372036854775807)
            WHEN 'parent_task_id' THEN tasker_integer_problem(v_value, 1, 9223372036854775807)
            WHEN 'parent_step_id' THEN tasker_integer_problem(v_value, 1, 9223372036854775807)
            ELSE 'is no field of a request' END;
        -- Absent and null are the same, except for a context.
        IF v_problem IS NOT NULL AND (v_key = ANY (v_has) OR v_problem = 'is no field of a request') THEN
            RETURN ARRAY[v_key, v_problem];
        END IF;
    END LOOP;
    RETURN CASE
        WHEN NOT v_has && '{task_template_id,namespace}' THEN ARRAY['namespace', 'is missing']
        WHEN NOT v_has && '{task_template_id,name}' THEN ARRAY['name', 'is missing']
        WHEN 'identity_hash' = ANY (v_has) AND NOT 'scope' = ANY (v_has)
        THEN ARRAY['scope', 'is missing beside identity_hash']
        WHEN v_has && '{scope,context_hash,identity_expires_at}' AND NOT 'identity_hash' = ANY (v_has)
        THEN ARRAY['identity_hash', 'is missing beside scope, context_hash or identity_expires_at']
        WHEN v_has && '{parent_task_id,parent_step_id}' THEN tasker_parent_problem(p_request)
    END;
END $$;
