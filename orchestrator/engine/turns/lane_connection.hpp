// A lane's connection to the database: opened, opened again after a loss, and the number of its last turn.
//
// A connection that breaks while a turn is under way leaves its commit in doubt. The database counts the
// turns of each lane, so the next connection shows whether that turn was committed: then its messages are
// acknowledged, else it runs again.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/engine/turns/mailbox.hpp"
#include "orchestrator/engine/turns/options.hpp"
#include "orchestrator/ports/clock.hpp"
#include "orchestrator/ports/credit.hpp"
#include "orchestrator/ports/database_error.hpp"
#include "orchestrator/ports/delivery.hpp"
#include "orchestrator/ports/store.hpp"

namespace tasker::engine {

/// Opens a store that already holds the instance lock and goes on with this process's epoch. Throws
/// DatabaseError (connection) when that is not possible now, EpochLost when it never will be again.
using StoreFactory = std::function<std::unique_ptr<ports::Store>(std::int64_t& last_turn)>;

/// Belongs to its lane's thread; all references must outlive it.
class LaneConnection {
  public:
    struct Dependencies {
        StoreFactory open_store;
        ports::CreditPool& credit;
        Mailbox& mailbox;  // its pauses end when the mailbox is closed
        const ports::Clock& clock;
        const std::atomic<bool>& stopping;
        ListenerCounters& counters;
    };
    /// Reads everything back from a store that was just opened; may throw DatabaseError.
    using Load = std::function<void(ports::Store&)>;

    LaneConnection(const ListenerOptions& options, Dependencies dependencies, Load load)
        : options_(options), deps_(std::move(dependencies)), load_(std::move(load)) {}

    bool is_open() const { return store_ != nullptr; }
    ports::Store& store() { return *store_; }

    /// Tries once. Returns why the database cannot be reached, or nothing; other failures are thrown.
    std::string open();
    /// Tries until it is open again or the service stops. Throws EpochLost when another orchestrator has
    /// taken over.
    void reopen(const std::string& cause) { reopen({ports::DatabaseFault::connection, cause}); }
    /// The same after this failure. A database that is back and fails at once is asked less and less often.
    void reopen(const ports::DatabaseError& failure);

    /// One turn; a deadlock repeats it. Until confirm_commit() its commit counts as in doubt: `acks` are what
    /// it owes its senders, with `refuses` something of it still has to be recorded.
    ports::TurnResult run_turn(const ports::TurnInput& input, std::vector<ports::AckList> acks, bool refuses);
    /// Everything that belongs to the turn is in the database.
    void confirm_commit() { doubt_.reset(); }
    /// The database has answered that the turn, which is not confirmed yet, was committed.
    bool is_committed() const { return doubt_ && turn_ >= doubt_->turn; }
    /// After reopen(): the acknowledgements of the turn in doubt when it had been committed and nothing of it
    /// is missing; nothing when it has to run again.
    std::optional<std::vector<ports::AckList>> resolve_commit_in_doubt();

  private:
    struct Doubt {
        std::int64_t turn = 0;
        std::vector<ports::AckList> acks;
        bool refuses = false;
    };

    void connect();
    void rest_if_failing(std::chrono::milliseconds now);

    const ListenerOptions& options_;
    const Dependencies deps_;
    const Load load_;
    std::unique_ptr<ports::Store> store_;
    std::int64_t turn_ = 0;
    std::optional<Doubt> doubt_;
    std::optional<std::chrono::milliseconds> reopened_at_;
    std::chrono::milliseconds rest_{0};
};

}  // namespace tasker::engine
