// A database with the real schema and one lane's TurnStore on it, spoken to in few words.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/ports/store.hpp"
#include "orchestrator/postgres/connection.hpp"
#include "orchestrator/store/turn_store.hpp"
#include "tests/support/postgres.hpp"

namespace tasker::store {

/// One session's free slots in a turn.
struct Free {
    std::string session;
    int slots = 0;
};

class Scene {
  public:
    /// A fresh, migrated database of its own.
    Scene();

    /// Registers a template. One line per step: `name [@Handler] [limit=N] [once] [dead_letter] [<- parent
    /// …]`, parents first. `once` means retryable: false. The default handler is "Work". Returns its template
    /// id.
    int draw(const std::string& name, const std::string& drawing, const std::string& namespace_name = "shop");
    /// Creates a task; `extra` is a JSON object that is merged into its request.
    std::int64_t submit(int template_id, const std::string& extra = "{}");
    std::vector<std::int64_t> submit_many(int template_id, int count, const std::string& extra = "{}");

    /// All handler keys, scanned, for these sessions as one profile; each session's slots in one run.
    ports::TurnInput claiming(const std::vector<Free>& sessions) const;
    /// Runs the next turn.
    ports::TurnResult turn(const ports::TurnInput& input);
    /// claiming() + turn(): what was claimed. The first claim of a step is also remembered under its name.
    std::vector<ports::ClaimedStep> claim(int slots, const std::string& session = "s1");
    /// A first final report of this claim.
    static ports::TurnMessage report(const ports::ClaimedStep& claim,
                                     const std::string& status = "completed");
    static ports::HandBack hand_back(const ports::ClaimedStep& claim, const std::string& reason = "draining");
    /// One turn with just these messages; returns the disposition of each final one, in order, joined by
    /// spaces.
    std::string apply(const std::vector<ports::TurnMessage>& messages);

    /// First column of the first row; fails the test when there is none.
    std::string one(const std::string& query);
    std::int64_t number(const std::string& query) { return std::stoll(one(query)); }
    /// First column of all rows, joined by spaces.
    std::string list(const std::string& query);
    void execute(const std::string& statement) { sql_->execute(statement); }
    std::string state_of(std::int64_t step_id);
    std::string task_state(std::int64_t task_id);
    std::int64_t step_id(std::int64_t task_id, const std::string& name);
    std::int32_t key_of(const std::string& handler_class, const std::string& namespace_name = "shop");
    /// The whole row of a step, as text.
    std::string step_row(std::int64_t step_id);

    /// What is wrong in the database, one line each: counters against the steps, histories against the
    /// states, edges against remaining_parents, the ready index, applied results, attempts. Empty when all is
    /// right.
    std::vector<std::string> violations();

    TurnStore& store() { return *store_; }
    void reopen_store();
    postgres::Connection& sql() { return *sql_; }
    const std::string& url() const { return database_.url(); }
    std::int64_t epoch() const { return epoch_; }
    std::int64_t last_turn() const { return turn_; }

  private:
    test::TestDatabase database_;
    std::unique_ptr<postgres::Connection> sql_;
    std::unique_ptr<TurnStore> store_;
    std::int64_t epoch_ = 0;
    std::int64_t turn_ = 0;
};

}  // namespace tasker::store
