-- The same as JSON, made by the server so that numbers and times are as exact as it holds them. $2 a step's name or
-- id, null for all.
WITH rows AS MATERIALIZED (SELECT * FROM tasker_explain_task($1))
SELECT row_to_json(x)::text FROM (
    SELECT $1::bigint AS task_id, t.state, t.cause, t.since, t.next_event, t.next_at, t.blocking_step_id, t.detail,
           (SELECT coalesce(json_agg(row_to_json(s) ORDER BY s.workflow_step_id), '[]') FROM rows s
            WHERE s.workflow_step_id IS NOT NULL
              AND ($2::text IS NULL OR s.name = $2 OR s.workflow_step_id::text = $2)) AS steps
    FROM rows t WHERE t.workflow_step_id IS NULL) x
