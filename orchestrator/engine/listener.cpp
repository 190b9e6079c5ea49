#include "orchestrator/engine/listener.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include "orchestrator/ports/database_error.hpp"
#include "orchestrator/util/crash_point.hpp"
#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;

namespace {

using std::chrono::milliseconds;

// A turn that deadlocks is repeated; more than this in a row means that something else is wrong.
constexpr int kRepeatsMax = 20;
constexpr milliseconds kPauseAfterFailure{50};
constexpr milliseconds kOwnWorkPause{1000};
// A turn of few messages tells the ends of tasks with its commit: whoever waits for one hears of it a thread
// and a round trip sooner. Only one transaction that notifies can commit at a time, so large turns leave that
// to the caretaker.
constexpr std::size_t kNotifyWithCommitMax = 8;

}  // namespace

Listener::Listener(ListenerOptions options, Surroundings surroundings)
    : options_(std::move(options)), around_(std::move(surroundings)), random_(std::random_device{}()) {}

std::string Listener::prepare() {
    try {
        store_ = around_.open_store(turn_);
        load();
    } catch (const ports::DatabaseError& error) {
        if (!ports::may_pass(error.fault())) throw;
        store_.reset();
        return error.what();
    }
    return "";
}

void Listener::run() {
    // The database answered a moment ago, when the service started: that it went away since is an outage like
    // any other.
    if (!store_) {
        const auto cause = prepare();
        if (!store_) recover(cause);
    }
    std::vector<ports::Inbound> inbound;
    // Without a store it was told to stop during an outage: what still waits stays unacknowledged.
    while (store_) {
        inbound.clear();
        if (!around_.mailbox.take_all(inbound, next_deadline())) break;
        look_again_ = false;
        for (const auto& message : inbound) notice(message);
        fire_timers();
        process(inbound);
        // Messages that fail again and again must not keep it from its turn.
        if (std::exchange(own_work_apart_, false) && has_own_work()) process({});
    }
}

const OpenBatch* Listener::find_batch(const std::string& batch_uuid) {
    if (const auto* open = open_.find(batch_uuid)) return open;
    if (const auto* revived = revived_.find(batch_uuid)) return revived;
    const auto stored = store_->load_batch(batch_uuid);
    if (!stored) return nullptr;
    revived_.put(open_batch_from(*stored));
    return revived_.find(batch_uuid);
}

TurnDraft Listener::new_draft() {
    DraftContext context;
    context.find_batch = [this](const std::string& uuid) { return find_batch(uuid); };
    context.batches_of = [this](const std::string& session) { return batches_of(session); };
    context.random = [this] { return std::uniform_real_distribution<double>(0.0, 1.0)(random_); };
    context.now = around_.clock.boot_time();
    context.reconcile_grace = options_.reconcile_grace;
    context.result_bytes_max = options_.result_bytes_max;
    context.received_at = around_.clock.wall_time_rfc3339();
    return TurnDraft(std::move(context));
}

void Listener::process(std::span<const ports::Inbound> messages) {
    bool read_back = false;
    while (store_ && (!around_.stopping || !messages.empty())) {
        try {
            if (attempt(messages)) return;
        } catch (const ports::DatabaseError& error) {
            // A turn that fails however often it is repeated may stand on a memory that is not the
            // database's: read that back once before any message is suspected.
            const bool stubborn =
                error.fault() == ports::DatabaseFault::repeatable && !std::exchange(read_back, true);
            if (error.fault() == ports::DatabaseFault::connection || stubborn) {
                // The same messages again: what had been committed is then judged a duplicate and
                // acknowledged.
                recover(error.what());
                if (around_.stopping) return;
                if (settle_doubt()) return;
                continue;
            }
            if (own_work_included_ && has_own_work()) {
                // Perhaps it was not the messages at all: both apart, the messages first.
                if (messages.empty()) {
                    if (error.fault() != ports::DatabaseFault::locked)
                        log::error("time-outs and losses cannot be written", {{"cause", error.what()}});
                    own_work_at_ = around_.clock.boot_time() + kOwnWorkPause;
                } else {
                    own_work_apart_ = true;
                }
                continue;
            }
            if (messages.size() > 1) {
                // One of them cannot be stored: find it by halves, so that it does not take the others with
                // it.
                const auto half = messages.size() / 2;
                const bool was_splitting = std::exchange(splitting_, true);
                process(messages.first(half));
                process(messages.subspan(half));
                splitting_ = was_splitting;
                return;
            }
            if (error.fault() == ports::DatabaseFault::locked) {
                // Not acknowledged, so it comes again; a loss is found again by the next full scan.
                for (const auto& message : messages) {
                    keep_undelivered(message);
                    keep_running(message);
                }
                counters_.messages_deferred += static_cast<std::int64_t>(messages.size());
                log::warning("somebody holds a task locked: its messages wait to be sent again",
                             {{"cause", error.what()}});
                return;
            }
            if (messages.empty()) {
                log::error("a turn without messages failed", {{"cause", error.what()}});
                // What it was for is still due: without a pause it would fail again and again at full speed.
                around_.mailbox.wait_closed(kPauseAfterFailure);
                return;
            }
            if (reject_poison(messages.front(), error.what())) return;
        }
    }
}

