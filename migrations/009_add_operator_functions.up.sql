-- What operators do: retry, resolve, cancel, dead letters, drain. Every caller (command line, HTTP, other languages)
-- uses these functions, also while no orchestrator runs. Each call is one transaction of its own or part of the
-- caller's. They lock as everybody does: the task, then its steps by ascending id; batches and deliveries are never
-- touched (what is still out at a worker is ended by the orchestrator). A turn that claims a step holds that step's
-- row without its task's, so steps are locked before their state is believed.

ALTER TABLE tasker_dead_letters
    ADD COLUMN resolved_by varchar(255),
    ADD COLUMN resolution_reason text;

-- What a call did. outcome: done | unchanged (it was so already) | refused (the state forbids it; nothing was
-- changed) | not_found. `code` says why in a word, `message` in a sentence. States are those after the call.
-- `changed_steps` changed their state, `ready_steps` became claimable.
CREATE TYPE tasker_operation AS (outcome text, code text, message text, task_id bigint, task_state text,
    workflow_step_id bigint, name text, state text, attempts int, retry_limit int, dead_letter_id bigint,
    changed_steps bigint[], ready_steps bigint[]);

-- ---------------------------------------------------------------------------------------------- helpers
-- Those that change something expect the task's row to be locked by the caller.

CREATE FUNCTION tasker_operation_result(p_outcome text, p_code text, p_message text, p_task_id bigint,
    p_step_id bigint DEFAULT NULL, p_dead_letter_id bigint DEFAULT NULL, p_changed bigint[] DEFAULT '{}',
    p_ready bigint[] DEFAULT '{}') RETURNS tasker_operation
LANGUAGE sql STABLE AS $$
    SELECT ROW(p_outcome, p_code, p_message, x.task_id, t.state, p_step_id, s.name, s.state, s.attempts,
               s.retry_limit, p_dead_letter_id, p_changed, p_ready)::tasker_operation
    FROM (SELECT p_task_id AS task_id) x
    LEFT JOIN tasker_tasks t ON t.task_id = x.task_id
    LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = p_step_id
$$;

