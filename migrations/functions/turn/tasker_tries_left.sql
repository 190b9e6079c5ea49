-- How many attempts may come after this one, without an operator. Hand-backs and snoozes are no attempts.
-- Reads no table; inlined, raises nothing. Called by the turn for each claim, and by tasker_stored_batches.
CREATE OR REPLACE FUNCTION tasker_tries_left(p_retryable boolean, p_retry_limit int, p_attempt int, p_unstarted int)
RETURNS int
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_retryable THEN greatest(0, p_retry_limit - p_attempt + p_unstarted) ELSE 0 END
$$;
