#include <fmt/format.h>

#include <cstdlib>

#include "orchestrator/options/yaml/node.hpp"

namespace tasker::yaml {

namespace {

bool is_variable_name(std::string_view name) {
    if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
    for (const char letter : name) {
        const bool fits = (letter >= 'A' && letter <= 'Z') || (letter >= 'a' && letter <= 'z') ||
                          (letter >= '0' && letter <= '9') || letter == '_';
        if (!fits) return false;
    }
    return true;
}

class Interpolation {
  public:
    Interpolation(const EnvLookup& lookup, MissingVariable missing, ProblemList& problems)
        : lookup_(lookup), missing_(missing), problems_(problems) {}

    void walk(YamlNode& node, const std::string& path) {
        if (node.kind == YamlNode::Kind::scalar && node.text.find("${") != std::string::npos)
            replace(node, path);
        for (std::size_t index = 0; index < node.items.size(); ++index) {
            walk(node.items[index], item_path(path, index));
        }
        for (Entry& entry : node.entries) walk(entry.value, child_path(path, entry.key));
    }

  private:
    void replace(YamlNode& node, const std::string& path) {
        const std::string_view text = node.text;
        std::string result;
        std::size_t at = 0;
        while (at < text.size()) {
            const std::size_t start = text.find("${", at);
            if (start == std::string_view::npos) break;
            if (start > at && text[start - 1] == '$') {  // $${ is a literal ${
                result.append(text.substr(at, start - 1 - at)).append("${");
                at = start + 2;
                continue;
            }
            result.append(text.substr(at, start - at));
            const std::size_t end = text.find('}', start);
            if (end == std::string_view::npos) {
                problems_.error(
                    node.line, node.column, path,
                    "'${' is never closed. Write ${NAME}, ${NAME:-default}, or $${ for the characters.");
                return;
            }
            if (!append_value(text.substr(start + 2, end - start - 2), node, path, result)) return;
            at = end + 1;
        }
        result.append(text.substr(at));
        node.text = std::move(result);
    }

    bool append_value(std::string_view inner, YamlNode& node, const std::string& path, std::string& result) {
        const std::size_t split = inner.find(":-");
        const std::string_view name = inner.substr(0, split);
        if (!is_variable_name(name)) {
            problems_.error(node.line, node.column, path,
                            fmt::format("{} is no name of an environment variable. Write ${{NAME}}, "
                                        "${{NAME:-default}}, or $${{ for the characters.",
                                        in_quotes(name)));
            return false;
        }
        const std::optional<std::string> value = lookup_(name);
        if (value && find_invalid_utf8(*value) != std::string::npos) {
            problems_.error(node.line, node.column, path,
                            fmt::format("The environment variable {} is not valid UTF-8.", name));
            return false;
        }
        if (value && (!value->empty() || split == std::string_view::npos)) {
            result += *value;
        } else if (split != std::string_view::npos) {
            result += inner.substr(split + 2);
        } else if (missing_ == MissingVariable::tolerate) {
            node.unresolved = true;
            return false;
        } else {
            problems_.error(
                node.line, node.column, path,
                fmt::format("The environment variable {} is not set. Set it, or write ${{{}:-default}}.",
                            name, name));
            return false;
        }
        return true;
    }

    const EnvLookup& lookup_;
    MissingVariable missing_;
    ProblemList& problems_;
};

}  // namespace

EnvLookup process_environment() {
    return [](std::string_view name) -> std::optional<std::string> {
        const char* value = std::getenv(std::string(name).c_str());
        if (value == nullptr) return std::nullopt;
        return std::string(value);
    };
}

void interpolate(YamlNode& node, const EnvLookup& lookup, MissingVariable missing, std::string_view path,
                 ProblemList& problems) {
    Interpolation(lookup, missing, problems).walk(node, std::string(path));
}

}  // namespace tasker::yaml
