/* Certificates by OpenSSL's libcrypto. Keys are EC P-256: every official SDK's TLS takes them, and a
 * handshake costs a tenth of one with RSA.
 *
 * OpenSSL's own error texts are for its authors; ours say which file and what to do. Its error queue
 * is emptied, so that a later user of it does not find our leavings. */
#include "net/tls.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/contract.h"
#include "base/crypto.h"
#include "base/files.h"
#include "base/mem.h"

enum { PATH_SIZE = 4200, SERIAL_BYTES = 16, DAY_S = 86400 };

static void free_key_text(char *key)
{
    if (key != NULL) {
        explicit_bzero(key, strlen(key));
    }
    mem_free(key);
}

void tls_pair_done(struct tls_pair *pair)
{
    mem_free(pair->cert);
    free_key_text(pair->key);
    *pair = (struct tls_pair){0};
}

static char *read_text(const char *path, enum err *ret_err, struct errinfo *ei)
{
    struct buf text;
    buf_init(&text, TLS_FILE_SIZE_MAX);
    *ret_err = files_read(path, &text, ei);
    char *ret = NULL;
    if (*ret_err == OK) {
        ret = MEM_NEW_ARRAY(char, text.n + 1); /* zeroed */
        if (text.n > 0) {
            memcpy(ret, text.p, text.n);
        }
    }
    buf_done_secret(&text);
    return ret;
}

/* Never asks a terminal for a password. */
static int no_password(char *text, int size, int is_writing, void *arg)
{
    UNUSED(text);
    UNUSED(size);
    UNUSED(is_writing);
    UNUSED(arg);
    return -1;
}

static BIO *bio_of(const char *text)
{
    BIO *bio = BIO_new_mem_buf(text, -1);
    ASSERT(bio != NULL); /* only for want of memory */
    return bio;
}

static X509 *parse_cert(const char *text)
{
    BIO *bio = bio_of(text);
    X509 *ret = PEM_read_bio_X509(bio, NULL, no_password, NULL);
    BIO_free(bio);
    ERR_clear_error();
    return ret;
}

static EVP_PKEY *parse_key(const char *text)
{
    BIO *bio = bio_of(text);
    EVP_PKEY *ret = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    BIO_free(bio);
    ERR_clear_error();
    return ret;
}

static bool ends_after(const X509 *cert, int64_t when_s)
{
    time_t when = (time_t)when_s;
    return X509_cmp_time(X509_get0_notAfter(cert), &when) > 0;
}

static int64_t end_of(const X509 *cert)
{
    struct tm end = {0};
    return ASN1_TIME_to_tm(X509_get0_notAfter(cert), &end) == 1 ? (int64_t)timegm(&end) : 0;
}

