-- Every edge joins two steps of its task.
SELECT 'edge', e.to_step_id, e.task_id,
       format('edge %s -> %s of task %s does not join two steps of that task', e.from_step_id, e.to_step_id,
              e.task_id)
FROM tasker_workflow_step_edges e
LEFT JOIN tasker_workflow_steps p ON p.workflow_step_id = e.from_step_id AND p.task_id = e.task_id
LEFT JOIN tasker_workflow_steps c ON c.workflow_step_id = e.to_step_id AND c.task_id = e.task_id
WHERE p.workflow_step_id IS NULL OR c.workflow_step_id IS NULL OR e.from_step_id = e.to_step_id
