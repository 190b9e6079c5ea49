#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "protocol/cpp/decode.hpp"
#include "protocol/cpp/encode.hpp"
#include "tests/unit/protocol/samples.hpp"

namespace tasker::protocol {
namespace {

using nlohmann::json;

DecodeError error_of(const std::string& text) {
    Decoder decoder;
    auto decoded = decoder.decode_worker_message(text);
    if (!decoded) return decoded.error();
    ADD_FAILURE() << "was accepted: " << text;
    return {};
}

DecodeError batch_error_of(const json& message) {
    Decoder decoder;
    auto decoded = decoder.decode_orchestrator_message(message.dump());
    if (!decoded) return decoded.error();
    ADD_FAILURE() << "was accepted: " << message;
    return {};
}

json report() {
    return json::parse(to_json(testing::completed_report()));
}

json batch() {
    return json::parse(to_json(testing::batch_of_two()));
}

void expect_error(const DecodeError& error, ErrorCode code, std::string_view field) {
    EXPECT_EQ(to_text(error.code), to_text(code)) << error.field << ": " << error.message;
    EXPECT_EQ(error.field, field) << error.message;
    EXPECT_FALSE(error.message.empty());
}

TEST(DecodeErrors, AnErrorQuotesInputSoThatItCanBeStored) {
    const std::string long_type(63, 'x');  // the character behind it would be cut in two
    for (const auto& [type, quoted] :
         {std::pair<std::string, std::string>{"a\\u0000b", R"("a\u0000b")"},
          std::pair<std::string, std::string>{long_type + "é", "\"" + long_type + "\""},
          std::pair<std::string, std::string>{"a\\nb", R"("a\nb")"}}) {
        const DecodeError of_type = error_of(R"({"message_type":")" + type + "\"}");
        expect_error(of_type, ErrorCode::unknown_type, "message_type");
        EXPECT_EQ(of_type.message, quoted + " is no message of this direction");
        const DecodeError of_version =
            error_of(R"({"message_type":"goodbye","protocol_version":")" + type + "\"}");
        expect_error(of_version, ErrorCode::unsupported_version, "protocol_version");
        EXPECT_EQ(of_version.message, quoted + " is not 1.x");
    }
}

TEST(DecodeErrors, EveryRequiredFieldOfEveryMessageIsRequired) {
    Decoder decoder;
    const std::set<std::string> optional = {"protocol_version",
                                            "prefetch",
                                            "previous_sessions",
                                            "attempt",
                                            "output",
                                            "error",
                                            "session",
                                            "sent_by",
                                            "sequences",
                                            "step_ids",
                                            "total_execution_time_ms",
                                            "hello_nonce",
                                            "installation",
                                            "disconnect_grace_ms"};
    int checked = 0;
    const auto check = [&](const auto& message, auto decode) {
        const auto whole = json::parse(to_json(message));
        for (const auto& [name, value] : whole.items()) {
            const bool report_session = name == "session" && whole.contains("timestamp");
            const bool completion_session = name == "session" && whole.contains("completed_at");
            // A hello must announce it, a welcome may.
            if (name == "capacity" && whole.contains("limits")) continue;
            if (name == "session" ? report_session || completion_session
                                  : optional.contains(name) && !(name == "attempt" && whole.contains("n"))) {
                continue;
            }
            for (const bool as_null : {false, true}) {
                json partial = whole;
                if (as_null) partial[name] = nullptr;
                if (!as_null) partial.erase(name);
                const auto decoded = decode(partial.dump());
                ASSERT_FALSE(decoded) << "without " << name << ": " << partial;
                expect_error(decoded.error(), ErrorCode::missing_field, name);
                ++checked;
            }
        }
    };
    for (const auto& message : testing::worker_messages()) {
        check(message, [&](const std::string& text) { return decoder.decode_worker_message(text); });
    }
    for (const auto& message : testing::orchestrator_messages()) {
        check(message, [&](const std::string& text) { return decoder.decode_orchestrator_message(text); });
    }
    EXPECT_GT(checked, 200);
}

TEST(DecodeErrors, PathNamesTheFieldInsideListsAndObjects) {
    json message = batch();
    message["steps"][1]["metadata"]["attempt"] = 0;
    expect_error(batch_error_of(message), ErrorCode::out_of_range, "steps[1].metadata.attempt");
    message = batch();
    message["steps"][0]["metadata"].erase("created_at");
    expect_error(batch_error_of(message), ErrorCode::missing_field, "steps[0].metadata.created_at");
    message = batch();
    message["steps"][1] = 7;
    expect_error(batch_error_of(message), ErrorCode::wrong_type, "steps[1]");
    json failed = json::parse(to_json(testing::failed_report()));
    failed["error"]["retryable"] = "yes";
    expect_error(error_of(failed.dump()), ErrorCode::wrong_type, "error.retryable");
}

