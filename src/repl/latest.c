/* Which of the operations of a diverged suffix are the last on their item: the setting feed-latest records
 * only those. The reader looks, for it alone has the whole suffix; the writer, which gets it in pieces,
 * is told with each of them (LOST_LATEST). What is kept per item is what the cut needs for its dirty
 * marks as well. Operations that make no record of a lost write do not count: expiry is decided again,
 * and conflict records that were lost are put again as they were. */
#include "base/contract.h"
#include "base/mem.h"
#include "repl/repl_int.h"

struct latest {
    struct map items; /* key -> place of its last operation */
};

static bool is_version(const struct entry *e, const struct entry_op *op)
{
    return op->space == SPACE_ITEM && e->reason != REASON_TTL;
}

/* Never 0, and fits: an lsn has 44 bits. */
static uintptr_t place_of(const struct entry *e, size_t op)
{
    STATIC_ASSERT(LSN_MAX <= UINTPTR_MAX / ENTRY_OPS_MAX, "both fit into a pointer");
    ASSERT(e->lsn > 0 && op < ENTRY_OPS_MAX);
    return (uintptr_t)e->lsn * ENTRY_OPS_MAX + op;
}

enum err latest_new(struct partition *p, lsn from, struct latest **ret, struct errinfo *ei)
{
    struct repl *R = p->repl;
    struct latest *l = MEM_NEW(struct latest);
    map_init(&l->items);
    struct engine_iter *it = engine_scan_log(R->engine, NULL, p->pid, from);
    struct engine_row row;
    enum err e = OK;
    while (e == OK && engine_iter_next(it, &row)) {
        struct entry lost;
        arena_reset(&R->entry_arena);
        e = entry_decode(&R->entry_arena, row.entry, &lost, ei);
        for (size_t i = 0; e == OK && i < lost.op_count; i++) {
            if (is_version(&lost, &lost.ops[i])) {
                (void)map_put(&l->items, lost.ops[i].key, (void *)place_of(&lost, i));
            }
        }
    }
    KEEP_FIRST(e, engine_iter_err(it, ei));
    engine_iter_free(it);
    if (e != OK) {
        latest_free(l);
        return e;
    }
    *ret = l;
    return OK;
}

bool latest_is(const struct latest *l, const struct entry *e, size_t op)
{
    return !is_version(e, &e->ops[op]) ||
           (uintptr_t)map_get(&l->items, e->ops[op].key) == place_of(e, op);
}

void latest_free(struct latest *l)
{
    if (l != NULL) {
        map_done(&l->items);
        mem_free(l);
    }
}
