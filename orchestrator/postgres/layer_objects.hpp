// The objects that the layer consists of: as the catalogue shows them, and as the migrator has recorded them.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "orchestrator/postgres/connection.hpp"
#include "orchestrator/postgres/layer.hpp"

namespace tasker::postgres {

/// What names an object: its kind (function, procedure, aggregate, view, type, trigger), its name, and the
/// argument list that tells overloads apart (of a trigger: its table).
struct ObjectKey {
    std::string kind;
    std::string name;
    std::string arguments;

    auto tie() const { return std::tie(kind, name, arguments); }
    bool operator<(const ObjectKey& other) const { return tie() < other.tie(); }
};

/// An object that is there; the members are the columns of sql/layer_objects.sql. `grants` is empty while its
/// rights are the default ones.
struct CatalogueObject {
    std::string signature;
    int defaults = 0;
    std::string drop;
    std::string grants;

    /// Whether CREATE OR REPLACE, or for types nothing at all, leads from this to `next`.
    bool can_become(const CatalogueObject& next, const std::string& kind) const;
};
using Catalogue = std::map<ObjectKey, CatalogueObject>;

/// All objects of the schema.
Catalogue read_catalogue(Transaction& transaction);
/// Those that this transaction has made or replaced, in the order in which they were made first.
std::vector<std::pair<ObjectKey, CatalogueObject>> read_made_objects(Transaction& transaction);

/// One line of tasker_schema_objects: an object, and the file it came from with that file's checksum.
struct RecordedObject {
    ObjectKey key;
    std::string file;
    std::string checksum;
};

/// In the order in which they were made, so that the reverse takes nothing away that another one needs.
std::vector<RecordedObject> read_recorded_objects(Transaction& transaction);
/// Replaces the record. A null `layer`: none is in force.
void write_recorded_objects(Transaction& transaction, const std::vector<RecordedObject>& objects,
                            const Layer* layer);

}  // namespace tasker::postgres
