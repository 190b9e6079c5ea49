-- Gives a lock of try_lock.sql back.
SELECT pg_advisory_unlock($1::int, to_regnamespace(quote_ident(current_schema()))::oid::int)
