// The session registry behind its mutex: the io thread feeds it, turns take credit from it, health lists it.
#pragma once

#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "orchestrator/core/session_registry.hpp"
#include "orchestrator/ports/credit.hpp"
#include "orchestrator/util/time.hpp"

namespace tasker::engine {

/// Thread-safe. Everything under the mutex is memory work of microseconds.
class SharedRegistry final : public ports::CreditPool {
  public:
    explicit SharedRegistry(core::RegistrySettings settings) : registry_(std::move(settings)) {}

    std::vector<core::CreditOffer> reserve() override {
        const std::lock_guard lock(mutex_);
        return registry_.reserve(util::boot_time());
    }
    void settle(const std::vector<core::CreditOffer>& offers, std::vector<core::TakenBatch> taken) override {
        const std::lock_guard lock(mutex_);
        registry_.settle(offers, std::move(taken));
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
    mutable std::mutex mutex_;
    core::SessionRegistry registry_;  // guarded by mutex_
};

}  // namespace tasker::engine
