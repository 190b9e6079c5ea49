-- Why this member of a request is no point in time: it must be RFC 3339 with an offset, in the years 1 to 9999. Infinity
-- is none: a step that is never due would be looked for again at every turn.
-- Reads no table. Returns a sentence, null when it is one. Raises nothing. Called by tasker_request_problem.
CREATE OR REPLACE FUNCTION tasker_time_problem(p_value jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
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
END $$;
