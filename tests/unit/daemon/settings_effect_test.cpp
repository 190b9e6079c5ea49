// Every setting is asked for its effect. Each entry gives a setting a value by the way people do, in a file,
// and looks at what the program makes of it: what the engine, the store or the connection is given, or what a
// part does with it. A setting without an entry fails here.
//
// How the engine's timers and limits act is tested where they act (tests/unit/engine, tests/unit/transport);
// the settings that only show between real processes have tests/system/test_settings.py besides.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "orchestrator/api/template_files.hpp"
#include "orchestrator/daemon/engine_options.hpp"
#include "orchestrator/daemon/log_settings.hpp"
#include "orchestrator/daemon/start_templates.hpp"
#include "orchestrator/engine/io/convert.hpp"
#include "orchestrator/engine/io/sockets.hpp"
#include "orchestrator/engine/upkeep/retention.hpp"
#include "orchestrator/options/check.hpp"
#include "orchestrator/options/load.hpp"
#include "orchestrator/options/settings.hpp"
#include "orchestrator/ports/store.hpp"
#include "tests/unit/daemon/temp_folder.hpp"

namespace tasker {
namespace {

using options::Options;
using std::chrono::milliseconds;

std::string text(milliseconds time) {
    return std::to_string(time.count());
}
std::string text(std::integral auto number) {
    return std::to_string(number);
}

engine::IoOptions io(const Options& options) {
    return io_options(options, "o-1", 1);
}
engine::ListenerOptions lane(const Options& options) {
    return listener_options(options, "o-1", 1);
}

/// What the retention thread asks of the store in its first pass.
ports::RetentionSettings retention_pass(const Options& options) {
    struct Store : ports::Retention {
        explicit Store(ports::RetentionSettings& into) : seen(into) {}
        void run_pass(const ports::RetentionSettings& settings, const ports::RetentionWatch&) override {
            seen = settings;
            throw ports::EpochLost{};  // ends the thread
        }
        void cancel() override {}
        ports::RetentionSettings& seen;
    };
    ports::RetentionSettings seen;
    engine::Retention([&] { return std::make_unique<Store>(seen); }, {options.retention, [] {}}).run();
    return seen;
}

/// What comes of two messages: the number of lines and their form.
std::string logged(const Options& options) {
    configure_log(options.log);
    ::testing::internal::CaptureStderr();
    util::log::debug("a detail");
    util::log::error("a fault");
    configure_log({});
    const std::string lines = ::testing::internal::GetCapturedStderr();
    return text(std::count(lines.begin(), lines.end(), '\n')) + (lines.starts_with('{') ? " json" : " text");
}

/// Where a socket is really bound. The usual ports may be in use on this machine and are not tried.
template <typename Socket>
std::string bound(const Options& options, Socket socket, const std::string& wanted) {
    if (!wanted.starts_with("ipc://")) return wanted;
    engine::IoOptions own = io(options);
    for (auto* endpoint : {&own.endpoints.steps, &own.endpoints.results, &own.endpoints.command}) {
        if (endpoint->bind != wanted) endpoint->bind = "tcp://127.0.0.1:*";
    }
    zmq::context_t context;
    engine::IoSockets sockets(context, own);
    return (sockets.*socket).endpoint();
}

/// Whether an endpoint that other machines reach is allowed.
std::string open_port(Options options) {
    options.endpoints.steps.bind = "tcp://*:5555";
    const auto problems = options::cross_check(options, {});
    return problems.at(0).severity == yaml::Severity::error ? "refused" : "allowed";
}

std::string step_timeout(const Options& options, const std::string& folder) {
    const auto files = api::read_template_files(folder, options.environment);
    return text(static_cast<int>(files.value().templates.at(0).steps.at(0).timeout_seconds));
}

constexpr const char* kTemplate = R"(name: one
namespace_name: tests
version: 1.0.0
step_templates:
  - { name: only, handler_class: "Tests::Only", timeout_seconds: 20 }
environments:
  staging:
    step_templates: [{ name: only, timeout_seconds: 70 }]
)";

struct Effect {
    std::string value;  // as in the file; FOLDER stands for the test's own
    std::function<std::string(const Options&)> observe;
    std::string expected;
};

class SettingsEffect : public ::testing::Test {
  protected:
    SettingsEffect() {
        folder_.write("one.yaml", kTemplate);
        add_general();
        add_timers();
        add_delivery();
    }

