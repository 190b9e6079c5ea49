// Every check by name; the queries are the files of sql/checks.
#include "orchestrator/api/checks/checks.hpp"
#include "orchestrator/api/sql.hpp"

namespace tasker::api {
namespace {

constexpr Check kChecks[] = {
    // References between the hot tables, which carry no foreign keys. Whatever retention has dropped may
    // still be named by
    // what lives longer: batches outlive their tasks, children their parents, closed dead letters their
    // steps.
    {"task_template", "reference", "every task has its namespace, named task and template revision",
     sql::checks::task_template},
    {"task_parent", "reference", "a task's parent task and parent step exist", sql::checks::task_parent},
    {"identity_task", "reference", "every identity names a task that exists (I1)",
     sql::checks::identity_task},
    {"step_task", "reference", "every step belongs to a task of the same namespace and shard",
     sql::checks::step_task},
    {"step_definition", "reference", "every step has its named step and its handler key",
     sql::checks::step_definition},
    {"edge_steps", "reference", "every edge joins two steps of its task", sql::checks::edge_steps},
    {"task_transition_task", "reference", "every task transition belongs to a task",
     sql::checks::task_transition_task},
    {"step_transition_step", "reference", "every step transition belongs to a step and names its task",
     sql::checks::step_transition_step},
    {"batch_task", "reference", "a batch's task exists and owns all its steps", sql::checks::batch_task},
    {"batch_handler", "reference", "a batch's handler key and class belong together",
     sql::checks::batch_handler},
    {"batch_step_owner", "reference", "every delivery joins a batch and a step that it can carry",
     sql::checks::batch_step_owner},
    {"ledger_owner", "reference", "every ledger row belongs to a batch, and its delivery to the same one",
     sql::checks::ledger_owner},
    {"batch_transition_batch", "reference", "every batch transition belongs to a batch",
     sql::checks::batch_transition_batch},
    {"dead_letter_step", "reference", "every dead letter is about a step and names its task",
     sql::checks::dead_letter_step},
    // Tasks.
    {"task_whole", "I1", "a task has exactly the steps and edges of its template revision",
     sql::checks::task_whole},
    {"task_counters", "I2", "open_steps and movable_steps agree with the steps", sql::checks::task_counters},
    {"task_verdict", "I2", "a task's state is the verdict on its steps", sql::checks::task_verdict},
    {"task_history", "I6", "a task's history is gapless and ends in its state", sql::checks::task_history},
    {"task_transitions", "I6", "every task transition is legal and follows the one before",
     sql::checks::task_transitions},
    {"cancelled_task", "I8", "nothing moves in a cancelled task", sql::checks::cancelled_task},
    {"terminal_task", "I10", "a task that has ended has nothing in flight but cancelled steps",
     sql::checks::terminal_task},
    // Steps.
    {"step_parents_done", "I3", "a step that was started has all its parents complete or resolved",
     sql::checks::step_parents_done},
    {"step_start_order", "I3", "a step was first started after its parents had finished",
     sql::checks::step_start_order},
    {"step_remaining_parents", "I3", "remaining_parents is the number of parents that have not finished",
     sql::checks::step_remaining_parents},
    {"step_attempt_limit", "I5", "counted attempts stay within the limit", sql::checks::step_attempt_limit},
    {"step_attempt_counters", "I5", "attempts and unstarted_attempts agree with the history",
     sql::checks::step_attempt_counters},
    {"step_history", "I6", "a step's history is gapless and ends in its state", sql::checks::step_history},
    {"step_transitions", "I6", "every step transition is legal and follows the one before",
     sql::checks::step_transitions},
    {"cancelled_step", "I8", "a cancelled step stays cancelled, and so do its descendants",
     sql::checks::cancelled_step},
    {"ready_key", "I10", "a step is marked ready exactly while it may be claimed and waits",
     sql::checks::ready_key},
    // Deliveries (the join rows of batches and steps) and the ledger of what was reported about them.
    {"one_delivery_per_attempt", "I4", "each attempt of a step was sent in exactly one batch",
     sql::checks::one_delivery_per_attempt},
    {"one_applied_result", "I4", "at most one final result per attempt changed state",
     sql::checks::one_applied_result},
    {"applied_result_moved_step", "I7",
     "each applied result is one transition of its step, and nothing else is",
     sql::checks::applied_result_moved_step},
    {"result_is_current", "I7", "a complete step was completed by a result of its last attempt",
     sql::checks::result_is_current},
    {"result_contents", "I7", "results stand in complete steps and errors in failed ones",
     sql::checks::result_contents},
    {"report_in_ledger", "I7", "what is marked as reported stands in the ledger, and the other way round",
     sql::checks::report_in_ledger},
    {"step_in_flight", "I10", "a step in progress is out in exactly one open batch",
     sql::checks::step_in_flight},
    {"delivery_in_flight", "I10", "what is out in an open batch is a step in progress at that attempt",
     sql::checks::delivery_in_flight},
    // Batches.
    {"batch_history", "I6", "a batch's history is gapless and ends in its state", sql::checks::batch_history},
    {"batch_most_recent", "I6", "most_recent marks exactly the last transition of a batch",
     sql::checks::batch_most_recent},
    {"batch_transitions", "I6", "every batch transition is legal and follows the one before",
     sql::checks::batch_transitions},
    {"batch_size", "I4", "a batch has batch_size deliveries, in gapless order", sql::checks::batch_size},
    {"batch_counters", "I4", "a batch's counters agree with its deliveries and the ledger",
     sql::checks::batch_counters},
    {"batch_state", "I6", "a batch's state is the summary of its deliveries", sql::checks::batch_state},
    {"reconciliation_verdict", "I7", "a reconciliation verdict has its grounds",
     sql::checks::reconciliation_verdict},
    {"reconciliation_open", "I2", "a batch that has ended is reconciled within its grace",
     sql::checks::reconciliation_open},
    {"history_times", "I6", "no transition is older than the one before it", sql::checks::history_times},
    // Dead letters hold exactly what they should: orphans that end in error, failures at the limit, requests
    // too large to
    // be sent; nothing else. The grounds are in the step's history (an orphan's transition names its reason),
    // on the delivery
    // of that attempt, and in the ledger.
    {"dead_letters", "I9", "an open dead letter stands for a step whose last attempt ended in error",
     sql::checks::dead_letters},
    {"dead_letter_resolution", "I9", "a dead letter was closed by what happened to its step",
     sql::checks::dead_letter_resolution},
    {"dead_letter_grounds", "I9", "a dead letter's attempt ended in error for the reason it gives",
     sql::checks::dead_letter_grounds},
    {"dead_letter_missing", "I9", "a step in error for such a reason has a dead letter for its last attempt",
     sql::checks::dead_letter_missing},
};

}  // namespace

std::span<const Check> all_checks() {
    return kChecks;
}

}  // namespace tasker::api
