// Reports: credit, rejections, a full queue to the listener.
#include "orchestrator/engine/turns/request_builder.hpp"
#include "tests/unit/transport/fake_worker.hpp"

namespace tasker::engine {
namespace {

using core::SessionState;

/// Knows one template, which is all that building a request asks of a store.
class TemplateStore final : public ports::Store {
  public:
    ports::TemplateFacts load_template(std::int32_t, std::int32_t) override {
        return {"shop", "task", "1", {{"step", "", {}}}};
    }
    ports::TurnResult run_turn(std::int64_t, const ports::TurnInput&) override { return {}; }
    std::vector<ports::StoredBatch> load_open_batches() override { return {}; }
    std::optional<ports::StoredBatch> load_batch(const std::string&) override { return std::nullopt; }
    ports::RequestTexts load_request(const std::string&, std::int64_t) override { return {}; }
    std::vector<ports::HandlerKey> load_handler_keys() override { return {}; }
    std::optional<std::int64_t> next_due_in_ms() override { return std::nullopt; }
    std::vector<ports::CancelledDelivery> load_cancelled_deliveries() override { return {}; }
    std::vector<ports::DrainRequest> load_drain_requests() override { return {}; }
    void record_rejected(const std::vector<ports::RejectedMessage>&) override {}
    std::string installation_uuid() override { return "uuid-1"; }
};

/// An open batch of one step of handler key 1, as it stands in the tables.
ports::StoredBatch stored_batch(const std::string& uuid, const std::string& session, std::int64_t step_id) {
    ports::StoredBatch batch;
    batch.batch_id = 1;
    batch.batch_uuid = uuid;
    batch.session = session;
    batch.handler_key = 1;
    ports::StoredBatchStep step;
    step.step_id = step_id;
    step.task_id = 1;
    step.attempt = 1;
    step.step_name = "step";
    step.retry_limit = 3;
    step.timeout_ms = 1000;
    step.claimed_at = "2026-01-01T00:00:00Z";
    step.context_json = "{}";
    batch.steps.push_back(step);
    return batch;
}

class IoReportsTest : public IoTest {
  protected:
    std::int64_t in_flight() {
        return registry_->with([](auto& registry) { return registry.credit_in_flight(); });
    }
    template <typename Message>
    Message next_report(std::string* raw = nullptr) {
        auto report = next_event<ports::Report>();
        if (!report || !std::holds_alternative<Message>(report->message)) {
            ADD_FAILURE() << "not the report that was sent";
            return {};
        }
        if (raw != nullptr) *raw = report->raw;
        return std::get<Message>(report->message);
    }
    /// A ready worker with one batch of `steps`.
    FakeWorker& busy_worker(std::vector<std::int64_t> steps) {
        FakeWorker& a = ready_worker(kA);
        loop_->send(ports::PublishBatches{{take_batch("b1"_id, kA, std::move(steps))}});
        a.next<protocol::StepBatchRequest>();
        return a;
    }
};

TEST_F(IoReportsTest, AFinalReportGivesCreditBackOnceAndGoesOnAsItCame) {
    start();
    FakeWorker& a = busy_worker({1, 2});
    const auto result = a.result("b1"_id, 1, 1);
    const std::string text = protocol::to_json(result);
    a.send_raw("results " + text);
    a.send_raw("results " + text);
    std::string raw;
    EXPECT_EQ(next_report<protocol::PartialResult>(&raw), result);
    EXPECT_EQ(raw, text);
    EXPECT_EQ(in_flight(), 1) << "the credit is there before the report is";
    EXPECT_EQ(next_report<protocol::PartialResult>(), result) << "the listener judges duplicates";
    EXPECT_EQ(in_flight(), 1);
    EXPECT_TRUE(becomes([&] { return counted(loop_->counters().reports_received) == 2; }));
}

TEST_F(IoReportsTest, AReportProvesThatTheBatchArrived) {
    options_.timers.accept_timeout = milliseconds{100};
    start();
    FakeWorker& a = busy_worker({1, 2});
    a.send("results", a.result("b1"_id, 1, 1));
    next_report<protocol::PartialResult>();
    loop_->send(ports::PublishBatches{{take_batch("b2"_id, kA, {3})}});
    ASSERT_TRUE(becomes([&] { return counted(loop_->counters().batches_resent) >= 1; }));
    EXPECT_EQ(a.next<protocol::StepBatchRequest>()->batch_id, "b2"_id);
    EXPECT_EQ(a.next<protocol::StepBatchRequest>()->batch_id, "b2"_id);
}

TEST_F(IoReportsTest, InProgressTellsTheStartOnceAndKeepsTheCredit) {
    start();
    FakeWorker& a = busy_worker({1, 2});
    auto progress = a.result("b1"_id, 1, 1);
    progress.status = protocol::ReportStatus::in_progress;
    progress.output_json.clear();
    progress.execution_time_ms = 250;
    a.send("results", progress);
    a.beat({{"b1"_id, 2, 1}}, {{"b1"_id, 1, 1, 400}});
    a.beat({}, {{"b1"_id, 1, 1, 500}, {"b1"_id, 2, 1, 7}});
    const auto first = next_event<ports::StepRunning>();
    EXPECT_EQ(first->step_id, 1);
    EXPECT_EQ(first->age_ms, 250);
    const auto second = next_event<ports::StepRunning>();
    EXPECT_EQ(second->step_id, 2);
    EXPECT_EQ(second->attempt, 1);
    EXPECT_EQ(second->age_ms, 7);
    EXPECT_EQ(waiting_events<ports::StepRunning>(), 0);
    EXPECT_EQ(in_flight(), 2);
    EXPECT_EQ(next_report<protocol::PartialResult>().status, protocol::ReportStatus::in_progress);
}

TEST_F(IoReportsTest, AReportOfTheWrongSessionMovesNoCredit) {
    start();
    busy_worker({1});
    FakeWorker& b = ready_worker(kB);
    b.send("results", b.result("b1"_id, 1, 1));
    auto plain = b.result("b1"_id, 1, 1);
    plain.session.reset();
    b.send("results", plain);
    EXPECT_EQ(next_report<protocol::PartialResult>().session, kB) << "the listener records and rejects it";
    EXPECT_EQ(next_report<protocol::PartialResult>().session, std::nullopt);
    EXPECT_EQ(in_flight(), 1);
    // A later session replaying the outbox of this one speaks for it.
    auto replayed = b.result("b1"_id, 1, 1);
    replayed.session = kA;
    replayed.sent_by = kB;
    b.send("results", replayed);
    next_report<protocol::PartialResult>();
    EXPECT_EQ(in_flight(), 0);
}

TEST_F(IoReportsTest, AHandlerThatDidNotStopHoldsItsCreditWhileItIsListed) {
    start();
    FakeWorker& a = busy_worker({1});
    auto timed_out = a.result("b1"_id, 1, 1);
    timed_out.status = protocol::ReportStatus::failed;
    timed_out.output_json.clear();
    timed_out.error_json = R"({"message":"too slow","error_type":"TimeoutError","handler_stopped":false})";
    a.send("results", timed_out);
    next_report<protocol::PartialResult>();
    EXPECT_EQ(in_flight(), 1);
    next_event<ports::CreditAppeared>();
    collect(milliseconds{0});
    events_.clear();
    a.beat({}, {{"b1"_id, 1, 1, 900}});
    a.beat();
    EXPECT_TRUE(next_event<ports::CreditAppeared>());
    EXPECT_EQ(in_flight(), 0);
}

TEST_F(IoReportsTest, RejectionsGiveBackAndSayWhatTheSessionCannotDo) {
    start();
    FakeWorker& a = busy_worker({1, 2, 3});
    const auto reject = [&](std::int64_t step_id, const std::string& reason, std::int64_t sequence) {
        protocol::BatchRejected rejected;
        rejected.session = kA;
        rejected.batch_id = "b1"_id;
        rejected.sequence = sequence;
        rejected.steps = {{step_id, 1, reason}};
        a.send("workers", rejected);
        const auto report = next_report<protocol::BatchRejected>();
        EXPECT_EQ(report, rejected);
    };
    reject(1, "over_capacity", 1);
    EXPECT_EQ(in_flight(), 2);
    EXPECT_TRUE(registry_->reserve(0).empty()) << "paused until its next heartbeat";
    a.beat();
    ASSERT_TRUE(becomes([&] {
        const auto offers = registry_->reserve(0);
        registry_->settle(0, offers, {});
        return !offers.empty();
    }));
    EXPECT_TRUE(registry_->serves(kA, "shop", "Echo"));
    reject(2, "unknown_handler", 2);
    EXPECT_FALSE(registry_->serves(kA, "shop", "Echo"));
    reject(3, "draining", 3);
    EXPECT_TRUE(in_state(kA, SessionState::draining));
    EXPECT_EQ(in_flight(), 0);
    reject(3, "a reason of the future", 4);
}

TEST_F(IoReportsTest, AnAdoptedBatchRejectedAsUnknownTakesItsHandlerOffTheSession) {
    make();
    // As the listener reads it back at the start.
    HandlerKeys keys;
    keys.replace({{1, "shop", "Echo"}});
    TemplateStore store;
    std::vector<UnsentStep> unsent;
    RequestBuilder builder{{options_.orchestrator_id, options_.epoch}, "uuid-1", 1 << 20};
    loop_->send(ports::AdoptBatches{
        0, {{builder.rebuild(store, stored_batch("b1"_id, kA, 1), keys, unsent), false}}});
    loop_->start();
    FakeWorker& a = worker(kA);
    a.join(*loop_, *registry_);
    EXPECT_EQ(a.next<protocol::StepBatchRequest>()->batch_id, "b1"_id);
    EXPECT_TRUE(registry_->serves(kA, "shop", "Echo"));
    protocol::BatchRejected rejected;
    rejected.session = kA;
    rejected.batch_id = "b1"_id;
    rejected.sequence = 1;
    rejected.steps = {{1, 1, "unknown_handler"}};
    a.send("workers", rejected);
    next_report<protocol::BatchRejected>();
    EXPECT_FALSE(registry_->serves(kA, "shop", "Echo"));
    EXPECT_EQ(in_flight(), 0);
}

TEST_F(IoReportsTest, ACompletionIsHandedOnAndGivesNothingBack) {
    start();
    FakeWorker& a = busy_worker({1});
    protocol::BatchCompletion completion;
    completion.batch_id = "b1"_id;
    completion.total_steps = 1;
    completion.completed_steps = 1;
    completion.step_summaries = {{1, 1, protocol::ReportStatus::completed, std::nullopt, std::nullopt}};
    completion.completed_at = "2026-01-01T00:00:00Z";
    completion.worker_id = "worker";
    completion.session = kA;
    completion.sequence = 2;
    a.send("results", completion);
    EXPECT_EQ(next_report<protocol::BatchCompletion>(), completion);
    EXPECT_EQ(in_flight(), 1) << "the partial result is still to come";
}

TEST_F(IoReportsTest, AFullQueueDropsUnackedAndWithoutEffect) {
    mailbox_max_ = 2;
    start();
    FakeWorker& a = busy_worker({1, 2, 3, 4, 5});
    for (int step = 1; step <= 5; ++step) a.send("results", a.result("b1"_id, step, step));
    ASSERT_TRUE(becomes([&] { return counted(loop_->counters().reports_dropped) == 3; }));
    EXPECT_EQ(in_flight(), 3) << "what was dropped comes again and counts then";
    a.beat();
    ASSERT_TRUE(becomes([&] { return counted(loop_->counters().heartbeats_received) == 1; }))
        << "heartbeats are read all the same";
    std::set<std::int64_t> seen;
    ASSERT_TRUE(eventually([&] { return seen.size() == 5; },
                           [&](milliseconds limit) {
                               collect(limit);
                               for (const auto& event : events_) {
                                   const auto* report = std::get_if<ports::Report>(&event);
                                   if (report == nullptr) continue;
                                   seen.insert(std::get<protocol::PartialResult>(report->message).step_id);
                               }
                               events_.clear();
                               for (int step = 1; step <= 5; ++step)
                                   a.send("results", a.result("b1"_id, step, step));
                           }));
    EXPECT_EQ(in_flight(), 0);
}

TEST_F(IoReportsTest, AStartRequestReachesTheListenerAndItsAnswerTheWorker) {
    start();
    FakeWorker& a = busy_worker({1});
    protocol::StartRequest request;
    request.session = kA;
    request.batch_id = "b1"_id;
    request.step_id = 1;
    request.attempt = 1;
    request.n = 1;
    a.send("workers", request);
    EXPECT_EQ(next_event<ports::StartRequested>()->step_id, 1);
    loop_->send(ports::StartAnswer{kA, "b1"_id, 1, 1, 1, ""});
    const auto granted = a.next<protocol::StartGranted>();
    EXPECT_EQ(granted->step_id, 1);
    EXPECT_EQ(granted->n, 1);
    EXPECT_EQ(granted->start_window_ms, 1000);
    loop_->send(ports::StartAnswer{kA, "b1"_id, 1, 1, 2, "cancelled"});
    const auto denied = a.next<protocol::StartDenied>();
    EXPECT_EQ(denied->n, 2);
    EXPECT_EQ(denied->reason, "cancelled");
}

}  // namespace
}  // namespace tasker::engine
