/* Expiry (geo-semantics 9.5): only the writer decides that a document has expired, by writing its
 * deletion; everyone hides it meanwhile. Partitions without documents that expire cost nothing. */
#include <string.h>

#include "base/contract.h"
#include "repl/repl_int.h"
#include "repl/staleness.h"

enum {
    TTL_LAG_PERCENT_MAX = 80, /* no purge where clients' writes are delayed */
    TTL_STEP_MS = 500,        /* the wall clock moves otherwise than time does by more: a step */
    TTL_STEP_HOLD_MS = 15000, /* then the other regions' clocks have their say first */
};

void ttl_note(struct partition *p, uint64_t expire_at)
{
    if (expire_at == 0) {
        return;
    }
    if (list_is_empty(&p->ttl_link)) {
        list_push_back(&p->repl->ttl_list, &p->ttl_link);
        p->ttl_next = expire_at;
    } else if (expire_at < p->ttl_next) {
        p->ttl_next = expire_at;
    }
}

enum err ttl_delete(struct partition *p, const struct msg_key *keys, size_t n)
{
    struct repl *R = p->repl;
    ASSERT(p->mode->kind == REPL_WRITER);
    ASSERT(n >= 1 && n <= TTL_OPS_MAX);
    if (p->tail.lsn + 1 >= p->mode->lsn_limit) {
        return ERR_UNAVAILABLE;
    }
    int64_t wall_ms = R->io.wall_ms(R->io.ctx);
    uint64_t now_s = wall_ms > 0 ? (uint64_t)wall_ms / 1000 : 0;
    struct arena a;
    arena_init(&a);
    struct entry_op *ops = ARENA_NEW_ARRAY(&a, struct entry_op, n);
    size_t count = 0;
    enum err ret = OK;
    struct buf hold;
    buf_init(&hold, ENGINE_DOC_SIZE_MAX + ENGINE_UNIQUE_MAX * (ENGINE_KEY_SIZE_MAX + 8));
    for (size_t i = 0; i < n && ret == OK; i++) {
        struct engine_doc doc = {0};
        const struct ov_node *o =
            ov_find(p, keys[i].space, keys[i].key, ov_hash(keys[i].space, keys[i].key));
        if (o != NULL) {
            if (o->is_absent) {
                continue;
            }
            doc = o->doc;
        } else {
            struct errinfo ei = {0};
            buf_clear(&hold);
            ret = engine_get(R->engine, NULL, p->pid, keys[i].space, keys[i].key,
                             /* want_text= */ false, &hold, &doc, &ei);
            if (ret == ERR_NOT_FOUND) {
                ret = OK;
                continue;
            }
            if (ret != OK) {
                part_corrupt(p, "expired document", &ei);
                break;
            }
        }
        if (doc.version.expire_at == 0 || doc.version.expire_at > now_s) {
            continue; /* changed meanwhile */
        }
        struct entry_op *op = &ops[count++];
        *op = (struct entry_op){.is_delete = true,
                                .space = keys[i].space,
                                .key = arena_str(&a, keys[i].key),
                                .old = doc.version};
        struct str *u = ARENA_NEW_ARRAY(&a, struct str, doc.version.unique_count + 1);
        for (size_t k = 0; k < doc.version.unique_count; k++) {
            u[k] = arena_str(&a, doc.version.uniques[k]);
        }
        op->old.uniques = u;
    }
    if (ret == OK && count > 0) {
        struct entry e = {.kind = ENTRY_WRITE,
                          .reason = REASON_TTL,
                          .lsn = p->tail.lsn + 1,
                          .hlc = repl_next_hlc(R, wall_ms),
                          .ts = now_s,
                          .op_count = count,
                          .ops = ops};
        part_write(p, &e);
        R->stats.purged += count;
    }
    buf_done(&hold);
    arena_done(&a);
    return ret;
}

/* Deletes up to TTL_TURN_MAX expired documents. Those that the overlay knows are left: the index
 * is behind for them. */
