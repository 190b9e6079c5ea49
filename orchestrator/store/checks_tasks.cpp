#include "orchestrator/store/checks.hpp"

namespace tasker::store {
namespace {

constexpr Check kChecks[] = {
    {"task_whole", "I1", "a task has exactly the steps and edges of its template revision", R"(
        SELECT 'task', t.task_id, t.task_id,
               format('has %s steps and %s edges, its template revision has %s and %s', coalesce(s.steps, 0),
                      coalesce(e.edges, 0), d.steps, d.edges)
        FROM tasker_tasks t
        JOIN tasker_task_templates tt ON tt.named_task_id = t.named_task_id AND tt.revision = t.template_revision
        JOIN (SELECT task_template_id, count(*) AS steps, sum(cardinality(parent_positions)) AS edges
              FROM tasker_task_template_steps GROUP BY task_template_id) d
            ON d.task_template_id = tt.task_template_id
        LEFT JOIN (SELECT task_id, count(*) AS steps FROM tasker_workflow_steps GROUP BY task_id) s
            ON s.task_id = t.task_id
        LEFT JOIN (SELECT task_id, count(*) AS edges FROM tasker_workflow_step_edges GROUP BY task_id) e
            ON e.task_id = t.task_id
        WHERE coalesce(s.steps, 0) <> d.steps OR coalesce(e.edges, 0) <> d.edges)"},
    {"task_counters", "I2", "open_steps and movable_steps agree with the steps", R"(
        SELECT 'task', t.task_id, t.task_id,
               format('open_steps %s and movable_steps %s, its steps say %s and %s', t.open_steps, t.movable_steps,
                      coalesce(s.open, 0), coalesce(s.movable, 0))
        FROM tasker_tasks t
        LEFT JOIN (SELECT task_id,
                          count(*) FILTER (WHERE state NOT IN ('complete', 'resolved_manually')) AS open,
                          count(*) FILTER (WHERE state IN ('in_progress', 'waiting_for_retry')
                                           OR (state = 'pending' AND remaining_parents = 0)) AS movable
                   FROM tasker_workflow_steps GROUP BY task_id) s ON s.task_id = t.task_id
        WHERE t.open_steps <> coalesce(s.open, 0) OR t.movable_steps <> coalesce(s.movable, 0))"},
    {"task_verdict", "I2", "a task's state is the verdict on its steps", R"(
        SELECT 'task', t.task_id, t.task_id,
               CASE WHEN t.state IN ('pending', 'in_progress') AND s.movable = 0
                    THEN format('is %s, but nothing can move (%s steps open): it would wait for ever', t.state, s.open)
                    WHEN t.state = 'pending' THEN 'is pending, but a step of it was started'
                    WHEN t.state = 'complete' THEN format('is complete with %s open steps', s.open)
                    WHEN t.state = 'error' AND s.movable > 0 THEN format('is error while %s steps can move', s.movable)
                    WHEN t.state = 'error' THEN 'is error, but no step of it is'
                    ELSE format('is %s while %s steps can move', t.state, s.movable) END
        FROM tasker_tasks t
        JOIN (SELECT task_id,
                     count(*) FILTER (WHERE state NOT IN ('complete', 'resolved_manually')) AS open,
                     count(*) FILTER (WHERE state IN ('in_progress', 'waiting_for_retry')
                                      OR (state = 'pending' AND remaining_parents = 0)) AS movable,
                     count(*) FILTER (WHERE state = 'error') AS failed,
                     count(*) FILTER (WHERE attempts > 0) AS started
              FROM tasker_workflow_steps GROUP BY task_id) s ON s.task_id = t.task_id
        WHERE (t.state IN ('pending', 'in_progress') AND s.movable = 0)
           OR (t.state = 'pending' AND s.started > 0)
           OR (t.state = 'complete' AND s.open > 0)
           OR (t.state = 'error' AND (s.movable > 0 OR s.failed = 0))
           OR (t.state = 'cancelled' AND s.movable > 0))"},
    {"task_history", "I6", "a task's history is gapless and ends in its state", R"(
        SELECT 'task', t.task_id, t.task_id,
               format('transition_count %s and state %s, but its history has %s entries up to %s, ending in %s',
                      t.transition_count, t.state, coalesce(h.entries, 0), coalesce(h.last, 0),
                      coalesce(l.to_state, 'nothing'))
        FROM tasker_tasks t
        LEFT JOIN (SELECT task_id, count(*) AS entries, min(sort_key) AS first, max(sort_key) AS last
                   FROM tasker_task_transitions GROUP BY task_id) h ON h.task_id = t.task_id
        LEFT JOIN tasker_task_transitions l ON l.task_id = t.task_id AND l.sort_key = h.last
        WHERE h.task_id IS NULL OR h.first <> 1 OR h.entries <> h.last OR h.last <> t.transition_count
           OR l.to_state <> t.state)"},
    {"task_transitions", "I6", "every task transition is legal and follows the one before", R"(
        SELECT 'task', h.task_id, h.task_id,
               format('transition %s is %s -> %s (%s) after %s, which is not legal', h.sort_key,
                      coalesce(h.from_state, 'nothing'), h.to_state, h.event, coalesce(h.before, 'nothing'))
        FROM (SELECT x.*, lag(x.to_state) OVER (PARTITION BY x.task_id ORDER BY x.sort_key) AS before
              FROM tasker_task_transitions x) h
        WHERE h.from_state IS DISTINCT FROM h.before
           OR (coalesce(h.from_state, 'nothing'), h.to_state) NOT IN (
               ('nothing', 'pending'),
               ('pending', 'in_progress'), ('pending', 'cancelled'), ('pending', 'error'),
               ('pending', 'resolved_manually'),
               ('in_progress', 'complete'), ('in_progress', 'error'), ('in_progress', 'cancelled'),
               ('in_progress', 'resolved_manually'),
               ('error', 'cancelled'), ('error', 'resolved_manually'), ('error', 'in_progress')))"},
    {"cancelled_task", "I8", "nothing moves in a cancelled task", R"(
        SELECT 'step', s.workflow_step_id, s.task_id,
               format('is %s%s in a cancelled task', s.state,
                      CASE WHEN s.ready_key IS NOT NULL THEN ' and ready' ELSE '' END)
        FROM tasker_workflow_steps s JOIN tasker_tasks t ON t.task_id = s.task_id
        WHERE t.state = 'cancelled'
          AND (s.state IN ('pending', 'in_progress', 'waiting_for_retry') OR s.ready_key IS NOT NULL))"},
    // A step cancelled while a worker ran it stays out until that worker has been told.
    {"terminal_task", "I10", "a task that has ended has nothing in flight but cancelled steps", R"(
        SELECT 'task', t.task_id, t.task_id,
               format('is %s, but step %s (%s) is still out in batch %s', t.state, s.workflow_step_id, s.state, b.batch_id)
        FROM tasker_step_execution_batches b
        JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = b.batch_id
        JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
        JOIN tasker_tasks t ON t.task_id = s.task_id
        WHERE b.state IN ('created', 'published', 'executing') AND bs.final_status IS NULL AND bs.reported_at IS NULL
          AND s.state <> 'cancelled'
          AND (t.state IN ('complete', 'error')
               OR (t.state IN ('cancelled', 'resolved_manually') AND s.state = 'in_progress')))"},
};

}  // namespace

std::span<const Check> task_checks() {
    return kChecks;
}

}  // namespace tasker::store
