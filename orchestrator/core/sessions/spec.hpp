// The announcements and inventories of a worker session, as plain values. No wire types here: the io thread
// copies what it decoded into these.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tasker::core {

/// Maps by text that can be searched by string_view without making a string.
struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
        return std::hash<std::string_view>{}(text);
    }
};
template <typename Value>
using TextMap = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;

/// The hello of a session. `capacity` is steps at once; in flight are at most capacity × prefetch.
struct SessionSpec {
    std::string session;
    std::string worker_id;
    std::string language;
    std::string sdk_version;
    std::vector<std::string> namespaces;  // "*" as the whole or as a suffix is a wildcard
    std::vector<std::string> handlers;    // the same
    std::int32_t capacity = 1;
    std::int32_t prefetch = 2;
    std::string host;
    std::int64_t pid = 0;
    std::string hello_nonce;  // of the hello that was accepted last; empty when it had none

    bool operator==(const SessionSpec&) const = default;
};

/// One delivered step as inventories name it.
struct DeliveredRef {
    std::string batch_uuid;
    std::int64_t step_id = 0;
};

/// A session's own list of its steps: accepted and not started, started and not ended, reported and not
/// acked.
struct Inventory {
    std::vector<DeliveredRef> held;
    std::vector<DeliveredRef> running;
    std::vector<DeliveredRef> unacked;

    bool lists(std::string_view batch_uuid, std::int64_t step_id) const;
    /// Held or running: still occupies the session.
    bool occupies(std::string_view batch_uuid, std::int64_t step_id) const;
};

/// The same for many questions: each costs one look-up, however long the lists are. Views into the inventory.
class InventoryIndex {
  public:
    explicit InventoryIndex(const Inventory& inventory);
    bool lists(std::string_view batch_uuid, std::int64_t step_id) const {
        return steps_.contains({batch_uuid, step_id});
    }
    bool occupies(std::string_view batch_uuid, std::int64_t step_id) const {
        const auto found = steps_.find({batch_uuid, step_id});
        return found != steps_.end() && found->second;
    }

  private:
    struct Hash {
        std::size_t operator()(const std::pair<std::string_view, std::int64_t>& step) const noexcept {
            return std::hash<std::string_view>{}(step.first) ^
                   (std::hash<std::int64_t>{}(step.second) * 0x9e3779b97f4a7c15ULL);
        }
    };
    std::unordered_map<std::pair<std::string_view, std::int64_t>, bool, Hash> steps_;  // held or running?
};

/// A batch that takes credit of `session` ("" is the plain worker), one per step.
struct TakenBatch {
    std::string batch_uuid;
    std::string session;
    std::string handler_class;
    std::vector<std::int64_t> step_ids;
    int lane = 0;  // its turn claimed the batch
};

/// One of `patterns` equals `text`, or ends in `*` and `text` begins with the rest.
bool matches_any(const std::vector<std::string>& patterns, std::string_view text);

/// capacity × prefetch, kept within the range of int32.
std::int32_t credit_limit(const SessionSpec& spec);

}  // namespace tasker::core