-- What a transition remembers of the operator.
CREATE FUNCTION tasker_operation_note(p_reason text, p_actor text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT nullif(jsonb_strip_nulls(jsonb_build_object('reason', nullif(p_reason, ''), 'actor', nullif(p_actor, ''))),
                  '{}')
$$;

-- Wakes the orchestrator for these steps' handler keys.
CREATE FUNCTION tasker_wake_for_steps(p_step_ids bigint[]) RETURNS void
LANGUAGE sql AS $$
    SELECT pg_notify('tasker_wake', CASE WHEN length(k.keys) < 4000 THEN 'keys:' || k.keys ELSE 'scan' END)
    FROM (SELECT string_agg(DISTINCT s.handler_key::text, ',') AS keys FROM tasker_workflow_steps s
          WHERE s.workflow_step_id = ANY (p_step_ids)) k
    WHERE k.keys IS NOT NULL
$$;

CREATE FUNCTION tasker_close_dead_letters(p_step_ids bigint[], p_resolution text, p_reason text, p_actor text)
RETURNS bigint
LANGUAGE sql AS $$
    WITH closed AS (
        UPDATE tasker_dead_letters d SET resolved_at = clock_timestamp(), resolution = p_resolution,
            resolved_by = left(nullif(p_actor, ''), 255), resolution_reason = nullif(p_reason, '')
        WHERE d.workflow_step_id = ANY (p_step_ids) AND d.resolved_at IS NULL
        RETURNING d.dead_letter_id)
    SELECT max(c.dead_letter_id) FROM closed c
$$;

-- Books what happened to a task's steps and gives the verdict, the same as a turn's. p_first: 'reopen' takes a task
-- in error back to in_progress before; 'cancel' ends it in cancelled whatever its steps say.
CREATE FUNCTION tasker_settle_task(p_task_id bigint, p_completed int, p_movable int, p_first text, p_note jsonb)
RETURNS text
LANGUAGE plpgsql AS $$
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
    v_verdict := CASE
        WHEN p_first = 'cancel' THEN 'cancelled'
        WHEN v_state NOT IN ('pending', 'in_progress') THEN v_state
        WHEN v_task.open_steps - p_completed = 0 THEN 'complete'
        WHEN v_task.movable_steps + p_movable = 0 THEN
            CASE WHEN EXISTS (SELECT 1 FROM tasker_workflow_steps s WHERE s.task_id = p_task_id AND s.state = 'error')
                 THEN 'error' ELSE 'cancelled' END
        ELSE v_state END;
    IF v_verdict <> v_state THEN
        v_count := v_count + 1;
        INSERT INTO tasker_task_transitions (task_id, sort_key, from_state, to_state, event, metadata, created_at)
            VALUES (p_task_id, v_count, v_state, v_verdict,
                    CASE v_verdict WHEN 'complete' THEN 'complete' WHEN 'error' THEN 'fail' ELSE 'cancel' END,
                    p_note, v_now);
    END IF;
    UPDATE tasker_tasks t SET
        state = v_verdict, open_steps = t.open_steps - p_completed, movable_steps = t.movable_steps + p_movable,
        transition_count = v_count, updated_at = v_now,
        completed_at = CASE WHEN v_verdict IN ('pending', 'in_progress') THEN NULL
                            WHEN v_verdict <> v_state THEN v_now ELSE coalesce(t.completed_at, v_now) END
    WHERE t.task_id = p_task_id;
    IF v_verdict <> v_state AND v_verdict NOT IN ('pending', 'in_progress') THEN
        PERFORM pg_notify('tasker_done', p_task_id::text);
    END IF;
    RETURN v_verdict;
END $$;

-- error → pending for these steps of one task, each with as many further attempts as its template allows in all.
CREATE FUNCTION tasker_retry_failed_steps(p_task_id bigint, p_step_ids bigint[], p_reason text, p_actor text)
RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_note jsonb := tasker_operation_note(p_reason, p_actor);
    v_now timestamptz := clock_timestamp();
    v_count int; v_dead_letter bigint; v_template int;
BEGIN
    PERFORM 1 FROM tasker_workflow_steps s WHERE s.workflow_step_id = ANY (p_step_ids)
        ORDER BY s.workflow_step_id FOR UPDATE;
    SELECT tt.task_template_id INTO STRICT v_template FROM tasker_tasks t
        JOIN tasker_task_templates tt ON tt.named_task_id = t.named_task_id AND tt.revision = t.template_revision
        WHERE t.task_id = p_task_id;
    -- The limit is looked up step by step: joined, it would be compared with all steps of the template while the
    -- tables have never been analysed.
    WITH moved AS (
        UPDATE tasker_workflow_steps s SET
            state = 'pending', ready_key = s.handler_key,
            retry_limit = s.retry_limit + (SELECT d.retry_limit FROM tasker_task_template_steps d
                                           WHERE d.task_template_id = v_template AND d.name = s.name),
            transition_count = s.transition_count + 1, processed_at = NULL, next_attempt_at = NULL,
            backoff_request_seconds = NULL
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

-- Cancels those of these steps of one task that have not ended, and returns them. `lost_movable`: how many of them
-- counted as movable.
CREATE FUNCTION tasker_cancel_open_steps(p_task_id bigint, p_step_ids bigint[], p_note jsonb,
    OUT cancelled bigint[], OUT lost_movable int)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
    v_count int;
BEGIN
    PERFORM 1 FROM tasker_workflow_steps s WHERE s.workflow_step_id = ANY (p_step_ids)
        ORDER BY s.workflow_step_id FOR UPDATE;
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

-- ---------------------------------------------------------------------------------------------- steps

-- error → pending: another go, with as many attempts as the template gives. `p_expected_attempts` refuses when the
-- step has moved on since the caller looked. Closes its dead letter as replayed.
CREATE FUNCTION tasker_retry_step(p_step_id bigint, p_expected_attempts int DEFAULT NULL, p_reason text DEFAULT NULL,
    p_actor text DEFAULT NULL) RETURNS tasker_operation
LANGUAGE plpgsql AS $$
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

-- error → resolved_manually: an operator has done by hand what the step should have done; `p_results` are what its
-- children get, or, with `p_take_late_result`, what the step's last attempt reported too late. Closes its dead
-- letter as resolved.
CREATE FUNCTION tasker_resolve_step(p_step_id bigint, p_results jsonb DEFAULT NULL, p_reason text DEFAULT NULL,
    p_actor text DEFAULT NULL, p_take_late_result boolean DEFAULT false, p_expected_attempts int DEFAULT NULL)
RETURNS tasker_operation
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
    v_note jsonb := tasker_operation_note(p_reason, p_actor);
    v_task tasker_tasks; v_step tasker_workflow_steps; v_results jsonb := p_results; v_what text;
    v_children bigint[]; v_ready bigint[]; v_dead_letter bigint; v_state text; v_count int;
BEGIN
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
    IF v_step.attempts <> p_expected_attempts THEN
        RETURN tasker_operation_result('refused', 'attempt_moved_on',
            format('%s is at attempt %s (%s), not at attempt %s', v_what, v_step.attempts, v_step.state,
                   p_expected_attempts), v_task.task_id, p_step_id);
    ELSIF v_step.state = 'resolved_manually' AND (v_results IS NULL OR v_results IS NOT DISTINCT FROM v_step.results) THEN
        RETURN tasker_operation_result('unchanged', 'already_resolved', format('%s was resolved already', v_what),
            v_task.task_id, p_step_id);
    ELSIF v_step.state = 'resolved_manually' THEN
        RETURN tasker_operation_result('refused', 'already_resolved',
            format('%s was resolved already, with other results; they may have been used and stay', v_what),
            v_task.task_id, p_step_id);
    ELSIF v_task.state = 'cancelled' THEN
        RETURN tasker_operation_result('refused', 'task_cancelled',
            format('%s cannot be resolved: the task is cancelled and stays so', v_what), v_task.task_id, p_step_id);
    ELSIF v_step.state <> 'error' OR v_task.state NOT IN ('pending', 'in_progress', 'error') THEN
        RETURN tasker_operation_result('refused', 'wrong_state',
            format('%s is %s in a task that is %s; only a step in error can be resolved', v_what, v_step.state,
                   v_task.state), v_task.task_id, p_step_id);
    END IF;

    v_children := ARRAY(SELECT e.to_step_id FROM tasker_workflow_step_edges e WHERE e.from_step_id = p_step_id);
    PERFORM 1 FROM tasker_workflow_steps s WHERE s.workflow_step_id = ANY (v_children || p_step_id)
        ORDER BY s.workflow_step_id FOR UPDATE;
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

-- A step that has not ended, and every step that depends on it, become cancelled for good. If a worker runs it, its
-- delivery stays out until the orchestrator has told that worker.
CREATE FUNCTION tasker_cancel_step(p_step_id bigint, p_reason text DEFAULT NULL, p_actor text DEFAULT NULL)
RETURNS tasker_operation
LANGUAGE plpgsql AS $$
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
    PERFORM pg_notify('tasker_wake', 'scan');
    RETURN tasker_operation_result('done', NULL,
        format('%s is cancelled%s; the task is %s', v_what,
               CASE cardinality(v_cancelled) WHEN 1 THEN '' WHEN 2 THEN ', and so is the one step that depends on it'
                    ELSE format(', and so are the %s steps that depend on it', cardinality(v_cancelled) - 1) END,
               v_state),
        v_task.task_id, p_step_id, NULL, v_cancelled);
END $$;

-- ---------------------------------------------------------------------------------------------- tasks

-- pending, in_progress or error → cancelled, with every step that has not ended; open dead letters are closed.
CREATE FUNCTION tasker_cancel_task(p_task_id bigint, p_reason text DEFAULT NULL, p_actor text DEFAULT NULL)
RETURNS tasker_operation
LANGUAGE plpgsql AS $$
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
    PERFORM pg_notify('tasker_wake', 'scan');
    RETURN tasker_operation_result('done', NULL,
        format('task %s is cancelled, with %s of its steps%s', p_task_id, cardinality(v_cancelled),
               CASE WHEN v_running > 0 THEN format(' (%s out at workers, which will be told)', v_running) ELSE '' END),
        p_task_id, NULL, NULL, v_cancelled);
END $$;

-- Retries every step in error.
CREATE FUNCTION tasker_retry_task(p_task_id bigint, p_reason text DEFAULT NULL, p_actor text DEFAULT NULL)
RETURNS tasker_operation
LANGUAGE plpgsql AS $$
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

-- ---------------------------------------------------------------------------------------------- dead letters

-- Everything a person needs to decide about a dead letter. `is_current`: it is about the step's last attempt and the
-- step is still in error. `late_result` is the output of a success that came too late.
CREATE VIEW tasker_dead_letter_details AS
    SELECT d.dead_letter_id, d.reason, d.workflow_step_id, s.name, d.attempt, d.task_id, n.name AS namespace,
           nt.name AS task_name, nt.version AS task_version, s.handler_class, d.last_error, d.last_worker,
           d.late_result IS NOT NULL AS has_late_result, d.late_result,
           d.resolved_at IS NULL AS is_open, s.state = 'error' AND s.attempts = d.attempt AS is_current,
           s.state, t.state AS task_state, s.attempts, s.unstarted_attempts, s.retry_limit, s.retryable, s.on_orphan,
           d.created_at, d.resolved_at, d.resolution, d.resolved_by, d.resolution_reason
    FROM tasker_dead_letters d
    LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = d.workflow_step_id
    LEFT JOIN tasker_tasks t ON t.task_id = d.task_id
    LEFT JOIN tasker_named_tasks nt ON nt.named_task_id = t.named_task_id
    LEFT JOIN tasker_task_namespaces n ON n.task_namespace_id = t.namespace_id;

-- Why an operation on this dead letter cannot go on, or no row when it is open. A repeated operation is no fault.
CREATE FUNCTION tasker_refuse_closed_dead_letter(p_dead_letter_id bigint, p_wanted text) RETURNS SETOF tasker_operation
LANGUAGE sql STABLE AS $$
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

-- Locks the dead letter's task, so that what is read of the dead letter afterwards holds.
CREATE FUNCTION tasker_lock_dead_letter(p_dead_letter_id bigint) RETURNS void
LANGUAGE sql AS $$
    SELECT t.task_id FROM tasker_tasks t
    WHERE t.task_id = (SELECT d.task_id FROM tasker_dead_letters d WHERE d.dead_letter_id = p_dead_letter_id) FOR UPDATE
$$;

-- Retries its step, if that is still at the attempt the dead letter is about.
CREATE FUNCTION tasker_replay_dead_letter(p_dead_letter_id bigint, p_reason text DEFAULT NULL,
    p_actor text DEFAULT NULL) RETURNS tasker_operation
LANGUAGE plpgsql AS $$
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

-- Resolves its step, if that is still at the attempt the dead letter is about.
CREATE FUNCTION tasker_resolve_dead_letter(p_dead_letter_id bigint, p_results jsonb DEFAULT NULL,
    p_reason text DEFAULT NULL, p_actor text DEFAULT NULL, p_take_late_result boolean DEFAULT false)
RETURNS tasker_operation
LANGUAGE plpgsql AS $$
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

-- Nobody will do anything about it: closed, and the step stays in error.
CREATE FUNCTION tasker_discard_dead_letter(p_dead_letter_id bigint, p_reason text DEFAULT NULL,
    p_actor text DEFAULT NULL) RETURNS tasker_operation
LANGUAGE plpgsql AS $$
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

-- ---------------------------------------------------------------------------------------------- workers

-- Asks the live sessions of a worker (by its name, or one by its session id) to finish what runs, hand back the rest
-- and leave. `p_deadline_ms`: how long running steps may take; NULL leaves it to the worker. The orchestrator carries
-- it out. One row per session of that name: requested | unchanged (the same was asked already) | ended.
CREATE FUNCTION tasker_request_drain(p_worker text, p_deadline_ms bigint DEFAULT NULL)
RETURNS TABLE (session text, worker_id text, state text, outcome text, drain_requested_at timestamptz,
    drain_deadline_ms bigint, in_flight int)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    IF p_deadline_ms < 0 THEN
        RAISE EXCEPTION 'a deadline of % ms is in the past', p_deadline_ms USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM 1 FROM tasker_workers w WHERE w.session = p_worker OR w.worker_id = p_worker
        ORDER BY w.session FOR UPDATE;
    RETURN QUERY
        WITH asked AS (
            UPDATE tasker_workers w SET drain_requested_at = clock_timestamp(), drain_deadline_ms = p_deadline_ms
            WHERE (w.session = p_worker OR w.worker_id = p_worker)
              AND w.state IN ('greeted', 'ready', 'suspect', 'draining')
              AND (w.drain_requested_at IS NULL OR w.drain_deadline_ms IS DISTINCT FROM p_deadline_ms)
            RETURNING w.session, w.drain_requested_at, w.drain_deadline_ms)
        SELECT w.session::text, w.worker_id::text, w.state::text,
               CASE WHEN a.session IS NOT NULL THEN 'requested' WHEN w.state IN ('lost', 'gone') THEN 'ended'
                    ELSE 'unchanged' END,
               coalesce(a.drain_requested_at, w.drain_requested_at),
               CASE WHEN a.session IS NOT NULL THEN a.drain_deadline_ms ELSE w.drain_deadline_ms END, w.in_flight
        FROM tasker_workers w LEFT JOIN asked a ON a.session = w.session
        WHERE w.session = p_worker OR w.worker_id = p_worker
        ORDER BY w.first_seen_at, w.session;
    PERFORM pg_notify('tasker_wake', 'scan');
END $$;
