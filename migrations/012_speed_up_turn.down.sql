DO $$
DECLARE v_signature text;
BEGIN
    -- The signature is long; of the functions of this name drop the one that is given the tasks to lock.
    SELECT oid::regprocedure::text INTO STRICT v_signature FROM pg_proc WHERE proname = 'tasker_turn'
        AND pronamespace = current_schema()::regnamespace AND 'p_tasks' = ANY (proargnames);
    EXECUTE 'DROP FUNCTION ' || v_signature;
END $$;
DO $$
DECLARE
    v_new text := $q$THEN 'keys:' || v_keys ELSE 'scan' END$q$;
    v_old text := $q$THEN format('keys:%s;from:%s:%s', v_keys, (SELECT max(n.priority) FROM unnest(v_new) n), v_ids[1])
                 || CASE WHEN cardinality(v_new) = 1 THEN ';shard:' || (hashint8(v_new[1].task_id) & 63) ELSE '' END
            ELSE 'scan' END$q$;
BEGIN
    EXECUTE replace(pg_get_functiondef('tasker_create_tasks'::regproc), v_old, v_new);
END $$;
DROP INDEX tasker_workflow_steps_ready;
CREATE INDEX tasker_workflow_steps_ready ON tasker_workflow_steps (ready_key, priority DESC, workflow_step_id)
    WHERE ready_key IS NOT NULL;
DO $$
DECLARE v_function regproc;
BEGIN
    FOREACH v_function IN ARRAY ARRAY['tasker_next_claims'::regproc, 'tasker_explain_places'::regproc] LOOP
        EXECUTE replace(pg_get_functiondef(v_function), 'ORDER BY -s.priority::int, s.workflow_step_id',
                        'ORDER BY s.priority DESC, s.workflow_step_id');
    END LOOP;
END $$;
DROP TYPE tasker_turn_verdict;
DROP TYPE tasker_turn_candidate;
DROP TYPE tasker_turn_assignment;
