/* Certificates for the HTTP servers: read from files, or made here for accounts that have no
 * authority of their own. Formats are PEM; rules for names are RFC 6125's, as in OpenSSL's
 * X509_check_host. No state; any thread.
 *
 * Private keys are in files of mode 0600 and in `struct tls_pair`, and nowhere else: tls_pair_done
 * overwrites its copy. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum {
    TLS_FILE_SIZE_MAX = 1 << 20, /* of a PEM file that is read */
    TLS_HOSTS_MAX = 64,
    TLS_HOST_SIZE_MAX = 253,
    TLS_DAYS = 397,      /* life of a certificate that tls_make makes */
    TLS_RENEW_DAYS = 90, /* one with less life left is replaced */
    TLS_CA_DAYS = 3650,  /* life of its authority; replaced when it ends before a new certificate */
};

/* What http_server_opts takes. Both are NUL-terminated PEM text, owned; NULL: plain HTTP. */
struct tls_pair {
    char *cert; /* the server's certificate first, then the chain */
    char *key;
    int64_t ends_s; /* of the server's own certificate: seconds since 1970 */
};

/* Reads both. ERR_CONFIG when one is no PEM, the key does not belong to the first certificate, or
 * that certificate has expired at `now_s` (seconds since 1970); ERR_NOT_FOUND, ERR_IO, ERR_LIMIT. */
enum err tls_pair_load(const char *cert_path, const char *key_path, int64_t now_s,
                       struct tls_pair *ret, struct errinfo *ei) MUST_CHECK;
/* ERR_CONFIG, naming the host, unless the certificate is valid for each of these names. */
enum err tls_pair_check_hosts(const struct tls_pair *pair, const char *const *hosts, size_t count,
                              struct errinfo *ei) MUST_CHECK;
void tls_pair_done(struct tls_pair *pair); /* also on a zeroed one */

/* A P-256 key pair that everybody who holds `secret` (not empty, unguessable) can derive: HMAC-SHA256,
 * keyed with the secret, of "holdfast coordinator tls key N", N = 1, 2, ... until the 32 bytes are a
 * private key of the curve, big-endian. So a client knows the server's key beforehand, and needs no
 * authority. tls_derive writes DIR/NAME.key and a certificate that the key signs itself, DIR/NAME.pem
 * (of TLS_CA_DAYS; nobody looks at it but for the key). tls_derive_pin: what http_client_req.pin takes. */
enum { TLS_PIN_SIZE = 64 };
enum err tls_derive(struct str secret, const char *dir, const char *name, int64_t now_s,
                    struct errinfo *ei) MUST_CHECK;
void tls_derive_pin(struct str secret, char ret[TLS_PIN_SIZE]);

/* Keeps a local authority and a certificate in an existing folder: ca.pem, ca.key, server.pem,
 * server.key. What is there stays when it is sound, is for exactly these host names (and 127.0.0.1
 * and ::1, which are always added) and lives on for TLS_RENEW_DAYS; else it is made again, the
 * authority only when it is missing, unusable or would end before the certificate. *ret_is_new_ca:
 * whoever trusted the former one must be told. A crash in between leaves files that the next call
 * recognizes as not belonging together. */
enum err tls_make(const char *dir, const char *account, const char *const *hosts, size_t count,
                  int64_t now_s, bool *ret_is_new_ca, struct errinfo *ei) MUST_CHECK;
