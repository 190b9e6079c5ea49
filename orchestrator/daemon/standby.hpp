// A second orchestrator on a database that one serves already: it waits, warm, and takes over when the first
// dies, hangs or loses its host.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "orchestrator/engine/io/sockets.hpp"
#include "orchestrator/store/turn_store.hpp"

namespace tasker {

/// How often the lock is tried. Each try is two round trips and holds no snapshot.
inline constexpr std::chrono::milliseconds kStandbyPoll{200};
/// How often it writes that it waits. `tasker health` takes one that was silent for three times as long for dead.
inline constexpr std::chrono::milliseconds kStandbyRecord{10'000};
/// A holder not seen for this long hangs or has lost its host.
inline constexpr std::chrono::milliseconds kHolderSilent{5000};
/// A longer pause between two tries shows that this process, or the server, was away itself.
inline constexpr std::chrono::milliseconds kPollGapMax{2000};

class Standby {
  public:
    /// `wait(timeout)` is true when the process is to stop. `sockets` may be null: no endpoint of its own.
    Standby(store::TurnStore& lane, engine::IoSockets* sockets, std::string instance,
            std::function<bool(std::chrono::milliseconds)> wait)
        : lane_(lane), sockets_(sockets), instance_(std::move(instance)), wait_(std::move(wait)) {}

    /// Returns true with the instance lock taken, false when the process stops. Throws ports::DatabaseError when
    /// the connection is lost.
    bool wait_for_lock();

  private:
    store::TurnStore& lane_;
    engine::IoSockets* sockets_;
    const std::string instance_;
    const std::function<bool(std::chrono::milliseconds)> wait_;
};

}  // namespace tasker
