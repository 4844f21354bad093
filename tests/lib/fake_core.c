#include "lib/fake_core.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/cond.h"
#include "base/contract.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "lib/t.h"
#include "json/json.h"

enum { PARTS_MAX = 4096, ANSWER_SECONDS = 20, BODY_SIZE_MAX = 16 << 20, TEXT_SIZE_MAX = 4 << 20 };

static const char key_base64[] = "cHJpbWFyeSBrZXkgb2YgdGhlIGFjY291bnQhISEhISE=";
static const char key_read_base64[] = "cmVhZC1vbmx5IGtleSBvZiB0aGUgYWNjb3VudCEhISE=";

/* The region of the program: one at a time, so the core's functions find it without a map. */
struct region {
    struct fake *fake;
};
static struct region region_now;

struct fake_parts {
    size_t count;
    struct part_view *views[PARTS_MAX]; /* [0] is partition 0 */
    uint64_t ord[PARTS_MAX];
    bool is_dropped[PARTS_MAX]; /* its view stays */
};

/* ---- the core's side ---- */

static size_t part_find(struct fake *f, pid p)
{
    for (size_t i = 0; i < f->parts->count; i++) {
        if (f->parts->views[i]->pid == p) {
            return i;
        }
    }
    return f->parts->count;
}

struct part_view *region_part(struct region *r, pid p)
{
    struct fake_parts *parts = r->fake->parts;
    size_t i = part_find(r->fake, p);
    if (i == parts->count) {
        ASSERT(parts->count < PARTS_MAX);
        struct part_view *v = MEM_NEW(struct part_view);
        v->pid = p;
        atomic_store(&v->flags, PART_WHOLE | PART_READABLE | PART_WRITABLE);
        atomic_store(&v->epoch, r->fake->epoch);
        atomic_store(&v->token_version, r->fake->rec.token_version);
        parts->views[parts->count++] = v;
    }
    return parts->views[i];
}

void region_drop_part(struct region *r, pid p)
{
    enum err err = engine_drop_partition(r->fake->engine, p, NULL);
    ASSERT(err == OK);
    r->fake->parts->is_dropped[part_find(r->fake, p)] = true;
}

void region_each_part(const struct region *r, void (*fn)(void *ctx, pid p), void *ctx)
{
    struct fake_parts *parts = r->fake->parts;
    for (size_t i = 0; i < parts->count; i++) {
        if (!parts->is_dropped[i]) {
            fn(ctx, parts->views[i]->pid);
        }
    }
}

uint64_t region_parts_made(const struct region *r)
{
    return r->fake->parts->count;
}

struct region_view *region_view(struct region *r)
{
    return r->fake->view;
}

struct part_view *fake_part(struct fake *f, size_t n)
{
    ASSERT(n + 1 < f->parts->count);
    return f->parts->views[n + 1];
}

size_t fake_part_count(const struct fake *f)
{
    return f->parts->count - 1;
}

/* ---- ordering a write ---- */

/* One document as the operations of the write in progress see it. */
struct seen {
    struct str key;
    enum engine_space space;
    bool exists;
    struct engine_doc doc; /* of the engine, or of an operation before */
    struct buf hold;
};

struct ordering {
    struct fake *fake;
    struct region_write *w;
    struct engine_batch *batch;
    struct arena arena;
    size_t seen_count;
    struct seen *seen;
    lsn lsn;
    uint64_t now_s;
    uint16_t changed;
    int64_t items, bytes, conflicts;
};

static struct seen *seen_get(struct ordering *o, const struct write_op *op)
{
    for (size_t i = 0; i < o->seen_count; i++) {
        if (o->seen[i].space == op->space && str_eq(o->seen[i].key, op->key)) {
            return &o->seen[i];
        }
    }
    struct seen *s = &o->seen[o->seen_count++];
    s->key = op->key;
    s->space = op->space;
    buf_init(&s->hold, TEXT_SIZE_MAX);
    enum err err = engine_get(o->fake->engine, NULL, o->w->pid, op->space, op->key, true, &s->hold,
                              &s->doc, NULL);
    ASSERT(err == OK || err == ERR_NOT_FOUND);
    s->exists = err == OK;
    return s;
}

