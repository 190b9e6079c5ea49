#include "orchestrator/engine/turns/ack_book.hpp"

#include <utility>

namespace tasker::engine {
namespace {

bool is_awaited(const ReportFacts& report) {
    return !report.reply_to.empty() && report.sequence > 0;
}

}  // namespace

AckBook::Answers& AckBook::answers_to(std::string_view receiver) {
    const auto known = by_receiver_.find(receiver);
    return known != by_receiver_.end() ? known->second : by_receiver_[std::string(receiver)];
}

void AckBook::acknowledge(const ReportFacts& report) {
    if (!is_awaited(report)) return;
    auto& acked = answers_to(report.reply_to).acked;
    const auto known = acked.find(report.batch_uuid);
    auto& sequences = known != acked.end() ? known->second : acked[std::string(report.batch_uuid)];
    sequences.push_back(report.sequence);
}

void AckBook::refuse(const ReportFacts& report, std::string_view code) {
    if (!is_awaited(report)) return;
    answers_to(report.reply_to)
        .refused.push_back({std::string(report.batch_uuid), report.sequence, std::string(code)});
}

std::vector<ports::AckList> AckBook::lists() const {
    std::vector<ports::AckList> lists;
    lists.reserve(by_receiver_.size());
    for (const auto& [receiver, answers] : by_receiver_) {
        ports::AckList list;
        list.session = receiver;
        list.batches.reserve(answers.acked.size());
        for (const auto& [batch_uuid, sequences] : answers.acked)
            list.batches.push_back({batch_uuid, sequences});
        list.rejected = answers.refused;
        lists.push_back(std::move(list));
    }
    return lists;
}

}  // namespace tasker::engine
