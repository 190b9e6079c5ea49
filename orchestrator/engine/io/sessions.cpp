#include "orchestrator/engine/io/sessions.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "orchestrator/engine/io/convert.hpp"
#include "orchestrator/engine/io/hello_check.hpp"
#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;
namespace {

using Kind = transport::SubscriptionChange::Kind;

// Behind by more, a heartbeat says nothing about what the session was sent.
constexpr int kRecentLeases = 4;
// Workers say hello again after `retry_ms`, as to each code that they do not know.
constexpr std::string_view kRefusedTooMany = "too_many";
constexpr milliseconds kMakeRoomEvery{1000};

}  // namespace

// ---------------------------------------------------------------- subscriptions

void IoSessions::on_subscription(const transport::SubscriptionChange& change, milliseconds now) {
    if (change.kind == Kind::none) return;
    if (change.kind == Kind::foreign) {
        post_.malformed("", change.topic, "bad_frame", "the steps socket takes subscriptions only");
        return;
    }
    const bool subscribed = change.kind == Kind::subscribed;
    const std::string_view topic = change.topic;
    // `steps` without the space is what old workers subscribe to; it counts as plain.
    if (topic == protocol::kPlainSubscription || topic == protocol::kStepsTopic) {
        on_plain(subscribed);
        return;
    }
    const bool whole = !topic.empty() && topic.back() == ' ';
    const auto parsed = whole ? protocol::parse_topic(topic.substr(0, topic.size() - 1)) : std::nullopt;
    if (parsed && parsed->kind == protocol::TopicKind::session_steps) {
        registry_.with([&](auto& registry) {
            subscribed ? registry.on_subscribed(parsed->session, now)
                       : registry.on_unsubscribed(parsed->session, now);
        });
    } else if (parsed && parsed->kind == protocol::TopicKind::session_control) {
        auto place = control_.find(parsed->session);
        if (subscribed) {
            if (place == control_.end()) place = control_.emplace(std::string(parsed->session), 0).first;
            ++place->second;
            on_control_subscribed(parsed->session);
        } else if (place != control_.end() && --place->second == 0) {
            control_.erase(place);
        }
    }
}

void IoSessions::on_plain(bool subscribed) {
    const auto [notice, open] = registry_.with([&](auto& registry) {
        const auto seen = subscribed ? registry.on_plain_subscribed() : registry.on_plain_unsubscribed();
        return std::pair(seen, registry.plain().open_batches().size());
    });
    switch (notice) {
        case core::PlainNotice::none:
            break;
        case core::PlainNotice::first_subscriber:
            log::info("a plain worker subscribed; it gets steps of handlers that no session has announced",
                      {});
            break;
        case core::PlainNotice::second_subscriber:
            log::warning(
                "a second plain subscription: every plain worker would run every step, so plain mode stops. "
                "End all plain workers except one, or let them send a hello",
                {{"open_batches", open}});
            break;
        case core::PlainNotice::one_left:
            log::info("one plain subscription is left: plain mode goes on when its open batch has ended",
                      {{"open_batches", open}});
            break;
        case core::PlainNotice::subscriber_left:
            if (open == 0) {
                log::info("the plain worker left");
            } else {
                log::warning(
                    "the plain worker left with a batch: plain mode stops until that batch has ended. "
                    "Start a plain worker again if its steps are not reported",
                    {{"open_batches", open}});
            }
            break;
    }
}

void IoSessions::on_control_subscribed(std::string_view session) {
    // Shows the epoch at once: a worker that sees a higher one sends its hello without waiting.
    if (sender_.control_text(session, sender_.heartbeat_text(heartbeat_n_))) count(counters_.heartbeats_sent);
    // Its hello may have overtaken its subscription, and then nobody received the welcome.
    const auto state = registry_.with([&](auto& registry) { return registry.state_of(session); });
    if (state == core::SessionState::greeted) send_welcome(session);
}

// ---------------------------------------------------------------- messages

