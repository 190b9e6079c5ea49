// Template files in the newer form of Tasker's ancestors (`steps`, `handler.callable`, `dependencies`, `retry`), and
// how they read in the form of this program.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "orchestrator/options/yaml/node.hpp"
#include "orchestrator/options/yaml/problem.hpp"

namespace tasker::templates {

/// Whether the file has `steps` where this program wants `step_templates`.
bool is_newer_form(const yaml::YamlNode& root);

/// How the problem of such a file reads: what it is, the keys to write instead, and the command that does it.
std::string newer_form_message(const std::string& file);

/// A converted file, and one problem for each key that has no counterpart here (empty ones and those that say what
/// is so anyway are dropped). ${VAR} stays as it is; comments are gone; `metadata` becomes a comment.
struct Conversion {
    std::string text;
    std::vector<yaml::Problem> left_out;
};

/// Converts a text of the newer form. Anything else comes back as problems: malformed YAML, another form.
tl::expected<Conversion, std::vector<yaml::Problem>> convert_template_text(std::string_view text,
                                                                           const std::string& source);

/// The same for a file.
tl::expected<Conversion, std::vector<yaml::Problem>> convert_template_file(const std::filesystem::path& path);

}  // namespace tasker::templates
