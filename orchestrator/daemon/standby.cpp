#include "orchestrator/daemon/standby.hpp"

#include <utility>

#include "orchestrator/daemon/health.hpp"
#include "orchestrator/util/log.hpp"
#include "orchestrator/util/time.hpp"

namespace tasker {

namespace log = util::log;
using std::chrono::milliseconds;

bool Standby::wait_for_lock() {
    const auto health = [this](bool) { return standby_health_document(instance_); };
    // Silence is what this process has watched by its own clock, without a gap: neither a clock that jumps
    // nor a server that was away shows that the holder hangs.
    std::string seen;
    milliseconds since = util::boot_time();
    milliseconds polled = since;
    milliseconds next_record = since;
    while (!lane_.take_instance_lock()) {
        if (sockets_ != nullptr) sockets_->idle(health);
        const milliseconds now = util::boot_time();
        if (now >= next_record) {
            lane_.record_standby();
            next_record = now + kStandbyRecord;
        }
        const bool gap = now - std::exchange(polled, now) > kPollGapMax;
        const std::string last = lane_.holder_seen();
        if (gap || last != seen) {
            seen = last;
            since = now;
        } else if (now - since >= kHolderSilent && lane_.end_silent_holder(seen)) {
            log::warning("the orchestrator that serves this database is not seen any more; taking over",
                         {{"last_seen", seen}});
            since = now;
        }
        if (wait_(kStandbyPoll)) {
            lane_.forget_standby();
            return false;
        }
    }
    return true;
}

}  // namespace tasker
