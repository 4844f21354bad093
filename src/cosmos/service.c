/* Plumbing of the protocol layer: snapshots, answers, waits. See service.h. */
#include "cosmos/service.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/contract.h"
#include "base/log.h"
#include "base/mem.h"
#include "cosmos/service_int.h"
#include "json/json.h"

/* A client's HTTP parser may take no more than 16 KiB of headers. */
enum { TOKEN_RANGES_MAX = 128, TOKEN_SIZE_MAX = TOKEN_RANGES_MAX * 64 };
/* A region that is as far behind as it may be takes a while; SDKs try about nine times. */
enum { THROTTLED_RETRY_MS = 500 };
enum { CATALOG_RETRY_US = 1000000 };

/* ---- snapshots ---- */

static void account_unref(struct account_snap *a)
{
    if (a && atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) == 1) {
        cosmos_auth_free(a->auth);
        explicit_bzero(&a->rec, sizeof(a->rec)); /* holds keys */
        arena_done(&a->arena);
        mem_free(a);
    }
}

/* The newest there is; there is one before the first request is taken. */
static struct account_snap *account_ref(struct cosmos_service *s)
{
    pthread_mutex_lock(&s->lock);
    struct account_snap *a = s->account;
    atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&s->lock);
    return a;
}

void cosmos_set_record(struct cosmos_service *s, const struct account_record *rec)
{
    struct account_snap *fresh = MEM_NEW(struct account_snap);
    atomic_init(&fresh->refs, 1);
    arena_init(&fresh->arena);
    record_copy(&fresh->arena, rec, &fresh->rec);
    const char *keys[4] = {rec->key[0], rec->key[1], rec->key[2], rec->key[3]};
    fresh->auth = cosmos_auth_new(keys);
    pthread_mutex_lock(&s->lock);
    struct account_snap *old = s->account;
    s->account = fresh;
    pthread_mutex_unlock(&s->lock);
    account_unref(old);
}

static void set_catalog(struct cosmos_service *s, struct catalog *fresh)
{
    pthread_mutex_lock(&s->lock);
    struct catalog *old = s->catalog;
    s->catalog = fresh;
    pthread_mutex_unlock(&s->lock);
    catalog_unref(old);
}

static void add_drop(struct cosmos_service *s, pid p, lsn gone_at)
{
    for (size_t i = 0; i < s->drop_count; i++) {
        if (s->drops[i].p == p) { /* gone, there again, gone again: the last removal counts */
            s->drops[i].gone_at = gone_at > s->drops[i].gone_at ? gone_at : s->drops[i].gone_at;
            return;
        }
    }
    if (s->drop_count == s->drop_cap) {
        s->drop_cap = s->drop_cap ? s->drop_cap * 2 : 16;
        s->drops = mem_realloc(s->drops, s->drop_cap * sizeof(s->drops[0]));
    }
    s->drops[s->drop_count].p = p;
    s->drops[s->drop_count++].gone_at = gone_at;
}

static void note_drops(struct cosmos_service *s, const struct catalog *old, lsn upto)
{
    for (struct map_entry *e = old ? map_first(&old->by_pid) : NULL; e; e = map_next(e)) {
        pid p;
        memcpy(&p, map_key(e).p, sizeof(p));
        if (!catalog_by_pid(s->catalog, p)) {
            add_drop(s, p, upto);
        }
    }
}

static void note_orphan(void *ctx, pid p)
{
    struct cosmos_service *s = ctx;
    lsn tail = atomic_load(&s->metadata->applied_lsn);
    if (p != 0 && !catalog_by_pid(s->catalog, p) && catalog_pid_lsn(p) <= tail) {
        add_drop(s, p, tail);
    }
}

/* Partitions that no container has: a crash came between the end of the container and the drop of its
 * data, or the writer of an epoch that was lost had told us of them and its container never came to
 * be. A region that keeps one could never agree with a writer that does not have it, nor a writer with
 * a region that has dropped it. One that the metadata here does not know *yet* (its container was made
 * later than our metadata reaches) is left alone. */
