DROP TABLE tasker_dropped_ranges, tasker_rejected_messages, tasker_dead_letters, tasker_workers, tasker_standbys, tasker_orchestrators;
