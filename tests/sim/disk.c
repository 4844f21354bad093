/* The simulated disk: see disk.h. Groups model the commit thread: what queued up while one sync ran
 * goes into the next. Readers of the engine see a group when its sync has ended and not before,
 * which is a little before the core hears of it. */
#include "sim/disk.h"

#include "base/contract.h"
#include "base/mem.h"
#include "sim/history.h"

void disk_init(struct disk *d, struct node *n)
{
    *d = (struct disk){.node = n, .slow_factor = 1};
}

static void item_done(struct disk_item *item)
{
    engine_batch_free(item->batch);
    mem_free(item->entries);
}

static void drop_items(struct disk *d, size_t from)
{
    for (size_t i = from; i < d->count; i++) {
        item_done(&d->items[i]);
    }
    d->count = from;
}

void disk_done(struct disk *d)
{
    drop_items(d, 0);
    mem_free(d->items);
    d->items = NULL;
}

static void kick_later(struct world *w, void *ctx, uint64_t arg)
{
    UNUSED(w);
    UNUSED(arg);
    disk_kick(ctx);
}

static void submit(struct disk *d, const struct disk_item *item)
{
    ASSERT(d->count < DISK_QUEUE_MAX);
    if (d->count == d->cap) {
        d->cap = d->cap > 0 ? d->cap * 2 : 64;
        d->items = mem_realloc(d->items, d->cap * sizeof(struct disk_item));
    }
    struct world *w = node_world(d->node);
    d->items[d->count] = *item;
    d->items[d->count++].since = w->now;
    if (item->ready_at > w->now) {
        world_at(w, item->ready_at, kick_later, d, 0);
    } else {
        disk_kick(d);
    }
}

void disk_submit(struct disk *d, struct engine_batch *b, uint64_t ticket, usec ready_at)
{
    submit(d, &(struct disk_item){.batch = b, .ticket = ticket, .ready_at = ready_at});
}

void disk_archive(struct disk *d, pid p, struct str entries, uint64_t ticket, usec ready_at)
{
    submit(d, &(struct disk_item){.pid = p,
                                  .entries = mem_dup(entries.p, entries.n),
                                  .size = entries.n,
                                  .ticket = ticket,
                                  .ready_at = ready_at});
}

/* The file is there: what is in it counts as kept. */
static void archive_stored(struct disk *d, const struct disk_item *item)
{
    struct str rest = str_make(item->entries, item->size);
    while (rest.n > 0) {
        struct entry e;
        size_t total = 0;
        if (entry_peek(rest, &e, &total, NULL) != OK || total > rest.n) {
            world_fail(node_world(d->node), "archive", "an archive of partition %llu is no log",
                       (unsigned long long)item->pid);
            return;
        }
        history_archived(node_world(d->node)->history, item->pid, (struct spot){e.epoch, e.lsn});
        rest = str_slice(rest, total, rest.n);
    }
    d->archives++;
}

usec disk_owes(const struct disk *d)
{
    return d->count > 0 ? node_world(d->node)->now - d->items[0].since : 0;
}

/* Applies items [0, n) to the engine; errors of guards per item. */
static void apply(struct disk *d, size_t n, enum err *ret_each)
{
    struct world *w = node_world(d->node);
    struct engine_batch *batches[DISK_GROUP_MAX];
    enum err each[DISK_GROUP_MAX];
    size_t map[DISK_GROUP_MAX];
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        ret_each[i] = OK;
        if (d->items[i].batch != NULL) {
            map[k] = i;
            batches[k++] = d->items[i].batch;
        } else {
            archive_stored(d, &d->items[i]);
        }
    }
    if (k == 0) {
        return;
    }
    struct errinfo ei = {0};
    enum err err = engine_apply(node_engine(d->node), batches, k, /* sync= */ true, each, &ei);
    if (err != OK) {
        world_fail(w, "engine", "engine_apply: %s %s", err_name(err), ei.message);
        return;
    }
    for (size_t i = 0; i < k; i++) {
        ret_each[map[i]] = each[i];
    }
    history_capture(w, d->node);
}

static void shift(struct disk *d, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        item_done(&d->items[i]);
    }
    memmove(d->items, d->items + n, (d->count - n) * sizeof(struct disk_item));
    d->count -= n;
}

static void group_done(struct world *w, void *ctx, uint64_t seq)
{
    struct disk *d = ctx;
    if (seq != d->write_seq || d->writing == 0) {
        return; /* a crash came first */
    }
    size_t n = d->writing;
    d->writing = 0;
    ASSERT(n <= d->count && n <= DISK_GROUP_MAX);
    enum err each[DISK_GROUP_MAX] = {0};
    if (d->fails_next || d->is_full) {
        /* Outcome unknown: some of it may be on disk, nobody may look before the restart. */
        enum err err = d->is_full ? ERR_DISK_FULL : ERR_IO;
        d->fails_next = false;
        d->was_bad = true;
        trace(w, "disk-error", node_id(d->node), n, (uint64_t)err, 0);
        uint64_t first = d->items[0].ticket;
        bool is_archive = d->items[0].batch == NULL;
        size_t kept = rng_below(&w->rng, n + 1);
        if (kept > 0) {
            apply(d, kept, each);
        }
        drop_items(d, 0);
        if (is_archive) {
            node_post_archived(d->node, first, err);
        } else {
            node_post_commit(d->node, first, err);
        }
        return;
    }
    apply(d, n, each);
    trace(w, "synced", node_id(d->node), n, d->items[0].ticket, 0);
    for (size_t i = 0; i < n; i++) {
        if (d->items[i].batch != NULL) {
            node_post_commit(d->node, d->items[i].ticket, each[i]);
        } else {
            node_post_archived(d->node, d->items[i].ticket, OK);
        }
    }
    shift(d, n);
    disk_kick(d);
}

void disk_kick(struct disk *d)
{
    struct world *w = node_world(d->node);
    if (d->writing > 0 || d->count == 0 || node_is_paused(d->node)) {
        return;
    }
    size_t n = 0;
    while (n < d->count && n < DISK_GROUP_MAX && d->items[n].ready_at <= w->now) {
        n++;
    }
    if (n == 0) {
        return; /* kicked again when the process goes on */
    }
    d->writing = n;
    usec t = w->cfg.sync_us / 2 + draw_around(&w->rng, w->cfg.sync_us);
    if (draw_percent(&w->rng, 1)) {
        t *= 10;
    }
    world_after(w, t * d->slow_factor, group_done, d, ++d->write_seq);
}

void disk_hurry(struct disk *d)
{
    struct world *w = node_world(d->node);
    if (d->slow_factor > 1 && d->writing > 0) {
        world_after(w, w->cfg.sync_us, group_done, d, ++d->write_seq);
    }
    d->slow_factor = 1;
}

void disk_resume(struct disk *d)
{
    for (size_t i = 0; i < d->count; i++) {
        d->items[i].ready_at = 0; /* the pause may have ended early */
    }
    disk_kick(d);
}

void disk_crash(struct disk *d)
{
    struct world *w = node_world(d->node);
    d->write_seq++;
    if (d->writing > 0) {
        enum err each[DISK_GROUP_MAX];
        size_t kept = rng_below(&w->rng, d->writing + 1);
        trace(w, "disk-crash", node_id(d->node), d->writing, kept, d->count);
        d->writing = 0;
        if (kept > 0) {
            apply(d, kept, each);
        }
    }
    drop_items(d, 0);
    d->was_bad = false;
}
