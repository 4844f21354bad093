/* SHA-256 and HMAC-SHA256 over OpenSSL's block functions.
 *
 * HMAC(k, m) = H(k ^ opad . H(k ^ ipad . m)). Both key blocks are hashed once when the key is
 * set; signing copies the two states, which are plain structs. The EVP interface would allocate
 * for each copy: three allocations per request, for every request. The SHA256_* functions are
 * marked deprecated in OpenSSL 3 but belong to its stable ABI; the unit test pins RFC vectors. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/crypto.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"

STATIC_ASSERT(CRYPTO_SHA256_SIZE == SHA256_DIGEST_LENGTH, "digest size");

struct crypto_hmac {
    SHA256_CTX inner; /* has eaten key ^ ipad */
    SHA256_CTX outer; /* has eaten key ^ opad */
};

static void feed(SHA256_CTX *ctx, const void *p, size_t n)
{
    int rc = n > 0 ? SHA256_Update(ctx, p, n) : 1;
    ASSERT(rc == 1);
}

static void start(SHA256_CTX *ctx)
{
    int rc = SHA256_Init(ctx);
    ASSERT(rc == 1);
}

static void finish(SHA256_CTX *ctx, uint8_t ret[CRYPTO_SHA256_SIZE])
{
    int rc = SHA256_Final(ret, ctx);
    ASSERT(rc == 1);
}

struct crypto_hmac *crypto_hmac_new(struct str key)
{
    uint8_t block[SHA256_CBLOCK] = {0};
    if (key.n > sizeof(block)) {
        crypto_sha256(key, block);
    } else if (key.n > 0) {
        memcpy(block, key.p, key.n);
    }
    struct crypto_hmac *h = MEM_NEW(struct crypto_hmac);
    for (size_t i = 0; i < sizeof(block); i++) {
        block[i] ^= 0x36;
    }
    start(&h->inner);
    feed(&h->inner, block, sizeof(block));
    for (size_t i = 0; i < sizeof(block); i++) {
        block[i] ^= 0x36 ^ 0x5c;
    }
    start(&h->outer);
    feed(&h->outer, block, sizeof(block));
    OPENSSL_cleanse(block, sizeof(block));
    return h;
}

void crypto_hmac_free(struct crypto_hmac *h)
{
    mem_free_secret(h, sizeof(*h));
}

void crypto_hmac_sign(const struct crypto_hmac *h, struct str data, uint8_t ret[CRYPTO_SHA256_SIZE])
{
    uint8_t digest[CRYPTO_SHA256_SIZE];
    SHA256_CTX ctx = h->inner;
    feed(&ctx, data.p, data.n);
    finish(&ctx, digest);
    ctx = h->outer;
    feed(&ctx, digest, sizeof(digest));
    finish(&ctx, ret);
    OPENSSL_cleanse(&ctx, sizeof(ctx));
}

void crypto_sha256(struct str data, uint8_t ret[CRYPTO_SHA256_SIZE])
{
    SHA256_CTX ctx;
    start(&ctx);
    feed(&ctx, data.p, data.n);
    finish(&ctx, ret);
}
