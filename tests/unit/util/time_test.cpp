#include "orchestrator/util/time.hpp"

#include <gtest/gtest.h>

#include "orchestrator/util/event_fd.hpp"

namespace tasker::util {
namespace {

using std::chrono::milliseconds, std::chrono::system_clock;

TEST(Rfc3339, WritesUtcWithMilliseconds) {
    EXPECT_EQ(rfc3339_utc(system_clock::time_point(milliseconds(1'751'286'896'789))),
              "2025-06-30T12:34:56.789Z");
    EXPECT_EQ(rfc3339_utc(system_clock::time_point(milliseconds(0))), "1970-01-01T00:00:00.000Z");
}

TEST(Rfc3339, RoundsTimesBeforeTheEpochDown) {
    EXPECT_EQ(rfc3339_utc(system_clock::time_point(milliseconds(-1))), "1969-12-31T23:59:59.999Z");
}

TEST(BootClock, NeverGoesBack) {
    auto last = BootClock::now();
    for (int look = 0; look < 1000; ++look) {
        const auto now = BootClock::now();
        ASSERT_GE(now, last);
        last = now;
    }
    EXPECT_GT(boot_time().count(), 0);
}

TEST(EventFd, NotificationsMergeUntilDrained) {
    const EventFd event;
    EXPECT_FALSE(event.drain());
    event.notify();
    event.notify();
    EXPECT_TRUE(event.drain());
    EXPECT_FALSE(event.drain());
}

}  // namespace
}  // namespace tasker::util
