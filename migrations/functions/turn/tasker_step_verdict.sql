-- The rule when a step is retried: the state that a first report of the current attempt leads to.
-- `completed` completes it. `failed` lets it wait for another attempt while report and step allow one and the limit is
-- not reached; a handler that timed out and still runs is like an orphan, since a retry would run beside it, so
-- on_orphan decides there. All else ends it in error.
-- Reads no table; inlined. Returns complete | waiting_for_retry | error. Raises nothing. Called by the turn for each
-- report.
CREATE OR REPLACE FUNCTION tasker_step_verdict(p_status text, p_report_retryable boolean, p_handler_stopped boolean,
    p_retryable boolean, p_on_orphan text, p_counted_attempts int, p_retry_limit int) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN p_status = 'completed' THEN 'complete'
        WHEN p_status = 'failed' AND coalesce(p_report_retryable, true) AND p_retryable
             AND p_counted_attempts < p_retry_limit
             AND (coalesce(p_handler_stopped, true) OR p_on_orphan = 'retry') THEN 'waiting_for_retry'
        ELSE 'error' END
$$;