/* Fills in ends_s. */
static enum err check_pair(struct tls_pair *pair, const char *cert_path, const char *key_path,
                           int64_t now_s, struct errinfo *ei)
{
    X509 *cert = parse_cert(pair->cert);
    EVP_PKEY *key = parse_key(pair->key);
    enum err ret = OK;
    if (cert == NULL) {
        ret = err_set(ei, ERR_CONFIG, "%s holds no certificate in PEM form", cert_path);
    } else if (key == NULL) {
        ret = err_set(ei, ERR_CONFIG, "%s holds no private key in PEM form", key_path);
        err_hint(ei, "a key with a password cannot be used: nobody is there to type it");
    } else if (X509_check_private_key(cert, key) != 1) {
        ret = err_set(ei, ERR_CONFIG, "the key in %s is not that of the certificate in %s",
                      key_path, cert_path);
        err_hint(ei, "the server's own certificate comes first in its file, then the chain");
    } else if (!ends_after(cert, now_s)) {
        ret = err_set(ei, ERR_CONFIG, "the certificate in %s has expired", cert_path);
    } else {
        pair->ends_s = end_of(cert);
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return ret;
}

enum err tls_pair_load(const char *cert_path, const char *key_path, int64_t now_s,
                       struct tls_pair *ret, struct errinfo *ei)
{
    *ret = (struct tls_pair){0};
    enum err err = OK;
    ret->cert = read_text(cert_path, &err, ei);
    if (err == OK) {
        ret->key = read_text(key_path, &err, ei);
    }
    if (err == OK) {
        err = check_pair(ret, cert_path, key_path, now_s, ei);
    }
    if (err != OK) {
        tls_pair_done(ret);
    }
    return err;
}

static bool is_for(X509 *cert, const char *host)
{
    return X509_check_host(cert, host, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1 ||
           X509_check_ip_asc(cert, host, 0) == 1;
}

enum err tls_pair_check_hosts(const struct tls_pair *pair, const char *const *hosts, size_t count,
                              struct errinfo *ei)
{
    X509 *cert = parse_cert(pair->cert);
    ASSERT(cert != NULL); /* tls_pair_load has seen it */
    enum err ret = OK;
    for (size_t i = 0; i < count && ret == OK; i++) {
        if (!is_for(cert, hosts[i])) {
            ret = err_set(ei, ERR_CONFIG, "the certificate is not valid for the host name %s",
                          hosts[i]);
            err_hint(ei,
                     "clients reach each region by a name of its own, and a front stands in for "
                     "all of them: one certificate names them all");
        }
    }
    X509_free(cert);
    ERR_clear_error();
    return ret;
}

/* ---- making ---- */

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ASSERT(ext != NULL); /* the values are ours; host names were checked */
    int ok = X509_add_ext(cert, ext, -1);
    ASSERT(ok == 1);
    X509_EXTENSION_free(ext);
}

static X509 *new_cert(EVP_PKEY *key, const char *common_name, int64_t now_s, int days)
{
    X509 *cert = X509_new();
    ASSERT(cert != NULL);
    unsigned char serial[SERIAL_BYTES];
    int ok = RAND_bytes(serial, sizeof(serial));
    ASSERT(ok == 1);
    serial[0] = (unsigned char)((serial[0] & 0x7f) | 0x40); /* positive, of full length */
    BIGNUM *number = BN_bin2bn(serial, sizeof(serial), NULL);
    ASSERT(number != NULL);
    ASN1_INTEGER *integer = BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
    ASSERT(integer != NULL);
    BN_free(number);
    time_t now = (time_t)now_s;
    X509_NAME *name = X509_get_subject_name(cert);
    ok = X509_set_version(cert, X509_VERSION_3) == 1 &&
         X509_time_adj_ex(X509_getm_notBefore(cert), -1, 0, &now) != NULL && /* clocks differ */
         X509_time_adj_ex(X509_getm_notAfter(cert), days, 0, &now) != NULL &&
         X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *)"Holdfast", -1,
                                    -1, 0) == 1 &&
         X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)common_name,
                                    -1, -1, 0) == 1 &&
         X509_set_pubkey(cert, key) == 1;
    ASSERT(ok);
    return cert;
}

static EVP_PKEY *new_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    ASSERT(key != NULL);
    return key;
}

static enum err write_bio(const char *path, BIO *bio, struct errinfo *ei)
{
    char *text = NULL;
    long n = BIO_get_mem_data(bio, &text);
    enum err err = files_write_durable(path, str_make(text, (size_t)n), 0600, ei);
    explicit_bzero(text, (size_t)n);
    BIO_free(bio);
    return err;
}

/* The certificate and, when given, its issuer below it. The key first: see tls_make. */
static enum err write_pair(const char *dir, const char *name, EVP_PKEY *key, X509 *cert,
                           X509 *issuer, struct errinfo *ei)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/%s.key", dir, name);
    BIO *bio = BIO_new(BIO_s_mem());
    int ok = PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    ASSERT(ok == 1);
    TRY(write_bio(path, bio, ei));
    (void)snprintf(path, sizeof(path), "%s/%s.pem", dir, name);
    bio = BIO_new(BIO_s_mem());
    ok = PEM_write_bio_X509(bio, cert) == 1 &&
         (issuer == NULL || PEM_write_bio_X509(bio, issuer) == 1);
    ASSERT(ok);
    return write_bio(path, bio, ei);
}

struct material {
    X509 *cert;
    EVP_PKEY *key;
};

static void material_done(struct material *m)
{
    X509_free(m->cert);
    EVP_PKEY_free(m->key);
    *m = (struct material){0};
}

/* Empty when anything about it is wrong: then it is made again. */
static struct material load(const char *dir, const char *name, int64_t alive_until_s)
{
    char cert_path[PATH_SIZE];
    char key_path[PATH_SIZE];
    (void)snprintf(cert_path, sizeof(cert_path), "%s/%s.pem", dir, name);
    (void)snprintf(key_path, sizeof(key_path), "%s/%s.key", dir, name);
    struct tls_pair pair;
    struct material ret = {0};
    if (tls_pair_load(cert_path, key_path, alive_until_s, &pair, NULL) == OK) {
        ret.cert = parse_cert(pair.cert);
        ret.key = parse_key(pair.key);
        tls_pair_done(&pair);
    }
    return ret;
}

