// Batches that are out: sent, waiting to be accepted, sent again.
//
// The database knows every batch; this is only the memory needed to send one again unchanged. A batch is kept
// from `publish` or `adopt` until `forget`, its message only until the session is known to have it. What
// becomes of a batch that nobody accepts is not decided here: its session becomes suspect, and the batch
// waits until the session answers a probe (then it is sent again) or the listener ends it.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/engine/io_options.hpp"
#include "orchestrator/engine/io_post.hpp"
#include "orchestrator/engine/io_registry.hpp"
#include "orchestrator/engine/io_sender.hpp"
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

    enum class Acceptance { noted, unknown_batch, wrong_session };
    /// The session said so, or its inventory lists the batch. Posts Accepted once.
    Acceptance on_accepted(std::string_view session, std::string_view batch_uuid);
    /// A report of the batch came from its session: it needs no other proof of having arrived.
    void on_sign_of_life(std::string_view session, std::string_view batch_uuid);

    /// The session answered a probe: batches it does not know are sent (again), those it lists are accepted.
    void on_session_ready(std::string_view session, const core::Inventory& inventory, milliseconds now);

    /// Sends again what was not accepted by `now`; after accept_resends times the session is suspect.
    void check_acceptance(milliseconds now);
    milliseconds next_deadline() const;
    /// After a pause of our own: every wait for an acceptance begins anew.
    void restart_timers(milliseconds now);

  private:
    struct Batch {
        ports::OutboundBatch out;  // `message` is emptied when the session has it
        int sends = 0;
        bool accepted = false;   // no timer any more
        bool announced = false;  // Accepted was posted
        bool awaiting = false;   // in awaiting_
        milliseconds deadline{0};
        std::list<Batch*>::iterator place;
    };

    void publish_plain(ports::OutboundBatch batch, milliseconds now);
    void return_undelivered(const ports::OutboundBatch& batch);
    void send(Batch& batch, milliseconds now);
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
    core::TextMap<std::unique_ptr<Batch>> batches_;
    core::TextMap<std::vector<Batch*>> by_session_;
    std::list<Batch*> awaiting_;  // by deadline, since all wait equally long
};

}  // namespace tasker::engine
