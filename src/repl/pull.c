/* Promotion: what other live regions have of the same history is fetched before the branch point
 * is fixed, so that fewer writes are lost. Best effort and bounded by the region's timer. */
#include "base/contract.h"
#include "repl/repl_int.h"

static void ask(struct progress *g)
{
    struct repl *R = g->part->repl;
    struct msg m = {.type = MSG_PULL,
                    .generation = g->part->mode->generation,
                    .pid = g->part->pid,
                    .place = g->part->tail};
    repl_send(R, g->peer->id, &m);
}

void repl_pull_part(struct partition *p, uint64_t peer_mask)
{
    struct repl *R = p->repl;
    ASSERT(p->mode->kind == REPL_SEALED);
    for (size_t i = 0; i < R->peer_count; i++) {
        struct peer *peer = R->peers[i];
        struct progress *g = ship_progress(p, peer);
        if ((peer_mask & (UINT64_C(1) << peer->id)) == 0 || !peer->is_up) {
            continue;
        }
        if (!g->is_asked) {
            g->is_asked = true;
            g->is_pulled = false;
        }
        if (!g->is_pulled) {
            ask(g);
        }
    }
}

void repl_pull(struct repl *R, uint64_t peer_mask)
{
    ASSERT(R->mode.kind == REPL_SEALED);
    for (struct partition *p = repl_next_part(R, NULL); p != NULL; p = repl_next_part(R, p)) {
        if (p->slot == NULL) {
            repl_pull_part(p, peer_mask);
        }
    }
}

void pull_forget(struct partition *p)
{
    for (size_t i = 0; i < p->progress_count; i++) {
        p->progress[i]->is_asked = false;
    }
}

static bool is_pulled_from(const struct partition *p, const struct peer *peer)
{
    const struct progress *g = p->progress[peer->slot];
    return g->is_asked && g->is_pulled;
}

bool repl_pull_done_part(const struct partition *p, uint64_t peer_mask)
{
    const struct repl *R = p->repl;
    for (size_t i = 0; i < R->peer_count; i++) {
        const struct peer *peer = R->peers[i];
        if ((peer_mask & (UINT64_C(1) << peer->id)) != 0 && peer->is_up &&
            !is_pulled_from(p, peer)) {
            return false;
        }
    }
    return true;
}

bool repl_pull_done(const struct repl *R, uint64_t peer_mask)
{
    for (const struct partition *p = repl_next_part(R, NULL); p != NULL; p = repl_next_part(R, p)) {
        if (p->slot == NULL && !repl_pull_done_part(p, peer_mask)) {
            return false;
        }
    }
    return true;
}

bool repl_pull_complete_part(const struct partition *p, uint64_t peer_mask)
{
    const struct repl *R = p->repl;
    for (size_t i = 0; i < R->peer_count; i++) {
        const struct peer *peer = R->peers[i];
        uint64_t bit = UINT64_C(1) << peer->id;
        if ((peer_mask & bit) != 0 && !is_pulled_from(p, peer)) {
            return false;
        }
        peer_mask &= ~bit;
    }
    return peer_mask == 0;
}

bool repl_pull_complete(const struct repl *R, uint64_t peer_mask)
{
    for (const struct partition *p = repl_next_part(R, NULL); p != NULL; p = repl_next_part(R, p)) {
        if (p->slot == NULL && !repl_pull_complete_part(p, peer_mask)) {
            return false;
        }
    }
    return true;
}

static bool pull_is_closed(const struct partition *p)
{
    return p->slot != NULL ? p->slot->pull_is_closed : p->repl->pull_is_closed;
}

/* Reader: entries after the place, if it is in our history. */
void pull_on_pull(struct repl *R, region_id from, const struct msg *m)
{
    const struct repl_mode *mode = repl_mode_of(R, m->pid);
    if (mode->kind != REPL_READER || from != mode->writer || m->generation != mode->generation) {
        return;
    }
    struct msg answer = {
        .type = MSG_PULLED, .generation = mode->generation, .pid = m->pid, .is_end = true};
    struct partition *p = repl_find(R, m->pid);
    if (p != NULL && p->is_corrupt) {
        return; /* "nothing more" would be a guess */
    }
    if (p != NULL && p->div.state == DIV_NONE &&
        part_history_has(p, m->place.epoch, m->place.lsn) && m->place.lsn >= p->trim.lsn) {
        arena_reset(&R->arena);
        answer.entries = ARENA_NEW_ARRAY(&R->arena, struct str, MSG_ENTRIES_MAX);
        struct engine_iter *it = engine_scan_log(R->engine, NULL, p->pid, m->place.lsn + 1);
        struct engine_row row;
        size_t size = 0;
        while (engine_iter_next(it, &row) && row.lsn <= p->durable.lsn) {
            if (answer.entry_count == MSG_ENTRIES_MAX || size >= PULLED_SIZE_MAX) {
                answer.is_end = false;
                break;
            }
            answer.entries[answer.entry_count++] = arena_str(&R->arena, row.entry);
            size += row.entry.n;
        }
        /* What is on its way to storage will be shown here: it is part of "everything". */
        answer.is_end = answer.is_end && repl_is_quiet_part(p);
        struct errinfo ei = {0};
        if (engine_iter_err(it, &ei) != OK) {
            part_corrupt(p, "log", &ei);
            engine_iter_free(it);
            return;
        }
        engine_iter_free(it);
    }
    repl_send(R, from, &answer);
}

void pull_on_pulled(struct repl *R, region_id from, const struct msg *m)
{
    struct partition *p = repl_find(R, m->pid);
    if (p == NULL || p->is_wiping || p->mode->kind != REPL_SEALED ||
        m->generation != p->mode->generation || pull_is_closed(p)) {
        return;
    }
    struct progress *g = ship_progress(p, R->peer_by_id[from]);
    if (!g->is_asked) {
        return;
    }
    bool fits = true;
    for (size_t i = 0; i < m->entry_count && fits; i++) {
        struct errinfo ei = {0};
        enum err e = apply_entry(p, m->entries[i], &ei);
        if (e != OK && e != ERR_NOT_FOUND) {
            repl_event(R, EVENT_CORRUPT,
                       "partition=%llu what=\"entry from region %u\" error=\"%s\"",
                       (unsigned long long)p->pid, from, ei.message);
        }
        fits = e == OK;
    }
    if (m->is_end || !fits) {
        g->is_pulled = true;
    } else {
        ask(g);
    }
}

void repl_pull_close(struct repl *R)
{
    R->pull_is_closed = true;
}

void repl_pull_close_part(struct partition *p)
{
    ASSERT(p->slot != NULL);
    p->slot->pull_is_closed = true;
}
