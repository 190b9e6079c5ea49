// The three sockets the orchestrator binds. A standby binds them early and stays silent: workers are
// connected when it takes over, and lose no time with reconnecting.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <zmq.hpp>

#include "orchestrator/engine/io/command.hpp"
#include "orchestrator/engine/io/endless_guard.hpp"
#include "orchestrator/engine/io/options.hpp"
#include "orchestrator/engine/io/subscription_guard.hpp"
#include "orchestrator/transport/command_router.hpp"
#include "orchestrator/transport/results_subscriber.hpp"
#include "orchestrator/transport/steps_publisher.hpp"

namespace tasker::engine {

/// What one call of `idle` may take: well below the pause in which a standby tries the lock.
inline constexpr milliseconds kIdleAtMost{100};

/// Belongs to one thread at a time: the standby's, then the io thread's.
class IoSockets {
  public:
    /// Binds all three; throws transport::BindError naming the one that cannot be bound.
    IoSockets(zmq::context_t& context, const IoOptions& options);

    /// For a standby: counts the subscriptions that stand, and answers commands from `health`. Returns after
    /// kIdleAtMost with whatever is left; what peers do cannot keep it longer.
    void idle(const HealthSource& health);
    /// From now on results are received.
    void open() { results.open(); }
    /// The next request on the command socket.
    std::optional<transport::CommandRequest> next_request(milliseconds now);
    /// Those kept by `idle` first. Kind::none concerns nobody; nullopt when none waits.
    std::optional<transport::SubscriptionChange> next_change(milliseconds now);

    /// Ends connections that send one message without an end; how many. `heard`: on the results socket.
    std::int64_t end_endless(milliseconds now, const EndlessGuard::IsHeard& heard_results = nullptr);

    /// There is an endpoint whose connections have to be looked at from time to time.
    bool is_watched() const {
        return endless_steps_.is_possible() || endless_results_.is_possible() ||
               endless_commands_.is_possible();
    }

    transport::StepsPublisher steps;
    transport::ResultsSubscriber results;
    transport::CommandRouter commands;
    SubscriptionGuard guard;

  private:
    void keep(const transport::SubscriptionChange& change);

    EndlessGuard endless_steps_, endless_results_, endless_commands_;
    // How many stand of each topic. Backwards: a session's steps topic is proven before its control topic
    // makes it say hello.
    std::map<std::string, std::int64_t, std::greater<>> kept_;
};

}  // namespace tasker::engine
