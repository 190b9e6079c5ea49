#include "orchestrator/options/load.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "orchestrator/options/check.hpp"
#include "orchestrator/options/database_url.hpp"
#include "orchestrator/options/endpoint.hpp"
#include "orchestrator/options/settings.hpp"
#include "orchestrator/options/yaml/reader.hpp"

namespace tasker::options {

namespace {

using yaml::in_quotes;
using yaml::Located;
using yaml::ProblemList;
using yaml::YamlNode;

constexpr std::string_view kPollInterval = "step_execution.handler_poll_interval_ms";
constexpr std::string_view kEnvironmentFile = "environment";
constexpr std::size_t kTextBytesMax = 4096;
constexpr std::size_t kEndpointsMax = 16;

bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-';
    });
}

std::optional<std::string> text_fault(const Setting& setting, const std::string& text) {
    switch (setting.form) {
        case TextForm::any:
            return std::nullopt;
        case TextForm::path:
            if (text.empty()) return "must not be empty";
            return std::nullopt;
        case TextForm::name:
            if (!is_name(text)) return "is no name: allowed are 1 to 128 letters, digits, _ . and -";
            return std::nullopt;
        case TextForm::zmq_bind:
            return endpoint_fault(text, EndpointUse::bind);
        case TextForm::zmq_connect:
            return endpoint_fault(text, EndpointUse::connect);
        case TextForm::http_bind:
            return http_address_fault(text);
        case TextForm::database_url:
            return database_url_fault(text);
    }
    return std::nullopt;
}

// Stores one value, from a file or a variable, into Options; complains when it does not fit the setting.
struct Assign {
    const Setting& setting;
    const Located& value;
    yaml::NumericText numeric;
    Options& options;
    ProblemList& problems;

    void complain(const YamlNode& node, const std::string& path, const std::string& text,
                  std::string_view fault) const {
        // A password is not repeated.
        const std::string value = setting.form == TextForm::database_url ? "The value" : in_quotes(text);
        problems.error(node.line, node.column, path, fmt::format("{} {}.", value, fault));
    }

    bool operator()(std::string* (*slot)(Options&)) const {
        const auto text = yaml::read_spelling(value, kTextBytesMax, problems);
        if (!text) return false;
        if (const auto fault = text_fault(setting, *text)) {
            complain(value.node, value.path, *text, *fault);
            return false;
        }
        *slot(options) = *text;
        return true;
    }
    bool operator()(bool* (*slot)(Options&)) const {
        const auto truth = yaml::read_bool(value, problems);
        if (truth) *slot(options) = *truth;
        return truth.has_value();
    }
    std::optional<std::int64_t> integer() const {
        return yaml::read_integer(value, {setting.min, setting.max}, numeric, setting.unit, problems);
    }
    bool operator()(int* (*slot)(Options&)) const {
        const auto number = integer();
        if (number) *slot(options) = static_cast<int>(*number);
        return number.has_value();
    }
    bool operator()(std::int64_t* (*slot)(Options&)) const {
        const auto number = integer();
        if (number) *slot(options) = *number;
        return number.has_value();
    }
    bool operator()(milliseconds* (*slot)(Options&)) const {
        const auto number = integer();
        if (number) *slot(options) = milliseconds(*number);
        return number.has_value();
    }
    bool operator()(std::vector<std::string>* (*slot)(Options&)) const {
        const YamlNode& node = value.node;
        const bool is_list = node.kind == YamlNode::Kind::sequence;
        const std::size_t size = is_list ? node.items.size() : 1;
        if (size < 1 || size > kEndpointsMax) {
            problems.error(
                node.line, node.column, value.path,
                fmt::format("{} endpoints are out of range: allowed is 1 to {}.", size, kEndpointsMax));
            return false;
        }
        std::vector<std::string> list;
        for (std::size_t index = 0; index < size; ++index) {
            const YamlNode& item = is_list ? node.items[index] : node;
            const std::string path = is_list ? yaml::item_path(value.path, index) : value.path;
            const auto text = yaml::read_spelling({item, path}, kTextBytesMax, problems);
            if (!text) continue;
            if (const auto fault = text_fault(setting, *text)) {
                complain(item, path, *text, *fault);
            } else {
                list.push_back(*text);
            }
        }
        if (list.size() == size) *slot(options) = std::move(list);
        return true;
    }
    bool operator()(LogLevel* (*slot)(Options&)) const {
        const auto choice = yaml::read_choice(value, log_level_names(), problems);
        if (choice) *slot(options) = static_cast<LogLevel>(*choice);
        return choice.has_value();
    }
    bool operator()(LogFormat* (*slot)(Options&)) const {
        const auto choice = yaml::read_choice(value, log_format_names(), problems);
        if (choice) *slot(options) = static_cast<LogFormat>(*choice);
        return choice.has_value();
    }
};

