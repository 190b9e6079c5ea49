// What the machine itself costs: a message there and back, and making a write durable.
#pragma once

#include <string>
#include <vector>

namespace tasker::bench {

/// Times of `count` round trips of a 200-byte message between two threads over this endpoint, in
/// microseconds. Throws std::exception when the endpoint cannot be used.
std::vector<double> zmq_round_trips_us(const std::string& endpoint, int count);

/// Times of `count` appends of 8 KiB with fdatasync to a file in this folder, in microseconds. The file is
/// removed again. Throws std::system_error.
std::vector<double> fsync_times_us(const std::string& folder, int count);

double median(std::vector<double> values);

}  // namespace tasker::bench
