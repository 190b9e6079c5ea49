// What a database failure means for the caller. Actionable questions, not a tree of types: is the transaction
// dead, is the connection, is the commit in doubt?
#pragma once

#include <stdexcept>
#include <string>

namespace tasker::ports {

enum class DatabaseFault {
    repeatable,  // deadlock, serialization failure: run the same transaction again
    locked,      // somebody holds a row that is needed for longer than a turn may wait
    connection,  // the connection is gone; a commit may or may not have happened: reconnect and read back
    refused,     // the server answers, and will not do it for a reason that lies in no message: read-only, no
                 // room, no permission, a faulty statement. It may pass; reconnect, read back, with pauses
    data         // the server refused what it was given: repeating will not help
};

/// Nothing is wrong with what was asked: the same may work in a moment.
inline bool may_pass(DatabaseFault fault) {
    return fault != DatabaseFault::data && fault != DatabaseFault::repeatable;
}

class DatabaseError : public std::runtime_error {
  public:
    DatabaseError(DatabaseFault fault, const std::string& message)
        : std::runtime_error(message), fault_(fault) {}
    DatabaseFault fault() const { return fault_; }

  private:
    DatabaseFault fault_;
};

}  // namespace tasker::ports
