#include "orchestrator/options/shown.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <type_traits>
#include <vector>

#include "orchestrator/options/database_url.hpp"
#include "orchestrator/options/settings.hpp"

namespace tasker::options {
namespace {

using Json = nlohmann::ordered_json;

const Origin* origin_of(const Setting& setting, const Origins& origins) {
    const auto found = origins.find(setting.key);
    return found == origins.end() ? nullptr : &found->second;
}

std::string from_text(const Origin* origin) {
    if (origin == nullptr) return "default";
    if (origin->line == 0) return "environment variable " + origin->name;
    return fmt::format("{}:{}", origin->file, origin->line);
}

std::string text_of(const Setting& setting, const Options& options) {
    const std::string text = value_text(setting, options);
    return setting.form == TextForm::database_url ? url_without_secrets(text) : text;
}

Json value_of(const Setting& setting, const Options& options) {
    Options copy = options;
    return std::visit(
        [&](auto slot) -> Json {
            using Value = std::remove_pointer_t<decltype(slot(copy))>;
            if constexpr (std::is_same_v<Value, std::string> || std::is_enum_v<Value>) {
                return text_of(setting, options);
            } else if constexpr (std::is_same_v<Value, milliseconds>) {
                return slot(copy)->count();
            } else {
                return *slot(copy);
            }
        },
        setting.slot);
}

}  // namespace

std::string shown_settings(const LoadedOptions& loaded) {
    std::vector<std::string> values;
    std::size_t width = 0;
    constexpr std::size_t width_max = 60;  // one long value does not push all others aside
    for (const Setting& setting : settings()) {
        values.push_back(fmt::format("{}: {}", setting.key, text_of(setting, loaded.options)));
        if (values.back().size() <= width_max) width = std::max(width, values.back().size());
    }
    std::string text;
    std::size_t at = 0;
    for (const Setting& setting : settings()) {
        text +=
            fmt::format("{:<{}}  # {}\n", values[at++], width, from_text(origin_of(setting, loaded.origins)));
    }
    return text;
}

Json shown_settings_json(const LoadedOptions& loaded) {
    Json files = Json::array();
    for (const auto& file : loaded.files) files.push_back(file.string());
    Json all = Json::object();
    for (const Setting& setting : settings()) {
        Json one = {{"value", value_of(setting, loaded.options)}};
        if (!setting.unit.empty()) one["unit"] = setting.unit;
        const Origin* origin = origin_of(setting, loaded.origins);
        if (origin == nullptr) {
            one["from"] = "default";
        } else if (origin->line == 0) {
            one["from"] = "environment";
            one["variable"] = origin->name;
        } else {
            one["from"] = "file";
            one["file"] = origin->file;
            one["line"] = origin->line;
        }
        all[std::string(setting.key)] = std::move(one);
    }
    return {{"files", std::move(files)}, {"settings", std::move(all)}};
}

}  // namespace tasker::options
