#include "tests/unit/transport/fake_worker.hpp"

#include <fmt/core.h>

#include <thread>

#include "tests/unit/sessions/sanity.hpp"

namespace tasker::engine {

std::string batch_id(std::string_view name) {
    std::uint64_t hash = 14695981039346656037ULL;
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    return fmt::format("00000000-0000-4000-8000-{:012x}", hash & 0xffffffffffffULL);
}

bool eventually(const std::function<bool()>& condition, const std::function<void(milliseconds)>& pause) {
    const milliseconds end = util::boot_time() + kLimit;
    while (!condition()) {
        const milliseconds left = end - util::boot_time();
        if (left <= milliseconds{0}) return condition();
        pause(std::min(left, milliseconds{20}));
    }
    return true;
}

// ---------------------------------------------------------------- worker

FakeWorker::FakeWorker(zmq::context_t& context, const IoLoop& loop, std::string id)
    : session(std::move(id)),
      steps_(context, zmq::socket_type::sub),
      results_(context, zmq::socket_type::pub) {
    steps_.set(zmq::sockopt::linger, 0);
    steps_.set(zmq::sockopt::rcvhwm, 0);
    steps_.connect(loop.steps_endpoint());
    results_.set(zmq::sockopt::linger, 0);
    results_.connect(loop.results_endpoint());
}

void FakeWorker::subscribe_all() {
    subscribe(protocol::steps_subscription(session));
    subscribe(protocol::control_subscription(session));
}

void FakeWorker::close() {
    steps_.close();
    results_.close();
}

void FakeWorker::send_raw(const std::string& frame, bool more) {
    results_.send(zmq::buffer(frame), more ? zmq::send_flags::sndmore : zmq::send_flags::none);
}

protocol::Hello FakeWorker::hello() const {
    protocol::Hello hello;
    hello.worker_id = "worker-" + session.substr(14);
    hello.session = session;
    hello.language = "cpp";
    hello.sdk_version = "1.0.0";
    hello.namespaces = {"*"};
    hello.handlers = handlers;
    hello.capacity = capacity;
    hello.prefetch = 2;
    hello.host = "localhost";
    hello.pid = 4711;
    return hello;
}

void FakeWorker::receive(milliseconds limit) {
    zmq::pollitem_t item{steps_.handle(), 0, ZMQ_POLLIN, 0};
    zmq::poll(&item, 1, limit);
    zmq::message_t frame;
    // A bounded number, so that a caller is not kept here by messages that come faster than they are read.
    for (int i = 0; i < 100 && steps_.recv(frame, zmq::recv_flags::dontwait); ++i) {
        const std::string bytes = frame.to_string();
        const auto split = protocol::split_frame(bytes);
        ASSERT_TRUE(split.has_value()) << bytes;
        auto message = decoder_.decode_orchestrator_message(split->body);
        ASSERT_TRUE(message.has_value()) << message.error().message << " in " << bytes.substr(0, 200);
        kept_.push_back({std::move(*message), std::string(split->topic), std::string(split->body)});
    }
}

void FakeWorker::join(const IoLoop&, SharedRegistry& registry, const protocol::Ready& inventory) {
    subscribe_all();
    // A PUB that is still connecting drops what it is given: repeated until answered, as the protocol says.
    const bool welcomed = eventually([this] { return waiting<protocol::Welcome>() > 0; },
                                     [this](milliseconds limit) {
                                         send("workers", hello());
                                         receive(limit);
                                     });
    ASSERT_TRUE(welcomed);
    next<protocol::Welcome>();
    // A repeated hello may have begun another probe: answer until one counts.
    const bool ready = eventually([&] { return registry.with([&](auto& r) { return r.is_ready(session); }); },
                                  [&](milliseconds limit) {
                                      if (waiting<protocol::Probe>() > 0) answer_probe(inventory);
                                      receive(limit);
                                  });
    ASSERT_TRUE(ready);
}

void FakeWorker::answer_probe(const protocol::Ready& inventory) {
    const auto probe = next<protocol::Probe>();
    ASSERT_TRUE(probe.has_value());
    protocol::Ready ready = inventory;
    ready.session = session;
    ready.nonce = probe->nonce;
    send("workers", ready);
}

void FakeWorker::accept(const std::string& batch_uuid) {
    protocol::BatchAccepted accepted;
    accepted.session = session;
    accepted.batch_id = batch_uuid;
    send("workers", accepted);
}

void FakeWorker::beat(const std::vector<protocol::StepRef>& held,
                      const std::vector<protocol::RunningStep>& running) {
    protocol::WorkerHeartbeat beat;
    beat.session = session;
    beat.held = held;
    beat.running = running;
    send("workers", beat);
}

protocol::PartialResult FakeWorker::result(const std::string& batch_uuid, std::int64_t step_id,
                                           std::int64_t sequence) const {
    protocol::PartialResult result;
    result.batch_id = batch_uuid;
    result.step_id = step_id;
    result.attempt = 1;
    result.status = protocol::ReportStatus::completed;
    result.output_json = R"({"ok":true})";
    result.worker_id = "worker";
    result.session = session;
    result.sequence = sequence;
    result.timestamp = "2026-01-01T00:00:00Z";
    return result;
}

// ---------------------------------------------------------------- fixture

IoTest::IoTest() {
    options_.orchestrator_id = "test";
    options_.epoch = 3;
    options_.endpoints.steps.bind = dir_.ipc("steps");
    options_.endpoints.results.bind = dir_.ipc("results");
    options_.endpoints.command.bind = dir_.ipc("command");
    options_.timers.heartbeat = milliseconds{50};
    options_.timers.suspect_after = milliseconds{20'000};
    options_.timers.lease = milliseconds{40'000};
    options_.timers.disconnect_grace = milliseconds{20'000};
    options_.timers.accept_timeout = milliseconds{20'000};
}

IoTest::~IoTest() {
    if (loop_) {
        loop_->stop();
        EXPECT_EQ(loop_->failure(), "");
    }
    if (registry_) {
        EXPECT_EQ(
            registry_->with([](auto& registry) { return core::sanity_check(registry); }).value_or("sane"),
            "sane");
    }
    workers_.clear();
    loop_.reset();
}

IoLoop* IoTest::make() {
    const auto probe_delay = registry_settings_.probe_delay_first;
    registry_settings_ = registry_settings(options_);
    registry_settings_.probe_delay_first = probe_delay;
    registry_ = std::make_unique<SharedRegistry>(registry_settings_);
    mailbox_ = std::make_unique<LaneRouter>(options_.lanes, mailbox_max_);
    loop_ = std::make_unique<IoLoop>(context_, options_, *registry_, *mailbox_, health_);
    return loop_.get();
}

FakeWorker& IoTest::worker(std::string session) {
    workers_.push_back(std::make_unique<FakeWorker>(context_, *loop_, std::move(session)));
    return *workers_.back();
}

FakeWorker& IoTest::ready_worker(std::string session) {
    FakeWorker& made = worker(std::move(session));
    made.join(*loop_, *registry_);
    return made;
}

ports::OutboundBatch IoTest::make_batch(const std::string& uuid, const std::string& session,
                                        const std::vector<std::int64_t>& step_ids, std::size_t filler_bytes) {
    protocol::StepBatchRequest request;
    request.envelope = {options_.orchestrator_id, options_.epoch};
    request.batch_id = uuid;
    request.handler_class = "Echo";
    ports::OutboundBatch batch;
    for (const std::int64_t step_id : step_ids) {
        protocol::StepRequest step;
        step.step_id = step_id;
        step.task_id = 1;
        step.namespace_name = "shop";
        step.task_name = "task";
        step.task_version = "1";
        step.step_name = "step";
        step.handler_class = "Echo";
        step.task_context_json = R"({"filler":")" + std::string(filler_bytes, 'x') + R"("})";
        step.metadata.attempt = 1;
        step.metadata.retry_limit = 3;
        step.metadata.timeout_ms = 1000;
        step.metadata.sequence = static_cast<std::int32_t>(request.steps.size()) + 1;
        step.metadata.total_steps = static_cast<std::int32_t>(step_ids.size());
        step.metadata.created_at = "2026-01-01T00:00:00Z";
        step.metadata.idempotency_key = "key-" + std::to_string(step_id);
        request.steps.push_back(step);
        batch.steps.push_back({step_id, 1});
    }
    batch.batch_uuid = uuid;
    batch.session = session;
    batch.handler_class = "Echo";
    batch.message = protocol::to_json(request);
    return batch;
}

ports::OutboundBatch IoTest::take_batch(const std::string& uuid, const std::string& session,
                                        std::vector<std::int64_t> step_ids, std::size_t filler_bytes) {
    ports::OutboundBatch batch = make_batch(uuid, session, step_ids, filler_bytes);
    registry_->settle(0, registry_->reserve(0), {{uuid, session, "Echo", std::move(step_ids)}});
    return batch;
}

void IoTest::collect(milliseconds limit) {
    mailbox_->mailbox(0).take_all(events_, util::boot_time() + limit);
}

::testing::AssertionResult IoTest::becomes(const std::function<bool()>& condition) {
    // The io thread tells nobody about its counters and states, so they are looked at again and again.
    if (eventually(condition, [](milliseconds) { std::this_thread::yield(); }))
        return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "not within " << kLimit.count() << " ms";
}

bool IoTest::in_state(const std::string& session, core::SessionState state) {
    return registry_->with([&](auto& registry) { return registry.state_of(session) == state; });
}

}  // namespace tasker::engine