TEST(DecodeErrors, NumbersOutsideTheirRange) {
    json message = report();
    for (const auto& [field, bad] :
         std::vector<std::pair<std::string, json>>{{"step_id", 0},
                                                   {"step_id", -1},
                                                   {"step_id", 9223372036854775808ULL},
                                                   {"attempt", 2147483648},
                                                   {"sequence", 0},
                                                   {"sequence", 2147483648},
                                                   {"execution_time_ms", -1}}) {
        json changed = message;
        changed[field] = bad;
        expect_error(error_of(changed.dump()), ErrorCode::out_of_range, field);
    }
}

TEST(DecodeErrors, NumbersOfTheWrongForm) {
    for (const std::string bad : {"37.0", "1e3", "37.5", "\"37\"", "true", "[]", "{}"}) {
        std::string text = to_json(testing::completed_report());
        const std::string good = "\"execution_time_ms\":37";
        text.replace(text.find(good), good.size(), "\"execution_time_ms\":" + bad);
        expect_error(error_of(text), ErrorCode::wrong_type, "execution_time_ms");
    }
    std::string negative_zero = to_json(testing::completed_report());
    negative_zero.replace(negative_zero.find("\"execution_time_ms\":37"), 22, "\"execution_time_ms\":-0");
    Decoder decoder;
    EXPECT_TRUE(decoder.decode_worker_message(negative_zero));
}

TEST(DecodeErrors, RetryAfterMustBeFiniteAndNotNegative) {
    for (const std::string bad : {"-0.5", "1e400", "-1e400"}) {
        PartialResult failed = testing::failed_report();
        failed.error_json = R"({"message":"m","error_type":"E","retry_after_seconds":)" + bad + "}";
        expect_error(error_of(to_json(failed)), ErrorCode::out_of_range, "error.retry_after_seconds");
    }
    PartialResult failed = testing::failed_report();
    failed.error_json = R"({"message":"m","error_type":"E","retry_after_seconds":1e-400})";
    const auto read = Decoder{}.decode_worker_message(to_json(failed));
    ASSERT_TRUE(read);
    EXPECT_EQ(std::get<PartialResult>(*read).error->retry_after_seconds, 0.0);
}

TEST(DecodeErrors, ABacktraceIsAListOfText) {
    for (const std::string bad : {R"("a.rb:1")", R"({"0":"a.rb:1"})", "7"}) {
        PartialResult failed = testing::failed_report();
        failed.error_json = R"({"message":"m","error_type":"E","backtrace":)" + bad + "}";
        expect_error(error_of(to_json(failed)), ErrorCode::wrong_type, "error.backtrace");
    }
    for (const std::string bad : {"7", "null", "[]"}) {
        PartialResult failed = testing::failed_report();
        failed.error_json = R"({"message":"m","error_type":"E","backtrace":["a.rb:1",)" + bad + "]}";
        expect_error(error_of(to_json(failed)), ErrorCode::wrong_type, "error.backtrace[1]");
    }
}

TEST(DecodeErrors, IdsSessionsTimesAndNames) {
    const std::vector<std::pair<std::string, std::string>> bad = {
        {"batch_id", "batch-17"},
        {"batch_id", ""},
        {"batch_id", "0198c5a4_7d1e-7c3a-9f10-2b6d5e4f3a21"},
        {"batch_id", "0198c5a4-7d1e-7c3a-9f10-2b6d5e4f3a2g"},
        {"session", "00FF12AB34CD56EF"},
        {"session", "00ff12ab34cd56e"},
        {"sent_by", "00ff12ab34cd56ef0"},
        {"worker_id", ""},
        {"worker_id", std::string("a\0b", 3)},
        {"status", "done"},
        {"timestamp", ""},
        {"timestamp", "2026-03-01"},
        {"timestamp", "0000-03-01T12:00:00Z"},
        {"timestamp", "2026-03-01T12:00:00"},
        {"timestamp", "2026-03-01 12:00:00Z"},
        {"timestamp", "2026-13-01T12:00:00Z"},
        {"timestamp", "2026-02-29T12:00:00Z"},
        {"timestamp", "2026-03-01T24:00:00Z"},
        {"timestamp", "2026-03-01T12:60:00Z"},
        {"timestamp", "2026-03-01T12:00:61Z"},
        {"timestamp", "2026-03-01T12:00:00.Z"},
        {"timestamp", "2026-03-01T12:00:00.1234567890Z"},
        {"timestamp", "2026-03-01T12:00:00+24:00"},
        {"timestamp", "2026-03-01T12:00:00+0200"},
        {"timestamp", "0000-03-01T12:00:00Z"},
        {"timestamp", "-026-03-01T12:00:00Z"}};
    for (const auto& [field, value] : bad) {
        json message = report();
        message[field] = value;
        expect_error(error_of(message.dump()), ErrorCode::out_of_range, field);
    }
}

