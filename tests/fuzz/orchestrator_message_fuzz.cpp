// What the orchestrator sends, as a worker in C++ reads it: the same properties as for worker messages.
#include "protocol/cpp/frame.hpp"
#include "tests/fuzz/message_property.hpp"

using namespace tasker;

namespace {
constexpr protocol::DecodeLimits kLimits{.message_bytes = 64 * 1024, .depth = 24};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static protocol::Decoder decoder(kLimits);
    static protocol::Decoder roomy;
    const auto json = fuzz::as_text(data, size);
    fuzz::check_message(json, kLimits, [](std::string_view text) {
        return (text.size() > kLimits.message_bytes ? roomy : decoder).decode_orchestrator_message(text);
    });
    const auto message = decoder.decode_orchestrator_message(json);
    if (!message) return 0;
    using protocol::TopicKind;
    fuzz::require(!protocol::belongs_on(TopicKind::workers, *message) &&
                      !protocol::belongs_on(TopicKind::results, *message),
                  "nothing of the orchestrator belongs on a topic of workers");
    fuzz::require(protocol::belongs_on(TopicKind::session_steps, *message) !=
                      protocol::belongs_on(TopicKind::session_control, *message),
                  "a message belongs on exactly one topic of a session");
    return 0;
}
