-- One migrator at a time in a schema; waits. $1 is the migrators' own number.
SELECT pg_advisory_lock($1::int, to_regnamespace(quote_ident(current_schema()))::oid::int)
