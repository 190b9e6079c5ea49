#include "orchestrator/postgres/layer.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <map>
#include <optional>
#include <stdexcept>
#include <tuple>

namespace tasker::postgres {
namespace {

std::string_view file_name(std::string_view path) {
    return path.substr(path.rfind('/') + 1);
}

std::string_view stem(std::string_view path) {
    const auto name = file_name(path);
    return name.substr(0, name.rfind('.'));
}

std::string_view take_line(std::string_view& text) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return line;
}

/// The names behind `-- after:` in the leading comment.
std::vector<std::string> wanted_before(std::string_view text) {
    constexpr std::string_view kMark = "-- after:";
    std::vector<std::string> names;
    while (text.starts_with("--")) {
        auto line = take_line(text);
        if (!line.starts_with(kMark)) continue;
        line.remove_prefix(kMark.size());
        while (!line.empty()) {
            const auto end = std::min(line.find_first_of(", \t\r"), line.size());
            if (end > 0) names.emplace_back(line.substr(0, end));
            line.remove_prefix(std::min(end + 1, line.size()));
        }
    }
    return names;
}

enum class Group { types, functions, views };

/// By the first statement; nothing when the file creates nothing.
std::optional<Group> group_of(const LayerFile& file) {
    if (file.holds_types()) return Group::types;
    std::string_view text = file.text;
    while (!text.empty()) {
        const auto line = take_line(text);
        if (!line.starts_with("CREATE ")) continue;
        return line.find(" VIEW ") == std::string_view::npos ? Group::functions : Group::views;
    }
    return std::nullopt;
}

/// Puts each file behind those it waits for, and keeps the order given otherwise.
class Sorter {
  public:
    explicit Sorter(const std::vector<LayerFile>& files) : files_(files), states_(files.size()) {
        for (std::size_t i = 0; i < files.size(); ++i) places_.emplace(stem(files[i].path), i);
    }

    tl::expected<std::vector<LayerFile>, std::string> sort() {
        for (std::size_t i = 0; i < files_.size(); ++i) {
            if (!add(i)) return tl::unexpected(problem_);
        }
        return std::move(sorted_);
    }

  private:
    enum class State { waiting, begun, added };

    bool add(std::size_t place) {
        const LayerFile& file = files_[place];
        if (states_[place] == State::added) return true;
        if (states_[place] == State::begun)
            return fail(file, "waits for itself: its `-- after:` goes round in a circle");
        states_[place] = State::begun;
        for (const std::string& name : wanted_before(file.text)) {
            const auto found = places_.find(name);
            if (found == places_.end())
                return fail(file, "waits for " + name + ", which no file is named after");
            if (!add(found->second)) return false;
        }
        states_[place] = State::added;
        sorted_.push_back(file);
        return true;
    }

    bool fail(const LayerFile& file, const std::string& cause) {
        problem_ = "functions/" + file.path + " " + cause;
        return false;
    }

    const std::vector<LayerFile>& files_;
    std::vector<State> states_;
    std::map<std::string, std::size_t, std::less<>> places_;
    std::vector<LayerFile> sorted_;
    std::string problem_;
};

std::vector<LayerFile> by_path(std::vector<LayerFile> files) {
    std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
    return files;
}

}  // namespace

std::string sha256(std::string_view text) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    if (EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr) != 1) {
        throw std::runtime_error("SHA-256 is not available in this OpenSSL");
    }
    return fmt::format("{:02x}", fmt::join(digest, digest + size, ""));
}

bool LayerFile::holds_types() const {
    return file_name(path) == "types.sql";
}

std::string Layer::checksum() const {
    std::string all;
    for (const LayerFile& file : by_path(files)) {
        // Lengths keep apart what would read the same when run together.
        all += fmt::format("{} {} {}\n", file.path, file.text.size(), file.text);
    }
    return sha256(all);
}

tl::expected<std::vector<LayerFile>, std::string> Layer::in_order() const {
    std::vector<std::tuple<Group, std::string, const LayerFile*>> ranked;
    for (const LayerFile& file : files) {
        const auto group = group_of(file);
        if (!group) return tl::unexpected("functions/" + file.path + " has no line that begins with CREATE");
        ranked.emplace_back(*group, file.path, &file);
    }
    std::sort(ranked.begin(), ranked.end());
    std::vector<LayerFile> sorted;
    for (const auto& [group, path, file] : ranked) sorted.push_back(*file);
    return Sorter(sorted).sort();
}

const Layer& embedded_layer() {
    static const Layer layer = read_embedded_layer();
    return layer;
}

}  // namespace tasker::postgres
