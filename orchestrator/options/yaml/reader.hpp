// Typed reading of a YAML tree: every function either returns a value or adds a problem that names the place.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/options/yaml/node.hpp"
#include "orchestrator/options/yaml/problem.hpp"

namespace tasker::yaml {

/// "a map", "a list", "text", "a whole number", … : what a reader calls a value in messages.
std::string describe(const YamlNode& node);

/// Inclusive limits.
struct IntegerRange {
    std::int64_t min;
    std::int64_t max;
};
struct NumberRange {
    double min;
    double max;
};

/// Whether a quoted number such as "3" is taken as a number.
enum class NumericText { refuse, accept };

/// A value together with its dotted path. `unresolved` nodes (see YamlNode) give nothing and no problem.
struct Located {
    const YamlNode& node;
    std::string path;
};

std::optional<bool> read_bool(const Located& value, ProblemList& problems);
std::optional<std::int64_t> read_integer(const Located& value, IntegerRange range, NumericText text,
                                         std::string_view unit, ProblemList& problems);
std::optional<double> read_number(const Located& value, NumberRange range, NumericText text,
                                  std::string_view unit, ProblemList& problems);

/// Any scalar as it is spelled, so that `version: 1.0` is the text 1.0.
std::optional<std::string> read_spelling(const Located& value, std::size_t bytes_max, ProblemList& problems);

/// Text; a plain true, 12 or null is refused with the advice to quote it. May be empty unless `bytes_min`
/// is 1.
std::optional<std::string> read_text(const Located& value, std::size_t bytes_min, std::size_t bytes_max,
                                     ProblemList& problems);

/// The index of the text among `choices`; anything else is a problem that lists them.
std::optional<std::size_t> read_choice(const Located& value, const std::vector<std::string>& choices,
                                       ProblemList& problems);

/// The value as JSON, typed as the YAML 1.2 core schema says. Refused: numbers that JSON, 64 bits or a
/// double cannot hold with all their digits.
nlohmann::json to_json(const Located& value, ProblemList& problems);

/// Reads the entries of one map and complains, in finish(), about every key nobody asked for.
class MapReader {
  public:
    /// A node that is no map is a problem; the reader then behaves like an empty map.
    MapReader(Located map, ProblemList& problems);

    /// The value under `key`, or null. An explicit null (`key:` or `key: ~`) is a problem and counts as
    /// absent.
    const YamlNode* get(std::string_view key);
    /// The same, and a problem when it is absent.
    const YamlNode* require(std::string_view key);

    Located at(std::string_view key, const YamlNode& node) const {
        return {node, child_path(map_.path, key)};
    }
    /// Reports unknown keys, with the nearest known one.
    void finish();

    const YamlNode& node() const { return map_.node; }
    const std::string& path() const { return map_.path; }
    bool valid() const { return valid_; }

  private:
    Located map_;
    ProblemList& problems_;
    std::vector<std::string> known_;
    bool valid_;
};

}  // namespace tasker::yaml
