#include "orchestrator/cli/template_name.hpp"

#include <fmt/format.h>

#include "orchestrator/cli/exit_code.hpp"

namespace tasker::cli {

TemplateName parse_template_name(const std::string& text) {
    const auto slash = text.find('/');
    const auto colon = text.find(':');
    const bool two_parts = slash != std::string::npos && slash > 0 &&
                           text.find('/', slash + 1) == std::string::npos &&
                           (colon == std::string::npos || colon > slash + 1) && slash + 1 < text.size();
    if (!two_parts || (colon != std::string::npos && colon + 1 == text.size())) {
        throw CommandError(
            ExitCode::usage, fmt::format("\"{}\" is not of the form NAMESPACE/NAME[:VERSION]", text),
            "write for example fulfillment/order_fulfillment:1.0.0; see `tasker template list`");
    }
    TemplateName result;
    result.namespace_name = text.substr(0, slash);
    result.name = text.substr(slash + 1, colon == std::string::npos ? colon : colon - slash - 1);
    if (colon != std::string::npos) result.version = text.substr(colon + 1);
    return result;
}

}  // namespace tasker::cli
