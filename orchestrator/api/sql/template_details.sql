-- One named task: its newest revision (of the highest version when $3 is null), its steps, and all revisions. $1
-- namespace, $2 name.
SELECT row_to_json(x)::text FROM (
    SELECT n.name AS namespace, nt.name, nt.version, tt.revision, nt.description, tt.digest, tt.created_at,
           (SELECT json_agg(json_build_object('position', s.position, 'name', s.name,
                       'handler_class', s.handler_class, 'retryable', s.retryable,
                       'retry_limit', s.retry_limit, 'timeout_ms', s.timeout_ms, 'on_orphan', s.on_orphan,
                       'claim_first', s.claim_first,
                       'depends_on', (SELECT coalesce(json_agg(p.name ORDER BY p.position), '[]')
                                      FROM tasker_task_template_steps p
                                      WHERE p.task_template_id = s.task_template_id
                                        AND p.position = ANY (s.parent_positions)),
                       'results_from', (SELECT coalesce(json_agg(p.name ORDER BY p.position), '[]')
                                        FROM tasker_task_template_steps p
                                        WHERE p.task_template_id = s.task_template_id
                                          AND p.position = ANY (s.result_positions))) ORDER BY s.position)
            FROM tasker_task_template_steps s WHERE s.task_template_id = tt.task_template_id) AS steps,
           (SELECT json_agg(json_build_object('revision', r.revision, 'digest', r.digest,
                       'created_at', r.created_at) ORDER BY r.revision)
            FROM tasker_task_templates r WHERE r.named_task_id = nt.named_task_id) AS revisions,
           tt.configuration
    FROM tasker_find_template($1, $2, $3) f
    JOIN tasker_task_templates tt ON tt.task_template_id = f.task_template_id
    JOIN tasker_named_tasks nt ON nt.named_task_id = tt.named_task_id
    JOIN tasker_task_namespaces n ON n.task_namespace_id = nt.task_namespace_id) x
