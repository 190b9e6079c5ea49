#include "orchestrator/core/sessions/plain.hpp"

#include <algorithm>

namespace tasker::core {

PlainNotice PlainMode::on_subscribed() {
    ++subscriptions_;
    if (subscriptions_ == 1) return PlainNotice::first_subscriber;
    return subscriptions_ == 2 ? PlainNotice::second_subscriber : PlainNotice::none;
}

PlainNotice PlainMode::on_unsubscribed() {
    if (subscriptions_ == 0) return PlainNotice::none;
    --subscriptions_;
    if (subscriptions_ == 0) return PlainNotice::subscriber_left;
    return subscriptions_ == 1 ? PlainNotice::one_left : PlainNotice::none;
}

bool PlainMode::on_announced(const std::vector<std::string>& handlers) {
    const std::size_t before = announced_.size();
    for (const std::string& handler : handlers) {
        if (std::find(announced_.begin(), announced_.end(), handler) == announced_.end()) {
            announced_.push_back(handler);
        }
    }
    return announced_.size() > before;
}

bool PlainMode::serves(std::string_view handler_class) const {
    return !matches_any(announced_, handler_class);
}

bool PlainMode::may_publish(std::chrono::milliseconds now) const {
    return subscriptions_ == 1 && now >= from_;
}

std::int32_t PlainMode::free(std::chrono::milliseconds now) const {
    return may_publish(now) && open_batches_.empty() && !reserved_ ? batch_steps_max_ : 0;
}

bool PlainMode::close_batch(std::string_view batch_uuid) {
    return std::erase(open_batches_, batch_uuid) > 0;
}

}  // namespace tasker::core
