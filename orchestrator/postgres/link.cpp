#include "orchestrator/postgres/link.hpp"

#include <poll.h>
#include <re2/re2.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>
#include <utility>

namespace tasker::postgres {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// What a stop leaves: enough for a server that answers to write what was received.
constexpr milliseconds kStopGrace{500};

struct Finish {
    void operator()(PGconn* connection) const { PQfinish(connection); }
};
using Handle = std::unique_ptr<PGconn, Finish>;

std::string trimmed(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return text;
}

/// One attempt at one host.
class Attempt {
  public:
    Attempt(const std::string& conninfo, milliseconds limit, int stop_fd)
        : limit_(limit), stop_fd_(stop_fd), handle_(PQconnectStart(conninfo.c_str())) {
        if (!handle_) throw std::bad_alloc();
        // The SQLSTATE of a refusal stands in no other place, and the words are in the server's language.
        PQsetErrorVerbosity(handle_.get(), PQERRORS_VERBOSE);
    }

    /// Null when it has failed.
    PGconn* run() {
        auto next = PGRES_POLLING_WRITING;
        while (PQstatus(handle_.get()) != CONNECTION_BAD && next != PGRES_POLLING_FAILED) {
            if (next == PGRES_POLLING_OK) {
                PQsetErrorVerbosity(handle_.get(), PQERRORS_DEFAULT);
                return handle_.release();
            }
            if (!wait(next == PGRES_POLLING_READING ? POLLIN : POLLOUT)) break;
            next = PQconnectPoll(handle_.get());
        }
        return nullptr;
    }

    bool is_stopped() const { return stopped_; }
    std::string cause() const {
        std::string text = trimmed(PQerrorMessage(handle_.get()));
        if (stopped_) return "stopped while connecting";
        if (!given_up_) return text;
        return text.empty() ? "timeout expired" : "timeout expired (" + text + ")";
    }

  private:
    std::string address() const {
        const auto text = [](const char* value) { return std::string(value != nullptr ? value : ""); };
        return text(PQhost(handle_.get())) + " " + text(PQhostaddr(handle_.get()));
    }

    /// False when nothing more is to be expected.
    bool wait(short events) {
        if (const auto now_at = address(); now_at != at_) {
            at_ = now_at;
            cut_ = false;
            if (!stopped_) ends_ = limit_.count() > 0 ? Clock::now() + limit_ : Clock::time_point::max();
        }
        while (true) {
            pollfd items[2] = {{PQsocket(handle_.get()), events, 0}, {stopped_ ? -1 : stop_fd_, POLLIN, 0}};
            const int ready = ::poll(items, 2, left());
            if (ready < 0 && errno != EINTR) return false;
            if (ready > 0 && items[0].revents != 0) return true;
            if (ready > 0) {
                stopped_ = true;
                ends_ = std::min(ends_, Clock::now() + kStopGrace);
            }
            if (Clock::now() < ends_) continue;
            given_up_ = true;
            if (stopped_ || cut_) return false;
            // libpq goes on with the host's next address when this one fails.
            cut_ = true;
            ::shutdown(PQsocket(handle_.get()), SHUT_RDWR);
            return true;
        }
    }

    int left() const {
        if (ends_ == Clock::time_point::max()) return -1;
        const auto rest = std::chrono::ceil<milliseconds>(ends_ - Clock::now()).count();
        return static_cast<int>(std::clamp<long>(rest, 0, 60'000));
    }

    milliseconds limit_;
    int stop_fd_;
    Handle handle_;
    std::string at_;
    Clock::time_point ends_ = Clock::time_point::max();
    bool stopped_ = false;
    bool given_up_ = false;
    bool cut_ = false;
};

}  // namespace

std::string take_sqlstate(std::string& message) {
    // Latin-1: a refusal is in the encoding of its server. std::regex would recurse for each character.
    static const RE2 kPlace(R"((?m)\n[^\n]*:  \w+, [\w.]+\.(?:c|h|y|l):\d+$)", RE2::Latin1);
    static const RE2 kState(":  ([0-9A-Z]{5}): ", RE2::Latin1);
    RE2::GlobalReplace(&message, kPlace, "");
    std::string last;
    for (re2::StringPiece rest(message); RE2::FindAndConsume(&rest, kState, &last);) {
    }
    RE2::GlobalReplace(&message, kState, ":  ");
    return last;
}

PGconn* open_link(const UrlParts& parts, milliseconds limit, int stop_fd) {
    std::string causes;
    for (const UrlParts& host : each_host(parts)) {
        Attempt attempt(keyword_string(host), limit, stop_fd);
        if (PGconn* made = attempt.run()) return made;
        causes += (causes.empty() ? "" : "\n") + attempt.cause();
        if (attempt.is_stopped()) break;
    }
    const std::string sqlstate = take_sqlstate(causes);
    throw NoLink(causes, sqlstate);
}

pqxx::connectionpolicy::handle Link::Policy::do_startconnect(handle orig) {
    if (orig != nullptr) return orig;
    if (made_ == nullptr) throw pqxx::broken_connection("the connection was lost before");
    return std::exchange(made_, nullptr);
}

}  // namespace tasker::postgres
