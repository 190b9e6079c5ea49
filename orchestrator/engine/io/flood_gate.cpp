#include "orchestrator/engine/io/flood_gate.hpp"

#include "orchestrator/transport/peer.hpp"
#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;
namespace {

constexpr milliseconds kSecond{1000};
constexpr milliseconds kMinute{60'000};
// Rows of one code that all peers together may cause.
constexpr int kPeersThatMayRecord = 10;

}  // namespace

bool FloodGate::admit(int descriptor, std::size_t bytes, milliseconds now, bool holds_results) {
    now_ = now;
    descriptor_ = descriptor;
    if (now - second_ >= kSecond) turn_second();
    if (now - minute_ >= kMinute) turn_minute();
    current_ = &peer_of(descriptor);
    current_->seen = now;
    if (current_->useless.has_any(now) && current_->frames.take(1, now) &&
        current_->bytes.take(static_cast<double>(bytes), now) &&
        (holds_results || current_->words_bytes.take(static_cast<double>(bytes), now))) {
        return true;
    }
    refuse(descriptor);
    return false;
}

void FloodGate::earn() {
    if (current_ != nullptr) current_->useless.add(limits_.useless_earned);
}

void FloodGate::waste() {
    if (current_ != nullptr) current_->useless.take(1, now_);
}

bool FloodGate::admit_hello() {
    return current_ == nullptr || current_->hellos.take(1, now_);
}

bool FloodGate::may_record(std::string_view code) {
    // Codes are this program's own words: a handful.
    const auto below = [&](core::TextMap<int>& counts, int most) {
        auto place = counts.find(code);
        if (place == counts.end()) place = counts.emplace(std::string(code), 0).first;
        return ++place->second <= most;
    };
    if (current_ != nullptr && !below(current_->recorded, limits_.rejected_rows_per_minute)) return false;
    return below(recorded_, limits_.rejected_rows_per_minute * kPeersThatMayRecord);
}

FloodGate::Peer& FloodGate::peer_of(int descriptor) {
    const auto place = peers_.find(descriptor);
    if (place != peers_.end()) return place->second;
    return peers_
        .emplace(descriptor, Peer{Bucket(limits_.frames, now_),
                                  Bucket(limits_.bytes, now_),
                                  Bucket(limits_.words_bytes, now_),
                                  Bucket(limits_.useless, now_),
                                  Bucket(limits_.hellos, now_),
                                  now_,
                                  {}})
        .first->second;
}

void FloodGate::refuse(int descriptor) {
    if (flooding_.insert(descriptor).second && !flooded_before_.contains(descriptor)) {
        log::warning("a peer of the results endpoint floods it: its frames are dropped for now",
                     {{"peer", transport::describe(transport::identify(descriptor, endpoint_))}});
    }
}

void FloodGate::turn_second() {
    second_ = now_;
    flooded_before_ = std::exchange(flooding_, {});
}

void FloodGate::turn_minute() {
    minute_ = now_;
    recorded_.clear();
    std::erase_if(peers_, [&](const auto& entry) { return now_ - entry.second.seen > kMinute; });
    for (auto& [descriptor, peer] : peers_) peer.recorded.clear();
}

}  // namespace tasker::engine
