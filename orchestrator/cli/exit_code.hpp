// How a command ends: the codes scripts may rely on, and the one exception that carries them.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace tasker::cli {

/// Exit codes of every command; part of the interface, do not renumber. `tasker --help` lists them.
enum class ExitCode {
    ok = 0,
    failed = 1,                // the command was carried out and failed, or its answer is no
    usage = 2,                 // bad arguments or bad input: nothing was done
    database_unreachable = 3,  // no database is known, or it does not answer
    not_found = 4,             // what was named does not exist
    schema_mismatch = 5,       // the database's schema is not the one this program needs
    interrupted = 130,         // ended by Ctrl-C or SIGTERM before the answer was known
};

/// A word per code, for `--json`: "failed", "usage", …
const char* to_string(ExitCode code);

/// Ends a command: `what()` says what is wrong with which object, `advice` what to do next (may be empty).
class CommandError : public std::runtime_error {
  public:
    CommandError(ExitCode code, const std::string& message, std::string advice = {})
        : std::runtime_error(message), code_(code), advice_(std::move(advice)) {}

    ExitCode code() const { return code_; }
    const std::string& advice() const { return advice_; }

  private:
    ExitCode code_;
    std::string advice_;
};

}  // namespace tasker::cli
