#include "tests/unit/engine/fakes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <tuple>

#include "orchestrator/ports/database_error.hpp"
#include "orchestrator/util/time.hpp"

namespace tasker::engine {
namespace {

void fail_next(std::deque<FakeDatabase::Failure>& failures) {
    if (failures.empty()) return;
    const auto failure = std::move(failures.front());
    failures.pop_front();
    failure();
}

template <typename Numbers>
std::string joined(const Numbers& numbers) {
    std::string text;
    for (const auto number : numbers) text += (text.empty() ? "" : " ") + std::to_string(number);
    return text;
}

std::vector<std::int64_t> ids_of(const std::vector<ports::DeliveredStep>& steps) {
    std::vector<std::int64_t> ids;
    for (const auto& step : steps) ids.push_back(step.step_id);
    return ids;
}

}  // namespace

// ---------------------------------------------------------------------------------------- log

void EventLog::add(const std::string& line) {
    const std::lock_guard lock(mutex_);
    lines_.push_back(line);
    changed_.notify_all();
}

std::vector<std::string> EventLog::lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
}

std::string EventLog::with(const std::string& prefix) const {
    std::string text;
    for (const auto& line : lines()) {
        if (line.starts_with(prefix)) text += (text.empty() ? "" : ", ") + line;
    }
    return text;
}

std::size_t EventLog::count(const std::string& line) const {
    const auto all = lines();
    return static_cast<std::size_t>(std::count(all.begin(), all.end(), line));
}

std::size_t EventLog::place(const std::string& line) const {
    const auto all = lines();
    const auto found = std::find(all.begin(), all.end(), line);
    if (found == all.end()) ADD_FAILURE() << "never happened: " << line;
    return static_cast<std::size_t>(found - all.begin());
}

void EventLog::clear() {
    const std::lock_guard lock(mutex_);
    lines_.clear();
}

bool EventLog::wait(const std::function<bool()>& condition) {
    // The condition is asked without the lock, since it may look at the other fakes; it may also change
    // without an event (a counter of the listener), so it is asked by the clock too.
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > limit) return false;
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, std::chrono::milliseconds(5));
    }
    return true;
}

// ---------------------------------------------------------------------------------------- database

ports::ClaimedStep FakeDatabase::claim(std::int64_t step_id, int session_index) {
    ports::ClaimedStep step;
    step.step_id = step_id;
    step.task_id = 7;
    step.batch_step_id = step_id * 10;
    step.session = session_index - 1;
    step.attempt = 1;
    step.retry_limit = 3;
    step.timeout_ms = 30000;
    step.handler_key = 1;
    step.named_task_id = 1;
    step.template_revision = 1;
    step.name = "pay";
    step.claimed_at = "2026-01-01T00:00:00.000Z";
    step.context_json = "{}";
    return step;
}

void FakeDatabase::add_ready(std::vector<std::int64_t> step_ids) {
    const std::lock_guard lock(mutex);
    for (const auto id : step_ids) ready_.emplace_back(id, 1);
}

