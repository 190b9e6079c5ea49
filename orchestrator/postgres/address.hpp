// Connection strings, taken apart and put together again.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace tasker::postgres {

/// The parts of a connection string, by libpq's keyword. Only what the string itself says.
using UrlParts = std::map<std::string, std::string>;

/// Throws DatabaseError when libpq cannot parse it; its text repeats nothing of the URL.
UrlParts parse_url(const std::string& url);
/// As keywords and quoted values, for libpq.
std::string keyword_string(const UrlParts& parts);
/// `database "x" at host:port (user "y")`, never a password.
std::string describe(const UrlParts& parts);
/// `text` with the password of `parts` replaced by ***.
std::string without_password(std::string text, const UrlParts& parts);
/// One connection string for each host of a list ("host=a,b", also in PGHOST), in their order. A string
/// without a list stays whole.
std::vector<UrlParts> each_host(const UrlParts& parts);
/// The server options that the string, or else PGOPTIONS, gives: "-c search_path=blue".
std::string own_options(const UrlParts& parts);

}  // namespace tasker::postgres
