/* SHA-256 (FIPS 180-4), the hash that sha256sum prints.  Pure. */
#ifndef GUEST_SHA256_H
#define GUEST_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_HEX 65u /* 64 digits and the terminator */

struct sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes so far */
    uint8_t block[64];
};

void sha256_begin(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *bytes, size_t n);
/* The hash in hexadecimal; s is used up. */
void sha256_end(struct sha256 *s, char hex[SHA256_HEX]);

#endif
