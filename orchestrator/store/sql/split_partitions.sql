-- One more step towards partitions of $2 rows and $3 seconds on an axis: what was done, at which bound; null when nothing
-- was left to do.
SELECT done, bound FROM tasker_split_partitions($1, $2, make_interval(secs => $3))
