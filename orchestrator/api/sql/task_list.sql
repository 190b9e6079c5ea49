-- Tasks, newest first. $1 in a state, $2 of a namespace, $3 at most so many, $4 with ids below this, $5 made since and $6 until,
-- $7 with a step of a handler class, $8 $9 $10 of a template (namespace, name, version), $11 with a step whose last error
-- holds this text, $12 with all these tags, $13 with all these values in its context ([{path [text], value}]).
SELECT coalesce(json_agg(row_to_json(x)), '[]')::text FROM (
    SELECT t.task_id, n.name AS namespace, nt.name, nt.version, t.state, t.priority, t.open_steps, t.movable_steps,
           (SELECT count(*) FROM tasker_workflow_steps s WHERE s.task_id = t.task_id) AS total_steps,
           t.tags, t.initiator, t.source_system, t.reason, t.requested_at, t.not_before, t.created_at,
           t.updated_at, t.completed_at
    FROM (SELECT * FROM tasker_tasks t
          WHERE ($1::text IS NULL OR t.state = $1)
            AND ($2::text IS NULL OR t.namespace_id = (SELECT task_namespace_id FROM tasker_task_namespaces
                                                       WHERE name = $2))
            AND ($4::bigint IS NULL OR t.task_id < $4)
            AND ($5::timestamptz IS NULL OR t.created_at >= $5) AND ($6::timestamptz IS NULL OR t.created_at < $6)
            AND (($7::text IS NULL AND $11::text IS NULL) OR EXISTS (
                     SELECT FROM tasker_workflow_steps s WHERE s.task_id = t.task_id
                     AND ($7::text IS NULL OR s.handler_class = $7)
                     AND ($11::text IS NULL OR tasker_error_holds(s.error, $11))))
            AND ($9::text IS NULL OR tasker_is_template(t.named_task_id, $8, $9, $10))
            AND t.tags @> $12::jsonb
            AND NOT EXISTS (
                SELECT FROM jsonb_array_elements($13::jsonb) c
                WHERE (t.context #>> ARRAY(SELECT jsonb_array_elements_text(c -> 'path'))) IS DISTINCT FROM c ->> 'value')
          ORDER BY t.task_id DESC LIMIT $3) t
    JOIN tasker_named_tasks nt ON nt.named_task_id = t.named_task_id
    JOIN tasker_task_namespaces n ON n.task_namespace_id = t.namespace_id
    ORDER BY t.task_id DESC) x
