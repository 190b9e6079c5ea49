// Brings the layer of functions and views into force, or takes it away: one transaction, whole or not at all.
//
// PostgreSQL itself says what the new files make. They first run in a transaction that is rolled back, with
// the recorded objects out of the way; comparing what then stands in the catalogue with what stood there
// before shows which recorded objects are gone, and which changed in a way that CREATE OR REPLACE refuses
// (result type, parameter names, columns of a view, a type). Only those are dropped, and what depends on them
// inside the layer. What depends on them outside of it is somebody else's: then nothing is changed. All
// others are replaced and keep their grants; an object that had to be made anew under the same name and
// argument list gets back those it had.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "orchestrator/postgres/connection.hpp"
#include "orchestrator/postgres/layer.hpp"
#include "orchestrator/postgres/layer_objects.hpp"

namespace tasker::postgres {

/// Why a migration was refused or failed, in words, and what to do about it (may be empty).
struct MigrationProblem {
    std::string message;
    std::string advice;
};

/// The caller holds the migrators' lock and has made the migrator's tables. Throws DatabaseError only when
/// the database itself is lost.
class LayerApplier {
  public:
    explicit LayerApplier(Connection& connection) : connection_(connection) {}

    /// Runs all files of `layer`, drops what is no longer in it, and records the result.
    std::optional<MigrationProblem> apply(const Layer& layer);
    /// Drops all recorded objects.
    std::optional<MigrationProblem> drop();

  private:
    using Files = std::vector<LayerFile>;
    using Keys = std::set<ObjectKey>;
    /// What the files make: the objects, each with its file, in the order in which they were made.
    struct Made {
        std::vector<RecordedObject> objects;
        Catalogue catalogue;
    };

    Transaction begin();
    Made rehearse(const Files& files);
    Keys find_obsolete(const Made& next);
    void add_dependents(Keys& obsolete);
    void replace(const Files& files, const Made& next, const Keys& obsolete, const Layer& layer);
    Made run(Transaction& transaction, const Files& files, const Made& next, const Keys& obsolete);

    Connection& connection_;
    // Recorded objects that are still there, in the order in which they were made.
    std::vector<ObjectKey> standing_;
    Catalogue before_;
};

}  // namespace tasker::postgres
