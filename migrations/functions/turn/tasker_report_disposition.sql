-- The fate of a first final report that was attributed to a step's delivery: the current attempt's report is
-- applied while the step is in progress; a success is taken as well from a step that waits for its retry.
-- Reads no table; inlined. Returns duplicate | stale_attempt | applied | late. Raises nothing.
-- Called by tasker_turn_reports.
CREATE OR REPLACE FUNCTION tasker_report_disposition(p_reported_at timestamptz, p_step_attempts int, p_attempt int,
    p_step_state text, p_is_success boolean) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_reported_at IS NOT NULL THEN 'duplicate'
                WHEN p_step_attempts <> p_attempt THEN 'stale_attempt'
                WHEN p_step_state = 'in_progress' OR (p_step_state = 'waiting_for_retry' AND p_is_success) THEN 'applied'
                ELSE 'late' END
$$;
