// SHA-256 as FIPS 180-4 §6.2 has it.
#include "CDigest.h"
#include <string.h>

// Of the cube roots of the first 64 primes (§4.2.2).
static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void take_blocks(uint32_t state[8], const uint8_t *bytes, size_t blocks) {
    for (; blocks > 0; blocks--, bytes += 64) {
        uint32_t w[64];
        for (int t = 0; t < 16; t++) {
            const uint8_t *p = bytes + 4 * t;
            w[t] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        }
        for (int t = 16; t < 64; t++) {
            uint32_t x = w[t - 15], y = w[t - 2];
            w[t] = (rotate(y, 17) ^ rotate(y, 19) ^ y >> 10) + w[t - 7] + (rotate(x, 7) ^ rotate(x, 18) ^ x >> 3) + w[t - 16];
        }
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
        for (int t = 0; t < 64; t++) {
            uint32_t t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + constants[t] + w[t];
            uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
            h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e, state[5] += f, state[6] += g, state[7] += h;
    }
}

void cdigest_sha256_begin(struct cdigest_sha256 *digest) {
    // Of the square roots of the first eight primes (§5.3.3).
    static const uint32_t first[8] = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    };
    memset(digest, 0, sizeof *digest);
    memcpy(digest->state, first, sizeof first);
}

void cdigest_sha256_update(struct cdigest_sha256 *digest, const void *data, size_t count) {
    const uint8_t *bytes = data;
    size_t kept = digest->length % 64;
    digest->length += count;
    if (kept > 0) {
        size_t part = 64 - kept < count ? 64 - kept : count;
        memcpy(digest->block + kept, bytes, part);
        bytes += part, count -= part;
        if (kept + part < 64) return;
        take_blocks(digest->state, digest->block, 1);
    }
    take_blocks(digest->state, bytes, count / 64);
    if (count % 64 > 0) memcpy(digest->block, bytes + count / 64 * 64, count % 64);
}

void cdigest_sha256_end(const struct cdigest_sha256 *digest, uint8_t result[32]) {
    uint32_t state[8];
    uint8_t last[128] = {0};
    size_t kept = digest->length % 64, blocks = kept < 56 ? 1 : 2;
    memcpy(state, digest->state, sizeof state);
    memcpy(last, digest->block, kept);
    last[kept] = 0x80;
    for (int i = 0; i < 8; i++) last[blocks * 64 - 1 - i] = (uint8_t)(digest->length * 8 >> 8 * i);
    take_blocks(state, last, blocks);
    for (int i = 0; i < 32; i++) result[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}
