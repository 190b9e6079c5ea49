DO $$
DECLARE v_signature text;
BEGIN
    -- The signature is long; drop the one function of this name.
    SELECT oid::regprocedure::text INTO STRICT v_signature FROM pg_proc WHERE proname = 'tasker_turn'
        AND pronamespace = current_schema()::regnamespace;
    EXECUTE 'DROP FUNCTION ' || v_signature;
END $$;
DROP FUNCTION tasker_step_verdict(text, boolean, boolean, boolean, text, int, int);
DROP TYPE tasker_turn_final;
DROP TYPE tasker_turn_child;
DROP TYPE tasker_turn_claim;
DROP TYPE tasker_turn_task;
