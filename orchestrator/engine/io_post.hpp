// What the io thread has for the listener, collected while sockets are drained and handed over at once.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "orchestrator/engine/io_options.hpp"
#include "orchestrator/engine/mailbox.hpp"

namespace tasker::engine {

/// Of a message that cannot be read this much is kept.
inline constexpr std::size_t kMalformedBytesKept = std::size_t{64} * 1024;

/// Belongs to the io thread, which is the only one to push reports: room that was there once stays there.
class IoPost {
  public:
    IoPost(Mailbox& mailbox, IoCounters& counters) : mailbox_(mailbox), counters_(counters) {}

    /// Whether one more report fits. Ask before acting on a report: what does not fit must have no effect at
    /// all, since its sender will send it again.
    bool has_room() {
        if (room_ == 0) room_ = room_left();
        return room_ > 0;
    }
    /// After has_room() only.
    void report(ports::Report report) {
        --room_;
        ++bounded_;
        items_.emplace_back(std::move(report));
    }
    /// After has_room() only.
    void start_request(ports::StartRequested request) {
        --room_;
        ++bounded_;
        items_.emplace_back(std::move(request));
    }
    void event(ports::Inbound event) { items_.push_back(std::move(event)); }
    void malformed(std::string_view topic, std::string_view bytes, std::string_view code,
                   std::string reason) {
        count(counters_.malformed);
        if (!has_room()) {
            count(counters_.malformed_dropped);
            return;
        }
        --room_;
        ++bounded_;
        items_.emplace_back(ports::Malformed{std::string(topic.substr(0, kTopicBytesKept)),
                                             std::string(bytes.substr(0, kMalformedBytesKept)),
                                             std::string(code), std::move(reason)});
    }
    void flush() {
        room_ = 0;
        bounded_ = 0;
        if (!items_.empty()) mailbox_.push_all(items_);
    }

  private:
    static constexpr std::size_t kTopicBytesKept = 255;

    std::size_t room_left() const {
        const std::size_t room = mailbox_.report_room();
        return room > bounded_ ? room - bounded_ : 0;
    }

    Mailbox& mailbox_;
    IoCounters& counters_;
    std::vector<ports::Inbound> items_;
    std::size_t bounded_ = 0;  // reports among them
    std::size_t room_ = 0;     // known to be free beyond them
};

}  // namespace tasker::engine
