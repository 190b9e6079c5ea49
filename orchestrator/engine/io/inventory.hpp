// Compares what a session lists with what was sent to it: steps it should not have any more are cancelled
// there, steps it should have and has not are reported as absent, and steps it holds without reason are
// called in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/engine/io/dispatch.hpp"
#include "orchestrator/engine/io/options.hpp"
#include "orchestrator/engine/io/post.hpp"
#include "orchestrator/engine/io/registry.hpp"
#include "orchestrator/engine/io/sender.hpp"

namespace tasker::engine {

/// Belongs to the io thread. Fed with every heartbeat of a known session.
class IoInventory {
  public:
    IoInventory(const IoOptions& options, SharedRegistry& registry, IoSender& sender, IoPost& post,
                IoDispatch& dispatch, IoCounters& counters)
        : options_(options),
          registry_(registry),
          sender_(sender),
          post_(post),
          dispatch_(dispatch),
          counters_(counters) {}

    /// The open batches of this lane are known from now on: before, a step of an earlier life would look
    /// stale.
    void trust(int lane) { trusted_ |= 1U << lane; }
    void check(const protocol::WorkerHeartbeat& heartbeat, const core::Inventory& inventory,
               milliseconds now);
    void forget(std::string_view session);

  private:
    struct Held {
        core::DeliveredRef ref;
        milliseconds since{0};
        bool called = false;  // was cancelled there once
    };

    void cancel_stale(const protocol::WorkerHeartbeat& heartbeat);
    void check_held(const protocol::WorkerHeartbeat& heartbeat, milliseconds now);

    const IoOptions& options_;
    SharedRegistry& registry_;
    IoSender& sender_;
    IoPost& post_;
    IoDispatch& dispatch_;
    IoCounters& counters_;
    core::TextMap<std::vector<Held>> held_;  // by session, while it has free slots
    std::uint32_t trusted_ = 0;              // lanes, as bits
};

}  // namespace tasker::engine
