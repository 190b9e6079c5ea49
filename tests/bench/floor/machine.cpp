#include "tests/bench/floor/machine.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <system_error>
#include <thread>
#include <zmq.hpp>

namespace tasker::bench {
namespace {

using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point start) {
    return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

std::vector<double> zmq_round_trips_us(const std::string& endpoint, int count) {
    constexpr int kWarmUp = 200;
    constexpr std::size_t kBytes = 200;
    zmq::context_t context;
    zmq::socket_t server(context, zmq::socket_type::pair);
    server.bind(endpoint);
    zmq::socket_t client(context, zmq::socket_type::pair);
    client.connect(server.get(zmq::sockopt::last_endpoint));
    std::thread echo([&] {
        zmq::message_t message;
        for (int i = 0; i < kWarmUp + count; ++i) {
            if (!server.recv(message)) return;
            server.send(message, zmq::send_flags::none);
        }
    });
    std::vector<double> times;
    zmq::message_t reply;
    for (int i = 0; i < kWarmUp + count; ++i) {
        const auto start = Clock::now();
        client.send(zmq::message_t(kBytes), zmq::send_flags::none);
        const auto received = client.recv(reply);
        if (received && i >= kWarmUp) times.push_back(microseconds_since(start));
    }
    echo.join();
    return times;
}

std::vector<double> fsync_times_us(const std::string& folder, int count) {
    std::string name = folder + "/tasker-bench-fsync.XXXXXX";
    const int file = ::mkstemp(name.data());
    if (file < 0) fail("cannot create a file to sync");
    ::unlink(name.c_str());
    const std::array<std::byte, 8192> block{};
    std::vector<double> times;
    for (int i = 0; i < count; ++i) {
        const auto start = Clock::now();
        if (::write(file, block.data(), block.size()) != static_cast<ssize_t>(block.size()) ||
            ::fdatasync(file) != 0) {
            ::close(file);
            fail("cannot write and sync a file");
        }
        times.push_back(microseconds_since(start));
    }
    ::close(file);
    return times;
}

double median(std::vector<double> values) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

}  // namespace tasker::bench
