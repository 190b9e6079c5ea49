// References between the hot tables, which carry no foreign keys. What retention has dropped may still be
// named by what lives longer: batches outlive their tasks, children their parents, closed dead letters their
// steps.
#include "orchestrator/store/checks.hpp"

namespace tasker::store {
namespace {

constexpr Check kChecks[] = {
    {"task_template", "reference", "every task has its namespace, named task and template revision", R"(
        SELECT 'task', t.task_id, t.task_id,
               format('refers to named task %s revision %s in namespace %s, which does not exist',
                      t.named_task_id, t.template_revision, t.namespace_id)
        FROM tasker_tasks t
        LEFT JOIN tasker_named_tasks nt ON nt.named_task_id = t.named_task_id
                                       AND nt.task_namespace_id = t.namespace_id
        LEFT JOIN tasker_task_templates tt ON tt.named_task_id = t.named_task_id
                                          AND tt.revision = t.template_revision
        WHERE nt.named_task_id IS NULL OR tt.task_template_id IS NULL)"},
    {"task_parent", "reference", "a task's parent task and parent step exist", R"(
        SELECT 'task', t.task_id, t.task_id,
               format('has parent task %s, step %s: no such step of such a task', t.parent_task_id,
                      coalesce(t.parent_step_id::text, '-'))
        FROM tasker_tasks t
        LEFT JOIN tasker_tasks p ON p.task_id = t.parent_task_id
        LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = t.parent_step_id AND s.task_id = t.parent_task_id
        WHERE ((t.parent_task_id IS NOT NULL AND p.task_id IS NULL)
               OR (t.parent_step_id IS NOT NULL AND s.workflow_step_id IS NULL))
          AND NOT (p.task_id IS NULL AND tasker_task_was_dropped(t.parent_task_id)))"},
    {"identity_task", "reference", "every identity names a task that exists (I1)", R"(
        SELECT 'identity', i.task_id, i.task_id,
               format('identity %s in %s names task %s, which does not exist', left(i.identity_hash, 12), i.scope, i.task_id)
        FROM tasker_task_identities i LEFT JOIN tasker_tasks t ON t.task_id = i.task_id WHERE t.task_id IS NULL)"},
    {"step_task", "reference", "every step belongs to a task of the same namespace and shard", R"(
        SELECT 'step', s.workflow_step_id, s.task_id,
               CASE WHEN t.task_id IS NULL THEN format('belongs to task %s, which does not exist', s.task_id)
                    ELSE format('has namespace %s and shard %s, its task %s has %s and %s', s.namespace_id, s.shard,
                                t.task_id, t.namespace_id, t.shard) END
        FROM tasker_workflow_steps s LEFT JOIN tasker_tasks t ON t.task_id = s.task_id
        WHERE t.task_id IS NULL OR t.namespace_id <> s.namespace_id OR t.shard <> s.shard)"},
    {"step_definition", "reference", "every step has its named step and its handler key", R"(
        SELECT 'step', s.workflow_step_id, s.task_id,
               format('has named step %s and handler key %s for %s in namespace %s, which do not exist so',
                      s.named_step_id, s.handler_key, s.handler_class, s.namespace_id)
        FROM tasker_workflow_steps s
        LEFT JOIN tasker_named_steps ns ON ns.named_step_id = s.named_step_id
        LEFT JOIN tasker_handler_keys k ON k.handler_key = s.handler_key AND k.namespace_id = s.namespace_id
                                       AND k.handler_class = s.handler_class
        WHERE ns.named_step_id IS NULL OR k.handler_key IS NULL)"},
    {"edge_steps", "reference", "every edge joins two steps of its task", R"(
        SELECT 'edge', e.to_step_id, e.task_id,
               format('edge %s -> %s of task %s does not join two steps of that task', e.from_step_id, e.to_step_id,
                      e.task_id)
        FROM tasker_workflow_step_edges e
        LEFT JOIN tasker_workflow_steps p ON p.workflow_step_id = e.from_step_id AND p.task_id = e.task_id
        LEFT JOIN tasker_workflow_steps c ON c.workflow_step_id = e.to_step_id AND c.task_id = e.task_id
        WHERE p.workflow_step_id IS NULL OR c.workflow_step_id IS NULL OR e.from_step_id = e.to_step_id)"},
    {"task_transition_task", "reference", "every task transition belongs to a task", R"(
        SELECT 'task transition', h.task_id, h.task_id,
               format('transition %s belongs to task %s, which does not exist', h.sort_key, h.task_id)
        FROM tasker_task_transitions h LEFT JOIN tasker_tasks t ON t.task_id = h.task_id WHERE t.task_id IS NULL)"},
    {"step_transition_step", "reference", "every step transition belongs to a step and names its task", R"(
        SELECT 'step transition', h.workflow_step_id, h.task_id,
               format('transition %s belongs to step %s of task %s, which does not exist', h.sort_key,
                      h.workflow_step_id, h.task_id)
        FROM tasker_workflow_step_transitions h
        LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = h.workflow_step_id AND s.task_id = h.task_id
        WHERE s.workflow_step_id IS NULL)"},
    {"batch_task", "reference", "a batch's task exists and owns all its steps", R"(
        SELECT 'batch', b.batch_id, b.task_id,
               CASE WHEN t.task_id IS NULL THEN format('belongs to task %s, which does not exist', b.task_id)
                    ELSE format('belongs to task %s but delivers step %s of task %s', b.task_id, s.workflow_step_id,
                                s.task_id) END
        FROM tasker_step_execution_batches b
        LEFT JOIN tasker_tasks t ON t.task_id = b.task_id
        LEFT JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = b.batch_id
        LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
        WHERE b.task_id IS NOT NULL
          AND (s.task_id <> b.task_id OR (t.task_id IS NULL AND NOT tasker_task_was_dropped(b.task_id))))"},
    {"batch_handler", "reference", "a batch's handler key and class belong together", R"(
        SELECT 'batch', b.batch_id, b.task_id,
               format('has handler key %s for %s, which does not exist so', b.handler_key, b.handler_class)
        FROM tasker_step_execution_batches b
        LEFT JOIN tasker_handler_keys k ON k.handler_key = b.handler_key AND k.handler_class = b.handler_class
        WHERE k.handler_key IS NULL)"},
    {"batch_step_owner", "reference", "every delivery joins a batch and a step that it can carry", R"(
        SELECT 'delivery', bs.id, s.task_id,
               CASE WHEN b.batch_id IS NULL THEN format('belongs to batch %s, which does not exist', bs.batch_id)
                    WHEN s.workflow_step_id IS NULL
                    THEN format('delivers step %s, which does not exist', bs.workflow_step_id)
                    ELSE format('carries step %s (handler key %s, %s) in batch %s (handler key %s, %s)',
                                s.workflow_step_id, s.handler_key, bs.expected_handler_class, b.batch_id,
                                b.handler_key, b.handler_class) END
        FROM tasker_step_execution_batch_steps bs
        LEFT JOIN tasker_step_execution_batches b ON b.batch_id = bs.batch_id
        LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
        WHERE b.batch_id IS NULL OR s.handler_key <> b.handler_key OR bs.expected_handler_class <> b.handler_class
           OR (s.workflow_step_id IS NULL AND NOT tasker_step_was_dropped(bs.workflow_step_id)))"},
    {"ledger_owner", "reference", "every ledger row belongs to a batch, and its delivery to the same one", R"(
        SELECT 'ledger row', r.id, b.task_id,
               CASE WHEN b.batch_id IS NULL THEN format('belongs to batch %s, which does not exist', r.batch_id)
                    ELSE format('is about delivery %s, which batch %s does not have', r.batch_step_id, r.batch_id) END
        FROM tasker_step_execution_batch_received_results r
        LEFT JOIN tasker_step_execution_batches b ON b.batch_id = r.batch_id
        LEFT JOIN tasker_step_execution_batch_steps bs ON bs.id = r.batch_step_id AND bs.batch_id = r.batch_id
        WHERE b.batch_id IS NULL OR (r.batch_step_id IS NOT NULL AND bs.id IS NULL))"},
    {"batch_transition_batch", "reference", "every batch transition belongs to a batch", R"(
        SELECT 'batch transition', h.id, NULL::bigint,
               format('belongs to batch %s, which does not exist', h.batch_id)
        FROM tasker_step_execution_batch_transitions h
        LEFT JOIN tasker_step_execution_batches b ON b.batch_id = h.batch_id WHERE b.batch_id IS NULL)"},
    {"dead_letter_step", "reference", "every dead letter is about a step and names its task", R"(
        SELECT 'dead letter', d.dead_letter_id, d.task_id,
               format('is about step %s of task %s, which does not exist', d.workflow_step_id, d.task_id)
        FROM tasker_dead_letters d
        LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = d.workflow_step_id AND s.task_id = d.task_id
        WHERE s.workflow_step_id IS NULL AND (d.resolved_at IS NULL OR NOT tasker_task_was_dropped(d.task_id)))"},
};

}  // namespace

std::span<const Check> reference_checks() {
    return kChecks;
}

}  // namespace tasker::store
