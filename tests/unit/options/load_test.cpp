#include "orchestrator/options/load.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>

#include "orchestrator/options/database_url.hpp"
#include "orchestrator/options/settings.hpp"
#include "orchestrator/options/shown.hpp"

namespace tasker::options {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Environment = std::map<std::string, std::string, std::less<>>;

EnvLookup lookup_in(Environment variables) {
    return [variables = std::move(variables)](std::string_view name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        if (found == variables.end()) return std::nullopt;
        return found->second;
    };
}

// A directory of its own per test, with the two configuration files in it.
class LoadOptions : public ::testing::Test {
  protected:
    LoadOptions() {
        std::string pattern = (std::filesystem::temp_directory_path() / "tasker-options-XXXXXX").string();
        directory_ = ::mkdtemp(pattern.data());
    }
    ~LoadOptions() override { std::filesystem::remove_all(directory_); }

    std::string write(const std::string& name, const std::string& text) {
        const std::filesystem::path path = directory_ / name;
        std::ofstream(path) << text;
        return path.string();
    }

    tl::expected<LoadedOptions, std::vector<Problem>> load(const std::string& text,
                                                           Environment variables = {}) {
        return load_options(write("orchestrator.yaml", text), lookup_in(std::move(variables)));
    }

    // Loading fails with exactly this problem.
    void expect_refused(const std::string& text, int line, const std::string& field, const std::string& part,
                        Environment variables = {}) {
        const auto loaded = load(text, std::move(variables));
        ASSERT_FALSE(loaded.has_value()) << text;
        ASSERT_EQ(loaded.error().size(), 1U) << to_string(loaded.error().back());
        const Problem& problem = loaded.error()[0];
        EXPECT_EQ(problem.severity, yaml::Severity::error);
        EXPECT_EQ(problem.line, line) << to_string(problem);
        EXPECT_EQ(problem.field, field) << to_string(problem);
        EXPECT_THAT(problem.message, HasSubstr(part));
        EXPECT_EQ(problem.file, (directory_ / "orchestrator.yaml").string());
    }

