#include <gtest/gtest.h>

#include "orchestrator/templates/identity.hpp"
#include "tests/unit/templates/support.hpp"

namespace tasker::templates {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

const std::string kSample =
    kHead +
    "  - { name: pay, handler_class: H, depends_on_step: check, timeout_seconds: 0.25,\n"
    "      default_retry_limit: 5, on_orphan: dead_letter, claim_first: true,\n"
    "      retry_backoff: { base_seconds: 0.1 }, max_retry_after_seconds: 7200, handler_config: { b: 1.5, a: [x, ~] } }\n"
    "  - { name: check, handler_class: G, default_retryable: false }\n"
    "schema: { type: object, required: [id] }\n"
    "identity: caller_provided\n"
    "priority: 9\n"
    "environments: { test: { step_overrides: { pay: { timeout_seconds: 7 } } } }\n";

TEST(Configuration, SpellsOutEveryValue) {
    const json configuration = to_configuration(load_or_fail(kSample));
    EXPECT_EQ(configuration, json::parse(R"({
      "name": "sample", "namespace_name": "tests", "version": "1.0.0", "description": "", "task_handler_class": "",
      "schema": {"type": "object", "required": ["id"]}, "default_dependent_system": "default",
      "identity": "caller_provided", "priority": 9,
      "step_templates": [
        {"name": "check", "description": "", "handler_class": "G", "handler_config": {}, "depends_on_steps": [],
         "default_retryable": false, "default_retry_limit": 3,
         "retry_backoff": {"base_seconds": 1.0, "multiplier": 2.0, "max_seconds": 300.0, "jitter": 0.1},
         "max_retry_after_seconds": 86400.0, "max_snoozes": 1000, "results_from": [], "timeout_seconds": 30.0, "on_orphan": "retry", "claim_first": false, "dependent_system": "default"},
        {"name": "pay", "description": "", "handler_class": "H", "handler_config": {"a": ["x", null], "b": 1.5},
         "depends_on_steps": ["check"], "default_retryable": true, "default_retry_limit": 5,
         "retry_backoff": {"base_seconds": 0.1, "multiplier": 2.0, "max_seconds": 300.0, "jitter": 0.1},
         "max_retry_after_seconds": 7200.0, "max_snoozes": 1000, "results_from": [], "timeout_seconds": 0.25, "on_orphan": "dead_letter", "claim_first": true, "dependent_system": "default"}
      ]})"));
}

TEST(Configuration, ComesBackUnchanged) {
    const Template before = load_or_fail(kSample);
    // Through text, as the database stores it.
    const auto after = from_configuration(json::parse(to_configuration(before).dump()));
    ASSERT_TRUE(after.has_value()) << after.error();
    EXPECT_EQ(after->steps, before.steps);
    EXPECT_EQ(after->schema, before.schema);
    EXPECT_EQ(after->identity, before.identity);
    EXPECT_EQ(after->priority, before.priority);
    EXPECT_EQ(after->full_name(), before.full_name());
    EXPECT_EQ(to_configuration(*after), to_configuration(before));
    EXPECT_EQ(digest(*after), digest(before));
}

TEST(Configuration, ToleratesNewKeysAndMissingOptionalOnes) {
    const auto loaded = from_configuration(json::parse(
        R"({"name":"n","namespace_name":"s","version":"1","step_templates":[{"name":"a","handler_class":"H"}],"new":1})"));
    ASSERT_TRUE(loaded.has_value()) << loaded.error();
    EXPECT_EQ(loaded->steps.at(0).retry_limit, 3);
    EXPECT_EQ(loaded->steps[0].max_retry_after_seconds, 86'400);
    EXPECT_EQ(loaded->steps[0].dependent_system, "default");
}

TEST(Configuration, NamesWhatIsWrongInAStoredOne) {
    const json good = to_configuration(load_or_fail(kSample));
    const auto error_with = [&good](const json::json_pointer& where, json value) {
        json changed = good;
        changed[where] = std::move(value);
        const auto loaded = from_configuration(changed);
        return loaded ? std::string() : loaded.error();
    };
    using Pointer = json::json_pointer;
    EXPECT_THAT(error_with(Pointer("/name"), 5), HasSubstr("name has the wrong type"));
    EXPECT_THAT(error_with(Pointer("/identity"), "odd"), HasSubstr("identity has the unknown value 'odd'"));
    EXPECT_THAT(error_with(Pointer("/step_templates"), 5), HasSubstr("step_templates is no list"));
    EXPECT_THAT(error_with(Pointer("/step_templates/1"), 5), HasSubstr("step_templates[1] is no object"));
    EXPECT_THAT(error_with(Pointer("/step_templates/1/default_retry_limit"), 2.5),
                HasSubstr("step_templates[1].default_retry_limit is no whole number"));
    EXPECT_THAT(error_with(Pointer("/step_templates/0/default_retry_limit"), 1e12),
                HasSubstr("no whole number"));
    EXPECT_THAT(error_with(Pointer("/priority"), 99999999999), HasSubstr("priority is out of range"));
    EXPECT_THAT(error_with(Pointer("/step_templates/0/on_orphan"), "x"),
                HasSubstr("on_orphan has the unknown value"));
    EXPECT_THAT(error_with(Pointer("/step_templates/0/depends_on_steps"), "x"), HasSubstr("wrong type"));
    json missing = good;
    missing["step_templates"][0].erase("handler_class");
    EXPECT_EQ(from_configuration(missing).error(), "step_templates[0].handler_class is missing");
    EXPECT_THAT(from_configuration(json(3)).error(), HasSubstr("no object"));
}

TEST(Digest, ChangesExactlyWithWhatMattersForARun) {
    const std::string before = digest(load_or_fail(kSample));
    EXPECT_EQ(before.size(), 64U);
    EXPECT_EQ(digest(load_or_fail("# a comment\n" + kSample)), before);
    EXPECT_NE(digest(load_or_fail(kSample, "test")), before) << "overrides are part of what runs";
    std::string changed = kSample;
    changed.replace(changed.find("0.25"), 4, "0.26");
    EXPECT_NE(digest(load_or_fail(changed)), before);
}

TEST(Identity, Sha256OfKnownText) {
    EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

std::string hash_of(const std::string& context) {
    return context_hash(*parse_exact_json(context, 10));
}

TEST(Identity, EqualContextsHashEqual) {
    EXPECT_EQ(hash_of(R"({"a":1,"b":[2.0,{"y":1,"x":2}]})"),
              hash_of(R"({ "b": [2, {"x":2, "y":1.0}], "a":1 })"));
    EXPECT_NE(hash_of(R"({"a":[1,2]})"), hash_of(R"({"a":[2,1]})"));
    EXPECT_NE(hash_of(R"({"a":"1"})"), hash_of(R"({"a":1})"));
    EXPECT_NE(hash_of(R"({"a":12345678901234567890123})"), hash_of(R"({"a":12345678901234567890124})"));
    EXPECT_NE(hash_of(R"({"a":0.1})"), hash_of(R"({"a":0.1000000000000000055})"));
    EXPECT_EQ(hash_of(R"({"b":1e3,"a":-0.0})"), sha256_hex(R"({"a":0,"b":1000})"));
}

TEST(Identity, KeysAndStrictIdentitiesNeverMeet) {
    const Template definition = load_or_fail(kSample);
    const ExactJson context = to_exact_json({{"id", 1}});
    EXPECT_EQ(identity_scope("fulfillment", "order"), "fulfillment/order");
    EXPECT_EQ(strict_identity_hash(definition, context),
              strict_identity_hash(definition, to_exact_json({{"id", 1.0}})));
    EXPECT_NE(strict_identity_hash(definition, context),
              strict_identity_hash(definition, to_exact_json({{"id", 2}})));
    Template newer = definition;
    newer.version = "1.0.1";
    EXPECT_NE(strict_identity_hash(definition, context), strict_identity_hash(newer, context));
    EXPECT_NE(key_identity_hash("k"), key_identity_hash("K"));
    EXPECT_NE(key_identity_hash(definition.full_name() + "\n" + context.normal_form()),
              strict_identity_hash(definition, context));
}

}  // namespace
}  // namespace tasker::templates
