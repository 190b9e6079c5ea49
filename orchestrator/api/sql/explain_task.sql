-- Why the steps of task $1 wait, one row per step and one for the task itself. Times are relative to now.
SELECT e.workflow_step_id, e.name, e.state, e.cause, extract(epoch FROM n.now - e.since)::float8 AS since,
       e.next_event, extract(epoch FROM e.next_at - n.now)::float8 AS next_in, e.blocking_step_id,
       array_to_string(e.waits_for, ',') AS waits_for, e.ahead, e.attempts, e.retry_limit, e.handler_class,
       e.worker_id, e.session, e.detail::text AS detail
FROM (SELECT clock_timestamp() AS now OFFSET 0) n CROSS JOIN LATERAL tasker_explain_task($1, n.now) e
