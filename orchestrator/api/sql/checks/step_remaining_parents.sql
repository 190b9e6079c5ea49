-- Remaining_parents is the number of parents that have not finished.
SELECT 'step', s.workflow_step_id, s.task_id,
       format('%s has remaining_parents %s, %s of its parents have not finished', s.name, s.remaining_parents,
              coalesce(p.unfinished, 0))
FROM tasker_workflow_steps s
LEFT JOIN (SELECT e.to_step_id, count(*) FILTER (WHERE x.state NOT IN ('complete', 'resolved_manually'))
                  AS unfinished
           FROM tasker_workflow_step_edges e
           JOIN tasker_workflow_steps x ON x.workflow_step_id = e.from_step_id GROUP BY e.to_step_id) p
    ON p.to_step_id = s.workflow_step_id
WHERE s.remaining_parents <> coalesce(p.unfinished, 0)
