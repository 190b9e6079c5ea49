// How a connection is made: hosts that are silent, a stop meanwhile, refusals in any language.
#include "orchestrator/postgres/link.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "orchestrator/postgres/connection.hpp"
#include "tests/support/postgres.hpp"

namespace tasker::postgres {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

/// A server that accepts (the kernel does) and never says anything.
class SilentServer {
  public:
    SilentServer() {
        std::string pattern = "/tmp/tasker-silent-XXXXXX";
        if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
        folder_ = pattern;
        fd_ = ::socket(AF_UNIX, SOCK_STREAM, 0);
        sockaddr_un place{};
        place.sun_family = AF_UNIX;
        (folder_ / ".s.PGSQL.5432").string().copy(place.sun_path, sizeof place.sun_path - 1);
        if (::bind(fd_, reinterpret_cast<sockaddr*>(&place), sizeof place) != 0 || ::listen(fd_, 8) != 0)
            throw std::runtime_error("no silent server");
    }
    ~SilentServer() {
        ::close(fd_);
        std::filesystem::remove_all(folder_);
    }
    SilentServer(const SilentServer&) = delete;
    SilentServer& operator=(const SilentServer&) = delete;
    std::string folder() const { return folder_.string(); }

  private:
    std::filesystem::path folder_;
    int fd_ = -1;
};

template <typename Action>
milliseconds time_of(const Action& action) {
    const auto started = std::chrono::steady_clock::now();
    action();
    return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - started);
}

TEST(Connecting, EndsSoonAfterAStop) {
    const SilentServer silent;
    const int stop = ::eventfd(1, EFD_CLOEXEC);
    Address address("postgresql:///orders?user=nobody&host=" + silent.folder(), seconds(60));
    address.stop_fd = stop;
    const auto took = time_of([&] {
        try {
            const Connection connection(address);
            ADD_FAILURE() << "connected to a silent server";
        } catch (const CannotConnect& error) {
            EXPECT_EQ(error.kind(), DbFailure::connection_lost);
            EXPECT_THAT(error.what(), HasSubstr("stopped"));
        }
    });
    ::close(stop);
    EXPECT_LT(took, seconds(10));
}

TEST(Connecting, AStopLeavesAServerThatAnswersTheTimeItNeeds) {
    const test::TestDatabase database(test::Schema::none);
    const int stop = ::eventfd(1, EFD_CLOEXEC);
    Address address(database.url());
    address.stop_fd = stop;
    Connection connection(address);
    EXPECT_EQ(connection.execute("SELECT 1")[0][0].as<int>(), 1);
    ::close(stop);
}

TEST(Connecting, GoesOnToTheNextHostWhenOneIsSilent) {
    const SilentServer silent;
    const test::TestDatabase database(test::Schema::none);
    auto parts = parse_url(database.url());
    parts["host"] = silent.folder() + "," + parts["host"];
    Connection connection(Address(keyword_string(parts), milliseconds(1)));
    EXPECT_EQ(connection.execute("SELECT 1")[0][0].as<int>(), 1);
}

TEST(Connecting, HostsOfAListKeepTheirPorts) {
    const auto each = each_host(parse_url("postgresql://one:1,two:2/x?target_session_attrs=read-write"));
    ASSERT_EQ(each.size(), 2U);
    EXPECT_EQ(each[0].at("host"), "one");
    EXPECT_EQ(each[0].at("port"), "1");
    EXPECT_EQ(each[1].at("host"), "two");
    EXPECT_EQ(each[1].at("port"), "2");
    EXPECT_EQ(each[1].at("target_session_attrs"), "read-write");
    EXPECT_EQ(each_host(parse_url("host=one,two port=7"))[1].at("port"), "7");
    EXPECT_EQ(each_host(parse_url("host=one,two port=1,2,3")).size(), 1U);
    EXPECT_EQ(each_host(parse_url("postgresql:///x")).size(), 1U);
}

TEST(Connecting, TheSqlstateOfARefusalIsFoundInAnyLanguage) {
    std::string german =
        "connection to server at \"db\" (10.0.0.1), port 5432 failed: FATAL:  57P03: das Datenbanksystem "
        "startet\nORT:  ProcessStartupPacket, postmaster.c:2347";
    EXPECT_EQ(take_sqlstate(german), "57P03");
    EXPECT_EQ(
        german,
        "connection to server at \"db\" (10.0.0.1), port 5432 failed: FATAL:  das Datenbanksystem startet");
    std::string plain = "connection to server at \"db\", port 5432 failed: Connection refused";
    EXPECT_EQ(take_sqlstate(plain), "");
    EXPECT_THAT(plain, HasSubstr("Connection refused"));
}

TEST(Connecting, ALongRefusalIsReadToo) {
    const std::string cause(1'000'000, 'x');
    std::string refusal = "failed: FATAL:  57P03: " + cause + "\n" + cause;
    EXPECT_EQ(take_sqlstate(refusal), "57P03");
    EXPECT_EQ(refusal.size(), 2 * cause.size() + std::string("failed: FATAL:  \n").size());
}

TEST(Connecting, ARefusalNamesItsCauseAndNoPlaceInTheSource) {
    try {
        const Connection connection(with_database(test::server_url(), "there_is_no_such_database"));
        ADD_FAILURE() << "connected to a database that is not there";
    } catch (const CannotConnect& error) {
        EXPECT_EQ(error.sqlstate(), "3D000");
        EXPECT_THAT(error.what(), HasSubstr("does not exist"));
        EXPECT_THAT(error.what(), Not(HasSubstr("LOCATION")));
        EXPECT_THAT(error.what(), Not(HasSubstr("3D000")));
    }
}

}  // namespace
}  // namespace tasker::postgres
