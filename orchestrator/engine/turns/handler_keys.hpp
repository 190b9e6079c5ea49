// The handler keys of this installation, and which of them may have ready steps waiting.
#pragma once

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "orchestrator/core/ready_position.hpp"
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

    /// A waiting mark means: look into the ready index for this key in the next turn that has credit for it.
    /// `from`: no step that became ready comes before.
    void mark_waiting(std::int32_t handler_key, core::ReadyPosition from = {}) {
        waiting_.insert(handler_key);
        const auto known = look_from_.find(handler_key);
        if (known != look_from_.end()) known->second = std::min(known->second, from);
    }
    /// Wherever their steps stand: what went unnoticed is found now.
    void mark_all_waiting() {
        for (const auto& key : keys_) waiting_.insert(key.handler_key);
        look_from_.clear();
    }
    bool may_wait(std::int32_t handler_key) const { return waiting_.contains(handler_key); }
    bool any_waiting() const { return !waiting_.empty(); }
    /// Nothing of this key stands before.
    core::ReadyPosition look_from(std::int32_t handler_key) const {
        const auto known = look_from_.find(handler_key);
        return known == look_from_.end() ? core::ReadyPosition{} : known->second;
    }
    /// A turn has looked: it took everything up to `next`, and found nothing behind if that is the end.
    void record_scanned(std::int32_t handler_key, core::ReadyPosition next) {
        waiting_.erase(handler_key);
        look_from_[handler_key] = next;
    }

  private:
    std::vector<ports::HandlerKey> keys_;
    std::unordered_map<std::int32_t, std::size_t> index_;
    std::unordered_set<std::int32_t> waiting_;
    std::unordered_map<std::int32_t, core::ReadyPosition> look_from_;  // absent: from the front
};

}  // namespace tasker::engine