// Nobody says it a second time, and nothing else would ever end these steps.
void Listener::keep_undelivered(const ports::Inbound& message) {
    const auto* undelivered = std::get_if<ports::Undelivered>(&message);
    const auto* batch = undelivered ? open_.find(undelivered->batch_uuid) : nullptr;
    if (!batch || batch->session != undelivered->session) return;
    for (const auto& step : batch->steps) {
        if (!step.is_settled()) unsent_.push_back({batch->batch_uuid, step.expected.step_id, "undelivered"});
    }
    own_work_at_ = around_.clock.boot_time() + kOwnWorkPause;
}

// Told once only: without it the step would never time out. The database hears of the start no more.
void Listener::keep_running(const ports::Inbound& message) {
    const auto* running = std::get_if<ports::StepRunning>(&message);
    auto* batch = running ? open_.find(running->batch_uuid) : nullptr;
    auto* step = batch ? batch->find_step(running->step_id) : nullptr;
    if (!step || step->started || step->attempt != running->attempt) return;
    step->started = true;
    step->started_at = around_.clock.boot_time() - milliseconds(running->age_ms);
    watch_time(*batch);
}

bool Listener::attempt(std::span<const ports::Inbound> messages) {
    revived_.clear();
    if (definitions_changed_) {
        keys_.replace(store_->load_handler_keys());
        planner_.forget_sessions();
        definitions_changed_ = false;
    }
    auto draft = new_draft();
    for (const auto& message : messages) draft.receive(message);
    own_work_included_ = own_work_due();
    if (own_work_included_) {
        for (const auto& step : unsent_) draft.hand_back(step.batch_uuid, step.step_id, step.reason);
        for (const auto& uuid : graces_over_) draft.end_grace(uuid);
        for (const auto& [uuid, step_id] : timed_out_) draft.time_out(uuid, step_id);
        for (const auto& session : gone_sessions_) draft.lose_session({session, "", "gone", 0, false});
    }
    draft.close();

    auto& input = draft.input();
    input.batch_size = options_.batch_size;
    input.due = due_now_;
    input.notify_done = messages.size() <= kNotifyWithCommitMax;
    if (due_now_) keys_.mark_all_waiting();
    if (!input.hand_backs.empty() || !input.orphans.empty()) {
        for (const auto& [uuid, batch] : draft.touched()) keys_.mark_waiting(batch.handler_key);
    }
    auto offers = around_.credit.reserve(options_.lane);
    try {
        // A service that is stopping writes what it heard, and claims nothing any more.
        const bool looks_at_waiting =
            !around_.stopping && planner_.plan(offers, around_.credit, keys_, input);
        if (input.writes_anything() || looks_at_waiting) {
            doubt_ = Doubt{turn_ + 1, draft.acks(), !draft.rejected().empty()};
            if (!input.messages.empty()) util::crash_point("before_apply_commit");
            if (!input.slots.empty()) util::crash_point("before_claim_commit");
            const auto result = run_turn(input);
            if (!input.messages.empty()) util::crash_point("after_apply_commit");
            if (!result.claims.empty()) util::crash_point("after_claim_commit");
            commit(draft, result, offers);
        } else {
            update_memory(draft);
            look_again_ = settle(offers, {}) || look_again_;
        }
    } catch (const ports::DatabaseError& error) {
        look_again_ = settle(offers, {}) || look_again_;
        // What is committed is not undone by repeating it: whatever failed after that, memory is behind now.
        if (doubt_ && turn_ >= doubt_->turn)
            throw ports::DatabaseError(ports::DatabaseFault::connection, error.what());
        throw;
    }
    if (!draft.rejected().empty()) {
        store_->record_rejected(draft.rejected());
        counters_.messages_rejected += static_cast<std::int64_t>(draft.rejected().size());
    }
    doubt_.reset();
    for (const auto& refused : draft.refused_starts()) {
        ++counters_.starts_denied;
        around_.publisher.answer_start(refused);
    }
    for (const auto& held : draft.unstarted()) {
        around_.publisher.cancel_steps(held.session, held.batch_uuid, held.steps, held.reason, false);
        around_.publisher.suspect_session(held.session);
    }
    // Acknowledged only now: everything these messages said is in the database.
    if (!input.messages.empty()) util::crash_point("before_ack");
    around_.publisher.acknowledge(draft.acks());
    if (std::exchange(commands_wait_, false)) carry_out_commands();
    return true;
}

