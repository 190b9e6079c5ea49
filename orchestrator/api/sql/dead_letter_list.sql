-- Dead letters, newest first. $1 closed ones too, $2 of a task, $3 with a reason, $4 at most so many, $5 with ids below this,
-- $6 made since and $7 until, $8 of a handler class, $9 $10 $11 of a template (namespace, name, version), $12 whose last
-- error holds this text.
SELECT coalesce(json_agg(row_to_json(x)), '[]')::text FROM (
    SELECT * FROM tasker_dead_letter_details d
    WHERE ($1 OR d.is_open) AND ($2::bigint IS NULL OR d.task_id = $2) AND ($3::text IS NULL OR d.reason = $3)
      AND ($5::bigint IS NULL OR d.dead_letter_id < $5)
      AND ($6::timestamptz IS NULL OR d.created_at >= $6) AND ($7::timestamptz IS NULL OR d.created_at < $7)
      AND ($8::text IS NULL OR d.handler_class = $8)
      AND ($10::text IS NULL OR (d.namespace = $9 AND d.task_name = $10 AND ($11::text IS NULL OR d.task_version = $11)))
      AND ($12::text IS NULL OR tasker_error_holds(d.last_error, $12))
    ORDER BY d.dead_letter_id DESC LIMIT $4) x
