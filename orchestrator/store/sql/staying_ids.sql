-- What of a range must stay, at most $5 of it, and how much there is.
SELECT total, staying, cardinality(staying) AS count FROM tasker_staying_ids($1, $2, $3, $4::timestamptz, $5)
