/* All log entries of a run: see history.h. */
#include "sim/history.h"

#include <stdio.h>

#include "base/contract.h"
#include "base/mem.h"

struct history *history_new(void)
{
    struct history *h = MEM_NEW(struct history);
    arena_init(&h->arena);
    buf_init(&h->hold, ENGINE_ENTRY_SIZE_MAX);
    return h;
}

void history_free(struct history *h)
{
    if (h == NULL) {
        return;
    }
    for (size_t p = 0; p < SIM_PARTS_MAX; p++) {
        struct hist_part *part = &h->parts[p];
        for (size_t i = 0; i < part->count; i++) {
            mem_free(part->entries[i]->ops);
            mem_free(part->entries[i]);
        }
        mem_free(part->entries);
        for (size_t k = 0; k < SIM_KEYS; k++) {
            mem_free(part->keys[k].v);
        }
    }
    mem_free(h->archived);
    buf_done(&h->hold);
    arena_done(&h->arena);
    mem_free(h);
}

/* Index of the first entry with lsn >= at. */
static size_t entry_idx(const struct hist_part *part, lsn at)
{
    size_t lo = 0;
    size_t hi = part->count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (part->entries[mid]->at.lsn < at) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

const struct hist_entry *history_find(const struct history *h, pid p, lsn at)
{
    const struct hist_part *part = &h->parts[p];
    size_t i = entry_idx(part, at);
    return i < part->count && part->entries[i]->at.lsn == at ? part->entries[i] : NULL;
}

static const struct hist_epoch *find_epoch(const struct hist_part *part, epoch e)
{
    for (size_t i = part->epoch_count; i-- > 0;) {
        if (part->epochs[i].epoch == e) {
            return &part->epochs[i];
        }
    }
    return NULL;
}

/* The last place before this place's epoch began. An epoch nobody has an entry of began nowhere. */
static struct spot before_epoch(const struct hist_part *part, struct spot at)
{
    const struct hist_epoch *e = find_epoch(part, at.epoch);
    return e != NULL ? e->prev : (struct spot){0, 0};
}

struct spot history_common(const struct history *h, pid p, struct spot a, struct spot b)
{
    const struct hist_part *part = &h->parts[p];
    while (a.epoch != b.epoch) {
        if (a.epoch > b.epoch) {
            a = before_epoch(part, a);
        } else {
            b = before_epoch(part, b);
        }
    }
    return a.lsn < b.lsn ? a : b;
}

bool history_contains(const struct history *h, pid p, struct spot tail, struct spot at)
{
    struct spot c = history_common(h, p, tail, at);
    return c.epoch == at.epoch && c.lsn == at.lsn;
}

uint64_t history_value(const struct history *h, pid p, uint16_t key, struct spot tail,
                       struct spot *ret_at)
{
    const struct hist_part *part = &h->parts[p];
    for (size_t i = part->keys[key].count; i-- > 0;) {
        const struct hist_version *v = &part->keys[key].v[i];
        if (v->at.lsn <= tail.lsn && history_contains(h, p, tail, v->at)) {
            if (ret_at != NULL) {
                *ret_at = v->at;
            }
            return v->value;
        }
    }
    if (ret_at != NULL) {
        *ret_at = (struct spot){0, 0};
    }
    return 0;
}

bool history_creates_after(const struct history *h, pid p, lsn after)
{
    const struct hist_part *meta = &h->parts[0];
    for (size_t i = entry_idx(meta, after + 1); i < meta->count; i++) {
        for (size_t k = 0; k < meta->entries[i]->op_count; k++) {
            if (meta->entries[i]->ops[k].creates == p) {
                return true;
            }
        }
    }
    return false;
}

enum container_state history_container(const struct history *h, pid p, struct spot tail)
{
    const struct hist_part *meta = &h->parts[0];
    for (size_t i = entry_idx(meta, tail.lsn + 1); i-- > 0;) {
        const struct hist_entry *e = meta->entries[i];
        for (size_t k = e->op_count; k-- > 0;) {
            bool is_about = e->ops[k].creates == p || e->ops[k].removes == p;
            if (is_about && history_contains(h, 0, tail, e->at)) {
                return e->ops[k].creates == p ? CONTAINER_THERE : CONTAINER_GONE;
            }
        }
    }
    return CONTAINER_NEVER;
}

struct spot history_newest(const struct history *h, pid p)
{
    const struct hist_part *part = &h->parts[p];
    return part->count > 0 ? part->entries[part->count - 1]->at : (struct spot){0, 0};
}

static bool is_spared(const struct hist_reign *r, pid p)
{
    return (r->spares & (1u << p)) != 0;
}

/* Where the history before this reign ended, in this partition. */
static struct spot branch_of(const struct hist_reign *r, pid p)
{
    for (size_t b = 0; b < r->branch_count; b++) {
        if (r->branches[b].pid == p) {
            return (struct spot){r->branches[b].epoch, r->branches[b].lsn};
        }
    }
    return (struct spot){0, 0}; /* not named: the partition was empty there */
}

/* A row's writer orders on while it opens an epoch of the account, whose record then names an earlier end. The
 * row may be of an epoch that was once the account's. */
static bool is_own_row(const struct hist_reign *by, pid p, epoch e)
{
    return e != 0 && by->folds[p] == e;
}

/* Is the spot in the history that a reign goes on from? Where it ends in an entry that nobody has stored yet,
 * as the first one of a row's epoch right before the account's, in the history of that one's reign. */
static bool goes_on_from(const struct history *h, const struct hist_reign *r, pid p, struct spot at)
{
    struct spot branch = branch_of(r, p);
    if (history_contains(h, p, branch, at)) {
        return true;
    }
    bool is_stored = branch.lsn == 0 || history_find(h, p, branch.lsn) != NULL;
    for (size_t i = 0; i < h->reign_count && !is_stored; i++) {
        const struct hist_reign *before = &h->reigns[i];
        if (before->epoch == branch.epoch && before->epoch < r->epoch && !is_spared(before, p)) {
            return goes_on_from(h, before, p, at);
        }
    }
    return false;
}

bool history_allows(const struct history *h, pid p, generation g, struct spot at)
{
    bool is_open = false;
    for (size_t i = 0; i < h->reign_count; i++) {
        const struct hist_reign *r = &h->reigns[i];
        if (r->generation != g || is_spared(r, p)) {
            continue;
        }
        is_open = true;
        if (at.epoch == r->epoch || is_own_row(r, p, at.epoch) ||
            (at.epoch < r->epoch && goes_on_from(h, r, p, at))) {
            return true;
        }
    }
    return !is_open;
}

const struct hist_reign *history_loser(const struct history *h, pid p, struct spot at)
{
    for (size_t i = 0; i < h->reign_count; i++) {
        const struct hist_reign *r = &h->reigns[i];
        if (!is_spared(r, p) && r->epoch > at.epoch &&
            !history_contains(h, p, branch_of(r, p), at)) {
            return r;
        }
    }
    return NULL;
}

struct spot history_surviving(const struct history *h, pid p, struct spot at, uint64_t from,
                              uint64_t to)
{
    for (size_t i = 0; i < h->reign_count; i++) {
        const struct hist_reign *r = &h->reigns[i];
        if (!is_spared(r, p) && r->is_lossy && r->version > from && r->version <= to) {
            at = history_common(h, p, at, branch_of(r, p));
        }
    }
    return at;
}

/* ---- adding ---- */

static void add_version(struct hist_part *part, uint16_t key, struct hist_version v)
{
    if (part->keys[key].count == part->keys[key].cap) {
        part->keys[key].cap = part->keys[key].cap > 0 ? part->keys[key].cap * 2 : 64;
        part->keys[key].v =
            mem_realloc(part->keys[key].v, part->keys[key].cap * sizeof(struct hist_version));
    }
    size_t i = part->keys[key].count++;
    struct hist_version *all = part->keys[key].v;
    while (i > 0 && all[i - 1].at.lsn > v.at.lsn) {
        all[i] = all[i - 1];
        i--;
    }
    all[i] = v;
}

static bool add_epoch(struct hist_part *part, const struct hist_entry *e, char why[256])
{
    for (size_t i = 0; i < part->epoch_count; i++) {
        struct hist_epoch *known = &part->epochs[i];
        if (known->epoch != e->at.epoch) {
            continue;
        }
        if (e->prev.epoch == e->at.epoch) {
            return true;
        }
        if (known->first_lsn == e->at.lsn) {
            return true;
        }
        (void)snprintf(why, 256, "epoch %llu starts twice: at %llu and at %llu",
                       (unsigned long long)e->at.epoch, (unsigned long long)known->first_lsn,
                       (unsigned long long)e->at.lsn);
        return false;
    }
    if (e->prev.epoch == e->at.epoch) {
        (void)snprintf(why, 256, "entry %llu/%llu without the epoch's first one",
                       (unsigned long long)e->at.epoch, (unsigned long long)e->at.lsn);
        return false;
    }
    ASSERT(part->epoch_count < HIST_EPOCHS_MAX);
    size_t i = part->epoch_count++;
    while (i > 0 && part->epochs[i - 1].epoch > e->at.epoch) {
        part->epochs[i] = part->epochs[i - 1];
        i--;
    }
    part->epochs[i] =
        (struct hist_epoch){.epoch = e->at.epoch, .first_lsn = e->at.lsn, .prev = e->prev};
    return true;
}

bool history_add(struct history *h, pid p, const struct hist_entry *e, char why[256])
{
    ASSERT(p < SIM_PARTS_MAX);
    struct hist_part *part = &h->parts[p];
    const struct hist_entry *known = history_find(h, p, e->at.lsn);
    if (known != NULL) {
        bool is_same = known->bytes_hash == e->bytes_hash && known->at.epoch == e->at.epoch;
        mem_free(e->ops);
        if (!is_same) {
            (void)snprintf(why, 256, "partition %llu lsn %llu has two contents (epochs %llu, %llu)",
                           (unsigned long long)p, (unsigned long long)e->at.lsn,
                           (unsigned long long)known->at.epoch, (unsigned long long)e->at.epoch);
        }
        return is_same;
    }
    if (e->prev.lsn != 0) {
        const struct hist_entry *prev = history_find(h, p, e->prev.lsn);
        if (prev == NULL || prev->at.epoch != e->prev.epoch || prev->ord + 1 != e->ord ||
            e->prev.lsn >= e->at.lsn || e->prev.epoch > e->at.epoch) {
            mem_free(e->ops);
            (void)snprintf(why, 256, "partition %llu entry %llu/%llu does not follow %llu/%llu",
                           (unsigned long long)p, (unsigned long long)e->at.epoch,
                           (unsigned long long)e->at.lsn, (unsigned long long)e->prev.epoch,
                           (unsigned long long)e->prev.lsn);
            return false;
        }
    }
    if (!add_epoch(part, e, why)) {
        mem_free(e->ops);
        return false;
    }
    if (part->count == part->cap) {
        part->cap = part->cap > 0 ? part->cap * 2 : 256;
        part->entries = mem_realloc(part->entries, part->cap * sizeof(struct hist_entry *));
    }
    size_t at = entry_idx(part, e->at.lsn);
    memmove(part->entries + at + 1, part->entries + at,
            (part->count - at) * sizeof(struct hist_entry *));
    part->entries[at] = mem_dup(e, sizeof(*e));
    part->count++;
    for (size_t i = 0; i < e->op_count; i++) {
        if (e->ops[i].space == SPACE_ITEM && e->ops[i].key != HIST_KEY_NONE) {
            add_version(part, e->ops[i].key,
                        (struct hist_version){.at = e->at, .value = e->ops[i].value});
        }
    }
    return true;
}

void history_add_reign(struct history *h, const struct hist_reign *r)
{
    ASSERT(h->reign_count < HIST_EPOCHS_MAX);
    ASSERT(h->reign_count == 0 || h->reigns[h->reign_count - 1].epoch < r->epoch);
    h->reigns[h->reign_count++] = *r;
    if (r->version > h->version) {
        h->version = r->version;
    }
}

/* ---- archives and conflict records ---- */

void history_archived(struct history *h, pid p, struct spot at)
{
    if (h->archived_count == h->archived_cap) {
        h->archived_cap = h->archived_cap > 0 ? h->archived_cap * 2 : 64;
        h->archived = mem_realloc(h->archived, h->archived_cap * sizeof(h->archived[0]));
    }
    h->archived[h->archived_count++] = (struct archived){p, at};
}

bool history_is_archived(const struct history *h, pid p, struct spot at)
{
    for (size_t i = 0; i < h->archived_count; i++) {
        const struct archived *a = &h->archived[i];
        if (a->pid == p && a->at.epoch == at.epoch && a->at.lsn == at.lsn) {
            return true;
        }
    }
    return false;
}

size_t conflict_key_format(char out[64], const struct conflict_id *id)
{
    int n = snprintf(out, 64, "x/%llu/%llu/%llu/%u", (unsigned long long)id->pid,
                     (unsigned long long)id->epoch, (unsigned long long)id->lsn, id->op_idx);
    ASSERT(n > 0 && n < 64);
    return (size_t)n;
}

bool conflict_key_parse(struct str key, struct conflict_id *ret)
{
    struct str head;
    struct str rest = key;
    uint64_t v[4] = {0};
    if (!str_split(rest, '/', &head, &rest) || !str_eq(head, STR("x"))) {
        return false;
    }
    for (int i = 0; i < 4; i++) {
        struct str tail = STR_NONE;
        bool has_more = str_split(rest, '/', &head, &tail);
        if (has_more != (i < 3) || !str_to_u64(head, &v[i])) {
            return false;
        }
        rest = tail;
    }
    *ret = (struct conflict_id){.pid = v[0], .epoch = v[1], .lsn = v[2], .op_idx = (unsigned)v[3]};
    return true;
}
