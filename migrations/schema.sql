-- A database after `tasker migrate up`, as PostgreSQL 15 prints it: to read, not to run.
-- Made by tests/support/dump_schema.py --write; store_migrator_test fails when it is stale.

CREATE TYPE public.tasker_explain_delivery AS (
	step_id bigint,
	batch_uuid text,
	batch_state text,
	session text,
	published_at timestamp with time zone,
	started_at timestamp with time zone,
	granted_at timestamp with time zone,
	worker_id text,
	worker_state text,
	times_out_at timestamp with time zone,
	worker_seen_at timestamp with time zone
);

CREATE TYPE public.tasker_explain_due AS (
	step_id bigint,
	handler_key integer,
	priority smallint,
	namespace_id integer
);

CREATE TYPE public.tasker_explain_graph AS (
	low bigint,
	roots bigint[],
	failed boolean[],
	from_ids bigint[],
	to_ids bigint[]
);

CREATE TYPE public.tasker_explain_key AS (
	handler_key integer,
	serving integer,
	free integer,
	plain boolean,
	detail jsonb
);

CREATE TYPE public.tasker_explain_place AS (
	step_id bigint,
	ahead integer,
	cause text
);

CREATE TYPE public.tasker_explain_profile AS (
	keys integer[],
	slots integer,
	share integer
);

CREATE TYPE public.tasker_explanation AS (
	workflow_step_id bigint,
	name text,
	state text,
	cause text,
	since timestamp with time zone,
	next_event text,
	next_at timestamp with time zone,
	blocking_step_id bigint,
	waits_for bigint[],
	ahead integer,
	attempts integer,
	retry_limit integer,
	handler_class text,
	worker_id text,
	session text,
	detail jsonb
);

CREATE TYPE public.tasker_new_task AS (
	ord integer,
	task_id bigint,
	task_template_id bigint,
	existing boolean,
	problem text,
	held_until timestamp with time zone,
	priority smallint,
	base integer
);

CREATE TYPE public.tasker_operation AS (
	outcome text,
	code text,
	message text,
	task_id bigint,
	task_state text,
	workflow_step_id bigint,
	name text,
	state text,
	attempts integer,
	retry_limit integer,
	dead_letter_id bigint,
	changed_steps bigint[],
	ready_steps bigint[]
);

CREATE TYPE public.tasker_turn_assignment AS (
	step_id bigint,
	task_id bigint,
	handler_key integer,
	session_no integer,
	old_state text,
	attempt integer,
	sort_key integer,
	place bigint,
	timeout_ms bigint,
	parents_done integer,
	priority smallint,
	input_bytes integer,
	sent_alone boolean
);

CREATE TYPE public.tasker_turn_candidate AS (
	step_id bigint,
	task_id bigint,
	handler_key integer,
	namespace_id integer,
	priority smallint,
	state text,
	attempts integer,
	transition_count integer,
	timeout_ms bigint,
	parents_done integer,
	input_bytes integer,
	is_ready boolean
);

CREATE TYPE public.tasker_turn_claimed AS (
	claims public.tasker_turn_assignment[],
	children public.tasker_turn_candidate[],
	starting bigint[],
	low_task bigint,
	more integer[],
	locked integer[],
	bytes bigint,
	is_full boolean
);

CREATE TYPE public.tasker_turn_grant AS (
	ord integer,
	refusal text
);

CREATE TYPE public.tasker_turn_move AS (
	ord integer,
	step_id bigint,
	task_id bigint,
	attempt integer,
	new_state text,
	handler_key integer,
	reason text,
	error jsonb,
	batch_id bigint
);

CREATE TYPE public.tasker_turn_verdict AS (
	ord integer,
	step_id bigint,
	task_id bigint,
	attempt integer,
	disposition text,
	new_state text,
	dead_letter text,
	is_late_success boolean
);

CREATE TYPE public.tasker_turn_reported AS (
	final public.tasker_turn_verdict[],
	children public.tasker_turn_candidate[],
	has_dead_letter boolean,
	has_late_success boolean,
	has_other boolean
);

CREATE TYPE public.tasker_turn_row AS (
	kind text,
	ord integer,
	info text,
	name text,
	task_id bigint,
	step_id bigint,
	attempt integer,
	retry_limit integer,
	tries_left integer,
	timeout_ms bigint,
	handler_key integer,
	claim_first boolean,
	batch_id bigint,
	batch_uuid text,
	batch_step_id bigint,
	sequence_order integer,
	session_no integer,
	named_task_id integer,
	template_revision integer,
	claimed_at text,
	context text,
	previous_results text
);

CREATE FUNCTION public.calculate_dependency_levels(input_task_id bigint) RETURNS TABLE(workflow_step_id bigint, dependency_level integer)
    LANGUAGE sql STABLE
    SET jit TO 'off'
    AS $$
    WITH RECURSIVE steps AS MATERIALIZED (
        SELECT s.workflow_step_id FROM tasker_workflow_steps s WHERE s.task_id = input_task_id
    ), levels AS (
        SELECT s.workflow_step_id, 0 AS level FROM steps s
        WHERE NOT EXISTS (SELECT 1 FROM tasker_workflow_step_edges e WHERE e.to_step_id = s.workflow_step_id)
        UNION
        SELECT e.to_step_id, l.level + 1 FROM levels l
        CROSS JOIN LATERAL (SELECT x.to_step_id FROM tasker_workflow_step_edges x
                            WHERE x.from_step_id = l.workflow_step_id OFFSET 0) e
        WHERE l.level < (SELECT count(*) FROM steps)
    )
    SELECT l.workflow_step_id, max(l.level) FROM levels l GROUP BY l.workflow_step_id ORDER BY 2, 1
$$;

CREATE FUNCTION public.get_step_readiness_status(input_task_id bigint, step_ids bigint[] DEFAULT NULL::bigint[]) RETURNS TABLE(workflow_step_id bigint, task_id bigint, named_step_id integer, name text, current_state text, dependencies_satisfied boolean, retry_eligible boolean, ready_for_execution boolean, last_failure_at timestamp with time zone, next_retry_at timestamp with time zone, total_parents integer, completed_parents integer, attempts integer, retry_limit integer, backoff_request_seconds double precision, last_attempted_at timestamp with time zone, unstarted_attempts integer)
    LANGUAGE sql STABLE
    SET jit TO 'off'
    AS $$
    SELECT s.workflow_step_id, s.task_id, s.named_step_id, s.name::text, s.state::text,
           s.remaining_parents = 0,
           s.state IN ('pending', 'in_progress', 'waiting_for_retry')
               AND (s.attempts = s.unstarted_attempts
                    OR (s.retryable AND s.attempts - s.unstarted_attempts < s.retry_limit)),
           t.state IN ('pending', 'in_progress') AND s.state IN ('pending', 'waiting_for_retry')
               AND s.remaining_parents = 0
               AND (s.ready_key IS NOT NULL OR s.next_attempt_at <= clock_timestamp()),
           (SELECT max(h.created_at) FROM tasker_workflow_step_transitions h
            WHERE h.workflow_step_id = s.workflow_step_id AND h.to_state IN ('waiting_for_retry', 'error')),
           s.next_attempt_at, p.total, p.completed, s.attempts, s.retry_limit, s.backoff_request_seconds,
           s.last_attempted_at, s.unstarted_attempts
    FROM tasker_workflow_steps s
    JOIN tasker_tasks t ON t.task_id = s.task_id
    CROSS JOIN LATERAL (
        SELECT count(*)::int AS total,
               count(*) FILTER (WHERE ps.state IN ('complete', 'resolved_manually'))::int AS completed
        FROM tasker_workflow_step_edges e
        JOIN tasker_workflow_steps ps ON ps.workflow_step_id = e.from_step_id
        WHERE e.to_step_id = s.workflow_step_id) p
    WHERE s.task_id = input_task_id AND (step_ids IS NULL OR s.workflow_step_id = ANY (step_ids))
    ORDER BY s.workflow_step_id
$$;

CREATE FUNCTION public.get_system_health_counts() RETURNS TABLE(total_tasks bigint, pending_tasks bigint, in_progress_tasks bigint, complete_tasks bigint, error_tasks bigint, cancelled_tasks bigint, total_steps bigint, pending_steps bigint, in_progress_steps bigint, complete_steps bigint, error_steps bigint, retryable_error_steps bigint, exhausted_retry_steps bigint, in_backoff_steps bigint, active_connections bigint, max_connections bigint, resolved_manually_tasks bigint, resolved_manually_steps bigint, cancelled_steps bigint, ready_steps bigint, open_batches bigint, discrepancies bigint, dead_letters bigint)
    LANGUAGE sql STABLE
    SET jit TO 'off'
    AS $$
    SELECT t.total, t.pending, t.in_progress, t.complete, t.error, t.cancelled,
           s.total, s.pending, s.in_progress, s.complete, s.error, s.retrying, s.exhausted, s.backing_off,
           (SELECT count(*) FROM pg_stat_activity a WHERE a.datname = current_database() AND a.state = 'active'),
           (SELECT p.setting::bigint FROM pg_settings p WHERE p.name = 'max_connections'),
           t.resolved, s.resolved, s.cancelled, s.ready,
           (SELECT count(*) FROM tasker_step_execution_batches b WHERE tasker_is_open_batch(b.state)),
           (SELECT count(DISTINCT d.batch_id) FROM tasker_reconciliation_discrepancies d
            WHERE d.explained_by IS NULL AND d.acknowledged_at IS NULL),
           (SELECT count(*) FROM tasker_dead_letters d WHERE d.resolved_at IS NULL)
    FROM (SELECT count(*) AS total,
                 count(*) FILTER (WHERE state = 'pending') AS pending,
                 count(*) FILTER (WHERE state = 'in_progress') AS in_progress,
                 count(*) FILTER (WHERE state = 'complete') AS complete,
                 count(*) FILTER (WHERE state = 'error') AS error,
                 count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
                 count(*) FILTER (WHERE state = 'resolved_manually') AS resolved
          FROM tasker_tasks) t
    CROSS JOIN (SELECT count(*) AS total,
                       count(*) FILTER (WHERE state = 'pending') AS pending,
                       count(*) FILTER (WHERE state = 'in_progress') AS in_progress,
                       count(*) FILTER (WHERE state = 'complete') AS complete,
                       count(*) FILTER (WHERE state = 'error') AS error,
                       count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
                       count(*) FILTER (WHERE state = 'resolved_manually') AS resolved,
                       count(*) FILTER (WHERE state = 'waiting_for_retry') AS retrying,
                       count(*) FILTER (WHERE state = 'error' AND attempts - unstarted_attempts >= retry_limit)
                           AS exhausted,
                       count(*) FILTER (WHERE state = 'waiting_for_retry' AND ready_key IS NULL
                                        AND next_attempt_at > clock_timestamp()) AS backing_off,
                       count(*) FILTER (WHERE ready_key IS NOT NULL) AS ready
                FROM tasker_workflow_steps) s
$$;

CREATE FUNCTION public.get_task_execution_context(input_task_id bigint) RETURNS TABLE(task_id bigint, named_task_id integer, status text, total_steps bigint, pending_steps bigint, in_progress_steps bigint, completed_steps bigint, failed_steps bigint, ready_steps bigint, execution_status text, recommended_action text, completion_percentage numeric, health_status text, waiting_for_retry_steps bigint, error_steps bigint, cancelled_steps bigint)
    LANGUAGE sql STABLE
    SET jit TO 'off'
    AS $$
    SELECT t.task_id, t.named_task_id, t.state::text, c.total, c.pending, c.in_progress, c.completed, c.retrying + c.failed,
           c.ready,
           CASE WHEN t.state = 'cancelled' THEN 'cancelled'
                WHEN c.failed > 0 AND t.state <> 'resolved_manually' THEN 'blocked_by_failures'
                WHEN c.ready > 0 THEN 'has_ready_steps'
                WHEN c.in_progress > 0 THEN 'processing'
                WHEN t.state = 'resolved_manually' OR (c.total > 0 AND c.completed = c.total) THEN 'all_complete'
                ELSE 'waiting_for_dependencies' END,
           CASE WHEN t.state IN ('complete', 'cancelled', 'resolved_manually') THEN 'none'
                WHEN c.failed > 0 THEN 'handle_failures'
                WHEN c.ready > 0 THEN 'execute_ready_steps'
                WHEN c.in_progress > 0 THEN 'wait_for_completion'
                WHEN c.total > 0 AND c.completed = c.total THEN 'finalize_task'
                ELSE 'wait_for_dependencies' END,
           CASE WHEN c.total > 0 THEN round(100.0 * c.completed / c.total, 2) ELSE 0.0 END,
           CASE WHEN t.state = 'cancelled' THEN 'unknown'
                WHEN c.failed > 0 AND t.state <> 'resolved_manually' THEN 'blocked'
                WHEN c.retrying > 0 THEN 'recovering'
                ELSE 'healthy' END,
           c.retrying, c.failed, c.cancelled
    FROM tasker_tasks t
    CROSS JOIN LATERAL (
        SELECT count(*) AS total,
               count(*) FILTER (WHERE s.state = 'pending') AS pending,
               count(*) FILTER (WHERE s.state = 'in_progress') AS in_progress,
               count(*) FILTER (WHERE s.state IN ('complete', 'resolved_manually')) AS completed,
               count(*) FILTER (WHERE s.state = 'waiting_for_retry') AS retrying,
               count(*) FILTER (WHERE s.state = 'error') AS failed,
               count(*) FILTER (WHERE s.state = 'cancelled') AS cancelled,
               count(*) FILTER (WHERE t.state IN ('pending', 'in_progress') AND s.remaining_parents = 0
                                AND s.state IN ('pending', 'waiting_for_retry')
                                AND (s.ready_key IS NOT NULL OR s.next_attempt_at <= clock_timestamp())) AS ready
        FROM tasker_workflow_steps s WHERE s.task_id = t.task_id) c
    WHERE t.task_id = input_task_id
$$;

CREATE FUNCTION public.tasker_acknowledge_batch(p_batch_id bigint, p_reason text, p_actor text DEFAULT NULL::text) RETURNS public.tasker_operation
    LANGUAGE plpgsql
    AS $$
DECLARE v_batch tasker_step_execution_batches;
BEGIN
    IF coalesce(p_reason, '') = '' THEN
        RAISE EXCEPTION 'reason: is missing' USING ERRCODE = 'invalid_parameter_value', COLUMN = 'reason';
    END IF;
    SELECT b.* INTO v_batch FROM tasker_step_execution_batches b WHERE b.batch_id = p_batch_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN tasker_operation_result('not_found', 'unknown_batch', format('there is no batch %s', p_batch_id), NULL);
    ELSIF v_batch.reconciliation_status <> 'discrepancy' THEN
        RETURN tasker_operation_result('refused', 'no_discrepancy',
            format('batch %s is %s: there is no discrepancy to acknowledge', p_batch_id, v_batch.reconciliation_status),
            v_batch.task_id);
    ELSIF v_batch.metadata #> '{acknowledged,discrepancies}' = v_batch.metadata -> 'discrepancies' THEN
        RETURN tasker_operation_result('unchanged', 'already_acknowledged',
            format('batch %s is acknowledged already', p_batch_id), v_batch.task_id);
    END IF;
    UPDATE tasker_step_execution_batches b SET updated_at = clock_timestamp(),
        metadata = b.metadata || jsonb_build_object('acknowledged', jsonb_strip_nulls(jsonb_build_object(
            'at', clock_timestamp(), 'actor', nullif(p_actor, ''), 'reason', p_reason))
            || jsonb_build_object('discrepancies', b.metadata -> 'discrepancies'))
    WHERE b.batch_id = p_batch_id;
    RETURN tasker_operation_result('done', NULL,
        format('the discrepancies of batch %s are acknowledged', p_batch_id), v_batch.task_id);
END $$;

CREATE FUNCTION public.tasker_batch_event(p_to_state text) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE p_to_state WHEN 'executing' THEN 'start' WHEN 'timed_out' THEN 'time_out' WHEN 'cancelled' THEN 'cancel'
                           ELSE 'finish' END
$$;

CREATE FUNCTION public.tasker_batch_lane(p_batch_uuid text) RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT greatest(strpos('0123456789abcdef', substr(p_batch_uuid, 21, 1)) - 1, 0)
$$;

CREATE FUNCTION public.tasker_bound_open_partitions(p_axis text, p_bound bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE p record;
BEGIN
    FOR p IN SELECT t.table_name FROM tasker_partitioned_tables() t WHERE t.axis = p_axis ORDER BY t.place LOOP
        EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', p.table_name);
    END LOOP;
    FOR p IN SELECT x.* FROM tasker_partitions(p_axis) x WHERE x.high IS NULL LOOP
        EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', p.table_name, p.partition_name);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', p.table_name,
            p.partition_name, coalesce(p.low::text, 'MINVALUE'), p_bound);
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT IF EXISTS %I', p.partition_name,
            'tasker_open_until_' || p_bound);
        PERFORM tasker_create_partition(p.table_name, p_bound, NULL);
    END LOOP;
END $$;

CREATE FUNCTION public.tasker_cancel_open_steps(p_task_id bigint, p_step_ids bigint[], p_note jsonb, OUT cancelled bigint[], OUT lost_movable integer) RETURNS record
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_count int;
BEGIN
    PERFORM 1 FROM tasker_workflow_steps s WHERE s.workflow_step_id = ANY (p_step_ids)
        ORDER BY s.workflow_step_id FOR UPDATE;
    v_now := clock_timestamp();  -- after the locks: whoever held them has written a history before ours
    SELECT coalesce(array_agg(s.workflow_step_id ORDER BY s.workflow_step_id), '{}'),
           count(*) FILTER (WHERE s.state <> 'pending' OR s.remaining_parents = 0)
        INTO cancelled, lost_movable
    FROM tasker_workflow_steps s
    WHERE s.task_id = p_task_id AND s.workflow_step_id = ANY (p_step_ids)
      AND s.state IN ('pending', 'in_progress', 'waiting_for_retry');
    INSERT INTO tasker_workflow_step_transitions
        (workflow_step_id, task_id, sort_key, from_state, to_state, event, metadata, created_at)
        SELECT s.workflow_step_id, p_task_id, s.transition_count + 1, s.state, 'cancelled', 'cancel', p_note, v_now
        FROM tasker_workflow_steps s WHERE s.workflow_step_id = ANY (cancelled);
    UPDATE tasker_workflow_steps s SET
        state = 'cancelled', ready_key = NULL, transition_count = s.transition_count + 1, processed_at = v_now,
        next_attempt_at = NULL, backoff_request_seconds = NULL
    WHERE s.workflow_step_id = ANY (cancelled) AND s.state IN ('pending', 'in_progress', 'waiting_for_retry');
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF v_count <> cardinality(cancelled) THEN
        RAISE EXCEPTION 'cancelled % of % steps of task %', v_count, cardinality(cancelled), p_task_id
            USING ERRCODE = '40001';
    END IF;
END $$;

CREATE FUNCTION public.tasker_cancel_step(p_step_id bigint, p_reason text DEFAULT NULL::text, p_actor text DEFAULT NULL::text) RETURNS public.tasker_operation
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_note jsonb := tasker_operation_note(p_reason, p_actor);
    v_task tasker_tasks; v_step tasker_workflow_steps; v_what text; v_ids bigint[]; v_cancelled bigint[];
    v_movable int; v_state text;
BEGIN
    SELECT t.* INTO v_task FROM tasker_tasks t
        WHERE t.task_id = (SELECT s.task_id FROM tasker_workflow_steps s WHERE s.workflow_step_id = p_step_id) FOR UPDATE;
    -- A turn may be claiming it at this moment.
    SELECT * INTO v_step FROM tasker_workflow_steps s WHERE s.workflow_step_id = p_step_id FOR UPDATE;
    IF v_task.task_id IS NULL OR v_step.workflow_step_id IS NULL THEN
        RETURN tasker_operation_result('not_found', 'unknown_step', format('there is no step %s', p_step_id), NULL);
    END IF;
    v_what := format('step %s (%s) of task %s', p_step_id, v_step.name, v_task.task_id);
    IF v_step.state = 'cancelled' THEN
        RETURN tasker_operation_result('unchanged', 'already_cancelled', format('%s is cancelled already', v_what),
            v_task.task_id, p_step_id);
    ELSIF v_step.state NOT IN ('pending', 'in_progress', 'waiting_for_retry') THEN
        RETURN tasker_operation_result('refused', 'wrong_state',
            format('%s is %s: it has ended and cannot be cancelled', v_what, v_step.state), v_task.task_id, p_step_id);
    END IF;
    -- Descendants have higher ids than their ancestors, so locking them now keeps the order. OFFSET 0 makes each
    -- round look its edges up by index, also on tables never analysed.
    WITH RECURSIVE below AS (
        SELECT p_step_id AS step_id
        UNION
        SELECT e.to_step_id FROM below b
        CROSS JOIN LATERAL (SELECT x.to_step_id FROM tasker_workflow_step_edges x
                            WHERE x.from_step_id = b.step_id OFFSET 0) e)
    SELECT array_agg(b.step_id) INTO v_ids FROM below b;
    SELECT c.cancelled, c.lost_movable INTO v_cancelled, v_movable
        FROM tasker_cancel_open_steps(v_task.task_id, v_ids, v_note) c;
    v_state := tasker_settle_task(v_task.task_id, 0, -v_movable, NULL, v_note);
    PERFORM pg_notify(tasker_channel('tasker_wake'), 'scan');
    RETURN tasker_operation_result('done', NULL,
        format('%s is cancelled%s; the task is %s', v_what,
               CASE cardinality(v_cancelled) WHEN 1 THEN '' WHEN 2 THEN ', and so is the one step that depends on it'
                    ELSE format(', and so are the %s steps that depend on it', cardinality(v_cancelled) - 1) END,
               v_state),
        v_task.task_id, p_step_id, NULL, v_cancelled);
END $$;

CREATE FUNCTION public.tasker_cancel_task(p_task_id bigint, p_reason text DEFAULT NULL::text, p_actor text DEFAULT NULL::text) RETURNS public.tasker_operation
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_note jsonb := tasker_operation_note(p_reason, p_actor);
    v_task tasker_tasks; v_cancelled bigint[]; v_movable int; v_running int;
BEGIN
    SELECT t.* INTO v_task FROM tasker_tasks t WHERE t.task_id = p_task_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN tasker_operation_result('not_found', 'unknown_task', format('there is no task %s', p_task_id), NULL);
    ELSIF v_task.state = 'cancelled' THEN
        RETURN tasker_operation_result('unchanged', 'already_cancelled', format('task %s is cancelled already', p_task_id),
            p_task_id);
    ELSIF v_task.state NOT IN ('pending', 'in_progress', 'error') THEN
        RETURN tasker_operation_result('refused', 'wrong_state',
            format('task %s is %s: it has ended and cannot be cancelled', p_task_id, v_task.state), p_task_id);
    END IF;
    SELECT c.cancelled, c.lost_movable INTO v_cancelled, v_movable
        FROM tasker_cancel_open_steps(p_task_id,
            ARRAY(SELECT s.workflow_step_id FROM tasker_workflow_steps s WHERE s.task_id = p_task_id
                  AND s.state IN ('pending', 'in_progress', 'waiting_for_retry')), v_note) c;
    SELECT count(*) INTO v_running FROM tasker_workflow_step_transitions h
        JOIN tasker_workflow_steps s ON s.workflow_step_id = h.workflow_step_id AND s.transition_count = h.sort_key
        WHERE s.workflow_step_id = ANY (v_cancelled) AND h.from_state = 'in_progress';
    PERFORM tasker_close_dead_letters(
        ARRAY(SELECT s.workflow_step_id FROM tasker_workflow_steps s WHERE s.task_id = p_task_id AND s.state = 'error'),
        'cancelled', p_reason, p_actor);
    PERFORM tasker_settle_task(p_task_id, 0, -v_movable, 'cancel', v_note);
    PERFORM pg_notify(tasker_channel('tasker_wake'), 'scan');
    RETURN tasker_operation_result('done', NULL,
        format('task %s is cancelled, with %s of its steps%s', p_task_id, cardinality(v_cancelled),
               CASE WHEN v_running > 0 THEN format(' (%s out at workers, which will be told)', v_running) ELSE '' END),
        p_task_id, NULL, NULL, v_cancelled);
END $$;

CREATE FUNCTION public.tasker_channel(p_name text) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    SELECT CASE WHEN to_regclass('public.tasker_tasks') = 'tasker_tasks'::regclass THEN p_name
                ELSE p_name || '_' || 'tasker_tasks'::regclass::oid END
$$;

CREATE FUNCTION public.tasker_close_dead_letters(p_step_ids bigint[], p_resolution text, p_reason text, p_actor text) RETURNS bigint
    LANGUAGE sql
    AS $$
    WITH closed AS (
        UPDATE tasker_dead_letters d SET resolved_at = clock_timestamp(), resolution = p_resolution,
            resolved_by = left(nullif(p_actor, ''), 255), resolution_reason = nullif(p_reason, '')
        WHERE d.workflow_step_id = ANY (p_step_ids) AND d.resolved_at IS NULL
        RETURNING d.dead_letter_id)
    SELECT max(c.dead_letter_id) FROM closed c
$$;

CREATE FUNCTION public.tasker_configured_json_problem(p_value jsonb, p_depth integer, p_bytes integer) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
DECLARE v_number numeric; v_problem text;
BEGIN
    IF p_value = '{}' THEN
        RETURN NULL;  -- most of them
    END IF;
    v_problem := tasker_json_problem(p_value);
    IF v_problem IS NOT NULL THEN
        RETURN v_problem;
    ELSIF jsonb_path_exists(p_value, format('strict $.**{%s} ? (@.type() == "object" || @.type() == "array")',
                                            p_depth)::jsonpath) THEN
        RETURN format('is nested deeper than %s levels', p_depth);
    ELSIF octet_length(p_value::text) > p_bytes
            AND octet_length(regexp_replace(p_value::text, '("(?:[^"\\]|\\.)*")|([:,]) ', '\1\2', 'g')) > p_bytes THEN
        RETURN format('has more than %s bytes', p_bytes);
    END IF;
    FOR v_number IN SELECT e::numeric FROM jsonb_array_elements(
            jsonb_path_query_array(p_value, 'strict $.** ? (@.type() == "number")')) e LOOP
        IF v_number = trunc(v_number) AND v_number BETWEEN -9223372036854775808 AND 18446744073709551615 THEN
            CONTINUE;
        ELSIF abs(v_number) > 1.7976931348623157e308 OR (v_number <> 0 AND abs(v_number) < 5e-324) THEN
            RETURN 'holds a number beyond what a double can hold';
        ELSIF v_number::float8::text::numeric <> v_number THEN
            RETURN format('holds a number that becomes %s as a double', v_number::float8);
        END IF;
    END LOOP;
    RETURN NULL;
END $_$;

CREATE FUNCTION public.tasker_create_partition(p_table text, p_low bigint, p_high bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%s) TO (%s) WITH (%s)',
        p_table || '_p' || coalesce(p_low, 0), p_table, coalesce(p_low::text, 'MINVALUE'),
        coalesce(p_high::text, 'MAXVALUE'),
        (SELECT t.options FROM tasker_partitioned_tables() t WHERE t.table_name = p_table));
END $$;

CREATE FUNCTION public.tasker_create_steps(p_new public.tasker_new_task[], p_step_ids bigint[]) RETURNS text
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE v_keys text;
BEGIN
    WITH ids AS MATERIALIZED (
        SELECT n.task_id, n.priority, n.held_until, n.base, t.namespace_id, t.shard, t.context_bytes, s.*,
               p_step_ids[n.base + s.position] AS step_id
        FROM unnest(p_new) n
        CROSS JOIN LATERAL (SELECT t.namespace_id, t.shard, octet_length(t.context::text) AS context_bytes
                            FROM tasker_tasks t WHERE t.task_id = n.task_id OFFSET 0) t
        JOIN tasker_task_template_steps s ON s.task_template_id = n.task_template_id
        WHERE NOT n.existing AND n.problem IS NULL
        ORDER BY n.ord, s.position
    ), steps AS (
        INSERT INTO tasker_workflow_steps (workflow_step_id, task_id, namespace_id, named_step_id, handler_key,
                ready_key, priority, shard, retry_limit, remaining_parents, input_bytes, timeout_ms, retryable, claim_first,
                on_orphan, name, handler_class, next_attempt_at, result_step_ids)
            SELECT i.step_id, i.task_id, i.namespace_id, i.named_step_id, i.handler_key,
                   CASE WHEN i.parent_positions = '{}' AND i.held_until IS NULL THEN i.handler_key END,
                   i.priority, i.shard, i.retry_limit, cardinality(i.parent_positions), i.context_bytes,
                   i.timeout_ms, i.retryable, i.claim_first, i.on_orphan, i.name, i.handler_class,
                   CASE WHEN i.parent_positions = '{}' THEN i.held_until END,
                   CASE WHEN i.result_positions <> '{}' THEN ARRAY(SELECT p_step_ids[i.base + rp.position]
                                                                   FROM unnest(i.result_positions) rp(position)) END
            FROM ids i
    ), edges AS (
        INSERT INTO tasker_workflow_step_edges (from_step_id, to_step_id, task_id)
            SELECT p_step_ids[c.base + pp.position], c.step_id, c.task_id
            FROM ids c CROSS JOIN LATERAL unnest(c.parent_positions) pp(position)
    ), step_history AS (
        INSERT INTO tasker_workflow_step_transitions (workflow_step_id, task_id, sort_key, to_state, event)
            SELECT i.step_id, i.task_id, 1, 'pending', 'create' FROM ids i
    ), task_history AS (
        INSERT INTO tasker_task_transitions (task_id, sort_key, to_state, event)
            SELECT n.task_id, 1, 'pending', 'create' FROM unnest(p_new) n WHERE NOT n.existing AND n.problem IS NULL
    )
    SELECT string_agg(DISTINCT i.handler_key::text, ',') INTO v_keys FROM ids i WHERE i.parent_positions = '{}';
    RETURN v_keys;
END $$;

CREATE FUNCTION public.tasker_create_tasks(p_requests jsonb) RETURNS TABLE(ord integer, task_id bigint, existing boolean, step_count integer, problem text)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_new tasker_new_task[]; v_ids bigint[]; v_keys text; v_wrong record;
BEGIN
    IF p_requests -> 1 IS NOT NULL OR tasker_is_plain_request(p_requests -> 0) IS NOT TRUE THEN
        SELECT p.* INTO v_wrong FROM tasker_request_problems(p_requests) p LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION '%', concat_ws(': ', 'request ' || nullif(v_wrong.ord, 0), nullif(v_wrong.field, ''),
                                           v_wrong.message)
                USING ERRCODE = 'invalid_parameter_value', COLUMN = v_wrong.field;
        END IF;
    END IF;
    v_new := tasker_plan_tasks(p_requests);
    v_ids := ARRAY(SELECT nextval('tasker_workflow_steps_workflow_step_id_seq')
                   FROM unnest(v_new) n
                   CROSS JOIN LATERAL generate_series(1, (SELECT max(s.position) FROM tasker_task_template_steps s
                                                          WHERE s.task_template_id = n.task_template_id))
                   WHERE NOT n.existing AND n.problem IS NULL);

    INSERT INTO tasker_tasks (task_id, named_task_id, template_revision, namespace_id, priority, shard, open_steps,
            movable_steps, parent_task_id, parent_step_id, requested_at, not_before, initiator, source_system,
            reason, trace_context, tags, context)
        SELECT n.task_id, tt.named_task_id, tt.revision, nt.task_namespace_id, n.priority,
               (hashint8(n.task_id) & 63)::smallint, c.steps, c.roots, x.parent_task_id::bigint, x.parent_step_id::bigint,
               coalesce(x.requested_at, now()), x.not_before, x.initiator, x.source_system, x.reason,
               x.trace_context, coalesce(x.tags, '[]'), coalesce(x.context, '{}')
        FROM unnest(v_new) n
        JOIN tasker_task_templates tt ON tt.task_template_id = n.task_template_id
        JOIN tasker_named_tasks nt ON nt.named_task_id = tt.named_task_id
        CROSS JOIN LATERAL (SELECT count(*)::int AS steps, count(*) FILTER (WHERE s.parent_positions = '{}')::int
                            AS roots FROM tasker_task_template_steps s
                            WHERE s.task_template_id = n.task_template_id) c
        CROSS JOIN LATERAL jsonb_to_record(p_requests -> (n.ord - 1)) AS x(context jsonb, tags jsonb, initiator text,
             source_system text, reason text, requested_at timestamptz, not_before timestamptz, trace_context text,
             parent_task_id numeric, parent_step_id numeric)
        WHERE NOT n.existing AND n.problem IS NULL;

    v_keys := tasker_create_steps(v_new, v_ids);
    IF v_keys IS NOT NULL THEN
        -- A held task needs the timer of the next due step set anew, which only a scan does.
        PERFORM pg_notify(tasker_channel('tasker_wake'), CASE
            WHEN length(v_keys) < 4000 AND NOT EXISTS (SELECT FROM unnest(v_new) n WHERE n.held_until IS NOT NULL)
            THEN format('keys:%s;from:%s:%s', v_keys, (SELECT max(n.priority) FROM unnest(v_new) n), v_ids[1])
                 || CASE WHEN cardinality(v_new) = 1 THEN ';shard:' || (hashint8(v_new[1].task_id) & 63) ELSE '' END
            ELSE 'scan' END);
    END IF;
    RETURN QUERY SELECT n.ord, n.task_id, n.existing,
            (SELECT count(*)::int FROM tasker_task_template_steps s WHERE s.task_template_id = n.task_template_id),
            n.problem
        FROM unnest(v_new) n ORDER BY n.ord;
END $$;

