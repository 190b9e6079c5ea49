-- Whether a named task is this one; without a version any of its versions.
-- Reads only, raises nothing. Called by the lists of `tasker`.
CREATE OR REPLACE FUNCTION tasker_is_template(p_named_task_id bigint, p_namespace text, p_name text, p_version text)
RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM tasker_named_tasks nt
                   JOIN tasker_task_namespaces n ON n.task_namespace_id = nt.task_namespace_id
                   WHERE nt.named_task_id = p_named_task_id AND n.name = p_namespace AND nt.name = p_name
                     AND (p_version IS NULL OR nt.version = p_version))
$$;