TEST(DecodeErrors, TimesThatAreFine) {
    Decoder decoder;
    for (const std::string good : {"2026-03-01T12:00:00Z", "2028-02-29T23:59:60.5+02:00",
                                   "2000-02-29t00:00:00z", "9999-12-31T00:00:00.999999999-23:59"}) {
        json message = report();
        message["timestamp"] = good;
        EXPECT_TRUE(decoder.decode_worker_message(message.dump())) << good;
    }
}

TEST(DecodeErrors, HalfASurrogatePairIsNoText) {
    for (const std::string half : {"\\ud800", "\\udc00", "\\ud800x", "\\ud800\\u0041", "\\ud83d\\ud83d"}) {
        std::string text = to_json(testing::completed_report());
        text.replace(text.find("\"worker_id\":\"w\""), 15, "\"worker_id\":\"" + half + "\"");
        expect_error(error_of(text), ErrorCode::kInvalidUtf8, "worker_id");
    }
}

TEST(DecodeErrors, Types) {
    expect_error(error_of("[]"), ErrorCode::wrong_type, "");
    expect_error(error_of("\"partial_result\""), ErrorCode::wrong_type, "");
    expect_error(error_of(" null "), ErrorCode::wrong_type, "");
    expect_error(error_of("{}"), ErrorCode::missing_field, "message_type");
    expect_error(error_of(R"({"message_type":7})"), ErrorCode::wrong_type, "message_type");
    expect_error(error_of(R"({"message_type":null})"), ErrorCode::missing_field, "message_type");
    for (const char* type : {"", "finished", "partialResult", "PARTIAL_RESULT", "Partial_Result",
                             "partial result", "welcome", "StepBatchRequest", "hello "}) {
        json message = report();
        message["message_type"] = type;
        expect_error(error_of(message.dump()), ErrorCode::unknown_type, "message_type");
    }
}

TEST(DecodeErrors, Versions) {
    for (const char* version : {"2.0", "0.9", "1", "1.", "1.x", "10.0", "", "1.0.0", " 1.0", "v1.0"}) {
        json message = report();
        message["protocol_version"] = version;
        expect_error(error_of(message.dump()), ErrorCode::unsupported_version, "protocol_version");
    }
    json message = report();
    message["protocol_version"] = 1.0;
    expect_error(error_of(message.dump()), ErrorCode::wrong_type, "protocol_version");
    // A later version may well have types that this one does not know: the version is the better answer.
    expect_error(error_of(R"({"protocol_version":"2.0","message_type":"novelty"})"),
                 ErrorCode::unsupported_version, "protocol_version");
    expect_error(error_of(R"({"protocol_version":"2.0"})"), ErrorCode::unsupported_version,
                 "protocol_version");
}

TEST(DecodeErrors, SizeLimitIsExact) {
    const std::string text = to_json(testing::completed_report());
    Decoder fits(DecodeLimits{.message_bytes = text.size()});
    EXPECT_TRUE(fits.decode_worker_message(text));
    Decoder tight(DecodeLimits{.message_bytes = text.size() - 1});
    const auto decoded = tight.decode_worker_message(text);
    ASSERT_FALSE(decoded);
    expect_error(decoded.error(), ErrorCode::too_large, "");
}

TEST(DecodeErrors, ADecoderIsUsableAfterEachError) {
    Decoder decoder;
    const std::string good = to_json(testing::completed_report());
    for (const std::string& bad : {std::string("{"), std::string("[]"), std::string(), good + "x",
                                   good.substr(0, 50), std::string(R"({"message_type":"hello"})")}) {
        EXPECT_FALSE(decoder.decode_worker_message(bad));
        const auto decoded = decoder.decode_worker_message(good);
        ASSERT_TRUE(decoded);
        EXPECT_EQ(std::get<PartialResult>(*decoded), testing::completed_report());
    }
}

}  // namespace
}  // namespace tasker::protocol
