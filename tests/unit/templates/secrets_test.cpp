// What looks like a secret in a handler_config: found by name and by form, and never shown.
#include "orchestrator/templates/secrets.hpp"

#include <gtest/gtest.h>

#include "tests/unit/templates/support.hpp"

namespace tasker::templates {
namespace {

TEST(Secrets, HaveNames) {
    for (const char* name :
         {"api_key", "apiKey", "API-KEY", "stripe_api_key", "token", "accessToken", "password", "db.password",
          "client_secret", "private_key", "SECRET", "aws_secret_access_key", "credentials"}) {
        EXPECT_TRUE(is_secret_name(name)) << name;
    }
    for (const char* name :
         {"key", "sort_key", "token_url", "max_tokens", "password_min_length", "secret_name", "tokenizer",
          "secretary", "api_key_variable", "apikeys", "", "broken"}) {
        EXPECT_FALSE(is_secret_name(name)) << name;
    }
}

TEST(Secrets, HaveForms) {
    for (const char* text :
         {"sk_live_4eC39HqLyjWDarjt", "AKIAIOSFODNN7EXAMPLE", "Bearer ghp_0123456789abcdefghijABCDEFGHIJ",
          "-----BEGIN RSA PRIVATE KEY-----\nMIIE", "-----BEGIN PRIVATE KEY-----",
          "postgresql://app:hunter2@db.example.com/shop"}) {
        EXPECT_TRUE(is_secret_text(text)) << text;
    }
    for (const char* text : {"task_live_something", "sk_live_", "AKIA", "-----BEGIN CERTIFICATE-----",
                             "https://example.com:8080/a@b", "postgresql://app@db.example.com/shop",
                             "https://example.com/?to=a:b@c", "", "hello"}) {
        EXPECT_FALSE(is_secret_text(text)) << text;
    }
}

TEST(Secrets, InAHandlerConfigWarnWithoutTheValue) {
    for (const std::string config : {"{ api_key: hunter2 }", "{ deep: { list: [ { password: hunter2 } ] } }",
                                     "{ note: sk_live_hunter2hunter2 }", "{ pin: { token: 771234 } }"}) {
        const Template loaded = load_or_fail(with_step("handler_config: " + config));
        ASSERT_EQ(loaded.warnings.size(), 1U) << config << "\n" << all_text(loaded.warnings);
        const std::string text = to_string(loaded.warnings[0]);
        EXPECT_THAT(text, ::testing::HasSubstr("t.yaml:7:"));
        EXPECT_THAT(text, ::testing::HasSubstr("Write { $secret: NAME } in its place"));
        EXPECT_THAT(text, ::testing::Not(::testing::HasSubstr("hunter2")));
        EXPECT_THAT(text, ::testing::Not(::testing::HasSubstr("771234")));
    }
    expect_warning(with_step("handler_config: { auth: { token: abc } }"), 7,
                   "step_templates[0].handler_config.auth.token", "By its name");
}

TEST(Secrets, OfVariablesAndOverridesWarnToo) {
    const Template expanded =
        load_or_fail(with_step("handler_config: { api_key: \"${KEY}\" }"), "", {{"KEY", "hunter2"}});
    ASSERT_EQ(expanded.warnings.size(), 1U);
    EXPECT_THAT(to_string(expanded.warnings[0]), ::testing::Not(::testing::HasSubstr("hunter2")));
    expect_warning(
        with_step("") +
            "environments: { test: { step_overrides: { one: { handler_config: { token: x } } } } }\n",
        7, "environments.test.step_overrides.one.handler_config.token", "By its name");
}

TEST(Secrets, AreNoTruthsEmptyTextsOrMapsOfSettings) {
    for (const std::string config :
         {"{ token: true }", "{ password: \"\" }", "{ token: ~ }", "{ password: { min_length: 8 } }",
          "{ max_tokens: 5 }", "{ token_url: \"https://example.com\" }"}) {
        EXPECT_TRUE(load_or_fail(with_step("handler_config: " + config)).warnings.empty()) << config;
    }
}

TEST(Secrets, AreNamedByReferencesWithoutAWarning) {
    for (const std::string config :
         {"{ api_key: { $secret: stripe/api_key } }", "{ keys: [ { $secret: a }, { $secret: b.pem } ] }",
          "{ $secret: all }"}) {
        const Template loaded = load_or_fail(with_step("handler_config: " + config));
        EXPECT_TRUE(loaded.warnings.empty()) << config << "\n" << all_text(loaded.warnings);
    }
    const Template loaded =
        load_or_fail(with_step("handler_config: { api_key: { $secret: stripe/api_key } }"));
    EXPECT_EQ(loaded.steps[0].handler_config["api_key"]["$secret"], "stripe/api_key") << "stored as it is";
    const auto shown =
        without_secrets(nlohmann::ordered_json::parse(R"({"api_key": {"$secret": "stripe/api_key"}})"));
    EXPECT_EQ(shown["api_key"]["$secret"], "stripe/api_key");
}

TEST(Secrets, ReferencesThatNameNothingAreRefused) {
    for (const std::string reference :
         {"{ $secret: \"\" }", "{ $secret: ../etc/passwd }", "{ $secret: a//b }", "{ $secret: /a }",
          "{ $secret: a/ }", "{ $secret: a b }", "{ $secret: [a] }", "{ $secret: ~ }",
          "{ $secret: a, plain: true }", "{ $secret: . }"}) {
        expect_refused(with_step("handler_config: { key: " + reference + " }"), 7,
                       "step_templates[0].handler_config.key.$secret",
                       "A secret reference is { $secret: NAME }");
    }
}

TEST(Secrets, AreHiddenForPeople) {
    const auto shown = without_secrets(nlohmann::ordered_json::parse(
        R"({"a": {"token": "hunter2", "n": 1}, "list": ["sk_live_4eC39HqLyjWDarjt", "b"]})"));
    EXPECT_EQ(shown.dump().find("hunter2"), std::string::npos);
    EXPECT_EQ(shown.dump().find("4eC39"), std::string::npos);
    EXPECT_EQ(shown["a"]["n"], 1);
    EXPECT_EQ(shown["list"][1], "b");
}

}  // namespace
}  // namespace tasker::templates
