/* TLS 1.3 for links by OpenSSL, over a BIO of our own that reads the bytes just received where they
 * lie and writes into the link's buffer: one copy less each way than a pair of memory BIOs.
 *
 * A server without certificates can only answer a client that holds the key. A client could be lured
 * into a handshake with a certificate instead: it verifies against no authority at all, and both
 * sides look once more that the pre-shared key was what they agreed on. */
#include "net/link_tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "base/crypto.h"
#include "base/mem.h"

uint64_t link_tls_rekey_size = (uint64_t)1 << 34;

static const char identity[] = "holdfast-link-1";
static const unsigned char suite[] = {0x13, 0x01}; /* TLS_AES_128_GCM_SHA256 */

struct link_tls_ctx {
    SSL_CTX *ssl_ctx;
    BIO_METHOD *method;
    uint8_t key[CRYPTO_SHA256_SIZE]; /* of the suite's hash */
};

struct link_tls {
    SSL *ssl;
    struct link_tls_ctx *ctx;
    struct buf *sealed;
    struct str received;  /* not read yet; set during link_tls_receive only */
    uint64_t sealed_size; /* under the present keys */
    bool is_ready;
    char why[160];
};

/* --- the two ends of the BIO -------------------------------------------------------------------- */

static int on_bio_read(BIO *bio, char *p, size_t n, size_t *ret)
{
    struct link_tls *t = (struct link_tls *)BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (t->received.n == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    *ret = n < t->received.n ? n : t->received.n;
    memcpy(p, t->received.p, *ret);
    t->received = str_slice(t->received, *ret, t->received.n);
    return 1;
}

static int on_bio_write(BIO *bio, const char *p, size_t n, size_t *ret)
{
    struct link_tls *t = (struct link_tls *)BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    buf_add(t->sealed, p, n);
    if (!buf_ok(t->sealed)) {
        return 0;
    }
    *ret = n;
    return 1;
}

static long on_bio_ctrl(BIO *bio, int cmd, long num, void *arg)
{
    UNUSED(bio);
    UNUSED(num);
    UNUSED(arg);
    return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

/* --- the key -------------------------------------------------------------------------------------- */

/* A new one each time: OpenSSL writes a connection's secrets into it. */
static SSL_SESSION *new_session(SSL *ssl)
{
    struct link_tls *t = (struct link_tls *)SSL_get_app_data(ssl);
    SSL_SESSION *ret = SSL_SESSION_new();
    bool ok = ret != NULL &&
              SSL_SESSION_set1_master_key(ret, t->ctx->key, sizeof(t->ctx->key)) == 1 &&
              SSL_SESSION_set_cipher(ret, SSL_CIPHER_find(ssl, suite)) == 1 &&
              SSL_SESSION_set_protocol_version(ret, TLS1_3_VERSION) == 1;
    ASSERT(ok);
    return ret;
}

static int on_use_key(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *id_size,
                      SSL_SESSION **session)
{
    UNUSED(md); /* there is one suite only */
    *id = (const unsigned char *)identity;
    *id_size = sizeof(identity) - 1;
    *session = new_session(ssl);
    return 1;
}

static int on_find_key(SSL *ssl, const unsigned char *id, size_t id_size, SSL_SESSION **session)
{
    bool is_known = str_eq(str_make(id, id_size), STR("holdfast-link-1"));
    *session = is_known ? new_session(ssl) : NULL;
    return 1;
}

struct link_tls_ctx *link_tls_ctx_new(struct str secret)
{
    struct link_tls_ctx *c = MEM_NEW(struct link_tls_ctx);
    struct crypto_hmac *hmac = crypto_hmac_new(secret);
    crypto_hmac_sign(hmac, STR("holdfast link tls psk 1"), c->key);
    crypto_hmac_free(hmac);
    c->ssl_ctx = SSL_CTX_new(TLS_method());
    bool ok = c->ssl_ctx != NULL &&
              SSL_CTX_set_min_proto_version(c->ssl_ctx, TLS1_3_VERSION) == 1 &&
              SSL_CTX_set_ciphersuites(c->ssl_ctx, "TLS_AES_128_GCM_SHA256") == 1 &&
              SSL_CTX_set_num_tickets(c->ssl_ctx, 0) == 1;
    ASSERT(ok);
    SSL_CTX_set_session_cache_mode(c->ssl_ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(c->ssl_ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_psk_use_session_callback(c->ssl_ctx, on_use_key);
    SSL_CTX_set_psk_find_session_callback(c->ssl_ctx, on_find_key);
    c->method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "link");
    ok = c->method != NULL && BIO_meth_set_read_ex(c->method, on_bio_read) == 1 &&
         BIO_meth_set_write_ex(c->method, on_bio_write) == 1 &&
         BIO_meth_set_ctrl(c->method, on_bio_ctrl) == 1;
    ASSERT(ok);
    return c;
}

void link_tls_ctx_free(struct link_tls_ctx *c)
{
    if (c == NULL) {
        return;
    }
    SSL_CTX_free(c->ssl_ctx);
    BIO_meth_free(c->method);
    explicit_bzero(c->key, sizeof(c->key));
    mem_free(c);
}

/* --- one connection --------------------------------------------------------------------------------- */

static void say_why(struct link_tls *t)
{
    unsigned long first = ERR_peek_error();
    int reason = ERR_GET_REASON(first);
    const char *text = ERR_reason_error_string(first);
    if (reason == SSL_R_BINDER_DOES_NOT_VERIFY) {
        text = "the peer holds another secret";
    } else if (reason == SSL_R_TLSV1_ALERT_DECRYPT_ERROR ||
               reason == SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER) {
        text = "the peer refuses our key: it holds another secret";
    }
    (void)snprintf(t->why, sizeof(t->why), "TLS: %s", text != NULL ? text : "broken");
    ERR_clear_error();
}

static enum link_tls_outcome outcome_of(struct link_tls *t, int rc)
{
    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        ERR_clear_error();
        return LINK_TLS_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return LINK_TLS_CLOSED;
    default:
        say_why(t);
        return LINK_TLS_BROKEN;
    }
}

static enum link_tls_outcome handshake(struct link_tls *t)
{
    int rc = SSL_do_handshake(t->ssl);
    if (rc != 1) {
        return outcome_of(t, rc);
    }
    if (SSL_session_reused(t->ssl) != 1) {
        (void)snprintf(t->why, sizeof(t->why), "TLS: the peer did not prove the key");
        return LINK_TLS_BROKEN;
    }
    t->is_ready = true;
    return LINK_TLS_MORE;
}

struct link_tls *link_tls_new(struct link_tls_ctx *ctx, enum link_role role, struct buf *sealed)
{
    struct link_tls *t = MEM_NEW(struct link_tls);
    t->ctx = ctx;
    t->sealed = sealed;
    t->ssl = SSL_new(ctx->ssl_ctx);
    BIO *bio = BIO_new(ctx->method);
    ASSERT(t->ssl != NULL && bio != NULL); /* only for want of memory */
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_app_data(t->ssl, t);
    if (role == LINK_ROLE_DIALLER) {
        SSL_set_verify(t->ssl, SSL_VERIFY_PEER, NULL); /* against nothing: see above */
        SSL_set_connect_state(t->ssl);
        enum link_tls_outcome outcome = handshake(t);
        ASSERT(outcome == LINK_TLS_MORE); /* its hello waits for an answer */
    } else {
        SSL_set_accept_state(t->ssl);
    }
    return t;
}

void link_tls_free(struct link_tls *t)
{
    if (t != NULL) {
        SSL_free(t->ssl);
        mem_free(t);
    }
}

enum link_tls_outcome link_tls_receive(struct link_tls *t, struct str received, struct buf *in)
{
    t->received = received;
    enum link_tls_outcome ret = LINK_TLS_MORE;
    if (!t->is_ready) {
        ret = handshake(t);
    }
    while (ret == LINK_TLS_MORE && t->is_ready) {
        buf_reserve(in, LINK_TLS_RECORD_MAX);
        int n = SSL_read(t->ssl, in->p + in->n, LINK_TLS_RECORD_MAX);
        if (n <= 0) {
            ret = outcome_of(t, n);
            break;
        }
        in->n += (size_t)n;
    }
    ASSERT(ret != LINK_TLS_MORE || t->received.n == 0);
    t->received = STR_NONE;
    return ret;
}

bool link_tls_is_ready(const struct link_tls *t)
{
    return t->is_ready;
}

bool link_tls_seal(struct link_tls *t, struct str plain)
{
    ASSERT(t->is_ready && plain.n > 0);
    if (t->sealed_size >= link_tls_rekey_size) {
        t->sealed_size = 0;
        if (SSL_key_update(t->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1) {
            say_why(t);
            return false;
        }
    }
    buf_reserve(t->sealed, plain.n + plain.n / 512 + 256); /* records add 22 bytes in 16 KiB */
    size_t done = 0;
    if (SSL_write_ex(t->ssl, plain.p, plain.n, &done) != 1 || done != plain.n) {
        say_why(t);
        return false;
    }
    t->sealed_size += plain.n;
    return true;
}

const char *link_tls_why(const struct link_tls *t)
{
    return t->why;
}
