DROP TABLE tasker_workflow_step_transitions, tasker_task_transitions, tasker_workflow_step_edges,
    tasker_workflow_steps, tasker_task_identities, tasker_tasks;
