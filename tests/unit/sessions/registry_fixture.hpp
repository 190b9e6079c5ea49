// The registry with a hand-cranked clock. `now_` is the time; nothing else moves.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "orchestrator/core/sessions/registry.hpp"
#include "tests/unit/sessions/sanity.hpp"

namespace tasker::core {

inline constexpr const char* kA = "00000000000000aa";
inline constexpr const char* kB = "00000000000000bb";

inline SessionSpec spec(const std::string& session, std::int32_t capacity = 5, std::int32_t prefetch = 2) {
    return {.session = session,
            .worker_id = "worker-" + session.substr(14),
            .language = "cpp",
            .sdk_version = "1",
            .namespaces = {"shop"},
            .handlers = {"Order::*", "Echo"},
            .capacity = capacity,
            .prefetch = prefetch,
            .host = "host",
            .pid = 7,
            .hello_nonce = {}};
}

inline RegistrySettings settings(int lanes = 1, std::int32_t plain_batch_steps_max = 10) {
    return {{.nonce_prefix = "n"}, plain_batch_steps_max, lanes};
}

class RegistryTest : public ::testing::Test {
  protected:
    ~RegistryTest() override { EXPECT_EQ(sanity_check(registry_).value_or("sane"), "sane"); }

    void pass(int ms) { now_ += milliseconds{ms}; }
    std::string probe_of(const std::string& session) {
        for (const auto& probe : registry_.advance(now_, now_)) {
            if (probe.session == session) return probe.nonce;
        }
        return "";
    }
    void make_ready(const std::string& session, std::int32_t capacity = 5) {
        ASSERT_EQ(registry_.on_hello(spec(session, capacity), now_), HelloVerdict::accepted);
        registry_.on_subscribed(session, now_);
        const std::string nonce = probe_of(session);
        ASSERT_NE(nonce, "");
        ASSERT_TRUE(registry_.on_ready(session, nonce, {}, now_));
        ASSERT_TRUE(registry_.is_ready(session));
    }
    SessionState state(const std::string& session) {
        return registry_.state_of(session).value_or(SessionState::lost);
    }
    std::int32_t free_of(const std::string& session) {
        const auto offers = registry_.reserve(now_);
        registry_.settle(offers, {});
        for (const auto& offer : offers) {
            if (offer.session == session) return offer.free;
        }
        return 0;
    }
    void take(const std::string& session, const std::string& uuid, std::vector<std::int64_t> steps) {
        registry_.settle(registry_.reserve(now_), {{uuid, session, "Echo", std::move(steps)}});
    }
    SessionView view(const std::string& session) {
        for (auto& row : registry_.snapshot(now_)) {
            if (row.spec.session == session) return row;
        }
        ADD_FAILURE() << "no session " << session;
        return {};
    }

    milliseconds now_{1'000'000};
    SessionRegistry registry_{settings()};
};

}  // namespace tasker::core
