-- The configurations of template revisions.
SELECT tt.task_template_id, tt.configuration::text
FROM tasker_task_templates tt WHERE tt.task_template_id = ANY ($1::bigint[])
