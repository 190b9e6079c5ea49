#include <fmt/format.h>
#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <unordered_map>

#include "orchestrator/options/yaml/node.hpp"

namespace tasker::yaml {

namespace {

// Leaves the parser at the first thing that makes the rest of the document meaningless.
struct Refused {
    int line;
    int column;
    std::string message;
    bool may_be_syntax = false;  // yaml-cpp reports some broken flow collections as odd keys first
};

[[noreturn]] void refuse(const YAML::Mark& mark, std::string message) {
    throw Refused{mark.line + 1, mark.column + 1, std::move(message)};
}

[[noreturn]] void refuse_key(const YAML::Mark& mark) {
    throw Refused{mark.line + 1, mark.column + 1, "A key must be text.", true};
}

struct Measure {
    std::size_t nodes = 0;
    std::size_t bytes = 0;  // of texts and keys
    int depth = 0;
};

Measure measure(const YamlNode& node) {
    Measure total{1, node.text.size(), 1};
    auto add = [&total](const YamlNode& child) {
        const Measure inner = measure(child);
        total.nodes += inner.nodes;
        total.bytes += inner.bytes;
        total.depth = std::max(total.depth, inner.depth + 1);
    };
    for (const YamlNode& item : node.items) add(item);
    for (const Entry& entry : node.entries) {
        total.bytes += entry.key.size();
        add(entry.value);
    }
    return total;
}

// Builds the tree from yaml-cpp's events. A frame is an open map or sequence; its key, when one has been read
// and its value has not, waits in `key`.
class Builder : public YAML::EventHandler {
  public:
    explicit Builder(ProblemList& problems) : problems_(problems) {}

    YamlNode take() { return std::move(root_); }

