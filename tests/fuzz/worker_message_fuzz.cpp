// What workers send: accepted messages survive encoding, refusals name code and field, and the old form of a
// report expands into reports that the decoder itself accepts.
#include <variant>

#include "protocol/cpp/convert.hpp"
#include "protocol/cpp/frame.hpp"
#include "tests/fuzz/message_property.hpp"

using namespace tasker;

namespace {

constexpr protocol::DecodeLimits kLimits{.message_bytes = 64 * 1024, .depth = 24};

// An expansion names a worker and a time of its own, and each result becomes one report, in order.
void check_expansion(protocol::Decoder& decoder, const protocol::StepBatchResponse& response) {
    const auto expanded = protocol::expand(response, "plain-1", "2026-03-01T12:00:00Z");
    fuzz::require(expanded.partials.size() == response.results.size(), "each result becomes one report");
    std::int64_t sequence = 0;
    for (const auto& partial : expanded.partials) {
        fuzz::require(partial.sequence == ++sequence, "sequences count from 1 without a gap");
        const std::string text = protocol::to_json(partial);
        const auto read = decoder.decode_worker_message(text);
        fuzz::require(read.has_value(), "an expanded report is a legal report",
                      read ? "" : read.error().field + ": " + read.error().message + "\n" + text);
    }
    fuzz::require(expanded.completion.sequence == sequence + 1, "the completion comes last");
    const std::string text = protocol::to_json(expanded.completion);
    fuzz::require(decoder.decode_worker_message(text).has_value(), "an expanded completion is legal", text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static protocol::Decoder decoder(kLimits);
    static protocol::Decoder roomy;  // an expansion repeats batch id, worker and time for every report
    const auto json = fuzz::as_text(data, size);
    fuzz::check_message(json, kLimits, [](std::string_view text) {
        return (text.size() > kLimits.message_bytes ? roomy : decoder).decode_worker_message(text);
    });
    const auto message = decoder.decode_worker_message(json);
    if (!message) return 0;
    fuzz::require(protocol::belongs_on(protocol::TopicKind::results, *message) !=
                      protocol::belongs_on(protocol::TopicKind::workers, *message),
                  "a message belongs on exactly one topic");
    if (const auto* response = std::get_if<protocol::StepBatchResponse>(&*message)) {
        check_expansion(roomy, *response);
    }
    return 0;
}
