#include "orchestrator/engine/io/command.hpp"

#include <exception>

#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;
namespace {

using nlohmann::json;

std::string refuse(const char* code, const std::string& message, const char* field = nullptr) {
    json error{{"code", code}, {"message", message}};
    if (field != nullptr) error["field"] = field;
    // Names from the request may be part of the message: what is not UTF-8 in them is replaced.
    return json{{"ok", false}, {"error", std::move(error)}}.dump(-1, ' ', false,
                                                                 json::error_handler_t::replace);
}

std::string health_check(const json& request, const HealthSource& health) {
    const auto level = request.find("level");
    bool detailed = false;
    if (level != request.end() && !level->is_null()) {
        if (!level->is_string())
            return refuse("wrong_type", "level must be a string: basic or detailed", "level");
        const auto& text = level->get_ref<const std::string&>();
        if (text != "basic" && text != "detailed") {
            return refuse("out_of_range", "level must be basic or detailed", "level");
        }
        detailed = text == "detailed";
    }
    json reply = health(detailed);
    reply["ok"] = true;
    return reply.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::string answer_command(std::string_view text, const HealthSource& health) {
    try {
        const json request = json::parse(text, nullptr, false);
        if (request.is_discarded()) return refuse("malformed_json", "the request is not valid JSON");
        if (!request.is_object()) return refuse("wrong_type", "the request must be a JSON object");
        const auto command = request.find("command");
        if (command == request.end() || command->is_null()) {
            return refuse("missing_field", "the request names no command; known: health_check", "command");
        }
        if (!command->is_string()) return refuse("wrong_type", "command must be a string", "command");
        const auto& name = command->get_ref<const std::string&>();
        if (name == "health_check") return health_check(request, health);
        return refuse("unknown_command", "\"" + name.substr(0, 64) + "\" is no command; known: health_check",
                      "command");
    } catch (const std::exception& error) {
        log::error("a command could not be answered", {{"cause", error.what()}});
        return refuse("internal", "the command could not be answered; the orchestrator's log says why");
    }
}

std::string answer_malformed_command() {
    return refuse("bad_frame", "a request is one frame of JSON, after the empty frame that REQ sends");
}

}  // namespace tasker::engine
