// What everybody asks about a report, and the answers that a turn owes.
#include "orchestrator/engine/turns/report_facts.hpp"

#include <gtest/gtest.h>

#include <string>

#include "orchestrator/engine/turns/ack_book.hpp"
#include "tests/unit/engine/messages.hpp"

namespace tasker::engine {
namespace {

TEST(ReportFactsTest, TheKindIsThatOfTheMessageAndItsStatus) {
    using protocol::ReportStatus;
    EXPECT_EQ(facts_of(partial(1, 1, ReportStatus::in_progress)).kind, ReportKind::progress);
    for (const auto status : {ReportStatus::completed, ReportStatus::failed, ReportStatus::error})
        EXPECT_EQ(facts_of(partial(1, 1, status)).kind, ReportKind::final_result);
    EXPECT_EQ(facts_of(completion({}, 1)).kind, ReportKind::completion);
    EXPECT_EQ(facts_of(protocol::BatchRejected{}).kind, ReportKind::rejection);
    EXPECT_EQ(facts_of(protocol::StepBatchResponse{}).kind, ReportKind::old_form);
}

TEST(ReportFactsTest, TheAnswerGoesToWhoeverReplaysTheOutbox) {
    auto message = partial(1, 7);
    EXPECT_EQ(facts_of(message).batch_uuid, kBatch);
    EXPECT_EQ(facts_of(message).session, "s1");
    EXPECT_EQ(facts_of(message).reply_to, "s1");
    EXPECT_EQ(facts_of(message).sequence, 7);
    message.sent_by = "s2";
    EXPECT_EQ(facts_of(message).session, "s1");
    EXPECT_EQ(facts_of(message).reply_to, "s2");
    message.sent_by = "";
    EXPECT_EQ(facts_of(message).reply_to, "s1");
}

TEST(ReportFactsTest, APlainWorkerHasNoAddress) {
    auto message = partial(1, 1);
    message.session.reset();
    EXPECT_EQ(facts_of(message).session, "");
    EXPECT_EQ(facts_of(message).reply_to, "");
    EXPECT_EQ(facts_of(protocol::StepBatchResponse{}).reply_to, "");
}

TEST(AckBookTest, OneListForEachReceiverInOrder) {
    AckBook book;
    book.acknowledge({ReportKind::final_result, "b2", "s2", "s2", 4});
    book.acknowledge({ReportKind::final_result, "b1", "s1", "s1", 2});
    book.acknowledge({ReportKind::completion, "b1", "s1", "s1", 3});
    book.refuse({ReportKind::final_result, "b9", "s1", "s1", 1}, "unknown_batch");
    const auto lists = book.lists();
    ASSERT_EQ(lists.size(), 2U);
    EXPECT_EQ(lists[0].session, "s1");
    ASSERT_EQ(lists[0].batches.size(), 1U);
    EXPECT_EQ(lists[0].batches[0].sequences, (std::vector<std::int64_t>{2, 3}));
    ASSERT_EQ(lists[0].rejected.size(), 1U);
    EXPECT_EQ(lists[0].rejected[0].code, "unknown_batch");
    EXPECT_EQ(lists[1].session, "s2");
    EXPECT_TRUE(lists[1].rejected.empty());
}

TEST(AckBookTest, NobodyIsAnsweredWhoDoesNotWait) {
    AckBook book;
    book.acknowledge({ReportKind::final_result, "b1", "", "", 1});
    book.refuse({ReportKind::final_result, "b1", "s1", "s1", 0}, "unknown_step");
    EXPECT_TRUE(book.lists().empty());
}

}  // namespace
}  // namespace tasker::engine
