// SHA-256 (FIPS 180-4) for processes that are to load no library for it.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct cdigest_sha256 {
    uint32_t state[8];
    uint64_t length; // bytes that were counted in
    uint8_t block[64];
};

void cdigest_sha256_begin(struct cdigest_sha256 *digest);
void cdigest_sha256_update(struct cdigest_sha256 *digest, const void *bytes, size_t count);
// `digest` is as it was before.
void cdigest_sha256_end(const struct cdigest_sha256 *digest, uint8_t result[32]);
