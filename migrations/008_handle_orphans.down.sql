DO $$
DECLARE v_signature text;
BEGIN
    -- The signature is long; of the two functions of this name drop the one with orphans.
    SELECT oid::regprocedure::text INTO STRICT v_signature FROM pg_proc WHERE proname = 'tasker_turn'
        AND pronamespace = current_schema()::regnamespace AND 'o_reason' = ANY (proargnames);
    EXECUTE 'DROP FUNCTION ' || v_signature;
END $$;
DROP FUNCTION tasker_orphan_message(text);
DROP TYPE tasker_turn_report;
DROP TYPE tasker_turn_move;
DROP TYPE tasker_turn_grant;
DROP INDEX tasker_dead_letters_open;
ALTER TABLE tasker_dead_letters DROP CONSTRAINT tasker_dead_letters_resolution;
ALTER TABLE tasker_workers DROP COLUMN credit_limit, DROP COLUMN free_credit, DROP COLUMN drain_requested_at,
    DROP COLUMN drain_deadline_ms;