// A name that harms others is refused for good: the same hello would come again for ever. A session that is
// known is none the worse for it, whoever sent this in its name.
bool IoSessions::is_acceptable(const protocol::Hello& hello, std::string_view raw) {
    const auto fault = fault_of(hello);
    if (!fault) return true;
    post_.malformed(protocol::kWorkersTopic, raw, to_text(protocol::ErrorCode::out_of_range), *fault,
                    hello.session);
    log::warning("a hello was refused", {{"session", hello.session}, {"cause", *fault}});
    const bool known =
        registry_.with([&](auto& registry) { return registry.find(hello.session) != nullptr; });
    if (!known) refuse(hello.session, protocol::kRefusedNotAllowed, *fault, hello.hello_nonce);
    return false;
}

// What sessions announced that are gone makes room first, at most once a second.
bool IoSessions::has_room_for(const protocol::Hello& hello, std::uint64_t peer, milliseconds now) {
    auto fault = announced_.enter(hello, peer);
    if (fault && now - room_made_ >= kMakeRoomEvery) {
        room_made_ = now;
        registry_.with([&](core::SessionRegistry& registry) {
            registry.forget_ended();
            announced_.keep_only(
                [&](const std::string& session) { return registry.find(session) != nullptr; });
        });
        fault = announced_.enter(hello, peer);
    }
    if (!fault) return true;
    if (now - refusal_at_ >= kMakeRoomEvery) {
        refusal_at_ = now;
        log::warning("a hello was refused", {{"session", hello.session}, {"cause", *fault}});
    }
    refuse(hello.session, kRefusedTooMany, *fault, hello.hello_nonce);
    return false;
}

void IoSessions::on_hello(const protocol::Hello& hello, std::string_view raw, milliseconds now,
                          std::uint64_t peer) {
    if (!is_acceptable(hello, raw)) return;
    if (refusing_) {
        refuse(hello.session, protocol::kRefusedDraining, "this orchestrator is shutting down",
               hello.hello_nonce);
        return;
    }
    // Another process with this id changes nothing, so it is not counted either.
    const bool is_foreign = registry_.with([&](const core::SessionRegistry& registry) {
        const core::KnownSession* known = registry.find(hello.session);
        return known != nullptr && (known->spec.host != hello.host || known->spec.pid != hello.pid);
    });
    if (!is_foreign && !has_room_for(hello, peer, now)) return;
    core::SessionSpec spec = to_spec(hello, options_);
    if (spec.capacity < hello.capacity || spec.prefetch < hello.prefetch.value_or(0)) {
        log::warning("a worker announces more than one session is given",
                     {{"worker", hello.worker_id},
                      {"session", hello.session},
                      {"capacity", hello.capacity},
                      {"prefetch", hello.prefetch.value_or(options_.delivery.prefetch)},
                      {"capacity_used", spec.capacity},
                      {"prefetch_used", spec.prefetch}});
    }
    const auto verdict =
        registry_.with([&](auto& registry) { return registry.on_hello(std::move(spec), now); });
    if (verdict == core::HelloVerdict::duplicate_session) {
        log::warning("a hello with the session id of another worker was refused",
                     {{"session", hello.session},
                      {"worker", hello.worker_id},
                      {"host", hello.host},
                      {"pid", hello.pid}});
        refuse(hello.session, protocol::kRefusedDuplicateSession,
               "another process has this session id: choose a new one", hello.hello_nonce);
        return;
    }
    if (hears_control(hello.session)) send_welcome(hello.session);
}

void IoSessions::send_welcome(std::string_view session) {
    protocol::Welcome welcome;
    welcome.session = session;
    welcome.heartbeat_ms = options_.timers.heartbeat.count();
    welcome.lease_ms = options_.timers.lease.count();
    welcome.resend_ms = options_.timers.resend.count();
    welcome.installation = sender_.installation();
    welcome.limits = {options_.limits.batch_bytes, options_.limits.result_bytes, options_.limits.depth,
                      plain_frame_bytes_max(options_.limits)};
    welcome.disconnect_grace_ms = options_.timers.disconnect_grace.count();
    registry_.with([&](const core::SessionRegistry& registry) {
        const core::KnownSession* known = registry.find(session);
        if (known == nullptr) return;
        welcome.capacity = known->spec.capacity;
        welcome.prefetch = known->spec.prefetch;
        if (!known->spec.hello_nonce.empty()) welcome.hello_nonce = known->spec.hello_nonce;
    });
    sender_.control(session, welcome);  // the worker repeats its hello until it is answered
}