static bool is_expired(const struct ordering *o, const struct seen *s)
{
    uint64_t at = s->doc.version.expire_at;
    return at != 0 && at <= o->now_s;
}

static void count(struct ordering *o, enum engine_space space, int64_t docs, size_t size,
                  bool is_added)
{
    if (space == SPACE_CONFLICT) {
        o->conflicts += docs;
        return;
    }
    o->items += docs;
    o->bytes += is_added ? (int64_t)size : -(int64_t)size;
}

static bool unique_is_taken(struct ordering *o, const struct seen *self, struct str unique)
{
    for (size_t i = 0; i < o->seen_count; i++) {
        struct seen *s = &o->seen[i];
        for (size_t k = 0; s != self && s->exists && k < s->doc.version.unique_count; k++) {
            if (str_eq(s->doc.version.uniques[k], unique)) {
                return true;
            }
        }
    }
    struct buf key;
    buf_init(&key, ENGINE_KEY_SIZE_MAX);
    enum err err = engine_unique_get(o->fake->engine, NULL, o->w->pid, unique, &key, NULL);
    bool is_taken = err == OK && !str_eq(buf_str(&key), self->key);
    for (size_t i = 0; is_taken && i < o->seen_count;
         i++) { /* changed by this write: looked at above */
        is_taken = !str_eq(o->seen[i].key, buf_str(&key));
    }
    buf_done(&key);
    return is_taken;
}

static void apply_delete(struct ordering *o, struct seen *s)
{
    engine_batch_delete(o->batch, o->w->pid, s->space, s->key, &s->doc.version);
    count(o, s->space, -1, s->doc.version.doc_size, false);
    s->exists = false;
    o->changed++;
}

static enum err apply_put(struct ordering *o, struct seen *s, const struct write_plan *plan,
                          const struct write_place *place)
{
    for (size_t i = 0; i < plan->unique_count; i++) {
        if (unique_is_taken(o, s, plan->uniques[i])) {
            o->w->conflicting_unique = plan->uniques[i];
            return ERR_EXISTS;
        }
    }
    struct engine_doc doc = {
        .version = {.lsn = place->lsn,
                    .op_idx = place->op_idx,
                    .expire_at = plan->expire_at,
                    .unique_count = plan->unique_count,
                    .uniques = plan->uniques,
                    .doc_size = plan->text.n},
        .epoch = place->epoch,
        .rid = plan->rid,
        .ts = place->ts,
        .hlc = place->hlc,
        .origin = place->origin,
        .text = plan->text,
    };
    engine_batch_put(o->batch, o->w->pid, s->space, s->key, &doc,
                     s->exists ? &s->doc.version : NULL);
    if (s->exists) {
        count(o, s->space, -1, s->doc.version.doc_size, false);
    }
    count(o, s->space, 1, plan->text.n, true);
    s->doc = doc;
    s->exists = true;
    o->changed++;
    return OK;
}

static enum err order_one(struct ordering *o, size_t i)
{
    struct region_write *w = o->w;
    struct seen *s = seen_get(o, &w->ops[i]);
    bool is_visible = s->exists && !is_expired(o, s);
    struct write_place place = {
        .pid = w->pid,
        .epoch = o->fake->epoch,
        .lsn = o->lsn,
        .op_idx = o->changed,
        .hlc = o->now_s * 1000 << 16,
        .ts = s->exists && s->doc.ts > o->now_s ? s->doc.ts : o->now_s,
        .origin = 1,
        .is_single_region = atomic_load(&o->fake->view->is_single_region),
        .token_version = atomic_load(&o->fake->view->token_version),
    };
    struct write_plan plan = {.action = WRITE_REJECT};
    w->prepare(w, i, &place, is_visible ? &s->doc : NULL, &plan);
    switch (plan.action) {
    case WRITE_REJECT:
        return ERR_PRECONDITION;
    case WRITE_NONE:
        return OK;
    case WRITE_DELETE:
        ASSERT(is_visible);
        apply_delete(o, s);
        return OK;
    case WRITE_PUT:
        ASSERT(codec_utf8_valid(plan.text));
        return apply_put(o, s, &plan, &place);
    }
    UNREACHABLE();
}

