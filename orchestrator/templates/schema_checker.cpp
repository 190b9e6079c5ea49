#include "orchestrator/templates/schema_checker.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "orchestrator/options/yaml/problem.hpp"
#include "orchestrator/templates/schema_leaves.hpp"

namespace tasker::templates {

namespace {

using yaml::in_quotes;

// Whole schemas within each other, whatever they apply to; bounds the stack.
constexpr int kNestingMax = 1000;

// Where a value stands; the way to it is spelled only when something is wrong there.
struct Path {
    const Path* parent = nullptr;
    const std::string* key = nullptr;
    std::size_t index = 0;

    std::string text() const {
        if (parent == nullptr) return "$";
        return parent->text() + (key != nullptr ? "." + *key : fmt::format("[{}]", index));
    }
};

class Checker {
  public:
    explicit Checker(const CompiledSchema& schema) : schema_(schema) {}

    std::vector<ContextProblem> run(const ExactJson& value) {
        apply(schema_.root(), value, {}, 0);
        return std::move(problems_);
    }

  private:
    using Handler = void (Checker::*)(const ExactJson& keyword, const ExactJson& value, const Path& path);

    void report(const Path& path, std::string message) {
        ++failures_;
        if (problems_.size() >= wanted_) return;
        ContextProblem problem{path.text(), std::move(message)};
        if (std::find(problems_.begin(), problems_.end(), problem) == problems_.end()) {
            problems_.push_back(std::move(problem));
        }
    }

    // A value may be large: its words are only looked for when somebody reads them.
    void report(const Path& path, const Leaf& leaf, const ExactJson& keyword, const ExactJson& value) {
        report(path, problems_.size() < wanted_ ? leaf.wording(keyword, value) : std::string());
    }

    // What `schema` finds wrong with the value, without reporting it; at most `wanted` problems are worded.
    std::vector<ContextProblem> try_out(const ExactJson& schema, const ExactJson& value, const Path& path,
                                        int hops, std::size_t wanted, bool& fits) {
        std::vector<ContextProblem> found;
        const std::size_t wanted_before = std::exchange(wanted_, wanted);
        const std::size_t failures_before = std::exchange(failures_, 0);
        problems_.swap(found);
        apply(schema, value, path, hops);
        problems_.swap(found);
        fits = std::exchange(failures_, failures_before) == 0;
        wanted_ = wanted_before;
        return found;
    }
    bool fits(const ExactJson& schema, const ExactJson& value, const Path& path, int hops) {
        bool good = false;
        try_out(schema, value, path, hops, 0, good);
        return good;
    }

    void apply(const ExactJson& schema, const ExactJson& value, const Path& path, int hops) {
        work_.charge(10);
        // Nobody asks for more than these.
        if (failures_ >= std::max<std::size_t>(wanted_, 1)) return;
        if (const bool* truth = schema.truth()) {
            if (!*truth) report(path, "is not allowed");
            return;
        }
        if (hops > kAppliedHopsMax || nesting_ > kNestingMax) {
            throw UncheckableValue("its parts apply each other too often");
        }
        const int hops_before = std::exchange(hops_, hops);
        ++nesting_;
        if (const ExactJson* reference = schema.find("$ref")) {
            // Draft 7: whatever stands beside a reference does not count.
            apply(schema_.target(*reference), value, path, hops + 1);
        } else {
            for (const ExactJson::Member& member : *schema.object()) {
                if (const Leaf* leaf = find_leaf(member.key)) {
                    if (!leaf->fits(schema_, work_, member.value, value))
                        report(path, *leaf, member.value, value);
                    continue;
                }
                const auto known = handlers().find(member.key);
                if (known == handlers().end()) continue;
                parent_ = &schema;
                hops_ = hops;
                (this->*known->second)(member.value, value, path);
            }
        }
        --nesting_;
        hops_ = hops_before;
    }