static void note_orphans(struct cosmos_service *s)
{
    s->parts_seen = region_parts_made(s->region);
    region_each_part(s->region, note_orphan, s);
}

enum err cosmos_catalog_load(struct cosmos_service *s, struct errinfo *ei)
{
    struct catalog *fresh = NULL;
    TRY(catalog_load(s->engine, s->region, s->catalog, &fresh, ei));
    set_catalog(s, fresh);
    atomic_store(&s->is_catalog_old, false);
    note_orphans(s);
    return OK;
}

/* A removal that a failover could still take back must not take the data with it; nor one that it has
 * taken back: the container is in the catalog again, and later commits say nothing about it. While the
 * metadata are not whole (a lost suffix is being taken out and what is right fetched), a definition
 * may be missing for an instant. Whether they are served does not matter: a region that is catching up
 * must drop as well, or it could never agree with a writer that has. */
static void do_drops(struct cosmos_service *s)
{
    lsn commit = atomic_load(&s->metadata->commit_lsn);
    size_t kept = 0;
    if ((atomic_load(&s->metadata->flags) & PART_WHOLE) == 0) {
        return;
    }
    for (size_t i = 0; i < s->drop_count; i++) {
        pid p = s->drops[i].p;
        if (catalog_by_pid(s->catalog, p)) {
            continue;
        }
        if (s->drops[i].gone_at <= commit) {
            region_drop_part(s->region, p);
        } else {
            s->drops[kept++] = s->drops[i];
        }
    }
    s->drop_count = kept;
}

/* Containers may have been made or removed that we do not know: nothing can be answered. */
static void catalog_failed(struct cosmos_service *s, const struct errinfo *ei)
{
    if (!atomic_exchange(&s->is_catalog_old, true)) {
        LOG_ERROR("cosmos", "catalog_failed", "error=%s message=\"%s\"", err_name(ei->code),
                  ei->message);
    }
    if (ei->code == ERR_CORRUPT) {
        s->backend.unreadable(s->backend.ctx, 0, ei);
    }
    s->catalog_next_us = clock_boot_us() + CATALOG_RETRY_US;
}

/* Who writes the metadata may tell us of a partition when they say here already that it is gone: nobody would
 * look before they change again, and the region could not agree with the writer, which drops it. */
static void look_for_orphans(struct cosmos_service *s)
{
    unsigned flags = atomic_load(&s->metadata->flags);
    bool is_current = (flags & PART_WHOLE) != 0 && (flags & PART_WRITABLE) == 0;
    if (is_current && !atomic_load(&s->is_catalog_old) &&
        region_parts_made(s->region) != s->parts_seen) {
        note_orphans(s);
    }
}

void cosmos_tick(struct cosmos_service *s)
{
    struct errinfo ei = {0};
    if (atomic_load(&s->is_catalog_old) && clock_boot_us() >= s->catalog_next_us &&
        cosmos_catalog_load(s, &ei) != OK) {
        catalog_failed(s, &ei);
    }
    look_for_orphans(s);
    if (s->drop_count > 0) {
        do_drops(s);
    }
}

void cosmos_metadata_applied(struct cosmos_service *s, lsn upto)
{
    struct errinfo ei = {0};
    struct catalog *old = s->catalog ? catalog_ref(s->catalog) : NULL;
    if (cosmos_catalog_load(s, &ei) != OK) {
        catalog_failed(s, &ei);
    } else {
        note_drops(s, old, upto);
    }
    catalog_unref(old);
    do_drops(s);
}

/* ---- answers ---- */

void op_header(struct op *op, struct str name, struct str value)
{
    http_response_header(&op->res, name, value);
}

/* One client reads header bytes as Latin-1; without the header it takes the path it asked for. */
static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < ' ' || s.p[i] > '~') {
            return false;
        }
    }
    return true;
}

