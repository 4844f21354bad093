/* A process's outputs, the points at which it may be stopped, and which partitions it knows. */
#include <stdio.h>

#include "base/contract.h"
#include "sim/client.h"
#include "sim/coordinator.h"
#include "sim/history.h"
#include "sim/ledger.h"
#include "sim/net.h"
#include "sim/node_int.h"

/* ---- traps ---- */

void node_set_trap(struct node *n, const struct trap *t)
{
    n->trap = *t;
}

bool node_has_trap(const struct node *n)
{
    return n->trap.kinds != 0;
}

void node_trap_point(struct node *n, enum io_kind kind)
{
    struct trap *t = &n->trap;
    if ((t->kinds & (unsigned)kind) == 0 || n->is_dying || n->r == NULL) {
        return;
    }
    if (t->role_mask != 0 && (t->role_mask & (1u << region_role(n->r))) == 0) {
        return;
    }
    if (t->countdown > 1) {
        t->countdown--;
        return;
    }
    struct trap fired = *t;
    *t = (struct trap){0};
    trace(n->w, fired.is_crash ? "trap-crash" : "trap-pause", n->id, (uint64_t)kind, fired.pause_us,
          0);
    if (fired.is_crash) {
        n->is_cut_off = true;
    } else {
        n->skew += fired.pause_us;
    }
}

static bool is_mute(const struct node *n)
{
    return n->is_dying || n->is_cut_off;
}

/* ---- what the core asks for ---- */

static usec io_now(void *ctx)
{
    struct node *n = ctx;
    node_trap_point(n, IO_NOW);
    n->busy_until = node_out_time(n) + (++n->clock_reads % 3 == 0 ? 1 : 0);
    return node_boot_us(n);
}

static int64_t io_wall_ms(void *ctx)
{
    return node_wall_ms(ctx);
}

static void io_commit(void *ctx, struct engine_batch *b, uint64_t ticket)
{
    struct node *n = ctx;
    node_trap_point(n, IO_COMMIT);
    if (is_mute(n)) {
        engine_batch_free(b);
        return;
    }
    trace(n->w, "commit", n->id, ticket, engine_batch_size(b), n->skew);
    disk_submit(&n->disk, b, ticket, node_out_time(n));
}

static void io_send(void *ctx, region_id to, struct str frame)
{
    struct node *n = ctx;
    node_trap_point(n, IO_SEND);
    if (!is_mute(n)) {
        net_send(n->w, n->id, to, frame, node_out_time(n));
    }
}

static void io_txn(void *ctx, const struct coord_txn *t, uint64_t ticket)
{
    struct node *n = ctx;
    node_trap_point(n, IO_TXN);
    if (!is_mute(n)) {
        trace(n->w, "txn-send", n->id, ticket, t->put_count, n->skew);
        coordinator_txn(n->w, n->id, n->life, t, ticket, node_out_time(n),
                        (usec)n->w->cfg.timers.coord_timeout_ms * 1000);
    }
}

static void io_reply(void *ctx, struct region_write *write)
{
    struct node *n = ctx;
    node_trap_point(n, IO_REPLY);
    if (!is_mute(n)) {
        client_write_answered(n->w, n, write);
    }
}

static void io_wait_done(void *ctx, struct region_wait *wait)
{
    struct node *n = ctx;
    if (!is_mute(n)) {
        client_wait_answered(n->w, n, wait);
    }
}

static void io_archive(void *ctx, pid p, struct str entries, uint64_t ticket)
{
    struct node *n = ctx;
    node_trap_point(n, IO_ARCHIVE);
    if (!is_mute(n)) {
        trace(n->w, "archive", n->id, p, entries.n, ticket);
        disk_archive(&n->disk, p, entries, ticket, node_out_time(n));
    }
}

static void io_event(void *ctx, const struct region_event *ev)
{
    struct node *n = ctx;
    if (!n->is_dying) {
        trace_text(n->w, "event", n->id, ev->text);
    }
}

static void io_published(void *ctx)
{
    UNUSED(ctx); /* clients read the record of the process they ask */
}

static void io_metadata_applied(void *ctx, lsn upto)
{
    struct node *n = ctx;
    if (!is_mute(n) && n->r != NULL) {
        node_reload_catalog(n, upto);
        node_drop_partitions(n);
    }
}

static bool io_conflict_build(void *ctx, pid p, const struct entry *lost, size_t op_idx,
                              const struct conflict_note *note, const struct write_place *place,
                              struct buf *out_key, struct buf *out_text, uint64_t *ret_rid)
{
    UNUSED(ctx);
    struct conflict_id id = {
        .pid = p, .epoch = lost->epoch, .lsn = lost->lsn, .op_idx = (unsigned)op_idx};
    char key[64];
    size_t n = conflict_key_format(key, &id);
    buf_add(out_key, key, n);
    uint64_t op_id = 0;
    if (!lost->ops[op_idx].is_delete) {
        (void)text_parse(lost->ops[op_idx].doc.text, &op_id);
    }
    /* Only what does not depend on who sends it when: a record that is built twice is the same. */
    UNUSED(place);
    buf_printf(out_text, "{\"lost\":%llu,\"ack\":%d%s}", (unsigned long long)op_id,
               note->was_acknowledged ? 1 : 0, note->is_applied ? ",\"applied\":1" : "");
    *ret_rid = lost->lsn;
    return true;
}

