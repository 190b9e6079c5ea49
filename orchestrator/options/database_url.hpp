// The text form of a PostgreSQL address: checking it, and showing it without its secrets.
#pragma once

#include <optional>
#include <string>

namespace tasker::options {

/// Why this is no address of a database in a form of libpq's, as one sentence that repeats nothing of it (it may hold a
/// password); nothing when it is one. Connects to nothing.
std::optional<std::string> database_url_fault(const std::string& url);

/// The address with *** for its passwords. One that is none becomes *** as a whole.
std::string url_without_secrets(const std::string& url);

}  // namespace tasker::options
