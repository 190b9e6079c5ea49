#include "orchestrator/daemon/engine_options.hpp"

namespace tasker {

engine::IoOptions io_options(const options::Options& options, const std::string& instance,
                             std::int64_t epoch) {
    engine::IoOptions io;
    io.orchestrator_id = instance;
    io.epoch = epoch;
    io.lanes = options.database.lanes;
    io.endpoints = options.endpoints;
    io.timers = options.timers;
    io.delivery = options.delivery;
    io.limits = options.limits;
    return io;
}

engine::ListenerOptions listener_options(const options::Options& options, const std::string& instance,
                                         std::int64_t epoch) {
    engine::ListenerOptions listener;
    listener.orchestrator_id = instance;
    listener.epoch = epoch;
    listener.database = options.database;
    listener.timers = options.timers;
    listener.delivery = options.delivery;
    listener.limits = options.limits;
    return listener;
}

engine::LaneRouter lane_router(const options::Options& options) {
    return {options.database.lanes, static_cast<std::size_t>(options.delivery.result_queue_hwm)};
}

postgres::Address database_address(const options::Database& database, int stop_fd) {
    postgres::Address address(database.url, database.connect_timeout);
    address.stop_fd = stop_fd;
    return address;
}

}  // namespace tasker
