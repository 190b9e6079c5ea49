-- Decides about each request whether it becomes a task: finds its template, claims its identity, and draws its id, which
-- only a new task needs.
-- `p_requests` as in tasker_create_tasks, which has checked them.
-- Locks: the identities that it inserts: a second submission of the same one waits for the first.
-- Returns one entry per request, in order. Raises 22023 where the template wants an identity and the request brings none.
-- Called by tasker_create_tasks.
CREATE OR REPLACE FUNCTION tasker_plan_tasks(p_requests jsonb) RETURNS tasker_new_task[]
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_new tasker_new_task[] := '{}'; v_total int := 0;
    v_one record; v_template bigint; v_identity text; v_steps int;
    v_id bigint; v_drawn bigint; v_hash text; v_expired boolean; v_inserted boolean;
BEGIN
    FOR v_one IN
        SELECT e.ord::int AS ord, x.* FROM jsonb_array_elements(p_requests) WITH ORDINALITY e(r, ord),
            LATERAL jsonb_to_record(e.r) AS x(task_template_id numeric, namespace text, name text, version text,
                scope text, identity_hash text, context_hash text, identity_expires_at timestamptz,
                not_before timestamptz, priority numeric)
    LOOP
        v_template := coalesce(v_one.task_template_id::bigint,
            (SELECT f.task_template_id FROM tasker_find_template(v_one.namespace, v_one.name, v_one.version) f));
        SELECT tt.configuration ->> 'identity', (SELECT max(s.position) FROM tasker_task_template_steps s
                                                 WHERE s.task_template_id = v_template)
            INTO v_identity, v_steps FROM tasker_task_templates tt WHERE tt.task_template_id = v_template;
        IF NOT FOUND THEN
            v_new := v_new || ROW(v_one.ord, NULL, NULL, false, 'unknown_template', NULL, 0, 0)::tasker_new_task;
            CONTINUE;
        ELSIF v_one.identity_hash IS NULL AND v_identity IN ('strict', 'caller_provided') THEN
            RAISE EXCEPTION 'request %: identity_hash: is missing, but the template has `identity: %`', v_one.ord, v_identity
                USING ERRCODE = 'invalid_parameter_value', COLUMN = 'identity_hash';
        END IF;
        v_inserted := v_one.identity_hash IS NULL;
        v_id := CASE WHEN v_inserted THEN nextval('tasker_tasks_task_id_seq') END;
        v_drawn := NULL;
        WHILE v_id IS NULL LOOP  -- again only where the row that was in the way is gone again
            SELECT i.task_id, i.context_hash, coalesce(i.expires_at < now(), false) INTO v_id, v_hash, v_expired
                FROM tasker_task_identities i WHERE i.scope = v_one.scope AND i.identity_hash = v_one.identity_hash;
            IF v_expired THEN
                DELETE FROM tasker_task_identities i WHERE i.scope = v_one.scope
                    AND i.identity_hash = v_one.identity_hash AND i.expires_at < now();
            END IF;
            IF v_id IS NULL OR v_expired THEN
                v_drawn := coalesce(v_drawn, nextval('tasker_tasks_task_id_seq'));
                INSERT INTO tasker_task_identities AS i (scope, identity_hash, context_hash, task_id, expires_at)
                    VALUES (v_one.scope, v_one.identity_hash, coalesce(v_one.context_hash, ''), v_drawn,
                            v_one.identity_expires_at)
                    ON CONFLICT (scope, identity_hash) DO NOTHING;
                v_inserted := FOUND;
                v_id := CASE WHEN v_inserted THEN v_drawn END;
            END IF;
        END LOOP;
        IF NOT v_inserted AND v_hash IS DISTINCT FROM coalesce(v_one.context_hash, '') THEN
            v_new := v_new || ROW(v_one.ord, v_id, NULL, true, 'idempotency_conflict', NULL, 0, 0)::tasker_new_task;
            CONTINUE;
        END IF;
        v_new := v_new || ROW(v_one.ord, v_id, v_template, NOT v_inserted, NULL,
                              CASE WHEN v_one.not_before > clock_timestamp() THEN v_one.not_before END,
                              coalesce(v_one.priority, 0)::smallint, v_total)::tasker_new_task;
        v_total := v_total + CASE WHEN v_inserted THEN coalesce(v_steps, 0) ELSE 0 END;
    END LOOP;
    RETURN v_new;
END $$;