    bool matches(const std::string& pattern, const std::string& text) {
        work_.charge(text.size() + 10);
        return found_in(schema_.pattern(pattern), text);
    }
    void items(const ExactJson& keyword, const ExactJson& value, const Path& path) {
        if (value.list() == nullptr) return;
        const ExactJson* rest = parent_->find("additionalItems");
        for (std::size_t index = 0; index < value.list()->size(); ++index) {
            const ExactJson* schema = &keyword;
            if (keyword.list() != nullptr) {
                schema = index < keyword.list()->size() ? &(*keyword.list())[index] : rest;
            }
            if (schema != nullptr) apply(*schema, (*value.list())[index], {&path, nullptr, index}, 0);
        }
    }

    void contains(const ExactJson& keyword, const ExactJson& value, const Path& path) {
        if (value.list() == nullptr) return;
        for (std::size_t index = 0; index < value.list()->size(); ++index) {
            if (fits(keyword, (*value.list())[index], {&path, nullptr, index}, 0)) return;
        }
        report(path, "must have an item as `contains` of the schema asks for");
    }

    void required(const ExactJson& keyword, const ExactJson& value, const Path& path) {
        if (value.object() != nullptr) has_keys(keyword, value, path, "must have the key");
    }
    void has_keys(const ExactJson& names, const ExactJson& value, const Path& path, std::string_view phrase) {
        work_.charge(names.list()->size() * 5);
        for (const ExactJson& name : *names.list()) {
            if (value.find(*name.text()) == nullptr) {
                report(path, fmt::format("{} {}", phrase, in_quotes(*name.text())));
            }
        }
    }

    void properties(const ExactJson& keyword, const ExactJson& value, const Path& path) {
        if (value.object() == nullptr) return;
        work_.charge(keyword.object()->size() * 5);
        for (const ExactJson::Member& member : *keyword.object()) {
            const ExactJson* inner = value.find(member.key);
            if (inner != nullptr) apply(member.value, *inner, {&path, &member.key, 0}, 0);
        }
    }

    void pattern_properties(const ExactJson& keyword, const ExactJson& value, const Path& path) {
        if (value.object() == nullptr) return;
        for (const ExactJson::Member& member : *value.object()) {
            for (const ExactJson::Member& rule : *keyword.object()) {
                if (matches(rule.key, member.key))
                    apply(rule.value, member.value, {&path, &member.key, 0}, 0);
            }
        }
    }

    void additional_properties(const ExactJson& keyword, const ExactJson& value, const Path& path) {
        if (value.object() == nullptr) return;
        const ExactJson* named = parent_->find("properties");
        const ExactJson* patterns = parent_->find("patternProperties");
        for (const ExactJson::Member& member : *value.object()) {
            work_.charge(5);
            if (named != nullptr && named->find(member.key) != nullptr) continue;
            const auto covers = [&](const ExactJson::Member& rule) { return matches(rule.key, member.key); };
            if (patterns != nullptr &&
                std::any_of(patterns->object()->begin(), patterns->object()->end(), covers)) {
                continue;
            }
            if (keyword.truth() != nullptr && !*keyword.truth()) {
                report(path, fmt::format("has the key {}, which is not allowed", in_quotes(member.key)));
            } else {
                apply(keyword, member.value, {&path, &member.key, 0}, 0);
            }
        }
    }

    void property_names(const ExactJson& keyword, const ExactJson& value, const Path& path) {
        if (value.object() == nullptr) return;
        for (const ExactJson::Member& member : *value.object()) {
            bool good = false;
            const auto wrong = try_out(keyword, ExactJson(member.key), path, 0, 1, good);
            if (good) continue;
            report(path, fmt::format("has the key {}, which {}", in_quotes(member.key),
                                     wrong.empty() ? "is not allowed" : wrong.front().message));
        }
    }

