#include "orchestrator/store/turn_parameters.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "orchestrator/store/array_text.hpp"

namespace tasker::store {
namespace {

constexpr int kParameterCount = 66;

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

void add_messages(std::vector<std::string>& parameters, const std::vector<ports::TurnMessage>& messages) {
    ArrayText columns[19];
    for (const auto& m : messages) {
        columns[0].add_text(class_name(m.message_class));
        columns[1].add(m.batch_id);
        columns[2].add_or_null(m.batch_step_id);
        columns[3].add_or_null(m.step_id);
        columns[4].add_or_null(m.task_id);
        columns[5].add_or_null(static_cast<std::int64_t>(m.attempt));
        columns[6].add_text(m.completion ? "batch_completion" : "partial_result");
        columns[7].add_text_or_null(m.status);
        columns[8].add_text_or_null(m.worker_id);
        columns[9].add_text_or_null(m.session);
        columns[10].add_or_null(m.sequence);
        columns[11].add(m.execution_time_ms);
        columns[12].add_text(m.raw);
        columns[13].add_text_or_null(m.output_json);
        columns[14].add_text_or_null(m.error_json);
        columns[15].add_or_null(m.retryable);
        columns[16].add_or_null(m.handler_stopped);
        columns[17].add_or_null(m.backoff_seconds);
        columns[18].add_bool(m.unusable);
    }
    for (auto& column : columns) parameters.push_back(column.take());
}

void add_hand_backs(std::vector<std::string>& parameters, const std::vector<ports::HandBack>& hand_backs) {
    ArrayText columns[5];
    for (const auto& h : hand_backs) {
        columns[0].add(h.batch_id);
        columns[1].add(h.step_id);
        columns[2].add(h.task_id);
        columns[3].add(h.attempt);
        columns[4].add_text(h.reason);
    }
    for (auto& column : columns) parameters.push_back(column.take());
}

void add_orphans(std::vector<std::string>& parameters, const std::vector<ports::Orphan>& orphans) {
    ArrayText columns[5];
    for (const auto& o : orphans) {
        columns[0].add(o.batch_id);
        columns[1].add(o.step_id);
        columns[2].add(o.task_id);
        columns[3].add(o.attempt);
        columns[4].add_text(o.reason);
    }
    for (auto& column : columns) parameters.push_back(column.take());
}

void add_starts(std::vector<std::string>& parameters, const std::vector<ports::StartClaim>& starts) {
    ArrayText columns[4];
    for (const auto& s : starts) {
        columns[0].add(s.batch_id);
        columns[1].add(s.step_id);
        columns[2].add(s.task_id);
        columns[3].add(s.attempt);
    }
    for (auto& column : columns) parameters.push_back(column.take());
}

void add_running(std::vector<std::string>& parameters, const std::vector<ports::RunningMark>& running) {
    ArrayText columns[3];
    for (const auto& r : running) {
        columns[0].add(r.batch_id);
        columns[1].add(r.step_id);
        columns[2].add(r.age_ms);
    }
    for (auto& column : columns) parameters.push_back(column.take());
}

void add_batches(std::vector<std::string>& parameters, const std::vector<ports::BatchChange>& batches) {
    ArrayText columns[8];
    for (const auto& b : batches) {
        columns[0].add(b.batch_id);
        columns[1].add_text(core::to_text(b.from));
        columns[2].add_text(core::to_text(b.to));
        columns[3].add(b.transitions);
        columns[4].add(b.partials);
        columns[5].add_bool(b.completion);
        columns[6].add_text_or_null(b.reconciliation ? core::to_text(*b.reconciliation) : std::string_view{});
        columns[7].add_text_or_null(b.detail_json);
    }
    for (auto& column : columns) parameters.push_back(column.take());
}

void add_claims(std::vector<std::string>& parameters, const ports::TurnInput& input) {
    ArrayText columns[11];
    int profiles = 0;
    for (const auto& key : input.keys) {
        profiles = std::max(profiles, key.profile);
        columns[0].add(key.profile);
        columns[1].add(key.handler_key);
        columns[2].add_bool(key.scan);
        columns[3].add(static_cast<std::int64_t>(key.look_from.falling_priority));
        columns[4].add(key.look_from.step_id);
        columns[5].add_bool(key.one_namespace);
    }
    int profile = 0;
    int filled = 0;  // slots of this profile
    for (const auto& slot : input.slots) {
        if (std::exchange(profile, slot.profile) != slot.profile) filled = 0;
        columns[6].add(slot.profile);
        columns[7].add(slot.session + 1);  // SQL arrays count from 1
        columns[8].add(filled);
        columns[9].add(filled += slot.length);
    }
    for (const auto& session : input.sessions) columns[10].add_text(session);
    parameters.push_back(std::to_string(profiles));
    for (auto& column : columns) parameters.push_back(column.take());
}

// What a turn locks first, and the lowest batch it can meet.
void add_bounds(std::vector<std::string>& parameters, const ports::TurnInput& input) {
    std::vector<std::int64_t> tasks;
    auto low_batch = std::numeric_limits<std::int64_t>::max();
    const auto note = [&](std::int64_t task_id, std::int64_t batch_id) {
        if (task_id != 0) tasks.push_back(task_id);
        low_batch = std::min(low_batch, batch_id);
    };
    for (const auto& m : input.messages) note(m.task_id, m.batch_id);
    for (const auto& h : input.hand_backs) note(h.task_id, h.batch_id);
    for (const auto& o : input.orphans) note(o.task_id, o.batch_id);
    for (const auto& s : input.starts) note(s.task_id, s.batch_id);
    for (const auto& r : input.running) note(0, r.batch_id);
    for (const auto& b : input.batches) note(0, b.batch_id);
    std::sort(tasks.begin(), tasks.end());
    tasks.erase(std::unique(tasks.begin(), tasks.end()), tasks.end());
    ArrayText ids;
    for (const auto task_id : tasks) ids.add(task_id);
    parameters.push_back(ids.take());
    parameters.push_back(std::to_string(low_batch));
}

}  // namespace

const std::string& turn_statement() {
    static const std::string statement = [] {
        std::string text = "SELECT * FROM tasker_turn(";
        for (int i = 1; i <= kParameterCount; ++i) text += (i > 1 ? ",$" : "$") + std::to_string(i);
        return text + ")";
    }();
    return statement;
}

std::vector<std::string> turn_parameters(int lane, int lanes, std::int64_t epoch, std::int64_t turn,
                                         std::string_view instance, const ports::TurnInput& input) {
    std::vector<std::string> parameters;
    parameters.reserve(kParameterCount);
    parameters.push_back(std::to_string(lane));
    parameters.push_back(std::to_string(epoch));
    parameters.push_back(std::to_string(turn));
    add_bounds(parameters, input);
    add_messages(parameters, input.messages);
    add_hand_backs(parameters, input.hand_backs);
    add_orphans(parameters, input.orphans);
    add_starts(parameters, input.starts);
    add_running(parameters, input.running);
    add_batches(parameters, input.batches);
    add_claims(parameters, input);
    parameters.push_back(std::to_string(input.batch_size));
    parameters.push_back(input.due ? "t" : "f");
    parameters.emplace_back(instance);
    parameters.push_back(std::to_string(lanes));
    parameters.push_back(input.notify_done ? "t" : "f");
    return parameters;
}

}  // namespace tasker::store