    Options load(const std::string& yaml) {
        const auto loaded = options::load_options(folder_.write("settings.yml.txt", yaml),
                                                  [](std::string_view) { return std::nullopt; });
        if (!loaded) {
            ADD_FAILURE() << to_string(loaded.error().front());
            return {};
        }
        return loaded->options;
    }

    std::string in_folder(std::string value) const {
        if (const auto at = value.find("FOLDER"); at != std::string::npos)
            value.replace(at, 6, folder_.path());
        return value;
    }

    void add_general() {
        effects_ = {
            {"environment",
             {"staging", [this](const Options& o) { return step_timeout(o, folder_.path()); }, "70"}},
            {"templates_dir",
             {"FOLDER", [](const Options& o) { return text(int{StartTemplates(o).wanted()}); }, "1"}},
            {"allow_insecure", {"true", open_port, "allowed"}},
            {"retention.days", {"30", [](const Options& o) { return text(retention_pass(o).days); }, "30"}},
            {"retention.partition_rows",
             {"500", [](const Options& o) { return text(retention_pass(o).partition_rows); }, "500"}},
            {"retention.check_interval_ms",
             {"200", [](const Options& o) { return text(retention_pass(o).look_again); }, "2000"}},
            {"database.url",
             {"postgresql:///x", [](const Options& o) { return database_address(o.database).url; },
              "postgresql:///x"}},
            {"database.connect_timeout_ms",
             {"17000", [](const Options& o) { return text(database_address(o.database).connect_timeout); },
              "17000"}},
            {"database.reconnect_max_ms",
             {"700", [](const Options& o) { return text(lane(o).database.reconnect_max); }, "700"}},
            {"database.lanes", {"4", [](const Options& o) { return text(lane_router(o).lanes()); }, "4"}},
            {"log.level", {"debug", logged, "2 text"}},
            {"log.format", {"json", logged, "1 json"}},
        };
    }

    void add_timers() {
        const auto timer = [this](const char* key, auto& of, milliseconds options::Timers::*field,
                                  const char* value) {
            effects_[key] = {value, [&of, field](const Options& o) { return text(of(o).timers.*field); },
                             value};
        };
        timer("timers.heartbeat_ms", io, &options::Timers::heartbeat, "900");
        timer("timers.suspect_after_ms", io, &options::Timers::suspect_after, "3100");
        timer("timers.lease_ms", io, &options::Timers::lease, "8100");
        timer("timers.disconnect_grace_ms", io, &options::Timers::disconnect_grace, "2100");
        timer("timers.accept_timeout_ms", io, &options::Timers::accept_timeout, "2200");
        timer("timers.start_window_ms", io, &options::Timers::start_window, "1100");
        timer("timers.resend_ms", io, &options::Timers::resend, "1200");
        timer("timers.timeout_grace_ms", lane, &options::Timers::timeout_grace, "5100");
        timer("timers.reconcile_grace_ms", lane, &options::Timers::reconcile_grace, "5200");
    }

