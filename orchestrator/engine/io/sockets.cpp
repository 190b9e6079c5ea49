#include "orchestrator/engine/io/sockets.hpp"

#include <utility>

#include "orchestrator/util/time.hpp"
#include "protocol/cpp/frame.hpp"

namespace tasker::engine {

IoSockets::IoSockets(zmq::context_t& context, const IoOptions& options)
    : steps(context, options.endpoints.steps.bind, options.delivery.step_queue_hwm),
      results(context, options.endpoints.results.bind, received_frame_bytes_max(options.limits)),
      commands(context, options.endpoints.command.bind, kCommandBytesMax),
      guard(steps.endpoint(), options.peers.subscriptions),
      endless_steps_("steps", steps.endpoint(), transport::kSubscriptionBytesMax),
      endless_results_("results", results.endpoint(),
                       static_cast<std::uint64_t>(received_frame_bytes_max(options.limits))),
      endless_commands_("command", commands.endpoint(), kCommandBytesMax) {}

void IoSockets::idle(const HealthSource& health) {
    const milliseconds end = util::boot_time() + kIdleAtMost;
    // The clock is read each time: a single one of them can be slow to come, behind a flood.
    for (milliseconds now = util::boot_time(); now < end; now = util::boot_time()) {
        auto change = steps.next_change();
        if (!change) break;
        endless_steps_.hear(change->descriptor, now);
        keep(guard.judge(std::move(*change), now));
    }
    for (int budget = kCommandsAtOnce; budget > 0; --budget) {
        auto request = next_request(util::boot_time());
        if (!request) break;
        commands.reply(*request, request->well_formed ? answer_command(request->body, health)
                                                      : answer_malformed_command());
    }
    end_endless(util::boot_time());
}

std::optional<transport::CommandRequest> IoSockets::next_request(milliseconds now) {
    auto request = commands.receive();
    if (request) endless_commands_.hear(request->descriptor, now);
    return request;
}

std::int64_t IoSockets::end_endless(milliseconds now, const EndlessGuard::IsHeard& heard_results) {
    return endless_steps_.check(now) + endless_results_.check(now, heard_results) +
           endless_commands_.check(now);
}

// Workers come and go while a standby waits for days: an end cancels out its beginning.
void IoSockets::keep(const transport::SubscriptionChange& change) {
    using Kind = transport::SubscriptionChange::Kind;
    if (change.kind == Kind::subscribed) {
        ++kept_[change.topic];
    } else if (change.kind == Kind::unsubscribed) {
        const auto place = kept_.find(change.topic);
        if (place != kept_.end() && --place->second == 0) kept_.erase(place);
    }
}

std::optional<transport::SubscriptionChange> IoSockets::next_change(milliseconds now) {
    if (!kept_.empty()) {
        const auto first = kept_.begin();
        transport::SubscriptionChange change{transport::SubscriptionChange::Kind::subscribed, first->first,
                                             -1};
        if (--first->second == 0) kept_.erase(first);
        return change;
    }
    auto change = steps.next_change();
    if (!change) return std::nullopt;
    endless_steps_.hear(change->descriptor, now);
    return guard.judge(std::move(*change), now);
}

}  // namespace tasker::engine
