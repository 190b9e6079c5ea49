// What the io thread has for the listener, collected while sockets are drained and handed over at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "orchestrator/engine/io/flood_gate.hpp"
#include "orchestrator/engine/io/options.hpp"
#include "orchestrator/engine/turns/lane_router.hpp"

namespace tasker::engine {

/// How much is kept of a message that cannot be read.
inline constexpr std::size_t kMalformedBytesKept = std::size_t{64} * 1024;

/// Belongs to the io thread, which is the only one to push reports: room that was there once stays there.
class IoPost {
  public:
    IoPost(LaneRouter& router, IoCounters& counters, FloodGate& gate)
        : router_(router),
          counters_(counters),
          gate_(gate),
          spare_(router.report_room(0) / 2),
          lanes_(static_cast<std::size_t>(router.lanes())) {}

    /// Whether one more report on this batch fits. Ask before acting on a report: what does not fit must have
    /// no effect at all, since its sender will send it again.
    bool has_room(std::string_view batch_uuid) { return has_room_at(router_.lane_of(batch_uuid)); }
    /// The same for one that is about nothing open: those never take the last half of the room, which is for
    /// reports that somebody waits for.
    bool has_room_to_spare(std::string_view batch_uuid) {
        const int lane = router_.lane_of(batch_uuid);
        return has_room_at(lane) && at(lane).room > spare_;
    }
    /// After has_room() only.
    void report(ports::Report report) { add_bounded(std::move(report)); }
    /// After has_room() only.
    void start_request(ports::StartRequested request) { add_bounded(std::move(request)); }
    void event(ports::Inbound event) {
        const int lane = router_.lane_for(event);
        if (lane != LaneRouter::kAllLanes) {
            at(lane).items.push_back(std::move(event));
            return;
        }
        for (auto& post : lanes_) post.items.push_back(event);
    }
    /// To the lanes of these bits.
    void event_to(std::uint32_t lanes, const ports::Inbound& event) {
        for (int lane = 0; lane < router_.lanes(); ++lane) {
            if ((lanes >> lane & 1U) != 0) at(lane).items.push_back(event);
        }
    }
    void malformed(std::string_view topic, std::string_view bytes, std::string_view code, std::string reason,
                   std::string_view session = {}) {
        count(counters_.malformed);
        gate_.waste();
        if (!gate_.may_record(code) || !has_room_at(0)) {
            count(counters_.malformed_dropped);
            return;
        }
        add_bounded(ports::Malformed{std::string(topic.substr(0, kTopicBytesKept)),
                                     std::string(bytes.substr(0, kMalformedBytesKept)), std::string(code),
                                     std::move(reason), std::string(session)});
    }
    void flush() {
        for (int lane = 0; lane < router_.lanes(); ++lane) {
            auto& post = at(lane);
            post.room = 0;
            post.bounded = 0;
            if (!post.items.empty()) router_.push_all(lane, post.items);
        }
    }

  private:
    static constexpr std::size_t kTopicBytesKept = 255;

    struct Post {
        std::vector<ports::Inbound> items;
        std::size_t bounded = 0;  // reports among them
        std::size_t room = 0;     // known to be free beyond them
    };

    Post& at(int lane) { return lanes_[static_cast<std::size_t>(lane)]; }
    bool has_room_at(int lane) {
        auto& post = at(lane);
        if (post.room == 0) {
            const std::size_t room = router_.report_room(lane);
            post.room = room > post.bounded ? room - post.bounded : 0;
        }
        return post.room > 0;
    }
    void add_bounded(ports::Inbound item) {
        auto& post = at(router_.lane_for(item));
        --post.room;
        ++post.bounded;
        post.items.push_back(std::move(item));
    }

    LaneRouter& router_;
    IoCounters& counters_;
    FloodGate& gate_;
    const std::size_t spare_;
    std::vector<Post> lanes_;
};

}  // namespace tasker::engine
