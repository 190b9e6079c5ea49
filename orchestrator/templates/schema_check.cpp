#include "orchestrator/templates/schema_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <unordered_map>

#include "orchestrator/templates/pattern.hpp"
#include "orchestrator/templates/schema_keywords.hpp"
#include "orchestrator/templates/text_format.hpp"

namespace tasker::templates {

namespace {

using yaml::in_quotes;
using yaml::Located;
using yaml::ProblemList;
using yaml::YamlNode;

// Compiling a pattern recurses with its brackets.
constexpr std::size_t kPatternBytesMax = 1024;

const std::vector<std::string>& type_names() {
    static const std::vector<std::string> names{"object",  "array",   "string", "number",
                                                "integer", "boolean", "null"};
    return names;
}

class SchemaCheck {
  public:
    SchemaCheck(const Located& root, ProblemList& problems) : root_(root), problems_(problems) {}

    void run() {
        if (root_.node.kind != YamlNode::Kind::map) {
            error(root_,
                  fmt::format("Expected a JSON Schema (a map), found {}.", yaml::describe(root_.node)));
            return;
        }
        const std::size_t before = problems_.size();
        schema(root_);
        check_satisfiable();
        // Only a schema whose parts make sense can be followed along its references.
        if (problems_.size() != before && problems_.has_errors()) return;
        for (const Located& one : schemas_) check_applied(one.node, one.path, 0);
    }

  private:
    void error(const Located& value, std::string message) {
        problems_.error(value.node.line, value.node.column, value.path, std::move(message));
    }

    void expected(const Located& value, std::string_view what) {
        error(value, fmt::format("Expected {}, found {}.", what, yaml::describe(value.node)));
    }

    void schema(const Located& value) {
        if (value.node.kind != YamlNode::Kind::map) {
            const bool truth = value.node.kind == YamlNode::Kind::scalar && !value.node.quoted &&
                               (value.node.text == "true" || value.node.text == "false");
            if (!truth && !value.node.unresolved) expected(value, "a schema (a map, true or false)");
            return;
        }
        schemas_.push_back(value);
        for (const yaml::Entry& entry : value.node.entries) {
            const KnownKeyword* known = find_keyword(entry.key);
            const std::string path = yaml::child_path(value.path, entry.key);
            if (known == nullptr) {
                unknown(entry, path);
            } else {
                keyword(known->kind, {entry.value, path});
                without_effect(value.node, entry, path);
            }
        }
    }

    // Keywords that are checked as a rule, and here are not.
    void without_effect(const YamlNode& schema, const yaml::Entry& entry, const std::string& path) {
        const auto warn = [&](std::string message) {
            problems_.warning(entry.line, entry.column, path, std::move(message));
        };
        const YamlNode* items = schema.find("items");
        if (schema.find("$ref") != nullptr && !stands_beside_reference(entry.key)) {
            warn("Beside $ref this keyword is not checked. Put both into allOf.");
        } else if ((entry.key == "then" || entry.key == "else") && schema.find("if") == nullptr) {
            warn("Without if this keyword is not checked.");
        } else if (entry.key == "if" && schema.find("then") == nullptr && schema.find("else") == nullptr) {
            warn("Without then and else this keyword has no effect.");
        } else if (entry.key == "additionalItems" &&
                   (items == nullptr || items->kind != YamlNode::Kind::sequence)) {
            warn("Without a list of schemas under items this keyword is not checked.");
        } else if (entry.key == "$id" && &schema != &root_.node) {
            warn(
                "References are read from the top of the schema: this keyword does not change where they lead.");
        } else if (entry.key == "$schema" && entry.value.text.find("draft-07") == std::string::npos) {
            warn("Contexts are checked as draft 7 of JSON Schema says, whatever draft is named here.");
        }
    }

    static bool stands_beside_reference(std::string_view key) {
        constexpr std::array words{"$ref",     "$id",         "$schema",     "$comment",
                                   "title",    "description", "definitions", "default",
                                   "examples", "$defs",       "readOnly",    "writeOnly"};
        return std::find(words.begin(), words.end(), key) != words.end();
    }

    void unknown(const yaml::Entry& entry, const std::string& path) {
        if (entry.key.starts_with("x-")) return;
        std::vector<std::string> names;
        names.reserve(kKeywords.size());
        for (const KnownKeyword& word : kKeywords) names.emplace_back(word.name);
        const bool unchecked = std::find(kUncheckedKeywords.begin(), kUncheckedKeywords.end(), entry.key) !=
                               kUncheckedKeywords.end();
        const std::string hint = unchecked ? "" : yaml::did_you_mean(entry.key, names);
        if (hint.empty()) {
            problems_.warning(entry.line, entry.column, path,
                              fmt::format("The keyword {} is not checked.", in_quotes(entry.key)));
        } else {
            problems_.error(entry.line, entry.column, path,
                            fmt::format("Unknown keyword {}.{}", in_quotes(entry.key), hint));
        }
    }

