DROP FUNCTION tasker_create_tasks(jsonb);
DROP TYPE tasker_new_task;
DROP FUNCTION tasker_find_template(text, text, text);
DROP FUNCTION tasker_register_template(text, text, text, text, jsonb, text, jsonb);
