-- The reason why a delivery became an orphan, as a sentence for people.
-- Reads no table. Raises nothing. Called by the turn for each orphan.
CREATE OR REPLACE FUNCTION tasker_orphan_message(p_reason text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_reason
        WHEN 'session_lost' THEN 'the worker is gone: whether the step had run is not known'
        WHEN 'timed_out' THEN 'the step ran longer than its time-out and its worker did not report'
        WHEN 'not_accepted' THEN 'the worker did not accept the step, although it was sent several times'
        WHEN 'held_unstarted' THEN 'the worker held the step without starting it, and did not give it back'
        WHEN 'not_reported' THEN 'the worker says that it has reported the step, but no report came although asked for'
        WHEN 'absent' THEN 'the worker had accepted the step and does not know it any more'
        ELSE 'the delivery ended without a report: ' || p_reason END
$$;
