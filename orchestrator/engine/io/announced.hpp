// How much sessions may announce: all together, and those of one connection.
//
// Each name of a hello is kept, listed and written many times over, so a legal hello of a quarter megabyte costs
// many times that. A fleet of thousands of sessions with dozens of handlers stays far below these limits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>

#include "orchestrator/core/sessions/spec.hpp"
#include "orchestrator/engine/io/options.hpp"
#include "protocol/cpp/messages.hpp"

namespace tasker::engine {

/// Belongs to the io thread.
class Announced {
  public:
    explicit Announced(const PeerLimits& limits) : limits_(limits) {}

    /// Enters what this hello holds; it replaces what its session announced before. `peer` is the connection
    /// that it came on, 0 when that is not known. Returns why it does not fit, and then nothing has changed.
    std::optional<std::string> enter(const protocol::Hello& hello, std::uint64_t peer);
    /// Drops the sessions of which this is not true.
    void keep_only(const std::function<bool(const std::string& session)>& is_known);

    std::size_t bytes() const { return bytes_; }

  private:
    struct Entry {
        std::uint64_t peer = 0;
        std::size_t bytes = 0;
    };

    void take_back(const Entry& entry);

    const PeerLimits& limits_;
    core::TextMap<Entry> entries_;  // by session
    std::unordered_map<std::uint64_t, std::size_t> of_peers_;
    std::size_t bytes_ = 0;
};

}  // namespace tasker::engine
