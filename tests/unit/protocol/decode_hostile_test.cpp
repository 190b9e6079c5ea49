// Input that means harm: the decoder answers every one of them with an error or a message, and never throws.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "protocol/cpp/decode.hpp"
#include "protocol/cpp/encode.hpp"
#include "protocol/cpp/json_text.hpp"
#include "tests/unit/protocol/samples.hpp"

namespace tasker::protocol {
namespace {

ErrorCode code_of(Decoder& decoder, std::string_view text) {
    const auto decoded = decoder.decode_worker_message(text);
    if (!decoded) return decoded.error().code;
    ADD_FAILURE() << "was accepted";
    return ErrorCode::bad_frame;
}

std::string report_with_output(std::string output) {
    PartialResult report = testing::completed_report();
    report.output_json = std::move(output);
    return to_json(report);
}

std::string nested(std::size_t levels) {
    return std::string(levels, '[') + std::string(levels, ']');
}

TEST(DecodeHostile, NestingIsLimitedExactlyEvenWherePassedThroughOrIgnored) {
    Decoder decoder;
    EXPECT_TRUE(decoder.decode_worker_message(report_with_output(nested(63))));
    EXPECT_EQ(code_of(decoder, report_with_output(nested(64))), ErrorCode::too_deep);
    EXPECT_EQ(code_of(decoder, report_with_output(nested(10'000))), ErrorCode::too_deep);
    std::string unknown = to_json(testing::completed_report());
    unknown.pop_back();
    EXPECT_EQ(code_of(decoder, unknown + ",\"x\":" + nested(64) + "}"), ErrorCode::too_deep);
    EXPECT_EQ(code_of(decoder, std::string(1'000'000, '[')), ErrorCode::too_deep);
    Decoder unlimited(DecodeLimits{.depth = 1'000'000});  // the ceiling of 1024 holds all the same
    EXPECT_EQ(code_of(unlimited, nested(1025)), ErrorCode::too_deep);
}

TEST(DecodeHostile, AHundredMegabytesAreRefusedUnread) {
    Decoder decoder;
    std::string text;
    text.resize(100'000'000, '[');
    EXPECT_EQ(code_of(decoder, text), ErrorCode::too_large);
}

TEST(DecodeHostile, LargeMessagesWithinTheLimitWork) {
    Decoder decoder;
    const std::string output = "\"" + std::string(kBatchBytesMax - 1000, 'x') + "\"";
    const auto decoded = decoder.decode_worker_message(report_with_output(output));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(std::get<PartialResult>(*decoded).output_json, output);
    EXPECT_TRUE(decoder.decode_worker_message(report_with_output("1")));
}

TEST(DecodeHostile, NoNumbersBeyondJson) {
    Decoder decoder;
    for (const char* bad :
         {"NaN", "Infinity", "-Infinity", "01", "+1", ".5", "1.", "1e", "0x10", "1_000", "--1", "- 1"}) {
        EXPECT_EQ(code_of(decoder, report_with_output(bad)), ErrorCode::malformed_json) << bad;
    }
    for (const char* good : {"1e400", "-0", "0.0", "1E+5", "123456789012345678901234567890", "1e-9999"}) {
        const auto decoded = decoder.decode_worker_message(report_with_output(good));
        ASSERT_TRUE(decoded) << good;
        EXPECT_EQ(std::get<PartialResult>(*decoded).output_json, good);
    }
}

TEST(DecodeHostile, InvalidUtf8AnywhereIsRefused) {
    Decoder decoder;
    for (const std::string bad :
         {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80"}) {
        EXPECT_EQ(code_of(decoder, report_with_output("\"" + bad + "\"")), ErrorCode::kInvalidUtf8);
        EXPECT_EQ(code_of(decoder, bad), ErrorCode::kInvalidUtf8);
        std::string unknown = to_json(testing::completed_report());
        unknown.pop_back();
        unknown.append(",\"").append(bad).append("\":1}");
        EXPECT_EQ(code_of(decoder, unknown), ErrorCode::kInvalidUtf8);
    }
}

TEST(DecodeHostile, TrailingGarbageAndZeroBytes) {
    Decoder decoder;
    const std::string good = to_json(testing::completed_report());
    for (const std::string& tail :
         {std::string("x"), std::string("{}"), std::string(","), std::string(1, '\0'), good}) {
        EXPECT_EQ(code_of(decoder, good + tail), ErrorCode::malformed_json);
    }
    EXPECT_EQ(code_of(decoder, ""), ErrorCode::malformed_json);
    EXPECT_EQ(code_of(decoder, std::string(1, '\0')), ErrorCode::malformed_json);
    EXPECT_EQ(code_of(decoder, " \n"), ErrorCode::malformed_json);
}

TEST(DecodeHostile, EveryPrefixOfAMessageIsRefused) {
    Decoder decoder;
    for (const WorkerMessage& message : testing::worker_messages()) {
        const std::string text = to_json(message);
        for (std::size_t length = 0; length < text.size(); ++length) {
            ASSERT_FALSE(decoder.decode_worker_message(std::string_view(text).substr(0, length))) << length;
        }
    }
}

TEST(DecodeHostile, ManyDuplicateMembersAndLongNames) {
    Decoder decoder;
    std::string text = to_json(testing::completed_report());
    text.pop_back();
    for (int i = 0; i < 20'000; ++i) text += ",\"step_id\":" + std::to_string(i + 1);
    text += ",\"" + std::string(100'000, 'k') + "\":0}";
    const auto decoded = decoder.decode_worker_message(text);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(std::get<PartialResult>(*decoded).step_id, 20'000);
}

/// Changes, inserts, removes or repeats a few bytes.
std::string mutate(std::string text, std::mt19937& random) {
    constexpr std::string_view kBytes = "{}[]\",:\\ u-+.tnf\n\x01\xff\xc3\xa9";
    const auto below = [&](std::size_t n) {
        return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
    };
    for (std::size_t changes = 1 + below(3); changes > 0 && !text.empty(); --changes) {
        const std::size_t at = below(text.size());
        switch (below(4)) {
            case 0:
                text[at] = kBytes[below(kBytes.size())];
                break;
            case 1:
                text.insert(at, 1, kBytes[below(kBytes.size())]);
                break;
            case 2:
                text.erase(at, 1 + below(3));
                break;
            default:
                text.insert(at, text.substr(at, 1 + below(8)));
        }
    }
    return text;
}

TEST(DecodeHostile, MutatedMessagesGiveAnErrorOrAMessageThatSurvivesARoundTrip) {
    const unsigned int seed = std::random_device{}();
    RecordProperty("seed", std::to_string(seed));
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    Decoder decoder;
    std::vector<std::string> texts;
    for (const auto& message : testing::worker_messages()) texts.push_back(to_json(message));
    for (const auto& message : testing::orchestrator_messages()) texts.push_back(to_json(message));
    // nlohmann::json, the reference, refuses numbers that a double cannot hold and half surrogate pairs; both
    // are legal JSON text, so they must not be what makes the difference.
    const auto replace = [](std::string& text, std::string_view from, std::string_view to) {
        if (const auto at = text.find(from); at != std::string::npos) text.replace(at, from.size(), to);
    };
    for (std::string& text : texts) {
        replace(text, "1e-400", "0.5");
        replace(text, "\\ud83d\\ude00", "\\u0041");
    }
    int accepted = 0;
    for (int round = 0; round < 20'000; ++round) {
        const std::string text = mutate(texts[static_cast<std::size_t>(round) % texts.size()], random);
        const auto reference = nlohmann::json::accept(text);
        const auto problem = check_json(text, kJsonDepthMax);
        ASSERT_EQ(!problem, reference) << text << "\n" << (problem ? problem->message : "");
        if (const auto message = decoder.decode_worker_message(text)) {
            ++accepted;
            const auto again = decoder.decode_worker_message(to_json(*message));
            ASSERT_TRUE(again) << text;
            ASSERT_TRUE(*again == *message) << text;
        }
        if (const auto message = decoder.decode_orchestrator_message(text)) {
            ++accepted;
            const auto again = decoder.decode_orchestrator_message(to_json(*message));
            ASSERT_TRUE(again) << text;
            ASSERT_TRUE(*again == *message) << text;
        }
    }
    EXPECT_GT(accepted, 500);
}

}  // namespace
}  // namespace tasker::protocol
