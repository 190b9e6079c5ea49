-- The time $1 days ago, exactly as the server writes it.
SELECT (clock_timestamp() - make_interval(days => $1))::text
