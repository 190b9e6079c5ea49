#include "orchestrator/engine/turns/listener.hpp"

#include <algorithm>
#include <utility>

#include "orchestrator/util/crash_point.hpp"
#include "orchestrator/util/log.hpp"
#include "protocol/cpp/json_text.hpp"

namespace tasker::engine {

namespace log = util::log;

namespace {

using std::chrono::milliseconds;

// How long to leave rows alone that are due and locked by somebody else.
constexpr milliseconds kDueAgain{20};
// A turn of few messages notifies the ends of tasks with its commit: people who wait for one get it a thread
// and a round trip sooner. Only one transaction that notifies can commit at a time, so large turns leave that
// to the caretaker.
constexpr std::size_t kNotifyWithCommitMax = 8;
// A step is ready at once when it was handed back so often; then it pauses (tasker_turn_hand_backs).
constexpr int kPromptHandBacks = 5;
// How long rejected messages leave no rows after their table was locked: each try costs a lock_timeout.
constexpr milliseconds kRejectedPause{5000};

}  // namespace

Listener::Listener(ListenerOptions options, Dependencies dependencies)
    : options_(std::move(options)),
      deps_(std::move(dependencies)),
      connection_(options_,
                  {deps_.open_store, deps_.credit, deps_.mailbox, deps_.clock, deps_.stopping, counters_},
                  [this](ports::Store& store) { load(store); }),
      deadlines_(options_),
      memory_(options_, deadlines_, own_work_),
      claims_(options_.lane, deps_.credit),
      effects_(deps_.publisher, deps_.credit, counters_, deps_.tasks_ended),
      random_(std::random_device{}()) {}

// The listener's memory read back from the database: at the start, and after a lost connection.
void Listener::load(ports::Store& store) {
    claims_.set_keys(store.load_handler_keys());
    claims_.look_at_all();
    const auto now = deps_.clock.boot_time();
    deps_.publisher.send(ports::AdoptBatches{options_.lane, memory_.read_back(store, claims_.keys(), now)});
    counters_.open_batches = static_cast<std::int64_t>(memory_.open().size());
    next_turn_.moves_due = true;
    deadlines_.restart_full_scan(now);
}

void Listener::run() {
    // The database answered a moment ago, when the service started: that it went away since is an outage like
    // any other.
    if (!connection_.is_open()) {
        const auto cause = prepare();
        if (!connection_.is_open()) connection_.reopen(cause);
    }
    std::vector<ports::Inbound> inbound;
    // Without a connection the service stopped during an outage: what still waits stays unacknowledged.
    while (connection_.is_open()) {
        inbound.clear();
        if (!deps_.mailbox.take_all(inbound, next_round_at())) break;
        claims_.begin_round();
        next_turn_.follows_at_once = false;
        for (const auto& message : inbound) prepare_for(message);
        fire_deadlines();
        const auto locked = locked_.take_out(inbound, deps_.clock.boot_time());
        work_off(inbound);
        work_off_locked(locked);
        try_suspect();
    }
}

// ---------------------------------------------------------------- one round

milliseconds Listener::next_round_at() const {
    if (claims_.looks_again() || next_turn_.moves_due || next_turn_.follows_at_once) return milliseconds(0);
    return std::min(
        {deadlines_.next(), own_work_.next(), claims_.suspects().next_at(deps_.clock.boot_time())});
}

void Listener::prepare_for(const ports::Inbound& inbound) {
    if (const auto* wake = std::get_if<ports::Wake>(&inbound)) {
        if (wake->definitions || wake->full_scan) next_turn_.reads_definitions = true;
        if (wake->full_scan) {
            claims_.look_at_all();
            next_turn_.moves_due = true;
            next_turn_.reads_commands = true;
        }
        claims_.on_wake(*wake);
    } else if (std::holds_alternative<ports::CreditAppeared>(inbound)) {
        claims_.forget_sessions();
    }
}

void Listener::fire_deadlines() {
    auto due = deadlines_.take_due(deps_.clock.boot_time(), memory_.open());
    if (due.full_scan) {
        claims_.look_at_all();
        claims_.forget_sessions();
        next_turn_.moves_due = true;
        next_turn_.reads_commands = true;
        look_for_gone_sessions();
    }
    if (due.locked_keys) claims_.release_locked();
    if (due.retries) next_turn_.moves_due = true;
    for (const auto& uuid : due.graces) end_grace(uuid);
    for (auto& step : due.time_outs) own_work_.add_time_out(std::move(step));
}

void Listener::end_grace(const std::string& batch_uuid) {
    auto* batch = memory_.open().find(batch_uuid);
    const bool gone = !batch->session.empty() && deps_.credit.is_gone(batch->session);
    // A batch that had ended before its session was lost does not know of the loss yet.
    batch->session_lost = batch->session_lost || gone;
    if (batch->reports_requested || batch->session.empty() || gone) {
        own_work_.add_grace_over(batch_uuid);
        return;
    }
    // First the outbox is asked; only what it cannot supply is a discrepancy.
    batch->reports_requested = true;
    batch->grace_ends = deps_.clock.boot_time() + options_.timers.reconcile_grace;
    deadlines_.watch_grace(*batch);
    std::vector<std::int64_t> missing;
    for (const auto& step : batch->steps) {
        if (!step.expected.reported && !step.expected.handed_back) missing.push_back(step.expected.step_id);
    }
    deps_.publisher.send(ports::RequestReports{batch->session, batch_uuid, std::move(missing)});
}

// A loss is posted once; this finds what was missed, and sessions of an earlier life that never came back.
void Listener::look_for_gone_sessions() {
    for (const auto& session : memory_.open().sessions()) {
        if (deps_.credit.is_gone(session)) own_work_.add_gone_session(session);
    }
}

void Listener::work_off(std::span<const ports::Inbound> messages) {
    TurnSplit split(messages);
    while (connection_.is_open() && !split.is_finished() && (!deps_.stopping || !split.messages().empty())) {
        const bool with_own_work =
            split.takes_own_work() && own_work_.may_be_written(deps_.clock.boot_time());
        try {
            attempt(split.messages(), with_own_work ? OwnWorkShare::included : OwnWorkShare::left_out,
                    {split.takes_claims() ? ClaimScope::Kind::all : ClaimScope::Kind::none});
            judge_claims();
            split.finish_turn(!own_work_.is_empty());
        } catch (const ports::DatabaseError& error) {
            handle_failure(split, error, with_own_work && !own_work_.is_empty());
        } catch (const std::exception& error) {
            // A message that the program cannot digest is set aside like one that the database cannot.
            log::error("a turn failed inside the orchestrator", {{"cause", error.what()}});
            handle_failure(split, ports::DatabaseError(ports::DatabaseFault::data, error.what()),
                           with_own_work && !own_work_.is_empty());
        }
    }
}

// Each by itself, and one of all in a while: the others cost nothing, and come again.
void Listener::work_off_locked(std::span<const ports::Inbound> messages) {
    for (std::size_t i = 0; i < messages.size(); ++i) {
        const auto now = deps_.clock.boot_time();
        if (!connection_.is_open() || !locked_.may_try(now)) {
            leave_to_senders(messages.subspan(i, 1));
            continue;
        }
        work_off(messages.subspan(i, 1));
        locked_.end_try(messages[i], now);
    }
}

// ---------------------------------------------------------------- one turn

void Listener::attempt(std::span<const ports::Inbound> messages, OwnWorkShare own_work,
                       const ClaimScope& scope) {
    memory_.begin_turn();
    last_claims_ = {};
    if (next_turn_.reads_definitions) {
        claims_.set_keys(connection_.store().load_handler_keys());
        next_turn_.reads_definitions = false;
    }
    auto turn = draft_turn(messages, own_work, scope);
    turn.offers = claims_.reserve();
    try {
        const bool looks_at_waiting = plan_claims(turn);
        if (turn.draft.input().writes_anything() || looks_at_waiting) {
            write(turn);
        } else {
            take_over(turn);
            claims_.settle(turn.offers, {});
        }
    } catch (const std::exception& error) {
        claims_.settle(turn.offers, {});
        // What is committed is not undone by repeating it: whatever failed after that, memory is behind now.
        const auto* failure = dynamic_cast<const ports::DatabaseError*>(&error);
        const bool is_refusal = failure != nullptr && failure->fault() == ports::DatabaseFault::refused;
        if (connection_.is_committed() && !is_refusal)
            throw ports::DatabaseError(ports::DatabaseFault::connection, error.what());
        throw;
    }
    record_rejected(turn.draft.rejected());
    connection_.confirm_commit();
    effects_.on_recorded(turn.draft);
    if (std::exchange(next_turn_.reads_commands, false)) carry_out_commands();
}

Listener::Turn Listener::draft_turn(std::span<const ports::Inbound> messages, OwnWorkShare own_work,
                                    const ClaimScope& scope) {
    DraftContext context;
    context.find_batch = [this](const std::string& uuid) { return memory_.find(connection_.store(), uuid); };
    context.batches_of = [this](const std::string& session) { return memory_.open().batches_of(session); };
    context.may_return = [this](const std::string& session) { return deps_.credit.may_return(session); };
    context.random = [this] { return std::uniform_real_distribution<double>(0.0, 1.0)(random_); };
    context.now = deps_.clock.boot_time();
    context.reconcile_grace = options_.timers.reconcile_grace;
    context.output_limits = {options_.limits.result_bytes,
                             static_cast<std::size_t>(options_.limits.depth) - protocol::kLevelsAroundOutput};
    context.received_at = deps_.clock.wall_time_rfc3339();
    Turn turn{TurnDraft(std::move(context)), own_work, {}, scope};
    for (const auto& message : messages) turn.draft.receive(message);
    if (own_work == OwnWorkShare::included) own_work_.put_into(turn.draft);
    turn.draft.close();

    auto& input = turn.draft.input();
    input.batch_size = options_.delivery.batch_size;
    input.request_bytes_max = scope.builds_requests ? options_.limits.batch_bytes : -1;
    input.turn_bytes_max = options_.turn_bytes_max;
    input.due = next_turn_.moves_due && scope.kind == ClaimScope::Kind::all;
    input.notify_done = messages.size() <= kNotifyWithCommitMax;
    if (input.due) claims_.look_at_all();
    if (!input.hand_backs.empty() || !input.orphans.empty()) {
        for (const auto& [uuid, batch] : turn.draft.touched()) claims_.look_at(batch.handler_key);
    }
    return turn;
}

// True when the turn is worth its while even if it writes nothing.
bool Listener::plan_claims(Turn& turn) {
    auto& input = turn.draft.input();
    bool looks_at_waiting = false;
    // A service that is stopping writes what it has received, and claims nothing any more.
    if (deps_.stopping || turn.scope.kind == ClaimScope::Kind::none) {
        // Nothing.
    } else if (turn.scope.kind == ClaimScope::Kind::trial) {
        looks_at_waiting = claims_.plan(turn.offers, turn.scope.trial, input);
    } else {
        looks_at_waiting = claims_.plan(turn.offers, input);
    }
    last_claims_.any = input.due || !input.slots.empty();
    for (const auto& key : input.keys) last_claims_.keys.push_back(key.handler_key);
    return looks_at_waiting;
}

void Listener::write(Turn& turn) {
    const auto& input = turn.draft.input();
    if (!input.messages.empty()) util::crash_point("before_apply_commit");
    if (!input.slots.empty()) util::crash_point("before_claim_commit");
    auto result = connection_.run_turn(input, turn.draft.acks(), !turn.draft.rejected().empty());
    if (!input.messages.empty()) util::crash_point("after_apply_commit");
    if (!result.claims.empty()) util::crash_point("after_claim_commit");
    commit(turn, result);
}

// The rows are for people, and must not keep anything from being written. Where they cannot be had, the log has
// a line, and for a while nobody tries. False: not recorded.
bool Listener::record_rejected(const std::vector<ports::RejectedMessage>& rejected) {
    if (rejected.empty()) return true;
    const auto now = deps_.clock.boot_time();
    if (now < rejected_not_before_) return false;
    try {
        connection_.store().record_rejected(rejected);
        return true;
    } catch (const ports::DatabaseError& error) {
        if (error.fault() == ports::DatabaseFault::connection) throw;
        rejected_not_before_ = now + kRejectedPause;
        log::error("tasker_rejected_messages takes no rows: what is refused is not recorded for a while",
                   {{"cause", error.what()}, {"messages", rejected.size()}});
        return false;
    }
}

void Listener::commit(Turn& turn, ports::TurnResult& result) {
    const auto& input = turn.draft.input();
    watch_retries(input, result);
    for (const auto& orphan : result.orphans) {
        if (orphan.new_state == "waiting_for_retry") claims_.look_at(orphan.handler_key);
    }
    turn.draft.record_granted(result.starts);
    effects_.on_committed(turn.draft, result);
    take_over(turn);
    if (claims_.update(input, result, turn.offers)) {
        deadlines_.watch_locked_keys(deps_.clock.boot_time() + kDueAgain);
    }
    publish_claims(turn, result);
    effects_.announce_ended_tasks(result);
}

void Listener::watch_retries(const ports::TurnInput& input, const ports::TurnResult& result) {
    if (input.due) {
        next_turn_.moves_due = false;
        due_pause_ = milliseconds(0);
        const auto due_in = connection_.store().next_due_in_ms();
        const auto now = deps_.clock.boot_time();
        if (due_in) {
            deadlines_.set_next_retry(now + (*due_in == 0 ? kDueAgain : milliseconds(*due_in)));
        } else {
            deadlines_.set_next_retry(std::nullopt);
        }
    }
    // Handed back so often that it may pause: the next turn asks until when.
    if (std::any_of(input.hand_backs.begin(), input.hand_backs.end(),
                    [](const auto& back) { return back.attempt > kPromptHandBacks; }))
        next_turn_.moves_due = true;
    for (const auto& report : result.reports) {
        if (report.new_state != "waiting_for_retry") continue;
        // Rounded up, so that the step is due when we look.
        const auto backoff = input.messages[report.index].backoff_seconds.value_or(0);
        deadlines_.watch_retry(deps_.clock.boot_time() +
                               milliseconds(static_cast<std::int64_t>(backoff * 1000) + 1));
    }
    for (const auto& snooze : input.snoozes) {
        deadlines_.watch_retry(deps_.clock.boot_time() +
                               milliseconds(static_cast<std::int64_t>(snooze.wait_seconds * 1000) + 1));
    }
}

void Listener::take_over(Turn& turn) {
    if (turn.own_work == OwnWorkShare::included) own_work_.forget();
    auto ended = memory_.take_over(turn.draft);
    if (!ended.empty()) deps_.publisher.send(ports::ForgetBatches{std::move(ended)});
    counters_.open_batches = static_cast<std::int64_t>(memory_.open().size());
}

void Listener::publish_claims(Turn& turn, ports::TurnResult& result) {
    last_claims_.left_more = result.is_full || !result.keys_waiting.empty() || !result.keys_locked.empty();
    if (result.claims.empty()) {
        claims_.settle(turn.offers, {});
        return;
    }
    auto& store = connection_.store();
    const bool unknown_key = std::any_of(result.claims.begin(), result.claims.end(), [&](const auto& claim) {
        return !claims_.keys().knows(claim.handler_key);
    });
    if (unknown_key) claims_.add_keys(store.load_handler_keys());
    if (!turn.scope.builds_requests) read_requests(result.claims);
    auto batches = memory_.add_claims(store, result.claims, turn.draft.input().sessions, claims_.keys(),
                                      deps_.clock.boot_time());
    counters_.open_batches = static_cast<std::int64_t>(memory_.open().size());
    claims_.settle(turn.offers, taken_by(batches));
    util::crash_point("before_publish");
    deps_.publisher.send(ports::PublishBatches{std::move(batches)});
}

void Listener::carry_out_commands() {
    for (auto& cancelled : connection_.store().load_cancelled_deliveries()) {
        deps_.publisher.send(ports::CancelSteps{cancelled.session,
                                                cancelled.batch_uuid,
                                                {{cancelled.step_id, cancelled.attempt}},
                                                std::move(cancelled.reason),
                                                /*ended=*/false});
    }
    if (options_.lane != 0) return;  // sessions belong to no lane: the first one speaks for all
    for (auto& drain : connection_.store().load_drain_requests()) {
        deps_.publisher.send(ports::DrainSession{std::move(drain.session), drain.deadline_ms});
    }
}

}  // namespace tasker::engine
