-- Whether a request has nothing but a name and a small context, and nothing is wrong with it. Most requests are such, and
-- tasker_request_problem takes a thirtieth of the time from submission to completion of a small task. False says
-- nothing; a test holds both against each other. 400 bytes hold no 58 levels, and 1000 characters no longer number.
-- Reads no table; inlined, raises nothing. Called by tasker_create_tasks.
CREATE OR REPLACE FUNCTION tasker_is_plain_request(p_request jsonb) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT pg_column_size(p_request) <= 400 AND octet_length(p_request::text) <= 1000
        AND p_request @@ 'strict $.namespace like_regex "^.{1,128}$" && $.name like_regex "^.{1,128}$"
            && $.version like_regex "^.{1,64}$" && $.context.type() == "object"
            && !exists($.keyvalue() ? (!(@.key like_regex "^(namespace|name|version|context)$")))'
$$;
