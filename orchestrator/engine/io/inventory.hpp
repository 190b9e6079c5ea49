// Compares what a session lists with what was sent to it. Steps it should not have any more are cancelled
// there. Steps it should have and has not are reported as absent. Steps it holds without reason are called in.
// Reports it says it has sent, and that never come, are asked for. So whatever a session says, nothing stays
// with it for ever.
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

/// A held step is called in when so many times the session's credit, or this many steps at least, have ended
/// there since it was first listed.
inline constexpr std::int64_t kOvertakenTimes = 4;
inline constexpr std::int64_t kOvertakenMin = 16;
/// So often a report is asked for that a session says it has sent.
inline constexpr int kTimesAskedMax = 3;

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
    /// A step of this session has ended, by its report or its hand-back.
    void on_step_ended(std::string_view session);
    void forget(std::string_view session);

  private:
    // One step that does not move on.
    struct Wait {
        milliseconds since{0};
        int times = 0;                // it was called in, or asked for
        std::int64_t ended = 0;       // of its session's steps, when this began
        std::int64_t dropped = 0;     // of all reports, when this began
        std::uint64_t heartbeat = 0;  // that listed it last
    };
    using Waits = core::TextMap<Wait>;  // by batch and step
    struct Session {
        Waits held;
        Waits unacked;
        std::int64_t ended = 0;
        std::uint64_t heartbeats = 0;
    };

    void cancel_stale(const protocol::WorkerHeartbeat& heartbeat);
    /// What of the list is out at this session and not reported.
    std::vector<const protocol::StepRef*> expected_of(std::string_view session,
                                                      const std::vector<protocol::StepRef>& refs);
    bool runs_in_time(const protocol::WorkerHeartbeat& heartbeat);
    std::int64_t overtaken_at(std::string_view session);
    Wait& wait_for(Waits& waits, const Session& session, const protocol::StepRef& ref, milliseconds now);
    void check_held(const protocol::WorkerHeartbeat& heartbeat, milliseconds now);
    void check_unacked(const protocol::WorkerHeartbeat& heartbeat, milliseconds now);
    void give_up_reports(std::string_view session, ports::StepsAbsent withheld, milliseconds now);
    void drop_unlisted(std::string_view session);

    const IoOptions& options_;
    SharedRegistry& registry_;
    IoSender& sender_;
    IoPost& post_;
    IoDispatch& dispatch_;
    IoCounters& counters_;
    core::TextMap<Session> sessions_;  // those that list something held, or reported and not yet here
    std::string key_;                  // of the look-up under way
    std::uint32_t trusted_ = 0;        // lanes, as bits
};

}  // namespace tasker::engine