static lsn token_place(const struct op *op, size_t ordinal)
{
    lsn at = atomic_load(&op->coll->parts[ordinal]->applied_lsn);
    return ordinal == op->token_ordinal && op->token_lsn > at ? op->token_lsn : at;
}

/* Every answer has a few numbers in its headers: printf would be felt. */
static struct str number_text(struct op *op, uint64_t v)
{
    struct buf text;
    buf_init(&text, 32);
    buf_add_u64_text(&text, v);
    struct str ret = arena_str(&op->req->arena, buf_str(&text));
    buf_done(&text);
    return ret;
}

/* Two decimals. */
static struct str charge_text(struct op *op)
{
    uint64_t hundredths = (uint64_t)(op->charge * 100 + 0.5);
    struct buf text;
    buf_init(&text, 32);
    buf_add_u64_text(&text, hundredths / 100);
    buf_add_char(&text, '.');
    buf_add_char(&text, (char)('0' + hundredths / 10 % 10));
    buf_add_char(&text, (char)('0' + hundredths % 10));
    struct str ret = arena_str(&op->req->arena, buf_str(&text));
    buf_done(&text);
    return ret;
}

/* A token for each range that was read, so that the next read anywhere is not older. */
static void add_token(struct op *op)
{
    const struct region_view *view = op->service->view;
    bool is_single = atomic_load(&view->is_single_region);
    size_t first = op->token_ordinal < op->coll->part_count ? op->token_ordinal : 0;
    size_t end = first + 1;
    if (op->gate_end > op->gate_first + 1 && op->gate_end - op->gate_first <= TOKEN_RANGES_MAX) {
        first = op->gate_first;
        end = op->gate_end;
    }
    struct buf token;
    buf_init(&token, TOKEN_SIZE_MAX);
    for (size_t i = first; i < end; i++) {
        if (i > first) {
            buf_add_char(&token, ',');
        }
        uint64_t version = atomic_load(&op->coll->parts[i]->token_version);
        session_write(i, is_single, version, token_place(op, i), &token);
    }
    ASSERT(buf_ok(&token));
    op_header(op, STR("x-ms-session-token"), arena_str(&op->req->arena, buf_str(&token)));
    op_header(op, STR("lsn"), number_text(op, token_place(op, first)));
    op_header(op, STR("x-ms-global-committed-lsn"),
              number_text(op, atomic_load(&op->coll->parts[first]->commit_lsn)));
    buf_done(&token);
}

/* The paths of what the answer's resource lies in: a client makes the resource's own link of them. */
static void add_content_paths(struct op *op)
{
    /* In the arena of the container, which goes with the catalog's reference: copied by http_respond. */
    const struct container *c = op->coll;
    bool is_container_itself = op->target.count == 4;
    struct str link = c->link;
    if (is_container_itself) {
        link.n -= STR("/colls/").n + c->id.n;
    }
    op_header(op, STR("x-ms-content-path"), is_container_itself ? c->db_rid : c->rid);
    if (is_plain(link)) {
        op_header(op, STR("x-ms-alt-content-path"), link);
    }
}

void op_answer(struct op *op, int status, struct buf *body)
{
    op->res.status = status;
    op->res.body = body;
    cosmos_common_headers(op->req, &op->res);
    op_header(op, STR("x-ms-request-charge"), charge_text(op));
    if (op->coll) {
        add_token(op);
        add_content_paths(op);
    }
    struct http_req *req = op->req;
    struct http_response res =
        op->res; /* headers point into what is alive until http_respond copied them */
    struct catalog *catalog = op->catalog;
    struct account_snap *account = op->account;
    http_respond(req, &res);
    catalog_unref(catalog);
    account_unref(account);
}

void op_answer_str(struct op *op, int status, struct str text)
{
    struct buf body;
    buf_init(&body, text.n + 1);
    buf_add_str(&body, text);
    op_answer(op, status, &body);
    buf_done(&body);
}