    void add_delivery() {
        effects_.insert({
            {"delivery.prefetch",
             {"7",
              [](const Options& o) {
                  protocol::Hello hello;
                  hello.capacity = 10;
                  return text(core::credit_limit(engine::to_spec(hello, io(o))));
              },
              "70"}},
            {"delivery.accept_resends",
             {"5", [](const Options& o) { return text(io(o).delivery.accept_resends); }, "5"}},
            {"limits.batch_bytes",
             {"70000000", [](const Options& o) { return text(lane(o).limits.batch_bytes); }, "70000000"}},
            {"limits.result_bytes",
             {"70000", [](const Options& o) { return text(io(o).limits.result_bytes); }, "70000"}},
            {"limits.capacity",
             {"3",
              [](const Options& o) {
                  protocol::Hello hello;
                  hello.capacity = 10;
                  return text(engine::to_spec(hello, io(o)).capacity);
              },
              "3"}},
            {"limits.depth", {"20", [](const Options& o) { return text(io(o).limits.depth); }, "20"}},
            {"step_execution.batch_size",
             {"3", [](const Options& o) { return text(lane(o).delivery.batch_size); }, "3"}},
            {"step_execution.result_timeout_ms",
             {"4000", [](const Options& o) { return text(lane(o).delivery.result_timeout); }, "4000"}},
            {"step_execution.step_queue_hwm",
             {"50", [](const Options& o) { return text(io(o).delivery.step_queue_hwm); }, "50"}},
            {"step_execution.result_queue_hwm",
             {"60", [](const Options& o) { return text(lane_router(o).report_room(0)); }, "60"}},
            {"step_execution.step_publisher",
             {"ipc://FOLDER/s",
              [](const Options& o) { return bound(o, &engine::IoSockets::steps, o.endpoints.steps.bind); },
              "ipc://FOLDER/s"}},
            {"step_execution.result_subscriber",
             {"ipc://FOLDER/r",
              [](const Options& o) {
                  return bound(o, &engine::IoSockets::results, o.endpoints.results.bind);
              },
              "ipc://FOLDER/r"}},
            {"step_execution.command",
             {"ipc://FOLDER/c",
              [](const Options& o) {
                  return bound(o, &engine::IoSockets::commands, o.endpoints.command.bind);
              },
              "ipc://FOLDER/c"}},
            // Workers read these two from the same file; tests/system/test_settings.py connects one.
            {"step_execution.handler_step_subscriber",
             {"tcp://10.0.0.1:7", [](const Options& o) { return o.endpoints.steps.connect.at(0); },
              "tcp://10.0.0.1:7"}},
            {"step_execution.handler_result_publisher",
             {"tcp://10.0.0.1:8", [](const Options& o) { return o.endpoints.results.connect.at(0); },
              "tcp://10.0.0.1:8"}},
        });
    }

    static std::string as_yaml(std::string_view key, const std::string& value) {
        const auto dot = key.find('.');
        if (dot == std::string_view::npos) return std::string(key) + ": " + value + "\n";
        return std::string(key.substr(0, dot)) + ": { " + std::string(key.substr(dot + 1)) + ": " + value +
               " }\n";
    }

    testing_support::TempFolder folder_;
    std::map<std::string, Effect, std::less<>> effects_;
};

TEST_F(SettingsEffect, EverySettingHasAnEntryHereOrIsReserved) {
    std::set<std::string_view> keys;
    for (const auto& setting : options::settings()) {
        keys.insert(setting.key);
        EXPECT_NE(effects_.contains(setting.key), !setting.reserved.empty())
            << setting.key << ": add to this table how its effect is seen (or mark it reserved)";
    }
    for (const auto& [key, effect] : effects_) EXPECT_TRUE(keys.contains(key)) << key << " is no setting";
}

TEST_F(SettingsEffect, EachValueArrivesWhereItActs) {
    for (const auto& [key, effect] : effects_) {
        SCOPED_TRACE(key);
        const std::string expected = in_folder(effect.expected);
        EXPECT_NE(effect.observe(Options{}), expected) << "the default cannot be told from the value";
        EXPECT_EQ(effect.observe(load(as_yaml(key, in_folder(effect.value)))), expected);
    }
}

TEST_F(SettingsEffect, ReservedSettingsAreRefused) {
    for (const auto& setting : options::settings()) {
        if (setting.reserved.empty()) continue;
        SCOPED_TRACE(setting.key);
        const auto loaded =
            options::load_options(folder_.write("settings.yml.txt", as_yaml(setting.key, "127.0.0.1:8080")),
                                  [](std::string_view) { return std::nullopt; });
        ASSERT_FALSE(loaded.has_value());
        EXPECT_THAT(loaded.error().at(0).message, ::testing::HasSubstr("is reserved"));
    }
}

}  // namespace
}  // namespace tasker
