#include "orchestrator/templates/identity.hpp"

#include <openssl/evp.h>

#include <array>
#include <stdexcept>

namespace tasker::templates {

std::string sha256_hex(std::string_view bytes) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
    unsigned int length = 0;
    if (EVP_Digest(bytes.data(), bytes.size(), hash.data(), &length, EVP_sha256(), nullptr) != 1) {
        throw std::runtime_error("OpenSSL could not compute a SHA-256 digest");
    }
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    text.reserve(std::size_t{length} * 2);
    for (unsigned int index = 0; index < length; ++index) {
        text += digits[hash[index] >> 4U];
        text += digits[hash[index] & 0x0FU];
    }
    return text;
}

std::string context_hash(const ExactJson& context) {
    return sha256_hex(context.normal_form());
}

std::string identity_scope(std::string_view namespace_name, std::string_view name) {
    return std::string(namespace_name).append("/").append(name);
}

// The two kinds share one column, so each starts with its own word.
std::string key_identity_hash(std::string_view idempotency_key) {
    return sha256_hex(std::string("key\n").append(idempotency_key));
}

std::string strict_identity_hash(const Template& definition, const ExactJson& context) {
    return sha256_hex("strict\n" + definition.full_name() + "\n" + context.normal_form());
}

}  // namespace tasker::templates
