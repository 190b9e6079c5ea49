// What a lane does about a turn that failed; TurnSplit says which of these.
#include <utility>

#include "orchestrator/engine/turns/listener.hpp"
#include "orchestrator/engine/turns/reopened.hpp"
#include "orchestrator/engine/turns/report_facts.hpp"
#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPauseAfterFailure{50};

}  // namespace

void Listener::handle_failure(TurnSplit& split, const ports::DatabaseError& error, bool held_own_work) {
    const auto answer = split.on_failed(error.fault(), held_own_work, last_claims_.any);
    // Without claims it failed, too: they are not to blame.
    if (answer != FailedTurn::leave_out_claims && answer != FailedTurn::read_back) under_suspicion_.clear();
    switch (answer) {
        case FailedTurn::read_back:
            if (error.fault() == ports::DatabaseFault::connection) watch_lost_claims();
            read_back(split, error);
            break;
        case FailedTurn::repeat:
            break;
        case FailedTurn::leave_out_claims:
            leave_out_claims(error.what());
            break;
        case FailedTurn::postpone_own_work:
            if (error.fault() != ports::DatabaseFault::locked)
                log::error("time-outs and losses cannot be written", {{"cause", error.what()}});
            own_work_.set_aside(deps_.clock.boot_time());
            break;
        case FailedTurn::defer_messages:
            defer(split.messages(), error.what());
            split.finish_turn(!own_work_.is_empty());
            break;
        case FailedTurn::reject_message:
            reject_poison(split, split.messages().front(), error.what());
            break;
        case FailedTurn::give_up:
            log::error("a turn without messages failed", {{"cause", error.what()}});
            // What it was for is still due: without a pause it would fail again and again at full speed.
            deps_.mailbox.wait_closed(kPauseAfterFailure);
            split.finish_turn(!own_work_.is_empty());
            break;
    }
}

// The same messages run again: what had been committed is then judged a duplicate and acknowledged. When the
// turn in doubt was committed as a whole there is nothing to run: its messages are acknowledged, and its
// batches have been read back and sent.
void Listener::read_back(TurnSplit& split, const ports::DatabaseError& failure) {
    connection_.reopen(failure);
    if (deps_.stopping) {
        split.finish_turn(false);
    } else if (auto acks = connection_.resolve_commit_in_doubt()) {
        deps_.publisher.send(ports::Acknowledge{std::move(*acks)});
        split.finish_turn(!own_work_.is_empty());
    }
}

// Not acknowledged, so they come again; a loss is found again by the next full scan.
void Listener::defer(std::span<const ports::Inbound> messages, const std::string& cause) {
    const auto now = deps_.clock.boot_time();
    for (const auto& message : messages) locked_.add(message, now);
    leave_to_senders(messages);
    log::warning("messages cannot be written now and wait to be sent again", {{"cause", cause}});
}

void Listener::leave_to_senders(std::span<const ports::Inbound> messages) {
    for (const auto& message : messages) {
        if (const auto* undelivered = std::get_if<ports::Undelivered>(&message))
            keep_undelivered(*undelivered);
        if (const auto* running = std::get_if<ports::StepRunning>(&message)) keep_running(*running);
        if (const auto* report = std::get_if<ports::Report>(&message)) reopen(*report);
        if (const auto* start = std::get_if<ports::StartRequested>(&message)) keep_asked(*start);
    }
    counters_.messages_deferred += static_cast<std::int64_t>(messages.size());
}

// It is posted once, and nothing else would ever end these steps.
void Listener::keep_undelivered(const ports::Undelivered& undelivered) {
    const auto* batch = memory_.open().find(undelivered.batch_uuid);
    if (!batch || batch->session != undelivered.session) return;
    for (const auto& step : batch->steps) {
        if (!step.is_settled())
            own_work_.add_unsent({batch->batch_uuid, step.expected.step_id, "undelivered"});
    }
    own_work_.postpone(deps_.clock.boot_time());
}

// It is posted once: without it the step would never time out. The start is not written any more.
void Listener::keep_running(const ports::StepRunning& running) {
    auto* batch = memory_.open().find(running.batch_uuid);
    auto* step = batch ? batch->find_step(running.step_id) : nullptr;
    if (!step || step->started) return;
    step->started = true;
    step->started_at = deps_.clock.boot_time() - plausible_age(running.age_ms);
    deadlines_.watch_started(*batch);
}

// Their worker may never send them again, and the io thread has taken them for the end of these steps.
void Listener::reopen(const ports::Report& report) {
    const auto* batch = memory_.open().find(std::string(facts_of(report).batch_uuid));
    if (batch == nullptr) return;
    std::vector<ports::ReopenSteps> reopened;
    add_reopened(reopened, *batch, report);
    for (auto& steps : reopened) deps_.publisher.send(std::move(steps));
}

// It asks, and is not answered for want of the lock: it holds its step by right.
void Listener::keep_asked(const ports::StartRequested& request) {
    auto* batch = memory_.open().find(request.batch_uuid);
    auto* step = batch && batch->session == request.session ? batch->find_step(request.step_id) : nullptr;
    if (step != nullptr) step->asked_at = deps_.clock.boot_time();
}

void Listener::reject_poison(TurnSplit& split, const ports::Inbound& message, const std::string& cause) {
    log::error("a message cannot be stored and is set aside in tasker_rejected_messages", {{"cause", cause}});
    if (const auto* report = std::get_if<ports::Report>(&message)) {
        try {
            if (!record_rejected({{"results", "unstorable", cause, "", report->raw}})) {
                // Nothing is refused before it is recorded: it is left to be sent again.
                defer(split.messages(), cause);
                split.finish_turn(!own_work_.is_empty());
                return;
            }
        } catch (const ports::DatabaseError& error) {
            connection_.reopen(error);  // the message is tried again
            return;
        }
        ++counters_.messages_rejected;
        reopen(*report);
        // Refused for good, so that its outbox does not send it for ever.
        const auto facts = facts_of(*report);
        if (!facts.reply_to.empty()) {
            deps_.publisher.send(
                ports::Acknowledge{{{std::string(facts.reply_to),
                                     {},
                                     {{std::string(facts.batch_uuid), facts.sequence, "unstorable"}}}}});
        }
    }
    split.finish_turn(!own_work_.is_empty());
}

}  // namespace tasker::engine