class Loader {
  public:
    explicit Loader(const EnvLookup& environment) : environment_(environment) {}

    void read_file(const std::filesystem::path& path) {
        ProblemList problems(path.string());
        loaded_.files.push_back(path);
        std::optional<YamlNode> root = yaml::parse_file(problems);
        if (root) {
            yaml::interpolate(*root, environment_, yaml::MissingVariable::refuse, "", problems);
            if (root->kind == YamlNode::Kind::map) {
                read_map(*root, "", problems);
            } else {
                problems.error(root->line, root->column, "", "A map of settings is expected here.");
            }
        }
        keep(problems);
    }

    void read_environment() {
        ProblemList problems{std::string(kEnvironmentFile)};
        for (const Setting& setting : settings()) {
            if (setting.environment_variable.empty()) continue;
            const auto value = environment_(setting.environment_variable);
            if (!value || value->empty()) continue;
            YamlNode node;
            node.kind = YamlNode::Kind::scalar;
            node.text = *value;
            const std::string variable(setting.environment_variable);
            assign(setting, {node, variable}, yaml::NumericText::accept, problems);
            origins_[setting.key] = {std::string(kEnvironmentFile), variable, 0, 0};
        }
        keep(problems);
    }

    tl::expected<LoadedOptions, std::vector<Problem>> finish() {
        derive_connect();
        // Cross-checks of values that are themselves wrong would only repeat the same fault in other words.
        if (!has_errors()) {
            for (Problem& problem : cross_check(loaded_.options, origins_))
                problems_.push_back(std::move(problem));
        }
        if (has_errors()) return tl::unexpected(std::move(problems_));
        loaded_.origins = std::move(origins_);
        loaded_.warnings = std::move(problems_);
        return std::move(loaded_);
    }

  private:
    bool has_errors() const {
        return std::any_of(problems_.begin(), problems_.end(),
                           [](const Problem& problem) { return problem.severity == yaml::Severity::error; });
    }

    void keep(ProblemList& problems) {
        for (Problem& problem : problems.take_sorted()) problems_.push_back(std::move(problem));
    }

    static bool is_section(const std::string& path) {
        return std::any_of(settings().begin(), settings().end(), [&path](const Setting& setting) {
            return setting.key.size() > path.size() && setting.key.starts_with(path) &&
                   setting.key[path.size()] == '.';
        });
    }

    void read_map(const YamlNode& map, const std::string& path, ProblemList& problems) {
        for (const yaml::Entry& entry : map.entries) {
            const std::string key = yaml::child_path(path, entry.key);
            const YamlNode& value = entry.value;
            if (const Setting* setting = find_setting(key)) {
                read_setting(*setting, key, entry, problems);
            } else if (key == kPollInterval) {
                problems.warning(entry.line, entry.column, key,
                                 "This setting has no effect: nothing polls any more. Remove it.");
            } else if (!is_section(key)) {
                problems.error(
                    entry.line, entry.column, key,
                    fmt::format("Unknown setting {}.{} `tasker-orchestrator --help-settings` lists all.",
                                in_quotes(entry.key), hint(path, entry.key)));
            } else if (value.kind == YamlNode::Kind::map) {
                read_map(value, key, problems);
            } else if (value.kind !=
                       YamlNode::Kind::null) {  // a section with everything commented out is fine
                problems.error(value.line, value.column, key,
                               fmt::format("Expected a map of settings, found {}.", yaml::describe(value)));
            }
        }
    }

