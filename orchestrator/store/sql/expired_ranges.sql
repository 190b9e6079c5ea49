-- Ranges of an axis in which all has ended before $2.
SELECT low, high FROM tasker_expired_ranges($1, $2::timestamptz)
