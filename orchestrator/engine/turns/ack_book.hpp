// The answers that one turn owes to the senders of its reports.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/engine/turns/report_facts.hpp"
#include "orchestrator/ports/delivery.hpp"

namespace tasker::engine {

/// Reports that nobody waits for (no address, or no sequence) are left out.
class AckBook {
  public:
    /// Its content will be in the database.
    void acknowledge(const ReportFacts& report);
    /// It will never be taken; `code` is the reason.
    void refuse(const ReportFacts& report, std::string_view code);
    /// One list for each receiver, in the order of their names.
    std::vector<ports::AckList> lists() const;

  private:
    struct Answers {
        std::map<std::string, std::vector<std::int64_t>, std::less<>> acked;  // batch → sequences
        std::vector<ports::RejectedReport> refused;
    };

    Answers& answers_to(std::string_view receiver);

    std::map<std::string, Answers, std::less<>> by_receiver_;
};

}  // namespace tasker::engine
