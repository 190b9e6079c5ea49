#include "orchestrator/templates/convert.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "orchestrator/options/yaml/write.hpp"

namespace tasker::templates {

namespace {

using yaml::Entry;
using yaml::YamlNode;
using Kind = YamlNode::Kind;

YamlNode map_node() {
    YamlNode node;
    node.kind = Kind::map;
    return node;
}

YamlNode plain(std::string text) {
    YamlNode node;
    node.kind = Kind::scalar;
    node.text = std::move(text);
    return node;
}

void put(YamlNode& map, std::string_view key, YamlNode value) {
    map.entries.push_back({std::string(key), 0, 0, std::move(value)});
}

bool is_empty(const YamlNode& node) {
    return node.kind == Kind::null ||
           (node.kind != Kind::scalar && node.items.empty() && node.entries.empty());
}

bool is_text(const YamlNode& node, std::string_view text) {
    return node.kind == Kind::scalar && node.text == text;
}

// Milliseconds as seconds; nothing for what is no plain number (a variable, for example).
std::optional<YamlNode> in_seconds(const YamlNode& node) {
    double value = 0;
    const char* end = node.text.data() + node.text.size();
    const auto [rest, error] = std::from_chars(node.text.data(), end, value);
    if (node.kind != Kind::scalar || error != std::errc{} || rest != end) return std::nullopt;
    return plain(fmt::format("{}", value / 1000));
}

// Puts the keys of `from` over those of `target`, inner maps key by key, as a later override does.
void merge(YamlNode& target, const YamlNode& from) {
    for (const Entry& entry : from.entries) {
        YamlNode* known = target.find(entry.key);
        if (known == nullptr) {
            target.entries.push_back(entry);
        } else if (known->kind == Kind::map && entry.value.kind == Kind::map) {
            merge(*known, entry.value);
        } else {
            *known = entry.value;
        }
    }
}

class Converter {
  public:
    explicit Converter(std::string source) : left_out_(std::move(source)) {}

    Conversion run(const YamlNode& root) {
        YamlNode out = map_node();
        copy(root, out,
             {{"name", "name"},
              {"namespace_name", "namespace_name"},
              {"version", "version"},
              {"description", "description"}});
        part(root, "", "task_handler", {{"callable", "task_handler_class"}}, out);
        part(root, "", "system_dependencies", {{"primary", "default_dependent_system"}}, out);
        copy(root, out,
             {{"identity_strategy", "identity"}, {"priority", "priority"}, {"input_schema", "schema"}});
        steps(root, out);
        environments(root, out);
        leave_others(
            root, "",
            {"name", "namespace_name", "version", "description", "task_handler", "system_dependencies",
             "identity_strategy", "priority", "input_schema", "steps", "environments", "metadata"});
        return {comment(root) + yaml::to_yaml(out), left_out_.take_sorted()};
    }

  private:
    struct Renamed {
        std::string_view from;
        std::string_view to;
    };
    using Names = std::vector<std::string_view>;

    void leave(const YamlNode& node, const std::string& path, std::string_view why = {}) {
        left_out_.error(node.line, node.column, path,
                        fmt::format("This has no counterpart here and was left out.{}", why));
    }

    void leave_others(const YamlNode& map, const std::string& path, const Names& known) {
        for (const Entry& entry : map.entries) {
            if (std::find(known.begin(), known.end(), entry.key) != known.end() || is_empty(entry.value))
                continue;
            leave(entry.value, yaml::child_path(path, entry.key));
        }
    }

    static void copy(const YamlNode& map, YamlNode& out, const std::vector<Renamed>& names) {
        for (const auto& [from, to] : names) {
            const YamlNode* value = map.find(from);
            if (value != nullptr && value->kind != Kind::null) put(out, to, *value);
        }
    }

    // A map below `map` whose keys move one level up.
    void part(const YamlNode& map, const std::string& path, std::string_view key,
              const std::vector<Renamed>& names, YamlNode& out) {
        const YamlNode* inner = map.find(key);
        if (inner == nullptr || is_empty(*inner)) return;
        const std::string inner_path = yaml::child_path(path, key);
        if (inner->kind != Kind::map) return leave(*inner, inner_path, " A map was expected.");
        copy(*inner, out, names);
        Names known;
        for (const Renamed& one : names) known.push_back(one.from);
        leave_others(*inner, inner_path, known);
    }

