-- Deletes at most $4 identities of the tasks from $1 to $2, except those of $3; how many it was.
SELECT tasker_forget_identities($1, $2, $3::bigint[], $4)
