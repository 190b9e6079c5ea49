#include "orchestrator/options/yaml/write.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>
#include <vector>

namespace tasker::yaml {

namespace {

bool is_word(unsigned char letter) {
    return letter < 0x80 && (std::isalnum(letter) != 0 || letter == '_');
}

// Texts that no reader of YAML takes for anything else: 1.1 knows yes, no, on and off as well.
bool is_plain(std::string_view text) {
    static const std::vector<std::string_view> reserved{"true", "false", "null", "yes", "no", "on",
                                                        "off",  "y",     "n",    "nan", "inf"};
    if (text.empty() || text.size() > 200 || std::isalpha(static_cast<unsigned char>(text[0])) == 0)
        return false;
    std::string lower(text);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
    if (std::find(reserved.begin(), reserved.end(), lower) != reserved.end()) return false;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const auto letter = static_cast<unsigned char>(text[at]);
        if (is_word(letter) || letter == '.' || letter == '-' || letter == '/') continue;
        // A colon before a space would make a key of what stands before it.
        const bool inside = at + 1 < text.size() && text[at + 1] != ' ';
        if ((letter != ':' && letter != ' ') || !inside) return false;
    }
    return true;
}

// A text of JSON is a text in double quotes of YAML, except for control characters and line breaks beyond ASCII.
std::string quoted(const std::string& text) {
    const std::string json = nlohmann::json(text).dump();
    std::string out;
    for (std::size_t at = 0; at < json.size(); ++at) {
        const auto letter = static_cast<unsigned char>(json[at]);
        const auto next = at + 1 < json.size() ? static_cast<unsigned char>(json[at + 1]) : 0U;
        const std::string_view three = std::string_view(json).substr(at, 3);
        if (letter == 0x7F) {
            out += "\\u007f";
        } else if (letter == 0xC2 && next < 0xA0) {
            out += fmt::format("\\u{:04x}", next);
            at += 1;
        } else if (three == "\u2028" || three == "\u2029") {
            out += three == "\u2028" ? "\\u2028" : "\\u2029";
            at += 2;
        } else {
            out += json[at];
        }
    }
    return out;
}

std::string scalar(const YamlNode& node) {
    if (node.kind == YamlNode::Kind::null) return "null";
    // A plain text of several lines holds the breaks of its empty lines.
    if (!node.quoted && node.text.find('\n') == std::string::npos) return node.text;
    return is_plain(node.text) ? node.text : quoted(node.text);
}

bool is_block(const YamlNode& node) {
    return !node.items.empty() || !node.entries.empty();
}

std::string inline_text(const YamlNode& node) {
    if (node.kind == YamlNode::Kind::map) return "{}";
    return node.kind == YamlNode::Kind::sequence ? "[]" : scalar(node);
}

// The block without the indentation of its first line, which stands behind a dash where there is one.
void write(const YamlNode& node, const std::string& indent, std::string& out) {
    bool first = true;
    const auto begin_line = [&] {
        if (!first) out += indent;
        first = false;
    };
    for (const YamlNode& item : node.items) {
        begin_line();
        out += "- ";
        if (is_block(item)) {
            write(item, indent + "  ", out);
        } else {
            out += inline_text(item) + "\n";
        }
    }
    for (const Entry& entry : node.entries) {
        begin_line();
        out += (is_plain(entry.key) ? entry.key : quoted(entry.key)) + ":";
        if (is_block(entry.value)) {
            out += "\n" + indent + "  ";
            write(entry.value, indent + "  ", out);
        } else {
            out += " " + inline_text(entry.value) + "\n";
        }
    }
}

}  // namespace

std::string to_yaml(const YamlNode& node) {
    std::string out;
    write(node, "", out);
    return out;
}

YamlNode to_node(const nlohmann::ordered_json& value) {
    YamlNode node;
    if (value.is_object()) {
        node.kind = YamlNode::Kind::map;
        for (const auto& [key, inner] : value.items()) node.entries.push_back({key, 0, 0, to_node(inner)});
    } else if (value.is_array()) {
        node.kind = YamlNode::Kind::sequence;
        for (const auto& inner : value) node.items.push_back(to_node(inner));
    } else if (!value.is_null()) {
        node.kind = YamlNode::Kind::scalar;
        node.quoted = value.is_string();
        node.text = value.is_string() ? value.get<std::string>() : value.dump();
    }
    return node;
}

}  // namespace tasker::yaml