    void OnDocumentStart(const YAML::Mark& mark) override {
        if (++documents_ > 1)
            refuse(mark, "A file holds exactly one YAML document, here a second one starts.");
    }
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        if (awaits_key()) refuse_key(mark);
        YamlNode node = make(YamlNode::Kind::null, mark);
        add(std::move(node), anchor);
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        const auto found = anchors_.find(anchor);
        if (found == anchors_.end()) refuse(mark, "An alias refers to a value that contains it.");
        if (awaits_key()) refuse_key(mark);
        const Measure size = measure(found->second);
        count_copy(mark, size);
        if (depth() + size.depth > kDepthMax) refuse_depth(mark);
        YamlNode copy = found->second;
        copy.line = mark.line + 1;
        copy.column = mark.column + 1;
        add(std::move(copy), YAML::NullAnchor);
    }

    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        if (value.find('\0') != std::string::npos) {
            refuse(mark, "The text holds U+0000, which PostgreSQL cannot store.");
        }
        if (awaits_key()) {
            open_.back().key = Key{value, mark.line + 1, mark.column + 1, tag != "?"};
            return;
        }
        YamlNode node = make(YamlNode::Kind::scalar, mark);
        node.quoted = is_text_tag(mark, tag);
        node.text = value;
        add(std::move(node), anchor);
    }

    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(YamlNode::Kind::sequence, mark, tag, "tag:yaml.org,2002:seq", anchor);
    }
    void OnSequenceEnd() override { close(); }

    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        open(YamlNode::Kind::map, mark, tag, "tag:yaml.org,2002:map", anchor);
    }
    void OnMapEnd() override { close(); }

  private:
    struct Key {
        std::string text;
        int line = 0;
        int column = 0;
        bool quoted = false;
    };
    struct Frame {
        YamlNode node;
        YAML::anchor_t anchor = YAML::NullAnchor;
        std::optional<Key> key;
        std::optional<Key> parent_key;
        std::vector<YamlNode> merged;  // values of `<<`, applied when the map closes
        std::unordered_map<std::string, int> lines;
    };

    static YamlNode make(YamlNode::Kind kind, const YAML::Mark& mark) {
        YamlNode node;
        node.kind = kind;
        node.line = mark.line + 1;
        node.column = mark.column + 1;
        return node;
    }

    static bool is_text_tag(const YAML::Mark& mark, const std::string& tag) {
        constexpr std::string_view prefix = "tag:yaml.org,2002:";
        if (tag == "?" || tag.empty()) return false;
        if (tag == "!" || tag == "tag:yaml.org,2002:str") return true;
        for (const std::string_view plain : {"int", "float", "bool", "null"}) {
            if (tag == std::string(prefix).append(plain)) return false;
        }
        refuse(mark, fmt::format("The tag {} is not supported.", in_quotes(tag)));
    }

    [[noreturn]] static void refuse_depth(const YAML::Mark& mark) {
        refuse(mark, fmt::format("Values are nested deeper than {} levels.", kDepthMax));
    }

    int depth() const { return static_cast<int>(open_.size()); }
    bool awaits_key() const {
        return !open_.empty() && open_.back().node.kind == YamlNode::Kind::map && !open_.back().key;
    }

    void count(const YAML::Mark& mark, std::size_t nodes) {
        nodes_ += nodes;
        if (nodes_ > kNodesMax) {
            refuse(mark, fmt::format("The file holds more than {} values, aliases expanded.", kNodesMax));
        }
    }

    void count_copy(const YAML::Mark& mark, const Measure& size) {
        count(mark, size.nodes);
        copied_bytes_ += size.bytes;
        if (copied_bytes_ > kCopiedBytesMax) {
            refuse(mark,
                   fmt::format("Anchors and aliases copy more than {} bytes of text.", kCopiedBytesMax));
        }
    }

    void open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag, std::string_view own_tag,
              YAML::anchor_t anchor) {
        if (!tag.empty() && tag != "?" && tag != "!" && tag != own_tag) {
            refuse(mark, fmt::format("The tag {} is not supported.", in_quotes(tag)));
        }
        if (awaits_key()) refuse_key(mark);
        count(mark, 1);
        if (depth() >= kDepthMax) refuse_depth(mark);
        Frame frame;
        frame.node = make(kind, mark);
        frame.anchor = anchor;
        open_.push_back(std::move(frame));
    }

    void close() {
        Frame frame = std::move(open_.back());
        open_.pop_back();
        // Merged keys come after the map's own, which win; of several merged maps the first wins.
        for (YamlNode& source : frame.merged) {
            for (Entry& entry : source.entries) {
                if (frame.lines.try_emplace(entry.key, entry.line).second) {
                    frame.node.entries.push_back(std::move(entry));
                }
            }
        }
        add(std::move(frame.node), frame.anchor);
    }

    void add(YamlNode node, YAML::anchor_t anchor) {
        if (node.kind == YamlNode::Kind::scalar || node.kind == YamlNode::Kind::null) ++nodes_;
        if (nodes_ > kNodesMax) throw Refused{node.line, node.column, "The file holds too many values."};
        if (anchor != YAML::NullAnchor) {
            YAML::Mark mark;
            mark.line = node.line - 1;
            mark.column = node.column - 1;
            count_copy(mark, measure(node));
            anchors_[anchor] = node;
        }
        if (open_.empty()) {
            root_ = std::move(node);
            return;
        }
        Frame& frame = open_.back();
        if (frame.node.kind == YamlNode::Kind::sequence) {
            frame.node.items.push_back(std::move(node));
            return;
        }
        Key key = std::move(*frame.key);
        frame.key.reset();
        if (key.text == "<<" && !key.quoted) {
            merge(frame, std::move(node));
            return;
        }
        const auto [known, is_new] = frame.lines.try_emplace(key.text, key.line);
        if (!is_new) {
            problems_.error(key.line, key.column, key.text,
                            fmt::format("The key {} is given twice in one map, first in line {}.",
                                        in_quotes(key.text), known->second));
            return;
        }
        frame.node.entries.push_back({std::move(key.text), key.line, key.column, std::move(node)});
    }

    static void merge(Frame& frame, YamlNode node) {
        const Refused wrong{node.line, node.column, "The value of '<<' must be a map or a list of maps."};
        if (node.kind == YamlNode::Kind::map) {
            frame.merged.push_back(std::move(node));
            return;
        }
        if (node.kind != YamlNode::Kind::sequence) throw wrong;
        for (YamlNode& item : node.items) {
            if (item.kind != YamlNode::Kind::map) throw wrong;
            frame.merged.push_back(std::move(item));
        }
    }

    ProblemList& problems_;
    YamlNode root_;
    std::vector<Frame> open_;
    std::map<YAML::anchor_t, YamlNode> anchors_;
    std::size_t nodes_ = 0;
    std::size_t copied_bytes_ = 0;
    int documents_ = 0;
};

// Takes all events and keeps none: parsing with it tells only whether the text is YAML.
class Ignore : public YAML::EventHandler {
  public:
    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
    void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
    void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
    void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                         YAML::EmitterStyle::value) override {}
    void OnSequenceEnd() override {}
    void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                    YAML::EmitterStyle::value) override {}
    void OnMapEnd() override {}
};

