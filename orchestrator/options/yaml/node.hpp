// A YAML document as plain values that remember their place in the file. yaml-cpp only parses; everything
// that reads a file works on this tree, so every complaint can name line and column.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/options/yaml/problem.hpp"

namespace tasker::yaml {

/// Limits of one file. They bound memory: aliases are expanded when read, and each copy counts; so does the one that
/// an anchor keeps.
constexpr std::size_t kFileBytesMax = 16UL * 1024 * 1024;
constexpr std::size_t kNodesMax = 500'000;
constexpr std::size_t kCopiedBytesMax = 64UL * 1024 * 1024;
constexpr int kDepthMax = 48;

struct Entry;

/// One value. `text` belongs to a scalar; `quoted` scalars are always text, others are typed by their
/// spelling (YAML 1.2: true/false, integers, numbers, null; `yes` and `no` are text). `line` and `column`
/// count from 1. `unresolved` marks a scalar whose ${VAR} is missing in an environment that is not selected:
/// it stands for any value.
struct YamlNode {
    enum class Kind { null, scalar, sequence, map };

    Kind kind = Kind::null;
    bool quoted = false;
    bool unresolved = false;
    int line = 0;
    int column = 0;
    std::string text;
    std::vector<YamlNode> items;
    std::vector<Entry> entries;  // in the order of the file; keys are unique

    /// The value under `key` of a map, or null when there is none.
    const YamlNode* find(std::string_view key) const;
    YamlNode* find(std::string_view key);
};

struct Entry {
    std::string key;
    int line = 0;
    int column = 0;
    YamlNode value;
};

/// Parses exactly one YAML document. Anchors, aliases and merge keys (`<<`) are resolved. Refused into
/// `problems`: malformed YAML, invalid UTF-8, a key given twice, several documents, an empty file, U+0000,
/// anything beyond the limits above. Returns nothing exactly when an error was added.
std::optional<YamlNode> parse(std::string_view text, ProblemList& problems);

/// Reads and parses the file named by `problems`. An unreadable file is a problem too.
std::optional<YamlNode> parse_file(ProblemList& problems);

/// Offset of the first byte that is not valid UTF-8 (overlong forms and surrogates included), or npos.
std::size_t find_invalid_utf8(std::string_view text);

/// Value of an environment variable, or nothing when it is not set.
using EnvLookup = std::function<std::optional<std::string>(std::string_view)>;

/// Looks variables up in the environment of this process.
EnvLookup process_environment();

enum class MissingVariable { refuse, tolerate };

/// Replaces `${VAR}` and `${VAR:-default}` inside the scalars (never the keys) of `node` and everything below
/// it;
/// `$${` stands for a literal `${`. As in a shell the default also replaces an empty value. A missing
/// variable without a default is a problem, or marks the scalar `unresolved` when tolerated.
void interpolate(YamlNode& node, const EnvLookup& lookup, MissingVariable missing, std::string_view path,
                 ProblemList& problems);

}  // namespace tasker::yaml
