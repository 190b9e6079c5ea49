#include "orchestrator/engine/listener.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include "orchestrator/ports/database_error.hpp"
#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;

namespace {

using std::chrono::milliseconds;

// A turn that deadlocks is repeated; more than this in a row means that something else is wrong.
constexpr int kRepeatsMax = 20;
constexpr milliseconds kPauseAfterFailure{50};
// How long to leave rows alone that are due and locked by somebody else.
constexpr milliseconds kDueAgain{20};

bool is_ended(const std::string& state) {
    const auto parsed = core::parse_task_state(state);
    return parsed && core::is_terminal(*parsed);
}

}  // namespace

Listener::Listener(ListenerOptions options, Surroundings surroundings)
    : options_(std::move(options)), around_(std::move(surroundings)), random_(std::random_device{}()) {}

std::string Listener::prepare() {
    try {
        store_ = around_.open_store(turn_);
        load();
    } catch (const ports::DatabaseError& error) {
        if (error.fault() != ports::DatabaseFault::connection) throw;
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
    }
}

// ---------------------------------------------------------------------------------------- time and wake-ups

milliseconds Listener::next_deadline() const {
    if (look_again_ || due_now_ || !unsent_.empty()) return milliseconds(0);
    auto deadline = std::min(due_at_, full_scan_at_);
    if (!graces_.empty()) deadline = std::min(deadline, graces_.begin()->first);
    return std::max(milliseconds(0), deadline);
}

void Listener::notice(const ports::Inbound& inbound) {
    if (const auto* wake = std::get_if<ports::Wake>(&inbound)) {
        if (wake->definitions || wake->full_scan) definitions_changed_ = true;
        if (wake->full_scan) {
            keys_.mark_all_waiting();
            due_now_ = true;
        }
        for (const auto key : wake->keys) keys_.mark_waiting(key);
    } else if (std::holds_alternative<ports::CreditAppeared>(inbound)) {
        planner_.forget_sessions();
    }
}

void Listener::fire_timers() {
    const auto now = around_.clock.boot_time();
    if (now >= full_scan_at_) {
        // Whatever wake-up was lost costs at most this long.
        full_scan_at_ = now + options_.full_scan_every;
        keys_.mark_all_waiting();
        planner_.forget_sessions();
        due_now_ = true;
    }
    if (now >= due_at_) {
        due_now_ = true;
        due_at_ = milliseconds::max();
    }
    while (!graces_.empty() && graces_.begin()->first <= now) {
        const auto ends = graces_.begin()->first;
        const auto uuid = graces_.begin()->second;
        graces_.erase(graces_.begin());
        auto* batch = open_.find(uuid);
        if (!batch || batch->grace_ends != ends) continue;
        if (batch->reports_requested || batch->session.empty()) {
            graces_over_.push_back(uuid);
            continue;
        }
        // First the outbox is asked; only what it cannot supply is a discrepancy.
        batch->reports_requested = true;
        batch->grace_ends = now + options_.reconcile_grace;
        remember_grace(*batch);
        std::vector<std::int64_t> missing;
        for (const auto& step : batch->steps) {
            if (!step.expected.reported && !step.expected.handed_back)
                missing.push_back(step.expected.step_id);
        }
        around_.publisher.request_reports(batch->session, uuid, std::move(missing));
    }
}

void Listener::remember_grace(const OpenBatch& batch) {
    if (batch.grace_ends) graces_.emplace(*batch.grace_ends, batch.batch_uuid);
}

