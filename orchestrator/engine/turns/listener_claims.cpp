// What a lane does about claims that fail. What is claimed comes from the database, not from a message, so it comes
// again with the next turn: without an answer one step would stop its lane for good.
//
// The turn is repeated without claims. If it succeeds, the keys of its claims are suspects: normal turns leave them
// out, and each of them is tried by itself, in turns without messages, until one step stands alone. That step is
// claimed without its request, and the request is read by itself: when the database cannot give it, the step ends
// in error with the reason. Everything else goes on meanwhile.
#include <algorithm>
#include <string>

#include "orchestrator/engine/turns/listener.hpp"
#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kDueFirstPause{50};
constexpr milliseconds kDuePauseMax{5000};
// A lost connection is nobody's fault. Twice in a row, what was claimed may have brought the server down.
constexpr int kClaimsLostMax = 2;

}  // namespace

void Listener::leave_out_claims(const std::string& cause) {
    log::warning("a turn failed and is repeated without claims", {{"cause", cause}});
    under_suspicion_ = last_claims_.keys;
    next_turn_.follows_at_once = true;
    if (!next_turn_.moves_due) return;
    // The retries that were to be moved may be it: they wait, so that the lane does not run in circles.
    next_turn_.moves_due = false;
    due_pause_ = std::clamp(due_pause_ * 2, kDueFirstPause, kDuePauseMax);
    deadlines_.set_next_retry(deps_.clock.boot_time() + due_pause_);
}

// A turn was committed.
void Listener::judge_claims() {
    if (last_claims_.any) claims_lost_ = 0;
    claims_.suspects().add(under_suspicion_);
    under_suspicion_.clear();
}

void Listener::watch_lost_claims() {
    if (!last_claims_.any || ++claims_lost_ < kClaimsLostMax) return;
    claims_.suspects().add(last_claims_.keys);
}

void Listener::try_suspect() {
    if (!connection_.is_open() || deps_.stopping) return;
    const auto trial = claims_.suspects().next(deps_.clock.boot_time());
    if (!trial) return;
    try {
        attempt({}, OwnWorkShare::left_out, {ClaimScope::Kind::trial, *trial});
    } catch (const ports::DatabaseError& error) {
        handle_failed_trial(*trial, error);
        return;
    }
    // Without credit for it nothing was tried: credit that appears brings the next round.
    if (last_claims_.keys.empty()) return;
    claims_.suspects().passed(*trial, last_claims_.left_more);
    next_turn_.follows_at_once = true;
}

void Listener::handle_failed_trial(const SuspectKeys::Trial& trial, const ports::DatabaseError& error) {
    if (error.fault() == ports::DatabaseFault::connection) {
        keep_back(trial, error.what());
        connection_.reopen(error);
        connection_.resolve_commit_in_doubt();  // there is nobody to acknowledge anything to
    } else if (error.fault() == ports::DatabaseFault::locked) {
        keep_back(trial, error.what());
    } else if (claims_.suspects().failed(trial)) {
        find_culprit(trial, error.what());
    } else {
        next_turn_.follows_at_once = true;
    }
}

// One step of this key could not be claimed with its request: claims it without.
void Listener::find_culprit(const SuspectKeys::Trial& trial, const std::string& cause) {
    try {
        attempt({}, OwnWorkShare::left_out, {ClaimScope::Kind::trial, trial, /*builds_requests=*/false});
    } catch (const ports::DatabaseError& error) {
        keep_back(trial, cause);
        if (error.fault() != ports::DatabaseFault::connection) return;
        connection_.reopen(error);
        connection_.resolve_commit_in_doubt();
        return;
    }
    claims_.suspects().passed(trial, last_claims_.left_more);
    next_turn_.follows_at_once = true;
}

// What was claimed without its texts gets them, or the reason why it has none.
void Listener::read_requests(std::vector<ports::ClaimedStep>& claims) {
    for (auto& claim : claims) {
        auto texts = connection_.store().load_request(claim.batch_uuid, claim.step_id);
        claim.context_json = std::move(texts.context_json);
        claim.previous_results_json = std::move(texts.previous_results_json);
        claim.unsendable = std::move(texts.unsendable);
        claim.cause = std::move(texts.cause);
        if (claim.unsendable.empty()) continue;
        log::error("a step cannot be claimed and is set aside", {{"step_id", claim.step_id},
                                                                 {"task_id", claim.task_id},
                                                                 {"becomes", claim.unsendable},
                                                                 {"cause", claim.cause}});
    }
}

void Listener::keep_back(const SuspectKeys::Trial& trial, const std::string& cause) {
    const auto pause = claims_.suspects().keep_back(trial.handler_key, deps_.clock.boot_time());
    log::error("steps of a handler cannot be claimed; all others go on",
               {{"handler_key", trial.handler_key}, {"cause", cause}, {"again_in_ms", pause.count()}});
}

}  // namespace tasker::engine
