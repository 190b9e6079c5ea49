// Internal to the context validator: a JSON Schema whose keywords are known to have the right form.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "orchestrator/templates/exact_json.hpp"
#include "orchestrator/templates/pattern.hpp"
#include "orchestrator/templates/schema_keywords.hpp"

namespace tasker::templates {

/// Holds the schema, its patterns and where its references lead. Never changes once built; threads may share it.
class CompiledSchema {
  public:
    /// `schema` is an object. @throws std::invalid_argument naming the keyword that has no usable value.
    explicit CompiledSchema(ExactJson schema);
    CompiledSchema(const CompiledSchema&) = delete;
    CompiledSchema& operator=(const CompiledSchema&) = delete;

    const ExactJson& root() const { return root_; }
    bool has_patterns() const { return !patterns_.empty(); }
    const Pattern& pattern(const std::string& text) const { return patterns_.at(text); }
    /// The schema that the value of this $ref leads to.
    const ExactJson& target(const ExactJson& reference) const { return *targets_.at(&reference); }

  private:
    struct Place {
        const ExactJson* value;
        std::string path;
    };

    void schema(const Place& place);
    void keyword(Keyword kind, const Place& place);
    void schema_list(const Place& place);
    void schema_map(Keyword kind, const Place& place);
    void names(const Place& place) const;
    void reference(const Place& place);
    void add_pattern(const std::string& text, const std::string& path);

    ExactJson root_;
    std::map<std::string, Pattern> patterns_;
    std::unordered_map<const ExactJson*, const ExactJson*> targets_;
    std::unordered_set<const ExactJson*> seen_;
    std::vector<Place> waiting_;
};

/// The value of minLength, maxItems and the like.
std::size_t count_of(const ExactJson& value);

}  // namespace tasker::templates