static struct material make_ca(const char *account, int64_t now_s)
{
    char name[64]; /* the limit of a common name */
    (void)snprintf(name, sizeof(name), "account %.40s", account);
    struct material ca = {.key = new_key()};
    ca.cert = new_cert(ca.key, name, now_s, TLS_CA_DAYS);
    int ok = X509_set_issuer_name(ca.cert, X509_get_subject_name(ca.cert));
    ASSERT(ok == 1);
    add_extension(ca.cert, ca.cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
    add_extension(ca.cert, ca.cert, NID_key_usage, "critical,keyCertSign,cRLSign");
    add_extension(ca.cert, ca.cert, NID_subject_key_identifier, "hash");
    ok = X509_sign(ca.cert, ca.key, EVP_sha256()) > 0;
    ASSERT(ok);
    return ca;
}

static struct material make_server(const struct material *ca, const char *names, int64_t now_s)
{
    struct material m = {.key = new_key()};
    m.cert = new_cert(m.key, "endpoints", now_s, TLS_DAYS);
    int ok = X509_set_issuer_name(m.cert, X509_get_subject_name(ca->cert));
    ASSERT(ok == 1);
    add_extension(m.cert, ca->cert, NID_basic_constraints, "critical,CA:FALSE");
    add_extension(m.cert, ca->cert, NID_key_usage, "critical,digitalSignature");
    add_extension(m.cert, ca->cert, NID_ext_key_usage, "serverAuth");
    add_extension(m.cert, ca->cert, NID_subject_alt_name, names);
    add_extension(m.cert, ca->cert, NID_subject_key_identifier, "hash");
    add_extension(m.cert, ca->cert, NID_authority_key_identifier, "keyid:always");
    ok = X509_sign(m.cert, ca->key, EVP_sha256()) > 0;
    ASSERT(ok);
    return m;
}

static size_t count_names(const X509 *cert)
{
    int critical = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, NULL);
    int n = names != NULL ? sk_GENERAL_NAME_num(names) : 0;
    GENERAL_NAMES_free(names);
    return n > 0 ? (size_t)n : 0;
}

static bool is_usable(const struct material *m, const struct material *ca, const char *const *hosts,
                      size_t count)
{
    if (m->cert == NULL || X509_verify(m->cert, ca->key) != 1 ||
        count_names(m->cert) != count + 2) {
        return false;
    }
    bool ok = true;
    for (size_t i = 0; i < count && ok; i++) {
        ok = is_for(m->cert, hosts[i]);
    }
    return ok;
}

/* ---- derived ---- */

/* NULL: the scalar is none of the curve (one in 2^32). */
static EVP_PKEY *key_of_scalar(const BIGNUM *scalar)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    ASSERT(group != NULL);
    if (BN_is_zero(scalar) || BN_cmp(scalar, EC_GROUP_get0_order(group)) >= 0) {
        EC_GROUP_free(group);
        return NULL;
    }
    EC_POINT *point = EC_POINT_new(group);
    unsigned char public[65];
    bool ok = point != NULL && EC_POINT_mul(group, point, scalar, NULL, NULL, NULL) == 1 &&
              EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, public,
                                 sizeof(public), NULL) == sizeof(public);
    ASSERT(ok);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    ok = build != NULL &&
         OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) == 1 &&
         OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, scalar) == 1 &&
         OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, public, sizeof(public)) ==
             1;
    ASSERT(ok);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *ret = NULL;
    ok = params != NULL && ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
         EVP_PKEY_fromdata(ctx, &ret, EVP_PKEY_KEYPAIR, params) == 1;
    ASSERT(ok);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EC_POINT_free(point);
    EC_GROUP_free(group);
    return ret;
}

