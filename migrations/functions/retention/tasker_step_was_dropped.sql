-- Whether retention has taken this step away, by its neighbours: the answer to a reference that leads nowhere.
-- Reads only, raises nothing. Called by `tasker db check`.
CREATE OR REPLACE FUNCTION tasker_step_was_dropped(p_step_id bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM tasker_dropped_ranges d WHERE p_step_id BETWEEN d.first_step_id AND d.last_step_id)
$$;