    void keyword(Keyword kind, const Located& value) {
        switch (kind) {
            case Keyword::anything:
                return;
            case Keyword::text:
                yaml::read_text(value, 0, yaml::kFileBytesMax, problems_);
                return;
            case Keyword::truth:
                yaml::read_bool(value, problems_);
                return;
            case Keyword::number:
                yaml::read_number(value, {-1e308, 1e308}, yaml::NumericText::refuse, "", problems_);
                return;
            case Keyword::positive_number:
                yaml::read_number(value, {1e-300, 1e308}, yaml::NumericText::refuse, "", problems_);
                return;
            case Keyword::count:
                yaml::read_integer(value, {0, 1'000'000'000}, yaml::NumericText::refuse, "", problems_);
                return;
            case Keyword::format:
                if (const auto text = yaml::read_text(value, 1, yaml::kFileBytesMax, problems_))
                    format(*text, value);
                return;
            case Keyword::pattern:
                if (const auto text = yaml::read_text(value, 0, kPatternBytesMax, problems_))
                    pattern(*text, value);
                return;
            case Keyword::reference:
                reference(value);
                return;
            case Keyword::type:
                type(value);
                return;
            case Keyword::names:
                names(value);
                return;
            case Keyword::list:
                if (value.node.kind != YamlNode::Kind::sequence) expected(value, "a list");
                return;
            case Keyword::schema:
                schema(value);
                return;
            case Keyword::schema_or_list:
                if (value.node.kind == YamlNode::Kind::sequence) {
                    schema_list(value);
                } else {
                    schema(value);
                }
                return;
            case Keyword::schema_list:
                schema_list(value);
                return;
            case Keyword::schema_map:
            case Keyword::pattern_map:
            case Keyword::dependencies:
                schema_map(kind, value);
                return;
        }
    }

    void pattern(const std::string& text, const Located& value) {
        if (text.size() > kPatternBytesMax) {
            error(value,
                  fmt::format("The pattern has {} bytes, the limit is {}.", text.size(), kPatternBytesMax));
            return;
        }
        if (const auto compiled = compile_pattern(text); !compiled) {
            error(value,
                  fmt::format("{} is no regular expression that can be used: {}. Patterns are ECMAScript "
                              "without look-around and back-references.",
                              in_quotes(text), compiled.error()));
        }
    }

    void format(const std::string& text, const Located& value) {
        if (find_format(text) != nullptr) return;
        problems_.warning(value.node.line, value.node.column, value.path,
                          fmt::format("The format {} is not checked.{}", in_quotes(text),
                                      yaml::did_you_mean(text, checked_formats())));
    }

    void type(const Located& value) {
        if (value.node.kind != YamlNode::Kind::sequence) {
            yaml::read_choice(value, type_names(), problems_);
            return;
        }
        if (value.node.items.empty()) error(value, "The list of types must not be empty.");
        for (std::size_t index = 0; index < value.node.items.size(); ++index) {
            yaml::read_choice({value.node.items[index], yaml::item_path(value.path, index)}, type_names(),
                              problems_);
        }
    }

    void names(const Located& value) {
        if (value.node.kind != YamlNode::Kind::sequence) {
            expected(value, "a list of property names");
            return;
        }
        std::set<std::string_view> seen;
        for (std::size_t index = 0; index < value.node.items.size(); ++index) {
            const Located item{value.node.items[index], yaml::item_path(value.path, index)};
            if (!yaml::read_text(item, 0, 4096, problems_)) continue;
            if (!seen.insert(item.node.text).second) {
                error(item, fmt::format("{} is listed twice.", in_quotes(item.node.text)));
            }
        }
    }

    void schema_list(const Located& value) {
        if (value.node.kind != YamlNode::Kind::sequence || value.node.items.empty()) {
            expected(value, "a list of at least one schema");
            return;
        }
        for (std::size_t index = 0; index < value.node.items.size(); ++index) {
            schema({value.node.items[index], yaml::item_path(value.path, index)});
        }
    }

    void schema_map(Keyword kind, const Located& value) {
        if (value.node.kind != YamlNode::Kind::map) {
            expected(value, "a map of schemas");
            return;
        }
        for (const yaml::Entry& entry : value.node.entries) {
            const Located inner{entry.value, yaml::child_path(value.path, entry.key)};
            if (kind == Keyword::pattern_map) pattern(entry.key, inner);
            if (kind == Keyword::dependencies && entry.value.kind == YamlNode::Kind::sequence) {
                names(inner);
            } else {
                schema(inner);
            }
        }
    }

    void reference(const Located& value) {
        const auto text = yaml::read_text(value, 1, 4096, problems_);
        if (!text) return;
        if ((*text)[0] != '#') {
            error(value,
                  fmt::format("{} refers to another document. Only references inside this schema (#/…) work.",
                              in_quotes(*text)));
        } else if (resolve(*text) == nullptr) {
            error(value, fmt::format("{} leads nowhere in this schema.", in_quotes(*text)));
        }
    }

    // Keywords that apply another schema to the same value. A circle of them never comes to an end, neither
    // in the library nor in the matter; a long chain costs stack.
    enum class Visit { running, done };

    void check_applied(const YamlNode& node, const std::string& path, int depth) {
        if (node.kind != YamlNode::Kind::map) return;
        const auto [state, is_new] = visits_.try_emplace(&node, Visit::running);
        if (!is_new && state->second == Visit::done) return;
        if (!is_new || depth > kAppliedHopsMax) {
            error({node, path},
                  is_new ? fmt::format("Schemas refer to each other over more than {} hops.", kAppliedHopsMax)
                         : "This schema applies itself to the same value, in a circle.");
            visits_[&node] = Visit::done;
            return;
        }
        for (const yaml::Entry& entry : node.entries) {
            const std::string at = yaml::child_path(path, entry.key);
            if (entry.key == "$ref") {
                const YamlNode* target = resolve(entry.value.text);
                if (target != nullptr) check_applied(*target, at, depth + 1);
            } else if (entry.key == "not" || entry.key == "if" || entry.key == "then" ||
                       entry.key == "else") {
                check_applied(entry.value, at, depth + 1);
            } else if (entry.key == "allOf" || entry.key == "anyOf" || entry.key == "oneOf") {
                for (const YamlNode& item : entry.value.items) check_applied(item, at, depth + 1);
            } else if (entry.key == "dependencies") {
                for (const yaml::Entry& inner : entry.value.entries)
                    check_applied(inner.value, at, depth + 1);
            }
        }
        visits_[&node] = Visit::done;
    }

    // A JSON pointer after '#', e.g. #/$defs/address.
    const YamlNode* resolve(const std::string& text) const {
        const auto steps = reference_steps(text);
        if (!steps) return nullptr;
        const YamlNode* node = &root_.node;
        for (const std::string& step : *steps) {
            node = step_into(*node, step);
            if (node == nullptr) return nullptr;
        }
        return node;
    }

    static const YamlNode* step_into(const YamlNode& node, const std::string& token) {
        if (node.kind != YamlNode::Kind::sequence) return node.find(token);
        std::size_t index = 0;
        const auto [end, code] = std::from_chars(token.data(), token.data() + token.size(), index);
        const bool usable =
            code == std::errc{} && end == token.data() + token.size() && index < node.items.size();
        return usable ? &node.items[index] : nullptr;
    }

    // Contradictions that would refuse every task; only the plain ones, at the top.
    void check_satisfiable() {
        const YamlNode* type = root_.node.find("type");
        if (type != nullptr && type->kind == YamlNode::Kind::scalar && type->text != "object" &&
            std::count(type_names().begin(), type_names().end(), type->text) > 0) {
            problems_.warning(
                type->line, type->column, yaml::child_path(root_.path, "type"),
                "A context is always an object, so this schema refuses every task. Write object.");
        }
        const YamlNode* extra = root_.node.find("additionalProperties");
        const bool closed =
            extra != nullptr && extra->kind == YamlNode::Kind::scalar && extra->text == "false";
        const YamlNode* required = root_.node.find("required");
        const YamlNode* properties = root_.node.find("properties");
        if (!closed || required == nullptr || root_.node.find("patternProperties") != nullptr) return;
        for (const YamlNode& item : required->items) {
            if (properties != nullptr && properties->find(item.text) != nullptr) continue;
            problems_.warning(
                item.line, item.column, yaml::child_path(root_.path, "required"),
                fmt::format("{} is required but not among the properties, and additionalProperties is "
                            "false: this schema refuses every task.",
                            in_quotes(item.text)));
        }
    }

    const Located& root_;
    ProblemList& problems_;
    std::vector<Located> schemas_;
    std::unordered_map<const YamlNode*, Visit> visits_;
};

}  // namespace

void check_schema(const Located& schema, ProblemList& problems) {
    SchemaCheck(schema, problems).run();
}

}  // namespace tasker::templates
