-- The sign of life of all lanes of epoch $1; no row when none is left. A row that is locked belongs to a turn under way,
-- which refreshes it itself: waiting for it would hold up the others.
WITH idle AS (
    SELECT lane FROM tasker_orchestrators WHERE epoch = $1 FOR UPDATE SKIP LOCKED
), alive AS (
    UPDATE tasker_orchestrators o SET last_seen_at = clock_timestamp() FROM idle WHERE o.lane = idle.lane
)
SELECT 1 FROM tasker_orchestrators WHERE epoch = $1 LIMIT 1