    void retry(const YamlNode& step, const std::string& path, YamlNode& out) {
        const YamlNode* all = step.find("retry");
        if (all == nullptr || is_empty(*all)) return;
        const std::string retry_path = yaml::child_path(path, "retry");
        if (all->kind != Kind::map) return leave(*all, retry_path, " A map was expected.");
        copy(*all, out, {{"retryable", "default_retryable"}});
        if (const YamlNode* attempts = all->find("max_attempts");
            attempts != nullptr && !is_empty(*attempts)) {
            // The first attempt is always made.
            put(out, "default_retry_limit", is_text(*attempts, "0") ? plain("1") : *attempts);
        }
        YamlNode backoff = map_node();
        strategy(*all, retry_path, backoff);
        milliseconds(*all, retry_path, "backoff_base_ms", "base_seconds", backoff);
        milliseconds(*all, retry_path, "max_backoff_ms", "max_seconds", backoff);
        if (!backoff.entries.empty()) put(out, "retry_backoff", std::move(backoff));
        leave_others(*all, retry_path,
                     {"retryable", "max_attempts", "backoff", "backoff_base_ms", "max_backoff_ms"});
    }

    void strategy(const YamlNode& retry, const std::string& path, YamlNode& backoff) {
        const YamlNode* word = retry.find("backoff");
        if (word == nullptr || is_empty(*word) || is_text(*word, "exponential")) return;
        if (is_text(*word, "fixed") || is_text(*word, "constant")) {
            put(backoff, "multiplier", plain("1"));
        } else {
            leave(*word, yaml::child_path(path, "backoff"), " Pauses grow by a factor, see `multiplier`.");
        }
    }

    void milliseconds(const YamlNode& retry, const std::string& path, std::string_view from,
                      std::string_view to, YamlNode& backoff) {
        const YamlNode* value = retry.find(from);
        if (value == nullptr || is_empty(*value)) return;
        if (auto seconds = in_seconds(*value)) return put(backoff, to, std::move(*seconds));
        leave(*value, yaml::child_path(path, from), fmt::format(" Write {} in seconds.", to));
    }

    // A step, or what an environment changes of one.
    YamlNode step(const YamlNode& from, const std::string& path) {
        YamlNode out = map_node();
        copy(from, out, {{"name", "name"}, {"description", "description"}});
        part(from, path, "handler", {{"callable", "handler_class"}, {"initialization", "handler_config"}},
             out);
        if (const YamlNode* parents = from.find("dependencies"); parents != nullptr && !is_empty(*parents))
            put(out, "depends_on_steps", *parents);
        copy(from, out, {{"system_dependency", "dependent_system"}});
        retry(from, path, out);
        copy(from, out, {{"timeout_seconds", "timeout_seconds"}});
        Names known{"name",  "description",    "handler", "dependencies", "system_dependency",
                    "retry", "timeout_seconds"};
        if (const YamlNode* type = from.find("type"); type != nullptr && is_text(*type, "standard"))
            known.emplace_back("type");
        leave_others(from, path, known);
        return out;
    }

    void steps(const YamlNode& root, YamlNode& out) {
        YamlNode list;
        list.kind = Kind::sequence;
        for_each_step(root, "", [&](const YamlNode& item, const std::string& path) {
            list.items.push_back(step(item, path));
            if (const YamlNode* name = item.find("name")) names_.push_back(*name);
        });
        put(out, "step_templates", std::move(list));
    }

    template <typename Visit>
    void for_each_step(const YamlNode& map, const std::string& path, const Visit& visit) {
        const YamlNode* list = map.find("steps");
        if (list == nullptr || is_empty(*list)) return;
        const std::string list_path = yaml::child_path(path, "steps");
        if (list->kind != Kind::sequence) return leave(*list, list_path, " A list was expected.");
        for (std::size_t index = 0; index < list->items.size(); ++index) {
            const YamlNode& item = list->items[index];
            const std::string item_path = yaml::item_path(list_path, index);
            if (item.kind == Kind::map) {
                visit(item, item_path);
            } else {
                leave(item, item_path, " A map was expected.");
            }
        }
    }