/* Counters and tail go with the batch, as the real core does it. */
static void finish_batch(struct ordering *o, size_t part)
{
    struct fake *f = o->fake;
    struct engine_part_meta meta;
    struct buf hold;
    buf_init(&hold, 1 << 20);
    if (engine_part_meta_get(f->engine, NULL, o->w->pid, &hold, &meta, NULL) != OK) {
        memset(&meta, 0, sizeof(meta));
    }
    meta.tail_epoch = f->epoch;
    meta.tail_lsn = o->lsn;
    meta.tail_ord = ++f->parts->ord[part];
    meta.item_count = (uint64_t)((int64_t)meta.item_count + o->items);
    meta.item_size = (uint64_t)((int64_t)meta.item_size + o->bytes);
    meta.conflict_count = (uint64_t)((int64_t)meta.conflict_count + o->conflicts);
    engine_batch_meta(o->batch, o->w->pid, &meta);
    enum err each = OK;
    enum err err = engine_apply(f->engine, &o->batch, 1, true, &each, NULL);
    ASSERT(err == OK);
    ASSERT(each == OK);
    struct part_view *v = f->parts->views[part];
    atomic_store(&v->item_count, meta.item_count);
    atomic_store(&v->item_size, meta.item_size);
    atomic_store(&v->epoch, f->epoch);
    atomic_store(&v->applied_lsn, o->lsn);
    if (!f->is_commit_held) {
        atomic_store(&v->commit_lsn, o->lsn);
    }
    buf_done(&hold);
}

static void order(struct fake *f, struct region_write *w)
{
    struct ordering o = {.fake = f, .w = w, .batch = engine_batch_new(f->engine)};
    size_t part = part_find(f, w->pid);
    ASSERT(part < f->parts->count);
    ASSERT(w->op_count >= 1);
    ASSERT(w->op_count <= BATCH_OPS_MAX);
    o.lsn = f->next_lsn;
    o.now_s = (uint64_t)(clock_wall_ms() / 1000 + f->ahead_s);
    o.seen = MEM_NEW_ARRAY(struct seen, w->op_count);
    w->err = OK;
    for (size_t i = 0; i < w->op_count && w->err == OK; i++) {
        w->err = order_one(&o, i);
        w->failed_op = i;
    }
    if (w->err == OK && o.changed > 0) {
        f->next_lsn++;
        finish_batch(&o, part);
        w->lsn = o.lsn;
        w->epoch = f->epoch;
        w->token_version = atomic_load(&f->view->token_version);
    }
    for (size_t i = 0; i < o.seen_count; i++) {
        buf_done(&o.seen[i].hold);
    }
    mem_free(o.seen);
    engine_batch_free(o.batch);
    if (w->err == OK && w->pid == 0 && w->lsn != 0) {
        cosmos_metadata_applied(f->cosmos, w->lsn);
    }
}

enum err fake_order(struct fake *f, struct region_write *w)
{
    order(f, w);
    return w->err;
}

static bool backend_write(void *ctx, struct region_write *w)
{
    struct fake *f = ctx;
    if (f->is_write_queue_full) {
        return false;
    }
    f->writes++;
    if (f->on_write) {
        f->on_write(f);
    }
    if (f->write_err != OK) {
        w->err = f->write_err;
    } else {
        order(f, w);
    }
    cosmos_write_done(f->cosmos, w);
    return true;
}

static bool backend_wait(void *ctx, struct region_wait *w)
{
    struct fake *f = ctx;
    if (f->is_wait_queue_full) {
        return false;
    }
    f->waits++;
    if (f->on_wait) {
        f->on_wait(f, w);
    }
    w->err = f->wait_err;
    cosmos_wait_done(f->cosmos, w);
    return true;
}

static void backend_unreadable(void *ctx, pid p, const struct errinfo *ei)
{
    struct fake *f = ctx;
    t_eq_int(ei->code, ERR_CORRUPT);
    f->unreadable = p;
    f->unreadable_count++;
}

/* ---- the HTTP server's side ---- */

struct fake_pending {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool is_answered; /* guarded by lock, as is the answer until then */
    struct fake *fake;
};

