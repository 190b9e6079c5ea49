// One turn in the making: what the waiting messages mean, on copies of the open batches they touch. Nothing
// in the listener's memory changes until the turn is committed.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "orchestrator/engine/turns/ack_book.hpp"
#include "orchestrator/engine/turns/batch_close.hpp"
#include "orchestrator/engine/turns/message_record.hpp"
#include "orchestrator/engine/turns/open_batches.hpp"
#include "orchestrator/engine/turns/report_facts.hpp"
#include "orchestrator/ports/delivery.hpp"
#include "orchestrator/ports/store.hpp"

namespace tasker::engine {

/// What a draft needs from its lane.
struct DraftContext {
    /// The open batch with this uuid: from memory, else from the database; null when there is none.
    std::function<const OpenBatch*(const std::string& batch_uuid)> find_batch;
    /// The open batches sent to this session.
    std::function<std::vector<std::string>(const std::string& session)> batches_of;
    /// The session is gone, and until its lease ends it may come back; null when none ever does.
    std::function<bool(const std::string& session)> may_return;
    std::function<double()> random;  // 0 … 1, for jitter
    std::chrono::milliseconds now{0};
    std::chrono::milliseconds reconcile_grace{5000};
    OutputLimits output_limits{std::int64_t{1024} * 1024, 60};
    std::string received_at;  // RFC 3339, stands in for times the old message form does not carry
};

class TurnDraft {
  public:
    explicit TurnDraft(DraftContext context) : context_(std::move(context)) {}

    void receive(const ports::Inbound& inbound);
    /// `cause`: more words, where the reason ends the step in error.
    void hand_back(const std::string& batch_uuid, std::int64_t step_id, const std::string& reason,
                   const std::string& cause = "");
    /// The step has run longer than it may.
    void time_out(const std::string& batch_uuid, std::int64_t step_id);
    /// Everything that is out at this session has no worker any more.
    void lose_session(const ports::SessionLost& loss);
    /// The batch's grace is over: what is missing becomes a discrepancy.
    void end_grace(const std::string& batch_uuid);
    /// Works out what the touched batches come to. Call once, after the last message.
    void close();

    ports::TurnInput& input() { return input_; }
    /// Copies to put into memory once the turn is committed.
    std::unordered_map<std::string, OpenBatch>& touched() { return touched_; }
    const std::unordered_map<std::string, OpenBatch>& touched() const { return touched_; }
    const ports::TurnInput& input() const { return input_; }
    std::vector<ports::AckList> acks() const { return acks_.lists(); }
    /// Deliveries of one batch, about which its session is sent a message after the commit.
    struct Ended {
        std::string session;
        std::string batch_uuid;
        std::vector<ports::DeliveredStep> steps;
        std::string reason;
    };
    /// They are over: their sessions are sent `cancel`.
    const std::vector<Ended>& ended() const { return ended_; }
    /// They are held and not started: their sessions are asked to give them back.
    const std::vector<Ended>& unstarted() const { return unstarted_; }
    /// One for each of input().starts; and those refused without asking the database.
    const std::vector<ports::StartAnswer>& starts() const { return starts_; }
    /// After the commit: a granted step may have been started.
    void record_granted(const std::vector<ports::JudgedStart>& judged);
    const std::vector<ports::StartAnswer>& refused_starts() const { return refused_starts_; }
    /// Steps whose reports the io thread has taken for their end, and that are out as before.
    const std::vector<ports::ReopenSteps>& reopened() const { return reopened_; }
    /// Steps whose session has broken its word; logged and counted after the commit.
    struct Broken {
        std::string session;
        std::string batch_uuid;
        std::int64_t step_id = 0;
        core::SessionFault fault = core::SessionFault::broken_promise;
    };
    const std::vector<Broken>& broken() const { return broken_; }
    /// Batches whose results contradict each other, or lack what should have come.
    const std::vector<std::string>& alerts() const { return alerts_; }
    const std::vector<ports::RejectedMessage>& rejected() const { return rejected_; }

  private:
    using Loss = std::variant<ports::SessionLost, ports::NotAccepted, ports::StepsAbsent>;

    void receive_report(const ports::Report& report);
    void receive_partial(const protocol::PartialResult& message, const ReportFacts& facts,
                         const ports::Report& report);
    void refuse_too_large(const ReportFacts& facts, const ports::Report& report);
    void receive_progress(const OpenBatch& batch, OpenStep& step, const protocol::PartialResult& message,
                          ports::TurnMessage record);
    void receive_final(const OpenBatch& batch, OpenStep& step, const protocol::PartialResult& message,
                       ports::TurnMessage record, bool too_large);
    /// It runs, or ran: without a grant that is a fault of its session.
    void judge_start(const OpenBatch& batch, OpenStep& step);
    void receive_completion(const protocol::BatchCompletion& message, const ReportFacts& facts,
                            const std::string& raw);
    void receive_rejection(const protocol::BatchRejected& message, const ReportFacts& facts,
                           const std::string& raw);
    void reject_unknown_batch(const ReportFacts& facts, std::string_view type, const std::string& raw);
    void receive_undelivered(const ports::Undelivered& undelivered);
    void receive_running(const ports::StepRunning& running);
    void receive_held(const ports::HeldTooLong& held);
    void receive_start(const ports::StartRequested& request);
    void hand_back_step(const OpenBatch& batch, OpenStep& step, const std::string& reason,
                        const std::string& cause = "");
    /// Its handler ran and asked for a later time, so it may have been started.
    void snooze_step(const OpenBatch& batch, OpenStep& step, const protocol::RejectedStep& rejected);
    // A final report of the same turn counts for more: the database applies it first, and hands nothing back.
    void withdraw_hand_back(const OpenBatch& batch, OpenStep& step);
    void end_delivery(OpenBatch& batch, OpenStep& step, const std::string& reason);
    void orphan(OpenBatch& batch, OpenStep& step, const std::string& reason, bool try_alone = false);
    void apply_losses();
    void apply(const ports::SessionLost& loss);
    void apply(const ports::NotAccepted& loss);
    void apply(const ports::StepsAbsent& loss);

    OpenBatch* touch(const std::string& batch_uuid);
    BatchProgress& progress_of(const OpenBatch& batch);

    DraftContext context_;
    ports::TurnInput input_;
    std::unordered_map<std::string, OpenBatch> touched_;
    std::unordered_map<std::string, BatchProgress> progress_;
    AckBook acks_;
    std::vector<ports::RejectedMessage> rejected_;
    // Applied after all reports: what was reported is not lost.
    std::vector<Loss> losses_;
    std::vector<Ended> ended_;
    std::vector<Ended> unstarted_;
    std::vector<ports::StartAnswer> starts_;
    std::vector<ports::StartAnswer> refused_starts_;
    std::vector<ports::ReopenSteps> reopened_;
    std::vector<std::string> alerts_;
    std::vector<Broken> broken_;
};

}  // namespace tasker::engine
