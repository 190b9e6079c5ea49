#include "orchestrator/engine/io/endless_guard.hpp"

#include <algorithm>
#include <string>

#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;
namespace {

// What of whole messages may have come since everything was read.
constexpr std::uint64_t kInTheKernel = std::uint64_t{8} * 1024 * 1024;

}  // namespace

bool EndlessGuard::is_due(milliseconds now) {
    if (!is_possible() || now - looked_at_ < kGrowthEvery) return false;
    looked_at_ = now;
    const std::uint64_t resident = transport::resident_bytes();
    const bool grown = resident_ != 0 && resident > resident_ + kGrowthUnseen;
    if (grown || resident_ == 0 || resident < resident_) resident_ = resident;
    return grown || suspects_ || now - checked_at_ >= kLookAlways;
}

bool EndlessGuard::is_heard(int descriptor, milliseconds since) const {
    const auto found = heard_.find(descriptor);
    return found != heard_.end() && found->second >= since;
}

std::int64_t EndlessGuard::check(milliseconds now, const IsHeard& is_heard_elsewhere) {
    if (!is_due(now)) return 0;
    std::int64_t ended = 0;
    checked_at_ = now;
    ++pass_;
    suspects_ = false;
    for (const auto& received : transport::received_at(endpoint_)) {
        auto [place, added] = known_.try_emplace(received.peer.socket, Known{received.bytes, now, pass_});
        Known& known = place->second;
        known.pass = pass_;
        if (added) {
            suspects_ = true;  // a second look shows whether it goes on
            continue;
        }
        const int descriptor = received.peer.fd;
        if (is_heard(descriptor, known.at) ||
            (is_heard_elsewhere && is_heard_elsewhere(descriptor, known.at))) {
            known.bytes = received.bytes;
            known.at = now;
            continue;
        }
        if (received.bytes - known.bytes > 2 * message_bytes_max_ + kInTheKernel) {
            const std::string peer = transport::describe(received.peer);
            if (!transport::cut(received.peer)) continue;
            ++ended;
            log::warning("a connection was ended: it sends one message without an end",
                         {{"endpoint", name_}, {"peer", peer}, {"bytes", received.bytes - known.bytes}});
        } else if (received.bytes > known.bytes) {
            suspects_ = true;
        }
    }
    std::erase_if(known_, [&](const auto& entry) { return entry.second.pass != pass_; });
    return ended;
}

}  // namespace tasker::engine
