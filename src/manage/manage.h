/* The management interface over HTTP: what `@azure/arm-cosmosdb` and tools like it speak
 * (geo-semantics 10, doc/management.md). Every request reads all accounts from the coordinator, decides
 * (decide.h), and puts the change back by compare-and-set; a lost race is decided again.
 *
 * Requests carry a bearer token that is not a key of any account. On a loop's thread. */
#pragma once

#include <stdbool.h>

#include "account/record.h"
#include "base/str.h"
#include "coord/coord_client.h"
#include "net/http_server.h"

enum { MANAGE_TOKEN_SIZE_MIN = 16, MANAGE_TOKEN_SIZE_MAX = 200, MANAGE_RETRY_AFTER_S = 1 };

struct manage_opts {
    struct coord_client *coord;
    struct str token;         /* lives as long as this; empty = the interface is off (403) */
    const char *own_endpoint; /* of accounts that are not hosted: "http://127.0.0.1:8081/" */
    bool can_host;            /* a supervisor starts what is created */
    /* The own account's record as last seen, NULL = none: accounts and keys can be read from it while
     * the coordinator does not answer. */
    const struct account_record *(*known)(void *ctx);
    void *ctx;
};

bool manage_is_ours(const struct http_req *req);
/* Answers and ends the request, now or later; `opts` must outlive that. Free the coordinator client
 * first to end what is under way. */
void manage_request(const struct manage_opts *opts, struct http_req *req);
