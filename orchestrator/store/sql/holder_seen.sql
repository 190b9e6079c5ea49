-- The last sign of life of the instance that serves, as text: that of the lane that has been silent longest. Null when
-- nobody ever served.
SELECT max(o.epoch) || ' ' || min(o.last_seen_at) FROM tasker_orchestrators o
