// Names that a hello may bring: they go into lists, logs, commands and tables.
#pragma once

#include <optional>
#include <string>

#include "protocol/cpp/messages.hpp"

namespace tasker::engine {

/// Most characters of one name, and most bytes of all namespaces and handlers together.
inline constexpr std::size_t kNameCharactersMax = 255;
inline constexpr std::size_t kNonceBytesMax = 64;
inline constexpr std::size_t kNamesBytesMax = std::size_t{256} * 1024;

/// Why this hello cannot be taken, beginning with the field; nothing when it can. Control characters, line
/// separators and bidirectional overrides have no place in a name.
std::optional<std::string> fault_of(const protocol::Hello& hello);

}  // namespace tasker::engine