static void purge(struct partition *p, uint64_t now_s)
{
    struct repl *R = p->repl;
    struct arena a;
    arena_init(&a);
    struct msg_key *keys = ARENA_NEW_ARRAY(&a, struct msg_key, TTL_TURN_MAX);
    size_t n = 0;
    struct engine_iter *it = engine_scan_expiry(R->engine, NULL, p->pid, now_s);
    struct engine_row row;
    while (n < TTL_TURN_MAX && engine_iter_next(it, &row)) {
        if (ov_find(p, SPACE_ITEM, row.key, ov_hash(SPACE_ITEM, row.key)) == NULL) {
            keys[n++] = (struct msg_key){SPACE_ITEM, arena_str(&a, row.key)};
        }
    }
    struct errinfo ei = {0};
    enum err e = engine_iter_err(it, &ei);
    engine_iter_free(it);
    if (e != OK) {
        part_corrupt(p, "expiry index", &ei);
    }
    for (size_t at = 0; at < n && e == OK; at += TTL_OPS_MAX) {
        e = ttl_delete(p, keys + at, n - at < TTL_OPS_MAX ? n - at : TTL_OPS_MAX);
    }
    arena_done(&a);
}

/* When the next one expires, from the index; 0 = no document expires. */
static uint64_t next_expiry(struct partition *p)
{
    struct engine_iter *it = engine_scan_expiry(p->repl->engine, NULL, p->pid, UINT64_MAX);
    struct engine_row row;
    uint64_t at = engine_iter_next(it, &row) ? row.expire_at : 0;
    engine_iter_free(it);
    return at;
}

void repl_set_clock_ahead(struct repl *R, int64_t ahead_ms)
{
    R->clock_ahead_ms = ahead_ms;
}

/* A deletion cannot be taken back, so it waits while the wall clock is not to be believed: it is an hour
 * ahead when somebody has put it there by mistake, and documents would go an hour early. */
static bool may_purge(struct repl *R, usec now, int64_t wall_ms)
{
    int64_t off_ms = wall_ms - (int64_t)(now / 1000);
    int64_t step_ms = off_ms - R->wall_off_ms;
    bool is_first = R->wall_off_ms == 0;
    R->wall_off_ms = off_ms;
    if (!is_first && (step_ms > TTL_STEP_MS || step_ms < -TTL_STEP_MS)) {
        R->ttl_hold_us = now + TTL_STEP_HOLD_MS * UINT64_C(1000);
    }
    return R->clock_ahead_ms == 0 && now >= R->ttl_hold_us;
}

void ttl_tick(struct repl *R)
{
    usec now = R->io.now(R->io.ctx);
    if (now < R->ttl_us) {
        return;
    }
    R->ttl_us = now + R->timers.ttl_purge_ms * UINT64_C(1000);
    int64_t wall_ms = R->io.wall_ms(R->io.ctx);
    if (!may_purge(R, now, wall_ms)) {
        return;
    }
    uint64_t now_s = wall_ms > 0 ? (uint64_t)wall_ms / 1000 : 0;
    LIST_FOR_SAFE(l, &R->ttl_list) {
        struct partition *p = LIST_ENTRY(l, struct partition, ttl_link);
        if (p->ttl_next > now_s || p->mode->kind != REPL_WRITER || p->mode->is_holding ||
            p->is_corrupt) {
            continue;
        }
        uint64_t at = next_expiry(p);
        struct repl_staleness s;
        repl_staleness(p, p->mode->strong_mask, &s);
        if (at != 0 && at <= now_s && repl_staleness_percent(p, &s, NULL) < TTL_LAG_PERCENT_MAX) {
            purge(p, now_s);
        }
        if (p->overlay.count > 0 || (at != 0 && at <= now_s)) {
            p->ttl_next = now_s + 1; /* the index does not show the newest versions: look again */
        } else if (at == 0) {
            list_remove(&p->ttl_link);
        } else {
            p->ttl_next = at;
        }
    }
}
