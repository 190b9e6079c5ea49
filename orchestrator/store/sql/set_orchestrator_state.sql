-- What the lanes of epoch $1 show of their process: its state $2 and its endpoints $3. Rows are locked in the order in
-- which a successor takes them.
WITH mine AS (
    SELECT lane FROM tasker_orchestrators WHERE epoch = $1 ORDER BY lane FOR UPDATE
)
UPDATE tasker_orchestrators o SET state = $2, endpoints = $3::jsonb, last_seen_at = clock_timestamp()
FROM mine WHERE o.lane = mine.lane
