// The io thread: owner of every ZeroMQ socket, and the only one that touches them.
//
// It waits in one poll for the three sockets and for the listener's messages, reads each socket up to a
// budget, carries out the messages, serves the timers, and hands everything it has for the lanes over at
// once. It never touches the database and never waits for anybody: a queue that is full is a timer. Nothing
// it holds must survive: sessions send their hello again, and open batches are adopted from the database. A
// failure it cannot mend (a socket call that may not fail) ends the thread, closes the mailboxes, and is
// asked for by `failure`.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>
#include <zmq.hpp>

#include "orchestrator/engine/io/command.hpp"
#include "orchestrator/engine/io/options.hpp"
#include "orchestrator/engine/io/registry.hpp"
#include "orchestrator/engine/io/sockets.hpp"
#include "orchestrator/engine/turns/lane_router.hpp"
#include "orchestrator/ports/delivery.hpp"
#include "orchestrator/util/event_fd.hpp"

namespace tasker::engine {

class IoRound;

/// Implements the listener's Publisher; messages come from any thread, are queued and carried out in order.
class IoLoop final : public ports::Publisher {
  public:
    /// Takes sockets that are bound, and begins to receive results. `registry` and `router` outlive the loop.
    IoLoop(std::unique_ptr<IoSockets> sockets, IoOptions options, SharedRegistry& registry,
           LaneRouter& router, HealthSource health);
    /// Binds them itself; throws transport::BindError naming the one that cannot be bound.
    IoLoop(zmq::context_t& context, const IoOptions& options, SharedRegistry& registry, LaneRouter& router,
           HealthSource health)
        : IoLoop(std::make_unique<IoSockets>(context, options), options, registry, router,
                 std::move(health)) {}
    /// Stops, when that has not been done.
    ~IoLoop() override;
    IoLoop(const IoLoop&) = delete;
    IoLoop& operator=(const IoLoop&) = delete;

    /// Starts the thread. Before it: adopt what is open, so that its credit is taken when the first session
    /// comes.
    void start();
    /// Carries out what was sent before, closes the sockets (what they have queued is sent for a moment
    /// more) and ends the thread. Safe to call twice.
    void stop();

    void send(ports::Outbound message) override;

    const IoCounters& counters() const { return counters_; }
    /// What was really bound; differs from the options for port 0 and `ipc://*`.
    const std::string& steps_endpoint() const { return steps_endpoint_; }
    const std::string& results_endpoint() const { return results_endpoint_; }
    const std::string& command_endpoint() const { return command_endpoint_; }
    /// Why the thread ended by itself; empty while it runs or after an orderly stop.
    std::string failure() const;

  private:
    void take_credit(const ports::AdoptBatches& adoption);
    std::vector<ports::Outbound> take_queued();
    void run();

    const IoOptions options_;
    SharedRegistry& registry_;
    LaneRouter& router_;
    const HealthSource health_;
    IoCounters counters_;
    std::string steps_endpoint_;
    std::string results_endpoint_;
    std::string command_endpoint_;

    util::EventFd wake_;
    std::atomic<bool> stopping_{false};
    std::unique_ptr<IoRound> round_;  // the thread's own, once it runs
    std::thread thread_;

    mutable std::mutex mutex_;
    std::vector<ports::Outbound> queued_;  // guarded by mutex_
    std::string failure_;                  // guarded by mutex_
};

}  // namespace tasker::engine
