#include "orchestrator/daemon/start_templates.hpp"

#include <algorithm>
#include <optional>

#include "orchestrator/api/definitions.hpp"
#include "orchestrator/api/template_files.hpp"
#include "orchestrator/util/log.hpp"

namespace tasker {
namespace {

namespace log = util::log;

// Nothing when the files cannot be used; every problem is in the log then.
std::optional<api::TemplateFiles> read(const std::string& folder, const std::string& environment) {
    auto files = api::read_template_files(folder, environment);
    if (!files) {
        log::error("templates_dir: " + files.error().message, {{"advice", files.error().advice}});
        return std::nullopt;
    }
    const bool good = files->errors() == 0;
    for (const auto& problem : files->problems) {
        log::write(good ? log::Level::warning : log::Level::error, to_string(problem));
    }
    if (!good) return std::nullopt;
    return std::move(*files);
}

}  // namespace

bool StartTemplates::check() const {
    if (!wanted() || read(folder_, environment_)) return true;
    log::error("the templates of templates_dir are not usable, nothing was started",
               {{"templates_dir", folder_}, {"check", "tasker template check " + folder_}});
    return false;
}

void StartTemplates::load(postgres::Connection& connection) const {
    if (!wanted()) return;
    const auto files = read(folder_, environment_);
    if (!files) {
        log::error(
            "the templates of templates_dir have become unusable; nothing is loaded, the definitions in "
            "the database hold on",
            {{"templates_dir", folder_}, {"check", "tasker template check " + folder_}});
        return;
    }
    const auto registered = api::register_templates(connection, files->templates);
    const auto changed = std::count_if(registered.begin(), registered.end(), [](const auto& one) {
        return one.outcome != api::RegistrationOutcome::unchanged;
    });
    log::info("templates loaded",
              {{"templates_dir", folder_}, {"templates", registered.size()}, {"changed", changed}});
}

}  // namespace tasker