static void fail(struct op *op, int status, int substatus, const struct errinfo *ei)
{
    struct buf body;
    buf_init(&body, 64 << 10);
    cosmos_error_body(status, ei, &body);
    if (substatus != 0) {
        op_header(op, STR("x-ms-substatus"), arena_printf(&op->req->arena, "%d", substatus));
    }
    if (status == 429) {
        op_header(op, STR("x-ms-retry-after-ms"),
                  op->throttled_ms > 0 ? number_text(op, op->throttled_ms) : STR("20"));
    }
    if (op->charge <= 0) {
        op->charge = 1;
    }
    op_answer(op, status, &body);
    buf_done(&body);
}

void op_fail(struct op *op, const struct errinfo *ei)
{
    fail(op, err_http_status(ei->code), err_substatus(ei->code), ei);
}

void op_fail_with(struct op *op, int status, int substatus, const char *fmt, ...)
{
    struct errinfo ei = {.code = ERR_INVALID};
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(ei.message, sizeof(ei.message), fmt, args);
    va_end(args);
    fail(op, status, substatus, &ei);
}

/* ---- reading ---- */

bool op_is_strong(const struct op *op)
{
    return op->level == CONSISTENCY_STRONG;
}

int64_t op_now_s(const struct op *op)
{
    int64_t ahead_ms = atomic_load(&op->service->view->clock_ahead_ms);
    return (clock_wall_ms() - (ahead_ms > 0 ? ahead_ms : 0)) / 1000;
}

/* The partitions that an operation is about: those it was gated for, else all of the container. */
static bool all_parts(const struct op *op,
                      bool (*holds)(const struct region_view *v, const struct part_view *p))
{
    const struct region_view *v = op->service->view;
    bool is_gated = op->gate_end > op->gate_first;
    size_t first = is_gated ? op->gate_first : 0;
    size_t end = is_gated ? op->gate_end : op->coll->part_count;
    for (size_t i = first; i < end; i++) {
        if (!holds(v, op->coll->parts[i])) {
            return false;
        }
    }
    return true;
}

static bool part_is_fresh(const struct region_view *v, const struct part_view *p)
{
    return clock_boot_us() < region_part_fresh_until(v, p);
}

static bool part_is_written(const struct region_view *v, const struct part_view *p)
{
    unsigned flags = atomic_load(&p->flags);
    if ((flags & PART_APART) != 0) {
        return (flags & PART_WRITTEN) != 0;
    }
    unsigned role = atomic_load(&v->role);
    return role == ROLE_WRITER || role == ROLE_HOLDING;
}

static bool is_fresh(const struct op *op)
{
    return op->coll != NULL ? all_parts(op, part_is_fresh)
                            : clock_boot_us() < atomic_load(&op->service->view->fresh_until_us);
}

static bool is_writer(const struct op *op)
{
    unsigned role = atomic_load(&op->service->view->role);
    return op->coll != NULL ? all_parts(op, part_is_written)
                            : role == ROLE_WRITER || role == ROLE_HOLDING;
}

enum err op_check_lease(const struct op *op)
{
    if (op->is_hub_only && !(is_writer(op) && is_fresh(op))) {
        return ERR_NOT_WRITER;
    }
    return op->level >= CONSISTENCY_BOUNDED_STALENESS && !is_fresh(op) ? ERR_UNAVAILABLE : OK;
}

static void wait_submit(struct op *op, const struct region_wait *w, bool resume_on_core,
                        void (*resume)(struct op *, enum err))
{
    op->wait = *w;
    op->wait.user = op;
    op->resume = resume;
    op->resume_on_core = resume_on_core;
    if (!op->service->backend.wait(op->service->backend.ctx, &op->wait)) {
        op_fail_with(op, 429, 3200, "too many requests wait already");
    }
}

