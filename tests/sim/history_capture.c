/* Fills the history from a run: reads the engines' logs as they grow, and the records that are put. */
#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"
#include "sim/history.h"
#include "sim/node.h"

/* ---- records ---- */

static void note_folds(const struct history *h, const struct account_record *rec,
                       struct hist_reign *r)
{
    for (pid p = 0; p < SIM_PARTS_MAX; p++) {
        bool is_folded = h->rows[p].writer == r->writer && record_override(rec, p) == NULL;
        r->folds[p] = is_folded ? h->rows[p].epoch : 0;
    }
}

static void note_rows(struct history *h, const struct account_record *rec)
{
    memset(h->rows, 0, sizeof(h->rows));
    for (size_t i = 0; i < rec->override_count; i++) {
        const struct record_override *o = &rec->overrides[i];
        if (o->pid < SIM_PARTS_MAX) {
            h->rows[o->pid].writer = o->writer;
            h->rows[o->pid].epoch = o->epoch;
        }
    }
}

void history_record(struct world *w, struct str text)
{
    struct history *h = w->history;
    arena_reset(&h->arena);
    struct account_record *rec = ARENA_NEW(&h->arena, struct account_record);
    struct errinfo ei = {0};
    if (record_decode(&h->arena, text, rec, &ei) != OK) {
        world_fail(w, "record", "a record was put that does not decode: %s", ei.message);
        return;
    }
    trace(w, "record", rec->writer, rec->generation, rec->epoch,
          (uint64_t)rec->phase * 1000 + rec->token_version);
    w->has_level_changed = w->has_level_changed || rec->level != w->cfg.level;
    epoch newest = h->reign_count > 0 ? h->reigns[h->reign_count - 1].epoch : 0;
    for (size_t i = 0; i < rec->epoch_count; i++) {
        const struct record_epoch *e = &rec->epochs[i];
        if (e->epoch <= newest) {
            continue;
        }
        struct hist_reign r = {.epoch = e->epoch,
                               .generation = e->generation,
                               .version = rec->token_version,
                               .is_lossy = e->opened.is_lossy,
                               .level = rec->level,
                               .writer = e->writer};
        for (size_t b = 0; b < e->branch_count && r.branch_count < SIM_PARTS_MAX; b++) {
            r.branches[r.branch_count++] = e->branches[b];
        }
        for (size_t k = 0; k < rec->override_count; k++) {
            r.spares |= rec->overrides[k].pid < SIM_PARTS_MAX ? 1u << rec->overrides[k].pid : 0;
        }
        note_folds(h, rec, &r);
        history_add_reign(h, &r);
    }
    note_rows(h, rec);
    for (size_t i = 0; i < rec->override_count; i++) {
        const struct record_override *o = &rec->overrides[i];
        newest = h->reign_count > 0 ? h->reigns[h->reign_count - 1].epoch : 0;
        if (o->epoch > newest) {
            struct hist_reign r = {.epoch = o->epoch,
                                   .generation = o->holder_generation,
                                   .version = rec->token_version,
                                   .is_lossy = o->opened.is_lossy,
                                   .level = rec->level,
                                   .writer = o->writer,
                                   .spares = ~(1u << o->pid),
                                   .branch_count = 1,
                                   .branches = {o->branch}};
            history_add_reign(h, &r);
        }
    }
    if (rec->token_version > h->version) {
        h->version = rec->token_version;
    }
}

/* ---- reading engines ---- */

static void convert_op(const struct entry_op *from, struct hist_op *to)
{
    *to =
        (struct hist_op){.space = from->space, .is_delete = from->is_delete, .key = HIST_KEY_NONE};
    if (from->space == SPACE_CONFLICT) {
        to->is_conflict = conflict_key_parse(from->key, &to->conflict);
        return;
    }
    uint16_t key = 0;
    uint64_t part = 0;
    if (key_parse(from->key, &key)) {
        to->key = key;
    } else if (str_starts(from->key, STR("c/")) &&
               str_to_u64(str_slice(from->key, 2, from->key.n), &part)) {
        *(from->is_delete ? &to->removes : &to->creates) = part;
    }
    if (!from->is_delete) {
        (void)text_parse(from->doc.text, &to->value); /* 0 = not a client's text */
    }
}