    std::filesystem::path directory_;
};

TEST_F(LoadOptions, WithoutFileAndEnvironmentGivesTheDefaults) {
    const auto loaded = load_options(std::nullopt, lookup_in({}));
    ASSERT_TRUE(loaded.has_value());
    EXPECT_EQ(loaded->options, Options{});
    EXPECT_TRUE(loaded->warnings.empty());
    EXPECT_TRUE(loaded->files.empty());
}

TEST_F(LoadOptions, ShippedFilesNameEverySettingWithItsDefault) {
    const char* source = std::getenv("TASKER_SOURCE_DIR");
    ASSERT_NE(source, nullptr) << "run through ctest, or set TASKER_SOURCE_DIR to the repository";
    const std::filesystem::path config = std::filesystem::path(source) / "config";
    const auto loaded = load_options(config / "orchestrator.yaml", lookup_in({}));
    ASSERT_TRUE(loaded.has_value()) << to_string(loaded.error().front());
    EXPECT_EQ(loaded->options, Options{});
    EXPECT_TRUE(loaded->warnings.empty());
    ASSERT_EQ(loaded->files.size(), 2U);

    std::string text;
    for (const std::filesystem::path& file : loaded->files) {
        std::ifstream stream(file);
        text.append(std::istreambuf_iterator<char>(stream), {});
    }
    for (const Setting& setting : settings()) {
        const std::string leaf(setting.key.substr(setting.key.rfind('.') + 1));
        EXPECT_THAT(text, HasSubstr(leaf + ":")) << setting.key;
    }
}

TEST_F(LoadOptions, ReadsEveryTypeOfSetting) {
    const auto loaded = load(
        "environment: test\n"
        "allow_insecure: true\n"
        "templates_dir: my/templates\n"
        "database: { url: 'postgresql:///x', reconnect_max_ms: 250 }\n"
        "timers: { heartbeat_ms: 100, lease_ms: 9000 }\n"
        "limits: { batch_bytes: 1048576, depth: 32 }\n"
        "log: { level: debug, format: json }\n"
        "retention: { days: 30 }\n");
    ASSERT_TRUE(loaded.has_value()) << to_string(loaded.error().front());
    const Options& options = loaded->options;
    EXPECT_EQ(options.environment, "test");
    EXPECT_TRUE(options.allow_insecure);
    EXPECT_EQ(options.templates_dir, "my/templates");
    EXPECT_EQ(options.database.url, "postgresql:///x");
    EXPECT_EQ(options.database.reconnect_max, milliseconds(250));
    EXPECT_EQ(options.timers.heartbeat, milliseconds(100));
    EXPECT_EQ(options.timers.lease, milliseconds(9000));
    EXPECT_EQ(options.limits.batch_bytes, 1'048'576);
    EXPECT_EQ(options.limits.depth, 32);
    EXPECT_EQ(options.log.level, LogLevel::debug);
    EXPECT_EQ(options.log.format, LogFormat::json);
    EXPECT_EQ(options.retention.days, 30);
    EXPECT_EQ(options.timers.suspect_after, Timers{}.suspect_after);
}

TEST_F(LoadOptions, ReadsZeromqYamlBesideTheMainFile) {
    write("zeromq.yaml",
          "step_execution:\n"
          "  rust_step_publisher: ipc:///tmp/steps.sock\n"
          "  rust_result_subscriber: ipc:///tmp/results.sock\n"
          "  handler_result_publisher: [ipc:///tmp/results.sock, tcp://10.0.0.2:5556]\n"
          "  batch_size: 7\n"
          "  handler_poll_interval_ms: 1\n");
    const auto loaded = load("log: { level: error }\n");
    ASSERT_TRUE(loaded.has_value()) << to_string(loaded.error().front());
    const Endpoints& endpoints = loaded->options.endpoints;
    EXPECT_EQ(endpoints.steps.bind, "ipc:///tmp/steps.sock");
    EXPECT_EQ(endpoints.steps.connect, (std::vector<std::string>{"ipc:///tmp/steps.sock"}));
    EXPECT_EQ(endpoints.results.connect,
              (std::vector<std::string>{"ipc:///tmp/results.sock", "tcp://10.0.0.2:5556"}));
    EXPECT_EQ(loaded->options.delivery.batch_size, 7);
    EXPECT_EQ(loaded->options.log.level, LogLevel::error);
    ASSERT_EQ(loaded->warnings.size(), 1U);
    EXPECT_EQ(loaded->warnings[0].line, 6);
    EXPECT_EQ(loaded->warnings[0].field, "step_execution.handler_poll_interval_ms");
    EXPECT_THAT(loaded->warnings[0].message, HasSubstr("nothing polls any more"));
}

TEST_F(LoadOptions, EnvironmentWinsAndSetsBothSidesOfAnEndpoint) {
    const auto loaded = load(
        "allow_insecure: true\n"
        "step_execution: { step_publisher: 'tcp://127.0.0.1:1', handler_step_subscriber: 'tcp://127.0.0.1:1' "
        "}\n",
        {{"TASKER_STEPS_ENDPOINT", "tcp://*:7001"},
         {"TASKER_RESULTS_ENDPOINT", "ipc:///tmp/r.sock"},
         {"TASKER_COMMAND_ENDPOINT", ""},
         {"TASKER_DATABASE_URL", "postgresql:///env"},
         {"TASKER_TEMPLATES_DIR", "my/templates"},
         {"TASKER_ENV", "production"}});
    ASSERT_TRUE(loaded.has_value()) << to_string(loaded.error().front());
    const Options& options = loaded->options;
    EXPECT_EQ(options.endpoints.steps, (Endpoint{"tcp://*:7001", {"tcp://127.0.0.1:7001"}}));
    EXPECT_EQ(options.endpoints.results, (Endpoint{"ipc:///tmp/r.sock", {"ipc:///tmp/r.sock"}}));
    EXPECT_EQ(options.endpoints.command, Endpoints{}.command) << "an empty variable is as good as none";
    EXPECT_EQ(options.database.url, "postgresql:///env");
    EXPECT_EQ(options.templates_dir, "my/templates");
    EXPECT_EQ(options.environment, "production");
}

TEST_F(LoadOptions, FilesMayUseVariables) {
    const auto loaded =
        load("database: { url: 'postgresql://u:${DB_PASSWORD}@h/x' }\n", {{"DB_PASSWORD", "secret"}});
    ASSERT_TRUE(loaded.has_value());
    EXPECT_EQ(loaded->options.database.url, "postgresql://u:secret@h/x");
    expect_refused("database:\n  url: 'postgresql://u:${DB_PASSWORD}@h/x'\n", 2, "database.url",
                   "The environment variable DB_PASSWORD is not set");
}

TEST_F(LoadOptions, AnEmptySectionKeepsTheDefaults) {
    const auto loaded = load("timers:\n  # heartbeat_ms: 1\nlog: { level: info }\n");
    ASSERT_TRUE(loaded.has_value()) << to_string(loaded.error().front());
    EXPECT_EQ(loaded->options, Options{});
}

TEST_F(LoadOptions, RefusesUnknownSettingsWithAHint) {
    expect_refused("timers:\n  hartbeat_ms: 5\n", 2, "timers.hartbeat_ms",
                   "Unknown setting 'hartbeat_ms'. Did you mean 'heartbeat_ms'?");
    expect_refused("timer: { lease_ms: 5 }\n", 1, "timer", "Did you mean 'timers'?");
    expect_refused("heartbeat_ms: 5\n", 1, "heartbeat_ms", "Did you mean 'timers.heartbeat_ms'?");
    expect_refused("zzzzzzzz: 5\n", 1, "zzzzzzzz", "--help-settings");
}

TEST_F(LoadOptions, RefusesBadValuesNamingLimitAndUnit) {
    expect_refused("log: { level: info }\ntimers:\n  lease_ms: 3600001\n", 3, "timers.lease_ms",
                   "3600001 is out of range: allowed is 50 to 3600000 ms.");
    expect_refused("step_execution: { batch_size: 0 }\n", 1, "step_execution.batch_size",
                   "0 is out of range: allowed is 1 to 1000 steps.");
    expect_refused("step_execution: { step_queue_hwm: 0 }\n", 1, "step_execution.step_queue_hwm",
                   "out of range");
    expect_refused("timers: { lease_ms: 8s }\n", 1, "timers.lease_ms",
                   "Expected a whole number, found text '8s'.");
    expect_refused("timers: { lease_ms: }\n", 1, "timers.lease_ms", "has no value");
    expect_refused("timers: 5\n", 1, "timers", "Expected a map of settings");
    expect_refused("allow_insecure: yes\n", 1, "allow_insecure", "Expected true or false");
    expect_refused("log: { level: loud }\n", 1, "log.level",
                   "'loud' is none of trace, debug, info, warning, error.");
    expect_refused("environment: 'a b'\n", 1, "environment", "'a b' is no name");
    expect_refused("http: { bind: 'localhost' }\n", 1, "http.bind", "write host:port, or off");
    expect_refused("step_execution: { command: 'udp://x:1' }\n", 1, "step_execution.command",
                   "no ZeroMQ endpoint");
    expect_refused("step_execution:\n  handler_step_subscriber: ['tcp://h:1', 'tcp://*:1']\n", 2,
                   "step_execution.handler_step_subscriber[1]", "cannot be connected to");
    expect_refused("step_execution: { handler_step_subscriber: [] }\n", 1,
                   "step_execution.handler_step_subscriber", "0 endpoints are out of range");
    expect_refused("- a\n", 1, "", "A map of settings is expected");
    expect_refused("a: [\n", 2, "", "Malformed YAML");
}

TEST_F(LoadOptions, RefusesBadVariablesNamingThem) {
    const auto loaded = load_options(std::nullopt, lookup_in({{"TASKER_STEPS_ENDPOINT", "tcp://127.0.0.1"},
                                                              {"TASKER_HTTP_BIND", "nowhere"}}));
    ASSERT_FALSE(loaded.has_value());
    ASSERT_EQ(loaded.error().size(), 2U);
    EXPECT_EQ(to_string(loaded.error()[0]),
              "environment: error: TASKER_HTTP_BIND: 'nowhere' is no address; write "
              "host:port, or off.");
    EXPECT_EQ(to_string(loaded.error()[1]),
              "environment: error: TASKER_STEPS_ENDPOINT: 'tcp://127.0.0.1' has no "
              "port; write tcp://host:port.");
}

TEST_F(LoadOptions, RefusesASettingGivenTwice) {
    write("zeromq.yaml", "step_execution: { batch_size: 5 }\n");
    const auto loaded = load("step_execution: { batch_size: 6 }\n");
    ASSERT_FALSE(loaded.has_value());
    EXPECT_THAT(loaded.error().at(0).message, HasSubstr("given twice"));
    EXPECT_THAT(loaded.error().at(0).message, HasSubstr("orchestrator.yaml:1"));
    EXPECT_EQ(loaded.error().at(0).file, (directory_ / "zeromq.yaml").string());
    write("zeromq.yaml", "{}\n");
    expect_refused(
        "step_execution:\n  step_publisher: tcp://127.0.0.1:1\n  rust_step_publisher: tcp://127.0.0.1:2\n", 3,
        "step_execution.rust_step_publisher", "given twice");
}

TEST_F(LoadOptions, ReportsAllProblemsOfAFile) {
    const auto loaded = load("timers:\n  lease_ms: 0\n  heartbeat_ms: x\nnonsense: 1\n");
    ASSERT_FALSE(loaded.has_value());
    ASSERT_EQ(loaded.error().size(), 3U);
    EXPECT_EQ(loaded.error()[0].line, 2);
    EXPECT_EQ(loaded.error()[1].line, 3);
    EXPECT_EQ(loaded.error()[2].line, 4);
}

TEST_F(LoadOptions, ChecksTimersAgainstEachOther) {
    expect_refused("timers: { heartbeat_ms: 3000 }\n", 1, "timers.heartbeat_ms",
                   "timers.heartbeat_ms (3000 ms) must be less than timers.suspect_after_ms (3000 ms).");
    expect_refused("log: { level: info }\ntimers:\n  suspect_after_ms: 8000\n", 3, "timers.suspect_after_ms",
                   "less than timers.lease_ms");
    expect_refused("timers: { accept_timeout_ms: 9000 }\n", 1, "timers.accept_timeout_ms",
                   "less than timers.lease_ms");
    expect_refused("timers: { start_window_ms: 8000 }\n", 1, "timers.start_window_ms",
                   "less than timers.lease_ms");
    expect_refused("timers: { disconnect_grace_ms: 8001 }\n", 1, "timers.disconnect_grace_ms", "at most");
    expect_refused("limits: { result_bytes: 20000000 }\n", 1, "limits.result_bytes",
                   "limits.batch_bytes (16777216)");
}

TEST_F(LoadOptions, BlamesTheSettingThatWasWritten) {
    // The heartbeat has its default; lease and suspicion were moved below it.
    const auto loaded = load("timers: { suspect_after_ms: 900 }\n");
    ASSERT_FALSE(loaded.has_value());
    EXPECT_EQ(loaded.error().at(0).field, "timers.suspect_after_ms");
    EXPECT_EQ(loaded.error().at(0).line, 1);
}

TEST_F(LoadOptions, WarnsWhenOneLateHeartbeatIsEnough) {
    const auto loaded = load("timers: { heartbeat_ms: 2000 }\n");
    ASSERT_TRUE(loaded.has_value());
    ASSERT_EQ(loaded->warnings.size(), 1U);
    EXPECT_THAT(loaded->warnings[0].message, HasSubstr("A single late heartbeat"));
}

TEST_F(LoadOptions, RefusesOpenPortsUnlessInsecureIsAllowed) {
    for (const std::string key : {"step_publisher", "result_subscriber", "command"}) {
        expect_refused("step_execution: { " + key + ": 'tcp://*:9999' }\n", 1, "step_execution." + key,
                       "can be reached from other machines");
    }
    const auto allowed = load("allow_insecure: true\nstep_execution: { command: 'tcp://*:9999' }\n");
    ASSERT_TRUE(allowed.has_value());
    ASSERT_EQ(allowed->warnings.size(), 1U);
    EXPECT_EQ(allowed->warnings[0].line, 2);
}

TEST_F(LoadOptions, RefusesReservedSettingsExceptTheirDefault) {
    EXPECT_TRUE(load("http: { bind: off }\n", {{"TASKER_HTTP_BIND", "off"}}).has_value());
    expect_refused(
        "http: { bind: '127.0.0.1:8080' }\n", 1, "http.bind",
        "http.bind is reserved until the HTTP interface exists, so it can only be 'off'. Remove it.");
    const auto loaded = load_options(std::nullopt, lookup_in({{"TASKER_HTTP_BIND", "127.0.0.1:8080"}}));
    ASSERT_FALSE(loaded.has_value());
    EXPECT_EQ(loaded.error().at(0).field, "TASKER_HTTP_BIND");
    EXPECT_THAT(loaded.error().at(0).message, HasSubstr("http.bind is reserved"));
}

TEST_F(LoadOptions, RefusesOneEndpointForTwoSockets) {
    expect_refused("step_execution: { result_subscriber: 'tcp://127.0.0.1:5555' }\n", 1,
                   "step_execution.result_subscriber", "already used by step_execution.step_publisher");
    EXPECT_TRUE(
        load("step_execution: { step_publisher: 'tcp://127.0.0.1:0', result_subscriber: 'tcp://127.0.0.1:0', "
             "command: 'tcp://127.0.0.1:0' }\n")
            .has_value())
        << "any free port may be asked for several times";
}

TEST_F(LoadOptions, AMissingFileIsNamed) {
    const auto loaded = load_options(directory_ / "none.yaml", lookup_in({}));
    ASSERT_FALSE(loaded.has_value());
    EXPECT_EQ(loaded.error().at(0).file, (directory_ / "none.yaml").string());
    EXPECT_THAT(loaded.error().at(0).message, HasSubstr("No such file"));
}

TEST_F(LoadOptions, RefusesADatabaseUrlThatIsNoneWithoutRepeatingIt) {
    expect_refused("database:\n  url: nonsense\n", 2, "database.url",
                   "The value is no database address; write post");
    expect_refused("database: { url: 'postgresql://u:geheim@h:99999/x' }\n", 1, "database.url",
                   "The value names a port that is none");
    expect_refused("database: { url: 'mysql://u:geheim@h/x' }\n", 1, "database.url",
                   "is no database address");
    const auto loaded =
        load("allow_insecure: false\n", {{"TASKER_DATABASE_URL", "postgresql://u:geheim%@h/x"}});
    ASSERT_FALSE(loaded.has_value());
    EXPECT_THAT(to_string(loaded.error()[0]), HasSubstr("TASKER_DATABASE_URL"));
    EXPECT_THAT(to_string(loaded.error()[0]), Not(HasSubstr("geheim")));
    for (const char* good :
         {"postgresql:///x", "postgres://h", "host=/tmp dbname=x", "postgresql://u@a,b:5433/x",
          "postgresql://%2Fvar%2Frun/x?options=-csearch_path%3Dblue", "dbname=x port=5432,"}) {
        EXPECT_EQ(database_url_fault(good).value_or(""), "") << good;
    }
}

TEST(DatabaseUrl, ShowsNoPassword) {
    EXPECT_EQ(url_without_secrets("postgresql://u:geheim@h/x"), "postgresql://u:***@h/x");
    EXPECT_EQ(url_without_secrets("postgresql://u:a%40b%2Fc@h/x"), "postgresql://u:***@h/x");
    EXPECT_EQ(url_without_secrets("postgresql://u:a%40b%2fc@h/x"), "postgresql://u:***@h/x");
    EXPECT_EQ(url_without_secrets("postgresql://u@h/x?password=geheim&sslpassword=auch"),
              "postgresql://u@h/x?password=***&sslpassword=***");
    EXPECT_EQ(url_without_secrets("host=h password=geheim dbname=x"), "host=h password=*** dbname=x");
    EXPECT_EQ(url_without_secrets("host=h password='it\\'s' dbname=x"), "***") << "spelled in another way";
    EXPECT_EQ(url_without_secrets("postgresql://u:%67eheim@h/x"), "***") << "spelled in another way";
    EXPECT_EQ(url_without_secrets("no:geheim"), "***");
    EXPECT_EQ(url_without_secrets("postgresql:///x"), "postgresql:///x");
    EXPECT_EQ(url_without_secrets(""), "");
}

TEST_F(LoadOptions, ShowsEachValueAndWhereItCameFrom) {
    const auto loaded = load(
        "log: { level: debug }\n"
        "step_execution:\n  step_publisher: tcp://127.0.0.1:6001\n",
        {{"TASKER_DATABASE_URL", "postgresql://u:geheim@h/x"}});
    ASSERT_TRUE(loaded.has_value());
    const std::string text = shown_settings(*loaded);
    const auto expect_line = [&](const std::string& value, const std::string& from) {
        const auto at = text.find("\n" + value + " ");
        ASSERT_NE(at, std::string::npos) << value << " in\n" << text;
        const auto line = text.substr(at + 1, text.find('\n', at + 1) - at - 1);
        EXPECT_TRUE(line.ends_with("  # " + from)) << line;
    };
    const std::string file = loaded->files.at(0).string();
    expect_line("log.level: debug", file + ":1");
    expect_line("step_execution.step_publisher: tcp://127.0.0.1:6001", file + ":3");
    expect_line("step_execution.handler_step_subscriber: tcp://127.0.0.1:6001", file + ":3");
    expect_line("timers.lease_ms: 8000", "default");
    expect_line("database.url: postgresql://u:***@h/x", "environment variable TASKER_DATABASE_URL");
    const auto json = shown_settings_json(*loaded);
    EXPECT_EQ(json["files"].dump(), "[\"" + file + "\"]");
    EXPECT_EQ(json["settings"].size(), settings().size());
    EXPECT_EQ(json["settings"]["timers.lease_ms"].dump(), R"({"value":8000,"unit":"ms","from":"default"})");
    EXPECT_EQ(json["settings"]["log.level"].dump(),
              R"({"value":"debug","from":"file","file":")" + file + R"(","line":1})");
    EXPECT_EQ(json["settings"]["allow_insecure"]["value"], false);
    EXPECT_EQ(json["settings"]["database.url"].dump(),
              R"({"value":"postgresql://u:***@h/x","from":"environment","variable":"TASKER_DATABASE_URL"})");
}

}  // namespace
}  // namespace tasker::options
