// Runs the golden vectors through the C++ codec: one JSON line per vector, as protocol/SPEC.md
// ("Conformance") asks of every language. An accepted message is decoded, encoded again and decoded once
// more; the line shows the encoded text, so that decoder and encoder are both on trial.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/cpp/decode.hpp"
#include "protocol/cpp/encode.hpp"
#include "protocol/cpp/frame.hpp"

namespace {

using tasker::protocol::DecodeError;
using tasker::protocol::DecodeLimits;
using tasker::protocol::Decoder;
using tasker::protocol::ErrorCode;

std::string decode_base64(std::string_view text) {
    constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string bytes;
    unsigned int pending = 0;
    int bits = 0;
    for (const char c : text) {
        if (c == '=') break;
        const std::size_t value = kAlphabet.find(c);
        if (value == std::string_view::npos) throw std::runtime_error("frame_base64 is not base64");
        pending = pending << 6 | static_cast<unsigned int>(value);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes.push_back(static_cast<char>(pending >> bits & 0xFF));
        }
    }
    return bytes;
}

/// The encoder always writes version "1.0" as the second member; the canonical form keeps the version that
/// was given.
std::string with_version(std::string json, std::string_view given) {
    constexpr std::string_view kWritten = ",\"protocol_version\":\"1.0\"";
    const std::size_t at = json.find(kWritten);
    if (at == std::string::npos) throw std::runtime_error("the encoder wrote no protocol_version");
    return json.replace(at, kWritten.size(),
                        given.empty() ? "" : ",\"protocol_version\":\"" + std::string(given) + "\"");
}

template <typename Decode>
tl::expected<std::string, DecodeError> canonical(Decoder& decoder, tasker::protocol::TopicKind kind,
                                                 std::string_view body, Decode decode) {
    auto message = decode(body);
    if (!message) return tl::unexpected(message.error());
    if (!tasker::protocol::belongs_on(kind, *message)) {
        return tl::unexpected(
            DecodeError{ErrorCode::bad_frame, "", "the message does not belong on this topic"});
    }
    const std::string version(decoder.protocol_version());
    const std::string encoded = tasker::protocol::to_json(*message);
    const auto again = decode(encoded);
    if (!again) throw std::runtime_error("its own encoding is refused: " + again.error().message);
    if (!(*again == *message)) throw std::runtime_error("decoding its own encoding gives another message");
    return with_version(encoded, version);
}

tl::expected<std::string, DecodeError> run_frame(std::string_view bytes, bool to_worker, Decoder& decoder) {
    const auto frame = tasker::protocol::split_frame(bytes);
    if (!frame) return tl::unexpected(frame.error());
    const auto topic = tasker::protocol::parse_topic(frame->topic);
    using tasker::protocol::TopicKind;
    const bool for_orchestrator =
        topic && (topic->kind == TopicKind::workers || topic->kind == TopicKind::results);
    if (!topic || for_orchestrator == to_worker) {
        return tl::unexpected(DecodeError{ErrorCode::bad_frame, "", "not a topic of this direction"});
    }
    if (to_worker) {
        return canonical(decoder, topic->kind, frame->body,
                         [&](std::string_view json) { return decoder.decode_orchestrator_message(json); });
    }
    return canonical(decoder, topic->kind, frame->body,
                     [&](std::string_view json) { return decoder.decode_worker_message(json); });
}

void run_file(const std::filesystem::path& path, Decoder& to_worker, Decoder& to_orchestrator) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error("cannot read " + path.string());
    for (const auto& vector : nlohmann::json::parse(file)) {
        const auto name = vector.at("name").get<std::string>();
        const bool towards_worker = vector.at("direction").get<std::string>() == "to_worker";
        const std::string bytes = vector.contains("frame_base64")
                                      ? decode_base64(vector.at("frame_base64").get<std::string>())
                                      : vector.at("frame").get<std::string>();
        std::string line = "{\"name\":";
        tasker::protocol::append_json_string(line, name);
        try {
            const auto result =
                run_frame(bytes, towards_worker, towards_worker ? to_worker : to_orchestrator);
            if (result) {
                line += ",\"accept\":true,\"canonical\":" + *result + "}";
            } else {
                line += ",\"accept\":false,\"code\":\"" + std::string(to_text(result.error().code)) + "\"}";
            }
        } catch (const std::exception& error) {
            throw std::runtime_error(name + ": " + error.what());
        }
        // Raw parts keep their white space; a line break there is never inside a string.
        std::replace(line.begin(), line.end(), '\n', ' ');
        std::puts(line.c_str());
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2 || std::string_view(argv[1]) == "--help") {
        std::fputs(
            "usage: protocol-conformance VECTORS_DIR\nPrints one JSON line for each vector in *.json.\n",
            stderr);
        return 2;
    }
    try {
        std::vector<std::filesystem::path> files;
        for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
            if (entry.path().extension() == ".json") files.push_back(entry.path());
        }
        std::sort(files.begin(), files.end());
        if (files.empty()) throw std::runtime_error(std::string("no *.json in ") + argv[1]);
        Decoder to_worker(DecodeLimits{.message_bytes = tasker::protocol::kBatchBytesMax});
        Decoder to_orchestrator(DecodeLimits{.message_bytes = tasker::protocol::kResultBytesMax +
                                                              tasker::protocol::kEnvelopeBytesMax});
        for (const auto& file : files) run_file(file, to_worker, to_orchestrator);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "protocol-conformance: %s\n", error.what());
        return 1;
    }
    return 0;
}
