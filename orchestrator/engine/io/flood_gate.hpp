// How much one connection to the results socket may make this process do.
//
// libzmq reads all peers in turn, so one that floods delays the others by one frame each time. It is what
// follows a frame that costs: to decode it, to find out that it serves nothing, to write it down. Beyond its
// allowance a peer's frames are dropped unread and counted. What matters in them comes again, since nothing
// was acknowledged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "orchestrator/core/sessions/spec.hpp"
#include "orchestrator/engine/io/options.hpp"
#include "orchestrator/transport/peer.hpp"

namespace tasker::engine {

/// Belongs to the io thread. All questions are about the peer of the frame that was admitted last.
class FloodGate {
  public:
    /// `endpoint`: of the results socket, to find out who floods it.
    explicit FloodGate(const PeerLimits& limits, std::string endpoint = {})
        : limits_(limits), endpoint_(std::move(endpoint)) {}

    /// A frame of this size has come on this connection (-1: unknown, all those count as one). `holds_results`:
    /// by its topic. False: drop it.
    bool admit(int descriptor, std::size_t bytes, milliseconds now, bool holds_results = true);
    /// The frame served something, or nothing at all.
    void earn();
    void waste();
    /// Whether one more hello may be acted on.
    bool admit_hello();
    /// Whether a row about a message that is refused with this code may be written, beside being counted.
    bool may_record(std::string_view code);

    /// Peers whose frames were dropped within the last second or two.
    /// The connection of the frame that was admitted last; 0 when it cannot be told.
    std::uint64_t peer() const { return transport::identify(descriptor_, endpoint_).socket; }

    /// A frame has come on this connection at or after that time.
    bool has_heard(int descriptor, milliseconds since) const {
        const auto found = peers_.find(descriptor);
        return found != peers_.end() && found->second.seen >= since;
    }
    std::size_t flooding() const { return flooding_.size() + flooded_before_.size(); }

  private:
    struct Peer {
        Bucket frames, bytes, words_bytes, useless, hellos;
        milliseconds seen;
        core::TextMap<int> recorded;  // rows of this minute, by code
    };

    Peer& peer_of(int descriptor);
    void refuse(int descriptor);
    void turn_second();
    void turn_minute();

    const PeerLimits limits_;
    const std::string endpoint_;
    std::unordered_map<int, Peer> peers_;
    Peer* current_ = nullptr;  // of peers_
    int descriptor_ = -1;
    milliseconds now_{0};
    milliseconds second_{0}, minute_{0};  // when they began
    std::set<int> flooding_, flooded_before_;
    core::TextMap<int> recorded_;  // rows of this minute, by code, of all peers
};

}  // namespace tasker::engine
