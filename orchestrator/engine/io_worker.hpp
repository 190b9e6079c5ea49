// The inside of the io thread: its sockets, and one round of its loop.
#pragma once

#include <array>
#include <string>
#include <vector>
#include <zmq.hpp>

#include "orchestrator/engine/io_dispatch.hpp"
#include "orchestrator/engine/io_loop.hpp"
#include "orchestrator/engine/io_post.hpp"
#include "orchestrator/engine/io_receive.hpp"
#include "orchestrator/engine/io_sender.hpp"
#include "orchestrator/engine/io_sessions.hpp"
#include "orchestrator/transport/command_router.hpp"
#include "orchestrator/transport/results_subscriber.hpp"
#include "orchestrator/transport/steps_publisher.hpp"

namespace tasker::engine {

/// Made by the starter, then used and destroyed by the io thread alone.
class IoLoop::Worker {
  public:
    Worker(std::unique_ptr<IoSockets> sockets, const IoOptions& options, SharedRegistry& registry,
           LaneRouter& router, const HealthSource& health, IoCounters& counters);

    /// Until a socket is readable, `wake` was notified or a timer is due; not at all when the last round left
    /// messages.
    void wait(const util::EventFd& wake);
    /// Reads each socket up to a budget; after a pause of this process, until all are empty.
    void read_sockets();

    void carry_out(std::vector<ports::OutboundBatch> batches);
    void carry_out(Adopt call);
    void carry_out(std::vector<ports::AckList> acks);
    void carry_out(RequestReports call);
    void carry_out(CancelSteps call);
    void carry_out(const ports::StartAnswer& answer);
    void carry_out(const SuspectSession& call);
    void carry_out(DrainSession call);
    void carry_out(const Forget& call);
    void carry_out(RefuseSessions call);

    /// Timers, and everything collected goes to the listener.
    void finish_round();

    const IoSockets& sockets() const { return *sockets_; }

  private:
    bool read_subscriptions(int budget);
    bool read_results(int budget);
    bool read_commands(int budget);
    milliseconds time_to_wait(milliseconds now);

    const IoOptions& options_;
    SharedRegistry& registry_;
    const HealthSource& health_;
    IoCounters& counters_;

    const std::unique_ptr<IoSockets> sockets_;
    IoSender sender_;
    IoPost post_;
    IoDispatch dispatch_;
    IoInventory inventory_;
    IoSessions sessions_;
    IoReceiver receiver_;

    milliseconds now_{0};          // of this round
    milliseconds round_at_;        // begin of the last round
    milliseconds heard_until_{0};  // all messages that had arrived by then are read
    bool more_waits_ = false;      // a budget ended before its socket was empty
};

}  // namespace tasker::engine
