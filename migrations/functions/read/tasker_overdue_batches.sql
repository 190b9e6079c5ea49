-- Open batches older than the time-out of their steps. Read by people and other languages.
CREATE OR REPLACE VIEW tasker_overdue_batches AS
    SELECT b.batch_id, b.batch_uuid, b.task_id, b.handler_class, b.state, b.session, b.batch_size, b.timeout_seconds,
           b.created_at, b.created_at + make_interval(secs => b.timeout_seconds) AS due_at,
           extract(epoch FROM clock_timestamp() - b.created_at)::bigint - b.timeout_seconds AS overdue_seconds,
           (SELECT count(*) FROM tasker_step_execution_batch_steps bs
            WHERE bs.batch_id = b.batch_id AND bs.reported_at IS NULL AND bs.final_status IS NULL) AS steps_missing
    FROM tasker_step_execution_batches b
    WHERE tasker_is_open_batch(b.state)
      AND b.created_at + make_interval(secs => b.timeout_seconds) < clock_timestamp();
