DROP TABLE tasker_task_template_steps, tasker_handler_keys, tasker_named_tasks_named_steps, tasker_named_steps,
    tasker_dependent_systems, tasker_task_templates, tasker_named_tasks, tasker_task_namespaces, tasker_installation;
