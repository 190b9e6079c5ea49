#include "orchestrator/templates/exact_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <utility>

#include "orchestrator/options/yaml/problem.hpp"
#include "orchestrator/templates/decimal.hpp"

namespace tasker::templates {

namespace {

using nlohmann::json;
// The parser takes a number beyond its type for a fault; a long double reaches further than kNumberDigitsMax.
using WideJson =
    nlohmann::basic_json<std::map, std::vector, std::string, bool, std::int64_t, std::uint64_t, long double>;

std::string quoted(const std::string& text) {
    const auto needs_escape = [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\';
    };
    if (std::none_of(text.begin(), text.end(), needs_escape)) return '"' + text + '"';
    return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

bool before(const ExactJson::Member& left, const ExactJson::Member& right) {
    return left.key < right.key;
}

// Builds the tree from the parser's events. An open value waits in `open_` for the end of its bracket.
class Builder {
  public:
    explicit Builder(int depth_max) : depth_max_(depth_max) {}

    bool null() { return add(ExactJson(ExactJson::Null{})); }
    bool boolean(bool value) { return add(ExactJson(value)); }
    // The parser hands integers that fit without their text; -0 is the only one that is spelled otherwise.
    bool number_integer(std::int64_t value) { return number(std::to_string(value)); }
    bool number_unsigned(std::uint64_t value) { return number(std::to_string(value)); }
    bool number_float(long double, const std::string& text) { return number(text); }
    bool string(std::string& value) {
        if (value.find('\0') != std::string::npos) return refuse_nul("");
        return add(ExactJson(std::move(value)));
    }
    bool binary(WideJson::binary_t&) { return false; }
    bool start_object(std::size_t) { return open(Open{true, {}, {}, {}}); }
    bool start_array(std::size_t) { return open(Open{false, {}, {}, {}}); }
    bool key(std::string& value) {
        if (value.find('\0') != std::string::npos) {
            open_.back().key.reset();
            return refuse_nul(" (in a key)");
        }
        open_.back().key = std::move(value);
        return true;
    }
    bool end_array() {
        ExactJson value(std::move(open_.back().items));
        open_.pop_back();
        return add(std::move(value));
    }
    bool end_object() {
        ExactJson::Object members = std::move(open_.back().members);
        std::stable_sort(members.begin(), members.end(), before);
        const auto twice =
            std::adjacent_find(members.begin(), members.end(),
                               [](const auto& left, const auto& right) { return left.key == right.key; });
        if (twice != members.end()) {
            open_.back().key.reset();
            return refuse(path(), fmt::format("the key {} is given twice", yaml::in_quotes(twice->key)));
        }
        open_.pop_back();
        return add(ExactJson(std::move(members)));
    }
    bool parse_error(std::size_t, const std::string&, const WideJson::exception& fault) {
        constexpr int out_of_range = 406;
        if (fault.id == out_of_range) return refuse_digits();
        const std::string_view whole = fault.what();
        // "[json.exception.parse_error.101] parse error at line 1, column 2: …": people need the part behind it.
        const std::size_t at = whole.find("] ");
        problem_ = {false, "", std::string(at == std::string_view::npos ? whole : whole.substr(at + 2))};
        return false;
    }

    ExactJson take() { return std::move(root_); }
    ExactJsonProblem problem() { return std::move(problem_); }

  private:
    struct Open {
        bool is_object = false;
        std::optional<std::string> key;
        ExactJson::Object members;
        ExactJson::List items;
    };

    std::string path() const {
        std::string text = "$";
        for (const Open& one : open_) {
            if (!one.is_object) {
                text += fmt::format("[{}]", one.items.size());
            } else if (one.key) {
                text += "." + *one.key;
            }
        }
        return text;
    }

    bool refuse(std::string path, std::string message) {
        problem_ = {true, std::move(path), std::move(message)};
        return false;
    }
    bool refuse_nul(std::string_view where) {
        return refuse(path().append(where), "contains the character \\u0000, which cannot be stored");
    }

    bool refuse_digits() {
        return refuse(path(), fmt::format("holds a number of more than {} digits", kNumberDigitsMax));
    }

    bool number(std::string text) {
        if (written_digits(text) > kNumberDigitsMax) return refuse_digits();
        return add(ExactJson(ExactJson::Number{std::move(text)}));
    }

    bool open(Open value) {
        if (open_.size() >= static_cast<std::size_t>(depth_max_)) {
            return refuse("", fmt::format("is nested deeper than {} levels", depth_max_));
        }
        open_.push_back(std::move(value));
        return true;
    }

    bool add(ExactJson value) {
        if (open_.empty()) {
            root_ = std::move(value);
            return true;
        }
        Open& parent = open_.back();
        if (parent.is_object) {
            parent.members.push_back({std::move(*parent.key), std::move(value)});
            parent.key.reset();
        } else {
            parent.items.push_back(std::move(value));
        }
        return true;
    }

    int depth_max_;
    ExactJson root_;
    ExactJsonProblem problem_;
    std::vector<Open> open_;
};

}  // namespace

const ExactJson* ExactJson::find(std::string_view key) const {
    const Object* members = object();
    if (members == nullptr) return nullptr;
    const auto found =
        std::lower_bound(members->begin(), members->end(), key,
                         [](const Member& one, std::string_view name) { return one.key < name; });
    return found != members->end() && found->key == key ? &found->value : nullptr;
}

bool ExactJson::operator==(const ExactJson& other) const {
    if (value_.index() != other.value_.index()) return false;
    if (const Number* value = number()) return Decimal(value->text) == Decimal(other.number()->text);
    if (const bool* value = truth()) return *value == *other.truth();
    if (const std::string* value = text()) return *value == *other.text();
    if (const List* items = list()) return *items == *other.list();
    if (const Object* members = object()) {
        return std::equal(members->begin(), members->end(), other.object()->begin(), other.object()->end(),
                          [](const Member& left, const Member& right) {
                              return left.key == right.key && left.value == right.value;
                          });
    }
    return true;
}

std::string ExactJson::dump() const {
    std::string out;
    write(out, Numbers::as_written);
    return out;
}

std::string ExactJson::normal_form() const {
    std::string out;
    write(out, Numbers::normal);
    return out;
}

void ExactJson::write(std::string& out, Numbers numbers) const {
    if (const bool* value = truth()) {
        out += *value ? "true" : "false";
    } else if (const Number* value = number()) {
        out += numbers == Numbers::normal ? Decimal(value->text).text() : value->text;
    } else if (const std::string* value = text()) {
        out += quoted(*value);
    } else if (const List* items = list()) {
        out += '[';
        for (const ExactJson& item : *items) {
            if (&item != items->data()) out += ',';
            item.write(out, numbers);
        }
        out += ']';
    } else if (const Object* members = object()) {
        out += '{';
        for (const Member& member : *members) {
            if (&member != members->data()) out += ',';
            out += quoted(member.key) + ':';
            member.value.write(out, numbers);
        }
        out += '}';
    } else {
        out += "null";
    }
}

tl::expected<ExactJson, ExactJsonProblem> parse_exact_json(std::string_view text, int depth_max) {
    Builder builder(depth_max);
    if (!WideJson::sax_parse(text, &builder)) return tl::unexpected(builder.problem());
    return builder.take();
}

ExactJson to_exact_json(const json& value) {
    constexpr int depth_max = 200;
    auto exact = parse_exact_json(value.dump(), depth_max);
    if (!exact) throw std::invalid_argument(fmt::format("{} {}", exact.error().path, exact.error().message));
    return std::move(*exact);
}

std::string json_type_text(const ExactJson& value) {
    if (value.object() != nullptr) return "an object";
    if (value.list() != nullptr) return "a list";
    if (value.text() != nullptr) return "text";
    if (const auto* number = value.number())
        return Decimal(number->text).is_whole() ? "a whole number" : "a number";
    if (const bool* truth = value.truth()) return *truth ? "true" : "false";
    return "null";
}

}  // namespace tasker::templates
