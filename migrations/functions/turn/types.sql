-- The result of a first final report.
CREATE TYPE tasker_turn_verdict AS (ord int, step_id bigint, task_id bigint, attempt int, disposition text,
    new_state text, dead_letter text, is_late_success boolean);

-- A step that left in_progress without a report.
CREATE TYPE tasker_turn_move AS (ord int, step_id bigint, task_id bigint, attempt int, new_state text, handler_key int,
    reason text, error jsonb, batch_id bigint);

-- A start that was asked for: none, or why not.
CREATE TYPE tasker_turn_grant AS (ord int, refusal text);

-- A step that may be claimed, or a child of a step that completed in this turn (it loses `parents_done` parents).
CREATE TYPE tasker_turn_candidate AS (step_id bigint, task_id bigint, handler_key int, namespace_id int,
    priority smallint, state text, attempts int, transition_count int, timeout_ms bigint, parents_done int,
    input_bytes int, is_ready boolean);

-- A step that is claimed for a session.
CREATE TYPE tasker_turn_assignment AS (step_id bigint, task_id bigint, handler_key int, session_no int,
    old_state text, attempt int, sort_key int, place bigint, timeout_ms bigint, parents_done int, priority smallint,
    input_bytes int, sent_alone boolean);

-- The results of a turn's reports: the first final ones, the children that lost parents, and whether there is a dead
-- letter among them, a success that came too late, and anything but `applied` and `complete`.
CREATE TYPE tasker_turn_reported AS (final tasker_turn_verdict[], children tasker_turn_candidate[],
    has_dead_letter boolean, has_late_success boolean, has_other boolean);

-- The claims section's result: the claims, the children that are left, the tasks that start with it, the lowest task
-- of all that the turn touches, handler keys of which more steps may wait, those of steps that somebody holds, the
-- bytes of the requests that are to be built, and whether there were claims beyond what a turn may build.
CREATE TYPE tasker_turn_claimed AS (claims tasker_turn_assignment[], children tasker_turn_candidate[],
    starting bigint[], low_task bigint, more int[], locked int[], bytes bigint, is_full boolean);

-- One row of a turn's answer; tasker_turn() explains it kind by kind.
CREATE TYPE tasker_turn_row AS (kind text, ord int, info text, name text, task_id bigint, step_id bigint, attempt int,
    retry_limit int, tries_left int, timeout_ms bigint, handler_key int, claim_first boolean, batch_id bigint, batch_uuid text,
    batch_step_id bigint, sequence_order int, session_no int, named_task_id int, template_revision int,
    claimed_at text, context text, previous_results text);
