#include "orchestrator/store/checks.hpp"

namespace tasker::store {
namespace {

constexpr Check kChecks[] = {
    {"step_parents_done", "I3", "a step that was started has all its parents complete or resolved", R"(
        SELECT 'step', s.workflow_step_id, s.task_id,
               format('%s (%s, attempt %s) was started, but its parent %s (step %s) is %s', s.name, s.state, s.attempts,
                      p.name, p.workflow_step_id, p.state)
        FROM tasker_workflow_steps s
        JOIN tasker_workflow_step_edges e ON e.to_step_id = s.workflow_step_id
        JOIN tasker_workflow_steps p ON p.workflow_step_id = e.from_step_id
        WHERE (s.attempts > 0 OR s.state IN ('in_progress', 'waiting_for_retry', 'complete'))
          AND p.state NOT IN ('complete', 'resolved_manually'))"},
    // Judged by the database's clock, so a clock that was set back may raise it; a second is allowed for lock
    // waits.
    {"step_start_order", "I3", "a step was first started after its parents had finished", R"(
        SELECT 'step', s.workflow_step_id, s.task_id,
               format('%s was started at %s, its parent %s (step %s) finished only at %s', s.name, c.at, p.name,
                      p.workflow_step_id, f.at)
        FROM (SELECT workflow_step_id, min(created_at) AS at FROM tasker_workflow_step_transitions
              WHERE to_state = 'in_progress' GROUP BY workflow_step_id) c
        JOIN tasker_workflow_steps s ON s.workflow_step_id = c.workflow_step_id
        JOIN tasker_workflow_step_edges e ON e.to_step_id = s.workflow_step_id
        JOIN tasker_workflow_steps p ON p.workflow_step_id = e.from_step_id
        JOIN (SELECT workflow_step_id, max(created_at) AS at FROM tasker_workflow_step_transitions
              WHERE to_state IN ('complete', 'resolved_manually') GROUP BY workflow_step_id) f
            ON f.workflow_step_id = p.workflow_step_id
        WHERE c.at < f.at - interval '1 second')"},
    {"step_remaining_parents", "I3", "remaining_parents is the number of parents that have not finished", R"(
        SELECT 'step', s.workflow_step_id, s.task_id,
               format('%s has remaining_parents %s, %s of its parents have not finished', s.name, s.remaining_parents,
                      coalesce(p.unfinished, 0))
        FROM tasker_workflow_steps s
        LEFT JOIN (SELECT e.to_step_id, count(*) FILTER (WHERE x.state NOT IN ('complete', 'resolved_manually'))
                          AS unfinished
                   FROM tasker_workflow_step_edges e
                   JOIN tasker_workflow_steps x ON x.workflow_step_id = e.from_step_id GROUP BY e.to_step_id) p
            ON p.to_step_id = s.workflow_step_id
        WHERE s.remaining_parents <> coalesce(p.unfinished, 0))"},
    {"step_attempt_limit", "I5", "counted attempts stay within the limit", R"(
        SELECT 'step', s.workflow_step_id, s.task_id,
               format('%s has %s counted attempts (%s - %s unstarted), allowed are %s', s.name,
                      s.attempts - s.unstarted_attempts, s.attempts, s.unstarted_attempts,
                      CASE WHEN s.retryable THEN s.retry_limit ELSE 1 + coalesce(r.retries, 0) END)
        FROM tasker_workflow_steps s
        LEFT JOIN (SELECT workflow_step_id, count(*) AS retries FROM tasker_workflow_step_transitions
                   WHERE from_state = 'error' AND to_state = 'pending' GROUP BY workflow_step_id) r
            ON r.workflow_step_id = s.workflow_step_id
        WHERE s.attempts - s.unstarted_attempts >
              CASE WHEN s.retryable THEN s.retry_limit ELSE 1 + coalesce(r.retries, 0) END)"},
    {"step_attempt_counters", "I5", "attempts and unstarted_attempts agree with the history", R"(
        SELECT 'step', s.workflow_step_id, s.task_id,
               format('%s has attempts %s and unstarted_attempts %s, its history shows %s and %s', s.name, s.attempts,
                      s.unstarted_attempts, coalesce(h.started, 0), coalesce(h.handed_back, 0))
        FROM tasker_workflow_steps s
        LEFT JOIN (SELECT workflow_step_id, count(*) FILTER (WHERE to_state = 'in_progress') AS started,
                          count(*) FILTER (WHERE from_state = 'in_progress' AND to_state = 'pending') AS handed_back
                   FROM tasker_workflow_step_transitions GROUP BY workflow_step_id) h
            ON h.workflow_step_id = s.workflow_step_id
        WHERE s.attempts <> coalesce(h.started, 0) OR s.unstarted_attempts <> coalesce(h.handed_back, 0))"},
    {"step_history", "I6", "a step's history is gapless and ends in its state", R"(
        SELECT 'step', s.workflow_step_id, s.task_id,
               format('%s has transition_count %s and state %s, but its history has %s entries up to %s, ending in %s',
                      s.name, s.transition_count, s.state, coalesce(h.entries, 0), coalesce(h.last, 0),
                      coalesce(l.to_state, 'nothing'))
        FROM tasker_workflow_steps s
        LEFT JOIN (SELECT workflow_step_id, count(*) AS entries, min(sort_key) AS first, max(sort_key) AS last
                   FROM tasker_workflow_step_transitions GROUP BY workflow_step_id) h
            ON h.workflow_step_id = s.workflow_step_id
        LEFT JOIN tasker_workflow_step_transitions l
            ON l.workflow_step_id = s.workflow_step_id AND l.sort_key = h.last
        WHERE h.workflow_step_id IS NULL OR h.first <> 1 OR h.entries <> h.last OR h.last <> s.transition_count
           OR l.to_state <> s.state)"},
    {"step_transitions", "I6", "every step transition is legal and follows the one before", R"(
        SELECT 'step', h.workflow_step_id, h.task_id,
               format('transition %s is %s -> %s (%s) after %s, which is not legal', h.sort_key,
                      coalesce(h.from_state, 'nothing'), h.to_state, h.event, coalesce(h.before, 'nothing'))
        FROM (SELECT x.*, lag(x.to_state) OVER (PARTITION BY x.workflow_step_id ORDER BY x.sort_key) AS before
              FROM tasker_workflow_step_transitions x) h
        WHERE h.from_state IS DISTINCT FROM h.before
           OR (coalesce(h.from_state, 'nothing'), h.to_state) NOT IN (
               ('nothing', 'pending'),
               ('pending', 'in_progress'), ('pending', 'error'), ('pending', 'cancelled'),
               ('in_progress', 'complete'), ('in_progress', 'waiting_for_retry'), ('in_progress', 'error'),
               ('in_progress', 'pending'), ('in_progress', 'cancelled'),
               ('waiting_for_retry', 'in_progress'), ('waiting_for_retry', 'complete'),
               ('waiting_for_retry', 'cancelled'),
               ('error', 'pending'), ('error', 'resolved_manually')))"},
    {"cancelled_step", "I8", "a cancelled step stays cancelled, and so do its descendants", R"(
        SELECT 'step', s.workflow_step_id, s.task_id,
               CASE WHEN p.workflow_step_id IS NULL
                    THEN format('%s was cancelled (transition %s), but is %s now', s.name, h.sort_key, s.state)
                    ELSE format('%s is %s although its parent %s (step %s) is cancelled', s.name, s.state, p.name,
                                p.workflow_step_id) END
        FROM tasker_workflow_steps s
        LEFT JOIN tasker_workflow_step_transitions h
            ON h.workflow_step_id = s.workflow_step_id AND h.to_state = 'cancelled'
        LEFT JOIN tasker_workflow_step_edges e ON e.to_step_id = s.workflow_step_id
        LEFT JOIN tasker_workflow_steps p ON p.workflow_step_id = e.from_step_id AND p.state = 'cancelled'
        WHERE s.state <> 'cancelled' AND (h.workflow_step_id IS NOT NULL OR p.workflow_step_id IS NOT NULL))"},
    {"ready_key", "I10", "a step is marked ready exactly while it may be claimed and waits", R"(
        SELECT 'step', s.workflow_step_id, s.task_id,
               format('%s is %s in a task that is %s, ready_key %s, next_attempt_at %s: %s', s.name, s.state, t.state,
                      coalesce(s.ready_key::text, 'empty'), coalesce(s.next_attempt_at::text, 'empty'),
                      CASE WHEN s.ready_key IS NULL THEN 'it may be claimed but nothing will ever find it'
                           WHEN s.ready_key <> s.handler_key
                           THEN format('the ready_key must be its handler_key %s', s.handler_key)
                           ELSE 'it must not be ready' END)
        FROM tasker_workflow_steps s JOIN tasker_tasks t ON t.task_id = s.task_id
        WHERE (s.ready_key IS NULL AND s.next_attempt_at IS NULL AND s.remaining_parents = 0
               AND s.state IN ('pending', 'waiting_for_retry') AND t.state IN ('pending', 'in_progress'))
           OR (s.ready_key IS NOT NULL
               AND (s.ready_key <> s.handler_key OR s.remaining_parents > 0
                    OR s.state NOT IN ('pending', 'waiting_for_retry') OR t.state NOT IN ('pending', 'in_progress')
                    OR s.next_attempt_at > clock_timestamp() + interval '1 second')))"},
};

}  // namespace

std::span<const Check> step_checks() {
    return kChecks;
}

}  // namespace tasker::store