void IoSessions::refuse(std::string_view session, std::string_view code, std::string message,
                        const std::optional<std::string>& hello_nonce) {
    protocol::Refused refused;
    refused.code = code;
    refused.message = std::move(message);
    refused.retry_ms = options_.refused_retry.count();
    refused.hello_nonce = hello_nonce;
    sender_.control(session, refused);
}

void IoSessions::record_fault(std::string_view session, core::SessionFault fault, std::string_view detail) {
    std::int64_t times =
        registry_.with([&](auto& registry) { return registry.record_fault(session, fault); });
    if (times == 0) times = ++faults_of_unknown_;
    if ((times & (times - 1)) != 0) return;
    log::warning(
        "a worker breaks the protocol",
        {{"session", session}, {"fault", core::to_text(fault)}, {"times", times}, {"detail", detail}});
}

void IoSessions::on_ready(const protocol::Ready& ready, milliseconds now) {
    const core::Inventory inventory = to_inventory(ready);
    const bool dispatchable = registry_.with([&](auto& registry) {
        return registry.on_ready(ready.session, ready.nonce, inventory, now) &&
               registry.is_ready(ready.session);
    });
    if (dispatchable) {
        dispatch_.on_session_ready(ready.session, inventory, now);
    } else {
        // An answer to an older probe, or of a session that drains or is not known.
        count(counters_.late);
    }
}

void IoSessions::on_heartbeat(const protocol::WorkerHeartbeat& heartbeat, std::string_view raw,
                              milliseconds now) {
    count(counters_.heartbeats_received);
    // It would make every later absence a proof.
    if (heartbeat.seen_n > heartbeat_n_) {
        post_.malformed(protocol::kWorkersTopic, raw, to_text(protocol::ErrorCode::out_of_range),
                        "seen_n: is above the n of the last heartbeat, " + std::to_string(heartbeat_n_),
                        heartbeat.session);
        record_fault(heartbeat.session, core::SessionFault::seen_n_ahead, std::to_string(heartbeat.seen_n));
        return;
    }
    const core::Inventory inventory = to_inventory(heartbeat);
    const bool known = registry_.with([&](auto& registry) {
        return registry.on_heartbeat(heartbeat.session, inventory, now, is_recent(heartbeat.seen_n));
    });
    if (!known) {
        // Forgotten, or ended by a goodbye that was not its own: only its hello makes it useful again.
        count(counters_.late);
        refuse(heartbeat.session, protocol::kRefusedUnknownSession, "this session is not known: say hello");
        return;
    }
    for (const auto* refs : {&inventory.held, &inventory.running, &inventory.unacked}) {
        for (const core::DeliveredRef& ref : *refs) dispatch_.on_accepted(heartbeat.session, ref.batch_uuid);
    }
    for (const protocol::RunningStep& step : heartbeat.running) {
        const bool first = registry_.with([&](auto& registry) {
            const std::string* owner = registry.flights().session_of(step.batch_id);
            return owner != nullptr && *owner == heartbeat.session &&
                   registry.record_running(step.batch_id, step.step_id);
        });
        if (first) post_.event(ports::StepRunning{step.batch_id, step.step_id, step.attempt, step.age_ms});
    }
    inventory_.check(heartbeat, inventory, now);
}

// A session that never shows what it was sent lately cannot be proven to have lost anything.
bool IoSessions::is_recent(std::int64_t seen_n) const {
    return heartbeat_n_ - seen_n <= kRecentLeases * options_.timers.lease / options_.timers.heartbeat;
}

