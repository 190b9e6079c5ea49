-- Deletes at most $3 rows of a kind that are older than $2; how many it was.
SELECT tasker_forget_rows($1, $2::timestamptz, $3)
