/* The protocols that the load generator speaks, each as a table of three functions. A run has one
 * struct wire; its connections share it. One request is in flight per connection. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/crypto.h"
#include "base/rng.h"
#include "bench/sample.h"

enum { WIRE_OUT_SIZE = 8 << 10, WIRE_IN_SIZE = 32 << 10 };

enum work {
    WORK_CREATE,  /* a new id each time */
    WORK_UPSERT,  /* an existing id, drawn at random */
    WORK_REPLACE, /* the same, addressed by its own link */
    WORK_READ,    /* point read of an existing id, drawn at random */
    WORK_COUNT,
};
bool work_parse(const char *text, enum work *ret);

struct wire_conn {
    int fd;
    uint64_t started_ns; /* of the request in flight */
    uint64_t due_ns;     /* with a rate: when the next one may start */
    bool is_waiting;     /* ... and it is not yet due */
    char out[WIRE_OUT_SIZE];
    size_t out_n;
    char in[WIRE_IN_SIZE];
    size_t in_n;
    /* http */
    size_t head_n; /* of the last answer */
    /* grpc */
    uint32_t stream;
    bool has_data;
    uint64_t received; /* since the last window update */
    char control[256]; /* acknowledgements that leave with the next request */
    size_t control_n;
};

struct wire_head { /* http: see wire_http.c */
    bool is_built;
    size_t n, id_n, link_at, key_at, date_at;
    char text[2048];
};

struct wire {
    const struct wire_ops *ops;
    enum work work;
    const char *prefix;  /* of new ids */
    const char *host;    /* "127.0.0.1:8081" */
    const char *link;    /* http: "dbs/bench/colls/items" */
    const char *headers; /* http: more header lines, each with its CRLF; "" */
    uint64_t next;       /* number of the next new id */
    uint64_t id_count;   /* existing ids */
    bool is_probe;       /* http: reads one id at a time, see wire_http_probe */
    uint64_t probe;
    struct crypto_hmac *hmac; /* http; NULL: requests are not signed */
    char (*signed_ids)[160];  /* http: one signature per existing id, made beforehand */
    char date[40];
    char signature[160]; /* of `date`, for requests on the container, or for the probe */
    int64_t date_s;
    struct wire_head head;
    struct item_maker items;
};

struct wire_ops {
    const char *name;
    void (*greet)(struct wire *w, struct wire_conn *c); /* a new connection: appends to out */
    void (*fill)(struct wire *w, struct wire_conn *c);  /* appends the next request to out */
    /* Looks at in[0..in_n]: 1 the answer is complete and removed, 0 more is needed, -1 broken. */
    int (*take)(struct wire *w, struct wire_conn *c, int *ret_status);
};
extern const struct wire_ops wire_http; /* Holdfast, and the bare server with the same bytes */
extern const struct wire_ops wire_grpc; /* etcd: KV.Put and KV.Range over HTTP/2 without TLS */

/* Key is base64; NULL: unsigned. Signs the links of id_count existing ids for WORK_READ and
 * WORK_REPLACE. Dates are accepted for 15 minutes: a run must be shorter. */
void wire_http_sign_all(struct wire *w, const char *key);
void wire_http_done(struct wire *w);
/* From now on reads PREFIX-number (w->prefix, set before the first connection). */
void wire_http_probe(struct wire *w, uint64_t number);
/* Signature for one request, percent-encoded as the header wants it. */
void wire_http_sign(const struct wire *w, const char *verb, const char *link, const char *date,
                    char ret[160]);
/* The value of a header of a complete answer's head; false when absent or too long. */
bool wire_http_header(const char *head, size_t n, const char *name, char *ret, size_t size);

/* Number of an existing id, drawn at random; of a new one, in order. */
uint64_t wire_pick(struct wire *w);
/* Appends to out; the request must fit. */
void wire_put(struct wire_conn *c, const void *p, size_t n);
/* A blocking TCP connection without Nagle's delay; -1 when it cannot be made. */
int wire_connect(const char *host);
/* Sends out[0..out_n] whole and empties it; false when the connection is broken. */
bool wire_flush(struct wire_conn *c);
