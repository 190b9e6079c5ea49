#include "orchestrator/engine/io_sessions.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "orchestrator/engine/io_convert.hpp"
#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;
namespace {

using Kind = transport::SubscriptionChange::Kind;

// A subscription is a byte prefix: with one of these a peer hears more than one worker's messages.
bool is_too_broad(std::string_view topic) {
    const auto begins_with = [](std::string_view text, std::string_view prefix) {
        return text.substr(0, prefix.size()) == prefix;
    };
    return begins_with(protocol::kStepsSessionPrefix, topic) ||
           begins_with(protocol::kControlSessionPrefix, topic) ||
           begins_with(topic, protocol::kStepsSessionPrefix) ||
           begins_with(topic, protocol::kControlSessionPrefix);
}

}  // namespace

// ---------------------------------------------------------------- subscriptions

void IoSessions::on_subscription(const transport::SubscriptionChange& change, milliseconds now) {
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
    if (parsed && parsed->kind == protocol::TopicKind::kSessionSteps) {
        registry_.with([&](auto& registry) {
            subscribed ? registry.on_subscribed(parsed->session, now)
                       : registry.on_unsubscribed(parsed->session, now);
        });
    } else if (parsed && parsed->kind == protocol::TopicKind::kSessionControl) {
        auto place = control_.find(parsed->session);
        if (subscribed) {
            if (place == control_.end()) place = control_.emplace(std::string(parsed->session), 0).first;
            ++place->second;
            on_control_subscribed(parsed->session);
        } else if (place != control_.end() && --place->second == 0) {
            control_.erase(place);
        }
    } else if (subscribed && is_too_broad(topic)) {
        log::warning(
            "a peer subscribed to a prefix and hears what is meant for others; a worker must subscribe to "
            "its "
            "whole topic with the space that ends it",
            {{"subscription", topic}});
    } else if (subscribed) {
        log::info("a peer subscribed to a topic that is never used", {{"subscription", topic}});
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
                "End "
                "all plain workers but one, or let them say hello",
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
                    "the plain worker left with a batch: plain mode stops until that batch has ended. Start "
                    "a "
                    "plain worker again if its steps are not reported",
                    {{"open_batches", open}});
            }
            break;
    }
}

void IoSessions::on_control_subscribed(std::string_view session) {
    // Says at once who rules: a worker that sees a higher epoch says hello without waiting.
    if (sender_.control_text(session, sender_.heartbeat_text(heartbeat_n_))) count(counters_.heartbeats_sent);
    // Its hello may have overtaken its subscription, and then the welcome had nobody to hear it.
    const auto state = registry_.with([&](auto& registry) { return registry.state_of(session); });
    if (state == core::SessionState::greeted) send_welcome(session);
}

// ---------------------------------------------------------------- messages

void IoSessions::on_hello(const protocol::Hello& hello, milliseconds now) {
    if (refusing_) {
        refuse(hello.session, protocol::kRefusedDraining, "this orchestrator is shutting down");
        return;
    }
    const auto verdict =
        registry_.with([&](auto& registry) { return registry.on_hello(to_spec(hello), now); });
    if (verdict == core::HelloVerdict::duplicate_session) {
        log::warning("a hello with the session id of another worker was refused",
                     {{"session", hello.session},
                      {"worker", hello.worker_id},
                      {"host", hello.host},
                      {"pid", hello.pid}});
        refuse(hello.session, protocol::kRefusedDuplicateSession,
               "another process has this session id: choose a new one");
        return;
    }
    if (hears_control(hello.session)) send_welcome(hello.session);
}

void IoSessions::send_welcome(std::string_view session) {
    protocol::Welcome welcome;
    welcome.session = session;
    welcome.heartbeat_ms = options_.heartbeat.count();
    welcome.lease_ms = options_.lease.count();
    welcome.resend_ms = options_.resend.count();
    welcome.limits = options_.limits;
    sender_.control(session, welcome);  // the worker repeats its hello until it is answered
}

void IoSessions::refuse(std::string_view session, std::string_view code, std::string message) {
    protocol::Refused refused;
    refused.code = code;
    refused.message = std::move(message);
    refused.retry_ms = options_.refused_retry.count();
    sender_.control(session, refused);
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

void IoSessions::on_heartbeat(const protocol::WorkerHeartbeat& heartbeat, milliseconds now) {
    count(counters_.heartbeats_received);
    const core::Inventory inventory = to_inventory(heartbeat);
    const bool known = registry_.with(
        [&](auto& registry) { return registry.on_heartbeat(heartbeat.session, inventory, now); });
    if (!known) {
        count(counters_.late);
        return;
    }
    for (const auto* refs : {&inventory.held, &inventory.running, &inventory.unacked}) {
        for (const core::DeliveredRef& ref : *refs) dispatch_.on_accepted(heartbeat.session, ref.batch_uuid);
    }
    for (const protocol::RunningStep& step : heartbeat.running) {
        const bool first = registry_.with([&](auto& registry) {
            const std::string* owner = registry.flights().session_of(step.batch_id);
            return owner != nullptr && *owner == heartbeat.session &&
                   registry.note_running(step.batch_id, step.step_id);
        });
        if (first) post_.event(ports::StepRunning{step.batch_id, step.step_id, step.attempt, step.age_ms});
    }
    inventory_.check(heartbeat, inventory, now);
}

void IoSessions::on_goodbye(const protocol::Goodbye& goodbye, milliseconds now) {
    const bool drained = goodbye.reason == protocol::kGoodbyeDrained;
    registry_.with([&](auto& registry) { registry.on_goodbye(goodbye.session, now, drained); });
}

// ---------------------------------------------------------------- time

void IoSessions::send_heartbeats(milliseconds now) {
    if (now < next_heartbeat_) return;
    next_heartbeat_ = now + options_.heartbeat;
    ++heartbeat_n_;
    dispatch_.note_heartbeat(heartbeat_n_);
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
