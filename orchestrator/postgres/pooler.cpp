#include "orchestrator/postgres/pooler.hpp"

#include <libpq-fe.h>
#include <poll.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>

#include "orchestrator/postgres/link.hpp"

namespace tasker::postgres {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kSecondWaits{2000};
// The first round is enough on a pool that is idle; others may use it at the same time.
constexpr int kRounds = 8;

/// Nothing when no backend came in time.
std::optional<int> ask_pid(PGconn* connection) {
    if (PQsendQuery(connection, "SELECT pg_backend_pid()") != 1) return std::nullopt;
    const auto ends = Clock::now() + kSecondWaits;
    while (PQisBusy(connection) == 1) {
        const auto left = std::chrono::ceil<milliseconds>(ends - Clock::now()).count();
        pollfd item{PQsocket(connection), POLLIN, 0};
        if (left <= 0 || ::poll(&item, 1, static_cast<int>(left)) <= 0) return std::nullopt;
        if (PQconsumeInput(connection) != 1) return std::nullopt;
    }
    std::optional<int> pid;
    while (PGresult* result = PQgetResult(connection)) {
        if (PQresultStatus(result) == PGRES_TUPLES_OK) pid = std::atoi(PQgetvalue(result, 0, 0));
        PQclear(result);
    }
    return pid;
}

}  // namespace

Pooling probe_pooler(const UrlParts& parts, const std::function<int()>& backend_pid) {
    const std::unique_ptr<PGconn, void (*)(PGconn*)> second(open_link(parts, kSecondWaits, -1), PQfinish);
    const int first_pid = backend_pid();
    for (int round = 0; round < kRounds; ++round) {
        const auto other = ask_pid(second.get());
        if (!other) return Pooling::no_second;
        const int own = backend_pid();
        if (own != first_pid || own == *other) return Pooling::changes_backend;
    }
    return Pooling::keeps_backend;
}

}  // namespace tasker::postgres
