// libpq in pipeline mode: many prepared statements in one round trip and one transaction.
#pragma once

#include <libpq-fe.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace tasker::bench {

/// One connection with the planner settings of the product's lane. Every failure throws std::runtime_error
/// with the statement and the server's message. Not thread-safe.
class Pipeline {
  public:
    explicit Pipeline(const std::string& url);

    /// Outside a pipeline: runs one statement and returns its rows as text, NULL as "".
    std::vector<std::vector<std::string>> query(const std::string& sql,
                                                const std::vector<std::string>& values = {});
    void prepare(const std::string& name, const std::string& sql);

    /// Queues a prepared statement of the transaction that `commit` ends. `rows` is how many it must change.
    void add(const std::string& name, const std::vector<std::string>& values, std::size_t rows);
    /// Sends what is queued; `wait` then returns when the transaction is committed. Between the two the
    /// caller may do something else.
    void send();
    void wait();

  private:
    struct Expected {
        std::string name;
        std::size_t rows;
    };
    using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;
    [[noreturn]] void fail(const std::string& what) const;

    std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
    std::vector<Expected> queued_;
};

}  // namespace tasker::bench
