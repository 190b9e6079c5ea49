// JSON that keeps its numbers as they are written: for contexts, and for all that is compared with them.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <variant>
#include <vector>

namespace tasker::templates {

/// One JSON value. Objects are sorted by key. Built by parse_exact_json(), never changed afterwards.
class ExactJson {
  public:
    struct Null {};
    struct Number {
        std::string text;  // as written
    };
    struct Member;
    using List = std::vector<ExactJson>;
    using Object = std::vector<Member>;

    ExactJson() = default;
    template <typename Value>
    explicit ExactJson(Value value) : value_(std::move(value)) {}

    const bool* truth() const { return std::get_if<bool>(&value_); }
    const Number* number() const { return std::get_if<Number>(&value_); }
    const std::string* text() const { return std::get_if<std::string>(&value_); }
    const List* list() const { return std::get_if<List>(&value_); }
    const Object* object() const { return std::get_if<Object>(&value_); }
    bool is_null() const { return std::holds_alternative<Null>(value_); }

    /// The value under `key`, or null: it is no object, or has no such key.
    const ExactJson* find(std::string_view key) const;

    /// Equal as JSON Schema means it: 1 and 1.0 are, whatever the order of keys was.
    bool operator==(const ExactJson& other) const;

    /// The JSON text without white space, keys sorted, every number as it was written.
    std::string dump() const;
    /// The same in the one form that equal values share: of a number that is Decimal::text().
    std::string normal_form() const;

  private:
    enum class Numbers { as_written, normal };
    void write(std::string& out, Numbers numbers) const;

    std::variant<Null, bool, Number, std::string, List, Object> value_;
};

struct ExactJson::Member {
    std::string key;
    ExactJson value;
};

/// Why a text is refused. `is_json` tells a text that is none from one that breaks a limit or gives a key twice.
/// `path` is "$.a[0]", empty when the text as a whole is meant.
struct ExactJsonProblem {
    bool is_json = false;
    std::string path;
    std::string message;
};

/// Parses valid UTF-8. Refused beside what is no JSON: nesting deeper than `depth_max`, the same key twice in one
/// object, a number of more than kNumberDigitsMax digits, and U+0000.
tl::expected<ExactJson, ExactJsonProblem> parse_exact_json(std::string_view text, int depth_max);

/// The same value; its floating-point numbers in their shortest spelling.
/// @throws std::invalid_argument for what parse_exact_json() refuses.
ExactJson to_exact_json(const nlohmann::json& value);

/// "an object", "text", "a whole number", "null", …: what messages call a value.
std::string json_type_text(const ExactJson& value);

}  // namespace tasker::templates
