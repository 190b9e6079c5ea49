// Handler keys whose claims have failed, on their way to the step that is at fault.
//
// A turn that fails because of what it claims says so of all its keys. Each of them is then tried apart, in turns
// without messages: one step, then two, four, and so on, back to one after a failure. When one step alone fails it
// is the culprit. A key that stays silent beyond a whole turn is cleared. A failure that setting the culprit
// aside does not end keeps only its key back, for longer each time.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace tasker::engine {

/// Belongs to its lane's thread.
class SuspectKeys {
  public:
    using milliseconds = std::chrono::milliseconds;

    /// A turn that claims for this key only, at most so many steps.
    struct Trial {
        std::int32_t handler_key = 0;
        std::size_t slots = 1;
    };

    bool contains(std::int32_t handler_key) const { return keys_.contains(handler_key); }
    bool is_empty() const { return keys_.empty(); }

    void add(const std::vector<std::int32_t>& handler_keys) {
        for (const auto key : handler_keys) keys_.try_emplace(key);
    }
    /// The keys take turns; nothing while all of them are kept back.
    std::optional<Trial> next(milliseconds now) {
        for (std::size_t i = 0; i < keys_.size(); ++i) {
            auto at = keys_.upper_bound(last_);
            if (at == keys_.end()) at = keys_.begin();
            last_ = at->first;
            if (at->second.not_before <= now) return Trial{at->first, at->second.slots};
        }
        return std::nullopt;
    }
    /// When the first of the keys that are kept back may be tried; the distant future when none is.
    milliseconds next_at(milliseconds now) const {
        auto first = milliseconds::max();
        for (const auto& [key, state] : keys_) {
            if (state.not_before > now) first = std::min(first, state.not_before);
        }
        return first;
    }

    /// The trial was committed; `more_wait`: steps of its key were left.
    void passed(const Trial& trial, bool more_wait) {
        auto& state = keys_.at(trial.handler_key);
        if (!more_wait || trial.slots >= kCleared) {
            keys_.erase(trial.handler_key);
        } else {
            state.slots = trial.slots * 2;
            state.pause = milliseconds(0);
        }
    }
    /// The trial failed. True when its one step is at fault.
    bool failed(const Trial& trial) {
        keys_.at(trial.handler_key).slots = 1;
        return trial.slots == 1;
    }
    /// Nothing helped: not again before a pause that grows from kFirstPause to kPauseMax. Returns that pause.
    milliseconds keep_back(std::int32_t handler_key, milliseconds now) {
        auto& state = keys_.at(handler_key);
        state.pause = std::clamp(state.pause * 2, kFirstPause, kPauseMax);
        state.not_before = now + state.pause;
        return state.pause;
    }

    static constexpr std::size_t kCleared = 1024;
    static constexpr milliseconds kFirstPause{250};
    static constexpr milliseconds kPauseMax{60000};

  private:
    struct State {
        std::size_t slots = 1;
        milliseconds not_before{0};
        milliseconds pause{0};
    };

    std::map<std::int32_t, State> keys_;
    std::int32_t last_ = 0;
};

}  // namespace tasker::engine