    void environments(const YamlNode& root, YamlNode& out) {
        const YamlNode* all = root.find("environments");
        if (all == nullptr || is_empty(*all)) return;
        if (all->kind != Kind::map) return leave(*all, "environments", " A map was expected.");
        YamlNode converted = map_node();
        for (const Entry& entry : all->entries) {
            const std::string path = yaml::child_path("environments", entry.key);
            if (entry.value.kind != Kind::map && !is_empty(entry.value)) {
                leave(entry.value, path, " A map was expected.");
                continue;
            }
            YamlNode overrides = map_node();
            for_each_step(entry.value, path, [&](const YamlNode& item, const std::string& item_path) {
                YamlNode changes = step(item, item_path);
                std::erase_if(changes.entries, [&](const Entry& one) {
                    if (one.key != "depends_on_steps") return false;
                    leave(one.value, yaml::child_path(item_path, "dependencies"),
                          " A workflow has one shape.");
                    return true;
                });
                if (changes.find("name") == nullptr) return leave(item, item_path, " It names no step.");
                override_steps(std::move(changes), overrides);
            });
            leave_others(entry.value, path, {"steps"});
            YamlNode one = map_node();
            if (!overrides.entries.empty()) put(one, "step_overrides", std::move(overrides));
            put(converted, entry.key, one.entries.empty() ? YamlNode{} : std::move(one));
        }
        put(out, "environments", std::move(converted));
    }

    // The name ALL stands for every step; a later entry wins.
    void override_steps(YamlNode changes, YamlNode& overrides) {
        const YamlNode name = *changes.find("name");
        std::erase_if(changes.entries, [](const Entry& entry) { return entry.key == "name"; });
        const std::vector<YamlNode> one{name};
        for (const YamlNode& target : is_text(name, "ALL") ? names_ : one) {
            if (overrides.find(target.text) == nullptr) put(overrides, target.text, map_node());
            merge(*overrides.find(target.text), changes);
        }
    }

    static std::string comment(const YamlNode& root) {
        const YamlNode* metadata = root.find("metadata");
        if (metadata == nullptr || is_empty(*metadata)) return {};
        YamlNode all = map_node();
        put(all, "metadata", *metadata);
        const std::string text = yaml::to_yaml(all);
        std::string lines;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = text.find('\n', at);
            lines += "# " + text.substr(at, end + 1 - at);
            at = end + 1;
        }
        return lines;
    }

    yaml::ProblemList left_out_;
    std::vector<YamlNode> names_;
};

tl::expected<Conversion, std::vector<yaml::Problem>> convert_tree(const std::optional<YamlNode>& root,
                                                                  yaml::ProblemList& problems) {
    if (!root) return tl::unexpected(problems.take_sorted());
    if (root->kind != Kind::map || !is_newer_form(*root)) {
        problems.error(root->line, root->column, "",
                       "This is not the newer form, which has `steps`. There is nothing to convert.");
        return tl::unexpected(problems.take_sorted());
    }
    return Converter(problems.file()).run(*root);
}

}  // namespace

bool is_newer_form(const YamlNode& root) {
    return root.find("steps") != nullptr && root.find("step_templates") == nullptr;
}

std::string newer_form_message(const std::string& file) {
    return fmt::format(
        "This is the newer form of Tasker's templates. Write step_templates for steps, handler_class for "
        "handler.callable, handler_config for handler.initialization, depends_on_steps for dependencies, and "
        "default_retry_limit for retry.max_attempts. `tasker template convert {}` does it.",
        file);
}

tl::expected<Conversion, std::vector<yaml::Problem>> convert_template_text(std::string_view text,
                                                                           const std::string& source) {
    yaml::ProblemList problems(source);
    return convert_tree(yaml::parse(text, problems), problems);
}

tl::expected<Conversion, std::vector<yaml::Problem>> convert_template_file(
    const std::filesystem::path& path) {
    yaml::ProblemList problems(path.string());
    return convert_tree(yaml::parse_file(problems), problems);
}

}  // namespace tasker::templates