// Parses the whole text into `handler`; false when it holds no document.
bool run_parser(std::string_view text, YAML::EventHandler& handler) {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(handler)) return false;
    while (parser.HandleNextDocument(handler)) {
    }
    return true;
}

void add_syntax_problem(std::string_view text, const YAML::Exception& fault, ProblemList& problems) {
    std::string message = fmt::format("Malformed YAML: {}.", fault.msg);
    std::istringstream lines{std::string(text)};
    std::string line;
    for (int number = 0; number <= fault.mark.line && std::getline(lines, line); ++number) {
    }
    // The likeliest mistake: an unquoted ${NAME} inside { } or [ ], where YAML sees another map.
    if (line.find("${") != std::string::npos) message += " Inside { } and [ ] write \"${NAME}\" in quotes.";
    problems.error(fault.mark.line + 1, fault.mark.column + 1, "", std::move(message));
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
    const auto found =
        std::find_if(entries.begin(), entries.end(), [key](const Entry& entry) { return entry.key == key; });
    return found == entries.end() ? nullptr : &found->value;
}

YamlNode* YamlNode::find(std::string_view key) {
    return const_cast<YamlNode*>(std::as_const(*this).find(key));
}

std::size_t find_invalid_utf8(std::string_view text) {
    std::size_t at = 0;
    auto byte = [&text](std::size_t index) { return static_cast<unsigned char>(text[index]); };
    while (at < text.size()) {
        const unsigned char lead = byte(at);
        if (lead < 0x80) {
            ++at;
            continue;
        }
        const std::size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                                   : (lead & 0xF0) == 0xE0        ? 3
                                   : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                                  : 0;
        if (length == 0 || at + length > text.size()) return at;
        for (std::size_t next = 1; next < length; ++next) {
            if ((byte(at + next) & 0xC0) != 0x80) return at;
        }
        // Overlong forms, surrogates and values above U+10FFFF show in the second byte.
        const unsigned char second = byte(at + 1);
        if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
            (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) {
            return at;
        }
        at += length;
    }
    return std::string_view::npos;
}

std::optional<YamlNode> parse(std::string_view text, ProblemList& problems) {
    if (text.size() > kFileBytesMax) {
        problems.error(0, 0, "", fmt::format("The file is larger than {} bytes.", kFileBytesMax));
        return std::nullopt;
    }
    if (const std::size_t bad = find_invalid_utf8(text); bad != std::string_view::npos) {
        const std::string_view before = text.substr(0, bad);
        const auto line = 1 + static_cast<int>(std::count(before.begin(), before.end(), '\n'));
        const std::size_t start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
        problems.error(line, static_cast<int>(bad - start) + 1, "", "The file is not valid UTF-8 here.");
        return std::nullopt;
    }
    Builder builder(problems);
    const bool had_errors = problems.has_errors();
    try {
        if (!run_parser(text, builder)) {
            problems.error(1, 1, "", "The file is empty.");
            return std::nullopt;
        }
    } catch (const Refused& refused) {
        try {
            Ignore ignore;
            if (refused.may_be_syntax) run_parser(text, ignore);
            problems.error(refused.line, refused.column, "", refused.message);
        } catch (const YAML::Exception& fault) {
            add_syntax_problem(text, fault, problems);
        }
    } catch (const YAML::Exception& fault) {
        add_syntax_problem(text, fault, problems);
    }
    if (problems.has_errors() && !had_errors) return std::nullopt;
    return builder.take();
}

std::optional<YamlNode> parse_file(ProblemList& problems) {
    std::error_code status;
    if (std::filesystem::is_directory(problems.file(), status)) {
        problems.error(0, 0, "", "This is a directory, a YAML file is expected.");
        return std::nullopt;
    }
    errno = 0;
    std::ifstream stream(problems.file(), std::ios::binary);
    if (!stream) {
        problems.error(0, 0, "", fmt::format("The file cannot be read: {}.", std::strerror(errno)));
        return std::nullopt;
    }
    std::string text;
    std::array<char, 64UL * 1024> chunk{};
    // One chunk more than allowed is enough for parse() to see that the file is too big.
    while (text.size() <= kFileBytesMax && (stream.read(chunk.data(), chunk.size()) || stream.gcount() > 0)) {
        text.append(chunk.data(), static_cast<std::size_t>(stream.gcount()));
    }
    if (stream.bad()) {
        problems.error(0, 0, "", "The file cannot be read: input error.");
        return std::nullopt;
    }
    return parse(text, problems);
}

}  // namespace tasker::yaml