bool Listener::settle(std::vector<core::CreditOffer>& offers, std::vector<core::TakenBatch> taken) {
    planner_.mark_wanted(offers, around_.credit, keys_, resting_keys_);
    return around_.credit.settle(options_.lane, offers, std::move(taken));
}

// The connection broke while a turn was under way. The lane's counter says whether it was committed: if so,
// its messages are acknowledged and its batches have been read back and sent; if not, it runs again.
bool Listener::settle_doubt() {
    const auto doubt = std::exchange(doubt_, std::nullopt);
    if (!doubt || turn_ < doubt->turn || doubt->refuses) return false;
    ++counters_.commits_in_doubt;
    log::info("the turn in doubt had been committed", {{"turn", doubt->turn}});
    around_.publisher.acknowledge(doubt->acks);
    return true;
}

void Listener::carry_out_commands() {
    for (auto& cancelled : store_->load_cancelled_deliveries()) {
        around_.publisher.cancel_steps(cancelled.session, cancelled.batch_uuid,
                                       {{cancelled.step_id, cancelled.attempt}}, "cancelled", false);
    }
    if (options_.lane != 0) return;  // sessions belong to no lane: the first one speaks for all
    for (auto& drain : store_->load_drain_requests()) {
        around_.publisher.drain_session(drain.session, drain.deadline_ms);
    }
}

ports::TurnResult Listener::run_turn(const ports::TurnInput& input) {
    for (int repeat = 0;; ++repeat) {
        try {
            auto result = store_->run_turn(turn_ + 1, input);
            ++turn_;
            ++counters_.turns;
            counters_.messages += static_cast<std::int64_t>(input.messages.size());
            return result;
        } catch (const ports::DatabaseError& error) {
            if (error.fault() != ports::DatabaseFault::repeatable || repeat >= kRepeatsMax) throw;
            ++counters_.turns_repeated;
            log::info("turn repeated", {{"cause", error.what()}});
        }
    }
}

bool Listener::reject_poison(const ports::Inbound& message, const std::string& why) {
    const auto* report = std::get_if<ports::Report>(&message);
    log::error("a message cannot be stored and is set aside in tasker_rejected_messages", {{"cause", why}});
    if (!report) return true;
    try {
        store_->record_rejected({{"results", "unstorable", why, "", report->raw}});
    } catch (const ports::DatabaseError& error) {
        // Nothing is refused before it is recorded: the message is tried again.
        recover(error.what());
        return false;
    }
    ++counters_.messages_rejected;
    // Refused for good, so that its outbox does not send it for ever.
    std::visit(
        [&](const auto& body) {
            if constexpr (requires { body.sequence; }) {
                std::string to;
                if constexpr (requires { body.sent_by; }) {
                    to = body.sent_by.value_or(body.session.value_or(""));
                } else {
                    to = body.session;
                }
                if (!to.empty()) {
                    around_.publisher.acknowledge({{to, {}, {{body.batch_id, body.sequence, "unstorable"}}}});
                }
            }
        },
        report->message);
    return true;
}

}  // namespace tasker::engine
