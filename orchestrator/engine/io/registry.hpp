// The session registry behind its mutex: the io thread feeds it, turns take credit from it, health lists it.
#pragma once

#include <cstdint>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "orchestrator/core/sessions/registry.hpp"
#include "orchestrator/engine/turns/lane_router.hpp"
#include "orchestrator/ports/credit.hpp"
#include "orchestrator/util/time.hpp"

namespace tasker::engine {

/// Thread-safe. Everything under the mutex is memory work of microseconds.
class SharedRegistry final : public ports::CreditPool {
  public:
    /// `lanes`: where those wait that are to be woken when another one leaves credit; may be null with one
    /// lane.
    explicit SharedRegistry(core::RegistrySettings settings, LaneRouter* lanes = nullptr)
        : registry_(std::move(settings)), lanes_(lanes) {}

    std::vector<core::CreditOffer> reserve(int lane) override {
        const std::lock_guard lock(mutex_);
        return registry_.reserve(util::boot_time(), lane);
    }
    bool settle(int lane, const std::vector<core::CreditOffer>& offers,
                std::vector<core::TakenBatch> taken) override {
        std::unique_lock lock(mutex_);
        const bool more = registry_.settle(offers, std::move(taken), lane);
        const std::uint32_t waiting = registry_.take_lanes_to_wake();
        lock.unlock();
        wake(waiting);
        return more;
    }
    void set_away(int lane, bool away) override {
        std::unique_lock lock(mutex_);
        registry_.set_away(lane, away);
        const std::uint32_t waiting = registry_.take_lanes_to_wake();
        lock.unlock();
        wake(waiting);
    }
    bool serves(std::string_view session, std::string_view namespace_name,
                std::string_view handler_class) override {
        const std::lock_guard lock(mutex_);
        return registry_.serves(session, namespace_name, handler_class);
    }
    bool is_gone(std::string_view session) override {
        const std::lock_guard lock(mutex_);
        return registry_.is_gone(session, util::boot_time());
    }
    bool may_return(std::string_view session) override {
        const std::lock_guard lock(mutex_);
        return registry_.may_return(session, util::boot_time());
    }
    std::vector<core::SessionView> snapshot() const {
        const std::lock_guard lock(mutex_);
        return registry_.snapshot(util::boot_time());
    }

    /// Runs `action(registry)` under the mutex and returns its result. It must not call back into this
    /// object.
    template <typename Action>
    auto with(Action&& action) {
        const std::lock_guard lock(mutex_);
        return std::forward<Action>(action)(registry_);
    }

  private:
    void wake(std::uint32_t lanes) {
        for (int lane = 0; lanes_ != nullptr && lane < lanes_->lanes(); ++lane) {
            if ((lanes >> lane & 1U) != 0) lanes_->push_event_to(lane, ports::CreditShared{});
        }
    }

    mutable std::mutex mutex_;
    core::SessionRegistry registry_;  // guarded by mutex_
    LaneRouter* const lanes_;
};

}  // namespace tasker::engine
