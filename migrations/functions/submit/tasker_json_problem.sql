-- Why this JSON cannot be the context of a task, or the results that an operator gives a step: both travel in requests.
-- They may be nested 58 levels deep, since a request adds to them and workers read 64; a number may have 1 000 digits
-- (1e131071 is eight bytes that become 131 072); all may have 8 MiB as the database writes it.
-- Numbers are measured one by one first, so that a text of gigabytes is never built.
-- Reads no table. Returns a sentence, null when nothing is wrong. Raises nothing. Called by tasker_request_problem and
-- tasker_resolve_step.
CREATE OR REPLACE FUNCTION tasker_json_problem(p_value jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
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
END $$;
