-- Why a report that ends its step in error makes a dead letter: a failure that would have been tried again, had there
-- been another attempt, or a timed-out handler that still runs. A report that is not retryable needs no person.
-- Reads no table; inlined. Returns retries_exhausted | handler_still_running, or null. Raises nothing.
-- Called by tasker_turn_reports for reports of status `failed` whose verdict is `error`.
CREATE OR REPLACE FUNCTION tasker_report_dead_letter(p_retryable boolean, p_handler_stopped boolean,
    p_step_retryable boolean) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN NOT coalesce(p_handler_stopped, true) THEN 'handler_still_running'
                WHEN coalesce(p_retryable, true) AND p_step_retryable THEN 'retries_exhausted' END
$$;
