#include "orchestrator/store/turn_parameters.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "orchestrator/postgres/array_text.hpp"
#include "orchestrator/postgres/named_call.hpp"

namespace tasker::store {
namespace {

using postgres::ArrayText;

/// One parameter that holds a column of all items of a kind, and how an item gets into it.
template <typename Item>
struct Column {
    const char* parameter;
    void (*write)(ArrayText& array, const Item& item);
};

std::string_view class_name(ports::MessageClass message_class) {
    switch (message_class) {
        case ports::MessageClass::final:
            return "final";
        case ports::MessageClass::duplicate:
            return "duplicate";
        case ports::MessageClass::noted:
            return "noted";
        case ports::MessageClass::unknown:
            return "unknown";
        case ports::MessageClass::stale:
            return "stale_attempt";
    }
    return "unknown";
}

constexpr Column<ports::TurnMessage> kMessages[] = {
    {"m_class", [](auto& array, const auto& m) { array.add_text(class_name(m.message_class)); }},
    {"m_batch_id", [](auto& array, const auto& m) { array.add(m.batch_id); }},
    {"m_batch_step_id", [](auto& array, const auto& m) { array.add_or_null(m.batch_step_id); }},
    {"m_step_id", [](auto& array, const auto& m) { array.add_or_null(m.step_id); }},
    {"m_task_id", [](auto& array, const auto& m) { array.add_or_null(m.task_id); }},
    {"m_attempt", [](auto& array, const auto& m) { array.add_or_null(std::int64_t{m.attempt}); }},
    {"m_type", [](auto& array,
                  const auto& m) { array.add_text(m.completion ? "batch_completion" : "partial_result"); }},
    {"m_status", [](auto& array, const auto& m) { array.add_text_or_null(m.status); }},
    {"m_worker", [](auto& array, const auto& m) { array.add_text_or_null(m.worker_id); }},
    {"m_session", [](auto& array, const auto& m) { array.add_text_or_null(m.session); }},
    {"m_sequence", [](auto& array, const auto& m) { array.add_or_null(m.sequence); }},
    {"m_exec_ms", [](auto& array, const auto& m) { array.add(m.execution_time_ms); }},
    {"m_raw", [](auto& array, const auto& m) { array.add_text(m.raw); }},
    {"m_output", [](auto& array, const auto& m) { array.add_text_or_null(m.output_json); }},
    {"m_error", [](auto& array, const auto& m) { array.add_text_or_null(m.error_json); }},
    {"m_bytes", [](auto& array, const auto& m) { array.add(m.output_bytes); }},
    {"m_retryable", [](auto& array, const auto& m) { array.add_or_null(m.retryable); }},
    {"m_handler_stopped", [](auto& array, const auto& m) { array.add_or_null(m.handler_stopped); }},
    {"m_backoff", [](auto& array, const auto& m) { array.add_or_null(m.backoff_seconds); }},
    {"m_unusable", [](auto& array, const auto& m) { array.add_bool(m.unusable); }},
};

constexpr Column<ports::HandBack> kHandBacks[] = {
    {"h_batch_id", [](auto& array, const auto& h) { array.add(h.batch_id); }},
    {"h_step_id", [](auto& array, const auto& h) { array.add(h.step_id); }},
    {"h_task_id", [](auto& array, const auto& h) { array.add(h.task_id); }},
    {"h_attempt", [](auto& array, const auto& h) { array.add(h.attempt); }},
    {"h_reason", [](auto& array, const auto& h) { array.add_text(h.reason); }},
    {"h_cause", [](auto& array, const auto& h) { array.add_text_or_null(h.cause); }},
};

constexpr Column<ports::Snooze> kSnoozes[] = {
    {"z_batch_id", [](auto& array, const auto& z) { array.add(z.batch_id); }},
    {"z_step_id", [](auto& array, const auto& z) { array.add(z.step_id); }},
    {"z_task_id", [](auto& array, const auto& z) { array.add(z.task_id); }},
    {"z_attempt", [](auto& array, const auto& z) { array.add(z.attempt); }},
    {"z_wait", [](auto& array, const auto& z) { array.add_or_null(std::optional<double>(z.wait_seconds)); }},
    {"z_max", [](auto& array, const auto& z) { array.add(z.max_snoozes); }},
    {"z_message", [](auto& array, const auto& z) { array.add_text_or_null(z.message); }},
};

constexpr Column<ports::Orphan> kOrphans[] = {
    {"o_batch_id", [](auto& array, const auto& o) { array.add(o.batch_id); }},
    {"o_step_id", [](auto& array, const auto& o) { array.add(o.step_id); }},
    {"o_task_id", [](auto& array, const auto& o) { array.add(o.task_id); }},
    {"o_attempt", [](auto& array, const auto& o) { array.add(o.attempt); }},
    {"o_reason", [](auto& array, const auto& o) { array.add_text(o.reason); }},
    {"o_try_alone", [](auto& array, const auto& o) { array.add_bool(o.try_alone); }},
};

constexpr Column<ports::StartClaim> kStarts[] = {
    {"g_batch_id", [](auto& array, const auto& s) { array.add(s.batch_id); }},
    {"g_step_id", [](auto& array, const auto& s) { array.add(s.step_id); }},
    {"g_task_id", [](auto& array, const auto& s) { array.add(s.task_id); }},
    {"g_attempt", [](auto& array, const auto& s) { array.add(s.attempt); }},
};

constexpr Column<ports::RunningMark> kRunning[] = {
    {"r_batch_id", [](auto& array, const auto& r) { array.add(r.batch_id); }},
    {"r_step_id", [](auto& array, const auto& r) { array.add(r.step_id); }},
    {"r_age_ms", [](auto& array, const auto& r) { array.add(r.age_ms); }},
};

constexpr Column<ports::BatchChange> kBatches[] = {
    {"b_batch_id", [](auto& array, const auto& b) { array.add(b.batch_id); }},
    {"b_from", [](auto& array, const auto& b) { array.add_text(core::to_text(b.from)); }},
    {"b_to", [](auto& array, const auto& b) { array.add_text(core::to_text(b.to)); }},
    {"b_steps", [](auto& array, const auto& b) { array.add(b.transitions); }},
    {"b_partials", [](auto& array, const auto& b) { array.add(b.partials); }},
    {"b_completion", [](auto& array, const auto& b) { array.add_bool(b.completion); }},
    {"b_reconciliation",
     [](auto& array, const auto& b) {
         array.add_text_or_null(b.reconciliation ? core::to_text(*b.reconciliation) : std::string_view{});
     }},
    {"b_detail", [](auto& array, const auto& b) { array.add_text_or_null(b.detail_json); }},
};

constexpr Column<ports::ClaimKey> kKeys[] = {
    {"k_profile", [](auto& array, const auto& k) { array.add(k.profile); }},
    {"k_key", [](auto& array, const auto& k) { array.add(k.handler_key); }},
    {"k_scan", [](auto& array, const auto& k) { array.add_bool(k.scan); }},
    {"k_falling", [](auto& array, const auto& k) { array.add(std::int64_t{k.look_from.falling_priority}); }},
    {"k_step_id", [](auto& array, const auto& k) { array.add(k.look_from.step_id); }},
    {"k_one_namespace", [](auto& array, const auto& k) { array.add_bool(k.one_namespace); }},
};

/// A run of slots with its place among the slots of its profile.
struct PlacedSlots {
    int profile = 0;
    int session = 0;
    int after = 0;
    int upto = 0;
};

constexpr Column<PlacedSlots> kSlots[] = {
    {"s_profile", [](auto& array, const auto& s) { array.add(s.profile); }},
    // SQL arrays count from 1.
    {"s_session_no", [](auto& array, const auto& s) { array.add(s.session + 1); }},
    {"s_after", [](auto& array, const auto& s) { array.add(s.after); }},
    {"s_upto", [](auto& array, const auto& s) { array.add(s.upto); }},
};

constexpr Column<std::string> kSessions[] = {
    {"c_sessions", [](auto& array, const auto& session) { array.add_text(session); }},
};

constexpr Column<std::int64_t> kTasks[] = {
    {"p_tasks", [](auto& array, const auto& task_id) { array.add(task_id); }},
};

/// What follows from the whole input, beside the items themselves.
struct Derived {
    std::vector<std::int64_t> tasks;  // ascending: what a turn locks first
    std::int64_t low_batch = std::numeric_limits<std::int64_t>::max();
    std::vector<PlacedSlots> slots;
    int profiles = 0;
};

struct Scalar {
    const char* parameter;
    std::string (*write)(const TurnCall& call, const Derived& derived);
};

std::string word(bool value) {
    return value ? "t" : "f";
}

constexpr Scalar kScalars[] = {
    {"p_lane", [](const auto& call, const auto&) { return std::to_string(call.lane); }},
    {"p_lanes", [](const auto& call, const auto&) { return std::to_string(call.lanes); }},
    {"p_epoch", [](const auto& call, const auto&) { return std::to_string(call.epoch); }},
    {"p_turn", [](const auto& call, const auto&) { return std::to_string(call.turn); }},
    {"p_instance", [](const auto& call, const auto&) { return std::string(call.instance); }},
    {"p_low_batch", [](const auto&, const auto& derived) { return std::to_string(derived.low_batch); }},
    {"p_profiles", [](const auto&, const auto& derived) { return std::to_string(derived.profiles); }},
    {"p_batch_size", [](const auto& call, const auto&) { return std::to_string(call.input.batch_size); }},
    {"p_request_bytes",
     [](const auto& call, const auto&) { return std::to_string(call.input.request_bytes_max); }},
    {"p_turn_bytes", [](const auto& call, const auto&) { return std::to_string(call.input.turn_bytes_max); }},
    {"p_due", [](const auto& call, const auto&) { return word(call.input.due); }},
    {"p_notify", [](const auto& call, const auto&) { return word(call.input.notify_done); }},
};

Derived derive(const ports::TurnInput& input) {
    Derived derived;
    const auto meet = [&](std::int64_t task_id, std::int64_t batch_id) {
        if (task_id != 0) derived.tasks.push_back(task_id);
        derived.low_batch = std::min(derived.low_batch, batch_id);
    };
    for (const auto& m : input.messages) meet(m.task_id, m.batch_id);
    for (const auto& h : input.hand_backs) meet(h.task_id, h.batch_id);
    for (const auto& z : input.snoozes) meet(z.task_id, z.batch_id);
    for (const auto& o : input.orphans) meet(o.task_id, o.batch_id);
    for (const auto& s : input.starts) meet(s.task_id, s.batch_id);
    for (const auto& r : input.running) meet(0, r.batch_id);
    for (const auto& b : input.batches) meet(0, b.batch_id);
    auto& tasks = derived.tasks;
    std::sort(tasks.begin(), tasks.end());
    tasks.erase(std::unique(tasks.begin(), tasks.end()), tasks.end());
    for (const auto& key : input.keys) derived.profiles = std::max(derived.profiles, key.profile);
    int profile = 0;
    int filled = 0;  // slots of this profile
    derived.slots.reserve(input.slots.size());
    for (const auto& slot : input.slots) {
        if (std::exchange(profile, slot.profile) != slot.profile) filled = 0;
        derived.slots.push_back({slot.profile, slot.session, filled, filled + slot.length});
        filled += slot.length;
    }
    return derived;
}

/// Shows each table with its items to `visit`: the one place that lists them all, for names and values alike.
template <typename Visitor>
void visit_columns(const ports::TurnInput& input, const Derived& derived, const Visitor& visit) {
    visit(kTasks, derived.tasks);
    visit(kMessages, input.messages);
    visit(kHandBacks, input.hand_backs);
    visit(kSnoozes, input.snoozes);
    visit(kOrphans, input.orphans);
    visit(kStarts, input.starts);
    visit(kRunning, input.running);
    visit(kBatches, input.batches);
    visit(kKeys, input.keys);
    visit(kSlots, derived.slots);
    visit(kSessions, input.sessions);
}

}  // namespace

const std::vector<std::string>& turn_parameter_names() {
    static const std::vector<std::string> names = [] {
        std::vector<std::string> all;
        for (const Scalar& scalar : kScalars) all.emplace_back(scalar.parameter);
        visit_columns({}, {}, [&](const auto& columns, const auto&) {
            for (const auto& column : columns) all.emplace_back(column.parameter);
        });
        return all;
    }();
    return names;
}

const std::string& turn_statement() {
    static const std::string statement = postgres::select_from_call("tasker_turn", turn_parameter_names());
    return statement;
}

std::vector<std::string> turn_parameters(const TurnCall& call) {
    const Derived derived = derive(call.input);
    std::vector<std::string> parameters;
    parameters.reserve(turn_parameter_names().size());
    for (const Scalar& scalar : kScalars) parameters.push_back(scalar.write(call, derived));
    visit_columns(call.input, derived, [&](const auto& columns, const auto& items) {
        for (const auto& column : columns) {
            ArrayText array;
            for (const auto& item : items) column.write(array, item);
            parameters.push_back(array.take());
        }
    });
    return parameters;
}

}  // namespace tasker::store
