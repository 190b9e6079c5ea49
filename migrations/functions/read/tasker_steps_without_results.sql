-- Steps of open batches that nobody has reported or handed back yet. Read by people and tasker_orphaned_steps.
CREATE OR REPLACE VIEW tasker_steps_without_results AS
    SELECT b.batch_id, b.batch_uuid, b.state AS batch_state, b.session, bs.id AS batch_step_id, bs.workflow_step_id,
           s.task_id, s.name, s.state, bs.attempt, bs.sequence_order, bs.started_at, b.created_at AS published_at
    FROM tasker_step_execution_batches b
    JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = b.batch_id
    LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
    WHERE tasker_is_open_batch(b.state) AND bs.reported_at IS NULL AND bs.final_status IS NULL;
