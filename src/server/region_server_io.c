/* What the region core asks its process for, and what comes back from the commit thread. See
 * region_server.h. */
#include <string.h>
#include <unistd.h>

#include "base/contract.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/notify.h"
#include "server/region_server_int.h"
#include "server/steps.h"

/* Ready batches of durable tickets, posted from the commit thread. */
struct durable {
    struct server *server;
    size_t count;
    struct committer_done each[];
};

struct txn_wait {
    struct server *server;
    uint64_t ticket;
    bool is_change; /* of the record */
};

/* With many writes on their way the core's data is best kept in one processor's cache and its rounds
 * large: they are the loop's thread's. With few, switching to it costs more than that. */
bool server_is_crowded(const struct server *s)
{
    enum { CROWD = 12 };
    return atomic_load_explicit(&s->writes_open, memory_order_relaxed) > CROWD;
}

static usec io_now(void *ctx)
{
    UNUSED(ctx);
    return clock_boot_us();
}

static int64_t io_wall_ms(void *ctx)
{
    UNUSED(ctx);
    return clock_wall_ms();
}

static void io_fatal(void *ctx, enum err err, const char *why)
{
    UNUSED(ctx);
    /* What this process believes about its disk is wrong now: nothing may be answered any more. */
    LOG_ERROR("server", "fatal", "error=%s why=%s", err_name(err), why);
    _exit(err_exit_code(err));
}

static void io_commit(void *ctx, struct engine_batch *b, uint64_t ticket)
{
    struct server *s = ctx;
    s->unlooked_size += engine_batch_size(b);
    if (s->space && s->unlooked_size > s->opts->disk_reserve_size / 8) {
        s->unlooked_size = 0;
        loop_timer_set(s->space, 1, SPACE_PERIOD_MS); /* much was written: look at once */
    }
    if (committer_submit(s->committer, b, ticket) != OK) {
        /* The core bounds what it has in flight far below this queue: the disk has stopped. */
        io_fatal(s, ERR_IO, "the commit queue is full: the disk does not keep up at all");
    }
}

static void durable_arrived(void *ctx)
{
    struct durable *d = ctx;
    steps_at_durable(region_role(d->server->region));
    for (size_t i = 0; i < d->count; i++) {
        region_on_commit(d->server->region, d->each[i].ticket, d->each[i].err);
    }
    mem_free(d);
}

/* On the thread that did the group. */
void server_on_durable(void *ctx, const struct committer_done *done, size_t n,
                       const struct errinfo *ei)
{
    struct server *s = ctx;
    if (ei->code != OK) {
        LOG_ERROR("server", "storage_failed", "error=%s message=%s", err_name(ei->code),
                  ei->message);
    }
    struct durable *d = mem_alloc(sizeof(*d) + n * sizeof(d->each[0]));
    d->server = s;
    d->count = n;
    memcpy(d->each, done, n * sizeof(d->each[0]));
    bool is_posted = server_is_crowded(s) || committer_has_queue(s->committer)
                         ? loop_post(s->loop, durable_arrived, d)
                         : loop_enter(s->loop, durable_arrived, d);
    ASSERT(is_posted); /* far fewer groups in flight than the loop's queue holds */
}

/* On the same thread. */
void server_on_settled(void *ctx)
{
    struct server *s = ctx;
    if (server_is_crowded(s)) {
        loop_wake(s->loop); /* what was left before it became crowded */
    } else {
        loop_help(s->loop);
    }
}

static void io_send(void *ctx, region_id to, struct str frame)
{
    struct peer *p = server_peer(ctx, to);
    if (p && p->out && !link_send(p->out, frame)) {
        LOG_DEBUG("server", "frame_dropped", "peer=%u bytes=%zu", to, frame.n);
    }
    steps_at_send(frame);
}

static void on_txn_done(void *ctx, const struct coord_txn_result *res)
{
    struct txn_wait *w = ctx;
    if (w->is_change) {
        steps_at_answer();
    }
    region_on_txn(w->server->region, w->ticket, res);
    mem_free(w);
}

