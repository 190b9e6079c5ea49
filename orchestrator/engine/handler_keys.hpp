// The handler keys of this installation, and which of them may have ready steps waiting.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "orchestrator/ports/store.hpp"

namespace tasker::engine {

class HandlerKeys {
  public:
    void replace(std::vector<ports::HandlerKey> keys) {
        keys_ = std::move(keys);
        index_.clear();
        for (std::size_t i = 0; i < keys_.size(); ++i) index_[keys_[i].handler_key] = i;
    }
    /// Throws std::out_of_range for a key that was never loaded: the caller reloads definitions and repeats.
    const ports::HandlerKey& get(std::int32_t handler_key) const { return keys_[index_.at(handler_key)]; }
    bool knows(std::int32_t handler_key) const { return index_.contains(handler_key); }
    const std::vector<ports::HandlerKey>& all() const { return keys_; }

    /// A waiting mark says "look into the ready index for this key in the next turn that has credit for it".
    void mark_waiting(std::int32_t handler_key) { waiting_[handler_key] = true; }
    void mark_all_waiting() {
        for (const auto& key : keys_) waiting_[key.handler_key] = true;
    }
    bool may_wait(std::int32_t handler_key) const { return waiting_.contains(handler_key); }
    void clear_waiting(std::int32_t handler_key) { waiting_.erase(handler_key); }
    bool any_waiting() const { return !waiting_.empty(); }

  private:
    std::vector<ports::HandlerKey> keys_;
    std::unordered_map<std::int32_t, std::size_t> index_;
    std::unordered_map<std::int32_t, bool> waiting_;
};

}  // namespace tasker::engine
