#include "orchestrator/engine/io_sockets.hpp"

#include <algorithm>
#include <utility>

#include "protocol/cpp/frame.hpp"

namespace tasker::engine {

IoSockets::IoSockets(zmq::context_t& context, const IoOptions& options)
    : steps(context, options.steps_endpoint, options.step_queue_hwm),
      results(context, options.results_endpoint,
              options.limits.result_bytes + static_cast<std::int64_t>(protocol::kEnvelopeBytesMax)),
      commands(context, options.command_endpoint, kCommandBytesMax) {}

// Workers come and go while a standby waits for days: an end cancels out its beginning.
void IoSockets::idle(const HealthSource& health) {
    using Kind = transport::SubscriptionChange::Kind;
    while (auto change = steps.next_change()) {
        if (change->kind == Kind::foreign) continue;
        if (change->kind == Kind::subscribed) {
            kept_.push_back(std::move(*change));
            continue;
        }
        const auto begun =
            std::find_if(kept_.begin(), kept_.end(), [&](const auto& k) { return k.topic == change->topic; });
        if (begun != kept_.end()) kept_.erase(begun);
    }
    while (auto request = commands.receive()) {
        commands.reply(*request, request->well_formed ? answer_command(request->body, health)
                                                      : answer_malformed_command());
    }
}

std::optional<transport::SubscriptionChange> IoSockets::next_change() {
    if (kept_.empty()) return steps.next_change();
    auto change = std::move(kept_.front());
    kept_.pop_front();
    return change;
}

}  // namespace tasker::engine
