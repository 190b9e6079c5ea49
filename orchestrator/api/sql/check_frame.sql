-- Around every check: the count of all violations beside the first few. $1 how many to list, $2 the grace in seconds.
WITH settings AS (
    SELECT $2::float8 AS grace_seconds
), violations(object, id, task_id, message) AS (
:check
)
SELECT count(*) OVER () AS total, object, id, task_id, message FROM violations ORDER BY id, message LIMIT $1
