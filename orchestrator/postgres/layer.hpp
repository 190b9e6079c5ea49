// The layer of functions and views: the files of migrations/functions, which every `tasker migrate up` brings
// into force as a whole. A file holds one function, procedure, aggregate or view, or nothing but types
// (types.sql).
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace tasker::postgres {

/// SHA-256 in hexadecimal.
std::string sha256(std::string_view text);

/// One file; `path` is relative to migrations/functions ("turn/tasker_turn.sql").
struct LayerFile {
    std::string path;
    std::string text;

    /// Holds nothing but types: CREATE TYPE cannot replace, so such a file runs only while its types are
    /// missing.
    bool holds_types() const;
    /// SHA-256 of the text.
    std::string checksum() const { return sha256(text); }
};

struct Layer {
    std::vector<LayerFile> files;
    /// The version of the program that brings it ("1.2.3"); empty: it is not compared. A layer never
    /// replaces that of a newer program.
    std::string version = {};

    /// SHA-256 over paths and texts, in the order of the paths.
    std::string checksum() const;
    /// The files as they are to run: types, then functions, procedures and aggregates, then views, each by
    /// path. A line
    /// `-- after: NAME[, NAME]` in the leading comment puts a file behind those of the objects named. The
    /// error says which file holds nothing to create, names something unknown, or waits for itself.
    tl::expected<std::vector<LayerFile>, std::string> in_order() const;
};

/// The layer this program was built with.
const Layer& embedded_layer();
/// Generated at build time from migrations/functions; use embedded_layer().
Layer read_embedded_layer();

}  // namespace tasker::postgres
