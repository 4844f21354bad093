/* A region without replication, for tests of the protocol layer: real protocol code over the real
 * memory engine, with the core and the HTTP server played by this file.
 *
 *   struct fake *f = fake_new(&(struct fake_opts){.level = CONSISTENCY_SESSION});
 *   fake_send(f, "POST", "/dbs", "{\"id\":\"db1\"}");
 *   t_eq_int(f->answer.status, 201);
 *
 * Linked instead of src/net/http_exchange.c and src/account/region.c: it defines http_header,
 * http_response_header, http_respond, region_part, region_drop_part and region_view. Writes are
 * ordered at once on the calling thread, through the same engine calls as the real core's. A test
 * plays failures by setting the fields below. */
#pragma once

#include "account/record.h"
#include "account/region.h"
#include "base/arena.h"
#include "base/buf.h"
#include "cosmos/service.h"
#include "engine/engine.h"
#include "net/http_server.h"

enum { FAKE_HEADERS_MAX = 64 };

struct fake_opts {
    enum consistency level;
    bool rejects_lost_sessions;
    bool is_single_region; /* else three regions: east (ours, writer), west, north */
};

struct fake_answer {
    int status;
    size_t header_count;
    struct http_header headers[FAKE_HEADERS_MAX]; /* in `arena` of struct fake */
    struct str body;
};

struct fake {
    struct cosmos_service *cosmos;
    struct engine *engine;
    struct region_view *view;
    struct part_view *metadata; /* of partition 0 */
    struct account_record rec;
    struct fake_answer answer; /* of the last request; lives until the next */
    struct arena arena;        /* of the last request */
    const struct json *doc;    /* its body, parsed; NULL when there is none */

    /* What a test may set. */
    enum err write_err; /* not OK: writes end with this and are not applied */
    bool is_write_queue_full;
    bool is_wait_queue_full;
    bool is_commit_held; /* writes are applied but could still be lost */
    enum err wait_err;   /* what waits end with */
    void (*on_wait)(struct fake *f, struct region_wait *w); /* before a wait ends */
    void (*on_write)(
        struct fake *f); /* before a write is ordered: another request may come between */
    int64_t ahead_s;     /* added to the time of writes: may be negative */
    struct str key;      /* base64 key that signs; STR("") = unsigned */
    uint64_t epoch;
    lsn next_lsn;         /* of all partitions */
    size_t writes, waits; /* how many there were */
    pid unreadable;       /* the last one that a read found damaged */
    size_t unreadable_count;

    struct fake_parts *parts;
    /* Headers of the next request only. */
    size_t extra_count;
    struct http_header extra[FAKE_HEADERS_MAX];
    struct fake_pending *pending;
};

struct fake *fake_new(const struct fake_opts *opts);
void fake_free(struct fake *f);
pid fake_last_part(const struct fake *f); /* the newest partition */
/* Adds a header to the next request. */
void fake_header(struct fake *f, const char *name, const char *value);
/* Sends a signed request with a date, waits for its answer. body NULL: none. */
void fake_send(struct fake *f, const char *method, const char *target, const char *body);
void fake_send_str(struct fake *f, const char *method, const char *target, struct str body);
/* Orders a write that no request made, as the core does with conflict records. */
enum err fake_order(struct fake *f, struct region_write *w);
/* Another signed request while one is in work (from on_write, on_wait); its answer is dropped. */
void fake_nested(struct fake *f, const char *method, const char *target, const char *body);
/* Header of the answer, name without case; STR_NONE when absent. */
struct str fake_answer_header(const struct fake *f, const char *name);
/* Member of the answer's body as text; "" when absent or no string. */
struct str fake_answer_str(const struct fake *f, const char *key);
/* View of the n-th partition that exists beside partition 0, in order of creation. */
struct part_view *fake_part(struct fake *f, size_t n);
size_t fake_part_count(const struct fake *f);
void fake_publish_record(struct fake *f); /* after a change of f->rec */
