-- Gives back what migrations_lock.sql has taken.
SELECT pg_advisory_unlock($1::int, to_regnamespace(quote_ident(current_schema()))::oid::int)
