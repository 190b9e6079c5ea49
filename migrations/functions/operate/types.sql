-- The result of a call. outcome: done | unchanged (it was so already) | refused (the state forbids it; nothing was
-- changed) | not_found. `code` gives the reason in a word, `message` in a sentence. States are those after the call.
-- `changed_steps` changed their state, `ready_steps` became claimable.
CREATE TYPE tasker_operation AS (outcome text, code text, message text, task_id bigint, task_state text,
    workflow_step_id bigint, name text, state text, attempts int, retry_limit int, dead_letter_id bigint,
    changed_steps bigint[], ready_steps bigint[]);