// ---------------------------------------------------------------------------------------- turns

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
                continue;
            }
            if (messages.size() > 1) {
                // One of them cannot be stored: find it by halves, so that it does not take the others with
                // it.
                const auto half = messages.size() / 2;
                process(messages.first(half));
                process(messages.subspan(half));
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

bool Listener::attempt(std::span<const ports::Inbound> messages) {
    revived_.clear();
    if (definitions_changed_) {
        keys_.replace(store_->load_handler_keys());
        planner_.forget_sessions();
        definitions_changed_ = false;
    }
    auto draft = new_draft();
    for (const auto& message : messages) draft.receive(message);
    for (const auto& step : unsent_) draft.hand_back(step.batch_uuid, step.step_id, step.reason);
    for (const auto& uuid : graces_over_) draft.end_grace(uuid);
    draft.close();

    auto& input = draft.input();
    input.batch_size = options_.batch_size;
    input.due = due_now_;
    if (due_now_) keys_.mark_all_waiting();
    if (!input.hand_backs.empty()) {
        for (const auto& [uuid, batch] : draft.touched()) keys_.mark_waiting(batch.handler_key);
    }
    const auto offers = around_.credit.reserve();
    try {
        // A service that is stopping writes what it heard, and claims nothing any more.
        const bool looks_at_waiting =
            !around_.stopping && planner_.plan(offers, around_.credit, keys_, input);
        if (input.writes_anything() || looks_at_waiting) {
            const auto result = run_turn(input);
            commit(draft, result, offers);
        } else {
            around_.credit.settle(offers, {});
            update_memory(draft);
        }
    } catch (const ports::DatabaseError&) {
        around_.credit.settle(offers, {});
        throw;
    }
    if (!draft.rejected().empty()) {
        store_->record_rejected(draft.rejected());
        counters_.messages_rejected += static_cast<std::int64_t>(draft.rejected().size());
    }
    // Acknowledged only now: everything these messages said is in the database.
    around_.publisher.acknowledge(draft.acks());
    return true;
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

void Listener::commit(TurnDraft& draft, const ports::TurnResult& result,
                      const std::vector<core::CreditOffer>& offers) {
    const auto& input = draft.input();
    if (input.due) {
        due_now_ = false;
        const auto due_in = store_->next_due_in_ms();
        const auto wait = due_in && *due_in == 0 ? kDueAgain : milliseconds(due_in.value_or(0));
        due_at_ = due_in ? around_.clock.boot_time() + wait : milliseconds::max();
    }
    for (const auto& report : result.reports) {
        if (report.disposition == "applied") ++counters_.reports_applied;
        const auto& message = input.messages[report.index];
        if (report.new_state == "waiting_for_retry") {
            // Rounded up, so that the step is due when we look.
            const auto wait =
                milliseconds(static_cast<std::int64_t>(message.backoff_seconds.value_or(0) * 1000) + 1);
            due_at_ = std::min(due_at_, around_.clock.boot_time() + wait);
        }
    }
    update_memory(draft);
    update_waiting(input, result, offers);
    publish_claims(input, result, offers);
    note_ended_tasks(result);
}

void Listener::update_memory(TurnDraft& draft) {
    unsent_.clear();
    graces_over_.clear();
    std::vector<std::string> ended;
    for (auto& [uuid, batch] : draft.touched()) {
        if (core::is_terminal(batch.state)) ended.push_back(uuid);
        if (batch.is_over()) {
            open_.erase(uuid);
        } else {
            remember_grace(batch);
            open_.put(std::move(batch));
        }
    }
    if (!ended.empty()) around_.publisher.forget(std::move(ended));
    counters_.open_batches = static_cast<std::int64_t>(open_.size());
}

void Listener::update_waiting(const ports::TurnInput& input, const ports::TurnResult& result,
                              const std::vector<core::CreditOffer>& offers) {
    for (const auto& key : input.keys) {
        if (key.scan) keys_.clear_waiting(key.handler_key);
    }
    for (const auto key : result.keys_waiting) keys_.mark_waiting(key);
    // A turn fills a bounded number of slots: with credit and work left, go on at once.
    look_again_ = !result.keys_waiting.empty() && result.claims.size() >= kSlotsPerTurnMax;
    // The plain worker gets slots for one key per turn, and none when no key was waiting: what this turn made
    // ready has to be looked at, since nothing else may come that would.
    for (std::size_t i = 0; i < offers.size() && !result.keys_waiting.empty(); ++i) {
        if (offers[i].batches_max == 0 || offers[i].free == 0) continue;
        const bool used = std::any_of(
            input.slots.begin(), input.slots.end(),
            [&](const ports::ClaimSlot& slot) { return static_cast<std::size_t>(slot.session) == i; });
        look_again_ = look_again_ || !used;
    }
    // The one key that the plain worker's slots went to had nothing for it: the next key may have.
    for (const auto& slot : input.slots) {
        const auto index = static_cast<std::size_t>(slot.session);
        if (offers[index].batches_max != 1) continue;
        const auto profile = std::find_if(input.keys.begin(), input.keys.end(),
                                          [&](const auto& key) { return key.profile == slot.profile; });
        const bool claimed =
            std::any_of(result.claims.begin(), result.claims.end(),
                        [&](const ports::ClaimedStep& claim) { return claim.session == slot.session; });
        // A key that still waits is one whose steps somebody holds locked: asking at once would only spin.
        if (!claimed && profile->scan && !keys_.may_wait(profile->handler_key)) look_again_ = true;
        break;
    }
}

void Listener::publish_claims(const ports::TurnInput& input, const ports::TurnResult& result,
                              const std::vector<core::CreditOffer>& offers) {
    if (result.claims.empty()) {
        around_.credit.settle(offers, {});
        return;
    }
    const bool unknown_key = std::any_of(result.claims.begin(), result.claims.end(),
                                         [&](const auto& claim) { return !keys_.knows(claim.handler_key); });
    if (unknown_key) keys_.replace(store_->load_handler_keys());
    auto built = requests_->build(*store_, result.claims, input.sessions, keys_);
    std::vector<core::TakenBatch> taken;
    taken.reserve(built.outbound.size());
    for (const auto& batch : built.outbound) {
        core::TakenBatch take;
        take.batch_uuid = batch.batch_uuid;
        take.session = batch.session;
        take.step_ids.reserve(batch.steps.size());
        for (const auto& step : batch.steps) take.step_ids.push_back(step.step_id);
        taken.push_back(std::move(take));
    }
    for (auto& open : built.open) {
        for (auto& take : taken) {
            if (take.batch_uuid == open.batch_uuid)
                take.handler_class = keys_.get(open.handler_key).handler_class;
        }
        open_.put(std::move(open));
    }
    unsent_ = std::move(built.unsent);
    counters_.steps_claimed += static_cast<std::int64_t>(result.claims.size());
    counters_.open_batches = static_cast<std::int64_t>(open_.size());
    around_.credit.settle(offers, std::move(taken));
    around_.publisher.publish(std::move(built.outbound));
}

void Listener::note_ended_tasks(const ports::TurnResult& result) {
    std::vector<std::int64_t> ended;
    for (const auto& task : result.tasks) {
        if (is_ended(task.state)) ended.push_back(task.task_id);
    }
    if (!ended.empty()) around_.tasks_ended(std::move(ended));
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
