/* Requests of our own tools to a running account: signed with the master key. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "net/http_client.h"
#include "json/json.h"

enum { CLIENT_TIMEOUT_MS = 5000, CLIENT_HEADERS_MAX = 16 };

/* Where the account is: from --endpoint and --key (or HOLDFAST_ENDPOINT, HOLDFAST_KEY), else from
 * the account.json that `up` keeps in --dir; --ca (HOLDFAST_CA) goes over what that says. */
struct client_account {
    char account[128];
    char endpoint[256];
    char key[128];
    char ca[1024];        /* PEM file of the authority trusted for https; empty: the system's */
    char fault_proxy[64]; /* empty: started without --fault-proxy */
    uint64_t supervisor;  /* process id of its `up`; 0 = unknown */
};
enum err client_account_find(const char *dir, const char *endpoint, const char *key, const char *ca,
                             struct client_account *ret, struct errinfo *ei) MUST_CHECK;

struct client_request {
    const char *method;
    const char *base;  /* "http://127.0.0.1:8081/" */
    const char *path;  /* "/dbs/db1", not escaped; resource type and link are derived from it */
    const char *query; /* "a=1&b=2" as it goes behind the path; NULL = none */
    const struct http_header *headers;
    size_t header_count;
    struct str body;
};
/* *ret_doc and what it points to live in `a`; NULL when the answer has no JSON body. */
enum err client_call(const struct client_account *acc, const struct client_request *req,
                     struct arena *a, int *ret_status, struct str *ret_headers,
                     const struct json **ret_doc, struct errinfo *ei) MUST_CHECK;
/* Value of a header in the block that client_call returns; empty when absent. */
struct str client_header(struct str headers, struct str name);
/* For an answer >= 400: sets ei from its code, message and hint. */
enum err client_answer_err(int status, const struct json *doc, struct errinfo *ei) MUST_CHECK;

/* GET of a JSON answer; one >= 400 is an error. */
enum err client_get(const struct client_account *acc, struct arena *a, const char *base,
                    const char *path, const struct json **ret, struct errinfo *ei) MUST_CHECK;

/* For clients that send by themselves: authorization header value for a request on `path`, signed
 * for the date text given in x-ms-date. */
struct client_signer;
struct client_signer *client_signer_new(const char *key_base64,
                                        struct errinfo *ei); /* NULL: not base64 */
void client_signer_free(struct client_signer *s);
struct str client_sign(const struct client_signer *s, struct arena *a, const char *method,
                       struct str path, const char *date);
