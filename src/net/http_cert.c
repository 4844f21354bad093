/* Certificates of an HTTP server, for GnuTLS. net/tls checks the files (by OpenSSL, which it has for
 * other uses and whose errors it words); here they become GnuTLS's objects.
 *
 * A file is known by its inode, size and time of change, through symbolic links: the ways in which
 * certbot, cert-manager and cp replace one all differ in that. While the new files cannot be used they
 * are tried again at every look, and the log hears of each state of them once. */
#include "net/http_cert_int.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/contract.h"
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

/* One state of both files; zeros where there is none. */
struct stamp {
    struct {
        uint64_t device, inode, size;
        int64_t changed_ns;
    } files[2];
};

struct http_certs {
    char *cert_path, *key_path; /* owned */
    pthread_t thread;
    pthread_mutex_t reading; /* one reads at a time; guards the stamps; taken before `lock` */
    struct stamp used;       /* read into `current` */
    struct stamp seen;       /* at the last look */
    struct stamp refused;    /* could not be used, and the log knows */
    pthread_mutex_t lock;    /* guards what is below */
    pthread_cond_t changed;
    struct http_cert *current;
    bool is_asked, is_ending;
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

static struct stamp stamp_of(const struct http_certs *s)
{
    const char *const paths[] = {s->cert_path, s->key_path};
    struct stamp ret;
    memset(&ret, 0, sizeof(ret)); /* compared whole */
    for (int i = 0; i < 2; i++) {
        struct stat st;
        if (stat(paths[i], &st) == 0) {
            ret.files[i].device = (uint64_t)st.st_dev;
            ret.files[i].inode = (uint64_t)st.st_ino;
            ret.files[i].size = (uint64_t)st.st_size;
            ret.files[i].changed_ns =
                (int64_t)st.st_ctim.tv_sec * 1000000000 + (int64_t)st.st_ctim.tv_nsec;
        }
    }
    return ret;
}

static bool is_same(const struct stamp *a, const struct stamp *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static void use(struct http_certs *s, struct http_cert *fresh)
{
    (void)pthread_mutex_lock(&s->lock);
    struct http_cert *former = s->current;
    s->current = fresh;
    (void)pthread_mutex_unlock(&s->lock);
    http_cert_unref(former);
}

/* `reading` is held. */
static void reread(struct http_certs *s, const struct stamp *now, bool is_asked)
{
    struct errinfo ei = {0};
    struct http_cert *fresh = NULL;
    if (cert_load(s->cert_path, s->key_path, &fresh, &ei) == OK) {
        LOG_INFO("http", "certificate", "file=%s days_left=%lld", s->cert_path,
                 (long long)((fresh->ends_s - (int64_t)(clock_wall_ms() / 1000)) / 86400));
        use(s, fresh);
        s->used = *now;
    } else if (is_asked || !is_same(now, &s->refused)) {
        LOG_ERROR("http", "certificate_refused", "why=%s hint=%s", ei.message,
                  "the former certificate is shown until the files are right");
        s->refused = *now;
    }
}

/* True: the files are not at rest, look again soon. */
static bool look(struct http_certs *s, bool is_asked, bool waits_for_rest)
{
    (void)pthread_mutex_lock(&s->reading);
    struct stamp now = stamp_of(s);
    bool is_moving = waits_for_rest && !is_same(&now, &s->seen);
    s->seen = now;
    if (is_asked || (!is_moving && !is_same(&now, &s->used))) {
        reread(s, &now, is_asked);
        is_moving = false;
    }
    (void)pthread_mutex_unlock(&s->reading);
    return is_moving;
}

static struct timespec after_ms(unsigned ms)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
    uint64_t ns = (uint64_t)t.tv_nsec + (uint64_t)(ms % 1000) * 1000000;
    t.tv_sec += (time_t)(ms / 1000) + (time_t)(ns / 1000000000);
    t.tv_nsec = (long)(ns % 1000000000);
    return t;
}

static void *watch(void *ctx)
{
    struct http_certs *s = (struct http_certs *)ctx;
    unsigned wait_ms = http_cert_look_ms;
    (void)pthread_mutex_lock(&s->lock);
    while (!s->is_ending) {
        struct timespec until = after_ms(wait_ms);
        int rc = 0;
        while (!s->is_ending && !s->is_asked && rc == 0) {
            rc = pthread_cond_timedwait(&s->changed, &s->lock, &until);
        }
        bool is_asked = s->is_asked;
        s->is_asked = false;
        if (!s->is_ending) {
            (void)pthread_mutex_unlock(&s->lock);
            bool is_moving = look(s, is_asked, /* waits_for_rest: */ true);
            wait_ms = is_moving ? http_cert_settle_ms : http_cert_look_ms;
            (void)pthread_mutex_lock(&s->lock);
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* --- all of it -------------------------------------------------------------------------------------- */

static void free_all(struct http_certs *s)
{
    (void)pthread_cond_destroy(&s->changed);
    (void)pthread_mutex_destroy(&s->lock);
    (void)pthread_mutex_destroy(&s->reading);
    http_cert_unref(s->current);
    mem_free(s->cert_path);
    mem_free(s->key_path);
    mem_free(s);
}

enum err http_certs_new(const char *cert_path, const char *key_path, struct http_certs **ret,
                        struct errinfo *ei)
{
    struct http_certs *s = MEM_NEW(struct http_certs);
    s->cert_path = (char *)mem_dup(cert_path, strlen(cert_path) + 1);
    s->key_path = (char *)mem_dup(key_path, strlen(key_path) + 1);
    (void)pthread_mutex_init(&s->reading, NULL); /* cannot fail, nor what follows */
    (void)pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&s->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    s->seen = s->used = stamp_of(s); /* before reading: what changes meanwhile is read again */
    enum err err = cert_load(s->cert_path, s->key_path, &s->current, ei);
    if (err == OK) {
        int rc = pthread_create(&s->thread, NULL, watch, s);
        if (rc != 0) {
            err = err_set(ei, ERR_IO, "start the thread that watches certificates: %s",
                          err_errno_text(rc));
        }
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
    if (s == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&s->lock);
    s->is_ending = true;
    (void)pthread_cond_signal(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
    (void)pthread_join(s->thread, NULL);
    free_all(s);
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
    (void)pthread_mutex_lock(&s->lock);
    s->is_asked = true;
    (void)pthread_cond_signal(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
}

void http_certs_look(struct http_certs *s)
{
    (void)look(s, /* is_asked: */ false, /* waits_for_rest: */ false);
}

int64_t http_certs_ends_s(struct http_certs *s)
{
    (void)pthread_mutex_lock(&s->lock);
    int64_t ret = s->current->ends_s;
    (void)pthread_mutex_unlock(&s->lock);
    return ret;
}
