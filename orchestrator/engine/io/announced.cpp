#include "orchestrator/engine/io/announced.hpp"

#include <fmt/core.h>

#include <vector>

namespace tasker::engine {
namespace {

// What a session, and a name, costs beside its text.
constexpr std::size_t kOfSession = 1024;
constexpr std::size_t kOfName = 32;

std::size_t cost_of(const protocol::Hello& hello) {
    std::size_t bytes = kOfSession;
    for (const auto* names : {&hello.namespaces, &hello.handlers}) {
        for (const std::string& name : *names) bytes += name.size() + kOfName;
    }
    return bytes;
}

}  // namespace

std::optional<std::string> Announced::enter(const protocol::Hello& hello, std::uint64_t peer) {
    const Entry entry{peer, cost_of(hello)};
    const auto place = entries_.find(hello.session);
    const Entry before = place == entries_.end() ? Entry{} : place->second;
    const auto of_peer = of_peers_.find(peer);
    const std::size_t others_of_peer =
        (of_peer == of_peers_.end() ? 0 : of_peer->second) - (before.peer == peer ? before.bytes : 0);
    const char* whose = nullptr;
    if (others_of_peer + entry.bytes > limits_.announced_bytes_of_peer) {
        whose = "the sessions of this connection";
    } else if (bytes_ - before.bytes + entry.bytes > limits_.announced_bytes) {
        whose = "all sessions together";
    }
    if (whose != nullptr) {
        return fmt::format(
            "{} announce more than this orchestrator keeps; announce fewer namespaces and handlers, with "
            "wildcards such as Order::*, or end sessions",
            whose);
    }
    if (place != entries_.end()) take_back(before);
    entries_.insert_or_assign(hello.session, entry);
    of_peers_[peer] += entry.bytes;
    bytes_ += entry.bytes;
    return std::nullopt;
}

void Announced::keep_only(const std::function<bool(const std::string& session)>& is_known) {
    std::erase_if(entries_, [&](const auto& entry) {
        if (is_known(entry.first)) return false;
        take_back(entry.second);
        return true;
    });
}

void Announced::take_back(const Entry& entry) {
    bytes_ -= entry.bytes;
    const auto of_peer = of_peers_.find(entry.peer);
    of_peer->second -= entry.bytes;
    if (of_peer->second == 0) of_peers_.erase(of_peer);
}

}  // namespace tasker::engine
