#include "orchestrator/postgres/layer_applier.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

namespace tasker::postgres {
namespace {

constexpr const char* kDependentsExist = "2BP01";
constexpr const char* kLockNotAvailable = "55P03";
constexpr const char* kLockTimeout = "5s";

/// A file that could not be run: what the server said, or what is wrong with it.
struct BadFile {
    std::string message;
};

/// Runs `action`; what fails in it becomes a problem, except a lost connection.
std::optional<MigrationProblem> as_problem(const std::function<void()>& action) {
    const char* const kNothingLeft =
        "nothing of it is left in the database; what was in force before still is";
    try {
        action();
        return std::nullopt;
    } catch (const BadFile& bad) {
        return MigrationProblem{"the functions and views were not replaced: " + bad.message, kNothingLeft};
    } catch (const DatabaseError& error) {
        if (error.connection_is_gone()) throw;
        const std::string message = std::string("the functions and views were not replaced: ") + error.what();
        if (error.sqlstate() == kLockNotAvailable) {
            return MigrationProblem{
                fmt::format("{} (waited {})", message, kLockTimeout),
                "nothing was changed; some session holds a table or view of Tasker in an open transaction: find "
                "it in pg_locks and pg_stat_activity, end it or wait for it, and migrate again"};
        }
        if (error.sqlstate() != kDependentsExist) return MigrationProblem{message, kNothingLeft};
        return MigrationProblem{
            message, "what depends on them is not part of Tasker: drop it, migrate, and make it anew"};
    }
}

}  // namespace

Transaction LayerApplier::begin() {
    Transaction transaction = connection_.begin();
    // A body may call what a later file makes.
    transaction.execute("SET LOCAL check_function_bodies = off");
    transaction.execute("SET LOCAL client_min_messages = warning");
    // Whoever waits for an exclusive lock makes all readers behind it wait as well.
    transaction.execute(fmt::format("SET LOCAL lock_timeout = '{}'", kLockTimeout));
    return transaction;
}

std::optional<MigrationProblem> LayerApplier::apply(const Layer& layer) {
    const auto files = layer.in_order();
    if (!files) return MigrationProblem{files.error(), "mend the file and build anew; nothing was changed"};
    return as_problem([&] {
        {
            Transaction transaction = begin();
            before_ = read_catalogue(transaction);
            standing_.clear();
            for (const auto& object : read_recorded_objects(transaction)) {
                if (before_.contains(object.key)) standing_.push_back(object.key);
            }
        }
        // Where nothing stands there is nothing to compare, and the files can run at once.
        const Made next = standing_.empty() ? Made{} : rehearse(*files);
        replace(*files, next, find_obsolete(next), layer);
    });
}

LayerApplier::Made LayerApplier::rehearse(const Files& files) {
    Transaction transaction = begin();
    for (auto key = standing_.rbegin(); key != standing_.rend(); ++key) {
        // What stands outside of the layer falls with it here, and comes back with the rollback.
        transaction.execute(before_.at(*key).drop + " CASCADE");
    }
    return run(transaction, files, {}, {});
}

LayerApplier::Keys LayerApplier::find_obsolete(const Made& next) {
    Keys obsolete;
    for (const ObjectKey& key : standing_) {
        const auto found = next.catalogue.find(key);
        if (found == next.catalogue.end() || !before_.at(key).can_become(found->second, key.kind))
            obsolete.insert(key);
    }
    std::size_t size = 0;
    do {
        size = obsolete.size();
        // A file of types runs whole or not at all.
        std::set<std::string> files_to_run;
        for (const auto& object : next.objects) {
            if (object.key.kind == "type" && (!before_.contains(object.key) || obsolete.contains(object.key)))
                files_to_run.insert(object.file);
        }
        for (const auto& object : next.objects) {
            if (object.key.kind == "type" && files_to_run.contains(object.file) &&
                before_.contains(object.key))
                obsolete.insert(object.key);
        }
        add_dependents(obsolete);
    } while (size != obsolete.size());
    return obsolete;
}

void LayerApplier::add_dependents(Keys& obsolete) {
    if (obsolete.empty()) return;
    Transaction transaction = begin();
    for (const ObjectKey& key : obsolete) transaction.execute(before_.at(key).drop + " CASCADE");
    const Catalogue left = read_catalogue(transaction);
    for (const ObjectKey& key : standing_) {
        if (!left.contains(key)) obsolete.insert(key);
    }
}

void LayerApplier::replace(const Files& files, const Made& next, const Keys& obsolete, const Layer& layer) {
    Transaction transaction = begin();
    for (auto key = standing_.rbegin(); key != standing_.rend(); ++key) {
        if (obsolete.contains(*key)) transaction.execute(before_.at(*key).drop);
    }
    const Made made = run(transaction, files, next, obsolete);
    for (const ObjectKey& key : obsolete) {
        const std::string& grants = before_.at(key).grants;
        if (!grants.empty() && made.catalogue.contains(key)) transaction.execute(grants);
    }
    write_recorded_objects(transaction, made.objects, &layer);
    transaction.commit();
}

LayerApplier::Made LayerApplier::run(Transaction& transaction, const Files& files, const Made& next,
                                     const Keys& obsolete) {
    Made made;
    for (const LayerFile& file : files) {
        std::vector<RecordedObject> kept;
        if (file.holds_types()) {
            for (const auto& object : next.objects) {
                if (object.file == file.path && before_.contains(object.key) &&
                    !obsolete.contains(object.key))
                    kept.push_back(object);
            }
        }
        if (!kept.empty()) {
            for (const auto& object : kept) made.catalogue[object.key] = before_.at(object.key);
            made.objects.insert(made.objects.end(), kept.begin(), kept.end());
            continue;
        }
        try {
            transaction.execute(file.text);
        } catch (const DatabaseError& error) {
            if (error.connection_is_gone()) throw;
            throw BadFile{"functions/" + file.path + ": " + error.what()};
        }
        const auto objects_before = made.objects.size();
        for (const auto& [key, object] : read_made_objects(transaction)) {
            if (!made.catalogue.emplace(key, object).second) continue;
            made.objects.push_back({key, file.path, file.checksum()});
        }
        if (made.objects.size() == objects_before) {
            throw BadFile{"functions/" + file.path +
                          " makes no function, procedure, aggregate, view or type of its own"};
        }
    }
    return made;
}

std::optional<MigrationProblem> LayerApplier::drop() {
    return as_problem([&] {
        Transaction transaction = begin();
        const Catalogue catalogue = read_catalogue(transaction);
        const auto recorded = read_recorded_objects(transaction);
        for (auto object = recorded.rbegin(); object != recorded.rend(); ++object) {
            const auto found = catalogue.find(object->key);
            if (found != catalogue.end()) transaction.execute(found->second.drop);
        }
        write_recorded_objects(transaction, {}, nullptr);
        transaction.commit();
    });
}

}  // namespace tasker::postgres