    void read_setting(const Setting& setting, const std::string& key, const yaml::Entry& entry,
                      ProblemList& problems) {
        const auto before = origins_.find(setting.key);
        if (before != origins_.end()) {
            problems.error(entry.line, entry.column, key,
                           fmt::format("This setting is given twice, first as {} in {}:{}. Keep one.",
                                       before->second.name, before->second.file, before->second.line));
            return;
        }
        origins_[setting.key] = {problems.file(), key, entry.value.line, entry.value.column};
        if (entry.value.kind == YamlNode::Kind::null) {
            problems.error(entry.line, entry.column, key,
                           "The setting has no value. Give it one, or remove it to get the default.");
            return;
        }
        assign(setting, {entry.value, key}, yaml::NumericText::refuse, problems);
    }

    void assign(const Setting& setting, const Located& value, yaml::NumericText numeric,
                ProblemList& problems) {
        const bool good =
            std::visit(Assign{setting, value, numeric, loaded_.options, problems}, setting.slot);
        if (!good || setting.reserved.empty()) return;
        const std::string is_default = value_text(setting, Options{});
        if (value_text(setting, loaded_.options) == is_default) return;
        problems.error(value.node.line, value.node.column, value.path,
                       fmt::format("{} is reserved {}, so it can only be {}. Remove it.", setting.key,
                                   setting.reserved, in_quotes(is_default)));
    }

    // Names near the unknown one among what may stand in the same section, then among all settings: a key in
    // the wrong section is as likely as a typo.
    static std::string hint(const std::string& section, const std::string& key) {
        std::vector<std::string> here;
        std::vector<std::string> elsewhere;
        for (const Setting& setting : settings()) {
            std::string_view rest = setting.key;
            if (section.empty()) {
                here.emplace_back(rest.substr(0, rest.find('.')));
            } else if (rest.starts_with(section + ".")) {
                here.emplace_back(rest.substr(section.size() + 1));
            }
            if (setting.key.substr(setting.key.rfind('.') + 1) == key) elsewhere.emplace_back(setting.key);
        }
        if (!elsewhere.empty()) return fmt::format(" Did you mean '{}'?", elsewhere.front());
        return yaml::did_you_mean(key, here);
    }

    // Connect addresses follow the bound ones unless a file names them; a variable sets both.
    void derive_connect() {
        Endpoints& endpoints = loaded_.options.endpoints;
        derive(endpoints.steps, "step_execution.step_publisher", "step_execution.handler_step_subscriber");
        derive(endpoints.results, "step_execution.result_subscriber",
               "step_execution.handler_result_publisher");
        derive(endpoints.command, "step_execution.command", "");
    }

    void derive(Endpoint& endpoint, std::string_view bind_key, std::string_view connect_key) {
        const auto bind = origins_.find(bind_key);
        const bool from_variable = bind != origins_.end() && bind->second.file == kEnvironmentFile;
        if (!from_variable && origins_.contains(connect_key)) return;
        endpoint.connect = {connect_form(endpoint.bind)};
        if (bind != origins_.end() && !connect_key.empty()) origins_[connect_key] = bind->second;
    }

    const EnvLookup& environment_;
    LoadedOptions loaded_;
    Origins origins_;
    std::vector<Problem> problems_;
};

}  // namespace

tl::expected<LoadedOptions, std::vector<Problem>> load_options(
    const std::optional<std::filesystem::path>& config_file, const EnvLookup& environment) {
    Loader loader(environment);
    if (config_file) {
        loader.read_file(*config_file);
        const std::filesystem::path beside = config_file->parent_path() / "zeromq.yaml";
        std::error_code status;
        if (std::filesystem::exists(beside, status) &&
            !std::filesystem::equivalent(beside, *config_file, status)) {
            loader.read_file(beside);
        }
    }
    loader.read_environment();
    return loader.finish();
}

}  // namespace tasker::options
