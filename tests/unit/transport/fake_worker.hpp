// The io loop with real sockets, a worker made of two raw sockets, and the mailbox in place of the listener.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>
#include <zmq.hpp>

#include "orchestrator/engine/io/loop.hpp"
#include "orchestrator/util/time.hpp"
#include "protocol/cpp/decode.hpp"
#include "protocol/cpp/encode.hpp"
#include "protocol/cpp/frame.hpp"
#include "tests/unit/transport/temp_dir.hpp"

namespace tasker::engine {

inline constexpr milliseconds kLimit{10'000};

/// A batch id (a UUID) that is the same for the same name.
std::string batch_id(std::string_view name);
inline std::string operator""_id(const char* name, std::size_t size) {
    return batch_id({name, size});
}

/// Calls `condition` until it is true; false after kLimit. `pause` waits for something to happen in between.
bool eventually(const std::function<bool()>& condition, const std::function<void(milliseconds)>& pause);

/// A worker as the wire sees it. Not thread-safe.
class FakeWorker {
  public:
    /// Connects; subscribes to nothing.
    FakeWorker(zmq::context_t& context, const IoLoop& loop, std::string session);

    void subscribe(const std::string& topic) { steps_.set(zmq::sockopt::subscribe, topic); }
    void unsubscribe(const std::string& topic) { steps_.set(zmq::sockopt::unsubscribe, topic); }
    void subscribe_all();
    void close();

    template <typename Message>
    void send(std::string_view topic, const Message& message) {
        send_raw(protocol::make_frame(topic, protocol::to_json(message)));
    }
    void send_raw(const std::string& frame, bool more = false);
    protocol::Hello hello() const;

    /// The next message of this type, which may be among those that were passed over before; others are kept.
    /// Fails after kLimit.
    template <typename Message>
    std::optional<Message> next() {
        std::optional<Message> found;
        const auto take = [&] {
            for (auto place = kept_.begin(); place != kept_.end(); ++place) {
                if (auto* message = std::get_if<Message>(&place->message)) {
                    last_text_ = place->text;
                    last_topic_ = place->topic;
                    found = std::move(*message);
                    kept_.erase(place);
                    return true;
                }
            }
            return false;
        };
        if (!eventually(take, [this](milliseconds limit) { receive(limit); })) {
            ADD_FAILURE() << "the message did not come to " << session;
        }
        return found;
    }
    /// Reads what has come; how many messages of this type are there now.
    template <typename Message>
    int waiting() {
        receive(milliseconds{0});
        int count = 0;
        for (const auto& kept : kept_) count += std::holds_alternative<Message>(kept.message) ? 1 : 0;
        return count;
    }

    /// hello until welcome, probe, ready with this inventory.
    void join(const IoLoop& loop, SharedRegistry& registry, const protocol::Ready& inventory = {});
    /// The session's answer to the next probe.
    void answer_probe(const protocol::Ready& inventory = {});
    void accept(const std::string& batch_uuid);
    void beat(const std::vector<protocol::StepRef>& held = {},
              const std::vector<protocol::RunningStep>& running = {});
    protocol::PartialResult result(const std::string& batch_uuid, std::int64_t step_id,
                                   std::int64_t sequence) const;

    const std::string& last_text() const { return last_text_; }
    const std::string& last_topic() const { return last_topic_; }
    void receive(milliseconds limit);

    const std::string session;
    std::int32_t capacity = 5;
    std::vector<std::string> handlers = {"Echo"};

  private:
    struct Kept {
        protocol::OrchestratorMessage message;
        std::string topic;
        std::string text;
    };

    zmq::socket_t steps_;
    zmq::socket_t results_;
    protocol::Decoder decoder_;
    std::deque<Kept> kept_;
    std::string last_text_;
    std::string last_topic_;
};

/// A loop on ipc endpoints in a directory of its own; timers long enough that none interferes by accident.
class IoTest : public ::testing::Test {
  protected:
    IoTest();
    ~IoTest() override;

    void start() { make()->start(); }
    IoLoop* make();
    FakeWorker& worker(std::string session);
    FakeWorker& ready_worker(std::string session);

    /// A batch of `session` with its credit taken as a turn takes it.
    ports::OutboundBatch take_batch(const std::string& uuid, const std::string& session,
                                    std::vector<std::int64_t> step_ids, std::size_t filler_bytes = 0);
    ports::OutboundBatch make_batch(const std::string& uuid, const std::string& session,
                                    const std::vector<std::int64_t>& step_ids, std::size_t filler_bytes = 0);

    /// The next event of this type; others are kept. Fails after kLimit.
    template <typename Event>
    std::optional<Event> next_event() {
        std::optional<Event> found;
        const auto take = [&] {
            for (auto place = events_.begin(); place != events_.end(); ++place) {
                if (auto* event = std::get_if<Event>(&*place)) {
                    found = std::move(*event);
                    events_.erase(place);
                    return true;
                }
            }
            return false;
        };
        if (!eventually(take, [this](milliseconds limit) { collect(limit); }))
            ADD_FAILURE() << "no such event";
        return found;
    }
    template <typename Event>
    int waiting_events() {
        collect(milliseconds{0});
        int count = 0;
        for (const auto& event : events_) count += std::holds_alternative<Event>(event) ? 1 : 0;
        return count;
    }
    void collect(milliseconds limit);
    /// Waits until the io thread has made it true.
    ::testing::AssertionResult becomes(const std::function<bool()>& condition);
    bool in_state(const std::string& session, core::SessionState state);
    std::int64_t counted(const std::atomic<std::int64_t>& counter) const { return counter.load(); }

    testing::TempDir dir_;
    IoOptions options_;
    core::RegistrySettings registry_settings_;
    std::size_t mailbox_max_ = 1000;
    HealthSource health_ = [](bool detailed) { return nlohmann::json{{"detailed", detailed}}; };
    zmq::context_t context_;
    std::unique_ptr<SharedRegistry> registry_;
    std::unique_ptr<LaneRouter> mailbox_;
    std::unique_ptr<IoLoop> loop_;
    std::vector<std::unique_ptr<FakeWorker>> workers_;
    std::vector<ports::Inbound> events_;
};

inline constexpr const char* kA = "00000000000000aa";
inline constexpr const char* kB = "00000000000000bb";

}  // namespace tasker::engine