void FakeDatabase::judge(const ports::TurnInput& input, ports::TurnResult& result) {
    for (std::size_t i = 0; i < input.messages.size(); ++i) {
        const auto& message = input.messages[i];
        for (auto& [uuid, batch] : batches) {
            if (batch.batch_id != message.batch_id) continue;
            if (message.completion) batch.completion_json = message.raw;
            for (auto& step : batch.steps) {
                if (step.batch_step_id != message.batch_step_id) continue;
                if (message.message_class != ports::MessageClass::final) continue;
                if (!reported_.insert(message.batch_step_id).second) {
                    result.reports.push_back({i, "duplicate", ""});
                    continue;
                }
                if (step.final_status.empty()) step.final_status = message.status;
                step.reported = message.status;
                step.report_json = message.raw;
                const bool done = message.status == "completed";
                result.reports.push_back({i, "applied",
                                          done                         ? "complete"
                                          : message.status == "failed" ? "waiting_for_retry"
                                                                       : "error"});
                if (done && child_of.contains(step.step_id)) {
                    ready_.emplace_back(child_of.at(step.step_id), 1);
                } else if (done) {
                    result.tasks.push_back({step.task_id, "complete", notifies && input.notify_done});
                }
            }
        }
    }
    for (const auto& back : input.hand_backs) {
        for (auto& [uuid, batch] : batches) {
            for (auto& step : batch.steps) {
                if (batch.batch_id != back.batch_id || step.step_id != back.step_id ||
                    !step.final_status.empty())
                    continue;
                step.final_status = "handed_back";
                log.add("hand back " + std::to_string(back.step_id) + " " + back.reason);
                if (back.reason != ports::kRequestTooLarge)
                    ready_.emplace_back(back.step_id, back.attempt + 1);
            }
        }
    }
    for (std::size_t i = 0; i < input.orphans.size(); ++i) {
        const auto& orphan = input.orphans[i];
        for (auto& [uuid, batch] : batches) {
            for (auto& step : batch.steps) {
                if (batch.batch_id != orphan.batch_id || step.step_id != orphan.step_id ||
                    !step.final_status.empty())
                    continue;
                step.final_status = "orphaned";
                ready_.emplace_back(orphan.step_id, orphan.attempt + 1);
                result.orphans.push_back({i, "waiting_for_retry", 1});
            }
        }
    }
    for (std::size_t i = 0; i < input.starts.size(); ++i) result.starts.push_back({i, start_refusal});
    for (const auto& change : input.batches) {
        for (auto& [uuid, batch] : batches) {
            if (batch.batch_id != change.batch_id) continue;
            if (batch.state != change.from)
                throw ports::DatabaseError(ports::DatabaseFault::repeatable, "moved");
            batch.state = change.to;
            if (change.reconciliation) batch.reconciliation = *change.reconciliation;
        }
    }
}

void FakeDatabase::claim_for(const ports::TurnInput& input, ports::TurnResult& result) {
    const bool looks = std::any_of(input.keys.begin(), input.keys.end(), [&](const ports::ClaimKey& key) {
        return key.handler_key == 1 && (key.scan || !input.messages.empty());
    });
    std::map<int, std::string> uuids;
    std::int64_t bytes = 0;
    std::vector<ports::ClaimSlots> slots;
    for (const auto& run : input.slots) slots.insert(slots.end(), static_cast<std::size_t>(run.length), run);
    for (const auto& slot : slots) {
        if (!looks || ready_.empty()) break;
        const bool is_built = input.request_bytes_max >= 0;
        if (claims_fail) throw ports::DatabaseError(ports::DatabaseFault::data, "told to fail");
        if (is_built && unbuildable.contains(ready_.front().first))
            throw ports::DatabaseError(unbuildable_fault, "string buffer exceeds 1 GB");
        bytes += static_cast<std::int64_t>(next_context.size());
        if (bytes > input.turn_bytes_max && !result.claims.empty()) {
            result.is_full = true;
            break;
        }
        if (!uuids.contains(slot.session)) uuids[slot.session] = "b" + std::to_string(++next_batch_);
        auto step = claim(ready_.front().first, slot.session + 1);
        step.attempt = ready_.front().second;
        step.batch_uuid = uuids[slot.session];
        step.batch_id = std::stoll(step.batch_uuid.substr(1));
        step.batch_step_id = step.step_id * 10 + step.attempt - 1;
        step.context_json = next_context;
        step.claim_first = claim_first;
        ready_.pop_front();
        auto& batch = batches[step.batch_uuid];
        batch.batch_id = step.batch_id;
        batch.batch_uuid = step.batch_uuid;
        batch.session = input.sessions.at(static_cast<std::size_t>(slot.session));
        batch.handler_key = 1;
        ports::StoredBatchStep row;
        row.batch_step_id = step.batch_step_id;
        row.step_id = step.step_id;
        row.task_id = step.task_id;
        row.attempt = step.attempt;
        row.step_name = step.name;
        row.named_task_id = row.template_revision = 1;
        row.context_json = step.context_json;
        row.claimed_at = step.claimed_at;
        row.timeout_ms = step.timeout_ms;
        row.retry_limit = step.retry_limit;
        row.claim_first = step.claim_first;
        batch.steps.push_back(row);
        if (!is_built) {
            step.context_json.clear();
            step.unsendable = ports::kRequestTooLarge;
        }
        result.claims.push_back(std::move(step));
    }
    std::stable_sort(result.claims.begin(), result.claims.end(),
                     [](const auto& a, const auto& b) { return a.batch_id < b.batch_id; });
    if (!ready_.empty()) result.keys_waiting.push_back({1, {}});
}

