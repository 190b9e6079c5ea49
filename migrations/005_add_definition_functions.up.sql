-- Loading templates and creating tasks. Every caller (command line, HTTP, other languages) uses these functions,
-- so a task is always made whole: identity, task, steps, edges, counters, transitions, in one transaction.

-- Registers one template. Unchanged content (same digest as the newest revision) is left alone; changed content
-- becomes the next revision. `p_steps`: [{position, name, description, handler_class, dependent_system, retryable,
-- retry_limit, timeout_ms, on_orphan, claim_first, parents: [position, …]}] in topological order.
CREATE FUNCTION tasker_register_template(p_namespace text, p_name text, p_version text, p_description text,
                                         p_configuration jsonb, p_digest text, p_steps jsonb)
RETURNS TABLE (named_task_id int, task_template_id int, revision int, outcome text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_namespace int; v_task int; v_template int; v_revision int; v_digest text;
BEGIN
    -- One registration at a time: two loaders at once would otherwise race for the next revision.
    PERFORM pg_advisory_xact_lock(hashtext('tasker_register_template'));
    INSERT INTO tasker_task_namespaces (name) VALUES (p_namespace) ON CONFLICT (name) DO NOTHING;
    SELECT n.task_namespace_id INTO v_namespace FROM tasker_task_namespaces n WHERE n.name = p_namespace;
    INSERT INTO tasker_named_tasks (task_namespace_id, name, version, description)
        VALUES (v_namespace, p_name, p_version, p_description)
        ON CONFLICT (task_namespace_id, name, version)
        DO UPDATE SET description = EXCLUDED.description, updated_at = now()
        WHERE tasker_named_tasks.description IS DISTINCT FROM EXCLUDED.description;
    SELECT t.named_task_id INTO v_task FROM tasker_named_tasks t
        WHERE t.task_namespace_id = v_namespace AND t.name = p_name AND t.version = p_version;
    SELECT t.task_template_id, t.revision, t.digest INTO v_template, v_revision, v_digest
        FROM tasker_task_templates t WHERE t.named_task_id = v_task ORDER BY t.revision DESC LIMIT 1;
    IF v_digest = p_digest THEN
        RETURN QUERY SELECT v_task, v_template, v_revision, 'unchanged'::text;
        RETURN;
    END IF;
    v_revision := coalesce(v_revision, 0) + 1;
    INSERT INTO tasker_task_templates (named_task_id, revision, configuration, digest)
        VALUES (v_task, v_revision, p_configuration, p_digest)
        RETURNING tasker_task_templates.task_template_id INTO v_template;
    INSERT INTO tasker_dependent_systems (name)
        SELECT DISTINCT s.dependent_system FROM jsonb_to_recordset(p_steps) AS s(dependent_system text)
        ON CONFLICT (name) DO NOTHING;
    INSERT INTO tasker_named_steps (dependent_system_id, name, description)
        SELECT d.dependent_system_id, s.name, s.description
        FROM jsonb_to_recordset(p_steps) AS s(name text, description text, dependent_system text)
        JOIN tasker_dependent_systems d ON d.name = s.dependent_system
        ON CONFLICT (dependent_system_id, name) DO NOTHING;
    INSERT INTO tasker_handler_keys (namespace_id, handler_class)
        SELECT DISTINCT v_namespace, s.handler_class FROM jsonb_to_recordset(p_steps) AS s(handler_class text)
        ON CONFLICT (namespace_id, handler_class) DO NOTHING;
    INSERT INTO tasker_task_template_steps
        SELECT v_template, s.position, s.name, ns.named_step_id, s.handler_class, k.handler_key, s.retryable,
               s.retry_limit, s.timeout_ms, s.on_orphan, s.claim_first,
               ARRAY(SELECT p::int FROM jsonb_array_elements_text(s.parents) p ORDER BY 1)
        FROM jsonb_to_recordset(p_steps) AS s(position int, name text, handler_class text, dependent_system text,
             retryable boolean, retry_limit int, timeout_ms bigint, on_orphan text, claim_first boolean, parents jsonb)
        JOIN tasker_dependent_systems d ON d.name = s.dependent_system
        JOIN tasker_named_steps ns ON ns.dependent_system_id = d.dependent_system_id AND ns.name = s.name
        JOIN tasker_handler_keys k ON k.namespace_id = v_namespace AND k.handler_class = s.handler_class;
    INSERT INTO tasker_named_tasks_named_steps (named_task_id, named_step_id, default_retryable, default_retry_limit)
        SELECT v_task, s.named_step_id, s.retryable, s.retry_limit
        FROM tasker_task_template_steps s WHERE s.task_template_id = v_template
        ON CONFLICT (named_task_id, named_step_id) DO UPDATE
        SET default_retryable = EXCLUDED.default_retryable, default_retry_limit = EXCLUDED.default_retry_limit;
    PERFORM pg_notify('tasker_wake', 'templates');
    RETURN QUERY SELECT v_task, v_template, v_revision,
                        CASE WHEN v_revision = 1 THEN 'created' ELSE 'revised' END::text;
END $$;

-- The newest revision of a named task; without a version, the highest version (numbers compare as numbers).
CREATE FUNCTION tasker_find_template(p_namespace text, p_name text, p_version text DEFAULT NULL)
RETURNS TABLE (task_template_id int, named_task_id int, namespace_id int, version text, revision int,
               configuration jsonb)
LANGUAGE sql STABLE AS $$
    SELECT tt.task_template_id, nt.named_task_id, nt.task_namespace_id, nt.version::text, tt.revision, tt.configuration
    FROM tasker_task_namespaces n
    JOIN tasker_named_tasks nt ON nt.task_namespace_id = n.task_namespace_id
    JOIN tasker_task_templates tt ON tt.named_task_id = nt.named_task_id
    WHERE n.name = p_namespace AND nt.name = p_name AND (p_version IS NULL OR nt.version = p_version)
    ORDER BY (CASE WHEN nt.version ~ '^[0-9]{1,9}(\.[0-9]{1,9})*$' THEN string_to_array(nt.version, '.')::int[] END)
                 DESC NULLS LAST,
             nt.named_task_id DESC, tt.revision DESC
    LIMIT 1
$$;

CREATE TYPE tasker_new_task AS (ord int, task_id bigint, task_template_id int, existing boolean, problem text,
                                held_until timestamptz, priority smallint);

-- Creates many tasks in one transaction. `p_requests`: [{task_template_id | namespace, name, version; context,
-- context_hash, scope, identity_hash, identity_expires_at, priority, tags, initiator, source_system, reason,
-- requested_at, not_before, trace_context, parent_task_id, parent_step_id}]. One row per request, in order: its
-- task (`existing` when the identity was seen before), or the `problem`: unknown_template | idempotency_conflict.
CREATE FUNCTION tasker_create_tasks(p_requests jsonb)
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
