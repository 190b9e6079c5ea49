-- The section `running` of a turn: when deliveries started, by the age their worker reported.
-- Locks: the deliveries it writes. Returns how many. Raises nothing.
-- Called by tasker_turn, whose comment explains r_*.
CREATE OR REPLACE FUNCTION tasker_turn_running(p_now timestamptz, p_low_batch bigint, r_batch_id bigint[],
    r_step_id bigint[], r_age_ms bigint[]) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE v_count int;
BEGIN
    UPDATE tasker_step_execution_batch_steps bs
        SET started_at = p_now - make_interval(secs => r.age_ms / 1000.0), updated_at = p_now
    FROM unnest(r_batch_id, r_step_id, r_age_ms) AS r(batch_id, step_id, age_ms)
    WHERE bs.batch_id = r.batch_id AND bs.workflow_step_id = r.step_id AND bs.batch_id >= p_low_batch
      AND bs.started_at IS NULL;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;
