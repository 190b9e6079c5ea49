// JSON text → messages. Strict about form (the whole text must be valid JSON, UTF-8 and within the limits,
// also the parts that are passed through raw), lenient about additions (unknown fields are ignored).
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <tl/expected.hpp>

#include "protocol/cpp/error.hpp"
#include "protocol/cpp/messages.hpp"

namespace tasker::protocol {

/// Limits of one decoder: bytes of one message body, and nesting depth of its JSON.
struct DecodeLimits {
    std::size_t message_bytes = kBatchBytesMax;
    std::size_t depth = kJsonDepthMax;  // at most 1024
};

/// Reads messages of either direction. Owns a parser and a padded buffer that are used again for every
/// message, so keep one per thread; not thread-safe. Never throws on any input (std::bad_alloc apart): what
/// is wrong comes back as a DecodeError that names the field.
class Decoder {
  public:
    explicit Decoder(DecodeLimits limits = {});
    ~Decoder();
    Decoder(Decoder&&) noexcept;
    Decoder& operator=(Decoder&&) noexcept;
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;

    /// `json` is the body of a frame, without its topic.
    tl::expected<WorkerMessage, DecodeError> decode_worker_message(std::string_view json);
    tl::expected<OrchestratorMessage, DecodeError> decode_orchestrator_message(std::string_view json);

    /// protocol_version of the last message decoded without error, as it was given; "" when it had none.
    std::string_view protocol_version() const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace tasker::protocol