static void gate_continue(struct op *op);

static bool is_session_read(const struct op *op)
{
    return op->session.n > 0 && op->level != CONSISTENCY_EVENTUAL &&
           op->level != CONSISTENCY_CONSISTENT_PREFIX;
}

/* Whether a failover cut this place off: it lies between the last entry that survived and the first
 * one of the epoch that was lossy. */
static bool is_cut_off(const struct op *op, pid p, lsn at)
{
    const struct account_record *rec = &op->account->rec;
    const struct record_override *o = record_override(rec, p);
    if (o != NULL && o->opened.is_lossy && at < o->start_lsn && at > o->branch.lsn) {
        return true;
    }
    for (size_t i = 0; i < rec->epoch_count; i++) {
        const struct record_epoch *e = &rec->epochs[i];
        for (size_t k = 0; e->opened.is_lossy && at < e->start_lsn && k < e->branch_count; k++) {
            if (e->branches[k].pid == p && at > e->branches[k].lsn) {
                return true;
            }
        }
    }
    return false;
}

/* Each such request is counted and logged, and the client is told, one way or the other. */
static enum err note_loss(struct op *op, pid p, const struct session_need *need, struct errinfo *ei)
{
    struct cosmos_service *s = op->service;
    op->is_session_lost = true;
    op_header(op, STR("x-hf-session-loss"), STR("1"));
    atomic_fetch_add_explicit(&s->sessions_lost, 1, memory_order_relaxed);
    LOG_WARN("cosmos", "session_loss",
             "partition=%" PRIu64 " version=%" PRIu64 " lsn=%" PRIu64 " answer=%s", p,
             need->version, need->lsn, s->rejects_lost_sessions ? "refused" : "accepted");
    if (!s->rejects_lost_sessions) {
        return OK;
    }
    atomic_fetch_add_explicit(&s->sessions_rejected, 1, memory_order_relaxed);
    return err_set(ei, ERR_SESSION_BEHIND,
                   "The read session is not available for the input session token: a failover cut "
                   "off what it names.");
}

/* True when the session header asks for more than this range has. A token of an older version was
 * overtaken by a failover: it is accepted, and said so when what it names was lost. */
static enum err needs_wait(struct op *op, size_t ordinal, struct region_wait *ret, bool *ret_needed,
                           struct errinfo *ei)
{
    struct session_need need = {0};
    *ret_needed = false;
    if (!is_session_read(op)) {
        return OK;
    }
    TRY(session_parse(op->session, ordinal, &need, ei));
    if (!need.is_given) {
        return OK;
    }
    const struct part_view *part = op->coll->parts[ordinal];
    /* Place before version: who sees the place of a new epoch must see its version too. */
    lsn applied = atomic_load(&part->applied_lsn);
    uint64_t version = atomic_load(&part->token_version);
    bool is_ahead = need.has_version && need.version > version;
    bool is_superseded = need.has_version && need.version < atomic_load(&part->token_base);
    if (is_superseded && !op->is_session_lost && is_cut_off(op, part->pid, need.lsn)) {
        TRY(note_loss(op, part->pid, &need, ei));
    }
    if (is_ahead || (!is_superseded && need.lsn > applied)) {
        *ret = (struct region_wait){.pid = part->pid,
                                    .kind = WAIT_APPLIED,
                                    .lsn = need.lsn,
                                    .token_version = need.has_version ? need.version : 0,
                                    .deadline_us =
                                        op->req->received_us + SESSION_WAIT_MS * UINT64_C(1000)};
        *ret_needed = true;
    }
    return OK;
}

static void gate_waited(struct op *op, enum err err)
{
    struct errinfo ei = {0};
    struct region_wait again;
    bool is_needed = false;
    op->token_ordinal = op->gate_next;
    if (err != OK) {
        err_set(&ei, err, "The read session is not available for the input session token.");
        op_fail(op, &ei);
        return;
    }
    /* The version may have grown meanwhile: for the note about a loss. */
    if (needs_wait(op, op->gate_next, &again, &is_needed, &ei) != OK) {
        op_fail(op, &ei);
        return;
    }
    op->gate_next++;
    gate_continue(op);
}

