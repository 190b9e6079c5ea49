// Batches that are out: sent, waiting to be accepted, sent again.
//
// The database knows every batch; this is only the memory needed to send one again unchanged. A batch is kept
// from `publish` or `adopt` until `forget`, its message only until the session is known to have it. What
// becomes of a batch that nobody accepts is not decided here: its session becomes suspect, and the batch
// waits until the session answers a probe (then it is sent again) or the listener ends it. That it was not
// accepted is posted again after each lease in which its session sent messages and was not ready.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "orchestrator/engine/io/options.hpp"
#include "orchestrator/engine/io/post.hpp"
#include "orchestrator/engine/io/registry.hpp"
#include "orchestrator/engine/io/sender.hpp"
#include "orchestrator/ports/delivery.hpp"

namespace tasker::engine {

/// Belongs to the io thread.
class IoDispatch {
  public:
    IoDispatch(const IoOptions& options, SharedRegistry& registry, IoSender& sender, IoPost& post,
               IoCounters& counters)
        : options_(options), registry_(registry), sender_(sender), post_(post), counters_(counters) {}

    /// Sends, or gives back as Undelivered when the session is not ready any more.
    void publish(ports::OutboundBatch batch, milliseconds now);
    /// Its credit has been taken by the caller.
    void adopt(ports::AdoptedBatch adopted, milliseconds now);
    void forget(const std::string& batch_uuid);

    enum class Acceptance { recorded, unknown_batch, wrong_session };
    /// The session has accepted it, or its inventory lists the batch. Posts Accepted once.
    Acceptance on_accepted(std::string_view session, std::string_view batch_uuid);
    /// A report of the batch came from its session: it needs no other proof of having arrived.
    void on_sign_of_life(std::string_view session, std::string_view batch_uuid);

    /// The session answered a probe: batches it does not know are sent (again), those it lists are accepted.
    void on_session_ready(std::string_view session, const core::Inventory& inventory, milliseconds now);

    /// Accepted and not reported, but twice in a row not in the session's inventory: posts StepsAbsent.
    /// Only an inventory made after the acceptance proves anything: its sender has seen (`seen_n`) a
    /// heartbeat that was sent after it. What waited in a queue, or came out of order, is older.
    void find_absent(std::string_view session, const core::Inventory& inventory, std::int64_t seen_n);
    /// The number of the last heartbeat that was sent to everybody.
    void record_heartbeat(std::int64_t n) { heartbeat_n_ = n; }

    /// Sends again what was not accepted by `now`; after accept_resends times the session is suspect and the
    /// listener gets NotAccepted.
    void check_acceptance(milliseconds now);
    milliseconds next_deadline() const;
    /// After a pause of our own: every wait for an acceptance begins anew.
    void restart_timers(milliseconds now);

  private:
    struct Batch {
        ports::OutboundBatch out;  // `message` is emptied when the session has it
        int sends = 0;
        bool accepted = false;        // no timer any more
        bool announced = false;       // Accepted was posted
        bool awaiting = false;        // in awaiting_
        std::int64_t accepted_n = 0;  // last heartbeat sent when the acceptance was known
        int times_absent = 0;
        milliseconds deadline{0};
        milliseconds blocked_since = milliseconds::max();  // the session's queue has been full since then
        milliseconds unready_since =
            milliseconds::max();  // its session is not ready; since it was last posted
        std::list<Batch*>::iterator place;
    };

    void publish_plain(ports::OutboundBatch batch, milliseconds now);
    void return_undelivered(const ports::OutboundBatch& batch);
    void send(Batch& batch, milliseconds now);
    void give_up(Batch& batch, milliseconds now);
    /// Or, when it never left, gives it back; `batch` is gone then.
    void post_not_accepted(Batch& batch);
    void drop(const std::string& batch_uuid);
    void wait_for_session(Batch& batch, milliseconds now);
    void stop_waiting(Batch& batch);
    void settle_accepted(Batch& batch);
    void announce(Batch& batch);
    Batch& keep(ports::OutboundBatch out);
    Batch* find(std::string_view batch_uuid);

    const IoOptions& options_;
    SharedRegistry& registry_;
    IoSender& sender_;
    IoPost& post_;
    IoCounters& counters_;
    std::int64_t heartbeat_n_ = 0;
    core::TextMap<std::unique_ptr<Batch>> batches_;
    core::TextMap<std::vector<Batch*>> by_session_;
    std::list<Batch*> awaiting_;                   // by deadline
    std::unordered_set<std::string> undelivered_;  // given back, and not forgotten yet: never sent any more
};

}  // namespace tasker::engine
