// The way from the io thread to the lanes: one mailbox each, and the rule which of them a message is for.
//
// What names a batch goes to the lane the batch belongs to (core/lanes.hpp); what names only a session, and
// what concerns everybody (a lost session, credit, wake-ups), goes to all, and each lane looks at its own
// batches; the rest (bytes nobody can read) goes to lane 0. Each lane has room for `result_queue_hwm`
// reports, so that one that is held up takes nothing from the others.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "orchestrator/core/lanes.hpp"
#include "orchestrator/engine/turns/mailbox.hpp"
#include "orchestrator/engine/turns/report_facts.hpp"
#include "orchestrator/ports/delivery.hpp"

namespace tasker::engine {

/// Any number of threads push; each lane takes from its own mailbox. All calls are thread-safe.
class LaneRouter {
  public:
    /// `reports_max`: result_queue_hwm, for each lane.
    LaneRouter(int lanes, std::size_t reports_max) {
        for (int lane = 0; lane < lanes; ++lane) mailboxes_.push_back(std::make_unique<Mailbox>(reports_max));
    }

    int lanes() const { return static_cast<int>(mailboxes_.size()); }
    Mailbox& mailbox(int lane) { return *mailboxes_[static_cast<std::size_t>(lane)]; }
    int lane_of(std::string_view batch_uuid) const { return core::lane_of_batch(batch_uuid, lanes()); }

    /// The one lane that `item` is for, or kAllLanes.
    static constexpr int kAllLanes = -1;
    int lane_for(const ports::Inbound& item) const {
        return std::visit([this](const auto& it) { return lane(it); }, item);
    }

    /// False, and nothing queued, when its lane's queue is full of reports or closed.
    bool push_report(ports::Inbound report) {
        return mailbox(std::max(0, lane_for(report))).push_report(std::move(report));
    }
    void push_event(ports::Inbound event);
    void push_event_to(int lane, ports::Inbound event) { mailbox(lane).push_event(std::move(event)); }
    /// All items for one lane, in order, with one notification; returns how many reports found no room.
    std::size_t push_all(int lane, std::vector<ports::Inbound>& items) {
        return mailbox(lane).push_all(items);
    }
    std::size_t report_room(int lane) const {
        return mailboxes_[static_cast<std::size_t>(lane)]->report_room();
    }

    /// Waits for `close`, at most this long; true when closed.
    bool wait_closed(std::chrono::milliseconds at_most) { return mailboxes_.front()->wait_closed(at_most); }
    void close() {
        for (auto& mailbox : mailboxes_) mailbox->close();
    }

  private:
    // One for each kind of message, so that a new kind cannot be forgotten here. What names a batch:
    int lane(const ports::Report& it) const { return lane_of(facts_of(it).batch_uuid); }
    int lane(const ports::Accepted& it) const { return lane_of(it.batch_uuid); }
    int lane(const ports::Undelivered& it) const { return lane_of(it.batch_uuid); }
    int lane(const ports::StepRunning& it) const { return lane_of(it.batch_uuid); }
    int lane(const ports::NotAccepted& it) const { return lane_of(it.batch_uuid); }
    int lane(const ports::StepsAbsent& it) const { return lane_of(it.batch_uuid); }
    int lane(const ports::HeldTooLong& it) const { return lane_of(it.batch_uuid); }
    int lane(const ports::StartRequested& it) const { return lane_of(it.batch_uuid); }
    // What concerns everybody, or work of one shard:
    static int lane(const ports::SessionLost&) { return kAllLanes; }
    static int lane(const ports::CreditAppeared&) { return kAllLanes; }
    static int lane(const ports::CreditShared&) { return kAllLanes; }
    int lane(const ports::Wake& it) const { return it.shard ? *it.shard % lanes() : kAllLanes; }
    // Bytes that nobody can read:
    static int lane(const ports::Malformed&) { return 0; }

    std::vector<std::unique_ptr<Mailbox>> mailboxes_;
};

}  // namespace tasker::engine
