// One turn in the making: what the waiting messages mean, on copies of the open batches they touch. Nothing
// in the listener's memory changes until the turn is committed.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "orchestrator/engine/open_batches.hpp"
#include "orchestrator/ports/delivery.hpp"
#include "orchestrator/ports/store.hpp"

namespace tasker::engine {

/// What a draft needs from its surroundings.
struct DraftContext {
    /// The open batch with this uuid: from memory, else from the database; null when there is none.
    std::function<const OpenBatch*(const std::string& batch_uuid)> find_batch;
    /// The open batches sent to this session.
    std::function<std::vector<std::string>(const std::string& session)> batches_of;
    std::function<double()> random;  // 0 … 1, for jitter
    std::chrono::milliseconds now{0};
    std::chrono::milliseconds reconcile_grace{5000};
    std::int64_t result_bytes_max = std::int64_t{1024} * 1024;  // of one output
    std::string received_at;  // RFC 3339, stands in for times the old message form does not carry
};

class TurnDraft {
  public:
    explicit TurnDraft(DraftContext context) : context_(std::move(context)) {}

    void receive(const ports::Inbound& inbound);
    void hand_back(const std::string& batch_uuid, std::int64_t step_id, const std::string& reason);
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
    std::vector<ports::AckList> acks() const;
    /// Whom to tell after the commit that deliveries of theirs are over.
    struct Ended {
        std::string session;
        std::string batch_uuid;
        std::vector<ports::DeliveredStep> steps;
        std::string reason;
    };
    const std::vector<Ended>& ended() const { return ended_; }
    /// Whom to tell to give back what they hold and do not start.
    const std::vector<Ended>& unstarted() const { return unstarted_; }
    /// One for each of input().starts; and those refused without asking the database.
    const std::vector<ports::StartAnswer>& starts() const { return starts_; }
    /// After the commit: a granted step may have been started.
    void note_granted(const std::vector<ports::JudgedStart>& judged);
    const std::vector<ports::StartAnswer>& refused_starts() const { return refused_starts_; }
    /// Batches whose results contradict each other, or lack what should have come.
    const std::vector<std::string>& alerts() const { return alerts_; }
    const std::vector<ports::RejectedMessage>& rejected() const { return rejected_; }

  private:
    struct Progress {
        int partials = 0;
        bool completion = false;
        bool life = false;
        core::BatchState from = core::BatchState::published;
        bool grace_over = false;
    };

    void receive_report(const ports::Report& report);
    void receive_partial(const protocol::PartialResult& message, const std::string& raw);
    void receive_final(OpenBatch& batch, OpenStep& step, const protocol::PartialResult& message,
                       ports::TurnMessage record);
    void receive_completion(const protocol::BatchCompletion& message, const std::string& raw);
    void receive_rejection(const protocol::BatchRejected& message, const std::string& raw);
    void receive_undelivered(const ports::Undelivered& undelivered);
    void receive_running(const ports::StepRunning& running);
    void receive_held(const ports::HeldTooLong& held);
    void receive_start(const ports::StartRequested& request);
    void hand_back_step(const OpenBatch& batch, OpenStep& step, const std::string& reason);
    void end_delivery(OpenBatch& batch, OpenStep& step, const std::string& reason);
    void apply_losses();
    void close_batch(OpenBatch& batch, const Progress& progress);

    OpenBatch* touch(const std::string& batch_uuid);
    Progress& progress_of(const OpenBatch& batch);
    void ack(const std::string& to, const std::string& batch_uuid, std::int64_t sequence);
    void refuse(const std::string& to, const std::string& batch_uuid, std::int64_t sequence,
                std::string_view code);
    void reject_unknown_batch(const std::string& batch_uuid, const std::string& session,
                              std::string_view type, const std::string& raw);

    DraftContext context_;
    ports::TurnInput input_;
    std::unordered_map<std::string, OpenBatch> touched_;
    std::unordered_map<std::string, Progress> progress_;
    std::map<std::string, std::map<std::string, std::vector<std::int64_t>>> acked_;
    std::map<std::string, std::vector<ports::RejectedReport>> refused_;
    std::vector<ports::RejectedMessage> rejected_;
    // Applied after all reports: what was reported is not lost.
    std::vector<ports::Inbound> losses_;
    std::vector<Ended> ended_;
    std::vector<Ended> unstarted_;
    std::vector<ports::StartAnswer> starts_;
    std::vector<ports::StartAnswer> refused_starts_;
    std::vector<std::string> alerts_;
};

/// A batch's differences as the JSON that is merged into its metadata: {"discrepancies":[{kind, step_id,
/// detail}]}.
std::string discrepancies_json(const std::vector<core::Discrepancy>& differences);

}  // namespace tasker::engine