static bool io_conflict_apply(void *ctx, pid p, const struct entry_op *lost,
                              const struct engine_doc *now, const struct write_place *place,
                              struct buf *out_text)
{
    UNUSED(ctx);
    UNUSED(p);
    UNUSED(now);
    UNUSED(place);
    buf_add_str(out_text, lost->doc.text);
    return true;
}

static void io_fatal(void *ctx, enum err err, const char *why)
{
    struct node *n = ctx;
    if (is_mute(n)) {
        return;
    }
    trace_text(n->w, "fatal", n->id, why);
    /* Unavailable: a removal was lost in a failover while its data were going. The next start goes on. */
    if (!n->disk.was_bad && err != ERR_STALE_GENERATION && err != ERR_UNAVAILABLE) {
        world_fail(n->w, "fatal", "region %u stops itself without a disk fault: %s %s", n->id,
                   err_name(err), why);
    }
    n->has_fatal = true;
}

const struct region_io node_io = {
    .now = io_now,
    .wall_ms = io_wall_ms,
    .commit = io_commit,
    .send = io_send,
    .txn = io_txn,
    .reply = io_reply,
    .wait_done = io_wait_done,
    .archive = io_archive,
    .event = io_event,
    .published = io_published,
    .metadata_applied = io_metadata_applied,
    .conflict_build = io_conflict_build,
    .conflict_apply = io_conflict_apply,
    .fatal = io_fatal,
};

/* ---- catalog: which partitions exist ---- */

/* Metadata documents "c/<pid>" name the partitions. */
static uint32_t read_catalog(struct node *n)
{
    uint32_t parts = 1; /* metadata */
    struct engine_iter *it = engine_scan(n->engine, NULL, 0, SPACE_ITEM, STR("c/"), STR("c0"));
    struct engine_row row;
    while (engine_iter_next(it, &row)) {
        uint64_t p = 0;
        if (str_to_u64(str_slice(row.key, 2, row.key.n), &p) && p < SIM_PARTS_MAX) {
            parts |= 1u << p;
            n->made_at[p] = row.doc.version.lsn;
        }
    }
    engine_iter_free(it);
    return parts;
}

static void note_gone(struct node *n, pid p, lsn at)
{
    if (n->gone_at[p] < at) {
        n->gone_at[p] = at; /* gone, there again, gone again: the last removal counts */
    }
}

/* Partitions without a container: one that a crash left between the loss of the container and the
 * drop, or that the writer of a lost epoch had told us of. One that our metadata may not know yet
 * stays. */
static void note_orphan(void *ctx, pid p)
{
    struct node *n = ctx;
    lsn tail = atomic_load(&region_part(n->r, 0)->applied_lsn);
    if (p != 0 && p < SIM_PARTS_MAX && (n->parts & (1u << p)) == 0 &&
        !history_creates_after(n->w->history, p, tail)) {
        note_gone(n, p, tail);
    }
}

static void note_orphans(struct node *n)
{
    n->parts_seen = region_parts_made(n->r);
    region_each_part(n->r, note_orphan, n);
}

/* As the server does: new containers' partitions are made known to the core; those of containers
 * that are gone (removed, or their making was lost in a failover) are noted, to be dropped once that
 * cannot be taken back. */
void node_reload_catalog(struct node *n, lsn upto)
{
    uint32_t before = n->parts;
    n->parts = read_catalog(n);
    for (pid p = 1; p < SIM_PARTS_MAX; p++) {
        uint32_t bit = 1u << p;
        if ((n->parts & bit) != 0) {
            (void)region_part(n->r, p); /* its view is asked for again by readers */
        } else if ((before & bit) != 0) {
            note_gone(n, p, upto);
        }
    }
    note_orphans(n);
}

void node_drop_partitions(struct node *n)
{
    lsn commit = atomic_load(&region_part(n->r, 0)->commit_lsn);
    unsigned flags = atomic_load(&region_part(n->r, 0)->flags);
    if ((flags & PART_WHOLE) == 0) {
        return; /* a definition may be missing for an instant */
    }
    if ((flags & PART_WRITABLE) == 0 && region_parts_made(n->r) != n->parts_seen) {
        note_orphans(n);
    }
    for (pid p = 1; p < SIM_PARTS_MAX; p++) {
        if ((n->parts & (1u << p)) != 0) {
            n->gone_at[p] = 0; /* taken back */
        } else if (n->gone_at[p] != 0 && n->gone_at[p] <= commit) {
            trace(n->w, "drop", n->id, p, n->gone_at[p], commit);
            n->gone_at[p] = 0;
            region_drop_part(n->r, p);
        }
    }
}
