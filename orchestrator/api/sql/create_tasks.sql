-- Creates tasks with their steps, or says what there is instead, in the order of the requests.
SELECT ord, task_id, existing, step_count, problem FROM tasker_create_tasks($1::jsonb) ORDER BY ord