enum err op_check_readable(const struct op *op, const struct part_view *view, struct errinfo *ei)
{
    if ((atomic_load(&view->flags) & PART_READABLE) != 0) {
        return OK;
    }
    unsigned role = atomic_load(&op->service->view->role);
    bool is_member = role == ROLE_READER || role == ROLE_WRITER || role == ROLE_HOLDING ||
                     role == ROLE_TAKING || role == ROLE_PROMOTING;
    return is_member ? err_set(ei, ERR_UNAVAILABLE, "this range cannot be read here now")
                     : err_set(ei, ERR_REGION_GONE, "this region is not part of the account now");
}

static void gate_continue(struct op *op)
{
    struct errinfo ei = {0};
    for (; op->gate_next < op->gate_end; op->gate_next++) {
        struct region_wait wait;
        bool is_needed = false;
        op->token_ordinal = op->gate_next;
        if (op_check_readable(op, op->coll->parts[op->gate_next], &ei) != OK) {
            op_fail(op, &ei);
            return;
        }
        if (needs_wait(op, op->gate_next, &wait, &is_needed, &ei) != OK) {
            op_fail(op, &ei);
            return;
        }
        if (is_needed) {
            wait_submit(op, &wait, false, gate_waited);
            return;
        }
    }
    op->token_ordinal = op->gate_first;
    op->gated(op);
}

void op_gate(struct op *op, size_t first, size_t end, void (*gated)(struct op *op))
{
    struct errinfo ei = {0};
    op->gate_first = first;
    op->gate_next = first;
    op->gate_end = end;
    op->gated = gated;
    op->is_hub_only = op_flag(op, STR("x-ms-cosmos-hub-region-processing-only"));
    enum err err = op_check_lease(op);
    if (err == ERR_NOT_WRITER) {
        err_set(&ei, err, "this region is not the write region");
        op_fail(op, &ei);
    } else if (err != OK) {
        err_set(&ei, err, "this region holds no read lease now");
        op_fail(op, &ei);
    } else {
        gate_continue(op);
    }
}

enum err op_note_unreadable(struct op *op, pid p, struct errinfo *ei)
{
    if (ei->code == ERR_CORRUPT) {
        op->service->backend.unreadable(op->service->backend.ctx, p, ei);
        *ei = (struct errinfo){0}; /* it names keys: for the log, not for clients */
        (void)err_set(ei, ERR_UNAVAILABLE, "this range cannot be read here now");
    }
    return ei->code;
}

bool op_is_readable(const struct op *op, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        if ((atomic_load(&op->coll->parts[i]->flags) & PART_READABLE) == 0) {
            return false;
        }
    }
    return true;
}

enum err op_resume(const struct op *op, pid p, struct str extra, lsn after, lsn *ret,
                   struct errinfo *ei)
{
    struct account_snap *account = account_ref(op->service);
    struct repl_opening known[RECORD_OPENINGS_MAX];
    size_t n = record_openings(&account->rec, p, known);
    account_unref(account);
    return repl_resume(extra, known, n, after, ret, ei);
}

void op_confirm(struct op *op, size_t ordinal, lsn need, void (*go)(struct op *op, enum err err))
{
    const struct part_view *view = op->coll->parts[ordinal];
    if (!op_is_readable(op, ordinal, ordinal + 1)) {
        go(op, ERR_UNAVAILABLE);
        return;
    }
    if (!op_is_strong(op) || need <= atomic_load(&view->commit_lsn)) {
        go(op, op_check_lease(op));
        return;
    }
    struct region_wait w = {.pid = view->pid,
                            .kind = WAIT_COMMIT,
                            .lsn = need,
                            .deadline_us = clock_boot_us() + COMMIT_WAIT_MS * UINT64_C(1000)};
    wait_submit(op, &w, true, go);
}

