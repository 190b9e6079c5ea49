// The three sockets the orchestrator binds. A standby binds them early and stays silent: workers are
// connected when it takes over, and lose no time with reconnecting.
#pragma once

#include <deque>
#include <optional>
#include <zmq.hpp>

#include "orchestrator/engine/io_command.hpp"
#include "orchestrator/engine/io_options.hpp"
#include "orchestrator/transport/command_router.hpp"
#include "orchestrator/transport/results_subscriber.hpp"
#include "orchestrator/transport/steps_publisher.hpp"

namespace tasker::engine {

/// Belongs to one thread at a time: the standby's, then the io thread's.
class IoSockets {
  public:
    /// Binds all three; throws transport::BindError naming the one that cannot be bound.
    IoSockets(zmq::context_t& context, const IoOptions& options);

    /// For a standby: keeps the account of subscriptions short, and answers commands from `health`.
    void idle(const HealthSource& health);
    /// From now on results are heard.
    void open() { results.open(); }
    /// Those kept by `idle` first.
    std::optional<transport::SubscriptionChange> next_change();

    transport::StepsPublisher steps;
    transport::ResultsSubscriber results;
    transport::CommandRouter commands;

  private:
    std::deque<transport::SubscriptionChange> kept_;  // of subscriptions that still stand
};

}  // namespace tasker::engine
