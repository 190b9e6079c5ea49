DO $$
DECLARE v_signature text;
BEGIN
    SELECT oid::regprocedure::text INTO STRICT v_signature FROM pg_proc WHERE proname = 'tasker_register_template'
        AND pronamespace = current_schema()::regnamespace;
    EXECUTE format('ALTER FUNCTION %s RESET enable_nestloop', v_signature);
END $$;

-- As in 005.
ALTER TYPE tasker_new_task DROP ATTRIBUTE base;
CREATE OR REPLACE FUNCTION tasker_create_tasks(p_requests jsonb)
RETURNS TABLE (ord int, task_id bigint, existing boolean, step_count int, problem text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_new tasker_new_task[] := '{}';
    v_one record; v_template int; v_id bigint; v_hash text; v_inserted boolean; v_keys text;
BEGIN
    FOR v_one IN
        SELECT e.ord::int AS ord, x.* FROM jsonb_array_elements(p_requests) WITH ORDINALITY e(r, ord),
            LATERAL jsonb_to_record(e.r) AS x(task_template_id int, namespace text, name text, version text,
                scope text, identity_hash text, context_hash text, identity_expires_at timestamptz,
                not_before timestamptz, priority smallint)
    LOOP
        v_template := coalesce(v_one.task_template_id,
            (SELECT f.task_template_id FROM tasker_find_template(v_one.namespace, v_one.name, v_one.version) f));
        IF v_template IS NULL THEN
            v_new := v_new || ROW(v_one.ord, NULL, NULL, false, 'unknown_template', NULL, 0)::tasker_new_task;
            CONTINUE;
        END IF;
        v_inserted := true;
        v_id := nextval('tasker_tasks_task_id_seq');
        IF v_one.identity_hash IS NOT NULL THEN
            DELETE FROM tasker_task_identities i WHERE i.scope = v_one.scope
                AND i.identity_hash = v_one.identity_hash AND i.expires_at < now();
            INSERT INTO tasker_task_identities AS i (scope, identity_hash, context_hash, task_id, expires_at)
                VALUES (v_one.scope, v_one.identity_hash, coalesce(v_one.context_hash, ''), v_id,
                        v_one.identity_expires_at)
                ON CONFLICT (scope, identity_hash) DO NOTHING;
            v_inserted := FOUND;
            IF NOT v_inserted THEN
                SELECT i.task_id, i.context_hash INTO v_id, v_hash FROM tasker_task_identities i
                    WHERE i.scope = v_one.scope AND i.identity_hash = v_one.identity_hash;
                IF v_hash IS DISTINCT FROM coalesce(v_one.context_hash, '') THEN
                    v_new := v_new || ROW(v_one.ord, v_id, NULL, true, 'idempotency_conflict', NULL,
                                          0)::tasker_new_task;
                    CONTINUE;
                END IF;
            END IF;
        END IF;
        v_new := v_new || ROW(v_one.ord, v_id, v_template, NOT v_inserted, NULL,
                              CASE WHEN v_one.not_before > clock_timestamp() THEN v_one.not_before END,
                              coalesce(v_one.priority, 0))::tasker_new_task;
    END LOOP;

    INSERT INTO tasker_tasks (task_id, named_task_id, template_revision, namespace_id, priority, shard, open_steps,
            movable_steps, parent_task_id, parent_step_id, requested_at, not_before, initiator, source_system,
            reason, trace_context, tags, context)
        SELECT n.task_id, tt.named_task_id, tt.revision, nt.task_namespace_id, n.priority,
               (hashint8(n.task_id) & 63)::smallint, c.steps, c.roots, x.parent_task_id, x.parent_step_id,
               coalesce(x.requested_at, now()), x.not_before, x.initiator, x.source_system, x.reason,
               x.trace_context, coalesce(x.tags, '[]'), coalesce(x.context, '{}')
        FROM unnest(v_new) n
        JOIN tasker_task_templates tt ON tt.task_template_id = n.task_template_id
        JOIN tasker_named_tasks nt ON nt.named_task_id = tt.named_task_id
        CROSS JOIN LATERAL (SELECT count(*)::int AS steps, count(*) FILTER (WHERE s.parent_positions = '{}')::int
                            AS roots FROM tasker_task_template_steps s
                            WHERE s.task_template_id = n.task_template_id) c
        CROSS JOIN LATERAL jsonb_to_record(p_requests -> (n.ord - 1)) AS x(context jsonb, tags jsonb, initiator text,
             source_system text, reason text, requested_at timestamptz, not_before timestamptz, trace_context text,
             parent_task_id bigint, parent_step_id bigint)
        WHERE NOT n.existing AND n.problem IS NULL;

    WITH ids AS MATERIALIZED (
        SELECT n.task_id, n.priority, n.held_until, t.namespace_id, t.shard, s.*,
               nextval('tasker_workflow_steps_workflow_step_id_seq') AS step_id
        FROM unnest(v_new) n
        JOIN tasker_tasks t ON t.task_id = n.task_id
        JOIN tasker_task_template_steps s ON s.task_template_id = n.task_template_id
        WHERE NOT n.existing AND n.problem IS NULL
        ORDER BY n.ord, s.position
    ), steps AS (
        INSERT INTO tasker_workflow_steps (workflow_step_id, task_id, namespace_id, named_step_id, handler_key,
                ready_key, priority, shard, retry_limit, remaining_parents, timeout_ms, retryable, claim_first,
                on_orphan, name, handler_class, next_attempt_at)
            SELECT i.step_id, i.task_id, i.namespace_id, i.named_step_id, i.handler_key,
                   CASE WHEN i.parent_positions = '{}' AND i.held_until IS NULL THEN i.handler_key END,
                   i.priority, i.shard, i.retry_limit, cardinality(i.parent_positions), i.timeout_ms, i.retryable,
                   i.claim_first, i.on_orphan, i.name, i.handler_class,
                   CASE WHEN i.parent_positions = '{}' THEN i.held_until END
            FROM ids i
    ), edges AS (
        INSERT INTO tasker_workflow_step_edges (from_step_id, to_step_id, task_id)
            SELECT p.step_id, c.step_id, c.task_id
            FROM ids c CROSS JOIN LATERAL unnest(c.parent_positions) pp(position)
            JOIN ids p ON p.task_id = c.task_id AND p.position = pp.position
    ), step_history AS (
        INSERT INTO tasker_workflow_step_transitions (workflow_step_id, task_id, sort_key, to_state, event)
            SELECT i.step_id, i.task_id, 1, 'pending', 'create' FROM ids i
    ), task_history AS (
        INSERT INTO tasker_task_transitions (task_id, sort_key, to_state, event)
            SELECT n.task_id, 1, 'pending', 'create' FROM unnest(v_new) n WHERE NOT n.existing AND n.problem IS NULL
    )
    SELECT string_agg(DISTINCT i.handler_key::text, ',') INTO v_keys FROM ids i WHERE i.parent_positions = '{}';

    IF v_keys IS NOT NULL THEN
        -- A held task needs the timer of the next due step set anew, which only a scan does.
        PERFORM pg_notify('tasker_wake', CASE
            WHEN length(v_keys) < 4000 AND NOT EXISTS (SELECT FROM unnest(v_new) n WHERE n.held_until IS NOT NULL)
            THEN 'keys:' || v_keys ELSE 'scan' END);
    END IF;
    RETURN QUERY SELECT n.ord, n.task_id, n.existing,
            (SELECT count(*)::int FROM tasker_task_template_steps s WHERE s.task_template_id = n.task_template_id),
            n.problem
        FROM unnest(v_new) n ORDER BY n.ord;
END $$;
