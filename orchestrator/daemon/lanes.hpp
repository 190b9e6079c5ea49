// The lanes of one orchestrator: each a listener with its connection, its mailbox and its thread. They are
// one process, one instance lock and one epoch, and stand and fall together.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "orchestrator/engine/turns/lane_router.hpp"
#include "orchestrator/engine/turns/listener.hpp"
#include "orchestrator/store/turn_store.hpp"

namespace tasker {

class Lanes {
  public:
    struct Dependencies {
        postgres::Address database;
        store::Instance instance;
        ports::Publisher& publisher;
        ports::CreditPool& credit;
        engine::LaneRouter& router;
        const ports::Clock& clock;
        std::function<void(std::vector<std::int64_t>)> tasks_ended;
        const std::atomic<bool>& stopping;
        /// A lane's thread has ended; with a null pointer because its mailbox was closed.
        std::function<void(std::exception_ptr)> ended;
    };

    /// `first` is the connection that began the epoch and holds the instance lock: lane 0 goes on with it.
    Lanes(const engine::ListenerOptions& options, Dependencies dependencies,
          std::unique_ptr<store::TurnStore> first);

    /// Reads and adopts the open batches of all lanes, before the first session can come.
    void prepare();
    void start();
    /// After the mailboxes were closed: waits until all have written what they received.
    void join();

    /// Those of each lane, in their order; they live as long as this.
    std::vector<const engine::ListenerCounters*> counters() const;

  private:
    std::unique_ptr<ports::Store> open(int lane, std::int64_t& last_turn);
    void run(engine::Listener& listener) const;

    const Dependencies deps_;
    const std::int64_t epoch_;
    std::unique_ptr<store::TurnStore> first_;
    std::vector<std::unique_ptr<engine::Listener>> listeners_;
    std::vector<std::thread> threads_;
};

}  // namespace tasker
