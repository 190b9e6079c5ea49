-- The two large texts of a step's request: its task's context, and the results of its parents by name, and of the
-- ancestors that its template names in results_from.
-- Reads only, inlined. Returns one row. Raises what PostgreSQL raises when a text is longer than it can build (1 GB).
-- Called by the orchestrator for steps that are out, when it has to send them again.
CREATE OR REPLACE FUNCTION tasker_step_request(p_step_id bigint, p_task_id bigint)
RETURNS TABLE (context text, previous_results text)
LANGUAGE sql STABLE AS $$
    SELECT (SELECT t.context::text FROM tasker_tasks t WHERE t.task_id = p_task_id),
           (SELECT json_object_agg(p.name, p.results)
            FROM tasker_workflow_steps p
            WHERE p.workflow_step_id = ANY (
                      ARRAY(SELECT e.from_step_id FROM tasker_workflow_step_edges e
                            WHERE e.to_step_id = p_step_id AND e.task_id = p_task_id)
                      || (SELECT s.result_step_ids FROM tasker_workflow_steps s
                          WHERE s.workflow_step_id = p_step_id AND s.task_id = p_task_id))
              AND p.task_id = p_task_id)::text
$$;
