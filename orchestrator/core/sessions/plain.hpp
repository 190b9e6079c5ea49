// Plain mode (protocol "Plain mode"): the one worker that merely subscribes to `steps `, kept as the pseudo
// session "". It gets one batch at a time, only while exactly one plain subscription exists, and only for
// handlers that no session has announced in this epoch.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/core/sessions/shares.hpp"
#include "orchestrator/core/sessions/spec.hpp"

namespace tasker::core {

/// The meaning of a change of plain subscriptions; each is worth one log line.
enum class PlainNotice { none, first_subscriber, second_subscriber, subscriber_left, one_left };

/// The conditions of plain publishing. Pure; times are those of the registry.
class PlainMode {
  public:
    /// `batch_steps_max`: credit of the pseudo session, the size of its one batch.
    explicit PlainMode(std::int32_t batch_steps_max) : batch_steps_max_(batch_steps_max) {}

    /// Nothing is published before `from` (bind + lease), so that sessions can announce their handlers first.
    void open_from(std::chrono::milliseconds from) { from_ = from; }
    std::chrono::milliseconds opens_at() const { return from_; }

    PlainNotice on_subscribed();
    PlainNotice on_unsubscribed();
    /// True when one of them is new.
    bool on_announced(const std::vector<std::string>& handlers);
    bool serves(std::string_view handler_class) const;

    bool may_publish(std::chrono::milliseconds now) const;
    /// 0 unless a batch may be taken now.
    std::int32_t free(std::chrono::milliseconds now) const;

    void reserve() { reserved_ = true; }
    void unreserve() { reserved_ = false; }
    /// The lanes' shares of its one batch.
    LaneShares& shares() { return shares_; }
    void open_batch(std::string batch_uuid) { open_batches_.push_back(std::move(batch_uuid)); }
    /// Returns whether it was open.
    bool close_batch(std::string_view batch_uuid);

    std::int32_t subscriptions() const { return subscriptions_; }
    std::int32_t batch_steps_max() const { return batch_steps_max_; }
    bool reserved() const { return reserved_; }
    /// At most one, unless several were open when the orchestrator started.
    const std::vector<std::string>& open_batches() const { return open_batches_; }

  private:
    const std::int32_t batch_steps_max_;
    std::chrono::milliseconds from_ = std::chrono::milliseconds::max();
    std::int32_t subscriptions_ = 0;
    bool reserved_ = false;
    LaneShares shares_;
    std::vector<std::string> open_batches_;
    std::vector<std::string> announced_;
};

}  // namespace tasker::core
