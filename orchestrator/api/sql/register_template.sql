-- Registers a template: a new revision, unless the newest one has the same digest.
SELECT named_task_id, task_template_id, revision, outcome
FROM tasker_register_template($1, $2, $3, $4, $5::jsonb, $6, $7::jsonb)