static EVP_PKEY *derive_key(struct str secret)
{
    enum { TRIES = 8 }; /* all of them fail once in 2^256 */
    ASSERT(secret.n > 0);
    struct crypto_hmac *hmac = crypto_hmac_new(secret);
    EVP_PKEY *ret = NULL;
    for (int i = 1; i <= TRIES && ret == NULL; i++) {
        char label[64];
        uint8_t bytes[CRYPTO_SHA256_SIZE];
        (void)snprintf(label, sizeof(label), "holdfast coordinator tls key %d", i);
        crypto_hmac_sign(hmac, str_of(label), bytes);
        BIGNUM *scalar = BN_bin2bn(bytes, sizeof(bytes), NULL);
        ASSERT(scalar != NULL);
        ret = key_of_scalar(scalar);
        BN_clear_free(scalar);
        explicit_bzero(bytes, sizeof(bytes));
    }
    crypto_hmac_free(hmac);
    ASSERT(ret != NULL);
    return ret;
}

enum err tls_derive(struct str secret, const char *dir, const char *name, int64_t now_s,
                    struct errinfo *ei)
{
    ASSERT(strlen(dir) + strlen(name) < PATH_SIZE - 16);
    struct material m = {.key = derive_key(secret)};
    m.cert = new_cert(m.key, "coordinator", now_s, TLS_CA_DAYS);
    int ok = X509_set_issuer_name(m.cert, X509_get_subject_name(m.cert));
    ASSERT(ok == 1);
    add_extension(m.cert, m.cert, NID_key_usage, "critical,digitalSignature");
    ok = X509_sign(m.cert, m.key, EVP_sha256()) > 0;
    ASSERT(ok);
    enum err ret = write_pair(dir, name, m.key, m.cert, NULL, ei);
    material_done(&m);
    return ret;
}

void tls_derive_pin(struct str secret, char ret[TLS_PIN_SIZE])
{
    EVP_PKEY *key = derive_key(secret);
    unsigned char *der = NULL;
    int n = i2d_PUBKEY(key, &der);
    ASSERT(n > 0);
    uint8_t hash[CRYPTO_SHA256_SIZE];
    crypto_sha256(str_make(der, (size_t)n), hash);
    struct buf pin;
    buf_init(&pin, TLS_PIN_SIZE);
    buf_add_cstr(&pin, "sha256//");
    codec_base64(&pin, str_make(hash, sizeof(hash)));
    ASSERT(buf_ok(&pin) && pin.n < TLS_PIN_SIZE);
    memcpy(ret, pin.p, pin.n);
    ret[pin.n] = '\0';
    buf_done(&pin);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
}

/* ---- made ---- */

static enum err check_host_name(const char *host, struct errinfo *ei)
{
    size_t n = strlen(host);
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
    if (n == 0 || n > TLS_HOST_SIZE_MAX || strspn(host, allowed) != n) {
        return err_set(ei, ERR_CONFIG, "'%.253s' is no host name", host);
    }
    return OK;
}

enum err tls_make(const char *dir, const char *account, const char *const *hosts, size_t count,
                  int64_t now_s, bool *ret_is_new_ca, struct errinfo *ei)
{
    ASSERT(count <= TLS_HOSTS_MAX && strlen(dir) < PATH_SIZE - 16);
    struct buf names;
    buf_init(&names, 64 << 10);
    enum err ret = OK;
    for (size_t i = 0; i < count && ret == OK; i++) {
        ret = check_host_name(hosts[i], ei);
        buf_printf(&names, "DNS:%s,", hosts[i]);
    }
    buf_add_cstr(&names, "IP:127.0.0.1,IP:::1");
    buf_add_char(&names, '\0');
    struct material ca = {0};
    struct material server = {0};
    *ret_is_new_ca = false;
    if (ret == OK) {
        ASSERT(buf_ok(&names)); /* TLS_HOSTS_MAX names fit */
        ca = load(dir, "ca", now_s + (int64_t)(TLS_DAYS + 1) * DAY_S);
        if (ca.cert == NULL) {
            ca = make_ca(account, now_s);
            *ret_is_new_ca = true;
            ret = write_pair(dir, "ca", ca.key, ca.cert, NULL, ei);
        }
    }
    if (ret == OK) {
        server = load(dir, "server", now_s + (int64_t)TLS_RENEW_DAYS * DAY_S);
        if (!is_usable(&server, &ca, hosts, count)) {
            material_done(&server);
            server = make_server(&ca, names.p, now_s);
            ret = write_pair(dir, "server", server.key, server.cert, ca.cert, ei);
        }
    }
    material_done(&server);
    material_done(&ca);
    ERR_clear_error();
    buf_done(&names);
    return ret;
}