CREATE FUNCTION public.tasker_description_problem(p_value jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE WHEN jsonb_typeof(p_value) <> 'string' THEN 'must be text, not ' || jsonb_typeof(p_value)
                WHEN octet_length(p_value #>> '{}') > 2000 THEN 'has more than 2000 bytes' END
$$;

CREATE FUNCTION public.tasker_discard_dead_letter(p_dead_letter_id bigint, p_reason text DEFAULT NULL::text, p_actor text DEFAULT NULL::text) RETURNS public.tasker_operation
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_result tasker_operation; v_letter tasker_dead_letters;
BEGIN
    PERFORM tasker_lock_dead_letter(p_dead_letter_id);
    SELECT r.* INTO v_result FROM tasker_refuse_closed_dead_letter(p_dead_letter_id, 'discarded') r;
    IF FOUND THEN
        RETURN v_result;
    END IF;
    UPDATE tasker_dead_letters d SET resolved_at = clock_timestamp(), resolution = 'discarded',
        resolved_by = left(nullif(p_actor, ''), 255), resolution_reason = nullif(p_reason, '')
    WHERE d.dead_letter_id = p_dead_letter_id AND d.resolved_at IS NULL
    RETURNING d.* INTO v_letter;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'dead letter % changed while it was discarded', p_dead_letter_id USING ERRCODE = '40001';
    END IF;
    RETURN tasker_operation_result('done', NULL,
        format('dead letter %s is discarded; step %s stays in error', p_dead_letter_id, v_letter.workflow_step_id),
        v_letter.task_id, v_letter.workflow_step_id, p_dead_letter_id);
END $$;

CREATE FUNCTION public.tasker_drop_range(p_axis text, p_low bigint, p_high bigint, p_before timestamp with time zone, p_staying bigint[], OUT rows_dropped bigint, OUT rows_kept bigint) RETURNS record
    LANGUAGE plpgsql
    AS $_$
DECLARE
    p record; v_total bigint; v_staying bigint[]; v_first bigint; v_last bigint;
    v_partitions text[]; v_tables text[];
BEGIN
    IF p_axis = 'task_id' THEN
        PERFORM 1 FROM tasker_tasks t WHERE t.task_id >= p_low AND t.task_id < p_high
            AND (t.state = 'error' OR t.task_id = ANY (p_staying)) ORDER BY t.task_id FOR UPDATE;
        PERFORM 1 FROM tasker_workflow_steps s WHERE s.task_id >= p_low AND s.task_id < p_high
            AND s.task_id = ANY (p_staying) ORDER BY s.workflow_step_id FOR UPDATE;
    ELSE
        PERFORM 1 FROM tasker_step_execution_batches b WHERE b.batch_id >= p_low AND b.batch_id < p_high
            AND b.batch_id = ANY (p_staying) ORDER BY b.batch_id FOR UPDATE;
        PERFORM 1 FROM tasker_step_execution_batch_steps bs WHERE bs.batch_id >= p_low AND bs.batch_id < p_high
            AND bs.batch_id = ANY (p_staying) ORDER BY bs.batch_id, bs.workflow_step_id FOR UPDATE;
    END IF;
    SELECT x.total, x.staying INTO v_total, v_staying
        FROM tasker_staying_ids(p_axis, p_low, p_high, p_before, cardinality(p_staying) + 1) x;
    SELECT array_agg(x.partition_name ORDER BY x.place), array_agg(x.table_name ORDER BY x.place)
        INTO v_partitions, v_tables FROM tasker_partitions(p_axis) x
        WHERE coalesce(x.low, 0) = p_low AND x.high = p_high;
    IF v_staying <> p_staying OR v_partitions IS NULL THEN
        RAISE EXCEPTION 'range % to % of % has changed', p_low, p_high, p_axis USING ERRCODE = 'TK002';
    END IF;
    IF p_axis = 'task_id' THEN
        SELECT min(s.workflow_step_id), max(s.workflow_step_id) INTO v_first, v_last
            FROM tasker_workflow_steps s WHERE s.task_id >= p_low AND s.task_id < p_high;
    END IF;
    IF p_staying <> '{}' THEN
        FOR p IN SELECT v_tables[i] AS table_name, v_partitions[i] AS partition_name, t.options
                 FROM generate_subscripts(v_tables, 1) i
                 JOIN tasker_partitioned_tables() t ON t.table_name = v_tables[i] ORDER BY i LOOP
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL EXCLUDING IDENTITY) WITH (%s)',
                p.partition_name || '_new', p.table_name, p.options);
            EXECUTE format('INSERT INTO %I SELECT * FROM %I WHERE %I = ANY ($1)', p.partition_name || '_new',
                p.partition_name, p_axis) USING p_staying;
        END LOOP;
    END IF;

    FOR i IN 1 .. cardinality(v_tables) LOOP
        EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', v_tables[i]);
    END LOOP;
    FOR i IN 1 .. cardinality(v_tables) LOOP
        EXECUTE format('DROP TABLE %I', v_partitions[i]);
        IF p_staying <> '{}' THEN
            EXECUTE format('ALTER TABLE %I RENAME TO %I', v_partitions[i] || '_new', v_partitions[i]);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', v_tables[i],
                v_partitions[i], CASE p_low WHEN 0 THEN 'MINVALUE' ELSE p_low::text END, p_high);
        END IF;
    END LOOP;
    rows_kept := cardinality(p_staying);
    rows_dropped := v_total - rows_kept;
    INSERT INTO tasker_dropped_ranges (axis, low, high, first_step_id, last_step_id, rows_dropped, kept_ids)
        VALUES (p_axis, p_low, p_high, v_first, v_last, rows_dropped, p_staying);
END $_$;

