-- How many steps tasks have.
SELECT task_id, count(*)::int FROM tasker_workflow_steps WHERE task_id = ANY ($1::bigint[]) GROUP BY task_id
