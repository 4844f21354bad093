/* SHA-256 and HMAC-SHA256 against FIPS 180-4 and RFC 4231, and use of one key by many threads. */
#include "base/crypto.h"

#include <pthread.h>

#include "base/buf.h"
#include "base/codec.h"
#include "lib/t.h"

static void eq_hex(const uint8_t digest[CRYPTO_SHA256_SIZE], const char *want)
{
    struct buf hex;
    buf_init(&hex, 100);
    codec_hex(&hex, str_make(digest, CRYPTO_SHA256_SIZE), false);
    t_eq_str(buf_str(&hex), str_of(want));
    buf_done(&hex);
}

T_TEST("SHA-256 gives the published digests")
{
    uint8_t d[CRYPTO_SHA256_SIZE];
    crypto_sha256(STR("abc"), d);
    eq_hex(d, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    crypto_sha256(STR_NONE, d);
    eq_hex(d, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void eq_hmac(struct str key, struct str data, const char *want)
{
    uint8_t d[CRYPTO_SHA256_SIZE];
    struct crypto_hmac *h = crypto_hmac_new(key);
    for (int i = 0; i < 2; i++) { /* the keyed state is not used up */
        crypto_hmac_sign(h, data, d);
        eq_hex(d, want);
    }
    crypto_hmac_free(h);
}

T_TEST("HMAC-SHA256 gives the digests of RFC 4231, with short and with long keys")
{
    char key[131];
    memset(key, 0x0b, 20);
    eq_hmac(str_make(key, 20), STR("Hi There"),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    eq_hmac(STR("Jefe"), STR("what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof(key));
    eq_hmac(str_make(key, 131), STR("Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    crypto_hmac_free(NULL);
}

static void *sign_often(void *arg)
{
    const struct crypto_hmac *h = (const struct crypto_hmac *)arg;
    uint8_t first[CRYPTO_SHA256_SIZE];
    crypto_hmac_sign(h, STR("data"), first);
    for (int i = 0; i < 2000; i++) {
        uint8_t d[CRYPTO_SHA256_SIZE];
        crypto_hmac_sign(h, STR("data"), d);
        if (memcmp(d, first, sizeof(d)) != 0) {
            return arg;
        }
    }
    return NULL;
}

T_TEST("one key signs in several threads")
{
    struct crypto_hmac *h = crypto_hmac_new(STR("key"));
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        t_eq_int(pthread_create(&threads[i], NULL, sign_often, h), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *failed = NULL;
        t_eq_int(pthread_join(threads[i], &failed), 0);
        t_check(failed == NULL);
    }
    crypto_hmac_free(h);
}

T_MAIN()
