// From a YAML tree back to text, for files that a program writes and people read.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "orchestrator/options/yaml/node.hpp"

namespace tasker::yaml {

/// The map or list as a block of YAML, each line ended. Quoted texts stay texts, everything else is spelled as it
/// was, so parse() gives an equal tree (places aside). Comments and anchors are gone: parse() does not keep them.
std::string to_yaml(const YamlNode& node);

/// The tree of a JSON value; texts become quoted scalars where plain ones would be read as another type.
YamlNode to_node(const nlohmann::ordered_json& value);

}  // namespace tasker::yaml