struct str http_header(const struct http_req *req, struct str name)
{
    for (size_t i = 0; i < req->header_count; i++) {
        if (str_eq_nocase(req->headers[i].name, name)) {
            return req->headers[i].value;
        }
    }
    return STR_NONE;
}

void http_response_header(struct http_response *r, struct str name, struct str value)
{
    ASSERT(r->header_count < HTTP_RESPONSE_HEADERS_MAX);
    r->headers[r->header_count++] = (struct http_header){name, value};
}

void http_respond(struct http_req *req, struct http_response *res)
{
    struct fake_pending *p = req->user;
    struct fake *f = p->fake;
    pthread_mutex_lock(&p->lock);
    ASSERT(!p->is_answered);
    struct fake_answer *a = &f->answer;
    memset(a, 0, sizeof(*a));
    a->status = res->status;
    a->header_count = res->header_count;
    for (size_t i = 0; i < res->header_count; i++) {
        a->headers[i].name = arena_str(&f->arena, res->headers[i].name);
        a->headers[i].value = arena_str(&f->arena, res->headers[i].value);
    }
    if (res->body) {
        ASSERT(buf_ok(res->body));
        a->body = arena_str(&f->arena, buf_str(res->body));
        buf_clear(res->body);
    } else {
        a->body = arena_str(&f->arena, res->body_copy);
    }
    arena_done(&req->arena); /* as the server does: nothing of the request may be used after this */
    p->is_answered = true;
    pthread_cond_signal(&p->answered);
    pthread_mutex_unlock(&p->lock);
}

/* ---- requests ---- */

static struct str signed_header(struct fake *f, const char *method, struct str path,
                                struct str date)
{
    struct str type = STR("");
    struct str link = path;
    size_t slashes = 0;
    size_t last = 0;
    size_t before = 0;
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '/') {
            slashes++;
            before = last;
            last = i + 1;
        }
    }
    if (path.n > 0 && slashes % 2 == 0) {
        type = str_slice(path, last, path.n);
        link = last > 0 ? str_slice(path, 0, last - 1) : STR("");
    } else if (path.n > 0) {
        type = str_slice(path, before, last - 1 - before);
    }
    if (str_eq(type, STR("offers"))) {
        link = str_slice(link, link.n > 7 ? 7 : link.n, link.n);
    }
    char lower[128];
    size_t n = 0;
    struct str text = arena_printf(&f->arena, "%s %s", method, date.p);
    for (; n < text.n && n < sizeof(lower) - 1; n++) {
        lower[n] = (char)(text.p[n] >= 'A' && text.p[n] <= 'Z' ? text.p[n] + 32 : text.p[n]);
    }
    struct str verb = str_slice(str_make(lower, n), 0, strlen(method));
    struct str when = str_slice(str_make(lower, n), verb.n + 1, n);
    struct buf b;
    struct buf raw;
    uint8_t mac[CRYPTO_SHA256_SIZE];
    buf_init(&b, 64 << 10);
    buf_init(&raw, 256);
    t_check(codec_unbase64(&raw, f->key));
    char *small = arena_cstr(&f->arena, link);
    for (size_t i = 0; str_eq(type, STR("offers")) && small[i]; i++) {
        small[i] = (char)(small[i] >= 'A' && small[i] <= 'Z' ? small[i] + 32 : small[i]);
    }
    buf_printf(&b, STR_FMT "\n" STR_FMT "\n%s\n" STR_FMT "\n\n", STR_ARG(verb), STR_ARG(type),
               small, STR_ARG(when));
    struct crypto_hmac *h = crypto_hmac_new(buf_str(&raw));
    crypto_hmac_sign(h, buf_str(&b), mac);
    crypto_hmac_free(h);
    buf_clear(&b);
    buf_clear(&raw);
    buf_add_cstr(&b, "type=master&ver=1.0&sig=");
    codec_base64(&b, str_make(mac, sizeof(mac)));
    codec_percent_encode(&raw, buf_str(&b));
    struct str ret = arena_str(&f->arena, buf_str(&raw));
    buf_done(&b);
    buf_done(&raw);
    return ret;
}

