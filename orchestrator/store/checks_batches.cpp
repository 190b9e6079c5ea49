#include "orchestrator/store/checks.hpp"

namespace tasker::store {
namespace {

constexpr Check kChecks[] = {
    {"batch_history", "I6", "a batch's history is gapless and ends in its state", R"(
        SELECT 'batch', b.batch_id, b.task_id,
               format('transition_count %s and state %s, but its history has %s entries up to %s, ending in %s',
                      b.transition_count, b.state, coalesce(h.entries, 0), coalesce(h.last, 0),
                      coalesce(l.to_state, 'nothing'))
        FROM tasker_step_execution_batches b
        LEFT JOIN (SELECT batch_id, count(*) AS entries, min(sort_key) AS first, max(sort_key) AS last
                   FROM tasker_step_execution_batch_transitions GROUP BY batch_id) h ON h.batch_id = b.batch_id
        LEFT JOIN tasker_step_execution_batch_transitions l ON l.batch_id = b.batch_id AND l.sort_key = h.last
        WHERE h.batch_id IS NULL OR h.first <> 1 OR h.entries <> h.last OR h.last <> b.transition_count
           OR l.to_state <> b.state)"},
    {"batch_most_recent", "I6", "most_recent marks exactly the last transition of a batch", R"(
        SELECT 'batch', b.batch_id, b.task_id,
               format('most_recent stands on transitions %s, expected on %s alone',
                      coalesce(m.marked, 'none'), b.transition_count)
        FROM tasker_step_execution_batches b
        LEFT JOIN (SELECT batch_id, string_agg(sort_key::text, ', ' ORDER BY sort_key) AS marked
                   FROM tasker_step_execution_batch_transitions WHERE most_recent GROUP BY batch_id) m
            ON m.batch_id = b.batch_id
        WHERE m.marked IS DISTINCT FROM b.transition_count::text)"},
    {"batch_transitions", "I6", "every batch transition is legal and follows the one before", R"(
        SELECT 'batch', h.batch_id, NULL::bigint,
               format('transition %s is %s -> %s (%s) after %s, which is not legal', h.sort_key,
                      coalesce(h.from_state, 'nothing'), h.to_state, h.event_name, coalesce(h.before, 'nothing'))
        FROM (SELECT x.*, lag(x.to_state) OVER (PARTITION BY x.batch_id ORDER BY x.sort_key) AS before
              FROM tasker_step_execution_batch_transitions x) h
        WHERE h.from_state IS DISTINCT FROM h.before
           OR (coalesce(h.from_state, 'nothing'), h.to_state) NOT IN (
               ('nothing', 'created'), ('created', 'published'), ('created', 'cancelled'),
               ('published', 'executing'), ('published', 'timed_out'), ('published', 'cancelled'),
               ('executing', 'completed'), ('executing', 'partially_failed'), ('executing', 'failed'),
               ('executing', 'timed_out'), ('executing', 'cancelled')))"},
    {"batch_size", "I4", "a batch has batch_size deliveries, in gapless order", R"(
        SELECT 'batch', b.batch_id, b.task_id,
               format('batch_size %s, but it has %s deliveries with sequence %s to %s', b.batch_size,
                      coalesce(d.deliveries, 0), coalesce(d.first, 0), coalesce(d.last, 0))
        FROM tasker_step_execution_batches b
        LEFT JOIN (SELECT batch_id, count(*) AS deliveries, min(sequence_order) AS first, max(sequence_order) AS last,
                          count(DISTINCT sequence_order) AS places
                   FROM tasker_step_execution_batch_steps GROUP BY batch_id) d ON d.batch_id = b.batch_id
        WHERE d.deliveries IS DISTINCT FROM b.batch_size OR d.first <> 1 OR d.last <> b.batch_size
           OR d.places <> b.batch_size)"},
    {"batch_counters", "I4", "a batch's counters agree with its deliveries and the ledger", R"(
        SELECT 'batch', b.batch_id, b.task_id,
               format('partial_results_received %s and final_completion_received %s, but %s deliveries are reported and the ledger has %s completions that count',
                      b.partial_results_received, b.final_completion_received, coalesce(d.reported, 0),
                      coalesce(r.completions, 0))
        FROM tasker_step_execution_batches b
        LEFT JOIN (SELECT batch_id, count(*) FILTER (WHERE reported_at IS NOT NULL) AS reported
                   FROM tasker_step_execution_batch_steps GROUP BY batch_id) d ON d.batch_id = b.batch_id
        LEFT JOIN (SELECT batch_id, count(*) AS completions FROM tasker_step_execution_batch_received_results
                   WHERE message_type = 'batch_completion' AND disposition = 'noted' GROUP BY batch_id) r
            ON r.batch_id = b.batch_id
        WHERE b.partial_results_received <> coalesce(d.reported, 0)
           OR b.final_completion_received <> (coalesce(r.completions, 0) > 0))"},
    // A report that came after the batch had ended changes its delivery, not the batch.
    {"batch_state", "I6", "a batch's state is the summary of its deliveries", R"(
        SELECT 'batch', b.batch_id, b.task_id,
               format('is %s, but of its %s deliveries %s completed, %s failed, %s left unreported and %s are awaited: expected %s',
                      b.state, d.deliveries, d.completed, d.reported - d.completed, d.left, d.awaited, d.expected)
        FROM tasker_step_execution_batches b
        JOIN (SELECT c.*, CASE WHEN c.awaited > 0 THEN 'an open state'
                               WHEN c.orphaned > 0 THEN 'timed_out'
                               WHEN c.reported = 0 THEN 'cancelled'
                               WHEN c.completed = c.reported THEN 'completed'
                               WHEN c.completed = 0 THEN 'failed'
                               ELSE 'partially_failed' END AS expected
              FROM (SELECT x.batch_id, count(*) AS deliveries,
                           count(*) FILTER (WHERE x.counted) AS reported,
                           count(*) FILTER (WHERE x.counted AND x.final_status = 'completed') AS completed,
                           count(*) FILTER (WHERE NOT x.counted AND x.final_status IS NOT NULL) AS left,
                           count(*) FILTER (WHERE NOT x.counted AND x.final_status = 'orphaned') AS orphaned,
                           count(*) FILTER (WHERE NOT x.counted AND x.reported_at IS NOT NULL) AS late,
                           count(*) FILTER (WHERE x.final_status IS NULL) AS awaited
                    FROM (SELECT bs.batch_id, bs.final_status, bs.reported_at,
                                 bs.reported_at IS NOT NULL AND bs.final_status NOT IN ('handed_back', 'orphaned')
                                 AND (e.ended_at IS NULL OR bs.reported_at <= e.ended_at) AS counted
                          FROM tasker_step_execution_batch_steps bs
                          LEFT JOIN (SELECT batch_id, max(created_at) AS ended_at
                                     FROM tasker_step_execution_batch_transitions
                                     WHERE to_state NOT IN ('created', 'published', 'executing')
                                     GROUP BY batch_id) e ON e.batch_id = bs.batch_id) x
                    GROUP BY x.batch_id) c) d ON d.batch_id = b.batch_id
        WHERE CASE WHEN d.awaited > 0 THEN b.state NOT IN ('created', 'published', 'executing')
                   -- A late report hides whether its delivery was orphaned or handed back before.
                   WHEN d.late > 0 THEN b.state NOT IN (d.expected, 'timed_out')
                   ELSE b.state <> d.expected END)"},
    {"reconciliation_verdict", "I7", "a reconciliation verdict has its grounds", R"(
        SELECT 'batch', b.batch_id, b.task_id,
               CASE b.reconciliation_status WHEN 'consistent'
                    THEN format('is consistent, but %s deliveries are unreported and its completion is %s', d.missing,
                                CASE WHEN b.final_completion_received THEN 'there' ELSE 'missing' END)
                    ELSE 'is a discrepancy without saying what differs' END
        FROM tasker_step_execution_batches b
        JOIN (SELECT batch_id, count(*) FILTER (WHERE reported_at IS NULL AND final_status IS DISTINCT FROM 'handed_back')
                     AS missing,
                     count(*) FILTER (WHERE reported_at IS NOT NULL) AS reported
              FROM tasker_step_execution_batch_steps GROUP BY batch_id) d ON d.batch_id = b.batch_id
        WHERE (b.reconciliation_status = 'consistent'
               AND (d.missing > 0 OR (d.reported > 0 AND NOT b.final_completion_received)))
           OR (b.reconciliation_status = 'discrepancy'
               AND coalesce(jsonb_array_length(CASE WHEN jsonb_typeof(b.metadata -> 'discrepancies') = 'array'
                                               THEN b.metadata -> 'discrepancies' END), 0) = 0))"},
    // Only time in which an orchestrator served counts: while none runs, nobody can reconcile.
    {"reconciliation_open", "I2", "a batch that has ended is reconciled within its grace", R"(
        SELECT 'batch', b.batch_id, b.task_id,
               format('is %s since %s and not reconciled, although an orchestrator served until %s (grace %s s)', b.state,
                      b.updated_at, o.last_seen_at, settings.grace_seconds)
        FROM tasker_step_execution_batches b
        CROSS JOIN settings
        CROSS JOIN (SELECT max(last_seen_at) AS last_seen_at, max(started_at) AS started_at
                    FROM tasker_orchestrators) o
        WHERE b.reconciliation_status = 'pending' AND b.state NOT IN ('created', 'published', 'executing')
          AND o.last_seen_at - greatest(b.updated_at, o.started_at) > make_interval(secs => settings.grace_seconds))"},
};

}  // namespace

std::span<const Check> batch_checks() {
    return kChecks;
}

}  // namespace tasker::store
