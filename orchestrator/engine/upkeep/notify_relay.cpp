#include "orchestrator/engine/upkeep/notify_relay.hpp"

#include <chrono>

#include "orchestrator/ports/database_error.hpp"
#include "orchestrator/util/log.hpp"

namespace tasker::engine {
namespace {

constexpr std::chrono::milliseconds kReconnectPause{500};
constexpr int kWaitMs = 60'000;

}  // namespace

void NotifyRelay::run() {
    std::unique_ptr<ports::WakeSource> source;
    while (!stopping_) {
        try {
            if (!source) {
                source = open_();
                ports::Wake everything;
                everything.full_scan = true;
                lanes_.push_event(everything);
            }
            for (auto& wake : source->wait(stop_fd_, kWaitMs)) lanes_.push_event(std::move(wake));
        } catch (const ports::DatabaseError& error) {
            // While the server is away the lanes log it.
            if (source || error.fault() != ports::DatabaseFault::connection)
                util::log::warning("the connection that receives NOTIFY is lost", {{"cause", error.what()}});
            source.reset();
            if (lanes_.wait_closed(kReconnectPause)) return;
        }
    }
}

}  // namespace tasker::engine