void fake_header(struct fake *f, const char *name, const char *value)
{
    ASSERT(f->extra_count < FAKE_HEADERS_MAX);
    char *copy = mem_strdup(value); /* the arena is emptied before the request is made */
    f->extra[f->extra_count++] = (struct http_header){str_of(name), str_of(copy)};
}

static void wait_answer(struct fake_pending *p)
{
    struct timespec deadline = cond_after_ms(ANSWER_SECONDS * 1000);
    pthread_mutex_lock(&p->lock);
    while (!p->is_answered) {
        if (!cond_wait_until(&p->answered, &p->lock, &deadline)) {
            t_fail("no answer within %d seconds", ANSWER_SECONDS);
        }
    }
    pthread_mutex_unlock(&p->lock);
}

static void parse_answer(struct fake *f)
{
    struct errinfo ei = {0};
    f->doc = NULL;
    t_checkf(f->answer.status < 400 || f->answer.body.n > 0, "status %d without a body",
             f->answer.status);
    if (f->answer.body.n > 0 && json_parse(&f->arena, f->answer.body, NULL, &f->doc, &ei) != OK) {
        t_fail("the answer is no JSON: %s: " STR_FMT, ei.message,
               STR_ARG(str_slice(f->answer.body, 0, 300)));
    }
}

void fake_send_str(struct fake *f, const char *method, const char *target, struct str body)
{
    struct fake_pending p = {.fake = f};
    struct http_req req = {.method = str_of(method),
                           .target = str_of(target),
                           .body = body,
                           .user = &p,
                           .listener = "east",
                           .received_us = clock_boot_us()};
    struct http_header headers[FAKE_HEADERS_MAX + 2];
    char date[CLOCK_RFC1123_SIZE];
    arena_reset(&f->arena);
    clock_format_rfc1123(clock_wall_ms(), date);
    headers[0] = (struct http_header){STR("x-ms-date"), str_of(date)};
    req.header_count = 1;
    if (f->key.n > 0) {
        struct buf path;
        buf_init(&path, 64 << 10);
        struct str raw = str_of(target);
        while (raw.n > 0 && raw.p[0] == '/') {
            raw = str_slice(raw, 1, raw.n);
        }
        while (raw.n > 0 && raw.p[raw.n - 1] == '/') {
            raw = str_slice(raw, 0, raw.n - 1);
        }
        if (!codec_percent_decode(&path, raw)) {
            buf_clear(&path);
            buf_add_str(&path, raw);
        }
        headers[req.header_count++] = (struct http_header){
            STR("authorization"), signed_header(f, method, buf_str(&path), str_of(date))};
        buf_done(&path);
    }
    for (size_t i = 0; i < f->extra_count; i++) {
        headers[req.header_count++] = f->extra[i];
    }
    req.headers = headers;
    arena_init(&req.arena);
    pthread_mutex_init(&p.lock, NULL);
    cond_init(&p.answered);
    cosmos_handle(f->cosmos, &req);
    wait_answer(&p);
    pthread_mutex_destroy(&p.lock);
    pthread_cond_destroy(&p.answered);
    for (size_t i = 0; i < f->extra_count; i++) {
        mem_free((char *)(uintptr_t)f->extra[i].value.p);
    }
    f->extra_count = 0;
    parse_answer(f);
}

void fake_send(struct fake *f, const char *method, const char *target, const char *body)
{
    fake_send_str(f, method, target, body ? str_of(body) : STR(""));
}

void fake_nested(struct fake *f, const char *method, const char *target, const char *body)
{
    /* The outer request's headers live in the arena and wait in `extra` to be freed. */
    struct arena outer = f->arena;
    size_t extra_count = f->extra_count;
    struct http_header extra[FAKE_HEADERS_MAX];
    memcpy(extra, f->extra, sizeof(extra));
    arena_init(&f->arena);
    f->extra_count = 0;
    fake_send(f, method, target, body);
    arena_done(&f->arena);
    f->arena = outer;
    f->extra_count = extra_count;
    memcpy(f->extra, extra, sizeof(extra));
}

struct str fake_answer_header(const struct fake *f, const char *name)
{
    for (size_t i = 0; i < f->answer.header_count; i++) {
        if (str_eq_nocase(f->answer.headers[i].name, str_of(name))) {
            return f->answer.headers[i].value;
        }
    }
    return STR_NONE;
}

