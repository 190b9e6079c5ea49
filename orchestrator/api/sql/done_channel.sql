-- The channel on which this installation announces tasks that have ended.
SELECT tasker_channel('tasker_done')