static bool capture_entry(struct world *w, const struct node *n, pid p, struct str bytes)
{
    struct history *h = w->history;
    struct errinfo ei = {0};
    struct entry e;
    arena_reset(&h->arena);
    if (entry_decode(&h->arena, bytes, &e, &ei) != OK) {
        world_fail(w, "log", "region %u partition %llu: entry does not decode: %s", node_id(n),
                   (unsigned long long)p, ei.message);
        return false;
    }
    struct hist_entry he = {
        .at = {e.epoch, e.lsn},
        .prev = {e.prev_epoch, e.prev_lsn},
        .generation = e.generation,
        .ord = e.ord,
        .chain = e.chain,
        .bytes_hash = str_hash(bytes, 0),
        .kind = e.kind,
        .reason = e.reason,
        .op_count = e.op_count,
    };
    if (e.op_count > 0) {
        he.ops = MEM_NEW_ARRAY(struct hist_op, e.op_count);
    }
    for (size_t i = 0; i < e.op_count; i++) {
        convert_op(&e.ops[i], &he.ops[i]);
        if (he.ops[i].value != 0 && e.reason == REASON_CLIENT) {
            he.op_id = he.ops[i].value;
        }
    }
    char why[256];
    if (!history_add(h, p, &he, why)) {
        world_fail(w, "lsn", "region %u: %s", node_id(n), why);
        return false;
    }
    return true;
}

static void capture_part(struct world *w, struct node *n, pid p, const struct engine_part_meta *m)
{
    struct history *h = w->history;
    struct engine *engine = node_engine(n);
    struct spot seen = h->seen[node_id(n)][p].at;
    lsn from = 0;
    if (seen.lsn != 0 && seen.lsn <= m->tail_lsn) {
        /* Still in the log with the same content: only what follows is new. */
        struct buf entry;
        buf_init(&entry, ENGINE_ENTRY_SIZE_MAX);
        if (engine_log_get(engine, NULL, p, seen.lsn, &entry, NULL) == OK) {
            const struct hist_entry *known = history_find(h, p, seen.lsn);
            if (known != NULL && known->bytes_hash == str_hash(buf_str(&entry), 0)) {
                from = seen.lsn + 1;
            }
        }
        buf_done(&entry);
    }
    struct engine_iter *it = engine_scan_log(engine, NULL, p, from);
    struct engine_row row;
    while (engine_iter_next(it, &row)) {
        if (!capture_entry(w, n, p, row.entry)) {
            break;
        }
    }
    struct errinfo ei = {0};
    if (!w->has_failed && engine_iter_err(it, &ei) != OK) {
        world_fail(w, "log", "region %u: log scan: %s", node_id(n), ei.message);
    }
    engine_iter_free(it);
    h->seen[node_id(n)][p].at = (struct spot){m->tail_epoch, m->tail_lsn};
    h->seen[node_id(n)][p].chain = m->tail_chain;
}

void history_forget_node(struct history *h, region_id id)
{
    memset(h->seen[id], 0, sizeof(h->seen[id]));
}

void history_capture(struct world *w, struct node *n)
{
    struct history *h = w->history;
    for (pid p = 0; p < SIM_PARTS_MAX && !w->has_failed; p++) {
        struct engine_part_meta m;
        buf_clear(&h->hold);
        enum err err = engine_part_meta_get(node_engine(n), NULL, p, &h->hold, &m, NULL);
        if (err != OK) {
            continue; /* no such partition there yet */
        }
        if (m.tail_lsn == h->seen[node_id(n)][p].at.lsn &&
            m.tail_chain == h->seen[node_id(n)][p].chain) {
            continue;
        }
        capture_part(w, n, p, &m);
        if (w->has_failed || m.tail_lsn == 0) {
            continue;
        }
        const struct hist_entry *tail = history_find(h, p, m.tail_lsn);
        if (tail == NULL || tail->at.epoch != m.tail_epoch || tail->ord != m.tail_ord ||
            tail->chain != m.tail_chain) {
            world_fail(w, "log", "region %u partition %llu: meta tail %llu/%llu is not its entry",
                       node_id(n), (unsigned long long)p, (unsigned long long)m.tail_epoch,
                       (unsigned long long)m.tail_lsn);
        }
    }
}
