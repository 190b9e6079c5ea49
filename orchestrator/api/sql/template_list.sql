-- All named tasks with their newest revision, by namespace, name and version. $1 a namespace, null for all.
SELECT coalesce(json_agg(row_to_json(x)), '[]')::text FROM (
    SELECT n.name AS namespace, nt.name, nt.version, tt.revision,
           (SELECT count(*) FROM tasker_task_template_steps s
            WHERE s.task_template_id = tt.task_template_id) AS steps,
           nt.description, tt.digest, tt.created_at,
           (SELECT count(*) FROM tasker_tasks t WHERE t.named_task_id = nt.named_task_id) AS tasks
    FROM tasker_named_tasks nt
    JOIN tasker_task_namespaces n ON n.task_namespace_id = nt.task_namespace_id
    CROSS JOIN LATERAL (SELECT r.* FROM tasker_task_templates r WHERE r.named_task_id = nt.named_task_id
                        ORDER BY r.revision DESC LIMIT 1) tt
    WHERE $1::text IS NULL OR n.name = $1
    ORDER BY n.name, nt.name, nt.version) x