/* ---- the worker that takes up reads after a wait ---- */

static void *worker_main(void *ctx)
{
    struct cosmos_service *s = ctx;
    pthread_mutex_lock(&s->queue_lock);
    for (;;) {
        struct list *first = list_pop_front(&s->queue);
        if (first) {
            pthread_mutex_unlock(&s->queue_lock);
            struct op *op = LIST_ENTRY(first, struct op, link);
            op->resume(op, op->wait.err);
            pthread_mutex_lock(&s->queue_lock);
        } else if (s->is_ending) {
            break;
        } else {
            pthread_cond_wait(&s->queue_wake, &s->queue_lock);
        }
    }
    pthread_mutex_unlock(&s->queue_lock);
    return NULL;
}

static void queue_push(struct cosmos_service *s, struct op *op)
{
    pthread_mutex_lock(&s->queue_lock);
    list_push_back(&s->queue, &op->link);
    pthread_cond_signal(&s->queue_wake);
    pthread_mutex_unlock(&s->queue_lock);
}

void cosmos_wait_done(struct cosmos_service *s, struct region_wait *w)
{
    struct op *op = w->user;
    if (op->resume_on_core) {
        /* A commit wait: the answer is ready, only the lease is left to check. */
        op->resume(op, w->err != OK ? w->err : op_check_lease(op));
        return;
    }
    queue_push(s, op);
}

void op_later(struct op *op, void (*go)(struct op *op, enum err err))
{
    op->resume = go;
    op->wait.err = OK;
    queue_push(op->service, op);
}

void cosmos_counts(struct cosmos_service *s, struct cosmos_counts *ret)
{
    ret->sessions_lost = atomic_load_explicit(&s->sessions_lost, memory_order_relaxed);
    ret->sessions_rejected = atomic_load_explicit(&s->sessions_rejected, memory_order_relaxed);
}

void cosmos_write_done(struct cosmos_service *s, struct region_write *w)
{
    UNUSED(s);
    struct write_user *u = w->user;
    if (w->err == ERR_STALENESS_LIMIT) {
        u->op->throttled_ms = THROTTLED_RETRY_MS;
    }
    u->done(w);
}

/* ---- life ---- */

enum err cosmos_service_new(const struct cosmos_service_opts *opts, struct cosmos_service **ret,
                            struct errinfo *ei)
{
    UNUSED(ei);
    struct cosmos_service *s = MEM_NEW(struct cosmos_service);
    s->engine = opts->engine;
    s->region = opts->region;
    s->view = region_view(opts->region);
    s->metadata = region_part(opts->region, 0);
    s->backend = opts->backend;
    s->rejects_lost_sessions = opts->rejects_lost_sessions;
    ASSERT(opts->region_name.n < sizeof(s->region_name));
    memcpy(s->region_name, opts->region_name.p, opts->region_name.n);
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->queue_lock, NULL);
    pthread_cond_init(&s->queue_wake, NULL);
    list_init(&s->queue);
    int failed = pthread_create(&s->worker, NULL, worker_main, s);
    ASSERT(failed == 0);
    *ret = s;
    return OK;
}

void cosmos_stopping(struct cosmos_service *s)
{
    atomic_store(&s->is_stopping, true);
}

void cosmos_service_free(struct cosmos_service *s)
{
    if (!s) {
        return;
    }
    pthread_mutex_lock(&s->queue_lock);
    s->is_ending = true;
    pthread_cond_signal(&s->queue_wake);
    pthread_mutex_unlock(&s->queue_lock);
    pthread_join(s->worker, NULL);
    catalog_unref(s->catalog);
    account_unref(s->account);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->queue_lock);
    pthread_cond_destroy(&s->queue_wake);
    mem_free(s->drops);
    mem_free(s);
}
