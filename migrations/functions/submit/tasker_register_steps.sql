-- Registers the steps of a new template revision: the systems, named steps and handler keys that are not there yet, the
-- unrolled template, and the named task's defaults. ON CONFLICT would draw an id for each row that is there, so all are
-- looked up first; nobody else inserts meanwhile.
-- Locks: the rows it writes; the caller holds the lock of registrations. Returns nothing. Raises what the constraints
-- of the definitions raise. Called by tasker_register_template.
-- Without nested loops: a template's steps are joined with the named steps, 10 000 × 10 000, and tables that were
-- analysed while they were small would make the planner choose one.
CREATE OR REPLACE FUNCTION tasker_register_steps(p_namespace bigint, p_named_task bigint, p_template bigint,
    p_steps jsonb) RETURNS void
LANGUAGE plpgsql SET enable_nestloop = off AS $$
BEGIN
    INSERT INTO tasker_dependent_systems (name)
        SELECT DISTINCT s.dependent_system FROM jsonb_to_recordset(p_steps) AS s(dependent_system text)
        WHERE s.dependent_system NOT IN (SELECT d.name FROM tasker_dependent_systems d);
    INSERT INTO tasker_named_steps (dependent_system_id, name, description)
        SELECT d.dependent_system_id, s.name, s.description
        FROM jsonb_to_recordset(p_steps) AS s(name text, description text, dependent_system text)
        JOIN tasker_dependent_systems d ON d.name = s.dependent_system
        WHERE NOT EXISTS (SELECT FROM tasker_named_steps n
                          WHERE n.dependent_system_id = d.dependent_system_id AND n.name = s.name);
    INSERT INTO tasker_handler_keys (namespace_id, handler_class)
        SELECT DISTINCT p_namespace, s.handler_class FROM jsonb_to_recordset(p_steps) AS s(handler_class text)
        WHERE NOT EXISTS (SELECT FROM tasker_handler_keys k
                          WHERE k.namespace_id = p_namespace AND k.handler_class = s.handler_class);
    INSERT INTO tasker_task_template_steps
        SELECT p_template, s.position::int, s.name, ns.named_step_id, s.handler_class, k.handler_key, s.retryable,
               s.retry_limit::int, s.timeout_ms::bigint, s.on_orphan, s.claim_first,
               ARRAY(SELECT p::numeric::int FROM jsonb_array_elements_text(s.parents) p ORDER BY 1),
               ARRAY(SELECT p::numeric::int FROM jsonb_array_elements_text(coalesce(s.results_from, '[]')) p ORDER BY 1)
        FROM jsonb_to_recordset(p_steps) AS s(position numeric, name text, handler_class text, dependent_system text,
             retryable boolean, retry_limit numeric, timeout_ms numeric, on_orphan text, claim_first boolean, parents jsonb,
             results_from jsonb)
        JOIN tasker_dependent_systems d ON d.name = s.dependent_system
        JOIN tasker_named_steps ns ON ns.dependent_system_id = d.dependent_system_id AND ns.name = s.name
        JOIN tasker_handler_keys k ON k.namespace_id = p_namespace AND k.handler_class = s.handler_class;
    UPDATE tasker_named_tasks_named_steps x
        SET default_retryable = s.retryable, default_retry_limit = s.retry_limit
        FROM tasker_task_template_steps s
        WHERE s.task_template_id = p_template AND x.named_task_id = p_named_task AND x.named_step_id = s.named_step_id;
    INSERT INTO tasker_named_tasks_named_steps (named_task_id, named_step_id, default_retryable, default_retry_limit)
        SELECT p_named_task, s.named_step_id, s.retryable, s.retry_limit
        FROM tasker_task_template_steps s
        WHERE s.task_template_id = p_template
          AND NOT EXISTS (SELECT FROM tasker_named_tasks_named_steps x
                          WHERE x.named_task_id = p_named_task AND x.named_step_id = s.named_step_id);
END $$;
