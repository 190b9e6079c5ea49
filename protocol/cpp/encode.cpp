#include "protocol/cpp/encode.hpp"

#include <array>

#include "protocol/cpp/json_writer.hpp"

namespace tasker::protocol {
namespace {

constexpr std::array<bool, 256> needs_escape() {
    std::array<bool, 256> table{};
    for (std::size_t c = 0; c < 0x20; ++c) table[c] = true;
    table['"'] = true;
    table['\\'] = true;
    return table;
}
constexpr std::array<bool, 256> kNeedsEscape = needs_escape();

void append_escape(std::string& out, char c) {
    constexpr std::string_view kHex = "0123456789abcdef";
    switch (c) {
        case '"':
            out.append("\\\"");
            return;
        case '\\':
            out.append("\\\\");
            return;
        case '\n':
            out.append("\\n");
            return;
        case '\r':
            out.append("\\r");
            return;
        case '\t':
            out.append("\\t");
            return;
        default:
            out.append("\\u00");
            out.push_back(kHex[static_cast<unsigned char>(c) >> 4]);
            out.push_back(kHex[static_cast<unsigned char>(c) & 0x0F]);
    }
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
    out.push_back('"');
    std::size_t run = 0;  // where the characters begin that are not copied yet
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (!kNeedsEscape[static_cast<unsigned char>(text[i])]) continue;
        out.append(text, run, i - run);
        append_escape(out, text[i]);
        run = i + 1;
    }
    out.append(text, run);
    out.push_back('"');
}

void append_step_ref(std::string& out, const StepRef& ref) {
    ObjectWriter(out)
        .text("batch_id", ref.batch_id)
        .integer("step_id", ref.step_id)
        .integer("attempt", std::int64_t{ref.attempt})
        .close();
}

void encode(std::string& out, const WorkerMessage& message) {
    std::visit([&out](const auto& concrete) { encode(out, concrete); }, message);
}

void encode(std::string& out, const OrchestratorMessage& message) {
    std::visit([&out](const auto& concrete) { encode(out, concrete); }, message);
}

}  // namespace tasker::protocol