static void io_txn(void *ctx, const struct coord_txn *t, uint64_t ticket)
{
    struct server *s = ctx;
    struct txn_wait *w = MEM_NEW(struct txn_wait);
    w->server = s;
    w->ticket = ticket;
    w->is_change = steps_at_txn(s->region ? region_role(s->region) : ROLE_STARTING, t);
    const struct region_timers *timers =
        strcmp(s->opts->profile, "wan") == 0 ? &region_timers_wan : &region_timers_lan;
    coord_client_txn(s->coord, t, timers->coord_timeout_ms, on_txn_done, w);
}

void server_reply(void *ctx, struct region_write *w)
{
    struct server *s = ctx;
    cosmos_write_done(s->cosmos, w);
    atomic_fetch_sub_explicit(&s->writes_open, 1, memory_order_relaxed);
}

static void io_wait_done(void *ctx, struct region_wait *w)
{
    struct server *s = ctx;
    s->waits[w->kind == WAIT_COMMIT][w->err != OK]++;
    cosmos_wait_done(s->cosmos, w);
}

static void io_archive(void *ctx, pid p, struct str entries, uint64_t ticket)
{
    struct server *s = ctx;
    archiver_save(s->archiver, p, entries, ticket);
}

void server_on_archived(void *ctx, uint64_t ticket, enum err err)
{
    struct server *s = ctx;
    region_on_archived(s->region, ticket, err);
}

static void io_event(void *ctx, const struct region_event *ev)
{
    struct server *s = ctx;
    admin_event(s->feed, ev);
    steps_at_event(ev);
}

void server_set_auth(struct server *s, const struct account_record *rec)
{
    const char *keys[4] = {rec->key[0], rec->key[1], rec->key[2], rec->key[3]};
    cosmos_auth_free(s->auth);
    s->auth = cosmos_auth_new(keys);
}

static void io_published(void *ctx)
{
    struct server *s = ctx;
    if (!s->region || !region_record(s->region)) {
        return;
    }
    cosmos_set_record(s->cosmos, region_record(s->region));
    server_set_auth(s, region_record(s->region));
    /* Only where the crowd that comes back is the one that this disk has answered. */
    committer_gather(s->committer,
                     region_role(s->region) == ROLE_WRITER &&
                         record_write_level(region_record(s->region)) != CONSISTENCY_STRONG);
    server_sync_peers(s);
    /* Recovering and offline servers answer for themselves, too: 403/1008. */
    enum region_role role = region_role(s->region);
    if (!s->is_ready && role != ROLE_STARTING) {
        s->is_ready = true;
        notify_send("READY=1");
        LOG_INFO("server", "ready", "role=%s", region_role_name(role));
    }
}

static void io_metadata_applied(void *ctx, lsn upto)
{
    struct server *s = ctx;
    cosmos_metadata_applied(s->cosmos, upto);
}

static bool io_conflict_build(void *ctx, pid p, const struct entry *lost, size_t op_idx,
                              const struct conflict_note *note, const struct write_place *place,
                              struct buf *out_key, struct buf *out_text, uint64_t *ret_rid)
{
    struct server *s = ctx;
    return cosmos_conflict_build(s->cosmos, p, lost, op_idx, note, place, out_key, out_text,
                                 ret_rid);
}

static bool io_conflict_apply(void *ctx, pid p, const struct entry_op *lost,
                              const struct engine_doc *now, const struct write_place *place,
                              struct buf *out_text)
{
    struct server *s = ctx;
    return cosmos_conflict_apply(s->cosmos, p, lost, now, place, out_text);
}

void server_io(struct server *s, struct region_io *ret)
{
    static const struct region_io io = {
        .now = io_now,
        .wall_ms = io_wall_ms,
        .commit = io_commit,
        .send = io_send,
        .txn = io_txn,
        .reply = server_reply,
        .wait_done = io_wait_done,
        .archive = io_archive,
        .event = io_event,
        .published = io_published,
        .metadata_applied = io_metadata_applied,
        .conflict_build = io_conflict_build,
        .conflict_apply = io_conflict_apply,
        .fatal = io_fatal,
    };
    *ret = io;
    ret->ctx = s;
}
