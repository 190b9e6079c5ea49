// The life of sessions on the wire: hello → welcome → probe → ready, heartbeats both ways, goodbye. The
// registry decides, this class speaks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "orchestrator/engine/io/announced.hpp"
#include "orchestrator/engine/io/dispatch.hpp"
#include "orchestrator/engine/io/inventory.hpp"
#include "orchestrator/engine/io/options.hpp"
#include "orchestrator/engine/io/post.hpp"
#include "orchestrator/engine/io/registry.hpp"
#include "orchestrator/engine/io/sender.hpp"

namespace tasker::engine {

/// Heartbeats of a later epoch have higher numbers, so that what a worker saw of an earlier one proves
/// nothing. (Thirty years of one a second.)
inline constexpr std::int64_t kHeartbeatsPerEpoch = 1'000'000'000;

/// Belongs to the io thread.
class IoSessions {
  public:
    IoSessions(const IoOptions& options, SharedRegistry& registry, IoSender& sender, IoPost& post,
               IoDispatch& dispatch, IoInventory& inventory, IoCounters& counters)
        : options_(options),
          registry_(registry),
          sender_(sender),
          post_(post),
          dispatch_(dispatch),
          inventory_(inventory),
          counters_(counters),
          announced_(options.peers),
          heartbeat_n_(options.epoch * kHeartbeatsPerEpoch) {
        dispatch_.record_heartbeat(heartbeat_n_);
    }

    void on_subscription(const transport::SubscriptionChange& change, milliseconds now);

    /// `peer`: the connection it came on.
    void on_hello(const protocol::Hello& hello, std::string_view raw, milliseconds now, std::uint64_t peer);
    void on_ready(const protocol::Ready& ready, milliseconds now);
    /// `raw`: its text, to be kept if it is refused.
    void on_heartbeat(const protocol::WorkerHeartbeat& heartbeat, std::string_view raw, milliseconds now);
    void on_goodbye(const protocol::Goodbye& goodbye, milliseconds now);
    /// A step of it has ended, by its report or its hand-back.
    void on_step_ended(std::string_view session) { inventory_.on_step_ended(session); }
    /// Answers a session that cannot be served, with the reason. `hello_nonce`: of the hello that this answers.
    void refuse(std::string_view session, std::string_view code, std::string message,
                const std::optional<std::string>& hello_nonce = std::nullopt);
    /// Counts it for the worker list, and logs it the first, second, fourth … time.
    void record_fault(std::string_view session, core::SessionFault fault, std::string_view detail);

    /// Heartbeats when due; silence and leases judged at `heard_until`, up to which every message that has
    /// arrived has been read; probes; what has changed is logged and posted.
    void tick(milliseconds now, milliseconds heard_until);
    void report_changes();
    milliseconds next_deadline();

    /// New sessions are refused from now on (`draining`).
    void refuse_new_sessions() { refusing_ = true; }

  private:
    void on_plain(bool subscribed);
    void on_control_subscribed(std::string_view session);
    void send_welcome(std::string_view session);
    bool is_acceptable(const protocol::Hello& hello, std::string_view raw);
    bool has_room_for(const protocol::Hello& hello, std::uint64_t peer, milliseconds now);
    void send_heartbeats(milliseconds now);
    bool is_recent(std::int64_t seen_n) const;
    void log_change(const core::SessionChange& change);
    bool hears_control(std::string_view session) const { return control_.find(session) != control_.end(); }

    const IoOptions& options_;
    SharedRegistry& registry_;
    IoSender& sender_;
    IoPost& post_;
    IoDispatch& dispatch_;
    IoInventory& inventory_;
    IoCounters& counters_;
    core::TextMap<std::int32_t> control_;  // subscriptions of control topics, by session
    Announced announced_;
    milliseconds room_made_{0};   // sessions that had ended were forgotten for it
    milliseconds refusal_at_{0};  // that was logged last
    std::int64_t heartbeat_n_;
    milliseconds next_heartbeat_{0};
    std::int64_t faults_of_unknown_ = 0;
    bool refusing_ = false;
};

}  // namespace tasker::engine
