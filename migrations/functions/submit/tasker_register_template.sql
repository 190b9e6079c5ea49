-- Registers one template. Unchanged content (same digest as the newest revision) is left alone; changed content becomes
-- the next revision. An id is drawn only for a row that does not exist yet.
-- `p_steps`: [{position, name, description, handler_class, dependent_system, retryable, retry_limit, timeout_ms,
-- on_orphan, claim_first, parents: [position, …]}] in topological order.
-- Locks: the installation's advisory lock of registrations until the commit, so that there is one at a time; then the
-- rows it writes.
-- Returns one row; outcome: created | revised | unchanged. Notifies tasker_wake when something changed.
-- Raises 22023 naming the field for whatever `tasker template check` refuses too (tasker_template_problem), except the
-- schema of contexts, which only C++ can read.
-- Called by whoever loads templates: command line, `tasker dev`, HTTP, other languages.
CREATE OR REPLACE FUNCTION tasker_register_template(p_namespace text, p_name text, p_version text, p_description text,
                                         p_configuration jsonb, p_digest text, p_steps jsonb)
RETURNS TABLE (named_task_id bigint, task_template_id bigint, revision int, outcome text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_namespace bigint; v_task bigint; v_template bigint; v_revision int; v_digest text;
    v_problem text := tasker_template_problem(p_namespace, p_name, p_version, p_description, p_configuration, p_digest,
                                              p_steps);
BEGIN
    IF v_problem IS NOT NULL THEN
        RAISE EXCEPTION '%', v_problem USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- One registration at a time: two loaders at once would otherwise race for the next revision.
    PERFORM pg_advisory_xact_lock(hashtext('tasker_register_template'), 'tasker_named_tasks'::regclass::oid::int);
    SELECT n.task_namespace_id INTO v_namespace FROM tasker_task_namespaces n WHERE n.name = p_namespace;
    IF NOT FOUND THEN
        INSERT INTO tasker_task_namespaces AS n (name) VALUES (p_namespace)
            RETURNING n.task_namespace_id INTO v_namespace;
    END IF;
    SELECT t.named_task_id INTO v_task FROM tasker_named_tasks t
        WHERE t.task_namespace_id = v_namespace AND t.name = p_name AND t.version = p_version;
    IF FOUND THEN
        UPDATE tasker_named_tasks t SET description = p_description, updated_at = now()
            WHERE t.named_task_id = v_task AND t.description IS DISTINCT FROM p_description;
    ELSE
        INSERT INTO tasker_named_tasks AS t (task_namespace_id, name, version, description)
            VALUES (v_namespace, p_name, p_version, p_description) RETURNING t.named_task_id INTO v_task;
    END IF;
    SELECT t.task_template_id, t.revision, t.digest INTO v_template, v_revision, v_digest
        FROM tasker_task_templates t WHERE t.named_task_id = v_task ORDER BY t.revision DESC LIMIT 1;
    IF v_digest = p_digest THEN
        RETURN QUERY SELECT v_task, v_template, v_revision, 'unchanged'::text;
        RETURN;
    END IF;
    v_revision := coalesce(v_revision, 0) + 1;
    INSERT INTO tasker_task_templates AS t (named_task_id, revision, configuration, digest)
        VALUES (v_task, v_revision, p_configuration, p_digest) RETURNING t.task_template_id INTO v_template;
    PERFORM tasker_register_steps(v_namespace, v_task, v_template, p_steps);
    PERFORM pg_notify(tasker_channel('tasker_wake'), 'templates');
    RETURN QUERY SELECT v_task, v_template, v_revision,
                        CASE WHEN v_revision = 1 THEN 'created' ELSE 'revised' END::text;
END $$;
