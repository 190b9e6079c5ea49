// NS/NAME[:VERSION], as people write the name of a template.
#pragma once

#include <optional>
#include <string>

namespace tasker::cli {

struct TemplateName {
    std::string namespace_name;
    std::string name;
    std::optional<std::string> version;
};

/// Throws CommandError (usage) when the text is not of that form.
TemplateName parse_template_name(const std::string& text);

}  // namespace tasker::cli