ports::TurnResult FakeStore::run_turn(std::int64_t turn, const ports::TurnInput& input) {
    const std::lock_guard lock(database_.mutex);
    database_.turn_numbers_tried.push_back(turn);
    fail_next(database_.turn_failures);
    for (const auto& message : input.messages) {
        if (!database_.poison.empty() && message.raw.find(database_.poison) != std::string::npos) {
            throw ports::DatabaseError(ports::DatabaseFault::data, "cannot be stored");
        }
    }
    ports::TurnResult result;
    const auto before =
        std::make_tuple(database_.batches, database_.ready_, database_.reported_, database_.next_batch_);
    try {
        database_.judge(input, result);
        database_.claim_for(input, result);
    } catch (const ports::DatabaseError&) {
        std::tie(database_.batches, database_.ready_, database_.reported_, database_.next_batch_) = before;
        database_.log.add("failed turn");
        throw;
    }
    database_.last_turn = turn;
    database_.turns.push_back(input);
    database_.log.add("turn");
    fail_next(database_.after_commit_failures);
    return result;
}

std::vector<ports::StoredBatch> FakeStore::load_open_batches() {
    const std::lock_guard lock(database_.mutex);
    std::vector<ports::StoredBatch> open;
    for (const auto& [uuid, batch] : database_.batches) {
        if (!core::is_terminal(batch.state) || batch.reconciliation == core::ReconciliationStatus::pending) {
            open.push_back(batch);
        }
    }
    return open;
}

std::optional<ports::StoredBatch> FakeStore::load_batch(const std::string& batch_uuid) {
    const std::lock_guard lock(database_.mutex);
    const auto found = database_.batches.find(batch_uuid);
    return found == database_.batches.end() ? std::nullopt : std::optional(found->second);
}

ports::RequestTexts FakeStore::load_request(const std::string& batch_uuid, std::int64_t step_id) {
    const std::lock_guard lock(database_.mutex);
    database_.log.add("request of " + std::to_string(step_id));
    if (database_.unbuildable.contains(step_id)) return {"", "", ports::kRequestTooLarge, "told to fail"};
    for (const auto& step : database_.batches.at(batch_uuid).steps) {
        if (step.step_id == step_id) return {step.context_json, step.previous_results_json};
    }
    return {};
}

std::vector<ports::HandlerKey> FakeStore::load_handler_keys() {
    const std::lock_guard lock(database_.mutex);
    ++database_.keys_loaded;
    return {{1, "shop", "Pay"}, {2, "shop", "Ship"}};
}

ports::TemplateFacts FakeStore::load_template(std::int32_t, std::int32_t) {
    const std::lock_guard lock(database_.mutex);
    ++database_.templates_loaded;
    return {"shop", "order", "1.0.0", {{"pay", R"({"currency":"EUR"})", {0.2, 2.0, 60.0, 0.0}}}};
}

std::optional<std::int64_t> FakeStore::next_due_in_ms() {
    const std::lock_guard lock(database_.mutex);
    fail_next(database_.due_failures);
    return database_.due_in_ms;
}

std::vector<ports::CancelledDelivery> FakeStore::load_cancelled_deliveries() {
    const std::lock_guard lock(database_.mutex);
    return database_.cancelled;
}

std::vector<ports::DrainRequest> FakeStore::load_drain_requests() {
    const std::lock_guard lock(database_.mutex);
    return database_.drains;
}

void FakeStore::record_rejected(const std::vector<ports::RejectedMessage>& messages) {
    const std::lock_guard lock(database_.mutex);
    fail_next(database_.record_failures);
    for (const auto& message : messages) {
        database_.rejected.push_back(message);
        database_.log.add("rejected " + message.code);
    }
}

// ---------------------------------------------------------------------------------------- publisher

