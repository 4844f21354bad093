/* Certificates of an HTTP server, for GnuTLS. net/tls checks the files (by OpenSSL, which it has for
 * other uses and whose errors it words); here they become GnuTLS's objects.
 *
 * While the new files cannot be used they are tried again at every look, and the log hears of each
 * state of them once (base/file_watch.h). */
#include "net/http_cert_int.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "base/contract.h"
#include "base/file_watch.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/tls.h"

unsigned http_cert_look_ms = HTTP_CERT_LOOK_MS;
unsigned http_cert_settle_ms = HTTP_CERT_SETTLE_MS;

struct http_cert {
    atomic_uint refs;
    gnutls_pcert_st chain[HTTP_CERT_CHAIN_MAX];
    unsigned chain_count;
    gnutls_privkey_t key;
    int64_t ends_s;
};

struct http_certs {
    char *cert_path, *key_path; /* owned */
    struct file_watch *watch;
    pthread_mutex_t lock; /* guards `current` */
    struct http_cert *current;
};

/* --- one certificate ------------------------------------------------------------------------------ */

void http_cert_unref(struct http_cert *c)
{
    if (c == NULL || atomic_fetch_sub(&c->refs, 1) > 1) {
        return;
    }
    for (unsigned i = 0; i < c->chain_count; i++) {
        gnutls_pcert_deinit(&c->chain[i]);
    }
    gnutls_privkey_deinit(c->key); /* zeroes it */
    mem_free(c);
}

void http_cert_show(const struct http_cert *c, gnutls_pcert_st **ret_chain, unsigned *ret_count,
                    gnutls_privkey_t *ret_key)
{
    *ret_chain = (gnutls_pcert_st *)(uintptr_t)c->chain; /* GnuTLS only reads it */
    *ret_count = c->chain_count;
    *ret_key = c->key;
}

static gnutls_datum_t datum_of(char *text)
{
    return (gnutls_datum_t){.data = (unsigned char *)text, .size = (unsigned)strlen(text)};
}

static enum err cert_load(const char *cert_path, const char *key_path, struct http_cert **ret,
                          struct errinfo *ei)
{
    struct tls_pair pair;
    TRY(tls_pair_load(cert_path, key_path, (int64_t)(clock_wall_ms() / 1000), &pair, ei));
    struct http_cert *c = MEM_NEW(struct http_cert);
    atomic_init(&c->refs, 1);
    c->ends_s = pair.ends_s;
    gnutls_datum_t chain = datum_of(pair.cert);
    gnutls_datum_t key = datum_of(pair.key);
    unsigned count = HTTP_CERT_CHAIN_MAX;
    enum err err = OK;
    int rc = gnutls_privkey_init(&c->key);
    ASSERT(rc == GNUTLS_E_SUCCESS); /* fails for want of memory only */
    rc = gnutls_pcert_list_import_x509_raw(c->chain, &count, &chain, GNUTLS_X509_FMT_PEM,
                                           GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);
    if (rc != GNUTLS_E_SUCCESS) {
        err = err_set(ei, ERR_CONFIG, "the certificates in %s cannot be used, at most %d: %s",
                      cert_path, HTTP_CERT_CHAIN_MAX, gnutls_strerror(rc));
    } else {
        c->chain_count = count;
        rc = gnutls_privkey_import_x509_raw(c->key, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
        if (rc != GNUTLS_E_SUCCESS) {
            err = err_set(ei, ERR_CONFIG, "the key in %s cannot be used: %s", key_path,
                          gnutls_strerror(rc));
        }
    }
    tls_pair_done(&pair);
    if (err != OK) {
        http_cert_unref(c);
        return err;
    }
    *ret = c;
    return OK;
}

/* --- the files ------------------------------------------------------------------------------------- */

static void use(struct http_certs *s, struct http_cert *fresh)
{
    (void)pthread_mutex_lock(&s->lock);
    struct http_cert *former = s->current;
    s->current = fresh;
    (void)pthread_mutex_unlock(&s->lock);
    http_cert_unref(former);
}

static bool take(void *ctx, bool is_news)
{
    struct http_certs *s = (struct http_certs *)ctx;
    struct errinfo ei = {0};
    struct http_cert *fresh = NULL;
    if (cert_load(s->cert_path, s->key_path, &fresh, &ei) == OK) {
        LOG_INFO("http", "certificate", "file=%s days_left=%lld", s->cert_path,
                 (long long)((fresh->ends_s - (int64_t)(clock_wall_ms() / 1000)) / 86400));
        use(s, fresh);
        return true;
    }
    if (is_news) {
        LOG_ERROR("http", "certificate_refused", "why=%s hint=%s", ei.message,
                  "the former certificate is shown until the files are right");
    }
    return false;
}

/* --- all of it -------------------------------------------------------------------------------------- */

static void free_all(struct http_certs *s)
{
    file_watch_free(s->watch);
    (void)pthread_mutex_destroy(&s->lock);
    http_cert_unref(s->current);
    mem_free(s->cert_path);
    mem_free(s->key_path);
    mem_free(s);
}

enum err http_certs_new(const char *cert_path, const char *key_path, struct http_certs **ret,
                        struct errinfo *ei)
{
    struct http_certs *s = MEM_NEW(struct http_certs);
    s->cert_path = mem_strdup(cert_path);
    s->key_path = mem_strdup(key_path);
    (void)pthread_mutex_init(&s->lock, NULL); /* cannot fail */
    struct file_watch_opts opts = {.paths = {cert_path, key_path},
                                   .look_ms = &http_cert_look_ms,
                                   .settle_ms = &http_cert_settle_ms,
                                   .take = take,
                                   .ctx = s};
    s->watch = file_watch_new(&opts);
    enum err err = cert_load(s->cert_path, s->key_path, &s->current, ei);
    if (err == OK) {
        err = file_watch_start(s->watch, ei);
    }
    if (err != OK) {
        free_all(s);
        return err;
    }
    *ret = s;
    return OK;
}

void http_certs_free(struct http_certs *s)
{
    if (s != NULL) {
        free_all(s);
    }
}

struct http_cert *http_certs_current(struct http_certs *s)
{
    (void)pthread_mutex_lock(&s->lock);
    struct http_cert *c = s->current;
    atomic_fetch_add(&c->refs, 1);
    (void)pthread_mutex_unlock(&s->lock);
    return c;
}

void http_certs_reread(struct http_certs *s)
{
    file_watch_ask(s->watch, FILE_WATCH_ALWAYS);
}

void http_certs_look(struct http_certs *s)
{
    file_watch_look(s->watch);
}

int64_t http_certs_ends_s(struct http_certs *s)
{
    (void)pthread_mutex_lock(&s->lock);
    int64_t ret = s->current->ends_s;
    (void)pthread_mutex_unlock(&s->lock);
    return ret;
}