void IoSessions::on_goodbye(const protocol::Goodbye& goodbye, milliseconds now) {
    const bool drained = goodbye.reason == protocol::kGoodbyeDrained;
    registry_.with([&](auto& registry) { registry.on_goodbye(goodbye.session, now, drained); });
}

// ---------------------------------------------------------------- time

void IoSessions::send_heartbeats(milliseconds now) {
    if (now < next_heartbeat_) return;
    next_heartbeat_ = now + options_.timers.heartbeat;
    ++heartbeat_n_;
    dispatch_.record_heartbeat(heartbeat_n_);
    const std::string text = sender_.heartbeat_text(heartbeat_n_);
    // One for each session: on a shared topic one stalled peer would hold up everybody's.
    for (const auto& [session, subscriptions] : control_) {
        if (sender_.control_text(session, text)) count(counters_.heartbeats_sent);
    }
}

void IoSessions::tick(milliseconds now, milliseconds heard_until) {
    const auto probes = registry_.with([&](auto& registry) {
        return registry.next_check() <= now ? registry.advance(now, heard_until)
                                            : std::vector<core::ProbeDue>{};
    });
    for (auto& session : registry_.with([&](auto& registry) { return registry.never_returned(now); })) {
        log::warning("a worker of the time before the start has not come back", {{"session", session}});
        post_.event(ports::SessionLost{std::move(session), "", "did_not_return", 0, false});
    }
    // Probes before heartbeats, for the same reason as batches: both are repeated at the same pace.
    for (const core::ProbeDue& probe : probes) sender_.probe(probe.session, probe.nonce);
    send_heartbeats(now);
}

void IoSessions::report_changes() {
    auto [changes, credit, waiting, in_flight] = registry_.with([](auto& registry) {
        return std::tuple(registry.take_changes(), registry.take_credit_appeared(),
                          registry.take_lanes_to_wake(), registry.credit_in_flight());
    });
    counters_.credit_in_flight.store(in_flight, std::memory_order_relaxed);
    for (const core::SessionChange& change : changes) log_change(change);
    if (credit) post_.event(ports::CreditAppeared{});
    if (waiting != 0) post_.event_to(waiting, ports::CreditShared{});
}

void IoSessions::log_change(const core::SessionChange& change) {
    const std::string_view cause = core::to_text(change.event);
    switch (change.to) {
        case core::SessionState::greeted:
            log::debug("worker said hello", {{"worker", change.worker_id}, {"session", change.session}});
            break;
        case core::SessionState::ready:
            log::info("worker is ready", {{"worker", change.worker_id}, {"session", change.session}});
            break;
        case core::SessionState::draining:
            log::info("worker is draining", {{"worker", change.worker_id}, {"session", change.session}});
            break;
        case core::SessionState::suspect:
            log::warning("worker gets no new work until it answers a probe",
                         {{"worker", change.worker_id}, {"session", change.session}, {"cause", cause}});
            break;
        case core::SessionState::lost:
            if (change.from == core::SessionState::lost) {
                log::info("the lease of a lost worker has ended: what waited for it is given up",
                          {{"worker", change.worker_id}, {"session", change.session}});
                // Again, now that it may not return: steps of on_orphan: dead_letter waited for this.
                post_.event(
                    ports::SessionLost{change.session, change.worker_id, std::string(cause), 0, false});
                break;
            }
            [[fallthrough]];
        case core::SessionState::left:
            if (change.event == core::SessionEvent::goodbye && change.credit_released == 0) {
                log::info("worker said goodbye", {{"worker", change.worker_id}, {"session", change.session}});
            } else {
                log::warning("worker is lost", {{"worker", change.worker_id},
                                                {"session", change.session},
                                                {"cause", cause},
                                                {"steps_in_flight", change.credit_released}});
            }
            inventory_.forget(change.session);
            post_.event(ports::SessionLost{change.session, change.worker_id, std::string(cause),
                                           change.credit_released, change.drained});
            break;
    }
}

milliseconds IoSessions::next_deadline() {
    return std::min(next_heartbeat_, registry_.with([](auto& registry) { return registry.next_check(); }));
}

}  // namespace tasker::engine