struct str fake_answer_str(const struct fake *f, const char *key)
{
    struct str s = STR("");
    (void)json_get_str(f->doc, str_of(key), &s);
    return s;
}

/* ---- life ---- */

/* As if every log had reached every epoch. */
static uint64_t token_base(const struct account_record *rec)
{
    uint64_t base = 0;
    for (size_t i = 0; i < rec->epoch_count; i++) {
        base = rec->epochs[i].opened.is_lossy ? rec->epochs[i].token_version : base;
    }
    return base;
}

void fake_publish_record(struct fake *f)
{
    atomic_store(&f->view->level, (unsigned)f->rec.level);
    atomic_store(&f->view->token_version, f->rec.token_version);
    for (size_t i = 0; i < f->parts->count; i++) {
        atomic_store(&f->parts->views[i]->token_version, f->rec.token_version);
        atomic_store(&f->parts->views[i]->token_base, token_base(&f->rec));
    }
    atomic_store(&f->view->generation, f->rec.generation);
    cosmos_set_record(f->cosmos, &f->rec);
}

static void make_record(struct fake *f, const struct fake_opts *opts)
{
    static const char *const names[] = {"east", "west", "north"};
    account_init(&f->rec, "acct1", opts->level);
    for (size_t i = 0; i < (opts->is_single_region ? 1U : 3U); i++) {
        char endpoint[64];
        (void)snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%zu/", 8081 + i);
        t_ok(account_add_region(&f->rec, names[i], endpoint, "127.0.0.1:4001", 0, NULL));
    }
    f->rec.writer = f->rec.regions[0].id;
    f->rec.generation = 1;
    f->rec.epoch = 1;
    f->rec.token_version = 1;
    (void)snprintf(f->rec.key[0], sizeof(f->rec.key[0]), "%s", key_base64);
    (void)snprintf(f->rec.key[2], sizeof(f->rec.key[2]), "%s", key_read_base64);
    record_set_state(&f->rec, f->rec.writer, REGION_ONLINE_WRITE, 0);
}

struct fake *fake_new(const struct fake_opts *opts)
{
    struct fake *f = MEM_NEW(struct fake);
    struct errinfo ei = {0};
    region_now.fake = f;
    arena_init(&f->arena);
    f->parts = MEM_NEW(struct fake_parts);
    f->view = MEM_NEW(struct region_view);
    f->key = STR("cHJpbWFyeSBrZXkgb2YgdGhlIGFjY291bnQhISEhISE=");
    f->epoch = 1;
    f->next_lsn = 1;
    struct engine_opts eo = {.driver = STR("mem")};
    t_ok_info(engine_open(&eo, &f->engine, &ei), &ei);
    make_record(f, opts);
    atomic_store(&f->view->role, ROLE_WRITER);
    atomic_store(&f->view->is_single_region, opts->is_single_region);
    atomic_store(&f->view->fresh_until_us, UINT64_MAX);
    f->metadata = region_part(&region_now, 0);
    struct cosmos_service_opts co = {.region = &region_now,
                                     .engine = f->engine,
                                     .backend = {.ctx = f,
                                                 .write = backend_write,
                                                 .wait = backend_wait,
                                                 .unreadable = backend_unreadable},
                                     .region_name = STR("east"),
                                     .rejects_lost_sessions = opts->rejects_lost_sessions};
    t_ok_info(cosmos_service_new(&co, &f->cosmos, &ei), &ei);
    fake_publish_record(f);
    t_ok_info(cosmos_catalog_load(f->cosmos, &ei), &ei);
    return f;
}

pid fake_last_part(const struct fake *f)
{
    return f->parts->views[f->parts->count - 1]->pid;
}

void fake_free(struct fake *f)
{
    if (!f) {
        return;
    }
    cosmos_service_free(f->cosmos);
    engine_close(f->engine);
    for (size_t i = 0; i < f->parts->count; i++) {
        mem_free(f->parts->views[i]);
    }
    mem_free(f->parts);
    mem_free(f->view);
    arena_done(&f->arena);
    mem_free(f);
}
