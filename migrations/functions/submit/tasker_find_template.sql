-- The newest revision of a named task; without a version, the highest version (numbers compare as numbers).
-- Reads only. Returns one row, or none when there is no such template. Raises nothing.
-- Called by tasker_create_tasks and by whoever shows or checks a template before it submits.
CREATE OR REPLACE FUNCTION tasker_find_template(p_namespace text, p_name text, p_version text DEFAULT NULL)
RETURNS TABLE (task_template_id bigint, named_task_id bigint, namespace_id bigint, version text, revision int,
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
