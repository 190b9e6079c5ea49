-- Whether the type, code or message of an error holds this text, in any case of letters.
-- Reads no table, raises nothing. Called by the lists of `tasker`.
CREATE OR REPLACE FUNCTION tasker_error_holds(p_error jsonb, p_text text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT strpos(lower(concat_ws(' ', p_error ->> 'error_type', p_error ->> 'error_code', p_error ->> 'message')),
                  lower(p_text)) > 0
$$;
