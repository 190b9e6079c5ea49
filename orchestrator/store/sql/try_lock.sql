-- Takes an advisory lock of the session, or returns that somebody has it. Its keys are $1 and the schema: a second
-- installation in the same database has locks of its own.
SELECT pg_try_advisory_lock($1::int, to_regnamespace(quote_ident(current_schema()))::oid::int)
