// The inside of the io thread: its sockets, and what one round of its loop does.
#pragma once

#include <memory>
#include <utility>
#include <variant>

#include "orchestrator/engine/io/command.hpp"
#include "orchestrator/engine/io/dispatch.hpp"
#include "orchestrator/engine/io/flood_gate.hpp"
#include "orchestrator/engine/io/inventory.hpp"
#include "orchestrator/engine/io/options.hpp"
#include "orchestrator/engine/io/post.hpp"
#include "orchestrator/engine/io/receive.hpp"
#include "orchestrator/engine/io/sender.hpp"
#include "orchestrator/engine/io/sessions.hpp"
#include "orchestrator/engine/io/sockets.hpp"
#include "orchestrator/ports/delivery.hpp"
#include "orchestrator/util/event_fd.hpp"

namespace tasker::engine {

/// Made by the starter, then used and destroyed by the io thread alone.
class IoRound {
  public:
    IoRound(std::unique_ptr<IoSockets> sockets, const IoOptions& options, SharedRegistry& registry,
            LaneRouter& router, const HealthSource& health, IoCounters& counters);

    /// Until a socket is readable, `wake` was notified or a timer is due; not at all when the last round left
    /// messages.
    void wait(const util::EventFd& wake);
    /// Reads each socket up to a budget; after a pause of this process, until all are empty.
    void read_sockets();

    void carry_out(ports::Outbound message) {
        mark_running();
        std::visit([this](auto& it) { handle(std::move(it)); }, message);
    }

    /// Timers, and everything collected goes to the listener.
    void finish_round();

    const IoSockets& sockets() const { return *sockets_; }

  private:
    // One for each kind of message.
    void handle(ports::PublishBatches message);
    void handle(ports::AdoptBatches message);
    void handle(const ports::ForgetBatches& message);
    void handle(ports::Acknowledge message);
    void handle(ports::RequestReports message);
    void handle(ports::CancelSteps message);
    void handle(const ports::StartAnswer& answer);
    void handle(const ports::SuspectSession& message);
    void handle(ports::DrainSession message);
    void handle(const ports::RecordFault& message);
    void handle(ports::RefuseSessions);
    void handle(const ports::ReopenSteps& message);

    /// Notes that this thread runs; called so often that only a stop of the process leaves a long gap.
    void mark_running();
    void end_endless();
    bool read_subscriptions(int budget);
    bool read_results(int budget);
    void take_frame(std::string_view frame);
    bool read_commands(int budget);
    milliseconds time_to_wait(milliseconds now);

    const IoOptions& options_;
    SharedRegistry& registry_;
    const HealthSource& health_;
    IoCounters& counters_;

    const std::unique_ptr<IoSockets> sockets_;
    FloodGate gate_;
    IoSender sender_;
    IoPost post_;
    IoDispatch dispatch_;
    IoInventory inventory_;
    IoSessions sessions_;
    IoReceiver receiver_;

    milliseconds now_{0};      // of this round
    milliseconds running_at_;  // when this thread was last known to run
    milliseconds endless_at_{0};
    milliseconds longest_gap_{0};  // between two such moments, since the last round
    milliseconds heard_until_{0};  // all messages that had arrived by then are read
    bool more_waits_ = false;      // a budget ended before its socket was empty
};

}  // namespace tasker::engine
