/* HMAC-SHA256 and SHA-256 (OpenSSL behind it). A keyed context is made once per key and may be
 * used by any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum { CRYPTO_SHA256_SIZE = 32 };

struct crypto_hmac; /* keyed, immutable */
struct crypto_hmac *crypto_hmac_new(struct str key);
void crypto_hmac_free(struct crypto_hmac *h); /* zeroes the key */
void crypto_hmac_sign(const struct crypto_hmac *h, struct str data,
                      uint8_t ret[CRYPTO_SHA256_SIZE]);
void crypto_sha256(struct str data, uint8_t ret[CRYPTO_SHA256_SIZE]);
