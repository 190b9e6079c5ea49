// Internal to the schema check: the keywords that judge a value alone, without another schema.
#pragma once

#include <string>
#include <string_view>

#include "orchestrator/templates/check_work.hpp"
#include "orchestrator/templates/compiled_schema.hpp"

namespace tasker::templates {

/// `fits` is true for a value that the keyword says nothing about. `wording` continues the path: "must be at least 1".
struct Leaf {
    bool (*fits)(const CompiledSchema& schema, CheckWork& work, const ExactJson& keyword,
                 const ExactJson& value);
    std::string (*wording)(const ExactJson& keyword, const ExactJson& value);
};

/// The leaf of this name, or null.
const Leaf* find_leaf(std::string_view keyword);

}  // namespace tasker::templates
