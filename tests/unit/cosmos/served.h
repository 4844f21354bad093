/* For tests that send requests through the whole protocol layer: one fake at a time, named `f`. */
#pragma once

#include <stdio.h>
#include <string.h>

#include "lib/fake_core.h"
#include "lib/t.h"
#include "json/json.h"

static struct fake *f;

static inline void served_begin(void)
{
    f = fake_new(&(struct fake_opts){.level = CONSISTENCY_SESSION});
}

/* With a database "db" and this container. */
static inline void served_begin_with(const char *container)
{
    served_begin();
    fake_send(f, "POST", "/dbs", "{\"id\":\"db\"}");
    t_eq_int(f->answer.status, 201);
    fake_send(f, "POST", "/dbs/db/colls", container);
    t_checkf(f->answer.status == 201, STR_FMT, STR_ARG(f->answer.body));
}

/* With the container "c" by /pk. */
static inline void served_begin_container(void)
{
    served_begin_with(
        "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"],\"kind\":\"Hash\",\"version\":2}}");
}

#define DOCS "/dbs/db/colls/c/docs" /* of that container */

/* An item there, new or changed. */
static inline void served_put(const char *pk, const char *id, int v)
{
    char body[256];
    char header[128];
    (void)snprintf(body, sizeof(body), "{\"id\":\"%s\",\"pk\":\"%s\",\"v\":%d}", id, pk, v);
    (void)snprintf(header, sizeof(header), "[\"%s\"]", pk);
    fake_header(f, "x-ms-documentdb-partitionkey", header);
    fake_header(f, "x-ms-documentdb-is-upsert", "true");
    fake_send(f, "POST", DOCS, body);
    t_checkf(f->answer.status == 200 || f->answer.status == 201, STR_FMT, STR_ARG(f->answer.body));
}

static inline void served_end(void)
{
    fake_free(f);
    f = NULL;
}

static inline void served_expect_at(const char *file, int line, int status, int substatus)
{
    uint64_t sub = 0;
    (void)str_to_u64(fake_answer_header(f, "x-ms-substatus"), &sub);
    if (f->answer.status != status || sub != (uint64_t)substatus) {
        t_fail_at(file, line, "got %d/%d, want %d/%d: " STR_FMT, f->answer.status, (int)sub, status,
                  substatus, STR_ARG(str_slice(f->answer.body, 0, 400)));
    }
    if (status >= 400 &&
        (!f->doc || f->doc->type != JSON_OBJECT || fake_answer_str(f, "code").n == 0 ||
         fake_answer_str(f, "message").n == 0)) {
        t_fail_at(file, line, "the error body is no object with code and message: " STR_FMT,
                  STR_ARG(str_slice(f->answer.body, 0, 400)));
    }
}
#define expect(status, substatus) served_expect_at(__FILE__, __LINE__, status, substatus)

/* Sends and compares the status. */
#define send_expect(method, target, body, status)                                                  \
    do {                                                                                           \
        fake_send(f, method, target, body);                                                        \
        served_expect_at(__FILE__, __LINE__, status, 0);                                           \
    } while (0)

/* A copy that outlives the next request; NUL-terminated. */
struct kept {
    char text[1024];
};
static inline struct kept keep(struct str s)
{
    struct kept k = {{0}};
    t_check(s.n < sizeof(k.text));
    memcpy(k.text, s.p, s.n);
    return k;
}

/* Number of elements of the feed in the answer. */
static inline size_t feed_count(const char *feed_key)
{
    const struct json *list = json_get(f->doc, str_of(feed_key));
    t_checkf(list && list->type == JSON_ARRAY, STR_FMT, STR_ARG(f->answer.body));
    uint64_t n = 0;
    t_check(json_get_u64(f->doc, STR("_count"), &n));
    t_eq_u64(n, list->count);
    return list->count;
}

/* The query flag and type of the official clients. */
static inline void query_send(const char *target, const char *body)
{
    fake_header(f, "x-ms-documentdb-isquery", "true");
    fake_header(f, "content-type", "application/query+json");
    fake_send(f, "POST", target, body);
}
