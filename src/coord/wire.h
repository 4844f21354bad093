/* What client and built-in coordinator say to each other: JSON over HTTP. No I/O here.
 *
 *   POST /v1/txn     {"compare":[{"key":K,"rev":N}],"put":[{"key":K,"value":V,"volatile":true}]}
 *                    a put may be {"key":K,"delete":true}; rev 0 = must be absent
 *     200            {"succeeded":true,"rev":N,"kvs":[]}; when it did not succeed, kvs has the
 *                    present values of the compared keys
 *   GET  /v1/read?prefix=P
 *     200            {"rev":N,"reset":true,"kvs":[{"key":K,"value":V,"rev":N}]}
 *   GET  /v1/watch?prefix=P&after=N&wait_ms=T
 *     200            the same shape. reset false: what changed after N ("deleted":true for what went),
 *                    empty when nothing did within T; reset true: everything that is there
 *   errors           {"code":"ERR_LIMIT","message":"..."}
 *
 * Keys are UTF-8. V is "value":"text", or "value64":"base64" where the bytes are not UTF-8. */
#pragma once

#include "coord/coord.h"

enum {
    COORD_REQUEST_SIZE_MAX = 8 << 20, /* JSON of one transaction; the practical cap on its values */
    COORD_STATE_SIZE_MAX = 192 << 20, /* JSON of everything: a full store of escapes */
    COORD_WATCH_MS_MAX = 10000,
};

void coord_wire_txn_encode(const struct coord_txn *t, struct buf *out);
/* Strings live in `a` or in `text`. ERR_INVALID, ERR_LIMIT, ERR_SYNTAX. */
enum err coord_wire_txn_decode(struct arena *a, struct str text, struct coord_txn *ret,
                               struct errinfo *ei) MUST_CHECK;

/* `r->err` is OK: errors travel as HTTP statuses. */
void coord_wire_result_encode(const struct coord_txn_result *r, struct buf *out);
enum err coord_wire_result_decode(struct arena *a, struct str text, struct coord_txn_result *ret,
                                  struct errinfo *ei) MUST_CHECK;

struct coord_state {
    coord_rev rev;
    bool is_reset; /* kvs are everything, not a difference */
    size_t kv_count;
    const struct coord_kv *kvs;
};
void coord_wire_state_encode(const struct coord_state *s, struct buf *out);
enum err coord_wire_state_decode(struct arena *a, struct str text, struct coord_state *ret,
                                 struct errinfo *ei) MUST_CHECK;

void coord_wire_error_encode(enum err code, const char *message, struct buf *out);
/* What an answer other than 200 means for a transaction. ERR_UNKNOWN_OUTCOME when it does not say. */
enum err coord_wire_error_decode(int status, struct str text);

struct coord_watch_query {
    struct str prefix; /* in the arena */
    coord_rev after;   /* 0 = everything */
    unsigned wait_ms;  /* capped by COORD_WATCH_MS_MAX */
};
/* The part of a target behind '?'. Unknown parameters are ignored. */
enum err coord_wire_query_decode(struct arena *a, struct str query, struct coord_watch_query *ret,
                                 struct errinfo *ei) MUST_CHECK;