CREATE FUNCTION public.tasker_error_holds(p_error jsonb, p_text text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT strpos(lower(concat_ws(' ', p_error ->> 'error_type', p_error ->> 'error_code', p_error ->> 'message')),
                  lower(p_text)) > 0
$$;

CREATE FUNCTION public.tasker_expired_ranges(p_axis text, p_before timestamp with time zone) RETURNS TABLE(low bigint, high bigint, partition_name text)
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_last bigint := tasker_last_id(p_axis); v_made timestamptz; p record;
BEGIN
    FOR p IN SELECT x.* FROM tasker_partitions(p_axis) x WHERE x.place = 1 AND x.high <= v_last + 1 LOOP
        EXECUTE format('SELECT created_at FROM %I ORDER BY %I DESC LIMIT 1', p.partition_name, p_axis) INTO v_made;
        CONTINUE WHEN v_made IS NULL OR v_made >= p_before;
        low := coalesce(p.low, 0);
        high := p.high;
        partition_name := p.partition_name;
        RETURN NEXT;
    END LOOP;
END $$;

CREATE FUNCTION public.tasker_explain_cause(p_state text, p_remaining_parents integer, p_claim_first boolean, p_claimable boolean, p_next_attempt_at timestamp with time zone, p_hand_back text, p_blocked boolean, p_delivery public.tasker_explain_delivery, p_place public.tasker_explain_place, p_key public.tasker_explain_key) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE
        WHEN p_state = 'error' THEN 'failed'
        WHEN p_state = 'cancelled' THEN 'cancelled'
        WHEN p_state = 'in_progress' THEN
            CASE WHEN (p_delivery).step_id IS NULL THEN 'inconsistent'
                 WHEN (p_delivery).started_at IS NOT NULL THEN 'running'
                 WHEN (p_delivery).session IS NULL THEN 'plain_worker'
                 WHEN (p_delivery).batch_state <> 'executing' THEN 'published'
                 WHEN p_claim_first AND (p_delivery).granted_at IS NULL THEN 'awaiting_start_grant'
                 ELSE 'accepted' END
        WHEN p_remaining_parents > 0 THEN
            CASE WHEN p_blocked THEN 'blocked_by_failed_step' ELSE 'waiting_for_parents' END
        WHEN p_claimable THEN
            CASE WHEN (p_place).cause IS NOT NULL THEN (p_place).cause
                 WHEN (p_key).plain THEN 'plain_worker'
                 WHEN coalesce((p_key).serving, 0) = 0 THEN 'no_session'
                 -- Free credit that does not reach it: more than one turn's work stands before it.
                 WHEN (p_key).free >= 1000 THEN 'turn_full'
                 ELSE 'no_credit' END
        WHEN p_next_attempt_at IS NULL THEN 'inconsistent'
        WHEN p_state = 'waiting_for_retry' THEN 'backoff'
        WHEN p_hand_back = 'snoozed' THEN 'snoozed'
        WHEN p_hand_back IS NOT NULL THEN 'handed_back'
        ELSE 'not_before' END
$$;

CREATE FUNCTION public.tasker_explain_causes() RETURNS text[]
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT ARRAY['running', 'awaiting_start_grant', 'accepted', 'published', 'plain_worker', 'ready', 'namespace_turn',
                 'turn_full', 'no_credit', 'backoff', 'snoozed', 'not_before', 'handed_back', 'no_session', 'inconsistent',
                 'waiting_for_parents', 'failed', 'blocked_by_failed_step', 'cancelled']
$$;

CREATE FUNCTION public.tasker_explain_deliveries(p_step_ids bigint[]) RETURNS SETOF public.tasker_explain_delivery
    LANGUAGE sql STABLE
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
    WITH delivered AS MATERIALIZED (
        SELECT d.* FROM unnest(p_step_ids) x(step_id) CROSS JOIN LATERAL (
            SELECT bs.workflow_step_id, bs.batch_id, bs.sequence_order, bs.started_at, bs.granted_at
            FROM tasker_step_execution_batch_steps bs
            WHERE bs.workflow_step_id = x.step_id AND bs.reported_at IS NULL AND bs.final_status IS NULL
            ORDER BY bs.attempt DESC LIMIT 1) d)
    SELECT d.workflow_step_id, b.batch_uuid::text, b.state::text, b.session::text, b.created_at, d.started_at,
           d.granted_at, w.worker_id::text, w.state::text,
           -- Without sessions nobody reports when a step starts: it has its own time after those before it in the
           -- batch.
           CASE WHEN b.session IS NULL THEN b.created_at + (
               SELECT make_interval(secs => sum(s.timeout_ms) / 1000.0)
               FROM (SELECT y.workflow_step_id FROM tasker_step_execution_batch_steps y
                     WHERE y.batch_id = d.batch_id AND y.sequence_order <= d.sequence_order OFFSET 0) y
               CROSS JOIN LATERAL (SELECT z.timeout_ms FROM tasker_workflow_steps z
                                   WHERE z.workflow_step_id = y.workflow_step_id OFFSET 0) s) END,
           w.last_heartbeat_at
    FROM delivered d
    CROSS JOIN LATERAL (SELECT * FROM tasker_step_execution_batches x WHERE x.batch_id = d.batch_id OFFSET 0) b
    LEFT JOIN tasker_workers w ON w.session = b.session
$$;

CREATE FUNCTION public.tasker_explain_keys(p_keys integer[], p_epoch bigint) RETURNS SETOF public.tasker_explain_key
    LANGUAGE sql STABLE
    SET jit TO 'off'
    AS $_$
    WITH serving AS MATERIALIZED (
        SELECT x.*, row_number() OVER (PARTITION BY x.handler_key ORDER BY x.state <> 'ready', x.worker_id, x.session) AS no
        FROM tasker_sessions_serving(p_keys, p_epoch) x
    ), counts AS (
        SELECT v.handler_key, count(*)::int AS serving, sum(v.free_credit)::int AS free,
               jsonb_agg(jsonb_build_object('worker_id', v.worker_id, 'session', v.session, 'state', v.state,
                   'in_flight', v.in_flight, 'credit_limit', v.credit_limit, 'free_credit', v.free_credit)
                   ORDER BY v.no) FILTER (WHERE v.no <= 5) AS sessions
        FROM serving v GROUP BY v.handler_key
    ), plain AS MATERIALIZED (
        SELECT b.batch_uuid, b.created_at FROM tasker_step_execution_batches b
        WHERE (b.reconciliation_status = 'pending' OR tasker_is_open_batch(b.state))
          AND tasker_is_open_batch(b.state) AND b.session IS NULL
        ORDER BY b.batch_id LIMIT 1
    )
    SELECT k.handler_key, coalesce(c.serving, 0), coalesce(c.free, 0), p.batch_uuid IS NOT NULL,
           jsonb_strip_nulls(jsonb_build_object('namespace', n.name, 'handler_class', k.handler_class,
               'session_count', c.serving, 'sessions', c.sessions, 'plain_batch', p.batch_uuid,
               'other_namespace', CASE WHEN c.serving IS NULL THEN o.found END,
               'similar_handlers', CASE WHEN c.serving IS NULL THEN a.found END))
    FROM tasker_handler_keys k
    JOIN tasker_task_namespaces n ON n.task_namespace_id = k.namespace_id
    LEFT JOIN counts c ON c.handler_key = k.handler_key
    LEFT JOIN plain p ON c.serving IS NULL AND NOT EXISTS (
        SELECT FROM tasker_workers w WHERE w.epoch = p_epoch AND tasker_matches_any(w.handlers, k.handler_class))
    -- Workers that run the handler for other namespaces only.
    LEFT JOIN LATERAL (
        SELECT jsonb_agg(x.found) AS found FROM (
            SELECT jsonb_build_object('worker_id', w.worker_id, 'namespaces', w.namespaces) AS found
            FROM tasker_workers w
            WHERE w.epoch = p_epoch AND w.state NOT IN ('lost', 'left', 'gone')
              AND tasker_matches_any(w.handlers, k.handler_class)
            ORDER BY w.worker_id LIMIT 3) x) o ON c.serving IS NULL
    -- Announced names that differ in case, module or a final "Handler" only.
    LEFT JOIN LATERAL (
        SELECT jsonb_agg(x.found) AS found FROM (
            SELECT DISTINCT h.name AS found FROM tasker_workers w
            CROSS JOIN LATERAL jsonb_array_elements_text(w.handlers) h(name)
            WHERE w.epoch = p_epoch AND w.state NOT IN ('lost', 'left', 'gone') AND h.name <> k.handler_class
              AND regexp_replace(lower(h.name), '^.*(::|\.)|handler$', '', 'g')
                  = regexp_replace(lower(k.handler_class), '^.*(::|\.)|handler$', '', 'g')
            ORDER BY 1 LIMIT 3) x) a ON c.serving IS NULL
    WHERE k.handler_key = ANY (p_keys)
$_$;

CREATE FUNCTION public.tasker_explain_next_event(p_cause text, p_state text) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE p_cause
        WHEN 'waiting_for_parents' THEN 'parents_complete'
        WHEN 'no_credit' THEN 'credit_returns'
        WHEN 'running' THEN 'result'
        WHEN 'awaiting_start_grant' THEN 'start_grant'
        WHEN 'accepted' THEN 'start'
        WHEN 'published' THEN 'acceptance'
        WHEN 'plain_worker' THEN CASE p_state WHEN 'in_progress' THEN 'result' ELSE 'plain_batch_ends' END
        WHEN 'ready' THEN 'next_turn'
        WHEN 'namespace_turn' THEN 'next_turns'
        WHEN 'turn_full' THEN 'next_turns'
        WHEN 'backoff' THEN 'retry_due'
        WHEN 'snoozed' THEN 'wait_ends'
        WHEN 'handed_back' THEN 'offered_again'
        WHEN 'not_before' THEN 'not_before_passes'
        WHEN 'no_session' THEN 'session_connects'
        WHEN 'inconsistent' THEN 'operator_checks_database'
        ELSE 'operator_decides' END
$$;

CREATE FUNCTION public.tasker_explain_places(p_step_ids bigint[], p_keys integer[], p_epoch bigint, p_lane integer, p_lanes integer, p_any_free boolean, p_now timestamp with time zone) RETURNS SETOF public.tasker_explain_place
    LANGUAGE sql STABLE
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_nestloop TO 'off'
    AS $$
    WITH queue AS MATERIALIZED (
        SELECT q.workflow_step_id, row_number() OVER (PARTITION BY k.key ORDER BY q.priority DESC, q.workflow_step_id) - 1
               AS ahead
        FROM unnest(p_keys) k(key) CROSS JOIN LATERAL (
            SELECT s.workflow_step_id, s.priority FROM tasker_workflow_steps s
            WHERE s.ready_key = k.key AND s.shard % p_lanes = p_lane
            ORDER BY -s.priority::int, s.workflow_step_id
            LIMIT greatest(100, 2000 / cardinality(p_keys))) q
    ), next AS MATERIALIZED (
        SELECT c.workflow_step_id, c.cause FROM tasker_next_claims(p_epoch, p_lane, p_lanes, p_now) c WHERE p_any_free
    ), known AS MATERIALIZED (
        SELECT coalesce(q.workflow_step_id, n.workflow_step_id) AS id, q.ahead, n.cause
        FROM queue q FULL JOIN next n ON n.workflow_step_id = q.workflow_step_id)
    SELECT k.id, k.ahead::int, k.cause
    FROM known k JOIN unnest(p_step_ids) m(id) ON m.id = k.id
$$;

CREATE FUNCTION public.tasker_explain_steps(p_task_id bigint, p_now timestamp with time zone, p_graph public.tasker_explain_graph, p_ended bigint[], p_deliveries public.tasker_explain_delivery[], p_keys public.tasker_explain_key[], p_places public.tasker_explain_place[]) RETURNS SETOF public.tasker_explanation
    LANGUAGE plpgsql STABLE
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_nestloop TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
DECLARE
    v_roots bigint[] := p_graph.roots; v_failed boolean[] := p_graph.failed;
BEGIN
    RETURN QUERY
    WITH steps AS (
        SELECT s.*, tasker_is_claimable(s.state, s.remaining_parents, s.ready_key, s.next_attempt_at, p_now) AS claimable,
               (s.workflow_step_id - p_graph.low)::int + 1 AS at,
               CASE WHEN s.unstarted_attempts > 0 AND s.state = 'pending' AND s.next_attempt_at IS NOT NULL THEN
                   (SELECT h.metadata FROM tasker_workflow_step_transitions h
                    WHERE h.workflow_step_id = s.workflow_step_id AND h.sort_key = s.transition_count) END AS hand_back
        FROM tasker_workflow_steps s
        WHERE s.task_id = p_task_id AND s.state NOT IN ('complete', 'resolved_manually')
        OFFSET 0
    ), parents AS MATERIALIZED (
        SELECT e.to_step_id, array_agg(e.from_step_id ORDER BY e.from_step_id) AS ids
        FROM unnest(p_graph.to_ids, p_graph.from_ids) e(to_step_id, from_step_id) GROUP BY e.to_step_id
    ), dead_letters AS MATERIALIZED (
        SELECT DISTINCT ON (d.workflow_step_id) d.workflow_step_id, d.dead_letter_id, d.reason
        FROM unnest(p_ended) f(id) CROSS JOIN LATERAL (
            SELECT x.workflow_step_id, x.dead_letter_id, x.reason FROM tasker_dead_letters x
            WHERE x.workflow_step_id = f.id AND x.resolved_at IS NULL OFFSET 0) d
        ORDER BY d.workflow_step_id, d.dead_letter_id DESC
    ), judged AS (
        SELECT s.*, d.batch_uuid, d.session, d.worker_id, d.worker_state, d.worker_seen_at, d.published_at, d.started_at,
               d.times_out_at, p.ahead, l.dead_letter_id, l.reason AS dead_letter_reason, w.ids AS waits_for,
               tasker_explain_cause(s.state, s.remaining_parents, s.claim_first, s.claimable, s.next_attempt_at,
                   s.hand_back ->> 'reason', v_failed[s.at], d, p, k) AS cause,
               CASE WHEN s.state IN ('error', 'waiting_for_retry') THEN s.error ->> 'message' END AS message
        FROM steps s
        LEFT JOIN unnest(p_deliveries) d ON d.step_id = s.workflow_step_id
        LEFT JOIN unnest(p_places) p ON p.step_id = s.workflow_step_id
        LEFT JOIN unnest(p_keys) k ON s.claimable AND k.handler_key = s.handler_key
        LEFT JOIN parents w ON w.to_step_id = s.workflow_step_id
        LEFT JOIN dead_letters l ON l.workflow_step_id = s.workflow_step_id
        OFFSET 0  -- the cause is worked out once, not wherever it is named
    )
    SELECT j.workflow_step_id, j.name::text, j.state::text, j.cause,
           CASE WHEN j.cause IN ('failed', 'cancelled') THEN j.processed_at
                WHEN j.cause = 'running' THEN j.started_at
                WHEN j.state = 'in_progress' THEN coalesce(j.published_at, j.last_attempted_at)
                WHEN j.cause = 'backoff' THEN
                    j.next_attempt_at - make_interval(secs => coalesce(j.backoff_request_seconds, 0))
                WHEN j.cause = 'not_before' THEN j.created_at
                WHEN j.cause IN ('snoozed', 'handed_back') THEN j.last_attempted_at
                ELSE greatest(j.created_at, j.next_attempt_at, j.last_attempted_at) END,
           tasker_explain_next_event(j.cause, j.state),
           CASE WHEN j.cause = 'running' THEN
                    coalesce(j.times_out_at, j.started_at + make_interval(secs => j.timeout_ms / 1000.0))
                WHEN j.cause = 'plain_worker' THEN j.times_out_at
                WHEN j.cause IN ('backoff', 'snoozed', 'handed_back', 'not_before') THEN j.next_attempt_at END,
           CASE WHEN j.remaining_parents > 0 AND j.state = 'pending' THEN v_roots[j.at] END,
           j.waits_for, CASE WHEN j.claimable THEN j.ahead END, j.attempts - j.unstarted_attempts,
           CASE WHEN j.retryable THEN j.retry_limit ELSE 1 END, j.handler_class::text, j.worker_id, j.session,
           CASE WHEN j.state = 'in_progress' THEN
                    jsonb_build_object('batch_uuid', j.batch_uuid, 'worker_state', j.worker_state, 'worker_silent_seconds',
                        round(extract(epoch FROM p_now - j.worker_seen_at), 3), 'on_orphan', j.on_orphan)
                WHEN j.state = 'error' THEN jsonb_build_object('message', j.message, 'dead_letter_id',
                    j.dead_letter_id, 'dead_letter_reason', j.dead_letter_reason)
                WHEN j.cause = 'snoozed' THEN jsonb_build_object('until', j.next_attempt_at, 'snoozes', j.snoozes,
                    'max_snoozes', tasker_max_snoozes(p_task_id, j.name), 'message', j.hand_back ->> 'message')
                WHEN j.cause = 'handed_back' THEN jsonb_build_object(
                    'handed_back', j.unstarted_attempts - j.snoozes, 'reason', j.hand_back ->> 'reason')
                WHEN j.message IS NOT NULL THEN jsonb_build_object('message', j.message) END
    FROM judged j ORDER BY j.workflow_step_id;
END $$;

CREATE FUNCTION public.tasker_explain_summary(p_state text, p_completed_at timestamp with time zone, p_instance text, p_epoch bigint, p_ruler_state text, p_last_seen_at timestamp with time zone, p_down boolean, p_steps public.tasker_explanation[], p_keys public.tasker_explain_key[]) RETURNS public.tasker_explanation
    LANGUAGE sql STABLE
    SET jit TO 'off'
    AS $$
    WITH causes AS (
        SELECT c.cause, c.count, array_position(tasker_explain_causes(), c.cause) AS place
        FROM (SELECT e.cause, count(*) FROM unnest(p_steps) e GROUP BY e.cause) c
    ), first AS (
        SELECT e.* FROM unnest(p_steps) e WHERE e.cause = (SELECT c.cause FROM causes c ORDER BY c.place LIMIT 1)
        ORDER BY e.next_at, e.workflow_step_id LIMIT 1
    ), task AS (
        SELECT p_state IN ('complete', 'error', 'cancelled', 'resolved_manually') AS ended, coalesce(p_down, true) AS down
    )
    SELECT NULL::bigint, NULL::text, p_state,
           CASE WHEN t.ended THEN p_state WHEN t.down THEN 'orchestrator_down' ELSE f.cause END,
           CASE WHEN t.ended THEN p_completed_at WHEN t.down THEN p_last_seen_at ELSE f.since END,
           CASE WHEN p_state = 'error' THEN 'operator_decides' WHEN t.ended THEN NULL
                WHEN t.down THEN 'orchestrator_starts' ELSE f.next_event END,
           CASE WHEN NOT t.ended AND NOT t.down THEN f.next_at END,
           CASE WHEN NOT t.ended THEN f.workflow_step_id END, NULL::bigint[], NULL::int, NULL::int, NULL::int,
           NULL::text, NULL::text, NULL::text,
           jsonb_build_object(
               'causes', coalesce((SELECT jsonb_object_agg(c.cause, c.count ORDER BY c.place) FROM causes c), '{}'),
               'orchestrator', CASE WHEN p_epoch IS NOT NULL THEN jsonb_build_object('instance', p_instance,
                   'state', p_ruler_state, 'epoch', p_epoch, 'last_seen_at', p_last_seen_at, 'down', p_down) END,
               'handlers', coalesce((SELECT jsonb_object_agg(k.detail ->> 'handler_class', k.detail)
                                     FROM unnest(p_keys) k), '{}'),
               'sessions', coalesce((SELECT jsonb_agg(to_jsonb(w) ORDER BY w.worker_id, w.session) FROM (
                   SELECT x.worker_id, x.session, x.state, x.handlers, x.namespaces, x.in_flight, x.credit_limit,
                          x.free_credit FROM tasker_workers x
                   WHERE x.epoch = p_epoch AND x.state NOT IN ('lost', 'left', 'gone')
                   ORDER BY x.worker_id, x.session LIMIT 20) w), '[]'))
    FROM task t LEFT JOIN first f ON true
$$;

CREATE FUNCTION public.tasker_explain_task(p_task_id bigint, p_now timestamp with time zone DEFAULT clock_timestamp()) RETURNS SETOF public.tasker_explanation
    LANGUAGE plpgsql STABLE
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_nestloop TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
DECLARE
    v_task record; v_ruler record; v_open record;
    v_standing tasker_explain_key[] := '{}'; v_places tasker_explain_place[] := '{}';
    v_deliveries tasker_explain_delivery[] := '{}'; v_steps tasker_explanation[]; v_lanes int;
BEGIN
    SELECT t.* INTO v_task FROM tasker_tasks t WHERE t.task_id = p_task_id;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT o.* INTO v_ruler FROM tasker_ruling_orchestrator(p_now) o;
    v_lanes := coalesce(v_ruler.lanes, 1);

    SELECT min(s.workflow_step_id) AS low, max(s.workflow_step_id) AS high,
           min(s.workflow_step_id) FILTER (WHERE s.remaining_parents > 0) AS first,
           max(s.workflow_step_id) FILTER (WHERE s.remaining_parents > 0) AS last,
           coalesce(array_agg(s.workflow_step_id) FILTER (WHERE s.state = 'in_progress'), '{}') AS going,
           coalesce(array_agg(s.workflow_step_id) FILTER (WHERE s.claimable), '{}') AS claimable,
           coalesce(array_agg(DISTINCT s.handler_key) FILTER (WHERE s.claimable), '{}') AS keys,
           coalesce(array_agg(s.workflow_step_id) FILTER (WHERE s.state IN ('error', 'cancelled')), '{}') AS ended
        INTO v_open
    FROM (SELECT s.workflow_step_id, s.state, s.remaining_parents, s.handler_key,
                 tasker_is_claimable(s.state, s.remaining_parents, s.ready_key, s.next_attempt_at, p_now) AS claimable
          FROM tasker_workflow_steps s
          WHERE s.task_id = p_task_id AND s.state NOT IN ('complete', 'resolved_manually')) s;
    IF cardinality(v_open.going) > 0 THEN
        v_deliveries := ARRAY(SELECT d FROM tasker_explain_deliveries(v_open.going) d);
    END IF;
    IF cardinality(v_open.claimable) > 0 THEN
        v_standing := ARRAY(SELECT k FROM tasker_explain_keys(v_open.keys, v_ruler.epoch) k);
        v_places := ARRAY(SELECT p FROM tasker_explain_places(v_open.claimable, v_open.keys, v_ruler.epoch,
            v_task.shard % v_lanes, v_lanes, EXISTS (SELECT FROM unnest(v_standing) k WHERE k.free > 0),
            p_now) p);
    END IF;
    v_steps := ARRAY(SELECT e FROM tasker_explain_steps(p_task_id, p_now,
        tasker_explain_waits(p_task_id, v_open.low, v_open.high, v_open.first, v_open.last, v_open.ended),
        v_open.ended, v_deliveries, v_standing, v_places) e);
    RETURN QUERY SELECT e.* FROM tasker_explain_summary(v_task.state, v_task.completed_at, v_ruler.instance,
        v_ruler.epoch, v_ruler.state, v_ruler.last_seen_at, v_ruler.down, v_steps, v_standing) e;
    RETURN QUERY SELECT e.* FROM unnest(v_steps) e;
END $$;

CREATE FUNCTION public.tasker_explain_waits(p_task_id bigint, p_low bigint, p_high bigint, p_first bigint, p_last bigint, p_ended bigint[]) RETURNS public.tasker_explain_graph
    LANGUAGE plpgsql STABLE
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_nestloop TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
DECLARE
    c_listed_max CONSTANT int := 1000;  -- parents that are named, whole steps at a time
    v_roots bigint[]; v_failed boolean[]; v_from_ids bigint[] := '{}'; v_to_ids bigint[] := '{}';
    v_id bigint; v_parents bigint[]; v_parent bigint; v_root bigint; v_at int;
    v_listed int := 0; v_last_listed bigint := 0;
BEGIN
    IF p_first IS NULL THEN
        RETURN ROW(p_low, NULL, NULL, NULL, NULL)::tasker_explain_graph;
    END IF;
    v_roots := array_fill(0::bigint, ARRAY[(p_high - p_low + 1)::int]);
    v_failed := array_fill(false, ARRAY[(p_high - p_low + 1)::int]);
    FOR v_id IN SELECT s.workflow_step_id FROM tasker_workflow_steps s
                WHERE s.task_id = p_task_id AND s.state NOT IN ('complete', 'resolved_manually') LOOP
        v_roots[v_id - p_low + 1] := v_id;
    END LOOP;
    FOREACH v_id IN ARRAY p_ended LOOP
        v_failed[v_id - p_low + 1] := true;
    END LOOP;
    FOR v_id, v_parents IN
        SELECT e.to_step_id, array_agg(e.from_step_id)
        FROM (SELECT x.to_step_id, x.from_step_id FROM tasker_workflow_step_edges x
              WHERE x.to_step_id BETWEEN p_first AND p_last AND x.from_step_id BETWEEN p_low AND p_high
              ORDER BY x.to_step_id, x.from_step_id) e
        GROUP BY e.to_step_id ORDER BY e.to_step_id
    LOOP
        v_at := v_id - p_low + 1;
        CONTINUE WHEN v_roots[v_at] = 0 OR v_failed[v_at];
        v_root := 0;
        FOREACH v_parent IN ARRAY v_parents LOOP
            CONTINUE WHEN v_roots[v_parent - p_low + 1] = 0;
            IF v_root = 0 THEN
                v_root := v_roots[v_parent - p_low + 1];
                -- One unfinished parent is enough, unless a failed one may follow or the list is wanted.
                EXIT WHEN v_listed >= c_listed_max AND p_ended = '{}';
            END IF;
            IF v_failed[v_parent - p_low + 1] AND NOT v_failed[v_at] THEN
                v_failed[v_at] := true;
                v_root := v_roots[v_parent - p_low + 1];
            END IF;
            IF v_listed < c_listed_max OR v_id = v_last_listed THEN
                v_from_ids := v_from_ids || v_parent;
                v_to_ids := v_to_ids || v_id;
                v_last_listed := v_id;
                v_listed := v_listed + 1;
            END IF;
        END LOOP;
        IF v_root <> 0 THEN
            v_roots[v_at] := v_root;
        END IF;
    END LOOP;
    RETURN ROW(p_low, v_roots, v_failed, v_from_ids, v_to_ids)::tasker_explain_graph;
END $$;

CREATE FUNCTION public.tasker_find_template(p_namespace text, p_name text, p_version text DEFAULT NULL::text) RETURNS TABLE(task_template_id bigint, named_task_id bigint, namespace_id bigint, version text, revision integer, configuration jsonb)
    LANGUAGE sql STABLE
    AS $_$
    SELECT tt.task_template_id, nt.named_task_id, nt.task_namespace_id, nt.version::text, tt.revision, tt.configuration
    FROM tasker_task_namespaces n
    JOIN tasker_named_tasks nt ON nt.task_namespace_id = n.task_namespace_id
    JOIN tasker_task_templates tt ON tt.named_task_id = nt.named_task_id
    WHERE n.name = p_namespace AND nt.name = p_name AND (p_version IS NULL OR nt.version = p_version)
    ORDER BY (CASE WHEN nt.version ~ '^[0-9]{1,9}(\.[0-9]{1,9})*$' THEN string_to_array(nt.version, '.')::int[] END)
                 DESC NULLS LAST,
             nt.named_task_id DESC, tt.revision DESC
    LIMIT 1
$_$;

CREATE FUNCTION public.tasker_forget_identities(p_low bigint, p_high bigint, p_staying bigint[], p_limit integer) RETURNS bigint
    LANGUAGE sql
    AS $$
    WITH gone AS (
        DELETE FROM tasker_task_identities i WHERE i.ctid = ANY (ARRAY(
            SELECT x.ctid FROM tasker_task_identities x
            WHERE x.task_id >= p_low AND x.task_id < p_high AND NOT x.task_id = ANY (p_staying)
            LIMIT p_limit FOR UPDATE SKIP LOCKED)) RETURNING 1)
    SELECT count(*) FROM gone
$$;

CREATE FUNCTION public.tasker_forget_rows(p_what text, p_before timestamp with time zone, p_limit integer) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE v_count bigint;
BEGIN
    CASE p_what
    WHEN 'identities' THEN
        DELETE FROM tasker_task_identities i WHERE i.ctid = ANY (ARRAY(
            SELECT x.ctid FROM tasker_task_identities x WHERE x.expires_at < clock_timestamp()
            LIMIT p_limit FOR UPDATE SKIP LOCKED));
    WHEN 'rejected_messages' THEN
        DELETE FROM tasker_rejected_messages m WHERE m.received_at < p_before AND m.id = ANY (ARRAY(
            SELECT x.id FROM tasker_rejected_messages x ORDER BY x.id LIMIT p_limit));
    WHEN 'workers' THEN
        DELETE FROM tasker_workers w WHERE w.session = ANY (ARRAY(
            SELECT x.session FROM tasker_workers x
            WHERE x.state IN ('lost', 'left', 'gone') AND x.last_heartbeat_at < p_before LIMIT p_limit FOR UPDATE SKIP LOCKED));
    WHEN 'dead_letters' THEN
        DELETE FROM tasker_dead_letters d WHERE d.dead_letter_id = ANY (ARRAY(
            SELECT x.dead_letter_id FROM tasker_dead_letters x
            WHERE x.resolved_at < p_before AND NOT EXISTS (SELECT FROM tasker_tasks t WHERE t.task_id = x.task_id)
            LIMIT p_limit FOR UPDATE OF x SKIP LOCKED));
    END CASE;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;

CREATE FUNCTION public.tasker_integer_problem(p_value jsonb, p_min bigint, p_max bigint) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE WHEN jsonb_typeof(p_value) IS DISTINCT FROM 'number'
                THEN 'must be a whole number, not ' || coalesce(jsonb_typeof(p_value), 'missing')
                WHEN abs(p_value::numeric) >= 1e19 OR p_value::numeric <> trunc(p_value::numeric)
                     OR p_value::numeric NOT BETWEEN p_min AND p_max
                THEN 'must be a whole number from ' || p_min::text || ' to ' || p_max::text END
$$;

CREATE FUNCTION public.tasker_is_claimable(p_state text, p_remaining_parents integer, p_ready_key integer, p_next_attempt_at timestamp with time zone, p_now timestamp with time zone) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT p_ready_key IS NOT NULL
        OR (p_state IN ('pending', 'waiting_for_retry') AND p_remaining_parents = 0 AND p_next_attempt_at <= p_now)
$$;

CREATE FUNCTION public.tasker_is_legal_batch_transition(p_from text, p_to text, p_event text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT (coalesce(p_from, 'nothing'), p_event, p_to) IN (
        ('nothing', 'claim', 'created'),
        ('created', 'publish', 'published'),
        ('created', 'cancel', 'cancelled'),
        ('published', 'start', 'executing'),
        ('published', 'time_out', 'timed_out'),
        ('published', 'cancel', 'cancelled'),
        ('executing', 'finish', 'completed'),
        ('executing', 'finish', 'partially_failed'),
        ('executing', 'finish', 'failed'),
        ('executing', 'time_out', 'timed_out'),
        ('executing', 'cancel', 'cancelled'))
$$;

CREATE FUNCTION public.tasker_is_legal_step_transition(p_from text, p_to text, p_event text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT (coalesce(p_from, 'nothing'), p_event, p_to) IN (
        ('nothing', 'create', 'pending'),
        ('pending', 'claim', 'in_progress'),
        ('pending', 'request_too_large', 'error'),
        ('pending', 'give_up', 'error'),
        ('pending', 'cancel', 'cancelled'),
        ('in_progress', 'complete', 'complete'),
        ('in_progress', 'await_retry', 'waiting_for_retry'),
        ('in_progress', 'fail', 'error'),
        ('in_progress', 'hand_back', 'pending'),
        ('in_progress', 'cancel', 'cancelled'),
        ('waiting_for_retry', 'claim', 'in_progress'),
        ('waiting_for_retry', 'complete', 'complete'),
        ('waiting_for_retry', 'cancel', 'cancelled'),
        ('error', 'retry', 'pending'),
        ('error', 'resolve_manually', 'resolved_manually'))
$$;

CREATE FUNCTION public.tasker_is_legal_task_transition(p_from text, p_to text, p_event text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT (coalesce(p_from, 'nothing'), p_event, p_to) IN (
        ('nothing', 'create', 'pending'),
        ('pending', 'start', 'in_progress'),
        ('pending', 'cancel', 'cancelled'),
        ('pending', 'fail', 'error'),
        ('pending', 'resolve_manually', 'resolved_manually'),
        ('in_progress', 'complete', 'complete'),
        ('in_progress', 'fail', 'error'),
        ('in_progress', 'cancel', 'cancelled'),
        ('in_progress', 'resolve_manually', 'resolved_manually'),
        ('error', 'cancel', 'cancelled'),
        ('error', 'resolve_manually', 'resolved_manually'),
        ('error', 'reopen', 'in_progress'))
$$;

CREATE FUNCTION public.tasker_is_open_batch(p_state text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT p_state IN ('created', 'published', 'executing')
$$;

CREATE FUNCTION public.tasker_is_plain_request(p_request jsonb) RETURNS boolean
    LANGUAGE sql STABLE
    AS $_$
    SELECT pg_column_size(p_request) <= 400 AND octet_length(p_request::text) <= 1000
        AND p_request @@ 'strict $.namespace like_regex "^.{1,128}$" && $.name like_regex "^.{1,128}$"
            && $.version like_regex "^.{1,64}$" && $.context.type() == "object"
            && !exists($.keyvalue() ? (!(@.key like_regex "^(namespace|name|version|context)$")))'
$_$;

CREATE FUNCTION public.tasker_is_template(p_named_task_id bigint, p_namespace text, p_name text, p_version text) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT EXISTS (SELECT FROM tasker_named_tasks nt
                   JOIN tasker_task_namespaces n ON n.task_namespace_id = nt.task_namespace_id
                   WHERE nt.named_task_id = p_named_task_id AND n.name = p_namespace AND nt.name = p_name
                     AND (p_version IS NULL OR nt.version = p_version))
$$;

CREATE FUNCTION public.tasker_json_problem(p_value jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
DECLARE
    c_digits_max CONSTANT int := 1000;
    c_bytes_max CONSTANT bigint := 8 * 1024 * 1024;
    v_longest int; v_bytes bigint;
BEGIN
    IF jsonb_path_exists(p_value, 'strict $.**{58} ? (@.type() == "object" || @.type() == "array")') THEN
        RETURN 'is nested deeper than 58 levels';
    ELSIF pg_column_size(p_value) <= 2048 AND octet_length(p_value::text) <= c_digits_max THEN
        RETURN NULL;  -- most contexts; whatever 2 KiB become as text, it can be built
    END IF;
    SELECT max(n.length), coalesce(sum(n.length), 0) INTO v_longest, v_bytes
    FROM (SELECT CASE WHEN abs(e::numeric) >= 1e1000 OR scale(e::numeric) > c_digits_max THEN c_digits_max + 1
                      ELSE length(translate(e::text, '-.', '')) END AS length
          FROM jsonb_array_elements(jsonb_path_query_array(p_value, 'strict $.** ? (@.type() == "number")')) e) n;
    IF v_longest > c_digits_max THEN
        RETURN format('holds a number of more than %s digits', c_digits_max);
    END IF;
    -- A character takes at most six times its room, as \u0001; a name or a value has four bytes for quotes and commas.
    v_bytes := v_bytes + pg_column_size(p_value) * 6::bigint;
    IF v_bytes > c_bytes_max AND (v_bytes > 40 * c_bytes_max OR octet_length(p_value::text) > c_bytes_max) THEN
        RETURN format('has more than %s bytes as the database writes it', c_bytes_max);
    END IF;
    RETURN NULL;
END $_$;

CREATE FUNCTION public.tasker_lane_credit(p_epoch bigint, p_lane integer, p_lanes integer) RETURNS TABLE(handlers jsonb, namespaces jsonb, free bigint, share bigint)
    LANGUAGE sql STABLE
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_nestloop TO 'on'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
    WITH sessions AS MATERIALIZED (
        SELECT w.session, w.handlers, w.namespaces, w.free_credit FROM tasker_workers w
        WHERE w.epoch = p_epoch AND w.state = 'ready' AND w.free_credit > 0
    ), used AS (
        SELECT b.session, s.shard % p_lanes AS lane, count(*) AS used
        FROM tasker_step_execution_batches b
        JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = b.batch_id
        JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
        WHERE p_lanes > 1 AND tasker_is_open_batch(b.state) AND b.session IN (SELECT x.session FROM sessions x)
          AND bs.reported_at IS NULL AND bs.final_status IS NULL
        GROUP BY 1, 2
    ), lanes AS (
        SELECT x.session, l.lane, coalesce(u.used, 0) AS used, x.free_credit,
               row_number() OVER filling AS wet, sum(coalesce(u.used, 0)) OVER filling AS under
        FROM sessions x CROSS JOIN generate_series(0, p_lanes - 1) l(lane)
        LEFT JOIN used u ON u.session = x.session AND u.lane = l.lane
        WINDOW filling AS (PARTITION BY x.session ORDER BY coalesce(u.used, 0) ROWS UNBOUNDED PRECEDING)
    ), levels AS (
        -- The level up to which the credit fills the lanes that have least.
        SELECT l.session, floor(min((l.free_credit + l.under) / l.wet)) - sum(l.used) FILTER (WHERE l.lane = p_lane)
                   AS share
        FROM lanes l GROUP BY l.session
    )
    SELECT x.handlers, x.namespaces, sum(x.free_credit), sum(greatest(0, l.share))::bigint
    FROM sessions x JOIN levels l ON l.session = x.session
    GROUP BY x.handlers, x.namespaces
$$;

CREATE FUNCTION public.tasker_last_id(p_axis text) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF p_axis = 'task_id' THEN
        RETURN greatest((SELECT s.last_value - (NOT s.is_called)::int FROM tasker_tasks_task_id_seq s),
                        (SELECT max(t.task_id) FROM tasker_tasks t));
    END IF;
    RETURN greatest((SELECT s.last_value - (NOT s.is_called)::int FROM tasker_step_execution_batches_batch_id_seq s),
                    (SELECT max(b.batch_id) FROM tasker_step_execution_batches b));
END $$;

CREATE FUNCTION public.tasker_lock_dead_letter(p_dead_letter_id bigint) RETURNS void
    LANGUAGE sql
    AS $$
    SELECT t.task_id FROM tasker_tasks t
    WHERE t.task_id = (SELECT d.task_id FROM tasker_dead_letters d WHERE d.dead_letter_id = p_dead_letter_id) FOR UPDATE
$$;

CREATE FUNCTION public.tasker_matches_any(p_patterns jsonb, p_text text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT p_patterns ? p_text
        OR (EXISTS (SELECT FROM jsonb_array_elements_text(p_patterns) p(pattern)
                    WHERE right(p.pattern, 1) = '*' AND starts_with(p_text, left(p.pattern, -1)))
            AND NOT p_patterns ? ('!' || p_text))
$$;

CREATE FUNCTION public.tasker_max_snoozes(p_task_id bigint, p_step_name text) RETURNS integer
    LANGUAGE sql STABLE
    AS $$
    SELECT coalesce((x.step ->> 'max_snoozes')::numeric::int, 1000)
    FROM tasker_tasks t
    JOIN tasker_task_templates tt ON tt.named_task_id = t.named_task_id AND tt.revision = t.template_revision
    CROSS JOIN LATERAL jsonb_array_elements(tt.configuration -> 'step_templates') x(step)
    WHERE t.task_id = p_task_id AND x.step ->> 'name' = p_step_name
$$;

CREATE FUNCTION public.tasker_name_problem(p_name text, p_signs text, p_max integer) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE WHEN p_name IS NULL THEN 'is missing'
                WHEN length(p_name) NOT BETWEEN 1 AND p_max
                THEN 'has ' || length(p_name)::text || ' characters, allowed are 1 to ' || p_max::text
                WHEN p_name COLLATE "C" ~ ('[^A-Za-z0-9' || p_signs || ']')
                THEN 'has a character that is no letter, no digit and none of ' || p_signs END
$$;

CREATE FUNCTION public.tasker_next_claims(p_epoch bigint, p_lane integer, p_lanes integer, p_now timestamp with time zone DEFAULT clock_timestamp()) RETURNS TABLE(workflow_step_id bigint, cause text)
    LANGUAGE plpgsql STABLE
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    c_slots_max CONSTANT int := 1000;  -- of one profile in one turn: kSlotsPerTurnMax
    c_due_max CONSTANT int := 1000;    -- joining the ready index in one turn
    v_profiles tasker_explain_profile[];
    v_profile tasker_explain_profile;
    v_due tasker_explain_due[];
    v_certain bigint[] := '{}'; v_possible bigint[] := '{}'; v_shared bigint[] := '{}';
    v_new bigint[]; v_maybe bigint[]; v_wide bigint[];
BEGIN
    -- Profiles come in the order of their keys.
    SELECT array_agg(ROW(p.keys, p.slots, p.share)::tasker_explain_profile ORDER BY p.keys) INTO v_profiles
    FROM (SELECT x.keys, least(sum(x.free), c_slots_max)::int AS slots, least(sum(x.share), c_slots_max)::int AS share
          FROM (SELECT a.free, a.share, ARRAY(SELECT k.handler_key FROM tasker_handler_keys k
                                              JOIN tasker_task_namespaces n ON n.task_namespace_id = k.namespace_id
                                              WHERE tasker_matches_any(a.handlers, k.handler_class)
                                                AND tasker_matches_any(a.namespaces, n.name)
                                              ORDER BY k.handler_key) AS keys
                FROM tasker_lane_credit(p_epoch, p_lane, p_lanes) a) x
          WHERE x.keys <> '{}' GROUP BY x.keys) p;
    IF v_profiles IS NULL THEN
        RETURN;
    END IF;
    SELECT coalesce(array_agg(ROW(d.workflow_step_id, d.handler_key, d.priority, d.namespace_id)::tasker_explain_due), '{}')
        INTO v_due
    FROM (SELECT s.workflow_step_id, s.handler_key, s.priority, s.namespace_id FROM tasker_workflow_steps s
          WHERE s.next_attempt_at <= p_now AND s.ready_key IS NULL AND s.remaining_parents = 0
            AND s.state IN ('pending', 'waiting_for_retry') AND s.shard % p_lanes = p_lane
          ORDER BY s.next_attempt_at, s.workflow_step_id LIMIT c_due_max) d;

    FOREACH v_profile IN ARRAY v_profiles LOOP
        WITH candidates AS MATERIALIZED (
            SELECT w.* FROM unnest((v_profile).keys) k(key) CROSS JOIN LATERAL (
                SELECT s.workflow_step_id, s.priority, s.namespace_id FROM tasker_workflow_steps s
                WHERE s.ready_key = k.key AND s.shard % p_lanes = p_lane
                ORDER BY -s.priority::int, s.workflow_step_id
                LIMIT (v_profile).slots + cardinality(v_certain) + cardinality(v_possible)) w
            UNION ALL
            SELECT d.step_id, d.priority, d.namespace_id FROM unnest(v_due) d
            WHERE d.handler_key = ANY ((v_profile).keys)
        ), there AS MATERIALIZED (
            SELECT c.*, p.id IS NOT NULL AS possible FROM candidates c
            LEFT JOIN unnest(v_certain) x(id) ON x.id = c.workflow_step_id
            LEFT JOIN unnest(v_possible) p(id) ON p.id = c.workflow_step_id
            WHERE x.id IS NULL
        ), worst AS (
            SELECT x.workflow_step_id, count(*) OVER (ORDER BY x.priority DESC, x.in_turn) AS place
            FROM (SELECT t.*, row_number() OVER (PARTITION BY t.priority, t.namespace_id ORDER BY t.workflow_step_id)
                      AS in_turn FROM there t) x
        ), best AS (
            SELECT x.workflow_step_id, rank() OVER (ORDER BY x.priority DESC, x.in_turn) AS place
            FROM (SELECT t.*, row_number() OVER (PARTITION BY t.priority, t.namespace_id ORDER BY t.workflow_step_id)
                      AS in_turn FROM there t WHERE NOT t.possible) x
        )
        SELECT ARRAY(SELECT w.workflow_step_id FROM worst w WHERE w.place <= (v_profile).share),
               ARRAY(SELECT w.workflow_step_id FROM worst w WHERE w.place <= (v_profile).slots),
               ARRAY(SELECT b.workflow_step_id FROM best b WHERE b.place <= (v_profile).slots)
            INTO v_new, v_wide, v_maybe;
        v_certain := v_certain || v_new;
        v_shared := v_shared || v_wide;
        v_possible := ARRAY(SELECT x FROM unnest(v_possible || v_maybe) x EXCEPT SELECT unnest(v_certain));
    END LOOP;
    RETURN QUERY SELECT x, 'ready' FROM unnest(v_certain) x UNION ALL
        SELECT x, CASE WHEN x = ANY (v_shared) THEN 'turn_full' ELSE 'namespace_turn' END FROM unnest(v_possible) x;
END $$;

CREATE FUNCTION public.tasker_operation_note(p_reason text, p_actor text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT nullif(jsonb_strip_nulls(jsonb_build_object('reason', nullif(p_reason, ''), 'actor', nullif(p_actor, ''))),
                  '{}')
$$;

CREATE FUNCTION public.tasker_operation_result(p_outcome text, p_code text, p_message text, p_task_id bigint, p_step_id bigint DEFAULT NULL::bigint, p_dead_letter_id bigint DEFAULT NULL::bigint, p_changed bigint[] DEFAULT '{}'::bigint[], p_ready bigint[] DEFAULT '{}'::bigint[]) RETURNS public.tasker_operation
    LANGUAGE sql STABLE
    AS $$
    SELECT ROW(p_outcome, p_code, p_message, x.task_id, t.state, p_step_id, s.name, s.state, s.attempts,
               s.retry_limit, p_dead_letter_id, p_changed, p_ready)::tasker_operation
    FROM (SELECT p_task_id AS task_id) x
    LEFT JOIN tasker_tasks t ON t.task_id = x.task_id
    LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = p_step_id
$$;

CREATE FUNCTION public.tasker_orphan_message(p_reason text) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE p_reason
        WHEN 'session_lost' THEN 'the worker is gone: whether the step had run is not known'
        WHEN 'timed_out' THEN 'the step ran longer than its time-out and its worker did not report'
        WHEN 'not_accepted' THEN 'the worker did not accept the step, although it was sent several times'
        WHEN 'held_unstarted' THEN 'the worker held the step without starting it, and did not give it back'
        WHEN 'not_reported' THEN 'the worker says that it has reported the step, but no report came although asked for'
        WHEN 'absent' THEN 'the worker had accepted the step and does not know it any more'
        ELSE 'the delivery ended without a report: ' || p_reason END
$$;

CREATE FUNCTION public.tasker_parent_problem(p_request jsonb) RETURNS text[]
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    v_task bigint := (p_request ->> 'parent_task_id')::numeric;
    v_step bigint := (p_request ->> 'parent_step_id')::numeric;
BEGIN
    IF v_task IS NULL THEN
        RETURN ARRAY['parent_step_id', 'needs parent_task_id beside it'];
    ELSIF NOT EXISTS (SELECT FROM tasker_tasks t WHERE t.task_id = v_task) THEN
        RETURN ARRAY['parent_task_id', format('there is no task %s', v_task)];
    ELSIF v_step IS NOT NULL AND NOT EXISTS (SELECT FROM tasker_workflow_steps s
                                             WHERE s.workflow_step_id = v_step AND s.task_id = v_task) THEN
        RETURN ARRAY['parent_step_id', format('task %s has no step %s', v_task, v_step)];
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION public.tasker_partitioned_tables() RETURNS TABLE(axis text, place integer, table_name text, options text)
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT x.axis, x.place, x.table_name, CASE WHEN x.changes
        THEN 'fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, '
             || 'autovacuum_vacuum_cost_delay = 1, '
        ELSE '' END
        || 'autovacuum_vacuum_insert_scale_factor = 0.2, autovacuum_vacuum_insert_threshold = 50000, '
        || 'autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 5000'
    FROM (VALUES
        ('task_id', 1, 'tasker_tasks', true),
        ('task_id', 2, 'tasker_task_transitions', false),
        ('task_id', 3, 'tasker_workflow_steps', true),
        ('task_id', 4, 'tasker_workflow_step_edges', false),
        ('task_id', 5, 'tasker_workflow_step_transitions', false),
        ('batch_id', 1, 'tasker_step_execution_batches', true),
        ('batch_id', 2, 'tasker_step_execution_batch_steps', true),
        ('batch_id', 3, 'tasker_step_execution_batch_received_results', false),
        ('batch_id', 4, 'tasker_step_execution_batch_transitions', true)) x(axis, place, table_name, changes)
$$;

CREATE FUNCTION public.tasker_partitions(p_axis text) RETURNS TABLE(place integer, table_name text, partition_name text, low bigint, high bigint)
    LANGUAGE sql STABLE
    AS $$
    SELECT t.place, t.table_name, c.relname::text, substring(b.bound FROM 'FROM \(''(\d+)''\)')::bigint,
           substring(b.bound FROM 'TO \(''(\d+)''\)')::bigint
    FROM tasker_partitioned_tables() t
    JOIN pg_inherits i ON i.inhparent = t.table_name::regclass
    JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS bound) b
    WHERE t.axis = p_axis
    ORDER BY 4 NULLS FIRST, 1
$$;

CREATE FUNCTION public.tasker_plan_tasks(p_requests jsonb) RETURNS public.tasker_new_task[]
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_new tasker_new_task[] := '{}'; v_total int := 0;
    v_one record; v_template bigint; v_identity text; v_steps int;
    v_id bigint; v_drawn bigint; v_hash text; v_expired boolean; v_inserted boolean;
BEGIN
    FOR v_one IN
        SELECT e.ord::int AS ord, x.* FROM jsonb_array_elements(p_requests) WITH ORDINALITY e(r, ord),
            LATERAL jsonb_to_record(e.r) AS x(task_template_id numeric, namespace text, name text, version text,
                scope text, identity_hash text, context_hash text, identity_expires_at timestamptz,
                not_before timestamptz, priority numeric)
    LOOP
        v_template := coalesce(v_one.task_template_id::bigint,
            (SELECT f.task_template_id FROM tasker_find_template(v_one.namespace, v_one.name, v_one.version) f));
        SELECT tt.configuration ->> 'identity', (SELECT max(s.position) FROM tasker_task_template_steps s
                                                 WHERE s.task_template_id = v_template)
            INTO v_identity, v_steps FROM tasker_task_templates tt WHERE tt.task_template_id = v_template;
        IF NOT FOUND THEN
            v_new := v_new || ROW(v_one.ord, NULL, NULL, false, 'unknown_template', NULL, 0, 0)::tasker_new_task;
            CONTINUE;
        ELSIF v_one.identity_hash IS NULL AND v_identity IN ('strict', 'caller_provided') THEN
            RAISE EXCEPTION 'request %: identity_hash: is missing, but the template has `identity: %`', v_one.ord, v_identity
                USING ERRCODE = 'invalid_parameter_value', COLUMN = 'identity_hash';
        END IF;
        v_inserted := v_one.identity_hash IS NULL;
        v_id := CASE WHEN v_inserted THEN nextval('tasker_tasks_task_id_seq') END;
        v_drawn := NULL;
        WHILE v_id IS NULL LOOP  -- again only where the row that was in the way is gone again
            SELECT i.task_id, i.context_hash, coalesce(i.expires_at < now(), false) INTO v_id, v_hash, v_expired
                FROM tasker_task_identities i WHERE i.scope = v_one.scope AND i.identity_hash = v_one.identity_hash;
            IF v_expired THEN
                DELETE FROM tasker_task_identities i WHERE i.scope = v_one.scope
                    AND i.identity_hash = v_one.identity_hash AND i.expires_at < now();
            END IF;
            IF v_id IS NULL OR v_expired THEN
                v_drawn := coalesce(v_drawn, nextval('tasker_tasks_task_id_seq'));
                INSERT INTO tasker_task_identities AS i (scope, identity_hash, context_hash, task_id, expires_at)
                    VALUES (v_one.scope, v_one.identity_hash, coalesce(v_one.context_hash, ''), v_drawn,
                            v_one.identity_expires_at)
                    ON CONFLICT (scope, identity_hash) DO NOTHING;
                v_inserted := FOUND;
                v_id := CASE WHEN v_inserted THEN v_drawn END;
            END IF;
        END LOOP;
        IF NOT v_inserted AND v_hash IS DISTINCT FROM coalesce(v_one.context_hash, '') THEN
            v_new := v_new || ROW(v_one.ord, v_id, NULL, true, 'idempotency_conflict', NULL, 0, 0)::tasker_new_task;
            CONTINUE;
        END IF;
        v_new := v_new || ROW(v_one.ord, v_id, v_template, NOT v_inserted, NULL,
                              CASE WHEN v_one.not_before > clock_timestamp() THEN v_one.not_before END,
                              coalesce(v_one.priority, 0)::smallint, v_total)::tasker_new_task;
        v_total := v_total + CASE WHEN v_inserted THEN coalesce(v_steps, 0) ELSE 0 END;
    END LOOP;
    RETURN v_new;
END $$;

CREATE FUNCTION public.tasker_readable_text(p_bytes bytea) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    AS $$
BEGIN
    RETURN convert_from(p_bytes, 'UTF8');
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
    RETURN NULL;
END $$;

CREATE FUNCTION public.tasker_refuse_closed_dead_letter(p_dead_letter_id bigint, p_wanted text) RETURNS SETOF public.tasker_operation
    LANGUAGE sql STABLE
    AS $$
    SELECT r.* FROM (SELECT p_dead_letter_id AS id) x
    LEFT JOIN tasker_dead_letters d ON d.dead_letter_id = x.id
    CROSS JOIN LATERAL tasker_operation_result(
        CASE WHEN d.dead_letter_id IS NULL THEN 'not_found' WHEN d.resolution = p_wanted THEN 'unchanged'
             ELSE 'refused' END,
        CASE WHEN d.dead_letter_id IS NULL THEN 'unknown_dead_letter' WHEN d.resolution = p_wanted
             THEN 'already_' || p_wanted ELSE 'dead_letter_closed' END,
        CASE WHEN d.dead_letter_id IS NULL THEN format('there is no dead letter %s', x.id)
             ELSE format('dead letter %s was %s already', x.id, d.resolution) END,
        d.task_id, d.workflow_step_id, d.dead_letter_id) r
    WHERE d.dead_letter_id IS NULL OR d.resolved_at IS NOT NULL
$$;

CREATE TABLE public.tasker_tasks (
    task_id bigint NOT NULL,
    named_task_id integer NOT NULL,
    template_revision integer NOT NULL,
    namespace_id integer NOT NULL,
    state character varying(20) DEFAULT 'pending'::character varying NOT NULL,
    priority smallint DEFAULT 0 NOT NULL,
    shard smallint DEFAULT 0 NOT NULL,
    open_steps integer NOT NULL,
    movable_steps integer NOT NULL,
    transition_count integer DEFAULT 1 NOT NULL,
    parent_task_id bigint,
    parent_step_id bigint,
    requested_at timestamp with time zone DEFAULT now() NOT NULL,
    not_before timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    completed_at timestamp with time zone,
    initiator character varying(128),
    source_system character varying(128),
    reason text,
    trace_context text,
    tags jsonb DEFAULT '[]'::jsonb NOT NULL,
    context jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT tasker_tasks_counters CHECK (((movable_steps >= 0) AND (open_steps >= movable_steps))),
    CONSTRAINT tasker_tasks_state CHECK (((state)::text = ANY ('{pending,in_progress,complete,error,cancelled,resolved_manually}'::text[])))
)
PARTITION BY RANGE (task_id);

CREATE TABLE public.tasker_workflow_steps (
    workflow_step_id bigint NOT NULL,
    task_id bigint NOT NULL,
    namespace_id integer NOT NULL,
    named_step_id integer NOT NULL,
    handler_key integer NOT NULL,
    ready_key integer,
    priority smallint DEFAULT 0 NOT NULL,
    shard smallint DEFAULT 0 NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    unstarted_attempts integer DEFAULT 0 NOT NULL,
    snoozes integer DEFAULT 0 NOT NULL,
    retry_limit integer DEFAULT 3 NOT NULL,
    remaining_parents integer DEFAULT 0 NOT NULL,
    transition_count integer DEFAULT 1 NOT NULL,
    input_bytes integer DEFAULT 0 NOT NULL,
    timeout_ms bigint NOT NULL,
    retryable boolean DEFAULT true NOT NULL,
    claim_first boolean DEFAULT false NOT NULL,
    sent_alone boolean DEFAULT false NOT NULL,
    state character varying(20) DEFAULT 'pending'::character varying NOT NULL,
    on_orphan character varying(16) DEFAULT 'retry'::character varying NOT NULL,
    name character varying(128) NOT NULL,
    handler_class character varying(255) NOT NULL,
    next_attempt_at timestamp with time zone,
    backoff_request_seconds double precision,
    last_attempted_at timestamp with time zone,
    processed_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    results jsonb,
    error jsonb,
    result_step_ids bigint[],
    CONSTRAINT tasker_workflow_steps_attempts CHECK (((unstarted_attempts >= 0) AND (attempts >= unstarted_attempts) AND (snoozes >= 0) AND (unstarted_attempts >= snoozes))),
    CONSTRAINT tasker_workflow_steps_on_orphan CHECK (((on_orphan)::text = ANY ('{retry,dead_letter}'::text[]))),
    CONSTRAINT tasker_workflow_steps_ready CHECK (((ready_key IS NULL) OR (((state)::text = ANY ('{pending,waiting_for_retry}'::text[])) AND (remaining_parents = 0)))),
    CONSTRAINT tasker_workflow_steps_remaining CHECK ((remaining_parents >= 0)),
    CONSTRAINT tasker_workflow_steps_state CHECK (((state)::text = ANY ('{pending,in_progress,waiting_for_retry,complete,error,cancelled,resolved_manually}'::text[])))
)
PARTITION BY RANGE (task_id);

CREATE FUNCTION public.tasker_refuse_resolve_step(p_task public.tasker_tasks, p_step public.tasker_workflow_steps, p_results jsonb, p_expected_attempts integer) RETURNS public.tasker_operation
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    v_what text := format('step %s (%s) of task %s', p_step.workflow_step_id, p_step.name, p_task.task_id);
BEGIN
    IF p_step.attempts <> p_expected_attempts THEN
        RETURN tasker_operation_result('refused', 'attempt_moved_on',
            format('%s is at attempt %s (%s), not at attempt %s', v_what, p_step.attempts, p_step.state,
                   p_expected_attempts), p_task.task_id, p_step.workflow_step_id);
    ELSIF p_step.state = 'resolved_manually' AND (p_results IS NULL OR p_results IS NOT DISTINCT FROM p_step.results) THEN
        RETURN tasker_operation_result('unchanged', 'already_resolved', format('%s was resolved already', v_what),
            p_task.task_id, p_step.workflow_step_id);
    ELSIF p_step.state = 'resolved_manually' THEN
        RETURN tasker_operation_result('refused', 'already_resolved',
            format('%s was resolved already, with other results; they may have been used and stay', v_what),
            p_task.task_id, p_step.workflow_step_id);
    ELSIF p_task.state = 'cancelled' THEN
        RETURN tasker_operation_result('refused', 'task_cancelled',
            format('%s cannot be resolved: the task is cancelled and stays so', v_what), p_task.task_id, p_step.workflow_step_id);
    ELSIF p_step.state <> 'error' OR p_task.state NOT IN ('pending', 'in_progress', 'error') THEN
        RETURN tasker_operation_result('refused', 'wrong_state',
            format('%s is %s in a task that is %s; only a step in error can be resolved', v_what, p_step.state,
                   p_task.state), p_task.task_id, p_step.workflow_step_id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION public.tasker_refuse_template_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'template revisions are immutable: load the changed template, it becomes a new revision'
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION public.tasker_register_steps(p_namespace bigint, p_named_task bigint, p_template bigint, p_steps jsonb) RETURNS void
    LANGUAGE plpgsql
    SET enable_nestloop TO 'off'
    AS $$
BEGIN
    INSERT INTO tasker_dependent_systems (name)
        SELECT DISTINCT s.dependent_system FROM jsonb_to_recordset(p_steps) AS s(dependent_system text)
        WHERE s.dependent_system NOT IN (SELECT d.name FROM tasker_dependent_systems d);
    INSERT INTO tasker_named_steps (dependent_system_id, name, description)
        SELECT d.dependent_system_id, s.name, s.description
        FROM jsonb_to_recordset(p_steps) AS s(name text, description text, dependent_system text)
        JOIN tasker_dependent_systems d ON d.name = s.dependent_system
        WHERE NOT EXISTS (SELECT FROM tasker_named_steps n
                          WHERE n.dependent_system_id = d.dependent_system_id AND n.name = s.name);
    INSERT INTO tasker_handler_keys (namespace_id, handler_class)
        SELECT DISTINCT p_namespace, s.handler_class FROM jsonb_to_recordset(p_steps) AS s(handler_class text)
        WHERE NOT EXISTS (SELECT FROM tasker_handler_keys k
                          WHERE k.namespace_id = p_namespace AND k.handler_class = s.handler_class);
    INSERT INTO tasker_task_template_steps
        SELECT p_template, s.position::int, s.name, ns.named_step_id, s.handler_class, k.handler_key, s.retryable,
               s.retry_limit::int, s.timeout_ms::bigint, s.on_orphan, s.claim_first,
               ARRAY(SELECT p::numeric::int FROM jsonb_array_elements_text(s.parents) p ORDER BY 1),
               ARRAY(SELECT p::numeric::int FROM jsonb_array_elements_text(coalesce(s.results_from, '[]')) p ORDER BY 1)
        FROM jsonb_to_recordset(p_steps) AS s(position numeric, name text, handler_class text, dependent_system text,
             retryable boolean, retry_limit numeric, timeout_ms numeric, on_orphan text, claim_first boolean, parents jsonb,
             results_from jsonb)
        JOIN tasker_dependent_systems d ON d.name = s.dependent_system
        JOIN tasker_named_steps ns ON ns.dependent_system_id = d.dependent_system_id AND ns.name = s.name
        JOIN tasker_handler_keys k ON k.namespace_id = p_namespace AND k.handler_class = s.handler_class;
    UPDATE tasker_named_tasks_named_steps x
        SET default_retryable = s.retryable, default_retry_limit = s.retry_limit
        FROM tasker_task_template_steps s
        WHERE s.task_template_id = p_template AND x.named_task_id = p_named_task AND x.named_step_id = s.named_step_id;
    INSERT INTO tasker_named_tasks_named_steps (named_task_id, named_step_id, default_retryable, default_retry_limit)
        SELECT p_named_task, s.named_step_id, s.retryable, s.retry_limit
        FROM tasker_task_template_steps s
        WHERE s.task_template_id = p_template
          AND NOT EXISTS (SELECT FROM tasker_named_tasks_named_steps x
                          WHERE x.named_task_id = p_named_task AND x.named_step_id = s.named_step_id);
END $$;

CREATE FUNCTION public.tasker_register_template(p_namespace text, p_name text, p_version text, p_description text, p_configuration jsonb, p_digest text, p_steps jsonb) RETURNS TABLE(named_task_id bigint, task_template_id bigint, revision integer, outcome text)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_namespace bigint; v_task bigint; v_template bigint; v_revision int; v_digest text;
    v_problem text := tasker_template_problem(p_namespace, p_name, p_version, p_description, p_configuration, p_digest,
                                              p_steps);
BEGIN
    IF v_problem IS NOT NULL THEN
        RAISE EXCEPTION '%', v_problem USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- One registration at a time: two loaders at once would otherwise race for the next revision.
    PERFORM pg_advisory_xact_lock(hashtext('tasker_register_template'), 'tasker_named_tasks'::regclass::oid::int);
    SELECT n.task_namespace_id INTO v_namespace FROM tasker_task_namespaces n WHERE n.name = p_namespace;
    IF NOT FOUND THEN
        INSERT INTO tasker_task_namespaces AS n (name) VALUES (p_namespace)
            RETURNING n.task_namespace_id INTO v_namespace;
    END IF;
    SELECT t.named_task_id INTO v_task FROM tasker_named_tasks t
        WHERE t.task_namespace_id = v_namespace AND t.name = p_name AND t.version = p_version;
    IF FOUND THEN
        UPDATE tasker_named_tasks t SET description = p_description, updated_at = now()
            WHERE t.named_task_id = v_task AND t.description IS DISTINCT FROM p_description;
    ELSE
        INSERT INTO tasker_named_tasks AS t (task_namespace_id, name, version, description)
            VALUES (v_namespace, p_name, p_version, p_description) RETURNING t.named_task_id INTO v_task;
    END IF;
    SELECT t.task_template_id, t.revision, t.digest INTO v_template, v_revision, v_digest
        FROM tasker_task_templates t WHERE t.named_task_id = v_task ORDER BY t.revision DESC LIMIT 1;
    IF v_digest = p_digest THEN
        RETURN QUERY SELECT v_task, v_template, v_revision, 'unchanged'::text;
        RETURN;
    END IF;
    v_revision := coalesce(v_revision, 0) + 1;
    INSERT INTO tasker_task_templates AS t (named_task_id, revision, configuration, digest)
        VALUES (v_task, v_revision, p_configuration, p_digest) RETURNING t.task_template_id INTO v_template;
    PERFORM tasker_register_steps(v_namespace, v_task, v_template, p_steps);
    PERFORM pg_notify(tasker_channel('tasker_wake'), 'templates');
    RETURN QUERY SELECT v_task, v_template, v_revision,
                        CASE WHEN v_revision = 1 THEN 'created' ELSE 'revised' END::text;
END $$;

CREATE FUNCTION public.tasker_replay_dead_letter(p_dead_letter_id bigint, p_reason text DEFAULT NULL::text, p_actor text DEFAULT NULL::text) RETURNS public.tasker_operation
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_result tasker_operation; v_letter tasker_dead_letters;
BEGIN
    PERFORM tasker_lock_dead_letter(p_dead_letter_id);
    SELECT r.* INTO v_result FROM tasker_refuse_closed_dead_letter(p_dead_letter_id, 'replayed') r;
    IF FOUND THEN
        RETURN v_result;
    END IF;
    SELECT * INTO v_letter FROM tasker_dead_letters d WHERE d.dead_letter_id = p_dead_letter_id;
    v_result := tasker_retry_step(v_letter.workflow_step_id, v_letter.attempt, p_reason, p_actor);
    v_result.dead_letter_id := p_dead_letter_id;
    RETURN v_result;
END $$;

CREATE FUNCTION public.tasker_report_dead_letter(p_retryable boolean, p_handler_stopped boolean, p_step_retryable boolean) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE WHEN NOT coalesce(p_handler_stopped, true) THEN 'handler_still_running'
                WHEN coalesce(p_retryable, true) AND p_step_retryable THEN 'retries_exhausted' END
$$;

CREATE FUNCTION public.tasker_report_disposition(p_reported_at timestamp with time zone, p_step_attempts integer, p_attempt integer, p_step_state text, p_is_success boolean) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE WHEN p_reported_at IS NOT NULL THEN 'duplicate'
                WHEN p_step_attempts <> p_attempt THEN 'stale_attempt'
                WHEN p_step_state = 'in_progress' OR (p_step_state = 'waiting_for_retry' AND p_is_success) THEN 'applied'
                ELSE 'late' END
$$;

CREATE FUNCTION public.tasker_request_drain(p_worker text, p_deadline_ms bigint DEFAULT NULL::bigint, p_all boolean DEFAULT false) RETURNS TABLE(session text, worker_id text, state text, outcome text, drain_requested_at timestamp with time zone, drain_deadline_ms bigint, in_flight integer)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_ambiguous boolean;
BEGIN
    IF p_deadline_ms NOT BETWEEN 0 AND 86400000 THEN
        RAISE EXCEPTION 'deadline_ms: is %, allowed are 0 to 86400000', p_deadline_ms
            USING ERRCODE = 'invalid_parameter_value', COLUMN = 'deadline_ms';
    END IF;
    PERFORM 1 FROM tasker_workers w WHERE w.session = p_worker OR w.worker_id = p_worker
        ORDER BY w.session FOR UPDATE;
    SELECT NOT coalesce(p_all, false) AND count(*) > 1 INTO v_ambiguous FROM tasker_workers w
    WHERE (w.session = p_worker OR w.worker_id = p_worker) AND w.state IN ('greeted', 'ready', 'suspect', 'draining');
    RETURN QUERY
        WITH asked AS (
            UPDATE tasker_workers w SET drain_requested_at = clock_timestamp(), drain_deadline_ms = p_deadline_ms
            WHERE (w.session = p_worker OR w.worker_id = p_worker) AND NOT v_ambiguous
              AND w.state IN ('greeted', 'ready', 'suspect', 'draining')
              AND (w.drain_requested_at IS NULL OR w.drain_deadline_ms IS DISTINCT FROM p_deadline_ms)
            RETURNING w.session, w.drain_requested_at, w.drain_deadline_ms)
        SELECT w.session::text, w.worker_id::text, w.state::text,
               CASE WHEN a.session IS NOT NULL THEN 'requested' WHEN w.state IN ('lost', 'left', 'gone') THEN 'ended'
                    WHEN v_ambiguous THEN 'ambiguous' ELSE 'unchanged' END,
               coalesce(a.drain_requested_at, w.drain_requested_at),
               CASE WHEN a.session IS NOT NULL THEN a.drain_deadline_ms ELSE w.drain_deadline_ms END, w.in_flight
        FROM tasker_workers w LEFT JOIN asked a ON a.session = w.session
        WHERE w.session = p_worker OR w.worker_id = p_worker
        ORDER BY w.first_seen_at, w.session;
    PERFORM pg_notify(tasker_channel('tasker_wake'), 'scan');
END $$;

CREATE FUNCTION public.tasker_request_problem(p_request jsonb) RETURNS text[]
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE v_key text; v_value jsonb; v_problem text; v_has text[] := '{}';
BEGIN
    IF jsonb_typeof(p_request) <> 'object' THEN
        RETURN ARRAY['', 'must be a JSON object, not ' || jsonb_typeof(p_request)];
    END IF;
    FOR v_key, v_value IN SELECT * FROM jsonb_each(p_request) LOOP
        IF v_value <> 'null' OR v_key = 'context' THEN
            v_has := v_has || v_key;
        END IF;
        v_problem := CASE v_key
            WHEN 'context' THEN CASE WHEN jsonb_typeof(v_value) = 'object' THEN tasker_json_problem(v_value)
                                     ELSE 'must be a JSON object, not ' || jsonb_typeof(v_value) END
            WHEN 'tags' THEN tasker_tags_problem(v_value)
            WHEN 'priority' THEN tasker_integer_problem(v_value, -1000, 1000)
            WHEN 'namespace' THEN tasker_text_problem(v_value, 1, 128)
            WHEN 'name' THEN tasker_text_problem(v_value, 1, 128)
            WHEN 'version' THEN tasker_text_problem(v_value, 1, 64)
            WHEN 'scope' THEN tasker_text_problem(v_value, 1, 300)
            WHEN 'identity_hash' THEN tasker_text_problem(v_value, 1, 64)
            WHEN 'context_hash' THEN tasker_text_problem(v_value, 0, 64)
            WHEN 'initiator' THEN tasker_text_problem(v_value, 0, 128)
            WHEN 'source_system' THEN tasker_text_problem(v_value, 0, 128)
            WHEN 'reason' THEN tasker_text_problem(v_value, 0, 10000)
            WHEN 'trace_context' THEN tasker_text_problem(v_value, 0, 10000)
            WHEN 'requested_at' THEN tasker_time_problem(v_value)
            WHEN 'not_before' THEN tasker_time_problem(v_value)
            WHEN 'identity_expires_at' THEN tasker_time_problem(v_value)
            WHEN 'task_template_id' THEN tasker_integer_problem(v_value, 1, 9223372036854775807)
            WHEN 'parent_task_id' THEN tasker_integer_problem(v_value, 1, 9223372036854775807)
            WHEN 'parent_step_id' THEN tasker_integer_problem(v_value, 1, 9223372036854775807)
            ELSE 'is no field of a request' END;
        -- Absent and null are the same, except for a context.
        IF v_problem IS NOT NULL AND (v_key = ANY (v_has) OR v_problem = 'is no field of a request') THEN
            RETURN ARRAY[v_key, v_problem];
        END IF;
    END LOOP;
    RETURN CASE
        WHEN NOT v_has && '{task_template_id,namespace}' THEN ARRAY['namespace', 'is missing']
        WHEN NOT v_has && '{task_template_id,name}' THEN ARRAY['name', 'is missing']
        WHEN 'identity_hash' = ANY (v_has) AND NOT 'scope' = ANY (v_has)
        THEN ARRAY['scope', 'is missing beside identity_hash']
        WHEN v_has && '{scope,context_hash,identity_expires_at}' AND NOT 'identity_hash' = ANY (v_has)
        THEN ARRAY['identity_hash', 'is missing beside scope, context_hash or identity_expires_at']
        WHEN v_has && '{parent_task_id,parent_step_id}' THEN tasker_parent_problem(p_request)
    END;
END $$;

CREATE FUNCTION public.tasker_request_problems(p_requests jsonb) RETURNS TABLE(ord integer, field text, message text)
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    IF jsonb_typeof(p_requests) IS DISTINCT FROM 'array' THEN
        RETURN QUERY SELECT 0, '', 'must be a JSON list of requests, not ' || coalesce(jsonb_typeof(p_requests), 'null');
    ELSIF jsonb_array_length(p_requests) > 100000 THEN
        RETURN QUERY SELECT 0, '', format('%s requests in one call, at most 100000 are allowed',
                                          jsonb_array_length(p_requests));
    ELSE
        RETURN QUERY SELECT e.ord::int, p.problem[1], p.problem[2]
            FROM jsonb_array_elements(p_requests) WITH ORDINALITY e(request, ord)
            CROSS JOIN LATERAL (SELECT tasker_request_problem(e.request) AS problem OFFSET 0) p
            WHERE p.problem IS NOT NULL;
    END IF;
END $$;

CREATE FUNCTION public.tasker_resolve_dead_letter(p_dead_letter_id bigint, p_results jsonb DEFAULT NULL::jsonb, p_reason text DEFAULT NULL::text, p_actor text DEFAULT NULL::text, p_take_late_result boolean DEFAULT false) RETURNS public.tasker_operation
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_result tasker_operation; v_letter tasker_dead_letters;
BEGIN
    PERFORM tasker_lock_dead_letter(p_dead_letter_id);
    SELECT r.* INTO v_result FROM tasker_refuse_closed_dead_letter(p_dead_letter_id, 'resolved') r;
    IF FOUND THEN
        RETURN v_result;
    END IF;
    SELECT * INTO v_letter FROM tasker_dead_letters d WHERE d.dead_letter_id = p_dead_letter_id;
    v_result := tasker_resolve_step(v_letter.workflow_step_id, p_results, p_reason, p_actor, p_take_late_result,
                                    v_letter.attempt);
    v_result.dead_letter_id := p_dead_letter_id;
    RETURN v_result;
END $$;

CREATE FUNCTION public.tasker_resolve_step(p_step_id bigint, p_results jsonb DEFAULT NULL::jsonb, p_reason text DEFAULT NULL::text, p_actor text DEFAULT NULL::text, p_take_late_result boolean DEFAULT false, p_expected_attempts integer DEFAULT NULL::integer) RETURNS public.tasker_operation
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz; v_problem text := tasker_json_problem(p_results);
    v_note jsonb := tasker_operation_note(p_reason, p_actor);
    v_task tasker_tasks; v_step tasker_workflow_steps; v_results jsonb := p_results; v_what text;
    v_children bigint[]; v_ready bigint[]; v_dead_letter bigint; v_state text; v_count int; v_refused tasker_operation;
BEGIN
    IF v_problem IS NOT NULL THEN
        RAISE EXCEPTION 'results: %', v_problem USING ERRCODE = 'invalid_parameter_value', COLUMN = 'results';
    END IF;
    SELECT t.* INTO v_task FROM tasker_tasks t
        WHERE t.task_id = (SELECT s.task_id FROM tasker_workflow_steps s WHERE s.workflow_step_id = p_step_id) FOR UPDATE;
    SELECT * INTO v_step FROM tasker_workflow_steps s WHERE s.workflow_step_id = p_step_id;
    IF v_task.task_id IS NULL OR v_step.workflow_step_id IS NULL THEN
        RETURN tasker_operation_result('not_found', 'unknown_step', format('there is no step %s', p_step_id), NULL);
    END IF;
    v_what := format('step %s (%s) of task %s', p_step_id, v_step.name, v_task.task_id);
    IF p_take_late_result THEN
        SELECT d.late_result INTO v_results FROM tasker_dead_letters d
            WHERE d.workflow_step_id = p_step_id AND d.attempt = v_step.attempts;
        IF v_results IS NULL THEN
            RETURN tasker_operation_result('refused', 'no_late_result',
                format('%s has no late result: its attempt %s has not reported a success since', v_what,
                       v_step.attempts), v_task.task_id, p_step_id);
        END IF;
    END IF;
    v_refused := tasker_refuse_resolve_step(v_task, v_step, v_results, p_expected_attempts);
    IF v_refused.outcome IS NOT NULL THEN
        RETURN v_refused;
    END IF;

    v_children := ARRAY(SELECT e.to_step_id FROM tasker_workflow_step_edges e WHERE e.from_step_id = p_step_id);
    PERFORM 1 FROM tasker_workflow_steps s WHERE s.workflow_step_id = ANY (v_children || p_step_id)
        ORDER BY s.workflow_step_id FOR UPDATE;
    v_now := clock_timestamp();  -- after the locks: whoever held them has written a history before ours
    UPDATE tasker_workflow_steps s SET state = 'resolved_manually', results = v_results,
        transition_count = s.transition_count + 1, processed_at = v_now
    WHERE s.workflow_step_id = p_step_id AND s.state = 'error' AND s.attempts = v_step.attempts;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% changed while it was resolved', v_what USING ERRCODE = '40001';
    END IF;
    INSERT INTO tasker_workflow_step_transitions
        (workflow_step_id, task_id, sort_key, from_state, to_state, event, metadata, created_at)
        VALUES (p_step_id, v_task.task_id, v_step.transition_count + 1, 'error', 'resolved_manually',
                'resolve_manually', v_note, v_now);
    WITH lost AS (
        UPDATE tasker_workflow_steps s SET remaining_parents = s.remaining_parents - 1,
            input_bytes = least(s.input_bytes::bigint + coalesce(octet_length(v_results::text), 0)
                + CASE WHEN s.result_step_ids IS NOT NULL AND s.remaining_parents = 1
                       THEN (SELECT coalesce(sum(octet_length(a.results::text)), 0) FROM tasker_workflow_steps a
                             WHERE a.workflow_step_id = ANY (s.result_step_ids)) ELSE 0 END, 2147483647),
            ready_key = CASE WHEN s.state = 'pending' AND s.remaining_parents = 1 THEN s.handler_key ELSE s.ready_key END
        WHERE s.workflow_step_id = ANY (v_children)
        RETURNING s.workflow_step_id, s.ready_key)
    SELECT coalesce(array_agg(l.workflow_step_id ORDER BY l.workflow_step_id) FILTER (WHERE l.ready_key IS NOT NULL),
                    '{}'), count(*) INTO v_ready, v_count FROM lost l;
    IF v_count <> cardinality(v_children) THEN
        RAISE EXCEPTION 'resolving % reached % of % children', v_what, v_count, cardinality(v_children)
            USING ERRCODE = '40001';
    END IF;
    v_dead_letter := tasker_close_dead_letters(ARRAY[p_step_id], 'resolved', p_reason, p_actor);
    v_state := tasker_settle_task(v_task.task_id, 1, cardinality(v_ready), 'reopen', v_note);
    PERFORM tasker_wake_for_steps(v_ready);
    RETURN tasker_operation_result('done', NULL, format('%s counts as done; the task is %s', v_what, v_state),
        v_task.task_id, p_step_id, v_dead_letter, ARRAY[p_step_id], v_ready);
END $$;

CREATE FUNCTION public.tasker_retry_failed_steps(p_task_id bigint, p_step_ids bigint[], p_reason text, p_actor text) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_note jsonb := tasker_operation_note(p_reason, p_actor);
    v_now timestamptz;
    v_count int; v_dead_letter bigint; v_template bigint;
BEGIN
    PERFORM 1 FROM tasker_workflow_steps s WHERE s.workflow_step_id = ANY (p_step_ids)
        ORDER BY s.workflow_step_id FOR UPDATE;
    v_now := clock_timestamp();  -- after the locks: whoever held them has written a history before ours
    SELECT tt.task_template_id INTO STRICT v_template FROM tasker_tasks t
        JOIN tasker_task_templates tt ON tt.named_task_id = t.named_task_id AND tt.revision = t.template_revision
        WHERE t.task_id = p_task_id;
    -- The limit is looked up step by step: joined, it would be compared with all steps of the template while the
    -- tables have never been analysed.
    WITH moved AS (
        UPDATE tasker_workflow_steps s SET
            state = 'pending', ready_key = s.handler_key,
            retry_limit = s.attempts - s.unstarted_attempts
                + CASE WHEN s.retryable THEN (SELECT d.retry_limit FROM tasker_task_template_steps d
                                              WHERE d.task_template_id = v_template AND d.name = s.name) ELSE 1 END,
            transition_count = s.transition_count + 1, processed_at = NULL, next_attempt_at = NULL,
            backoff_request_seconds = NULL, snoozes = 0
        WHERE s.task_id = p_task_id AND s.workflow_step_id = ANY (p_step_ids) AND s.state = 'error'
        RETURNING s.workflow_step_id, s.transition_count
    )
    INSERT INTO tasker_workflow_step_transitions
        (workflow_step_id, task_id, sort_key, from_state, to_state, event, metadata, created_at)
        SELECT m.workflow_step_id, p_task_id, m.transition_count, 'error', 'pending', 'retry', v_note, v_now
        FROM moved m;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF v_count <> cardinality(p_step_ids) THEN
        RAISE EXCEPTION 'retried % of % steps of task %', v_count, cardinality(p_step_ids), p_task_id
            USING ERRCODE = '40001';
    END IF;
    v_dead_letter := tasker_close_dead_letters(p_step_ids, 'replayed', p_reason, p_actor);
    PERFORM tasker_settle_task(p_task_id, 0, v_count, 'reopen', v_note);
    PERFORM tasker_wake_for_steps(p_step_ids);
    RETURN v_dead_letter;
END $$;

CREATE FUNCTION public.tasker_retry_step(p_step_id bigint, p_expected_attempts integer DEFAULT NULL::integer, p_reason text DEFAULT NULL::text, p_actor text DEFAULT NULL::text) RETURNS public.tasker_operation
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_task tasker_tasks; v_step tasker_workflow_steps; v_dead_letter bigint; v_what text;
BEGIN
    SELECT t.* INTO v_task FROM tasker_tasks t
        WHERE t.task_id = (SELECT s.task_id FROM tasker_workflow_steps s WHERE s.workflow_step_id = p_step_id) FOR UPDATE;
    SELECT * INTO v_step FROM tasker_workflow_steps s WHERE s.workflow_step_id = p_step_id;
    IF v_task.task_id IS NULL OR v_step.workflow_step_id IS NULL THEN
        RETURN tasker_operation_result('not_found', 'unknown_step', format('there is no step %s', p_step_id), NULL);
    END IF;
    v_what := format('step %s (%s) of task %s', p_step_id, v_step.name, v_task.task_id);
    IF v_step.attempts <> p_expected_attempts THEN
        RETURN tasker_operation_result('refused', 'attempt_moved_on',
            format('%s is at attempt %s (%s), not at attempt %s', v_what, v_step.attempts, v_step.state,
                   p_expected_attempts), v_task.task_id, p_step_id);
    ELSIF v_task.state = 'cancelled' THEN
        RETURN tasker_operation_result('refused', 'task_cancelled',
            format('%s cannot be retried: the task is cancelled and stays so', v_what), v_task.task_id, p_step_id);
    ELSIF v_step.state = 'pending' AND EXISTS (
            SELECT 1 FROM tasker_workflow_step_transitions h WHERE h.workflow_step_id = p_step_id
            AND h.sort_key = v_step.transition_count AND h.event = 'retry') THEN
        RETURN tasker_operation_result('unchanged', 'already_retried',
            format('%s was retried already and waits for a worker', v_what), v_task.task_id, p_step_id);
    ELSIF v_step.state <> 'error' OR v_task.state NOT IN ('pending', 'in_progress', 'error') THEN
        RETURN tasker_operation_result('refused', 'wrong_state',
            format('%s is %s in a task that is %s; only a step in error can be retried', v_what, v_step.state,
                   v_task.state), v_task.task_id, p_step_id);
    END IF;
    v_dead_letter := tasker_retry_failed_steps(v_task.task_id, ARRAY[p_step_id], p_reason, p_actor);
    SELECT * INTO v_step FROM tasker_workflow_steps s WHERE s.workflow_step_id = p_step_id;
    RETURN tasker_operation_result('done', NULL,
        format('%s is ready again and may take %s%s', v_what,
               CASE WHEN NOT v_step.retryable OR v_step.retry_limit - v_step.attempts + v_step.unstarted_attempts = 1
                    THEN 'one more attempt'
                    ELSE format('%s more attempts', v_step.retry_limit - v_step.attempts + v_step.unstarted_attempts) END,
               CASE WHEN EXISTS (SELECT 1 FROM tasker_dead_letters d WHERE d.workflow_step_id = p_step_id
                                 AND d.attempt = v_step.attempts AND d.late_result IS NOT NULL)
                    THEN ', although its last attempt did succeed, too late' ELSE '' END),
        v_task.task_id, p_step_id, v_dead_letter, ARRAY[p_step_id], ARRAY[p_step_id]);
END $$;

CREATE FUNCTION public.tasker_retry_task(p_task_id bigint, p_reason text DEFAULT NULL::text, p_actor text DEFAULT NULL::text) RETURNS public.tasker_operation
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_task tasker_tasks; v_ids bigint[];
BEGIN
    SELECT t.* INTO v_task FROM tasker_tasks t WHERE t.task_id = p_task_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN tasker_operation_result('not_found', 'unknown_task', format('there is no task %s', p_task_id), NULL);
    ELSIF v_task.state = 'cancelled' THEN
        RETURN tasker_operation_result('refused', 'task_cancelled',
            format('task %s is cancelled and stays so; submit it again instead', p_task_id), p_task_id);
    ELSIF v_task.state NOT IN ('pending', 'in_progress', 'error') THEN
        RETURN tasker_operation_result('refused', 'wrong_state',
            format('task %s is %s: there is nothing to retry', p_task_id, v_task.state), p_task_id);
    END IF;
    v_ids := ARRAY(SELECT s.workflow_step_id FROM tasker_workflow_steps s
                   WHERE s.task_id = p_task_id AND s.state = 'error' ORDER BY 1);
    IF v_ids = '{}' THEN
        RETURN tasker_operation_result('unchanged', 'nothing_in_error',
            format('task %s is %s and no step of it is in error', p_task_id, v_task.state), p_task_id);
    END IF;
    PERFORM tasker_retry_failed_steps(p_task_id, v_ids, p_reason, p_actor);
    RETURN tasker_operation_result('done', NULL,
        format('task %s goes on: %s ready again', p_task_id,
               CASE cardinality(v_ids) WHEN 1 THEN 'one step is' ELSE cardinality(v_ids) || ' steps are' END),
        p_task_id, NULL, NULL, v_ids, v_ids);
END $$;

CREATE FUNCTION public.tasker_ruling_orchestrator(p_now timestamp with time zone DEFAULT clock_timestamp()) RETURNS TABLE(instance text, epoch bigint, state text, last_seen_at timestamp with time zone, down boolean, lanes integer)
    LANGUAGE sql STABLE
    AS $$
    SELECT o.instance::text, o.epoch, o.state::text, o.last_seen_at,
           o.state = 'stopped' OR o.last_seen_at < p_now - interval '5 s',
           (SELECT count(*)::int FROM tasker_orchestrators l WHERE l.epoch = o.epoch)
    FROM tasker_orchestrators o ORDER BY o.epoch DESC, o.last_seen_at DESC LIMIT 1
$$;

CREATE FUNCTION public.tasker_sessions_serving(p_keys integer[], p_epoch bigint) RETURNS TABLE(handler_key integer, session text, worker_id text, state text, in_flight integer, credit_limit integer, free_credit integer)
    LANGUAGE sql STABLE
    SET jit TO 'off'
    AS $$
    WITH announced AS MATERIALIZED (
        SELECT DISTINCT w.handlers, w.namespaces FROM tasker_workers w
        WHERE w.epoch = p_epoch AND w.state NOT IN ('lost', 'left', 'gone')
    ), served AS MATERIALIZED (
        SELECT k.handler_key, a.handlers, a.namespaces
        FROM tasker_handler_keys k
        JOIN tasker_task_namespaces n ON n.task_namespace_id = k.namespace_id
        JOIN announced a ON tasker_matches_any(a.handlers, k.handler_class)
                        AND tasker_matches_any(a.namespaces, n.name)
        WHERE k.handler_key = ANY (p_keys)
    )
    SELECT s.handler_key, w.session::text, w.worker_id::text, w.state::text, w.in_flight, w.credit_limit,
           CASE WHEN w.state = 'ready' THEN w.free_credit ELSE 0 END
    FROM served s JOIN tasker_workers w ON w.handlers = s.handlers AND w.namespaces = s.namespaces
    WHERE w.epoch = p_epoch AND w.state NOT IN ('lost', 'left', 'gone')
$$;

CREATE FUNCTION public.tasker_settle_task(p_task_id bigint, p_completed integer, p_movable integer, p_first text, p_note jsonb) RETURNS text
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
    v_task tasker_tasks; v_state text; v_verdict text; v_count int;
BEGIN
    SELECT * INTO STRICT v_task FROM tasker_tasks t WHERE t.task_id = p_task_id;
    v_state := v_task.state;
    v_count := v_task.transition_count;
    IF p_first = 'reopen' AND v_state = 'error' THEN
        v_count := v_count + 1;
        INSERT INTO tasker_task_transitions (task_id, sort_key, from_state, to_state, event, metadata, created_at)
            VALUES (p_task_id, v_count, 'error', 'in_progress', 'reopen', p_note, v_now);
        v_state := 'in_progress';
    END IF;
    v_verdict := CASE WHEN p_first = 'cancel' THEN 'cancelled'
        ELSE tasker_task_verdict(v_state, v_task.open_steps - p_completed, v_task.movable_steps + p_movable, false,
                 EXISTS (SELECT 1 FROM tasker_workflow_steps s WHERE s.task_id = p_task_id AND s.state = 'error')) END;
    IF v_verdict <> v_state THEN
        v_count := v_count + 1;
        INSERT INTO tasker_task_transitions (task_id, sort_key, from_state, to_state, event, metadata, created_at)
            VALUES (p_task_id, v_count, v_state, v_verdict, tasker_task_event(v_verdict), p_note, v_now);
    END IF;
    UPDATE tasker_tasks t SET
        state = v_verdict, open_steps = t.open_steps - p_completed, movable_steps = t.movable_steps + p_movable,
        transition_count = v_count, updated_at = v_now,
        completed_at = CASE WHEN v_verdict IN ('pending', 'in_progress') THEN NULL
                            WHEN v_verdict <> v_state THEN v_now ELSE coalesce(t.completed_at, v_now) END
    WHERE t.task_id = p_task_id;
    IF v_verdict <> v_state AND v_verdict NOT IN ('pending', 'in_progress') THEN
        PERFORM pg_notify(tasker_channel('tasker_done'), p_task_id::text);
    END IF;
    RETURN v_verdict;
END $$;

CREATE FUNCTION public.tasker_split_partitions(p_axis text, p_rows bigint, p_max_age interval, OUT done text, OUT bound bigint) RETURNS record
    LANGUAGE plpgsql
    AS $_$
DECLARE
    c_far CONSTANT bigint := 1000000000;
    v_last bigint := tasker_last_id(p_axis);
    v_width bigint; v_used boolean; v_first bigint; v_since timestamptz; v_sequence text;
    v_open record; v_current record; p record;
BEGIN
    SELECT p_rows << least(count(*) / 8, 20)::int INTO v_width FROM tasker_partitions(p_axis) x WHERE x.place = 1;
    -- The mark's bound is part of its name.
    SELECT x.*, o.mark INTO STRICT v_open FROM tasker_partitions(p_axis) x
        LEFT JOIN LATERAL (SELECT substring(c.conname FROM '^tasker_open_until_(\d+)$')::bigint AS mark
                           FROM pg_constraint c WHERE c.conrelid = x.partition_name::regclass
                           AND c.conname LIKE 'tasker\_open\_until\_%') o ON true
        WHERE x.place = 1 AND x.high IS NULL;

    IF v_open.mark IS NOT NULL THEN
        bound := v_open.mark;
        SELECT x.partition_name INTO p FROM tasker_partitions(p_axis) x
            JOIN pg_constraint c ON c.conrelid = x.partition_name::regclass AND c.conname = 'tasker_open_until_' || bound
            WHERE x.high IS NULL AND NOT c.convalidated ORDER BY x.place LIMIT 1;
        IF FOUND THEN
            EXECUTE format('ALTER TABLE %I VALIDATE CONSTRAINT %I', p.partition_name, 'tasker_open_until_' || bound);
            done := 'validated';
        ELSE
            PERFORM tasker_bound_open_partitions(p_axis, bound);
            done := 'bounded';
        END IF;
        RETURN;
    END IF;

    EXECUTE format('SELECT EXISTS (SELECT FROM %I)', v_open.partition_name) INTO v_used;
    IF v_used THEN
        bound := v_last + greatest(c_far, 100 * p_rows);
        FOR p IN SELECT x.* FROM tasker_partitions(p_axis) x WHERE x.high IS NULL LOOP
            EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I CHECK (%I IS NOT NULL%s AND %I < %s) NOT VALID',
                p.partition_name, 'tasker_open_until_' || bound, p_axis,
                coalesce(format(' AND %I >= %s', p_axis, p.low), ''), p_axis, bound);
        END LOOP;
        done := 'marked';
        RETURN;
    END IF;

    SELECT x.* INTO v_current FROM tasker_partitions(p_axis) x
        WHERE x.place = 1 AND v_last + 1 >= coalesce(x.low, 0) AND (x.high IS NULL OR v_last + 1 < x.high);
    EXECUTE format('SELECT %I, created_at FROM %I ORDER BY %I LIMIT 1', p_axis, v_current.partition_name, p_axis)
        INTO v_first, v_since;
    v_used := v_since IS NOT NULL AND (v_last - v_first + 1 >= v_width OR v_since < clock_timestamp() - p_max_age);
    IF v_last + 1 + v_width / 10 * 9 >= v_open.low OR (v_used AND v_current.high = v_open.low) THEN
        bound := v_open.low + v_width;
        PERFORM tasker_bound_open_partitions(p_axis, bound);
        done := 'bounded';
    ELSIF v_used THEN
        v_sequence := CASE p_axis WHEN 'task_id' THEN 'tasker_tasks_task_id_seq'
                                  ELSE 'tasker_step_execution_batches_batch_id_seq' END;
        -- Holds off whoever draws an id, so that the sequence is not set back behind an id just drawn.
        EXECUTE format('ALTER SEQUENCE %I INCREMENT BY 1', v_sequence);
        bound := v_current.high;
        IF tasker_last_id(p_axis) < bound - 1 THEN
            EXECUTE format('ALTER SEQUENCE %I RESTART WITH %s', v_sequence, bound);
        END IF;
        done := 'closed';
    END IF;
END $_$;

CREATE FUNCTION public.tasker_staying_ids(p_axis text, p_low bigint, p_high bigint, p_before timestamp with time zone, p_limit integer, OUT total bigint, OUT staying bigint[]) RETURNS record
    LANGUAGE plpgsql
    AS $$
DECLARE v_first bigint; v_last bigint;
BEGIN
    IF p_axis = 'task_id' THEN
        SELECT count(*) INTO total FROM tasker_tasks t WHERE t.task_id >= p_low AND t.task_id < p_high;
        staying := ARRAY(SELECT x.task_id FROM (
            (SELECT t.task_id FROM tasker_tasks t WHERE t.task_id >= p_low AND t.task_id < p_high
             AND (t.state IN ('pending', 'in_progress') OR coalesce(t.completed_at, t.updated_at) >= p_before)
             LIMIT p_limit)
            UNION
            SELECT d.task_id FROM tasker_dead_letters d
            WHERE d.resolved_at IS NULL AND d.task_id >= p_low AND d.task_id < p_high
            UNION
            SELECT s.task_id FROM tasker_step_execution_batches b
            JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = b.batch_id
            JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
            WHERE (b.reconciliation_status = 'pending' OR tasker_is_open_batch(b.state))
              AND s.task_id >= p_low AND s.task_id < p_high) x ORDER BY x.task_id LIMIT p_limit);
        RETURN;
    END IF;
    SELECT count(*) INTO total FROM tasker_step_execution_batches b WHERE b.batch_id >= p_low AND b.batch_id < p_high;
    SELECT min(bs.workflow_step_id), max(bs.workflow_step_id) INTO v_first, v_last
        FROM tasker_step_execution_batch_steps bs WHERE bs.batch_id >= p_low AND bs.batch_id < p_high;
    staying := ARRAY(SELECT x.batch_id FROM (
        (SELECT b.batch_id FROM tasker_step_execution_batches b WHERE b.batch_id >= p_low AND b.batch_id < p_high
         AND (b.reconciliation_status = 'pending' OR tasker_is_open_batch(b.state)
              OR b.updated_at >= p_before) LIMIT p_limit)
        UNION
        (SELECT DISTINCT bs.batch_id FROM tasker_step_execution_batch_steps bs
         JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
         WHERE bs.batch_id >= p_low AND bs.batch_id < p_high
           AND s.workflow_step_id BETWEEN v_first AND v_last LIMIT p_limit)) x
        ORDER BY x.batch_id LIMIT p_limit);
END $$;

CREATE FUNCTION public.tasker_step_attempts(p_step_id bigint) RETURNS TABLE(attempt integer, batch_id bigint, batch_uuid text, worker_id text, session text, sent_at timestamp with time zone, started_at timestamp with time zone, ended_at timestamp with time zone, duration_ms bigint, status text, reason text, error json, pause_seconds double precision)
    LANGUAGE sql STABLE
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
    WITH sent AS (
        SELECT bs.attempt, bs.batch_id, b.batch_uuid::text AS batch_uuid, b.session::text AS session,
               bs.created_at AS sent_at, bs.started_at, bs.final_status::text AS final_status,
               bs.metadata ->> 'reason' AS reason, r.worker_id, r.execution_time_ms, r.error AS reported_error,
               -- One that became an orphan has no report; the step's history has the time.
               coalesce(bs.reported_at, CASE WHEN bs.final_status IS NOT NULL THEN bs.updated_at END) AS ended_at,
               lead(bs.created_at) OVER w AS next_sent_at, lead(bs.attempt) OVER w IS NULL AS is_last
        FROM tasker_step_execution_batch_steps bs
        JOIN tasker_step_execution_batches b ON b.batch_id = bs.batch_id
        LEFT JOIN LATERAL (
            -- Where the database could keep the report, its text can be taken apart.
            SELECT x.worker_id, x.execution_time_ms,
                   CASE WHEN x.processing_errors IS NULL AND x.status IN ('failed', 'error')
                        THEN x.raw_message_json -> 'error' END AS error
            FROM tasker_step_execution_batch_received_results x
            WHERE x.batch_id = bs.batch_id AND x.batch_step_id = bs.id AND x.message_type = 'partial_result'
              AND x.status <> 'in_progress'
            ORDER BY x.disposition = 'applied' DESC, x.id LIMIT 1) r ON true
        WHERE bs.workflow_step_id = p_step_id
        WINDOW w AS (ORDER BY bs.attempt, bs.batch_id)
    )
    SELECT a.attempt, a.batch_id, a.batch_uuid, coalesce(a.worker_id, k.worker_id)::text, a.session, a.sent_at,
           coalesce(a.started_at, a.ended_at - make_interval(secs => a.execution_time_ms / 1000.0)), a.ended_at,
           coalesce(a.execution_time_ms, (extract(epoch FROM a.ended_at - a.started_at) * 1000)::bigint),
           coalesce(a.final_status, CASE WHEN a.started_at IS NOT NULL THEN 'running' ELSE 'sent' END), a.reason,
           CASE WHEN a.is_last AND s.state IN ('error', 'waiting_for_retry') THEN coalesce(s.error::json, a.reported_error)
                ELSE a.reported_error END,
           extract(epoch FROM coalesce(a.next_sent_at, CASE WHEN a.is_last THEN s.next_attempt_at END) - a.ended_at)
               ::double precision
    FROM sent a
    JOIN tasker_workflow_steps s ON s.workflow_step_id = p_step_id
    LEFT JOIN tasker_workers k ON k.session = a.session
    ORDER BY a.attempt, a.batch_id
$$;

CREATE FUNCTION public.tasker_step_configuration_problem(p_step jsonb) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
DECLARE
    v_config jsonb := p_step -> 'handler_config';
    v_backoff jsonb := coalesce(p_step -> 'retry_backoff', '{}');
    v_field text; v_problem text;
BEGIN
    IF jsonb_typeof(p_step) <> 'object' THEN
        RETURN ARRAY['', 'must be a JSON object, not ' || jsonb_typeof(p_step)];
    ELSIF jsonb_typeof(v_config) <> 'object' THEN
        RETURN ARRAY['handler_config', 'must be a JSON object, not ' || jsonb_typeof(v_config)];
    ELSIF tasker_configured_json_problem(v_config, 45, 256 * 1024) IS NOT NULL THEN
        RETURN ARRAY['handler_config', tasker_configured_json_problem(v_config, 45, 256 * 1024)];
    ELSIF tasker_integer_problem(coalesce(p_step -> 'max_snoozes', '0'), 0, 1000000) IS NOT NULL THEN
        RETURN ARRAY['max_snoozes', tasker_integer_problem(p_step -> 'max_snoozes', 0, 1000000)];
    ELSIF jsonb_typeof(v_backoff) <> 'object' THEN
        RETURN ARRAY['retry_backoff', 'must be a JSON object, not ' || jsonb_typeof(v_backoff)];
    END IF;
    SELECT e.key, CASE e.key
            WHEN 'handler_class' THEN coalesce(tasker_text_problem(e.value, 1, 255),
                                               tasker_name_problem(e.value #>> '{}', '_.:/-', 255))
            WHEN 'dependent_system' THEN coalesce(tasker_text_problem(e.value, 1, 128),
                                                  tasker_name_problem(e.value #>> '{}', '_.-', 128))
            WHEN 'description' THEN tasker_description_problem(e.value)
            WHEN 'depends_on_steps' THEN CASE WHEN jsonb_typeof(e.value) <> 'array'
                OR jsonb_path_exists(e.value, 'strict $[*] ? (@.type() != "string")') THEN 'must be a list of names' END
            WHEN 'default_retryable' THEN CASE WHEN jsonb_typeof(e.value) <> 'boolean' THEN 'must be true or false' END
            WHEN 'claim_first' THEN CASE WHEN jsonb_typeof(e.value) <> 'boolean' THEN 'must be true or false' END
            WHEN 'on_orphan' THEN CASE WHEN (e.value IN ('"retry"', '"dead_letter"')) IS NOT TRUE
                                       THEN 'must be retry or dead_letter' END
            WHEN 'default_retry_limit' THEN tasker_integer_problem(e.value, 1, 1000) END
        INTO v_field, v_problem
    FROM jsonb_each(p_step) e
    WHERE e.key IN ('handler_class', 'dependent_system', 'description', 'depends_on_steps', 'default_retryable',
                    'claim_first', 'on_orphan', 'default_retry_limit')
    ORDER BY 2 NULLS LAST LIMIT 1;
    IF v_problem IS NOT NULL THEN
        RETURN ARRAY[v_field, v_problem];
    ELSIF v_backoff = '{}' AND NOT p_step ?| '{max_retry_after_seconds,timeout_seconds}' THEN
        RETURN NULL;
    END IF;
    SELECT l.field, format('must be a number from %s to %s', l.low, l.high) INTO v_field, v_problem
    FROM (VALUES ('retry_backoff.base_seconds', v_backoff -> 'base_seconds', 0, 86400),
                 ('retry_backoff.multiplier', v_backoff -> 'multiplier', 1, 100),
                 ('retry_backoff.max_seconds', v_backoff -> 'max_seconds', 0, 86400),
                 ('retry_backoff.jitter', v_backoff -> 'jitter', 0, 1),
                 ('max_retry_after_seconds', p_step -> 'max_retry_after_seconds', 0, 31536000),
                 ('timeout_seconds', p_step -> 'timeout_seconds', 0.001, 86400))
        AS l(field, value, low, high)
    WHERE l.value IS NOT NULL
      AND CASE WHEN jsonb_typeof(l.value) = 'number' THEN l.value::numeric NOT BETWEEN l.low AND l.high ELSE true END
    LIMIT 1;
    RETURN CASE WHEN v_field IS NOT NULL THEN ARRAY[v_field, v_problem] END;
END $_$;

CREATE FUNCTION public.tasker_step_event(p_to_state text) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE p_to_state WHEN 'complete' THEN 'complete' WHEN 'error' THEN 'fail' ELSE 'await_retry' END
$$;

CREATE FUNCTION public.tasker_step_request(p_step_id bigint, p_task_id bigint) RETURNS TABLE(context text, previous_results text)
    LANGUAGE sql STABLE
    AS $$
    SELECT (SELECT t.context::text FROM tasker_tasks t WHERE t.task_id = p_task_id),
           (SELECT json_object_agg(p.name, p.results)
            FROM tasker_workflow_steps p
            WHERE p.workflow_step_id = ANY (
                      ARRAY(SELECT e.from_step_id FROM tasker_workflow_step_edges e
                            WHERE e.to_step_id = p_step_id AND e.task_id = p_task_id)
                      || (SELECT s.result_step_ids FROM tasker_workflow_steps s
                          WHERE s.workflow_step_id = p_step_id AND s.task_id = p_task_id))
              AND p.task_id = p_task_id)::text
$$;

CREATE FUNCTION public.tasker_step_verdict(p_status text, p_report_retryable boolean, p_handler_stopped boolean, p_retryable boolean, p_on_orphan text, p_counted_attempts integer, p_retry_limit integer) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE
        WHEN p_status = 'completed' THEN 'complete'
        WHEN p_status = 'failed' AND coalesce(p_report_retryable, true) AND p_retryable
             AND p_counted_attempts < p_retry_limit
             AND (coalesce(p_handler_stopped, true) OR p_on_orphan = 'retry') THEN 'waiting_for_retry'
        ELSE 'error' END
$$;

CREATE FUNCTION public.tasker_step_was_dropped(p_step_id bigint) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT EXISTS (SELECT FROM tasker_dropped_ranges d WHERE p_step_id BETWEEN d.first_step_id AND d.last_step_id)
$$;

CREATE FUNCTION public.tasker_tags_problem(p_value jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
BEGIN
    IF jsonb_typeof(p_value) <> 'array' THEN
        RETURN 'must be a list of text, not ' || jsonb_typeof(p_value);
    ELSIF jsonb_array_length(p_value) > 100 THEN
        RETURN format('%s tags, at most 100 are allowed', jsonb_array_length(p_value));
    ELSIF NOT jsonb_path_exists(p_value, 'strict $[*] ? (@.type() != "string" || @ == "")')
            AND octet_length(p_value::text) <= 128 THEN
        RETURN NULL;  -- most lists
    END IF;
    RETURN (SELECT 'a tag ' || tasker_text_problem(e.tag, 1, 128) FROM jsonb_array_elements(p_value) e(tag)
            WHERE tasker_text_problem(e.tag, 1, 128) IS NOT NULL LIMIT 1);
END $_$;

CREATE FUNCTION public.tasker_task_event(p_to_state text) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE p_to_state WHEN 'in_progress' THEN 'start' WHEN 'complete' THEN 'complete' WHEN 'error' THEN 'fail'
                           ELSE 'cancel' END
$$;

CREATE FUNCTION public.tasker_task_verdict(p_state text, p_open_steps integer, p_movable_steps integer, p_started boolean, p_has_failed_step boolean) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE WHEN p_state NOT IN ('pending', 'in_progress') THEN p_state
                WHEN p_open_steps = 0 THEN 'complete'
                WHEN p_movable_steps = 0 THEN CASE WHEN p_has_failed_step THEN 'error' ELSE 'cancelled' END
                WHEN p_started THEN 'in_progress'
                ELSE p_state END
$$;

CREATE FUNCTION public.tasker_task_was_dropped(p_task_id bigint) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT EXISTS (SELECT FROM tasker_dropped_ranges d
                   WHERE d.axis = 'task_id' AND p_task_id >= d.low AND p_task_id < d.high
                     AND NOT p_task_id = ANY (d.kept_ids))
$$;

CREATE FUNCTION public.tasker_template_problem(p_namespace text, p_name text, p_version text, p_description text, p_configuration jsonb, p_digest text, p_steps jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    AS $_$
DECLARE
    v_problem text;
    v_steps jsonb := p_configuration -> 'step_templates';
BEGIN
    SELECT f.field || ': ' || f.problem INTO v_problem
    FROM (VALUES (1, 'namespace', tasker_name_problem(p_namespace, '_.-', 128)),
                 (2, 'name', tasker_name_problem(p_name, '_.-', 128)),
                 (3, 'version', tasker_name_problem(p_version, '._+-', 64)),
                 (4, 'description', tasker_description_problem(to_jsonb(p_description))),
                 (5, 'digest', CASE WHEN p_digest !~ '^[0-9a-f]{64}$' OR p_digest IS NULL
                                    THEN 'must be 64 hexadecimal digits' END),
                 (6, 'configuration', CASE WHEN jsonb_typeof(p_configuration) IS DISTINCT FROM 'object'
                                           THEN 'must be a JSON object'
                                           WHEN jsonb_typeof(v_steps) IS DISTINCT FROM 'array'
                                           THEN 'has no list step_templates' END),
                 (7, 'steps', CASE WHEN jsonb_typeof(p_steps) IS DISTINCT FROM 'array' THEN 'must be a JSON list'
                                   WHEN jsonb_array_length(p_steps) NOT BETWEEN 1 AND 10000
                                   THEN jsonb_array_length(p_steps) || ' steps, allowed are 1 to 10000' END))
        AS f(place, field, problem)
    WHERE f.problem IS NOT NULL ORDER BY f.place LIMIT 1;
    IF v_problem IS NOT NULL THEN
        RETURN v_problem;
    END IF;
    v_problem := tasker_template_settings_problem(p_namespace, p_name, p_version, p_configuration);
    IF v_problem IS NOT NULL THEN
        RETURN v_problem;
    END IF;
    SELECT format('steps[%s].%s: %s', e.ord - 1, p.problem[1], p.problem[2]) INTO v_problem
    FROM jsonb_array_elements(p_steps) WITH ORDINALITY e(step, ord)
    CROSS JOIN LATERAL (SELECT tasker_template_step_problem(e.step, e.ord::int) AS problem OFFSET 0) p
    WHERE p.problem IS NOT NULL ORDER BY e.ord LIMIT 1;
    IF v_problem IS NULL THEN
        SELECT format('configuration.step_templates[%s].%s: %s', e.ord - 1, p.problem[1], p.problem[2]) INTO v_problem
        FROM jsonb_array_elements(v_steps) WITH ORDINALITY e(step, ord)
        CROSS JOIN LATERAL (SELECT tasker_step_configuration_problem(e.step) AS problem OFFSET 0) p
        WHERE p.problem IS NOT NULL ORDER BY e.ord LIMIT 1;
    END IF;
    RETURN coalesce(v_problem, tasker_template_shape_problem(p_steps, v_steps));
END $_$;

CREATE FUNCTION public.tasker_template_settings_problem(p_namespace text, p_name text, p_version text, p_configuration jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    AS $$
DECLARE v_schema jsonb := p_configuration -> 'schema';
BEGIN
    RETURN (
        SELECT 'configuration.' || f.field || ': ' || f.problem
        FROM (VALUES
            (1, 'namespace_name', CASE WHEN p_configuration -> 'namespace_name' <> to_jsonb(p_namespace)
                                       THEN 'must be ' || p_namespace || ', as the template is registered' END),
            (2, 'name', CASE WHEN p_configuration -> 'name' <> to_jsonb(p_name)
                             THEN 'must be ' || p_name || ', as the template is registered' END),
            (3, 'version', CASE WHEN p_configuration -> 'version' <> to_jsonb(p_version)
                                THEN 'must be ' || p_version || ', as the template is registered' END),
            (4, 'description', CASE WHEN p_configuration ? 'description'
                                    THEN tasker_description_problem(p_configuration -> 'description') END),
            (5, 'task_handler_class', CASE WHEN p_configuration ? 'task_handler_class'
                                           THEN tasker_text_problem(p_configuration -> 'task_handler_class', 0, 255) END),
            (6, 'default_dependent_system', CASE WHEN p_configuration ? 'default_dependent_system' THEN coalesce(
                tasker_text_problem(p_configuration -> 'default_dependent_system', 1, 128),
                tasker_name_problem(p_configuration ->> 'default_dependent_system', '_.-', 128)) END),
            (7, 'identity', CASE WHEN p_configuration ? 'identity' AND (p_configuration -> 'identity'
                                      IN ('"always_unique"', '"strict"', '"caller_provided"')) IS NOT TRUE
                                 THEN 'must be always_unique, strict or caller_provided' END),
            (8, 'priority', CASE WHEN p_configuration ? 'priority'
                                 THEN tasker_integer_problem(p_configuration -> 'priority', -1000, 1000) END),
            (9, 'schema', CASE WHEN jsonb_typeof(v_schema) NOT IN ('object', 'null')
                               THEN 'must be a JSON Schema (an object), not ' || jsonb_typeof(v_schema)
                               WHEN jsonb_typeof(v_schema) = 'object'
                               THEN tasker_configured_json_problem(v_schema, 47, 1024 * 1024) END))
            AS f(place, field, problem)
        WHERE f.problem IS NOT NULL ORDER BY f.place LIMIT 1);
END $$;

CREATE FUNCTION public.tasker_template_shape_problem(p_steps jsonb, p_configured jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE v_name text; v_edges bigint;
BEGIN
    SELECT e.step ->> 'name' INTO v_name FROM jsonb_array_elements(p_steps) e(step)
        GROUP BY 1 HAVING count(*) > 1 ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        RETURN format('steps: the name %s is used twice', v_name);
    END IF;
    SELECT sum(jsonb_array_length(e.step -> 'parents')) INTO v_edges FROM jsonb_array_elements(p_steps) e(step);
    IF v_edges > 500000 THEN
        RETURN format('steps: %s dependencies, at most 500000 are allowed', v_edges);
    END IF;
    SELECT coalesce(s.name, c.name) INTO v_name
    FROM (SELECT e.step ->> 'name' AS name FROM jsonb_array_elements(p_steps) e(step)) s
    FULL JOIN (SELECT e.step ->> 'name' AS name FROM jsonb_array_elements(p_configured) e(step)) c ON c.name = s.name
    WHERE s.name IS NULL OR c.name IS NULL LIMIT 1;
    IF FOUND THEN
        RETURN format('configuration.step_templates: the step %s is not in both lists of steps', v_name);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION public.tasker_template_step_problem(p_step jsonb, p_position integer) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE
    AS $$
DECLARE
    v_problem text; v_parents jsonb := p_step -> 'parents';
    v_results_from jsonb := coalesce(p_step -> 'results_from', '[]');
BEGIN
    IF jsonb_typeof(p_step) <> 'object' THEN
        RETURN ARRAY['', 'must be a JSON object, not ' || jsonb_typeof(p_step)];
    END IF;
    v_problem := coalesce(tasker_text_problem(p_step -> 'name', 1, 128),
                          tasker_name_problem(p_step ->> 'name', '_.-', 128));
    IF v_problem IS NOT NULL THEN
        RETURN ARRAY['name', v_problem];
    END IF;
    v_problem := coalesce(tasker_text_problem(p_step -> 'handler_class', 1, 255),
                          tasker_name_problem(p_step ->> 'handler_class', '_.:/-', 255));
    IF v_problem IS NOT NULL THEN
        RETURN ARRAY['handler_class', v_problem];
    END IF;
    v_problem := coalesce(tasker_text_problem(p_step -> 'dependent_system', 1, 128),
                          tasker_name_problem(p_step ->> 'dependent_system', '_.-', 128));
    IF v_problem IS NOT NULL THEN
        RETURN ARRAY['dependent_system', v_problem];
    ELSIF p_step -> 'position' IS DISTINCT FROM to_jsonb(p_position) THEN
        RETURN ARRAY['position', format('must be %s: steps are listed in the order of their positions', p_position)];
    ELSIF p_step -> 'description' <> 'null' AND tasker_description_problem(p_step -> 'description') IS NOT NULL THEN
        RETURN ARRAY['description', tasker_description_problem(p_step -> 'description')];
    ELSIF jsonb_typeof(p_step -> 'retryable') IS DISTINCT FROM 'boolean' THEN
        RETURN ARRAY['retryable', 'must be true or false'];
    ELSIF jsonb_typeof(p_step -> 'claim_first') IS DISTINCT FROM 'boolean' THEN
        RETURN ARRAY['claim_first', 'must be true or false'];
    ELSIF tasker_integer_problem(p_step -> 'retry_limit', 1, 1000) IS NOT NULL THEN
        RETURN ARRAY['retry_limit', tasker_integer_problem(p_step -> 'retry_limit', 1, 1000)];
    ELSIF tasker_integer_problem(p_step -> 'timeout_ms', 1, 86400000) IS NOT NULL THEN
        RETURN ARRAY['timeout_ms', tasker_integer_problem(p_step -> 'timeout_ms', 1, 86400000)];
    ELSIF p_step ->> 'on_orphan' NOT IN ('retry', 'dead_letter') OR p_step ->> 'on_orphan' IS NULL THEN
        RETURN ARRAY['on_orphan', 'must be retry or dead_letter'];
    ELSIF jsonb_typeof(v_parents) IS DISTINCT FROM 'array' THEN
        RETURN ARRAY['parents', 'must be a list of positions'];
    ELSIF jsonb_typeof(v_results_from) <> 'array' THEN
        RETURN ARRAY['results_from', 'must be a list of positions'];
    ELSIF v_parents = '[]' AND v_results_from = '[]' THEN
        RETURN NULL;
    END IF;
    SELECT tasker_integer_problem(p.parent, 1, p_position - 1) INTO v_problem FROM jsonb_array_elements(v_parents) p(parent)
        WHERE tasker_integer_problem(p.parent, 1, p_position - 1) IS NOT NULL LIMIT 1;
    IF FOUND THEN
        RETURN ARRAY['parents', CASE WHEN p_position = 1 THEN 'the first step has no step before it'
                                     ELSE 'each ' || v_problem || ', a step before this one' END];
    ELSIF (SELECT count(DISTINCT p.parent::numeric) FROM jsonb_array_elements(v_parents) p(parent))
            < jsonb_array_length(v_parents) THEN
        RETURN ARRAY['parents', 'lists a step twice'];
    END IF;
    SELECT tasker_integer_problem(r.position, 1, p_position - 1) INTO v_problem
        FROM jsonb_array_elements(v_results_from) r(position)
        WHERE tasker_integer_problem(r.position, 1, p_position - 1) IS NOT NULL LIMIT 1;
    IF FOUND THEN
        RETURN ARRAY['results_from', CASE WHEN p_position = 1 THEN 'the first step has no step before it'
                                          ELSE 'each ' || v_problem || ', a step before this one' END];
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION public.tasker_text_problem(p_value jsonb, p_min integer, p_max integer) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE WHEN jsonb_typeof(p_value) IS DISTINCT FROM 'string'
                THEN 'must be text, not ' || coalesce(jsonb_typeof(p_value), 'missing')
                WHEN length(p_value #>> '{}') NOT BETWEEN p_min AND p_max
                THEN 'has ' || length(p_value #>> '{}')::text || ' characters, allowed are ' || p_min::text || ' to '
                     || p_max::text END
$$;

CREATE FUNCTION public.tasker_time_problem(p_value jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    AS $_$
DECLARE
    c_wrong CONSTANT text := 'must be a date and time with offset such as 2025-06-30T12:00:00Z';
    v_time timestamptz;
BEGIN
    IF jsonb_typeof(p_value) <> 'string' OR (p_value #>> '{}') !~
            '^\d{4}-\d\d-\d\d[Tt ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?([Zz]|[+-](0\d|1[0-5])(:?[0-5]\d)?)$' THEN
        RETURN c_wrong;
    END IF;
    v_time := (p_value #>> '{}')::timestamptz;
    RETURN NULL;
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN
    RETURN c_wrong;  -- February 30
END $_$;

CREATE FUNCTION public.tasker_tries_left(p_retryable boolean, p_retry_limit integer, p_attempt integer, p_unstarted integer) RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE WHEN p_retryable THEN greatest(0, p_retry_limit - p_attempt + p_unstarted) ELSE 0 END
$$;

CREATE FUNCTION public.tasker_turn(p_lane smallint, p_epoch bigint, p_turn bigint, p_tasks bigint[], p_low_batch bigint, m_class text[], m_batch_id bigint[], m_batch_step_id bigint[], m_step_id bigint[], m_task_id bigint[], m_attempt integer[], m_type text[], m_status text[], m_worker text[], m_session text[], m_sequence bigint[], m_exec_ms bigint[], m_raw text[], m_output text[], m_error text[], m_bytes integer[], m_retryable boolean[], m_handler_stopped boolean[], m_backoff double precision[], m_unusable boolean[], h_batch_id bigint[], h_step_id bigint[], h_task_id bigint[], h_attempt integer[], h_reason text[], h_cause text[], z_batch_id bigint[], z_step_id bigint[], z_task_id bigint[], z_attempt integer[], z_wait double precision[], z_max integer[], z_message text[], o_batch_id bigint[], o_step_id bigint[], o_task_id bigint[], o_attempt integer[], o_reason text[], o_try_alone boolean[], g_batch_id bigint[], g_step_id bigint[], g_task_id bigint[], g_attempt integer[], r_batch_id bigint[], r_step_id bigint[], r_age_ms bigint[], b_batch_id bigint[], b_from text[], b_to text[], b_steps integer[], b_partials integer[], b_completion boolean[], b_reconciliation text[], b_detail text[], p_profiles integer, k_profile integer[], k_key integer[], k_scan boolean[], k_falling integer[], k_step_id bigint[], k_one_namespace boolean[], s_profile integer[], s_session_no integer[], s_after integer[], s_upto integer[], c_sessions text[], p_batch_size integer, p_request_bytes bigint, p_turn_bytes bigint, p_due boolean, p_instance text, p_lanes smallint, p_notify boolean) RETURNS SETOF public.tasker_turn_row
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_low_task bigint := p_tasks[1];  -- of all that this turn touches; what it claims may be older
    v_scan_all boolean := p_due OR cardinality(h_step_id) > 0 OR cardinality(o_step_id) > 0;
    v_reported tasker_turn_reported;
    v_moved tasker_turn_move[] := '{}';
    v_grant tasker_turn_grant[] := '{}';
    v_claimed tasker_turn_claimed;
    v_rows tasker_turn_row[]; v_row tasker_turn_row;
    v_count int; v_setting text;
BEGIN
    -- The epoch guard: a predecessor that was frozen or cut off can commit nothing.
    UPDATE tasker_orchestrators o SET turn = p_turn, last_seen_at = v_now WHERE o.lane = p_lane AND o.epoch = p_epoch;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'epoch % of lane % is over: another orchestrator has taken over', p_epoch, p_lane
            USING ERRCODE = 'TK001';
    END IF;
    IF cardinality(p_tasks) > 0 THEN
        PERFORM 1 FROM tasker_tasks t WHERE t.task_id = ANY (p_tasks) AND t.task_id >= v_low_task
        ORDER BY t.task_id FOR UPDATE;
        v_now := clock_timestamp();  -- whoever held them has written a history before ours
    END IF;

    IF cardinality(m_class) > 0 THEN
        v_reported := tasker_turn_reports(v_now, v_low_task, p_low_batch, m_class, m_batch_id, m_batch_step_id, m_step_id,
            m_task_id, m_attempt, m_type, m_status, m_worker, m_session, m_sequence, m_exec_ms, m_raw, m_output, m_error,
            m_bytes, m_retryable, m_handler_stopped, m_backoff, m_unusable);
    END IF;
    IF cardinality(h_step_id) > 0 THEN
        v_moved := tasker_turn_hand_backs(v_now, v_low_task, p_low_batch, h_batch_id, h_step_id, h_attempt, h_reason,
            h_cause);
    END IF;
    IF cardinality(z_step_id) > 0 THEN
        v_moved := v_moved || tasker_turn_snoozes(v_now, v_low_task, p_low_batch, z_batch_id, z_step_id, z_attempt, z_wait,
            z_max, z_message);
    END IF;
    IF cardinality(o_step_id) > 0 THEN
        v_moved := v_moved
            || tasker_turn_orphans(v_now, v_low_task, p_low_batch, o_batch_id, o_step_id, o_attempt, o_reason,
                o_try_alone);
    END IF;
    IF cardinality(g_step_id) > 0 THEN
        v_grant := tasker_turn_starts(v_now, v_low_task, p_low_batch, g_batch_id, g_step_id, g_attempt);
    END IF;
    IF cardinality(r_step_id) > 0 THEN
        v_count := tasker_turn_running(v_now, p_low_batch, r_batch_id, r_step_id, r_age_ms);
    END IF;
    IF p_due THEN
        v_count := tasker_turn_due(v_now, p_lane, p_lanes);
    END IF;

    IF cardinality(v_reported.children) > 0 OR (p_profiles > 0 AND (v_scan_all OR true = ANY (k_scan))) THEN
        v_claimed := tasker_turn_claims(v_now, v_low_task, p_turn, p_lane, p_lanes, v_scan_all,
            coalesce(v_reported.children, '{}'), p_profiles, k_profile, k_key, k_scan, k_falling, k_step_id,
            k_one_namespace, s_profile, s_session_no, s_after, s_upto, p_request_bytes, p_turn_bytes);
        v_low_task := v_claimed.low_task;
    END IF;
    IF cardinality(v_reported.final) > 0 OR cardinality(v_claimed.claims) > 0 OR cardinality(v_moved) > 0 THEN
        v_rows := tasker_turn_tasks(v_now, v_low_task, v_reported.final, v_claimed.claims, v_claimed.children, v_moved,
            p_notify);
        FOREACH v_row IN ARRAY coalesce(v_rows, '{}') LOOP
            RETURN NEXT v_row;
        END LOOP;
    END IF;
    IF v_reported.has_dead_letter OR v_reported.has_late_success OR cardinality(v_moved) > 0 THEN
        v_count := tasker_turn_dead_letters(v_now, p_low_batch, v_reported.final, v_moved, v_reported.has_late_success,
            m_worker, m_output, m_error);
    END IF;
    IF cardinality(v_claimed.claims) > 0 THEN
        RETURN QUERY SELECT * FROM tasker_turn_new_batches(v_now, v_low_task, p_lane, p_epoch, p_turn, p_instance,
            p_batch_size, p_request_bytes, v_claimed.claims, c_sessions);
    END IF;
    IF cardinality(b_batch_id) > 0 THEN
        v_count := tasker_turn_moved_batches(v_now, p_low_batch, b_batch_id, b_from, b_to, b_steps, b_partials,
            b_completion, b_reconciliation, b_detail);
    END IF;
    IF v_reported.has_other OR cardinality(v_claimed.more) > 0 OR cardinality(v_claimed.locked) > 0
            OR cardinality(v_claimed.children) > 0 OR cardinality(v_moved) > 0 OR cardinality(v_grant) > 0 THEN
        RETURN QUERY SELECT * FROM tasker_turn_answers(v_reported.final, v_claimed.more, v_claimed.locked,
            v_claimed.children, v_moved, v_grant);
        IF v_claimed.is_full THEN  -- what was cut is among `more` or the children
            v_row := NULL;
            v_row.kind := 'full';
            RETURN NEXT v_row;
        END IF;
    END IF;
    -- At the commit a turn that notifies waits for others that do: this is no lock to give up for. (Assigned, since
    -- PERFORM would be a statement.)
    IF p_notify AND v_rows IS NOT NULL THEN
        v_setting := set_config('lock_timeout', '0', true);
    END IF;
END $$;

CREATE FUNCTION public.tasker_turn_answers(p_final public.tasker_turn_verdict[], p_more integer[], p_locked integer[], p_child public.tasker_turn_candidate[], p_moved public.tasker_turn_move[], p_grant public.tasker_turn_grant[]) RETURNS SETOF public.tasker_turn_row
    LANGUAGE plpgsql
    AS $$
BEGIN
    RETURN QUERY
    SELECT x.kind, x.ord, x.info, x.name, x.task_id, x.step_id, x.attempt, NULL::int, NULL::int, NULL::bigint, x.handler_key,
           NULL::boolean, NULL::bigint, NULL, NULL::bigint, NULL::int, NULL::int, NULL::int, NULL::int, NULL, NULL, NULL
    FROM (SELECT 'report' AS kind, f.ord, f.disposition AS info, f.new_state AS name, f.task_id, f.step_id, f.attempt,
                 NULL::int AS handler_key
          FROM unnest(p_final) f WHERE f.new_state IS DISTINCT FROM 'complete'
          UNION ALL
          SELECT DISTINCT 'more', NULL::int, NULL, NULL, NULL::bigint, NULL::bigint, NULL::int, k.key
          FROM unnest(p_more) k(key)
          UNION ALL
          SELECT 'more', NULL, 'locked', NULL, NULL, NULL, NULL, k.key FROM unnest(p_locked) k(key)
          UNION ALL
          SELECT 'more', max(c.priority), NULL, NULL, NULL, min(c.step_id), NULL, c.handler_key
          FROM unnest(p_child) c WHERE c.is_ready GROUP BY c.handler_key
          UNION ALL
          SELECT 'orphan', m.ord, m.new_state, m.reason, m.task_id, m.step_id, m.attempt, m.handler_key
          FROM unnest(p_moved) m WHERE m.ord IS NOT NULL
          UNION ALL
          SELECT 'grant', g.ord, g.refusal, NULL, NULL, NULL, NULL, NULL FROM unnest(p_grant) g) x;
END $$;

CREATE FUNCTION public.tasker_turn_claims(p_now timestamp with time zone, p_low_task bigint, p_turn bigint, p_lane smallint, p_lanes smallint, p_scan_all boolean, p_child public.tasker_turn_candidate[], p_profiles integer, k_profile integer[], k_key integer[], k_scan boolean[], k_falling integer[], k_step_id bigint[], k_one_namespace boolean[], s_profile integer[], s_session_no integer[], s_after integer[], s_upto integer[], p_request_bytes bigint, p_turn_bytes bigint) RETURNS public.tasker_turn_claimed
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_placed tasker_turn_claimed; v_claim tasker_turn_assignment[] := '{}'; v_child tasker_turn_candidate[] := p_child;
    v_starting bigint[] := '{}'; v_more int[] := '{}'; v_locked int[] := '{}'; v_low_task bigint := p_low_task;
    v_taken bigint[] := '{}'; v_held bigint[]; v_count int; v_left bigint := p_turn_bytes;
BEGIN
    FOR v_profile IN 1 .. p_profiles LOOP
        IF v_profile > 1 THEN
            v_taken := ARRAY(SELECT a.step_id FROM unnest(v_claim) a);
        END IF;
        v_placed := tasker_turn_place(v_profile, p_turn, p_lane, p_lanes, p_scan_all, v_child, v_taken, k_profile, k_key,
            k_scan, k_falling, k_step_id, k_one_namespace, s_profile, s_session_no, s_after, s_upto, p_request_bytes);
        IF v_placed.bytes > v_left THEN
            v_placed := tasker_turn_cut(v_placed, v_child, p_request_bytes, v_left, v_profile, k_profile, k_key);
        END IF;
        v_left := v_left - v_placed.bytes;
        v_claim := v_claim || v_placed.claims;
        v_child := v_placed.children;
        v_starting := v_starting || v_placed.starting;
        v_low_task := least(v_low_task, v_placed.low_task);
        v_more := v_more || v_placed.more;
        EXIT WHEN v_placed.is_full;  -- the other profiles wait for the next turn
    END LOOP;

    -- A task's first claim moves it to in_progress, so its row is needed: where somebody holds it, skip, and look
    -- again soon.
    IF cardinality(v_starting) > 0 THEN
        v_held := ARRAY(SELECT t.task_id FROM tasker_tasks t
                        WHERE t.task_id = ANY (v_starting) AND t.task_id >= v_low_task
                        ORDER BY t.task_id FOR UPDATE SKIP LOCKED);
        -- Several steps may start one task, so fewer held than starting does not prove it.
        IF cardinality(v_held) < cardinality(v_starting) THEN
            SELECT coalesce(array_agg(x.claim) FILTER (WHERE x.is_held), '{}'),
                   coalesce(array_agg(DISTINCT x.handler_key) FILTER (WHERE NOT x.is_held), '{}')
                INTO v_claim, v_locked
            FROM (SELECT a AS claim, a.handler_key,
                         a.parents_done > 0 OR a.attempt > 1 OR a.task_id = ANY (v_held) AS is_held
                  FROM unnest(v_claim) a) x;
        END IF;
    END IF;

    IF cardinality(v_claim) > 0 THEN
        UPDATE tasker_workflow_steps s SET
            state = 'in_progress', ready_key = NULL, attempts = a.attempt, transition_count = a.sort_key,
            remaining_parents = s.remaining_parents - a.parents_done, input_bytes = a.input_bytes,
            last_attempted_at = p_now, next_attempt_at = NULL
        FROM unnest(v_claim) a
        WHERE s.workflow_step_id = a.step_id AND s.task_id >= v_low_task AND s.state = a.old_state;
        GET DIAGNOSTICS v_count = ROW_COUNT;
        IF v_count <> cardinality(v_claim) THEN
            RAISE EXCEPTION 'turn claimed % of % steps', v_count, cardinality(v_claim) USING ERRCODE = '40001';
        END IF;
    END IF;
    IF cardinality(v_child) > 0 THEN
        UPDATE tasker_workflow_steps s SET
            remaining_parents = s.remaining_parents - c.parents_done, input_bytes = c.input_bytes,
            ready_key = CASE WHEN c.is_ready THEN s.handler_key ELSE s.ready_key END
        FROM unnest(v_child) c
        WHERE s.workflow_step_id = c.step_id AND s.task_id >= v_low_task;
        GET DIAGNOSTICS v_count = ROW_COUNT;
        IF v_count <> cardinality(v_child) THEN
            RAISE EXCEPTION 'turn moved % of % steps', v_count, cardinality(v_child) USING ERRCODE = '40001';
        END IF;
    END IF;
    RETURN ROW(v_claim, v_child, v_starting, v_low_task, v_more, v_locked, 0, v_placed.is_full)::tasker_turn_claimed;
END $$;

CREATE FUNCTION public.tasker_turn_cut(p_placed public.tasker_turn_claimed, p_child public.tasker_turn_candidate[], p_request_bytes bigint, p_left bigint, p_profile integer, k_profile integer[], k_key integer[]) RETURNS public.tasker_turn_claimed
    LANGUAGE plpgsql
    AS $$
DECLARE v_placed tasker_turn_claimed := p_placed; v_first bigint; v_dropped bigint[];
BEGIN
    SELECT min(c.place) INTO v_first
    FROM (SELECT b.*, sum(b.bytes) OVER (ORDER BY b.place) AS upto
          FROM (SELECT a.place, CASE WHEN a.input_bytes <= p_request_bytes THEN a.input_bytes ELSE 0 END AS bytes
                FROM unnest(p_placed.claims) a) b) c
    WHERE c.upto > p_left AND c.upto > c.bytes;
    IF v_first IS NULL THEN
        RETURN v_placed;
    END IF;
    SELECT coalesce(array_agg(a) FILTER (WHERE a.place < v_first), '{}'),
           coalesce(array_agg(a.task_id) FILTER (WHERE a.place < v_first AND a.parents_done = 0 AND a.attempt = 1),
                    '{}'),
           coalesce(sum(a.input_bytes) FILTER (WHERE a.place < v_first AND a.input_bytes <= p_request_bytes), 0),
           v_placed.more || coalesce(array_agg(DISTINCT a.handler_key)
                                     FILTER (WHERE a.place >= v_first AND a.parents_done = 0), '{}'),
           array_agg(a.step_id) FILTER (WHERE a.place >= v_first AND a.parents_done > 0)
        INTO v_placed.claims, v_placed.starting, v_placed.bytes, v_placed.more, v_dropped
    FROM unnest(p_placed.claims) a;
    v_placed.children := v_placed.children
        || ARRAY(SELECT c FROM unnest(p_child) c WHERE c.step_id = ANY (v_dropped));
    v_placed.more := v_placed.more
        || ARRAY(SELECT k.key FROM unnest(k_profile, k_key) AS k(profile, key) WHERE k.profile > p_profile);
    v_placed.is_full := true;
    RETURN v_placed;
END $$;

CREATE FUNCTION public.tasker_turn_dead_letters(p_now timestamp with time zone, p_low_batch bigint, p_final public.tasker_turn_verdict[], p_moved public.tasker_turn_move[], p_has_late_success boolean, m_worker text[], m_output text[], m_error text[]) RETURNS integer
    LANGUAGE plpgsql
    AS $$
DECLARE v_count int;
BEGIN
    INSERT INTO tasker_dead_letters (workflow_step_id, task_id, attempt, reason, last_error, last_worker, created_at)
        SELECT f.step_id, f.task_id, f.attempt, f.dead_letter, r.error::jsonb, left(r.worker, 255), p_now
        FROM unnest(p_final) f
        JOIN unnest(m_error, m_worker) WITH ORDINALITY AS r(error, worker, ord) ON r.ord = f.ord
        WHERE f.dead_letter IS NOT NULL
        UNION ALL
        SELECT m.step_id, m.task_id, m.attempt, m.reason, m.error, coalesce(w.worker_id, b.session), p_now
        FROM unnest(p_moved) m
        JOIN tasker_step_execution_batches b ON b.batch_id = m.batch_id AND b.batch_id >= p_low_batch
        LEFT JOIN tasker_workers w ON w.session = b.session
        WHERE m.new_state = 'error';
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF p_has_late_success THEN
        UPDATE tasker_dead_letters d SET late_result = coalesce(r.output::jsonb, 'null')
        FROM unnest(p_final) f
        JOIN unnest(m_output) WITH ORDINALITY AS r(output, ord) ON r.ord = f.ord
        WHERE f.is_late_success AND d.workflow_step_id = f.step_id AND d.attempt = f.attempt
          AND d.late_result IS NULL;
    END IF;
    RETURN v_count;
END $$;

CREATE FUNCTION public.tasker_turn_due(p_now timestamp with time zone, p_lane smallint, p_lanes smallint) RETURNS integer
    LANGUAGE plpgsql
    AS $$
DECLARE v_count int;
BEGIN
    WITH due AS (
        SELECT s.workflow_step_id FROM tasker_workflow_steps s
        WHERE s.next_attempt_at <= p_now AND s.ready_key IS NULL AND s.remaining_parents = 0
          AND s.state IN ('pending', 'waiting_for_retry') AND s.shard % p_lanes = p_lane
        ORDER BY s.next_attempt_at, s.workflow_step_id LIMIT 1000 FOR UPDATE SKIP LOCKED)
    UPDATE tasker_workflow_steps s SET ready_key = s.handler_key FROM due
    WHERE s.workflow_step_id = due.workflow_step_id;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;

CREATE FUNCTION public.tasker_turn_hand_backs(p_now timestamp with time zone, p_low_task bigint, p_low_batch bigint, h_batch_id bigint[], h_step_id bigint[], h_attempt integer[], h_reason text[], h_cause text[]) RETURNS public.tasker_turn_move[]
    LANGUAGE plpgsql
    AS $$
DECLARE
    c_prompt CONSTANT int := 5;
    c_most CONSTANT int := 100;
    v_moved tasker_turn_move[];
BEGIN
    WITH ended AS (
        UPDATE tasker_step_execution_batch_steps bs SET final_status = 'handed_back', updated_at = p_now,
            metadata = jsonb_build_object('reason', h.reason)
        FROM unnest(h_batch_id, h_step_id, h_attempt, h_reason, h_cause)
            AS h(batch_id, step_id, attempt, reason, cause)
        WHERE bs.batch_id = h.batch_id AND bs.workflow_step_id = h.step_id AND bs.batch_id >= p_low_batch
          AND bs.reported_at IS NULL AND bs.final_status IS NULL
        RETURNING bs.batch_id, h.step_id, h.attempt, h.reason, h.cause
    ), judged AS (
        SELECT e.*, (s.unstarted_attempts - s.snoozes) % c_most + 1 AS times,
               -- What was never sent is nobody's refusal.
               CASE WHEN e.reason IN ('request_too_large', 'request_not_built') THEN e.reason
                    WHEN e.reason <> 'undelivered' AND (s.unstarted_attempts - s.snoozes) % c_most = c_most - 1
                    THEN 'handed_back_too_often' END AS fault
        FROM ended e JOIN tasker_workflow_steps s ON s.workflow_step_id = e.step_id AND s.task_id >= p_low_task
    ), moved AS (
        UPDATE tasker_workflow_steps s SET
            state = CASE WHEN e.fault IS NULL THEN 'pending' ELSE 'error' END,
            ready_key = CASE WHEN e.fault IS NULL AND e.times <= c_prompt THEN s.handler_key END,
            next_attempt_at = CASE WHEN e.fault IS NULL AND e.times > c_prompt
                THEN p_now + make_interval(secs => least(60, 0.1 * power(2, e.times - c_prompt - 1))) END,
            unstarted_attempts = s.unstarted_attempts + 1,
            sent_alone = s.sent_alone OR e.reason IN ('batch_too_large', 'not_accepted'),
            transition_count = s.transition_count + CASE WHEN e.fault IS NULL THEN 1 ELSE 2 END,
            processed_at = CASE WHEN e.fault IS NOT NULL THEN p_now END,
            error = CASE WHEN e.fault IS NOT NULL THEN jsonb_build_object('message',
                CASE e.fault WHEN 'request_too_large' THEN 'the request of this step is larger than limits.batch_bytes'
                     WHEN 'request_not_built' THEN 'the request of this step cannot be built'
                     ELSE format('workers handed the step back %s times without starting it, the last time because of %s',
                                 c_most, e.reason) END || coalesce(': ' || nullif(e.cause, ''), ''),
                'error_code', e.fault) END
        FROM judged e
        WHERE s.workflow_step_id = e.step_id AND s.task_id >= p_low_task AND s.state = 'in_progress'
          AND s.attempts = e.attempt
        RETURNING s.workflow_step_id, s.task_id, s.attempts, s.transition_count, s.state, s.handler_key, s.error,
                  e.reason, e.fault, e.batch_id
    ), history AS (
        INSERT INTO tasker_workflow_step_transitions
            (workflow_step_id, task_id, sort_key, from_state, to_state, event, metadata, created_at)
        SELECT m.workflow_step_id, m.task_id, m.transition_count - CASE WHEN m.fault IS NULL THEN 0 ELSE 1 END,
               'in_progress', 'pending', 'hand_back', jsonb_build_object('reason', m.reason), p_now FROM moved m
        UNION ALL
        SELECT m.workflow_step_id, m.task_id, m.transition_count, 'pending', 'error',
               CASE m.fault WHEN 'handed_back_too_often' THEN 'give_up' ELSE 'request_too_large' END, NULL, p_now
        FROM moved m WHERE m.fault IS NOT NULL
    )
    SELECT coalesce(array_agg(ROW(NULL, m.workflow_step_id, m.task_id, m.attempts, m.state, m.handler_key,
                                  coalesce(m.fault, m.reason), m.error, m.batch_id)::tasker_turn_move), '{}')
        INTO v_moved FROM moved m;
    RETURN v_moved;
END $$;

CREATE FUNCTION public.tasker_turn_moved_batches(p_now timestamp with time zone, p_low_batch bigint, b_batch_id bigint[], b_from text[], b_to text[], b_steps integer[], b_partials integer[], b_completion boolean[], b_reconciliation text[], b_detail text[]) RETURNS integer
    LANGUAGE plpgsql
    AS $$
DECLARE v_count int;
BEGIN
    WITH moved AS (
        UPDATE tasker_step_execution_batches b SET
            state = x.to_state, transition_count = b.transition_count + x.steps,
            partial_results_received = b.partial_results_received + x.partials,
            final_completion_received = b.final_completion_received OR x.completion,
            reconciliation_status = coalesce(x.reconciliation, b.reconciliation_status),
            metadata = CASE WHEN x.detail IS NULL THEN b.metadata ELSE b.metadata || x.detail::jsonb END,
            updated_at = p_now
        FROM unnest(b_batch_id, b_from, b_to, b_steps, b_partials, b_completion, b_reconciliation, b_detail)
            AS x(id, from_state, to_state, steps, partials, completion, reconciliation, detail)
        WHERE b.batch_id = x.id AND b.batch_id >= p_low_batch AND b.state = x.from_state
        RETURNING b.batch_id, b.transition_count, x.from_state, x.to_state, x.steps
    ), cleared AS (
        UPDATE tasker_step_execution_batch_transitions t SET most_recent = false, updated_at = p_now
        FROM moved m WHERE m.steps > 0 AND t.batch_id = m.batch_id AND t.batch_id >= p_low_batch AND t.most_recent
        RETURNING m.batch_id, m.transition_count, m.from_state, m.to_state, m.steps
    ), history AS (
        INSERT INTO tasker_step_execution_batch_transitions
                (batch_id, from_state, to_state, event_name, sort_key, most_recent, created_at)
            SELECT c.batch_id, CASE WHEN i.is_last AND c.steps = 2 THEN 'executing' ELSE c.from_state END,
                   CASE WHEN i.is_last THEN c.to_state ELSE 'executing' END,
                   tasker_batch_event(CASE WHEN i.is_last THEN c.to_state ELSE 'executing' END),
                   c.transition_count - CASE WHEN i.is_last THEN 0 ELSE 1 END, i.is_last, p_now
            FROM cleared c JOIN (VALUES (true, 1), (false, 2)) AS i(is_last, needs) ON c.steps >= i.needs
    )
    SELECT count(*) INTO v_count FROM moved;
    IF v_count <> cardinality(b_batch_id) THEN
        RAISE EXCEPTION 'turn moved % of % batches', v_count, cardinality(b_batch_id) USING ERRCODE = '40001';
    END IF;
    RETURN v_count;
END $$;

CREATE FUNCTION public.tasker_turn_new_batches(p_now timestamp with time zone, p_low_task bigint, p_lane smallint, p_epoch bigint, p_turn bigint, p_instance text, p_batch_size integer, p_request_bytes bigint, p_claim public.tasker_turn_assignment[], c_sessions text[]) RETURNS SETOF public.tasker_turn_row
    LANGUAGE plpgsql
    AS $$
DECLARE v_claimed_at text := to_char(p_now AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
BEGIN
    RETURN QUERY
    WITH placed AS MATERIALIZED (
        SELECT a.*, nextval('tasker_step_execution_batch_steps_id_seq') AS batch_step_id,
               dense_rank() OVER (ORDER BY a.session_no, a.handler_key, a.is_alone, a.n / a.size) AS batch_no,
               (a.n % a.size + 1)::int AS sequence_order
        FROM (SELECT a.*, CASE WHEN a.is_alone THEN 1 ELSE p_batch_size END AS size,
                     row_number() OVER (PARTITION BY a.session_no, a.handler_key, a.is_alone ORDER BY a.place) - 1 AS n
              FROM (SELECT a.*, a.sent_alone AND c_sessions[a.session_no] <> '' AS is_alone FROM unnest(p_claim) a) a) a
    ), formed AS MATERIALIZED (
        SELECT p.batch_no, nextval('tasker_step_execution_batches_batch_id_seq') AS batch_id,
               CASE WHEN min(p.task_id) = max(p.task_id) THEN min(p.task_id) END AS task_id,
               min(p.handler_key) AS handler_key, min(p.session_no) AS session_no, count(*)::int AS batch_size,
               greatest(1, least(max(p.timeout_ms) / 1000, 2147483647)::int) AS timeout_seconds
        FROM placed p GROUP BY p.batch_no
    ), named AS MATERIALIZED (
        -- Time-ordered uuids (version 7 layout: 48 bits of milliseconds, epoch, lane, then the batch's own id).
        SELECT f.*, k.handler_class, substr(h.ms, 1, 8) || '-' || substr(h.ms, 9, 4) || '-7' || h.epoch || '-8'
                   || substr(h.id, 1, 3) || '-' || substr(h.id, 4, 12) AS batch_uuid
        FROM formed f
        JOIN tasker_handler_keys k ON k.handler_key = f.handler_key
        CROSS JOIN LATERAL (SELECT lpad(to_hex((extract(epoch FROM p_now) * 1000)::bigint), 12, '0') AS ms,
                                   lpad(to_hex(p_epoch % 4096), 3, '0') AS epoch,
                                   to_hex(p_lane % 16) || lpad(to_hex(f.batch_id), 14, '0') AS id) h
    ), batches AS (
        INSERT INTO tasker_step_execution_batches (batch_id, task_id, handler_class, handler_key, batch_uuid,
                initiated_by, batch_size, timeout_seconds, state, session, epoch, turn, transition_count, created_at,
                updated_at)
            SELECT n.batch_id, n.task_id, n.handler_class, n.handler_key, n.batch_uuid, p_instance, n.batch_size,
                   n.timeout_seconds, 'published', nullif(c_sessions[n.session_no], ''), p_epoch, p_turn, 2, p_now, p_now
            FROM named n
    ), deliveries AS (
        INSERT INTO tasker_step_execution_batch_steps (id, batch_id, workflow_step_id, sequence_order, attempt,
                expected_handler_class)
            SELECT p.batch_step_id, n.batch_id, p.step_id, p.sequence_order, p.attempt, n.handler_class
            FROM placed p JOIN named n ON n.batch_no = p.batch_no
    ), batch_history AS (
        INSERT INTO tasker_step_execution_batch_transitions
                (batch_id, from_state, to_state, event_name, sort_key, most_recent, created_at)
            SELECT n.batch_id, x.from_state, x.to_state, x.event, x.sort_key, x.most_recent, p_now
            FROM named n
            CROSS JOIN (VALUES (NULL, 'created', 'claim', 1, false), ('created', 'published', 'publish', 2, true))
                AS x(from_state, to_state, event, sort_key, most_recent)
    ), step_history AS (
        INSERT INTO tasker_workflow_step_transitions
                (workflow_step_id, task_id, sort_key, from_state, to_state, event, created_at)
            SELECT p.step_id, p.task_id, p.sort_key, p.old_state, 'in_progress', 'claim', p_now FROM placed p
    )
    SELECT 'claim', CASE WHEN p.parents_done = 0 THEN p.priority::int END,
           CASE WHEN p.input_bytes > p_request_bytes THEN 'request_too_large' END, s.name::text, p.task_id, p.step_id,
           p.attempt, s.retry_limit, tasker_tries_left(s.retryable, s.retry_limit, p.attempt, s.unstarted_attempts),
           least(p.timeout_ms, 2147483647000), p.handler_key, s.claim_first, n.batch_id,
           n.batch_uuid, p.batch_step_id, p.sequence_order, p.session_no, t.named_task_id, t.template_revision,
           v_claimed_at, CASE WHEN p.input_bytes <= p_request_bytes THEN t.context::text END,
           CASE WHEN p.input_bytes <= p_request_bytes THEN (SELECT json_object_agg(parent.name, parent.results)
            FROM tasker_workflow_steps parent
            WHERE parent.workflow_step_id = ANY (ARRAY(SELECT e.from_step_id FROM tasker_workflow_step_edges e
                                   WHERE e.to_step_id = p.step_id AND e.task_id >= p_low_task) || s.result_step_ids)
              AND parent.task_id >= p_low_task)::text END
    FROM placed p JOIN named n ON n.batch_no = p.batch_no
    CROSS JOIN LATERAL (SELECT s.* FROM tasker_workflow_steps s
                        WHERE s.workflow_step_id = p.step_id AND s.task_id >= p_low_task LIMIT 1) s
    JOIN tasker_tasks t ON t.task_id = p.task_id AND t.task_id >= p_low_task
    ORDER BY p.batch_no, p.sequence_order;
END $$;

CREATE FUNCTION public.tasker_turn_orphans(p_now timestamp with time zone, p_low_task bigint, p_low_batch bigint, o_batch_id bigint[], o_step_id bigint[], o_attempt integer[], o_reason text[], o_try_alone boolean[]) RETURNS public.tasker_turn_move[]
    LANGUAGE plpgsql
    AS $$
DECLARE v_moved tasker_turn_move[];
BEGIN
    WITH ended AS (
        UPDATE tasker_step_execution_batch_steps bs SET final_status = 'orphaned', updated_at = p_now,
            metadata = jsonb_build_object('reason', o.reason)
        FROM unnest(o_batch_id, o_step_id, o_attempt, o_reason, o_try_alone) WITH ORDINALITY
            AS o(batch_id, step_id, attempt, reason, try_alone, ord)
        WHERE bs.batch_id = o.batch_id AND bs.workflow_step_id = o.step_id AND bs.batch_id >= p_low_batch
          AND bs.reported_at IS NULL AND bs.final_status IS NULL
        RETURNING bs.batch_id, o.ord, o.step_id, o.attempt, o.reason, o.try_alone
    ), judged AS (
        SELECT e.*, s.on_orphan = 'retry' AND s.retryable
                    AND (x.is_within_limit OR e.try_alone) AS again,
               e.try_alone AND NOT x.is_within_limit AS is_extra
        FROM ended e
        JOIN tasker_workflow_steps s ON s.workflow_step_id = e.step_id AND s.task_id >= p_low_task
        CROSS JOIN LATERAL (SELECT s.attempts - s.unstarted_attempts < s.retry_limit AS is_within_limit) x
    ), moved AS (
        UPDATE tasker_workflow_steps s SET
            state = CASE WHEN j.again THEN 'waiting_for_retry' ELSE 'error' END,
            ready_key = CASE WHEN j.again THEN s.handler_key END,
            next_attempt_at = CASE WHEN j.again THEN p_now END,
            transition_count = s.transition_count + 1,
            sent_alone = s.sent_alone OR j.try_alone,
            retry_limit = s.retry_limit + CASE WHEN j.again AND j.is_extra THEN 1 ELSE 0 END,
            processed_at = CASE WHEN NOT j.again THEN p_now END,
            error = jsonb_build_object('message', tasker_orphan_message(j.reason), 'error_type', 'Orphaned',
                                       'error_code', j.reason, 'attempt', j.attempt)
        FROM judged j
        WHERE s.workflow_step_id = j.step_id AND s.task_id >= p_low_task AND s.state = 'in_progress'
          AND s.attempts = j.attempt
        RETURNING j.ord, s.workflow_step_id, s.task_id, s.attempts, s.transition_count, s.state, s.handler_key,
                  s.error, j.reason, j.batch_id
    ), history AS (
        INSERT INTO tasker_workflow_step_transitions
            (workflow_step_id, task_id, sort_key, from_state, to_state, event, metadata, created_at)
        SELECT m.workflow_step_id, m.task_id, m.transition_count, 'in_progress', m.state, tasker_step_event(m.state),
               jsonb_build_object('reason', m.reason), p_now
        FROM moved m
    )
    SELECT coalesce(array_agg(ROW(m.ord, m.workflow_step_id, m.task_id, m.attempts, m.state, m.handler_key, m.reason,
                                  m.error, m.batch_id)::tasker_turn_move), '{}')
        INTO v_moved FROM moved m;
    RETURN v_moved;
END $$;

CREATE FUNCTION public.tasker_turn_place(p_profile integer, p_turn bigint, p_lane smallint, p_lanes smallint, p_scan_all boolean, p_child public.tasker_turn_candidate[], p_taken bigint[], k_profile integer[], k_key integer[], k_scan boolean[], k_falling integer[], k_step_id bigint[], k_one_namespace boolean[], s_profile integer[], s_session_no integer[], s_after integer[], s_upto integer[], p_request_bytes bigint) RETURNS public.tasker_turn_claimed
    LANGUAGE plpgsql
    AS $$
DECLARE v_placed tasker_turn_claimed;
BEGIN
    WITH slots AS MATERIALIZED (
        SELECT s.* FROM unnest(s_profile, s_session_no, s_after, s_upto) AS s(profile, session_no, after, upto)
        WHERE s.profile = p_profile
    ), keys AS MATERIALIZED (
        SELECT k.key, k.scan OR p_scan_all AS scan,
               CASE WHEN p_scan_all THEN -2147483648 ELSE k.falling END AS falling, k.step_id, k.one_namespace
        FROM unnest(k_profile, k_key, k_scan, k_falling, k_step_id, k_one_namespace)
            AS k(profile, key, scan, falling, step_id, one_namespace)
        WHERE k.profile = p_profile
    ), children AS MATERIALIZED (
        SELECT c.step_id, c.handler_key, c.namespace_id, c.priority, c.parents_done, c AS child,
               c.is_ready AND c.handler_key IN (SELECT k.key FROM keys k) AS is_eligible
        FROM unnest(p_child) c
    ), room AS MATERIALIZED (
        -- Children that stand before all that waits take the first slots for certain (unless namespaces take
        -- turns): so many steps less need be looked at. One at least, to know whether more wait.
        SELECT greatest(1, (SELECT max(l.upto) FROM slots l) - (
            SELECT count(*) FROM children c
            WHERE c.is_eligible AND first.one_namespace
              AND ROW(-c.priority::int, c.step_id) < ROW(first.falling, first.step_id))) AS steps
        FROM (SELECT k.falling, k.step_id, k.one_namespace FROM keys k WHERE k.scan
              ORDER BY k.falling, k.step_id LIMIT 1) first
    ), candidates AS (
        SELECT c.* FROM children c
        UNION ALL
        SELECT w.*, true FROM keys k CROSS JOIN LATERAL (
            SELECT s.workflow_step_id, s.handler_key, s.namespace_id, s.priority, 0, NULL::tasker_turn_candidate
            FROM tasker_workflow_steps s
            WHERE s.ready_key = k.key AND ROW(-s.priority::int, s.workflow_step_id) >= ROW(k.falling, k.step_id)
              AND s.shard % p_lanes = p_lane AND NOT (s.workflow_step_id = ANY (p_taken))
            ORDER BY -s.priority::int, s.workflow_step_id
            LIMIT (SELECT r.steps FROM room r)) w
        WHERE k.scan
    ), ranked AS (
        -- Whose turn it is differs from turn to turn: with one slot per turn the oldest step would otherwise
        -- always belong to the namespace that floods.
        SELECT c.*, row_number() OVER (ORDER BY c.is_eligible DESC, c.priority DESC, c.in_turn,
                                       hashint8extended(c.namespace_id, p_turn), c.step_id) AS place
        FROM (SELECT c.*, row_number() OVER (PARTITION BY c.is_eligible, c.priority, c.namespace_id
                                             ORDER BY c.step_id) AS in_turn
              FROM candidates c) c
    ), placed AS MATERIALIZED (
        SELECT r.child, r.handler_key, r.parents_done > 0 AS is_child, r.is_eligible, r.place,
               CASE WHEN r.is_eligible THEN s.session_no END AS session_no
        FROM ranked r LEFT JOIN slots s ON r.place > s.after AND r.place <= s.upto
    ), won AS MATERIALIZED (
        -- The places of what waits, key by key: its first, second … step takes the first, second … of them.
        SELECT p.handler_key AS key, array_agg(p.place ORDER BY p.place) AS places,
               array_agg(p.session_no ORDER BY p.place) AS sessions
        FROM placed p WHERE NOT p.is_child AND p.session_no IS NOT NULL GROUP BY p.handler_key
    ), held AS (
        SELECT w.key, w.sessions[h.nth] AS session_no, w.places[h.nth] AS place, h.*
        FROM won w JOIN keys k ON k.key = w.key
        CROSS JOIN LATERAL (
            SELECT l.*, row_number() OVER (ORDER BY -l.priority::int, l.workflow_step_id) AS nth
            FROM (SELECT s.workflow_step_id, s.task_id, s.state, s.attempts, s.transition_count, s.timeout_ms, s.priority,
                         s.input_bytes, s.sent_alone
                  FROM tasker_workflow_steps s
                  WHERE s.ready_key = k.key AND ROW(-s.priority::int, s.workflow_step_id) >= ROW(k.falling, k.step_id)
                    AND s.shard % p_lanes = p_lane AND NOT (s.workflow_step_id = ANY (p_taken))
                  ORDER BY -s.priority::int, s.workflow_step_id
                  LIMIT cardinality(w.places) FOR UPDATE SKIP LOCKED) l) h
    ), claims AS (
        SELECT (p.child).step_id, (p.child).task_id, p.handler_key, p.session_no, (p.child).state,
               (p.child).attempts + 1 AS attempt, (p.child).transition_count + 1, p.place, (p.child).timeout_ms,
               (p.child).parents_done, (p.child).priority, (p.child).input_bytes, false
        FROM placed p WHERE p.is_child AND p.session_no IS NOT NULL
        UNION ALL
        SELECT h.workflow_step_id, h.task_id, h.key, h.session_no, h.state, h.attempts + 1, h.transition_count + 1,
               h.place, h.timeout_ms, 0, h.priority, h.input_bytes, h.sent_alone
        FROM held h
    )
    SELECT c.claims, c.starting, c.low_task, c.bytes, p.children, p.more
        INTO v_placed.claims, v_placed.starting, v_placed.low_task, v_placed.bytes, v_placed.children, v_placed.more
    FROM (SELECT coalesce(array_agg(ROW(c.*)::tasker_turn_assignment), '{}') AS claims, min(c.task_id) AS low_task,
                 coalesce(sum(c.input_bytes) FILTER (WHERE c.input_bytes <= p_request_bytes), 0) AS bytes,
                 coalesce(array_agg(c.task_id) FILTER (WHERE c.parents_done = 0 AND c.attempt = 1), '{}') AS starting
          FROM claims c) c
    CROSS JOIN (
          SELECT coalesce(array_agg(p.child) FILTER (WHERE p.is_child AND p.session_no IS NULL), '{}') AS children,
                 coalesce(array_agg(DISTINCT p.handler_key)
                     FILTER (WHERE p.is_eligible AND p.place >= (SELECT max(l.upto) FROM slots l)), '{}') AS more
          FROM placed p) p;
    RETURN v_placed;
END $$;

CREATE FUNCTION public.tasker_turn_reports(p_now timestamp with time zone, p_low_task bigint, p_low_batch bigint, m_class text[], m_batch_id bigint[], m_batch_step_id bigint[], m_step_id bigint[], m_task_id bigint[], m_attempt integer[], m_type text[], m_status text[], m_worker text[], m_session text[], m_sequence bigint[], m_exec_ms bigint[], m_raw text[], m_output text[], m_error text[], m_bytes integer[], m_retryable boolean[], m_handler_stopped boolean[], m_backoff double precision[], m_unusable boolean[]) RETURNS public.tasker_turn_reported
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_done tasker_turn_reported; v_expected int; v_count int;
BEGIN
    WITH judged AS MATERIALIZED (
        SELECT r.*, s.state AS old_state, s.transition_count + 1 AS sort_key, s.retryable AS step_retryable,
            CASE WHEN r.class <> 'final' THEN r.class
                 WHEN s.state IS NULL OR bs.batch_id IS NULL THEN 'unknown'
                 ELSE tasker_report_disposition(bs.reported_at, s.attempts, r.attempt, s.state,
                          r.status = 'completed' AND NOT r.unusable) END AS disposition,
            tasker_step_verdict(CASE WHEN r.unusable THEN 'error' ELSE r.status END, r.retryable, r.handler_stopped,
                s.retryable, s.on_orphan, s.attempts - s.unstarted_attempts, s.retry_limit) AS verdict
        FROM unnest(m_class, m_batch_id, m_batch_step_id, m_step_id, m_task_id, m_attempt, m_type, m_status, m_worker,
                m_session, m_sequence, m_exec_ms, m_raw, m_output, m_error, m_bytes, m_retryable, m_handler_stopped,
                m_backoff, m_unusable)
            WITH ORDINALITY AS r(class, batch_id, batch_step_id, step_id, task_id, attempt, type, status, worker,
                session, sequence, exec_ms, raw, output, error, bytes, retryable, handler_stopped, backoff, unusable,
                ord)
        LEFT JOIN tasker_workflow_steps s ON r.class = 'final' AND s.workflow_step_id = r.step_id
            AND s.task_id >= p_low_task
        LEFT JOIN tasker_step_execution_batch_steps bs ON r.class = 'final' AND bs.batch_id = r.batch_id
            AND bs.workflow_step_id = r.step_id AND bs.batch_id >= p_low_batch
    ), steps AS (
        UPDATE tasker_workflow_steps s SET state = j.verdict, transition_count = j.sort_key, ready_key = NULL,
            processed_at = CASE WHEN j.verdict <> 'waiting_for_retry' THEN p_now END,
            results = CASE WHEN j.verdict = 'complete' THEN j.output::jsonb END,
            error = CASE WHEN j.verdict <> 'complete' THEN j.error::jsonb END,
            backoff_request_seconds = CASE WHEN j.verdict = 'waiting_for_retry' THEN j.backoff END,
            next_attempt_at = CASE WHEN j.verdict = 'waiting_for_retry'
                                   THEN p_now + make_interval(secs => coalesce(j.backoff, 0)) END
        FROM judged j
        WHERE j.disposition = 'applied' AND s.workflow_step_id = j.step_id AND s.task_id >= p_low_task
          AND s.attempts = j.attempt AND s.state = j.old_state
        RETURNING 1
    ), deliveries AS (
        -- A delivery that was handed back has left its batch's expectation, and an orphan stays one: a late
        -- report does not bring them back.
        UPDATE tasker_step_execution_batch_steps bs SET reported_at = p_now, updated_at = p_now,
            final_status = coalesce(bs.final_status, j.status)
        FROM judged j
        WHERE j.class = 'final' AND j.disposition NOT IN ('duplicate', 'unknown') AND bs.batch_id = j.batch_id
          AND bs.workflow_step_id = j.step_id AND bs.batch_id >= p_low_batch
    ), ledger AS (
        INSERT INTO tasker_step_execution_batch_received_results (batch_id, batch_step_id, message_type, worker_id,
                session, sequence_number, status, execution_time_ms, disposition, raw_message_json, processed_at,
                processing_errors)
            SELECT j.batch_id, j.batch_step_id, j.type, left(j.worker, 255), j.session, j.sequence, j.status,
                   j.exec_ms, j.disposition, j.raw::json, p_now, CASE WHEN j.unusable THEN j.error::jsonb END
            FROM judged j ORDER BY j.ord
    ), history AS (
        INSERT INTO tasker_workflow_step_transitions
                (workflow_step_id, task_id, sort_key, from_state, to_state, event, created_at)
            SELECT j.step_id, j.task_id, j.sort_key, j.old_state, j.verdict, tasker_step_event(j.verdict), p_now
            FROM judged j WHERE j.disposition = 'applied'
    ), children AS (
        SELECT e.to_step_id, e.task_id, count(*)::int AS parents_done, sum(j.bytes) AS bytes
        FROM judged j
        JOIN tasker_workflow_step_edges e ON e.from_step_id = j.step_id AND e.task_id >= p_low_task
        WHERE j.disposition = 'applied' AND j.verdict = 'complete'
        GROUP BY e.to_step_id, e.task_id
    ), verdicts AS (
        SELECT j.ord::int, j.step_id, j.task_id, j.attempt, j.disposition,
               CASE WHEN j.disposition = 'applied' THEN j.verdict END AS new_state,
               CASE WHEN j.disposition = 'applied' AND j.verdict = 'error' AND j.status = 'failed' AND NOT j.unusable
                    THEN tasker_report_dead_letter(j.retryable, j.handler_stopped, j.step_retryable) END AS dead_letter,
               j.disposition IN ('late', 'stale_attempt') AND j.status = 'completed' AND NOT j.unusable
                   AS is_late_success
        FROM judged j WHERE j.class = 'final'
    )
    SELECT coalesce(array_agg(ROW(v.*)::tasker_turn_verdict), '{}'),
           count(*) FILTER (WHERE v.disposition = 'applied'), (SELECT count(*) FROM steps),
           coalesce(bool_or(v.dead_letter IS NOT NULL), false), coalesce(bool_or(v.is_late_success), false),
           coalesce(bool_or(v.new_state IS DISTINCT FROM 'complete'), false),
           -- Looked up one by one: as a join, between the first ANALYZE of one table and that of the next, the planner
           -- takes a step's id for one in 200 and reads all steps instead.
           coalesce((SELECT array_agg(ROW(s.workflow_step_id, s.task_id, s.handler_key, s.namespace_id, s.priority,
                         s.state, s.attempts, s.transition_count, s.timeout_ms, c.parents_done,
                         least(s.input_bytes + c.bytes
                               + CASE WHEN s.result_step_ids IS NOT NULL AND s.remaining_parents = c.parents_done
                                      THEN (SELECT coalesce(sum(octet_length(a.results::text)), 0)
                                            FROM tasker_workflow_steps a
                                            WHERE a.workflow_step_id = ANY (s.result_step_ids)
                                              AND a.task_id >= p_low_task) ELSE 0 END, 2147483647)::int,
                         s.state = 'pending' AND s.remaining_parents = c.parents_done)::tasker_turn_candidate)
                     FROM children c
                     CROSS JOIN LATERAL (SELECT s.* FROM tasker_workflow_steps s
                                         WHERE s.workflow_step_id = c.to_step_id AND s.task_id >= p_low_task
                                         LIMIT 1) s), '{}')
        INTO v_done.final, v_expected, v_count, v_done.has_dead_letter, v_done.has_late_success, v_done.has_other,
             v_done.children
    FROM verdicts v;
    IF v_count <> v_expected THEN
        RAISE EXCEPTION 'turn applied % of % reports', v_count, v_expected USING ERRCODE = '40001';
    END IF;
    RETURN v_done;
END $$;

CREATE FUNCTION public.tasker_turn_running(p_now timestamp with time zone, p_low_batch bigint, r_batch_id bigint[], r_step_id bigint[], r_age_ms bigint[]) RETURNS integer
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.tasker_turn_snoozes(p_now timestamp with time zone, p_low_task bigint, p_low_batch bigint, z_batch_id bigint[], z_step_id bigint[], z_attempt integer[], z_wait double precision[], z_max integer[], z_message text[]) RETURNS public.tasker_turn_move[]
    LANGUAGE plpgsql
    AS $$
DECLARE v_moved tasker_turn_move[];
BEGIN
    WITH ended AS (
        UPDATE tasker_step_execution_batch_steps bs SET final_status = 'handed_back', updated_at = p_now,
            metadata = z.note
        FROM (SELECT z.*, jsonb_strip_nulls(jsonb_build_object('reason', 'snoozed', 'wait_seconds', z.wait,
                                                               'message', z.message)) AS note
              FROM unnest(z_batch_id, z_step_id, z_attempt, z_wait, z_max, z_message)
                  AS z(batch_id, step_id, attempt, wait, max, message)) z
        WHERE bs.batch_id = z.batch_id AND bs.workflow_step_id = z.step_id AND bs.batch_id >= p_low_batch
          AND bs.reported_at IS NULL AND bs.final_status IS NULL
        RETURNING bs.batch_id, z.step_id, z.attempt, z.wait, z.max, z.message, z.note
    ), judged AS (
        SELECT e.*, s.snoozes >= e.max AS is_over
        FROM ended e JOIN tasker_workflow_steps s ON s.workflow_step_id = e.step_id AND s.task_id >= p_low_task
    ), moved AS (
        UPDATE tasker_workflow_steps s SET
            state = CASE WHEN j.is_over THEN 'error' ELSE 'pending' END,
            next_attempt_at = CASE WHEN NOT j.is_over THEN p_now + make_interval(secs => j.wait) END,
            unstarted_attempts = s.unstarted_attempts + (NOT j.is_over)::int,
            snoozes = s.snoozes + (NOT j.is_over)::int,
            transition_count = s.transition_count + 1,
            processed_at = CASE WHEN j.is_over THEN p_now END,
            error = CASE WHEN j.is_over THEN jsonb_build_object('message',
                format('its handler asked to wait more often than max_snoozes allows (%s)', j.max)
                    || coalesce(': ' || j.message, ''),
                'error_type', 'SnoozeError', 'error_code', 'snoozes_exhausted') END
        FROM judged j
        WHERE s.workflow_step_id = j.step_id AND s.task_id >= p_low_task AND s.state = 'in_progress'
          AND s.attempts = j.attempt
        RETURNING s.workflow_step_id, s.task_id, s.attempts, s.transition_count, s.state, s.handler_key, s.error,
                  j.is_over, j.note, j.batch_id
    ), history AS (
        INSERT INTO tasker_workflow_step_transitions
            (workflow_step_id, task_id, sort_key, from_state, to_state, event, metadata, created_at)
        SELECT m.workflow_step_id, m.task_id, m.transition_count, 'in_progress', m.state,
               CASE WHEN m.is_over THEN 'fail' ELSE 'hand_back' END,
               CASE WHEN m.is_over THEN m.note || '{"reason": "snoozes_exhausted"}' ELSE m.note END, p_now
        FROM moved m
    )
    SELECT coalesce(array_agg(ROW(NULL, m.workflow_step_id, m.task_id, m.attempts, m.state, m.handler_key,
                                  CASE WHEN m.is_over THEN 'snoozes_exhausted' ELSE 'snoozed' END, m.error,
                                  m.batch_id)::tasker_turn_move), '{}')
        INTO v_moved FROM moved m;
    RETURN v_moved;
END $$;

CREATE FUNCTION public.tasker_turn_starts(p_now timestamp with time zone, p_low_task bigint, p_low_batch bigint, g_batch_id bigint[], g_step_id bigint[], g_attempt integer[]) RETURNS public.tasker_turn_grant[]
    LANGUAGE plpgsql
    AS $$
DECLARE v_grant tasker_turn_grant[];
BEGIN
    WITH asked AS (
        SELECT g.ord, bs.batch_id, bs.workflow_step_id, s.state, s.attempts = g.attempt AS is_current,
               bs.reported_at IS NULL AND bs.final_status IS NULL AS is_out
        FROM unnest(g_batch_id, g_step_id, g_attempt) WITH ORDINALITY AS g(batch_id, step_id, attempt, ord)
        JOIN tasker_workflow_steps s ON s.workflow_step_id = g.step_id AND s.task_id >= p_low_task
        JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = g.batch_id AND bs.workflow_step_id = g.step_id
            AND bs.batch_id >= p_low_batch
    ), granted AS (
        UPDATE tasker_step_execution_batch_steps bs SET granted_at = coalesce(bs.granted_at, p_now),
            updated_at = p_now
        FROM (SELECT DISTINCT a.batch_id, a.workflow_step_id FROM asked a
              WHERE a.state = 'in_progress' AND a.is_current AND a.is_out) a
        WHERE bs.batch_id = a.batch_id AND bs.workflow_step_id = a.workflow_step_id AND bs.batch_id >= p_low_batch
    )
    SELECT coalesce(array_agg(ROW(a.ord, CASE
            WHEN a.state = 'cancelled' THEN 'cancelled'
            WHEN NOT a.is_current THEN 'stale_attempt'
            WHEN NOT a.is_out OR a.state <> 'in_progress' THEN 'ended' END)::tasker_turn_grant), '{}')
        INTO v_grant FROM asked a;
    RETURN v_grant;
END $$;

CREATE FUNCTION public.tasker_turn_tasks(p_now timestamp with time zone, p_low_task bigint, p_final public.tasker_turn_verdict[], p_claim public.tasker_turn_assignment[], p_child public.tasker_turn_candidate[], p_moved public.tasker_turn_move[], p_notify boolean) RETURNS public.tasker_turn_row[]
    LANGUAGE plpgsql
    AS $$
DECLARE v_rows tasker_turn_row[];
BEGIN
    WITH changed AS MATERIALIZED (
        SELECT t.task_id, t.state::text AS old_state, t.transition_count + 1 AS sort_key,
               t.open_steps - d.completed AS open_steps, t.movable_steps + d.movable AS movable_steps,
               tasker_task_verdict(t.state, t.open_steps - d.completed, t.movable_steps + d.movable, d.claimed,
                   EXISTS (SELECT 1 FROM tasker_workflow_steps s WHERE s.task_id = t.task_id
                           AND s.task_id >= p_low_task AND s.state = 'error')) AS new_state
        FROM (SELECT x.task_id, sum(x.completed)::int AS completed, sum(x.movable)::int AS movable,
                     bool_or(x.claimed) AS claimed
              FROM (SELECT f.task_id, (f.new_state = 'complete')::int AS completed,
                           -(f.new_state IN ('complete', 'error'))::int AS movable, false AS claimed
                    FROM unnest(p_final) f WHERE f.disposition = 'applied'
                    UNION ALL
                    SELECT a.task_id, 0, (a.parents_done > 0)::int, a.old_state = 'pending' AND a.attempt = 1
                    FROM unnest(p_claim) a WHERE a.attempt = 1 OR a.parents_done > 0
                    UNION ALL
                    SELECT c.task_id, 0, 1, false FROM unnest(p_child) c WHERE c.is_ready
                    UNION ALL
                    SELECT m.task_id, 0, -1, false FROM unnest(p_moved) m WHERE m.new_state = 'error') x
              GROUP BY x.task_id) d
        JOIN tasker_tasks t ON t.task_id = d.task_id AND t.task_id >= p_low_task
        WHERE d.completed <> 0 OR d.movable <> 0 OR (d.claimed AND t.state = 'pending')
    ), written AS (
        UPDATE tasker_tasks t SET
            state = c.new_state, open_steps = c.open_steps, movable_steps = c.movable_steps,
            transition_count = t.transition_count + CASE WHEN c.new_state <> c.old_state THEN 1 ELSE 0 END,
            updated_at = p_now,
            completed_at = CASE WHEN c.new_state NOT IN ('pending', 'in_progress')
                                THEN coalesce(t.completed_at, p_now) END
        FROM changed c WHERE t.task_id = c.task_id AND t.task_id >= p_low_task
    ), history AS (
        INSERT INTO tasker_task_transitions (task_id, sort_key, from_state, to_state, event, created_at)
            SELECT c.task_id, c.sort_key, c.old_state, c.new_state, tasker_task_event(c.new_state), p_now
            FROM changed c WHERE c.new_state <> c.old_state
    )
    SELECT array_agg(ROW('task', NULL, c.new_state,
               CASE WHEN p_notify AND c.new_state IN ('complete', 'error', 'cancelled')
                    THEN pg_notify(tasker_channel('tasker_done'), c.task_id::text)::text END,
               c.task_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
               NULL, NULL)::tasker_turn_row)
        INTO v_rows
    FROM changed c WHERE c.new_state <> c.old_state;
    RETURN v_rows;
END $$;

CREATE FUNCTION public.tasker_wake_for_steps(p_step_ids bigint[]) RETURNS void
    LANGUAGE sql
    AS $$
    SELECT pg_notify(tasker_channel('tasker_wake'),
                     CASE WHEN length(k.keys) < 4000 THEN 'keys:' || k.keys ELSE 'scan' END)
    FROM (SELECT string_agg(DISTINCT s.handler_key::text, ',') AS keys FROM tasker_workflow_steps s
          WHERE s.workflow_step_id = ANY (p_step_ids)) k
    WHERE k.keys IS NOT NULL
$$;

CREATE TABLE public.tasker_dead_letters (
    dead_letter_id bigint NOT NULL,
    workflow_step_id bigint NOT NULL,
    task_id bigint NOT NULL,
    attempt integer NOT NULL,
    reason character varying(40) NOT NULL,
    last_error jsonb,
    last_worker character varying(255),
    late_result jsonb,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    resolved_at timestamp with time zone,
    resolution character varying(20),
    resolved_by character varying(255),
    resolution_reason text,
    CONSTRAINT tasker_dead_letters_resolution CHECK ((((resolved_at IS NULL) = (resolution IS NULL)) AND ((resolution)::text = ANY ((ARRAY['replayed'::character varying, 'resolved'::character varying, 'discarded'::character varying, 'cancelled'::character varying])::text[]))))
);

CREATE TABLE public.tasker_installation (
    only_row boolean DEFAULT true NOT NULL,
    installation_uuid uuid DEFAULT gen_random_uuid() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tasker_installation_only_row CHECK (only_row)
);

CREATE TABLE public.tasker_named_tasks (
    named_task_id bigint NOT NULL,
    task_namespace_id bigint NOT NULL,
    name character varying(128) NOT NULL,
    version character varying(64) NOT NULL,
    description text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tasker_named_tasks_name CHECK ((((name)::text COLLATE "C") ~ '^[A-Za-z0-9_.-]+$'::text)),
    CONSTRAINT tasker_named_tasks_version CHECK ((((version)::text COLLATE "C") ~ '^[A-Za-z0-9._+-]+$'::text))
);

CREATE TABLE public.tasker_task_namespaces (
    task_namespace_id bigint NOT NULL,
    name character varying(128) NOT NULL,
    description text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tasker_task_namespaces_name CHECK ((((name)::text COLLATE "C") ~ '^[A-Za-z0-9_.-]+$'::text))
);

CREATE VIEW public.tasker_dead_letter_details AS
 SELECT d.dead_letter_id,
    d.reason,
    d.workflow_step_id,
    s.name,
    d.attempt,
    d.task_id,
    n.name AS namespace,
    nt.name AS task_name,
    nt.version AS task_version,
    s.handler_class,
    d.last_error,
    d.last_worker,
    (d.late_result IS NOT NULL) AS has_late_result,
    d.late_result,
    (d.resolved_at IS NULL) AS is_open,
    (((s.state)::text = 'error'::text) AND (s.attempts = d.attempt)) AS is_current,
    s.state,
    t.state AS task_state,
    s.attempts,
    s.unstarted_attempts,
    s.retry_limit,
    s.retryable,
    s.on_orphan,
    d.created_at,
    d.resolved_at,
    d.resolution,
    d.resolved_by,
    d.resolution_reason,
    ((( SELECT i.installation_uuid
           FROM public.tasker_installation i) || '-'::text) || d.workflow_step_id) AS idempotency_key
   FROM ((((public.tasker_dead_letters d
     LEFT JOIN public.tasker_workflow_steps s ON ((s.workflow_step_id = d.workflow_step_id)))
     LEFT JOIN public.tasker_tasks t ON ((t.task_id = d.task_id)))
     LEFT JOIN public.tasker_named_tasks nt ON ((nt.named_task_id = t.named_task_id)))
     LEFT JOIN public.tasker_task_namespaces n ON ((n.task_namespace_id = t.namespace_id)));

ALTER TABLE public.tasker_dead_letters ALTER COLUMN dead_letter_id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.tasker_dead_letters_dead_letter_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.tasker_dependent_systems (
    dependent_system_id bigint NOT NULL,
    name character varying(128) NOT NULL,
    description text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tasker_dependent_systems_name CHECK ((((name)::text COLLATE "C") ~ '^[A-Za-z0-9_.-]+$'::text))
);

ALTER TABLE public.tasker_dependent_systems ALTER COLUMN dependent_system_id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.tasker_dependent_systems_dependent_system_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.tasker_dropped_ranges (
    id bigint NOT NULL,
    axis character varying(8) NOT NULL,
    low bigint NOT NULL,
    high bigint NOT NULL,
    first_step_id bigint,
    last_step_id bigint,
    rows_dropped bigint NOT NULL,
    kept_ids bigint[] NOT NULL,
    dropped_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT tasker_dropped_ranges_axis CHECK (((axis)::text = ANY ((ARRAY['task_id'::character varying, 'batch_id'::character varying])::text[])))
);

ALTER TABLE public.tasker_dropped_ranges ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.tasker_dropped_ranges_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.tasker_handler_keys (
    handler_key bigint NOT NULL,
    namespace_id bigint NOT NULL,
    handler_class character varying(255) NOT NULL,
    CONSTRAINT tasker_handler_keys_class CHECK ((((handler_class)::text COLLATE "C") ~ '^[A-Za-z0-9_.:/-]+$'::text))
);

ALTER TABLE public.tasker_handler_keys ALTER COLUMN handler_key ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.tasker_handler_keys_handler_key_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.tasker_named_steps (
    named_step_id bigint NOT NULL,
    dependent_system_id bigint NOT NULL,
    name character varying(128) NOT NULL,
    description text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tasker_named_steps_name CHECK ((((name)::text COLLATE "C") ~ '^[A-Za-z0-9_.-]+$'::text))
);

ALTER TABLE public.tasker_named_steps ALTER COLUMN named_step_id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.tasker_named_steps_named_step_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.tasker_named_tasks_named_steps (
    id bigint NOT NULL,
    named_task_id bigint NOT NULL,
    named_step_id bigint NOT NULL,
    skippable boolean DEFAULT false NOT NULL,
    default_retryable boolean DEFAULT true NOT NULL,
    default_retry_limit integer DEFAULT 3 NOT NULL
);

ALTER TABLE public.tasker_named_tasks_named_steps ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.tasker_named_tasks_named_steps_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE public.tasker_named_tasks ALTER COLUMN named_task_id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.tasker_named_tasks_named_task_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.tasker_orchestrators (
    lane smallint NOT NULL,
    instance character varying(64) NOT NULL,
    epoch bigint NOT NULL,
    turn bigint DEFAULT 0 NOT NULL,
    state character varying(12) DEFAULT 'starting'::character varying NOT NULL,
    host character varying(255) NOT NULL,
    pid integer NOT NULL,
    backend_pids integer[] DEFAULT '{}'::integer[] NOT NULL,
    endpoints jsonb DEFAULT '{}'::jsonb NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    last_seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT tasker_orchestrators_state CHECK (((state)::text = ANY ('{starting,serving,stopped}'::text[])))
)
WITH (fillfactor='10', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');

CREATE TABLE public.tasker_step_execution_batch_steps (
    id bigint NOT NULL,
    batch_id bigint NOT NULL,
    workflow_step_id bigint NOT NULL,
    sequence_order integer NOT NULL,
    attempt integer NOT NULL,
    expected_handler_class character varying(255) NOT NULL,
    final_status character varying(20),
    granted_at timestamp with time zone,
    started_at timestamp with time zone,
    reported_at timestamp with time zone,
    metadata jsonb,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
PARTITION BY RANGE (batch_id);

CREATE TABLE public.tasker_step_execution_batches (
    batch_id bigint NOT NULL,
    task_id bigint,
    handler_class character varying(255) NOT NULL,
    handler_key integer NOT NULL,
    batch_uuid character varying(36) NOT NULL,
    initiated_by character varying(128),
    batch_size integer NOT NULL,
    timeout_seconds integer DEFAULT 300 NOT NULL,
    state character varying(20) NOT NULL,
    session character varying(16),
    epoch bigint NOT NULL,
    turn bigint NOT NULL,
    transition_count integer NOT NULL,
    partial_results_received integer DEFAULT 0 NOT NULL,
    final_completion_received boolean DEFAULT false NOT NULL,
    reconciliation_status character varying(12) DEFAULT 'pending'::character varying NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT tasker_step_execution_batches_reconciliation CHECK (((reconciliation_status)::text = ANY ('{pending,consistent,discrepancy}'::text[]))),
    CONSTRAINT tasker_step_execution_batches_size CHECK ((batch_size >= 1)),
    CONSTRAINT tasker_step_execution_batches_state CHECK (((state)::text = ANY ('{created,published,executing,completed,partially_failed,failed,timed_out,cancelled}'::text[])))
)
PARTITION BY RANGE (batch_id);

CREATE VIEW public.tasker_steps_without_results AS
 SELECT b.batch_id,
    b.batch_uuid,
    b.state AS batch_state,
    b.session,
    bs.id AS batch_step_id,
    bs.workflow_step_id,
    s.task_id,
    s.name,
    s.state,
    bs.attempt,
    bs.sequence_order,
    bs.started_at,
    b.created_at AS published_at
   FROM ((public.tasker_step_execution_batches b
     JOIN public.tasker_step_execution_batch_steps bs ON ((bs.batch_id = b.batch_id)))
     LEFT JOIN public.tasker_workflow_steps s ON ((s.workflow_step_id = bs.workflow_step_id)))
  WHERE (public.tasker_is_open_batch((b.state)::text) AND (bs.reported_at IS NULL) AND (bs.final_status IS NULL));

CREATE TABLE public.tasker_workers (
    session character varying(16) NOT NULL,
    worker_id character varying(255) NOT NULL,
    language character varying(32),
    sdk_version character varying(64),
    handlers jsonb DEFAULT '[]'::jsonb NOT NULL,
    namespaces jsonb DEFAULT '[]'::jsonb NOT NULL,
    capacity integer NOT NULL,
    in_flight integer DEFAULT 0 NOT NULL,
    state character varying(12) NOT NULL,
    host character varying(255),
    pid integer,
    epoch bigint NOT NULL,
    first_seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    last_heartbeat_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    credit_limit integer DEFAULT 0 NOT NULL,
    free_credit integer DEFAULT 0 NOT NULL,
    drain_requested_at timestamp with time zone,
    drain_deadline_ms bigint,
    faults jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT tasker_workers_state CHECK (((state)::text = ANY ((ARRAY['greeted'::character varying, 'ready'::character varying, 'suspect'::character varying, 'lost'::character varying, 'draining'::character varying, 'left'::character varying, 'gone'::character varying])::text[])))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000');

CREATE VIEW public.tasker_orphaned_steps AS
 SELECT r.workflow_step_id,
    r.task_id,
    r.name,
    r.attempt,
    r.batch_id,
    r.batch_uuid,
    r.session,
    w.worker_id,
    w.last_heartbeat_at,
    COALESCE(w.state, 'unknown'::character varying) AS session_state,
    r.started_at,
    r.published_at
   FROM (public.tasker_steps_without_results r
     LEFT JOIN public.tasker_workers w ON (((w.session)::text = (r.session)::text)))
  WHERE (((r.state)::text = 'in_progress'::text) AND (r.session IS NOT NULL) AND ((w.session IS NULL) OR ((w.state)::text = ANY ((ARRAY['lost'::character varying, 'left'::character varying, 'gone'::character varying])::text[]))));

CREATE VIEW public.tasker_overdue_batches AS
 SELECT b.batch_id,
    b.batch_uuid,
    b.task_id,
    b.handler_class,
    b.state,
    b.session,
    b.batch_size,
    b.timeout_seconds,
    b.created_at,
    (b.created_at + make_interval(secs => (b.timeout_seconds)::double precision)) AS due_at,
    ((EXTRACT(epoch FROM (clock_timestamp() - b.created_at)))::bigint - b.timeout_seconds) AS overdue_seconds,
    ( SELECT count(*) AS count
           FROM public.tasker_step_execution_batch_steps bs
          WHERE ((bs.batch_id = b.batch_id) AND (bs.reported_at IS NULL) AND (bs.final_status IS NULL))) AS steps_missing
   FROM public.tasker_step_execution_batches b
  WHERE (public.tasker_is_open_batch((b.state)::text) AND ((b.created_at + make_interval(secs => (b.timeout_seconds)::double precision)) < clock_timestamp()));

CREATE VIEW public.tasker_reconciliation_discrepancies AS
 SELECT b.batch_id,
    b.batch_uuid,
    b.task_id,
    b.handler_class,
    b.state,
    b.session,
    (d.difference ->> 'kind'::text) AS kind,
    ((d.difference ->> 'step_id'::text))::bigint AS workflow_step_id,
    (d.difference ->> 'detail'::text) AS detail,
    b.partial_results_received,
    b.final_completion_received,
    b.batch_size,
    b.created_at,
    b.updated_at,
    (d.difference ->> 'explained_by'::text) AS explained_by,
    ((a.note ->> 'at'::text))::timestamp with time zone AS acknowledged_at,
    (a.note ->> 'actor'::text) AS acknowledged_by,
    (a.note ->> 'reason'::text) AS acknowledged_reason
   FROM ((public.tasker_step_execution_batches b
     LEFT JOIN LATERAL jsonb_array_elements(
        CASE
            WHEN (jsonb_typeof((b.metadata -> 'discrepancies'::text)) = 'array'::text) THEN (b.metadata -> 'discrepancies'::text)
            ELSE '[]'::jsonb
        END) d(difference) ON (true))
     LEFT JOIN LATERAL ( SELECT (b.metadata -> 'acknowledged'::text) AS note
          WHERE ((b.metadata #> '{acknowledged,discrepancies}'::text[]) = (b.metadata -> 'discrepancies'::text))) a ON (true))
  WHERE ((b.reconciliation_status)::text = 'discrepancy'::text);

CREATE TABLE public.tasker_rejected_messages (
    id bigint NOT NULL,
    topic character varying(64),
    code character varying(40) NOT NULL,
    reason text NOT NULL,
    session character varying(255),
    raw bytea NOT NULL,
    received_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE public.tasker_rejected_messages ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.tasker_rejected_messages_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.tasker_schema_layer (
    only_one boolean DEFAULT true NOT NULL,
    checksum character(64) NOT NULL,
    program character varying(64) NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT tasker_schema_layer_only_one_check CHECK (only_one)
);

CREATE TABLE public.tasker_schema_migrations (
    version integer NOT NULL,
    name character varying(128) NOT NULL,
    checksum character(64) NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE public.tasker_schema_objects (
    "position" integer NOT NULL,
    kind character varying(16) NOT NULL,
    name character varying(63) NOT NULL,
    arguments text NOT NULL,
    file character varying(255) NOT NULL,
    checksum character(64) NOT NULL,
    body character(32)
);

CREATE TABLE public.tasker_standbys (
    instance character varying(64) NOT NULL,
    host character varying(255) NOT NULL,
    pid integer NOT NULL,
    endpoints jsonb DEFAULT '{}'::jsonb NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    last_seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE public.tasker_workflow_step_edges (
    from_step_id bigint NOT NULL,
    to_step_id bigint NOT NULL,
    task_id bigint NOT NULL
)
PARTITION BY RANGE (task_id);

CREATE VIEW public.tasker_step_dag_relationships AS
 SELECT s.workflow_step_id,
    t.task_id,
    s.named_step_id,
    s.name,
    to_jsonb(p.ids) AS parent_step_ids,
    to_jsonb(c.ids) AS child_step_ids,
    cardinality(p.ids) AS parent_count,
    cardinality(c.ids) AS child_count,
    (cardinality(p.ids) = 0) AS is_root_step,
    (cardinality(c.ids) = 0) AS is_leaf_step,
    d.depth AS min_depth_from_root
   FROM ((((public.tasker_tasks t
     CROSS JOIN LATERAL ( WITH RECURSIVE steps AS MATERIALIZED (
                 SELECT ts.workflow_step_id
                   FROM public.tasker_workflow_steps ts
                  WHERE (ts.task_id = t.task_id)
                ), depths AS (
                 SELECT steps.workflow_step_id,
                    0 AS depth
                   FROM steps
                  WHERE (NOT (EXISTS ( SELECT 1
                           FROM public.tasker_workflow_step_edges e
                          WHERE (e.to_step_id = steps.workflow_step_id))))
                UNION
                 SELECT e.to_step_id,
                    (depths_1.depth + 1)
                   FROM (depths depths_1
                     CROSS JOIN LATERAL ( SELECT x.to_step_id
                           FROM public.tasker_workflow_step_edges x
                          WHERE (x.from_step_id = depths_1.workflow_step_id)
                         OFFSET 0) e)
                  WHERE (depths_1.depth < ( SELECT count(*) AS count
                           FROM steps))
                )
         SELECT depths.workflow_step_id,
            min(depths.depth) AS depth
           FROM depths
          GROUP BY depths.workflow_step_id) d)
     JOIN public.tasker_workflow_steps s ON ((s.workflow_step_id = d.workflow_step_id)))
     CROSS JOIN LATERAL ( SELECT ARRAY( SELECT e.from_step_id
                   FROM public.tasker_workflow_step_edges e
                  WHERE (e.to_step_id = s.workflow_step_id)
                  ORDER BY e.from_step_id) AS ids) p)
     CROSS JOIN LATERAL ( SELECT ARRAY( SELECT e.to_step_id
                   FROM public.tasker_workflow_step_edges e
                  WHERE (e.from_step_id = s.workflow_step_id)
                  ORDER BY e.to_step_id) AS ids) c);

CREATE TABLE public.tasker_step_execution_batch_received_results (
    id bigint NOT NULL,
    batch_id bigint NOT NULL,
    batch_step_id bigint,
    message_type character varying(24) NOT NULL,
    worker_id character varying(255),
    session character varying(16),
    sequence_number bigint,
    status character varying(20),
    execution_time_ms bigint,
    disposition character varying(16) NOT NULL,
    raw_message_json json NOT NULL,
    processing_errors jsonb,
    processed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tasker_step_execution_batch_received_results_disposition CHECK (((disposition)::text = ANY ('{unknown,noted,duplicate,stale_attempt,applied,late}'::text[]))),
    CONSTRAINT tasker_step_execution_batch_received_results_type CHECK (((message_type)::text = ANY ('{partial_result,batch_completion}'::text[])))
)
PARTITION BY RANGE (batch_id);

ALTER TABLE public.tasker_step_execution_batch_received_results ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.tasker_step_execution_batch_received_results_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.tasker_step_execution_batch_received_results_p0 (
    id bigint NOT NULL,
    batch_id bigint NOT NULL,
    batch_step_id bigint,
    message_type character varying(24) NOT NULL,
    worker_id character varying(255),
    session character varying(16),
    sequence_number bigint,
    status character varying(20),
    execution_time_ms bigint,
    disposition character varying(16) NOT NULL,
    raw_message_json json NOT NULL,
    processing_errors jsonb,
    processed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tasker_step_execution_batch_received_results_disposition CHECK (((disposition)::text = ANY ('{unknown,noted,duplicate,stale_attempt,applied,late}'::text[]))),
    CONSTRAINT tasker_step_execution_batch_received_results_type CHECK (((message_type)::text = ANY ('{partial_result,batch_completion}'::text[])))
)
WITH (autovacuum_vacuum_insert_scale_factor='0.2', autovacuum_vacuum_insert_threshold='50000', autovacuum_analyze_scale_factor='0.05', autovacuum_analyze_threshold='5000');

CREATE TABLE public.tasker_step_execution_batch_received_results_p1000001 (
    id bigint NOT NULL,
    batch_id bigint NOT NULL,
    batch_step_id bigint,
    message_type character varying(24) NOT NULL,
    worker_id character varying(255),
    session character varying(16),
    sequence_number bigint,
    status character varying(20),
    execution_time_ms bigint,
    disposition character varying(16) NOT NULL,
    raw_message_json json NOT NULL,
    processing_errors jsonb,
    processed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tasker_step_execution_batch_received_results_disposition CHECK (((disposition)::text = ANY ('{unknown,noted,duplicate,stale_attempt,applied,late}'::text[]))),
    CONSTRAINT tasker_step_execution_batch_received_results_type CHECK (((message_type)::text = ANY ('{partial_result,batch_completion}'::text[])))
)
WITH (autovacuum_vacuum_insert_scale_factor='0.2', autovacuum_vacuum_insert_threshold='50000', autovacuum_analyze_scale_factor='0.05', autovacuum_analyze_threshold='5000');

ALTER TABLE public.tasker_step_execution_batch_steps ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.tasker_step_execution_batch_steps_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.tasker_step_execution_batch_steps_p0 (
    id bigint NOT NULL,
    batch_id bigint NOT NULL,
    workflow_step_id bigint NOT NULL,
    sequence_order integer NOT NULL,
    attempt integer NOT NULL,
    expected_handler_class character varying(255) NOT NULL,
    final_status character varying(20),
    granted_at timestamp with time zone,
    started_at timestamp with time zone,
    reported_at timestamp with time zone,
    metadata jsonb,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='5000', autovacuum_vacuum_cost_delay='1', autovacuum_vacuum_insert_scale_factor='0.2', autovacuum_vacuum_insert_threshold='50000', autovacuum_analyze_scale_factor='0.05', autovacuum_analyze_threshold='5000');

CREATE TABLE public.tasker_step_execution_batch_steps_p1000001 (
    id bigint NOT NULL,
    batch_id bigint NOT NULL,
    workflow_step_id bigint NOT NULL,
    sequence_order integer NOT NULL,
    attempt integer NOT NULL,
    expected_handler_class character varying(255) NOT NULL,
    final_status character varying(20),
    granted_at timestamp with time zone,
    started_at timestamp with time zone,
    reported_at timestamp with time zone,
    metadata jsonb,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='5000', autovacuum_vacuum_cost_delay='1', autovacuum_vacuum_insert_scale_factor='0.2', autovacuum_vacuum_insert_threshold='50000', autovacuum_analyze_scale_factor='0.05', autovacuum_analyze_threshold='5000');

CREATE TABLE public.tasker_step_execution_batch_transitions (
    id bigint NOT NULL,
    batch_id bigint NOT NULL,
    from_state character varying(20),
    to_state character varying(20) NOT NULL,
    event_name character varying(40) NOT NULL,
    metadata jsonb,
    sort_key integer NOT NULL,
    most_recent boolean NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
)
PARTITION BY RANGE (batch_id);

ALTER TABLE public.tasker_step_execution_batch_transitions ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.tasker_step_execution_batch_transitions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.tasker_step_execution_batch_transitions_p0 (
    id bigint NOT NULL,
    batch_id bigint NOT NULL,
    from_state character varying(20),
    to_state character varying(20) NOT NULL,
    event_name character varying(40) NOT NULL,
    metadata jsonb,
    sort_key integer NOT NULL,
    most_recent boolean NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='5000', autovacuum_vacuum_cost_delay='1', autovacuum_vacuum_insert_scale_factor='0.2', autovacuum_vacuum_insert_threshold='50000', autovacuum_analyze_scale_factor='0.05', autovacuum_analyze_threshold='5000');

CREATE TABLE public.tasker_step_execution_batch_transitions_p1000001 (
    id bigint NOT NULL,
    batch_id bigint NOT NULL,
    from_state character varying(20),
    to_state character varying(20) NOT NULL,
    event_name character varying(40) NOT NULL,
    metadata jsonb,
    sort_key integer NOT NULL,
    most_recent boolean NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='5000', autovacuum_vacuum_cost_delay='1', autovacuum_vacuum_insert_scale_factor='0.2', autovacuum_vacuum_insert_threshold='50000', autovacuum_analyze_scale_factor='0.05', autovacuum_analyze_threshold='5000');

ALTER TABLE public.tasker_step_execution_batches ALTER COLUMN batch_id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.tasker_step_execution_batches_batch_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.tasker_step_execution_batches_p0 (
    batch_id bigint NOT NULL,
    task_id bigint,
    handler_class character varying(255) NOT NULL,
    handler_key integer NOT NULL,
    batch_uuid character varying(36) NOT NULL,
    initiated_by character varying(128),
    batch_size integer NOT NULL,
    timeout_seconds integer DEFAULT 300 NOT NULL,
    state character varying(20) NOT NULL,
    session character varying(16),
    epoch bigint NOT NULL,
    turn bigint NOT NULL,
    transition_count integer NOT NULL,
    partial_results_received integer DEFAULT 0 NOT NULL,
    final_completion_received boolean DEFAULT false NOT NULL,
    reconciliation_status character varying(12) DEFAULT 'pending'::character varying NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT tasker_step_execution_batches_reconciliation CHECK (((reconciliation_status)::text = ANY ('{pending,consistent,discrepancy}'::text[]))),
    CONSTRAINT tasker_step_execution_batches_size CHECK ((batch_size >= 1)),
    CONSTRAINT tasker_step_execution_batches_state CHECK (((state)::text = ANY ('{created,published,executing,completed,partially_failed,failed,timed_out,cancelled}'::text[])))
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='5000', autovacuum_vacuum_cost_delay='1', autovacuum_vacuum_insert_scale_factor='0.2', autovacuum_vacuum_insert_threshold='50000', autovacuum_analyze_scale_factor='0.05', autovacuum_analyze_threshold='5000');

CREATE TABLE public.tasker_step_execution_batches_p1000001 (
    batch_id bigint NOT NULL,
    task_id bigint,
    handler_class character varying(255) NOT NULL,
    handler_key integer NOT NULL,
    batch_uuid character varying(36) NOT NULL,
    initiated_by character varying(128),
    batch_size integer NOT NULL,
    timeout_seconds integer DEFAULT 300 NOT NULL,
    state character varying(20) NOT NULL,
    session character varying(16),
    epoch bigint NOT NULL,
    turn bigint NOT NULL,
    transition_count integer NOT NULL,
    partial_results_received integer DEFAULT 0 NOT NULL,
    final_completion_received boolean DEFAULT false NOT NULL,
    reconciliation_status character varying(12) DEFAULT 'pending'::character varying NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT tasker_step_execution_batches_reconciliation CHECK (((reconciliation_status)::text = ANY ('{pending,consistent,discrepancy}'::text[]))),
    CONSTRAINT tasker_step_execution_batches_size CHECK ((batch_size >= 1)),
    CONSTRAINT tasker_step_execution_batches_state CHECK (((state)::text = ANY ('{created,published,executing,completed,partially_failed,failed,timed_out,cancelled}'::text[])))
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='5000', autovacuum_vacuum_cost_delay='1', autovacuum_vacuum_insert_scale_factor='0.2', autovacuum_vacuum_insert_threshold='50000', autovacuum_analyze_scale_factor='0.05', autovacuum_analyze_threshold='5000');

CREATE VIEW public.tasker_stored_batches AS
 SELECT b.batch_id,
    b.batch_uuid,
    COALESCE(b.session, ''::character varying) AS session,
    b.handler_key,
    b.state,
    b.reconciliation_status,
    b.final_completion_received,
    ( SELECT (r.raw_message_json)::text AS raw_message_json
           FROM public.tasker_step_execution_batch_received_results r
          WHERE ((r.batch_id = b.batch_id) AND ((r.message_type)::text = 'batch_completion'::text) AND ((r.disposition)::text = 'noted'::text))
          ORDER BY r.id DESC
         LIMIT 1) AS completion,
    bs.id AS batch_step_id,
    bs.workflow_step_id,
    s.task_id,
    bs.attempt,
    s.name,
    t.named_task_id,
    t.template_revision,
    LEAST(s.timeout_ms, '2147483647000'::bigint) AS timeout_ms,
    s.retry_limit,
    s.claim_first,
    public.tasker_tries_left(s.retryable, s.retry_limit, bs.attempt, s.unstarted_attempts) AS tries_left,
    COALESCE((((bs.final_status)::text = 'handed_back'::text) AND ((bs.metadata ->> 'reason'::text) = 'snoozed'::text)), false) AS snoozed,
    COALESCE(bs.final_status, ''::character varying) AS final_status,
    bs.sequence_order,
    (bs.started_at IS NOT NULL) AS started,
    (bs.granted_at IS NOT NULL) AS granted,
    COALESCE(((EXTRACT(epoch FROM (clock_timestamp() - bs.started_at)) * (1000)::numeric))::bigint, (0)::bigint) AS started_ms_ago,
    COALESCE(first.status, ''::character varying) AS reported,
    COALESCE((first.raw_message_json)::text, ''::text) AS report,
    (EXISTS ( SELECT
           FROM public.tasker_step_execution_batch_received_results r
          WHERE ((r.batch_id = b.batch_id) AND (r.batch_step_id = bs.id) AND ((r.disposition)::text = 'duplicate'::text) AND (((r.status)::text <> (first.status)::text) OR (((r.raw_message_json -> 'output'::text))::text IS DISTINCT FROM ((first.raw_message_json -> 'output'::text))::text) OR (((r.raw_message_json -> 'error'::text))::text IS DISTINCT FROM ((first.raw_message_json -> 'error'::text))::text))))) AS conflicting,
    to_char((b.created_at AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text) AS claimed_at
   FROM ((((public.tasker_step_execution_batches b
     JOIN public.tasker_step_execution_batch_steps bs ON ((bs.batch_id = b.batch_id)))
     JOIN public.tasker_workflow_steps s ON ((s.workflow_step_id = bs.workflow_step_id)))
     JOIN public.tasker_tasks t ON ((t.task_id = s.task_id)))
     LEFT JOIN LATERAL ( SELECT r.status,
            r.raw_message_json
           FROM public.tasker_step_execution_batch_received_results r
          WHERE ((bs.reported_at IS NOT NULL) AND (r.batch_id = b.batch_id) AND (r.batch_step_id = bs.id) AND ((r.message_type)::text = 'partial_result'::text) AND (r.processed_at = bs.reported_at) AND ((r.disposition)::text = ANY ((ARRAY['applied'::character varying, 'late'::character varying, 'stale_attempt'::character varying])::text[])))
          ORDER BY ((r.disposition)::text = 'stale_attempt'::text), r.id
         LIMIT 1) first ON (true));

CREATE TABLE public.tasker_task_identities (
    scope character varying(300) NOT NULL,
    identity_hash character(64) NOT NULL,
    context_hash character(64) NOT NULL,
    task_id bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone
);

ALTER TABLE public.tasker_task_namespaces ALTER COLUMN task_namespace_id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.tasker_task_namespaces_task_namespace_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.tasker_task_template_steps (
    task_template_id bigint NOT NULL,
    "position" integer NOT NULL,
    name character varying(128) NOT NULL,
    named_step_id bigint NOT NULL,
    handler_class character varying(255) NOT NULL,
    handler_key bigint NOT NULL,
    retryable boolean NOT NULL,
    retry_limit integer NOT NULL,
    timeout_ms bigint NOT NULL,
    on_orphan character varying(16) NOT NULL,
    claim_first boolean NOT NULL,
    parent_positions integer[] NOT NULL,
    result_positions integer[] DEFAULT '{}'::integer[] NOT NULL,
    CONSTRAINT tasker_task_template_steps_on_orphan CHECK (((on_orphan)::text = ANY ((ARRAY['retry'::character varying, 'dead_letter'::character varying])::text[]))),
    CONSTRAINT tasker_task_template_steps_parents CHECK ((("position" >= 1) AND (1 <= ALL (parent_positions)) AND ("position" > ALL (parent_positions)) AND (1 <= ALL (result_positions)) AND ("position" > ALL (result_positions)))),
    CONSTRAINT tasker_task_template_steps_retry_limit CHECK (((retry_limit >= 1) AND (retry_limit <= 1000))),
    CONSTRAINT tasker_task_template_steps_timeout CHECK (((timeout_ms >= 1) AND (timeout_ms <= 86400000)))
);

CREATE TABLE public.tasker_task_templates (
    task_template_id bigint NOT NULL,
    named_task_id bigint NOT NULL,
    revision integer NOT NULL,
    configuration jsonb NOT NULL,
    digest character(64) NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tasker_task_templates_revision_positive CHECK ((revision >= 1))
);

ALTER TABLE public.tasker_task_templates ALTER COLUMN task_template_id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.tasker_task_templates_task_template_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.tasker_task_transitions (
    task_id bigint NOT NULL,
    sort_key integer NOT NULL,
    from_state character varying(20),
    to_state character varying(20) NOT NULL,
    event character varying(40) NOT NULL,
    metadata jsonb,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
PARTITION BY RANGE (task_id);

CREATE TABLE public.tasker_task_transitions_p0 (
    task_id bigint NOT NULL,
    sort_key integer NOT NULL,
    from_state character varying(20),
    to_state character varying(20) NOT NULL,
    event character varying(40) NOT NULL,
    metadata jsonb,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
WITH (autovacuum_vacuum_insert_scale_factor='0.2', autovacuum_vacuum_insert_threshold='50000', autovacuum_analyze_scale_factor='0.05', autovacuum_analyze_threshold='5000');

CREATE TABLE public.tasker_task_transitions_p1000001 (
    task_id bigint NOT NULL,
    sort_key integer NOT NULL,
    from_state character varying(20),
    to_state character varying(20) NOT NULL,
    event character varying(40) NOT NULL,
    metadata jsonb,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
WITH (autovacuum_vacuum_insert_scale_factor='0.2', autovacuum_vacuum_insert_threshold='50000', autovacuum_analyze_scale_factor='0.05', autovacuum_analyze_threshold='5000');

CREATE TABLE public.tasker_tasks_p0 (
    task_id bigint NOT NULL,
    named_task_id integer NOT NULL,
    template_revision integer NOT NULL,
    namespace_id integer NOT NULL,
    state character varying(20) DEFAULT 'pending'::character varying NOT NULL,
    priority smallint DEFAULT 0 NOT NULL,
    shard smallint DEFAULT 0 NOT NULL,
    open_steps integer NOT NULL,
    movable_steps integer NOT NULL,
    transition_count integer DEFAULT 1 NOT NULL,
    parent_task_id bigint,
    parent_step_id bigint,
    requested_at timestamp with time zone DEFAULT now() NOT NULL,
    not_before timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    completed_at timestamp with time zone,
    initiator character varying(128),
    source_system character varying(128),
    reason text,
    trace_context text,
    tags jsonb DEFAULT '[]'::jsonb NOT NULL,
    context jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT tasker_tasks_counters CHECK (((movable_steps >= 0) AND (open_steps >= movable_steps))),
    CONSTRAINT tasker_tasks_state CHECK (((state)::text = ANY ('{pending,in_progress,complete,error,cancelled,resolved_manually}'::text[])))
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='5000', autovacuum_vacuum_cost_delay='1', autovacuum_vacuum_insert_scale_factor='0.2', autovacuum_vacuum_insert_threshold='50000', autovacuum_analyze_scale_factor='0.05', autovacuum_analyze_threshold='5000');

CREATE TABLE public.tasker_tasks_p1000001 (
    task_id bigint NOT NULL,
    named_task_id integer NOT NULL,
    template_revision integer NOT NULL,
    namespace_id integer NOT NULL,
    state character varying(20) DEFAULT 'pending'::character varying NOT NULL,
    priority smallint DEFAULT 0 NOT NULL,
    shard smallint DEFAULT 0 NOT NULL,
    open_steps integer NOT NULL,
    movable_steps integer NOT NULL,
    transition_count integer DEFAULT 1 NOT NULL,
    parent_task_id bigint,
    parent_step_id bigint,
    requested_at timestamp with time zone DEFAULT now() NOT NULL,
    not_before timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    completed_at timestamp with time zone,
    initiator character varying(128),
    source_system character varying(128),
    reason text,
    trace_context text,
    tags jsonb DEFAULT '[]'::jsonb NOT NULL,
    context jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT tasker_tasks_counters CHECK (((movable_steps >= 0) AND (open_steps >= movable_steps))),
    CONSTRAINT tasker_tasks_state CHECK (((state)::text = ANY ('{pending,in_progress,complete,error,cancelled,resolved_manually}'::text[])))
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='5000', autovacuum_vacuum_cost_delay='1', autovacuum_vacuum_insert_scale_factor='0.2', autovacuum_vacuum_insert_threshold='50000', autovacuum_analyze_scale_factor='0.05', autovacuum_analyze_threshold='5000');

ALTER TABLE public.tasker_tasks ALTER COLUMN task_id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.tasker_tasks_task_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.tasker_workflow_step_edges_p0 (
    from_step_id bigint NOT NULL,
    to_step_id bigint NOT NULL,
    task_id bigint NOT NULL
)
WITH (autovacuum_vacuum_insert_scale_factor='0.2', autovacuum_vacuum_insert_threshold='50000', autovacuum_analyze_scale_factor='0.05', autovacuum_analyze_threshold='5000');

CREATE TABLE public.tasker_workflow_step_edges_p1000001 (
    from_step_id bigint NOT NULL,
    to_step_id bigint NOT NULL,
    task_id bigint NOT NULL
)
WITH (autovacuum_vacuum_insert_scale_factor='0.2', autovacuum_vacuum_insert_threshold='50000', autovacuum_analyze_scale_factor='0.05', autovacuum_analyze_threshold='5000');

CREATE TABLE public.tasker_workflow_step_transitions (
    workflow_step_id bigint NOT NULL,
    task_id bigint NOT NULL,
    sort_key integer NOT NULL,
    from_state character varying(20),
    to_state character varying(20) NOT NULL,
    event character varying(40) NOT NULL,
    metadata jsonb,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
PARTITION BY RANGE (task_id);

CREATE TABLE public.tasker_workflow_step_transitions_p0 (
    workflow_step_id bigint NOT NULL,
    task_id bigint NOT NULL,
    sort_key integer NOT NULL,
    from_state character varying(20),
    to_state character varying(20) NOT NULL,
    event character varying(40) NOT NULL,
    metadata jsonb,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
WITH (autovacuum_vacuum_insert_scale_factor='0.2', autovacuum_vacuum_insert_threshold='50000', autovacuum_analyze_scale_factor='0.05', autovacuum_analyze_threshold='5000');

CREATE TABLE public.tasker_workflow_step_transitions_p1000001 (
    workflow_step_id bigint NOT NULL,
    task_id bigint NOT NULL,
    sort_key integer NOT NULL,
    from_state character varying(20),
    to_state character varying(20) NOT NULL,
    event character varying(40) NOT NULL,
    metadata jsonb,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
WITH (autovacuum_vacuum_insert_scale_factor='0.2', autovacuum_vacuum_insert_threshold='50000', autovacuum_analyze_scale_factor='0.05', autovacuum_analyze_threshold='5000');

CREATE TABLE public.tasker_workflow_steps_p0 (
    workflow_step_id bigint NOT NULL,
    task_id bigint NOT NULL,
    namespace_id integer NOT NULL,
    named_step_id integer NOT NULL,
    handler_key integer NOT NULL,
    ready_key integer,
    priority smallint DEFAULT 0 NOT NULL,
    shard smallint DEFAULT 0 NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    unstarted_attempts integer DEFAULT 0 NOT NULL,
    snoozes integer DEFAULT 0 NOT NULL,
    retry_limit integer DEFAULT 3 NOT NULL,
    remaining_parents integer DEFAULT 0 NOT NULL,
    transition_count integer DEFAULT 1 NOT NULL,
    input_bytes integer DEFAULT 0 NOT NULL,
    timeout_ms bigint NOT NULL,
    retryable boolean DEFAULT true NOT NULL,
    claim_first boolean DEFAULT false NOT NULL,
    sent_alone boolean DEFAULT false NOT NULL,
    state character varying(20) DEFAULT 'pending'::character varying NOT NULL,
    on_orphan character varying(16) DEFAULT 'retry'::character varying NOT NULL,
    name character varying(128) NOT NULL,
    handler_class character varying(255) NOT NULL,
    next_attempt_at timestamp with time zone,
    backoff_request_seconds double precision,
    last_attempted_at timestamp with time zone,
    processed_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    results jsonb,
    error jsonb,
    result_step_ids bigint[],
    CONSTRAINT tasker_workflow_steps_attempts CHECK (((unstarted_attempts >= 0) AND (attempts >= unstarted_attempts) AND (snoozes >= 0) AND (unstarted_attempts >= snoozes))),
    CONSTRAINT tasker_workflow_steps_on_orphan CHECK (((on_orphan)::text = ANY ('{retry,dead_letter}'::text[]))),
    CONSTRAINT tasker_workflow_steps_ready CHECK (((ready_key IS NULL) OR (((state)::text = ANY ('{pending,waiting_for_retry}'::text[])) AND (remaining_parents = 0)))),
    CONSTRAINT tasker_workflow_steps_remaining CHECK ((remaining_parents >= 0)),
    CONSTRAINT tasker_workflow_steps_state CHECK (((state)::text = ANY ('{pending,in_progress,waiting_for_retry,complete,error,cancelled,resolved_manually}'::text[])))
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='5000', autovacuum_vacuum_cost_delay='1', autovacuum_vacuum_insert_scale_factor='0.2', autovacuum_vacuum_insert_threshold='50000', autovacuum_analyze_scale_factor='0.05', autovacuum_analyze_threshold='5000');

CREATE TABLE public.tasker_workflow_steps_p1000001 (
    workflow_step_id bigint NOT NULL,
    task_id bigint NOT NULL,
    namespace_id integer NOT NULL,
    named_step_id integer NOT NULL,
    handler_key integer NOT NULL,
    ready_key integer,
    priority smallint DEFAULT 0 NOT NULL,
    shard smallint DEFAULT 0 NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    unstarted_attempts integer DEFAULT 0 NOT NULL,
    snoozes integer DEFAULT 0 NOT NULL,
    retry_limit integer DEFAULT 3 NOT NULL,
    remaining_parents integer DEFAULT 0 NOT NULL,
    transition_count integer DEFAULT 1 NOT NULL,
    input_bytes integer DEFAULT 0 NOT NULL,
    timeout_ms bigint NOT NULL,
    retryable boolean DEFAULT true NOT NULL,
    claim_first boolean DEFAULT false NOT NULL,
    sent_alone boolean DEFAULT false NOT NULL,
    state character varying(20) DEFAULT 'pending'::character varying NOT NULL,
    on_orphan character varying(16) DEFAULT 'retry'::character varying NOT NULL,
    name character varying(128) NOT NULL,
    handler_class character varying(255) NOT NULL,
    next_attempt_at timestamp with time zone,
    backoff_request_seconds double precision,
    last_attempted_at timestamp with time zone,
    processed_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    results jsonb,
    error jsonb,
    result_step_ids bigint[],
    CONSTRAINT tasker_workflow_steps_attempts CHECK (((unstarted_attempts >= 0) AND (attempts >= unstarted_attempts) AND (snoozes >= 0) AND (unstarted_attempts >= snoozes))),
    CONSTRAINT tasker_workflow_steps_on_orphan CHECK (((on_orphan)::text = ANY ('{retry,dead_letter}'::text[]))),
    CONSTRAINT tasker_workflow_steps_ready CHECK (((ready_key IS NULL) OR (((state)::text = ANY ('{pending,waiting_for_retry}'::text[])) AND (remaining_parents = 0)))),
    CONSTRAINT tasker_workflow_steps_remaining CHECK ((remaining_parents >= 0)),
    CONSTRAINT tasker_workflow_steps_state CHECK (((state)::text = ANY ('{pending,in_progress,waiting_for_retry,complete,error,cancelled,resolved_manually}'::text[])))
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='5000', autovacuum_vacuum_cost_delay='1', autovacuum_vacuum_insert_scale_factor='0.2', autovacuum_vacuum_insert_threshold='50000', autovacuum_analyze_scale_factor='0.05', autovacuum_analyze_threshold='5000');

ALTER TABLE public.tasker_workflow_steps ALTER COLUMN workflow_step_id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.tasker_workflow_steps_workflow_step_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE ONLY public.tasker_step_execution_batch_received_results ATTACH PARTITION public.tasker_step_execution_batch_received_results_p0 FOR VALUES FROM (MINVALUE) TO ('1000001');

ALTER TABLE ONLY public.tasker_step_execution_batch_received_results ATTACH PARTITION public.tasker_step_execution_batch_received_results_p1000001 FOR VALUES FROM ('1000001') TO (MAXVALUE);

ALTER TABLE ONLY public.tasker_step_execution_batch_steps ATTACH PARTITION public.tasker_step_execution_batch_steps_p0 FOR VALUES FROM (MINVALUE) TO ('1000001');

ALTER TABLE ONLY public.tasker_step_execution_batch_steps ATTACH PARTITION public.tasker_step_execution_batch_steps_p1000001 FOR VALUES FROM ('1000001') TO (MAXVALUE);

ALTER TABLE ONLY public.tasker_step_execution_batch_transitions ATTACH PARTITION public.tasker_step_execution_batch_transitions_p0 FOR VALUES FROM (MINVALUE) TO ('1000001');

ALTER TABLE ONLY public.tasker_step_execution_batch_transitions ATTACH PARTITION public.tasker_step_execution_batch_transitions_p1000001 FOR VALUES FROM ('1000001') TO (MAXVALUE);

ALTER TABLE ONLY public.tasker_step_execution_batches ATTACH PARTITION public.tasker_step_execution_batches_p0 FOR VALUES FROM (MINVALUE) TO ('1000001');

ALTER TABLE ONLY public.tasker_step_execution_batches ATTACH PARTITION public.tasker_step_execution_batches_p1000001 FOR VALUES FROM ('1000001') TO (MAXVALUE);

ALTER TABLE ONLY public.tasker_task_transitions ATTACH PARTITION public.tasker_task_transitions_p0 FOR VALUES FROM (MINVALUE) TO ('1000001');

ALTER TABLE ONLY public.tasker_task_transitions ATTACH PARTITION public.tasker_task_transitions_p1000001 FOR VALUES FROM ('1000001') TO (MAXVALUE);

ALTER TABLE ONLY public.tasker_tasks ATTACH PARTITION public.tasker_tasks_p0 FOR VALUES FROM (MINVALUE) TO ('1000001');

ALTER TABLE ONLY public.tasker_tasks ATTACH PARTITION public.tasker_tasks_p1000001 FOR VALUES FROM ('1000001') TO (MAXVALUE);

ALTER TABLE ONLY public.tasker_workflow_step_edges ATTACH PARTITION public.tasker_workflow_step_edges_p0 FOR VALUES FROM (MINVALUE) TO ('1000001');

ALTER TABLE ONLY public.tasker_workflow_step_edges ATTACH PARTITION public.tasker_workflow_step_edges_p1000001 FOR VALUES FROM ('1000001') TO (MAXVALUE);

ALTER TABLE ONLY public.tasker_workflow_step_transitions ATTACH PARTITION public.tasker_workflow_step_transitions_p0 FOR VALUES FROM (MINVALUE) TO ('1000001');

ALTER TABLE ONLY public.tasker_workflow_step_transitions ATTACH PARTITION public.tasker_workflow_step_transitions_p1000001 FOR VALUES FROM ('1000001') TO (MAXVALUE);

ALTER TABLE ONLY public.tasker_workflow_steps ATTACH PARTITION public.tasker_workflow_steps_p0 FOR VALUES FROM (MINVALUE) TO ('1000001');

ALTER TABLE ONLY public.tasker_workflow_steps ATTACH PARTITION public.tasker_workflow_steps_p1000001 FOR VALUES FROM ('1000001') TO (MAXVALUE);

ALTER TABLE ONLY public.tasker_dead_letters
    ADD CONSTRAINT tasker_dead_letters_attempt_unique UNIQUE (workflow_step_id, attempt);

ALTER TABLE ONLY public.tasker_dead_letters
    ADD CONSTRAINT tasker_dead_letters_pkey PRIMARY KEY (dead_letter_id);

ALTER TABLE ONLY public.tasker_dependent_systems
    ADD CONSTRAINT tasker_dependent_systems_name_unique UNIQUE (name);

ALTER TABLE ONLY public.tasker_dependent_systems
    ADD CONSTRAINT tasker_dependent_systems_pkey PRIMARY KEY (dependent_system_id);

ALTER TABLE ONLY public.tasker_dropped_ranges
    ADD CONSTRAINT tasker_dropped_ranges_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.tasker_handler_keys
    ADD CONSTRAINT tasker_handler_keys_pkey PRIMARY KEY (handler_key);

ALTER TABLE ONLY public.tasker_handler_keys
    ADD CONSTRAINT tasker_handler_keys_unique UNIQUE (namespace_id, handler_class);

ALTER TABLE ONLY public.tasker_installation
    ADD CONSTRAINT tasker_installation_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY public.tasker_named_steps
    ADD CONSTRAINT tasker_named_steps_name_unique UNIQUE (dependent_system_id, name);

ALTER TABLE ONLY public.tasker_named_steps
    ADD CONSTRAINT tasker_named_steps_pkey PRIMARY KEY (named_step_id);

ALTER TABLE ONLY public.tasker_named_tasks
    ADD CONSTRAINT tasker_named_tasks_identity_unique UNIQUE (task_namespace_id, name, version);

ALTER TABLE ONLY public.tasker_named_tasks_named_steps
    ADD CONSTRAINT tasker_named_tasks_named_steps_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.tasker_named_tasks_named_steps
    ADD CONSTRAINT tasker_named_tasks_named_steps_unique UNIQUE (named_task_id, named_step_id);

ALTER TABLE ONLY public.tasker_named_tasks
    ADD CONSTRAINT tasker_named_tasks_pkey PRIMARY KEY (named_task_id);

ALTER TABLE ONLY public.tasker_orchestrators
    ADD CONSTRAINT tasker_orchestrators_pkey PRIMARY KEY (lane);

ALTER TABLE ONLY public.tasker_rejected_messages
    ADD CONSTRAINT tasker_rejected_messages_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.tasker_schema_layer
    ADD CONSTRAINT tasker_schema_layer_pkey PRIMARY KEY (only_one);

ALTER TABLE ONLY public.tasker_schema_migrations
    ADD CONSTRAINT tasker_schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.tasker_schema_objects
    ADD CONSTRAINT tasker_schema_objects_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY public.tasker_standbys
    ADD CONSTRAINT tasker_standbys_pkey PRIMARY KEY (instance);

ALTER TABLE ONLY public.tasker_step_execution_batch_received_results
    ADD CONSTRAINT tasker_step_execution_batch_received_results_pkey PRIMARY KEY (batch_id, id);

ALTER TABLE ONLY public.tasker_step_execution_batch_received_results_p0
    ADD CONSTRAINT tasker_step_execution_batch_received_results_p0_pkey PRIMARY KEY (batch_id, id);

ALTER TABLE ONLY public.tasker_step_execution_batch_received_results_p1000001
    ADD CONSTRAINT tasker_step_execution_batch_received_results_p1000001_pkey PRIMARY KEY (batch_id, id);

ALTER TABLE ONLY public.tasker_step_execution_batch_steps
    ADD CONSTRAINT tasker_step_execution_batch_steps_pkey PRIMARY KEY (batch_id, workflow_step_id);

ALTER TABLE ONLY public.tasker_step_execution_batch_steps_p0
    ADD CONSTRAINT tasker_step_execution_batch_steps_p0_pkey PRIMARY KEY (batch_id, workflow_step_id);

ALTER TABLE ONLY public.tasker_step_execution_batch_steps_p1000001
    ADD CONSTRAINT tasker_step_execution_batch_steps_p1000001_pkey PRIMARY KEY (batch_id, workflow_step_id);

ALTER TABLE ONLY public.tasker_step_execution_batch_transitions
    ADD CONSTRAINT tasker_step_execution_batch_transitions_pkey PRIMARY KEY (batch_id, sort_key);

ALTER TABLE ONLY public.tasker_step_execution_batch_transitions_p0
    ADD CONSTRAINT tasker_step_execution_batch_transitions_p0_pkey PRIMARY KEY (batch_id, sort_key);

ALTER TABLE ONLY public.tasker_step_execution_batch_transitions_p1000001
    ADD CONSTRAINT tasker_step_execution_batch_transitions_p1000001_pkey PRIMARY KEY (batch_id, sort_key);

ALTER TABLE ONLY public.tasker_step_execution_batches
    ADD CONSTRAINT tasker_step_execution_batches_uuid_unique UNIQUE (batch_uuid, batch_id);

ALTER TABLE ONLY public.tasker_step_execution_batches_p0
    ADD CONSTRAINT tasker_step_execution_batches_p0_batch_uuid_batch_id_key UNIQUE (batch_uuid, batch_id);

ALTER TABLE ONLY public.tasker_step_execution_batches
    ADD CONSTRAINT tasker_step_execution_batches_pkey PRIMARY KEY (batch_id);

ALTER TABLE ONLY public.tasker_step_execution_batches_p0
    ADD CONSTRAINT tasker_step_execution_batches_p0_pkey PRIMARY KEY (batch_id);

ALTER TABLE ONLY public.tasker_step_execution_batches_p1000001
    ADD CONSTRAINT tasker_step_execution_batches_p1000001_batch_uuid_batch_id_key UNIQUE (batch_uuid, batch_id);

ALTER TABLE ONLY public.tasker_step_execution_batches_p1000001
    ADD CONSTRAINT tasker_step_execution_batches_p1000001_pkey PRIMARY KEY (batch_id);

ALTER TABLE ONLY public.tasker_task_identities
    ADD CONSTRAINT tasker_task_identities_pkey PRIMARY KEY (scope, identity_hash);

ALTER TABLE ONLY public.tasker_task_namespaces
    ADD CONSTRAINT tasker_task_namespaces_name_unique UNIQUE (name);

ALTER TABLE ONLY public.tasker_task_namespaces
    ADD CONSTRAINT tasker_task_namespaces_pkey PRIMARY KEY (task_namespace_id);

ALTER TABLE ONLY public.tasker_task_template_steps
    ADD CONSTRAINT tasker_task_template_steps_name_unique UNIQUE (task_template_id, name);

ALTER TABLE ONLY public.tasker_task_template_steps
    ADD CONSTRAINT tasker_task_template_steps_pkey PRIMARY KEY (task_template_id, "position");

ALTER TABLE ONLY public.tasker_task_templates
    ADD CONSTRAINT tasker_task_templates_pkey PRIMARY KEY (task_template_id);

ALTER TABLE ONLY public.tasker_task_templates
    ADD CONSTRAINT tasker_task_templates_revision_unique UNIQUE (named_task_id, revision);

ALTER TABLE ONLY public.tasker_task_transitions
    ADD CONSTRAINT tasker_task_transitions_pkey PRIMARY KEY (task_id, sort_key);

ALTER TABLE ONLY public.tasker_task_transitions_p0
    ADD CONSTRAINT tasker_task_transitions_p0_pkey PRIMARY KEY (task_id, sort_key);

ALTER TABLE ONLY public.tasker_task_transitions_p1000001
    ADD CONSTRAINT tasker_task_transitions_p1000001_pkey PRIMARY KEY (task_id, sort_key);

ALTER TABLE ONLY public.tasker_tasks
    ADD CONSTRAINT tasker_tasks_pkey PRIMARY KEY (task_id);

ALTER TABLE ONLY public.tasker_tasks_p0
    ADD CONSTRAINT tasker_tasks_p0_pkey PRIMARY KEY (task_id);

ALTER TABLE ONLY public.tasker_tasks_p1000001
    ADD CONSTRAINT tasker_tasks_p1000001_pkey PRIMARY KEY (task_id);

ALTER TABLE ONLY public.tasker_workers
    ADD CONSTRAINT tasker_workers_pkey PRIMARY KEY (session);

ALTER TABLE ONLY public.tasker_workflow_step_edges
    ADD CONSTRAINT tasker_workflow_step_edges_pkey PRIMARY KEY (from_step_id, to_step_id, task_id);

ALTER TABLE ONLY public.tasker_workflow_step_edges_p0
    ADD CONSTRAINT tasker_workflow_step_edges_p0_pkey PRIMARY KEY (from_step_id, to_step_id, task_id);

ALTER TABLE ONLY public.tasker_workflow_step_edges_p1000001
    ADD CONSTRAINT tasker_workflow_step_edges_p1000001_pkey PRIMARY KEY (from_step_id, to_step_id, task_id);

ALTER TABLE ONLY public.tasker_workflow_step_transitions
    ADD CONSTRAINT tasker_workflow_step_transitions_pkey PRIMARY KEY (workflow_step_id, sort_key, task_id);

ALTER TABLE ONLY public.tasker_workflow_step_transitions_p0
    ADD CONSTRAINT tasker_workflow_step_transitions_p0_pkey PRIMARY KEY (workflow_step_id, sort_key, task_id);

ALTER TABLE ONLY public.tasker_workflow_step_transitions_p1000001
    ADD CONSTRAINT tasker_workflow_step_transitions_p1000001_pkey PRIMARY KEY (workflow_step_id, sort_key, task_id);

ALTER TABLE ONLY public.tasker_workflow_steps
    ADD CONSTRAINT tasker_workflow_steps_pkey PRIMARY KEY (workflow_step_id, task_id);

ALTER TABLE ONLY public.tasker_workflow_steps_p0
    ADD CONSTRAINT tasker_workflow_steps_p0_pkey PRIMARY KEY (workflow_step_id, task_id);

ALTER TABLE ONLY public.tasker_workflow_steps_p1000001
    ADD CONSTRAINT tasker_workflow_steps_p1000001_pkey PRIMARY KEY (workflow_step_id, task_id);

CREATE INDEX tasker_dead_letters_closed ON public.tasker_dead_letters USING btree (resolved_at) WHERE (resolved_at IS NOT NULL);

CREATE INDEX tasker_dead_letters_open ON public.tasker_dead_letters USING btree (dead_letter_id) WHERE (resolved_at IS NULL);

CREATE INDEX tasker_step_execution_batch_steps_step ON ONLY public.tasker_step_execution_batch_steps USING btree (workflow_step_id);

CREATE INDEX tasker_step_execution_batch_steps_p0_workflow_step_id_idx ON public.tasker_step_execution_batch_steps_p0 USING btree (workflow_step_id);

CREATE INDEX tasker_step_execution_batch_steps_p1000001_workflow_step_id_idx ON public.tasker_step_execution_batch_steps_p1000001 USING btree (workflow_step_id);

CREATE UNIQUE INDEX tasker_step_execution_batch_transitions_most_recent ON ONLY public.tasker_step_execution_batch_transitions USING btree (batch_id) WHERE most_recent;

CREATE UNIQUE INDEX tasker_step_execution_batch_transitions_p0_batch_id_idx ON public.tasker_step_execution_batch_transitions_p0 USING btree (batch_id) WHERE most_recent;

CREATE UNIQUE INDEX tasker_step_execution_batch_transitions_p1000001_batch_id_idx ON public.tasker_step_execution_batch_transitions_p1000001 USING btree (batch_id) WHERE most_recent;

CREATE INDEX tasker_step_execution_batches_discrepancy ON ONLY public.tasker_step_execution_batches USING btree (batch_id) WHERE ((reconciliation_status)::text = 'discrepancy'::text);

CREATE INDEX tasker_step_execution_batches_open ON ONLY public.tasker_step_execution_batches USING btree (batch_id) WHERE (((reconciliation_status)::text = 'pending'::text) OR ((state)::text = ANY ('{created,published,executing}'::text[])));

CREATE INDEX tasker_step_execution_batches_p0_batch_id_idx ON public.tasker_step_execution_batches_p0 USING btree (batch_id) WHERE (((reconciliation_status)::text = 'pending'::text) OR ((state)::text = ANY ('{created,published,executing}'::text[])));

CREATE INDEX tasker_step_execution_batches_p0_batch_id_idx1 ON public.tasker_step_execution_batches_p0 USING btree (batch_id) WHERE ((reconciliation_status)::text = 'discrepancy'::text);

CREATE INDEX tasker_step_execution_batches_p1000001_batch_id_idx ON public.tasker_step_execution_batches_p1000001 USING btree (batch_id) WHERE (((reconciliation_status)::text = 'pending'::text) OR ((state)::text = ANY ('{created,published,executing}'::text[])));

CREATE INDEX tasker_step_execution_batches_p1000001_batch_id_idx1 ON public.tasker_step_execution_batches_p1000001 USING btree (batch_id) WHERE ((reconciliation_status)::text = 'discrepancy'::text);

CREATE INDEX tasker_task_identities_expiry ON public.tasker_task_identities USING btree (expires_at) WHERE (expires_at IS NOT NULL);

CREATE INDEX tasker_task_identities_task ON public.tasker_task_identities USING btree (task_id);

CREATE INDEX tasker_tasks_named_task ON ONLY public.tasker_tasks USING btree (named_task_id, task_id);

CREATE INDEX tasker_tasks_p0_named_task_id_task_id_idx ON public.tasker_tasks_p0 USING btree (named_task_id, task_id);

CREATE INDEX tasker_tasks_p1000001_named_task_id_task_id_idx ON public.tasker_tasks_p1000001 USING btree (named_task_id, task_id);

CREATE INDEX tasker_workflow_step_edges_to ON ONLY public.tasker_workflow_step_edges USING btree (to_step_id, from_step_id);

CREATE INDEX tasker_workflow_step_edges_p0_to_step_id_from_step_id_idx ON public.tasker_workflow_step_edges_p0 USING btree (to_step_id, from_step_id);

CREATE INDEX tasker_workflow_step_edges_p1000001_to_step_id_from_step_id_idx ON public.tasker_workflow_step_edges_p1000001 USING btree (to_step_id, from_step_id);

CREATE INDEX tasker_workflow_steps_due ON ONLY public.tasker_workflow_steps USING btree (next_attempt_at) WHERE ((next_attempt_at IS NOT NULL) AND (ready_key IS NULL));

CREATE INDEX tasker_workflow_steps_p0_next_attempt_at_idx ON public.tasker_workflow_steps_p0 USING btree (next_attempt_at) WHERE ((next_attempt_at IS NOT NULL) AND (ready_key IS NULL));

CREATE INDEX tasker_workflow_steps_ready ON ONLY public.tasker_workflow_steps USING btree (ready_key, ((- (priority)::integer)), workflow_step_id) WHERE (ready_key IS NOT NULL);

CREATE INDEX tasker_workflow_steps_p0_ready_key_expr_workflow_step_id_idx ON public.tasker_workflow_steps_p0 USING btree (ready_key, ((- (priority)::integer)), workflow_step_id) WHERE (ready_key IS NOT NULL);

CREATE INDEX tasker_workflow_steps_task ON ONLY public.tasker_workflow_steps USING btree (task_id);

CREATE INDEX tasker_workflow_steps_p0_task_id_idx ON public.tasker_workflow_steps_p0 USING btree (task_id);

CREATE INDEX tasker_workflow_steps_p1000001_next_attempt_at_idx ON public.tasker_workflow_steps_p1000001 USING btree (next_attempt_at) WHERE ((next_attempt_at IS NOT NULL) AND (ready_key IS NULL));

CREATE INDEX tasker_workflow_steps_p1000001_task_id_idx ON public.tasker_workflow_steps_p1000001 USING btree (task_id);

CREATE INDEX tasker_workflow_steps_p100000_ready_key_expr_workflow_step__idx ON public.tasker_workflow_steps_p1000001 USING btree (ready_key, ((- (priority)::integer)), workflow_step_id) WHERE (ready_key IS NOT NULL);

ALTER INDEX public.tasker_step_execution_batch_received_results_pkey ATTACH PARTITION public.tasker_step_execution_batch_received_results_p0_pkey;

ALTER INDEX public.tasker_step_execution_batch_received_results_pkey ATTACH PARTITION public.tasker_step_execution_batch_received_results_p1000001_pkey;

ALTER INDEX public.tasker_step_execution_batch_steps_pkey ATTACH PARTITION public.tasker_step_execution_batch_steps_p0_pkey;

ALTER INDEX public.tasker_step_execution_batch_steps_step ATTACH PARTITION public.tasker_step_execution_batch_steps_p0_workflow_step_id_idx;

ALTER INDEX public.tasker_step_execution_batch_steps_pkey ATTACH PARTITION public.tasker_step_execution_batch_steps_p1000001_pkey;

ALTER INDEX public.tasker_step_execution_batch_steps_step ATTACH PARTITION public.tasker_step_execution_batch_steps_p1000001_workflow_step_id_idx;

ALTER INDEX public.tasker_step_execution_batch_transitions_most_recent ATTACH PARTITION public.tasker_step_execution_batch_transitions_p0_batch_id_idx;

ALTER INDEX public.tasker_step_execution_batch_transitions_pkey ATTACH PARTITION public.tasker_step_execution_batch_transitions_p0_pkey;

ALTER INDEX public.tasker_step_execution_batch_transitions_most_recent ATTACH PARTITION public.tasker_step_execution_batch_transitions_p1000001_batch_id_idx;

ALTER INDEX public.tasker_step_execution_batch_transitions_pkey ATTACH PARTITION public.tasker_step_execution_batch_transitions_p1000001_pkey;

ALTER INDEX public.tasker_step_execution_batches_open ATTACH PARTITION public.tasker_step_execution_batches_p0_batch_id_idx;

ALTER INDEX public.tasker_step_execution_batches_discrepancy ATTACH PARTITION public.tasker_step_execution_batches_p0_batch_id_idx1;

ALTER INDEX public.tasker_step_execution_batches_uuid_unique ATTACH PARTITION public.tasker_step_execution_batches_p0_batch_uuid_batch_id_key;

ALTER INDEX public.tasker_step_execution_batches_pkey ATTACH PARTITION public.tasker_step_execution_batches_p0_pkey;

ALTER INDEX public.tasker_step_execution_batches_open ATTACH PARTITION public.tasker_step_execution_batches_p1000001_batch_id_idx;

ALTER INDEX public.tasker_step_execution_batches_discrepancy ATTACH PARTITION public.tasker_step_execution_batches_p1000001_batch_id_idx1;

ALTER INDEX public.tasker_step_execution_batches_uuid_unique ATTACH PARTITION public.tasker_step_execution_batches_p1000001_batch_uuid_batch_id_key;

ALTER INDEX public.tasker_step_execution_batches_pkey ATTACH PARTITION public.tasker_step_execution_batches_p1000001_pkey;

ALTER INDEX public.tasker_task_transitions_pkey ATTACH PARTITION public.tasker_task_transitions_p0_pkey;

ALTER INDEX public.tasker_task_transitions_pkey ATTACH PARTITION public.tasker_task_transitions_p1000001_pkey;

ALTER INDEX public.tasker_tasks_named_task ATTACH PARTITION public.tasker_tasks_p0_named_task_id_task_id_idx;

ALTER INDEX public.tasker_tasks_pkey ATTACH PARTITION public.tasker_tasks_p0_pkey;

ALTER INDEX public.tasker_tasks_named_task ATTACH PARTITION public.tasker_tasks_p1000001_named_task_id_task_id_idx;

ALTER INDEX public.tasker_tasks_pkey ATTACH PARTITION public.tasker_tasks_p1000001_pkey;

ALTER INDEX public.tasker_workflow_step_edges_pkey ATTACH PARTITION public.tasker_workflow_step_edges_p0_pkey;

ALTER INDEX public.tasker_workflow_step_edges_to ATTACH PARTITION public.tasker_workflow_step_edges_p0_to_step_id_from_step_id_idx;

ALTER INDEX public.tasker_workflow_step_edges_pkey ATTACH PARTITION public.tasker_workflow_step_edges_p1000001_pkey;

ALTER INDEX public.tasker_workflow_step_edges_to ATTACH PARTITION public.tasker_workflow_step_edges_p1000001_to_step_id_from_step_id_idx;

ALTER INDEX public.tasker_workflow_step_transitions_pkey ATTACH PARTITION public.tasker_workflow_step_transitions_p0_pkey;

ALTER INDEX public.tasker_workflow_step_transitions_pkey ATTACH PARTITION public.tasker_workflow_step_transitions_p1000001_pkey;

ALTER INDEX public.tasker_workflow_steps_due ATTACH PARTITION public.tasker_workflow_steps_p0_next_attempt_at_idx;

ALTER INDEX public.tasker_workflow_steps_pkey ATTACH PARTITION public.tasker_workflow_steps_p0_pkey;

ALTER INDEX public.tasker_workflow_steps_ready ATTACH PARTITION public.tasker_workflow_steps_p0_ready_key_expr_workflow_step_id_idx;

ALTER INDEX public.tasker_workflow_steps_task ATTACH PARTITION public.tasker_workflow_steps_p0_task_id_idx;

ALTER INDEX public.tasker_workflow_steps_due ATTACH PARTITION public.tasker_workflow_steps_p1000001_next_attempt_at_idx;

ALTER INDEX public.tasker_workflow_steps_pkey ATTACH PARTITION public.tasker_workflow_steps_p1000001_pkey;

ALTER INDEX public.tasker_workflow_steps_task ATTACH PARTITION public.tasker_workflow_steps_p1000001_task_id_idx;

ALTER INDEX public.tasker_workflow_steps_ready ATTACH PARTITION public.tasker_workflow_steps_p100000_ready_key_expr_workflow_step__idx;

CREATE TRIGGER tasker_task_templates_immutable BEFORE UPDATE ON public.tasker_task_templates FOR EACH ROW EXECUTE FUNCTION public.tasker_refuse_template_change();

ALTER TABLE ONLY public.tasker_handler_keys
    ADD CONSTRAINT tasker_handler_keys_namespace_id_fkey FOREIGN KEY (namespace_id) REFERENCES public.tasker_task_namespaces(task_namespace_id);

ALTER TABLE ONLY public.tasker_named_steps
    ADD CONSTRAINT tasker_named_steps_dependent_system_id_fkey FOREIGN KEY (dependent_system_id) REFERENCES public.tasker_dependent_systems(dependent_system_id);

ALTER TABLE ONLY public.tasker_named_tasks_named_steps
    ADD CONSTRAINT tasker_named_tasks_named_steps_named_step_id_fkey FOREIGN KEY (named_step_id) REFERENCES public.tasker_named_steps(named_step_id);

ALTER TABLE ONLY public.tasker_named_tasks_named_steps
    ADD CONSTRAINT tasker_named_tasks_named_steps_named_task_id_fkey FOREIGN KEY (named_task_id) REFERENCES public.tasker_named_tasks(named_task_id);

ALTER TABLE ONLY public.tasker_named_tasks
    ADD CONSTRAINT tasker_named_tasks_task_namespace_id_fkey FOREIGN KEY (task_namespace_id) REFERENCES public.tasker_task_namespaces(task_namespace_id);

ALTER TABLE ONLY public.tasker_task_template_steps
    ADD CONSTRAINT tasker_task_template_steps_handler_key_fkey FOREIGN KEY (handler_key) REFERENCES public.tasker_handler_keys(handler_key);

ALTER TABLE ONLY public.tasker_task_template_steps
    ADD CONSTRAINT tasker_task_template_steps_named_step_id_fkey FOREIGN KEY (named_step_id) REFERENCES public.tasker_named_steps(named_step_id);

ALTER TABLE ONLY public.tasker_task_template_steps
    ADD CONSTRAINT tasker_task_template_steps_task_template_id_fkey FOREIGN KEY (task_template_id) REFERENCES public.tasker_task_templates(task_template_id);

ALTER TABLE ONLY public.tasker_task_templates
    ADD CONSTRAINT tasker_task_templates_named_task_id_fkey FOREIGN KEY (named_task_id) REFERENCES public.tasker_named_tasks(named_task_id);
