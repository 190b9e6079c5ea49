#include "orchestrator/postgres/layer_objects.hpp"

#include "orchestrator/postgres/array_text.hpp"
#include "orchestrator/postgres/sql.hpp"

namespace tasker::postgres {

bool CatalogueObject::can_become(const CatalogueObject& next, const std::string& kind) const {
    // A view may get more columns at its end.
    if (kind == "view") return next.signature.starts_with(signature);
    return next.signature == signature && next.defaults >= defaults;
}

namespace {

std::vector<std::pair<ObjectKey, CatalogueObject>> read_objects(Transaction& transaction,
                                                                bool only_made_now) {
    std::vector<std::pair<ObjectKey, CatalogueObject>> objects;
    for (const Row& row : transaction.query(sql::layer_objects, only_made_now)) {
        objects.push_back({{row["kind"].c_str(), row["name"].c_str(), row["arguments"].c_str()},
                           {row["signature"].c_str(), row["defaults"].as<int>(), row["drop"].c_str(),
                            row["grants"].is_null() ? "" : row["grants"].c_str()}});
    }
    return objects;
}

}  // namespace

Catalogue read_catalogue(Transaction& transaction) {
    const auto objects = read_objects(transaction, false);
    return {objects.begin(), objects.end()};
}

std::vector<std::pair<ObjectKey, CatalogueObject>> read_made_objects(Transaction& transaction) {
    return read_objects(transaction, true);
}

std::vector<RecordedObject> read_recorded_objects(Transaction& transaction) {
    std::vector<RecordedObject> objects;
    for (const Row& row : transaction.execute(sql::layer_recorded)) {
        objects.push_back({{row["kind"].c_str(), row["name"].c_str(), row["arguments"].c_str()},
                           row["file"].c_str(),
                           row["checksum"].c_str()});
    }
    return objects;
}

void write_recorded_objects(Transaction& transaction, const std::vector<RecordedObject>& objects,
                            const Layer* layer) {
    ArrayText kinds, names, arguments, files, checksums;
    for (const RecordedObject& object : objects) {
        kinds.add_text(object.key.kind);
        names.add_text(object.key.name);
        arguments.add_text(object.key.arguments);
        files.add_text(object.file);
        checksums.add_text(object.checksum);
    }
    transaction.execute(sql::layer_forget);
    transaction.query(sql::layer_record, kinds.take(), names.take(), arguments.take(), files.take(),
                      checksums.take());
    if (layer != nullptr) transaction.query(sql::layer_record_checksum, layer->checksum(), layer->version);
}

}  // namespace tasker::postgres
