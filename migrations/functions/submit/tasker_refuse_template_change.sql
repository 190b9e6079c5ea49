-- Refuses every UPDATE of a template revision: tasks keep the revision they were created with.
-- Locks nothing. Raises 23001 (restrict_violation). Called by the trigger below.
CREATE OR REPLACE FUNCTION tasker_refuse_template_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'template revisions are immutable: load the changed template, it becomes a new revision'
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE OR REPLACE TRIGGER tasker_task_templates_immutable BEFORE UPDATE ON tasker_task_templates
    FOR EACH ROW EXECUTE FUNCTION tasker_refuse_template_change();
