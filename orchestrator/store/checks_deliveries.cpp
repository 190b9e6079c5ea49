// Deliveries (the join rows of batches and steps) and the ledger of what was reported about them.
#include "orchestrator/store/checks.hpp"

namespace tasker::store {
namespace {

constexpr Check kChecks[] = {
    {"one_delivery_per_attempt", "I4", "each attempt of a step was sent in exactly one batch", R"(
        SELECT 'step', s.workflow_step_id, s.task_id,
               format('%s has %s attempts, but was delivered %s times (%s different attempts, the last is %s)', s.name,
                      s.attempts, coalesce(d.deliveries, 0), coalesce(d.attempts, 0), coalesce(d.last, 0))
        FROM tasker_workflow_steps s
        LEFT JOIN (SELECT workflow_step_id, count(*) AS deliveries, count(DISTINCT attempt) AS attempts,
                          max(attempt) AS last
                   FROM tasker_step_execution_batch_steps GROUP BY workflow_step_id) d
            ON d.workflow_step_id = s.workflow_step_id
        WHERE coalesce(d.deliveries, 0) <> s.attempts OR coalesce(d.attempts, 0) <> s.attempts
           OR coalesce(d.last, 0) <> s.attempts)"},
    {"one_applied_result", "I4", "at most one final result per attempt changed state", R"(
        SELECT 'step', bs.workflow_step_id, s.task_id,
               format('attempt %s has %s applied results (ledger rows %s), at most one is allowed', bs.attempt, count(*),
                      string_agg(r.id::text, ', ' ORDER BY r.id))
        FROM tasker_step_execution_batch_received_results r
        JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = r.batch_id AND bs.id = r.batch_step_id
        LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
        WHERE r.disposition = 'applied'
        GROUP BY bs.workflow_step_id, bs.attempt, s.task_id HAVING count(*) > 1)"},
    {"applied_result_moved_step", "I7",
     "each applied result is one transition of its step, and nothing else is", R"(
        SELECT 'step', s.workflow_step_id, s.task_id,
               format('%s has %s applied results (%s completed), its history shows %s transitions by a result (%s to complete)',
                      s.name, coalesce(r.applied, 0), coalesce(r.completed, 0), coalesce(h.moved, 0),
                      coalesce(h.completed, 0))
        FROM tasker_workflow_steps s
        LEFT JOIN (SELECT bs.workflow_step_id, count(*) AS applied,
                          -- A result that could not be kept ended its step in error.
                          count(*) FILTER (WHERE l.status = 'completed' AND l.processing_errors IS NULL) AS completed
                   FROM tasker_step_execution_batch_received_results l
                   JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = l.batch_id AND bs.id = l.batch_step_id
                   WHERE l.disposition = 'applied' GROUP BY bs.workflow_step_id) r
            ON r.workflow_step_id = s.workflow_step_id
        LEFT JOIN (SELECT workflow_step_id,
                          count(*) FILTER (WHERE to_state IN ('complete', 'waiting_for_retry', 'error')
                                           AND from_state IN ('in_progress', 'waiting_for_retry')) AS moved,
                          count(*) FILTER (WHERE to_state = 'complete') AS completed
                   FROM tasker_workflow_step_transitions GROUP BY workflow_step_id) h
            ON h.workflow_step_id = s.workflow_step_id
        WHERE coalesce(r.applied, 0) > coalesce(h.moved, 0) OR coalesce(r.completed, 0) <> coalesce(h.completed, 0))"},
    {"result_is_current", "I7", "a complete step was completed by a result of its last attempt", R"(
        SELECT 'step', s.workflow_step_id, s.task_id,
               format('%s is complete at attempt %s, but no completed result of that attempt was applied', s.name,
                      s.attempts)
        FROM tasker_workflow_steps s
        WHERE s.state = 'complete' AND NOT EXISTS (
            SELECT 1 FROM tasker_step_execution_batch_steps bs
            JOIN tasker_step_execution_batch_received_results r
                ON r.batch_id = bs.batch_id AND r.batch_step_id = bs.id AND r.disposition = 'applied'
               AND r.status = 'completed'
            WHERE bs.workflow_step_id = s.workflow_step_id AND bs.attempt = s.attempts))"},
    {"result_contents", "I7", "results stand in complete steps and errors in failed ones", R"(
        SELECT 'step', s.workflow_step_id, s.task_id,
               format('%s is %s with %s', s.name, s.state, CASE WHEN s.results IS NOT NULL THEN 'results' WHEN
                      s.error IS NULL THEN 'no error' ELSE 'an error' END)
        FROM tasker_workflow_steps s
        WHERE (s.results IS NOT NULL AND s.state NOT IN ('complete', 'resolved_manually'))
           OR (s.error IS NOT NULL AND s.state = 'complete')
           OR (s.error IS NULL AND s.state = 'error'))"},
    {"report_in_ledger", "I7", "what is marked as reported stands in the ledger, and the other way round", R"(
        SELECT 'delivery', bs.id, s.task_id,
               CASE WHEN bs.reported_at IS NOT NULL AND bs.final_status IS NULL THEN 'is reported without a status'
                    WHEN bs.reported_at IS NOT NULL
                    THEN format('is reported as %s, but the ledger holds no such report', bs.final_status)
                    ELSE format('is not reported, but the ledger holds %s reports that counted', r.counted) END
        FROM tasker_step_execution_batch_steps bs
        LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
        LEFT JOIN (SELECT batch_id, batch_step_id, count(*) FILTER (WHERE disposition IN ('applied', 'late')) AS counted,
                          array_agg(DISTINCT status::text)
                              FILTER (WHERE disposition IN ('applied', 'late', 'stale_attempt')) AS statuses
                   FROM tasker_step_execution_batch_received_results
                   WHERE message_type = 'partial_result' AND batch_step_id IS NOT NULL
                   GROUP BY batch_id, batch_step_id) r
            ON r.batch_id = bs.batch_id AND r.batch_step_id = bs.id
        WHERE (bs.reported_at IS NOT NULL AND (bs.final_status IS NULL OR r.statuses IS NULL
                                               -- What ended otherwise before keeps that word.
                                               OR (bs.final_status NOT IN ('handed_back', 'orphaned')
                                                   AND NOT bs.final_status = ANY (r.statuses))))
           OR (bs.reported_at IS NULL AND coalesce(r.counted, 0) > 0))"},
    {"step_in_flight", "I10", "a step in progress is out in exactly one open batch", R"(
        SELECT 'step', s.workflow_step_id, s.task_id,
               format('%s is in progress (attempt %s), but out in %s open batches', s.name, s.attempts,
                      coalesce(d.open, 0))
        FROM tasker_workflow_steps s
        LEFT JOIN (SELECT bs.workflow_step_id, bs.attempt, count(*) AS open
                   FROM tasker_step_execution_batch_steps bs
                   JOIN tasker_step_execution_batches b ON b.batch_id = bs.batch_id
                   WHERE b.state IN ('created', 'published', 'executing') AND bs.reported_at IS NULL
                     AND bs.final_status IS NULL
                   GROUP BY bs.workflow_step_id, bs.attempt) d
            ON d.workflow_step_id = s.workflow_step_id AND d.attempt = s.attempts
        WHERE s.state = 'in_progress' AND coalesce(d.open, 0) <> 1)"},
    {"delivery_in_flight", "I10", "what is out in an open batch is a step in progress at that attempt", R"(
        SELECT 'delivery', bs.id, s.task_id,
               format('batch %s still waits for step %s (attempt %s), which is %s at attempt %s', b.batch_id,
                      s.workflow_step_id, bs.attempt, s.state, s.attempts)
        FROM tasker_step_execution_batches b
        JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = b.batch_id
        JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
        WHERE b.state IN ('created', 'published', 'executing') AND bs.reported_at IS NULL AND bs.final_status IS NULL
          AND s.state <> 'cancelled' AND (s.state <> 'in_progress' OR s.attempts <> bs.attempt))"},
};

}  // namespace

std::span<const Check> delivery_checks() {
    return kChecks;
}

}  // namespace tasker::store
