/* What an HTTP server shows of itself in TLS handshakes, and its renewal while it serves.
 *
 * The files are looked at every HTTP_CERT_LOOK_MS, and when somebody asks (base/file_watch.h). What can
 * be used is shown to connections from then on; what cannot leaves the former certificate in place, with
 * an error in the log. */
#pragma once

#include <gnutls/abstract.h>
#include <stdint.h>

#include "base/err.h"

enum {
    HTTP_CERT_LOOK_MS = 30 * 1000,
    HTTP_CERT_SETTLE_MS = 2 * 1000,
    HTTP_CERT_CHAIN_MAX = 16,
};
/* The first two as variables, for the tests. */
extern unsigned http_cert_look_ms, http_cert_settle_ms;

/* Immutable; each connection holds the one that was current when it began. Any thread. */
struct http_cert;
void http_cert_unref(struct http_cert *c); /* NULL is ignored */
/* As GnuTLS wants it for a handshake: stays ours. */
void http_cert_show(const struct http_cert *c, gnutls_pcert_st **ret_chain, unsigned *ret_count,
                    gnutls_privkey_t *ret_key);

struct http_certs;
/* Reads the files, errors as tls_pair_load, and starts the thread. The paths are copied. */
enum err http_certs_new(const char *cert_path, const char *key_path, struct http_certs **ret,
                        struct errinfo *ei) MUST_CHECK;
void http_certs_free(struct http_certs *s); /* waits for the thread; NULL is ignored */
/* The rest is for any thread. */
struct http_cert *http_certs_current(struct http_certs *s); /* a reference for the caller */
void http_certs_reread(struct http_certs *s);               /* soon, changed or not */
void http_certs_look(struct http_certs *s);                 /* now, if they have changed */
int64_t http_certs_ends_s(struct http_certs *s);            /* of the current one */
