-- How far the steps of a task are, in topological order, as the live tree shows them.
SELECT s.workflow_step_id, s.name, s.state, s.attempts - s.unstarted_attempts AS attempts, s.retry_limit,
       coalesce(s.error ->> 'message', '') AS error,
       CASE WHEN s.next_attempt_at > clock_timestamp() AND s.ready_key IS NULL
            THEN extract(epoch FROM s.next_attempt_at - clock_timestamp())::float8 END AS retry_in,
       extract(epoch FROM s.processed_at - s.last_attempted_at)::float8 AS took,
       (SELECT coalesce(string_agg(e.from_step_id::text, ',' ORDER BY e.from_step_id), '')
        FROM tasker_workflow_step_edges e WHERE e.to_step_id = s.workflow_step_id) AS parents
FROM tasker_workflow_steps s WHERE s.task_id = $1 ORDER BY s.workflow_step_id