void FakePublisher::send(ports::Outbound message) {
    std::visit([this](const auto& it) { log(it); }, message);
}
void FakePublisher::log(const ports::PublishBatches& message) {
    for (const auto& batch : message.batches) {
        EXPECT_NE(batch.handler_class, "") << batch.batch_uuid;
        log_.add("publish " + batch.session + " " + batch.batch_uuid + ": " + joined(ids_of(batch.steps)));
    }
}
void FakePublisher::log(const ports::AdoptBatches& message) {
    std::string line = "adopt";
    for (const auto& adopted : message.batches) {
        line += " " + adopted.batch.batch_uuid;
        EXPECT_NE(adopted.batch.handler_class, "") << adopted.batch.batch_uuid;
    }
    log_.add(line);
}
void FakePublisher::log(const ports::ForgetBatches& message) {
    for (const auto& uuid : message.batch_uuids) log_.add("forget " + uuid);
}
void FakePublisher::log(const ports::Acknowledge& message) {
    for (const auto& list : message.lists) {
        for (const auto& batch : list.batches) {
            log_.add("ack " + list.session + " " + batch.batch_uuid + ": " + joined(batch.sequences));
        }
        for (const auto& refusal : list.rejected) {
            log_.add("refuse " + list.session + " " + refusal.batch_uuid + ": " +
                     std::to_string(refusal.sequence) + " " + refusal.code);
        }
    }
    ++acknowledge_calls;
    log_.touch();
}
void FakePublisher::log(const ports::RequestReports& message) {
    log_.add("request " + message.session + " " + message.batch_uuid + ": " + joined(message.step_ids));
}
void FakePublisher::log(const ports::CancelSteps& message) {
    log_.add("cancel " + message.session + " " + message.batch_uuid + ": " + joined(ids_of(message.steps)) +
             " " + message.reason + (message.ended ? " ended" : ""));
}
void FakePublisher::log(const ports::StartAnswer& answer) {
    log_.add("start " + answer.session + " " + answer.batch_uuid + ": " + std::to_string(answer.step_id) +
             " n" + std::to_string(answer.n) + " " + (answer.refusal.empty() ? "granted" : answer.refusal));
}
void FakePublisher::log(const ports::SuspectSession& message) {
    log_.add("suspect " + message.session);
}
void FakePublisher::log(const ports::RecordFault& message) {
    log_.add("fault " + message.session + " " + std::string(core::to_text(message.fault)));
}
void FakePublisher::log(const ports::DrainSession& message) {
    log_.add("drain " + message.session);
}
void FakePublisher::log(const ports::ReopenSteps& message) {
    log_.add("reopen " + message.batch_uuid + ": " + joined(message.step_ids));
}
void FakePublisher::log(const ports::RefuseSessions&) {
    log_.add("refuse sessions");
}

// ---------------------------------------------------------------------------------------- credit and time

std::vector<core::CreditOffer> FakeCredit::reserve(int) {
    const std::lock_guard lock(mutex);
    ++reserved;
    ++reservations;
    return offers;
}
bool FakeCredit::settle(int, const std::vector<core::CreditOffer>& settled,
                        std::vector<core::TakenBatch> taken) {
    const std::lock_guard lock(mutex);
    EXPECT_EQ(settled.size(), offers.size());
    --reserved;
    for (const auto& batch : taken) {
        taken_steps += static_cast<int>(batch.step_ids.size());
        for (auto& offer : offers) {
            if (offer.session == batch.session)
                offer.free -= static_cast<std::int32_t>(batch.step_ids.size());
        }
    }
    for (std::size_t i = 0; i < settled.size(); ++i)
        wanted[std::string(settled[i].session)] = settled[i].wanted;
    return more > 0 && more-- > 0;
}
void FakeCredit::set_away(int, bool is_away) {
    const std::lock_guard lock(mutex);
    away = is_away;
}
bool FakeCredit::may_return(std::string_view session) {
    const std::lock_guard lock(mutex);
    return may_come_back.contains(session);
}

bool FakeCredit::is_gone(std::string_view session) {
    const std::lock_guard lock(mutex);
    return gone.contains(session);
}
bool FakeCredit::serves(std::string_view session, std::string_view, std::string_view handler_class) {
    const std::lock_guard lock(mutex);
    const auto found = serves_keys.find(session);
    return found != serves_keys.end() && found->second.contains(std::string(handler_class));
}

// An hour ahead of the real boot-time clock, so that the mailbox, which waits by the real one, never wakes by
// itself while a test runs.
FakeClock::FakeClock() : now_((util::boot_time() + std::chrono::hours(1)).count()) {}

}  // namespace tasker::engine
