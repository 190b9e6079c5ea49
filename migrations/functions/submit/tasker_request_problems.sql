-- What is wrong with the requests of tasker_create_tasks, one row for each that it would refuse. `ord` counts from 1 and
-- is 0 where the list itself is wrong; `field` is empty where the request itself is.
-- Reads only. Raises nothing. Called by tasker_create_tasks, and by whoever asks which requests it refused.
CREATE OR REPLACE FUNCTION tasker_request_problems(p_requests jsonb) RETURNS TABLE (ord int, field text, message text)
LANGUAGE plpgsql STABLE AS $$
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