    void dependencies(const ExactJson& keyword, const ExactJson& value, const Path& path) {
        if (value.object() == nullptr) return;
        const int hops = hops_;
        for (const ExactJson::Member& rule : *keyword.object()) {
            work_.charge(5);
            if (value.find(rule.key) == nullptr) continue;
            if (rule.value.list() != nullptr) {
                has_keys(rule.value, value, path, "must also have the key");
            } else {
                apply(rule.value, value, path, hops + 1);
            }
        }
    }

    void conditional(const ExactJson& keyword, const ExactJson& value, const Path& path) {
        const int hops = hops_;
        const ExactJson* then = parent_->find("then");
        const ExactJson* otherwise = parent_->find("else");
        const ExactJson* next = fits(keyword, value, path, hops + 1) ? then : otherwise;
        if (next != nullptr) apply(*next, value, path, hops + 1);
    }

    void all_of(const ExactJson& keyword, const ExactJson& value, const Path& path) {
        const int hops = hops_;
        for (const ExactJson& one : *keyword.list()) apply(one, value, path, hops + 1);
    }

    void any_of(const ExactJson& keyword, const ExactJson& value, const Path& path) {
        const int hops = hops_;
        for (const ExactJson& one : *keyword.list()) {
            if (fits(one, value, path, hops + 1)) return;
        }
        report_alternatives(keyword, value, path, hops);
    }

    void one_of(const ExactJson& keyword, const ExactJson& value, const Path& path) {
        const int hops = hops_;
        std::size_t count = 0;
        for (const ExactJson& one : *keyword.list()) count += fits(one, value, path, hops + 1) ? 1 : 0;
        if (count == 0) return report_alternatives(keyword, value, path, hops);
        if (count > 1) {
            report(path, fmt::format("fits {} of the schemas under `oneOf`, must fit exactly one", count));
        }
    }

    // Why each of the alternatives refuses the value, as far as somebody reads it.
    void report_alternatives(const ExactJson& keyword, const ExactJson& value, const Path& path, int hops) {
        constexpr std::size_t shown_max = 3;
        std::string why;
        const std::string here = wanted_ > 0 ? path.text() : "";
        for (std::size_t index = 0; wanted_ > 0 && index < keyword.list()->size() && index < shown_max;
             ++index) {
            bool good = false;
            const auto wrong = try_out((*keyword.list())[index], value, path, hops + 1, 1, good);
            if (wrong.empty()) continue;
            const ContextProblem& first = wrong.front();
            why += (why.empty() ? "" : ", or ") + (first.path == here ? first.message : to_string(first));
        }
        if (keyword.list()->size() > shown_max) why += ", or …";
        report(path, why.empty() ? "fits none of the alternatives" : why);
    }

    void negation(const ExactJson& keyword, const ExactJson& value, const Path& path) {
        if (fits(keyword, value, path, hops_ + 1)) report(path, "fits what `not` of the schema excludes");
    }

    static const std::map<std::string_view, Handler>& handlers() {
        static const std::map<std::string_view, Handler> all{
            {"items", &Checker::items},
            {"contains", &Checker::contains},
            {"required", &Checker::required},
            {"properties", &Checker::properties},
            {"patternProperties", &Checker::pattern_properties},
            {"additionalProperties", &Checker::additional_properties},
            {"propertyNames", &Checker::property_names},
            {"dependencies", &Checker::dependencies},
            {"if", &Checker::conditional},
            {"allOf", &Checker::all_of},
            {"anyOf", &Checker::any_of},
            {"oneOf", &Checker::one_of},
            {"not", &Checker::negation},
        };
        return all;
    }

    const CompiledSchema& schema_;
    const ExactJson* parent_ = nullptr;  // the schema whose keyword is being checked
    int hops_ = 0;                       // over schemas that apply to the same value
    int nesting_ = 0;
    CheckWork work_;
    std::size_t failures_ = 0;
    std::size_t wanted_ = kProblemsMax;
    std::vector<ContextProblem> problems_;
};

}  // namespace

std::vector<ContextProblem> check_against(const CompiledSchema& schema, const ExactJson& value) {
    return Checker(schema).run(value);
}

}  // namespace tasker::templates
