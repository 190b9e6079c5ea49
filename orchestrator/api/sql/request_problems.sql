-- Which requests of a refused call are wrong, and where; the place is 0 where the list itself is.
SELECT ord, field, message FROM tasker_request_problems($1::jsonb) ORDER BY ord
