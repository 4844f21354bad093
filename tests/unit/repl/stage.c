#include "stage.h"

#include "base/contract.h"
#include "lib/t.h"

struct engine *engine;
struct repl *R;
struct partition *part;
struct arena arena;
usec now_us;
int64_t wall;
unsigned acked_count;
void (*stage_on_msg)(const struct msg *m);
void (*stage_on_metadata)(void);
bool stage_has_copies;
static struct engine_batch *batches[64];
static uint64_t tickets[64];
static size_t batch_count;
static uint64_t incarnation = 77;

static usec io_now(void *ctx)
{
    UNUSED(ctx);
    return now_us;
}

static int64_t io_wall(void *ctx)
{
    UNUSED(ctx);
    return wall;
}

static void io_commit(void *ctx, struct engine_batch *b, uint64_t ticket)
{
    UNUSED(ctx);
    ASSERT(batch_count < ARRAY_COUNT(batches));
    batches[batch_count] = b;
    tickets[batch_count++] = ticket;
}

static void io_send(void *ctx, region_id to, struct str frame)
{
    UNUSED(ctx);
    if (stage_on_msg == NULL) {
        return;
    }
    t_eq_u64(to, PEER);
    struct msg_reader r;
    struct msg m;
    t_ok(msg_frame_open(frame, &r, NULL));
    while (msg_next(&r, &arena, &m, NULL) == OK) {
        stage_on_msg(&m);
    }
}

static void io_event(void *ctx, enum region_event_kind kind, const char *text)
{
    UNUSED(ctx);
    t_checkf(stage_has_copies && kind == EVENT_SEED, "event %d: %s", (int)kind, text);
}

static void io_fatal(void *ctx, enum err err, const char *why)
{
    UNUSED(ctx);
    t_fail("fatal %s: %s", err_name(err), why);
}

static void io_metadata(void *ctx, lsn upto)
{
    UNUSED(ctx);
    UNUSED(upto);
    if (stage_on_metadata != NULL) {
        stage_on_metadata();
    }
}

static void io_acked(void *ctx, struct wait_node *n)
{
    UNUSED(ctx);
    UNUSED(n);
    acked_count++;
}

static void io_nothing(void *ctx)
{
    UNUSED(ctx);
}

void hear(const struct msg *m)
{
    struct buf b;
    buf_init(&b, MSG_FRAME_SIZE_MAX);
    msg_frame_begin(&b, PEER, 1);
    msg_encode(&b, m);
    repl_on_frame(R, PEER, buf_str(&b));
    buf_done(&b);
    repl_flush(R);
    repl_check(R);
}

void store(void)
{
    repl_flush(R);
    for (size_t i = 0; i < batch_count; i++) {
        enum err each = OK;
        t_ok(engine_apply(engine, &batches[i], 1, true, &each, NULL));
        t_ok(each);
        engine_batch_free(batches[i]);
        repl_on_commit(R, tickets[i], OK);
    }
    batch_count = 0;
    repl_flush(R);
    repl_check(R);
}

const char *stored(const char *key)
{
    struct buf hold;
    struct engine_doc d;
    buf_init(&hold, ENGINE_DOC_SIZE_MAX);
    enum err e = engine_get(engine, NULL, 1, SPACE_ITEM, str_of(key), true, &hold, &d, NULL);
    const char *text = e == OK ? arena_cstr(&arena, d.text) : NULL;
    buf_done(&hold);
    return text;
}

static void found(void *ctx, const char *finding)
{
    UNUSED(ctx);
    t_fail_soft("%s", finding);
}

void sound(void)
{
    uint64_t findings = 0;
    store();
    t_ok(engine_verify(engine, found, NULL, &findings, NULL));
    t_eq_u64(findings, 0);
}

struct repl_mode writer_mode(bool is_strong, uint64_t mask)
{
    return (struct repl_mode){
        .kind = REPL_WRITER,
        .generation = 2,
        .epoch = 1,
        .start_lsn = 1,
        .lsn_limit = 1000001,
        .writer = 1,
        .is_serving = true,
        .is_strong = is_strong,
        .all_mask = mask,
        .online_mask = mask,
        .strong_mask = mask,
    };
}

enum err open_repl(struct errinfo *ei)
{
    struct repl_timers timers = {
        .retry_ms = 250, .commit_ms = 200, .ttl_purge_ms = 1000, .retain_ms = 60000};
    struct repl_io io = {
        .now = io_now,
        .wall_ms = io_wall,
        .commit = io_commit,
        .send = io_send,
        .event = io_event,
        .fatal = io_fatal,
        .metadata_applied = io_metadata,
        .epoch_reached = io_nothing,
        .stale = io_nothing,
        .acked = io_acked,
        .applied = io_acked,
        .committed = io_acked,
    };
    return repl_new(engine, 1, incarnation++, &timers, &io, &R, ei);
}

void stage_begin(bool is_strong, uint64_t mask, region_id last)
{
    now_us = 1000000;
    wall = INT64_C(1700000000000);
    acked_count = 0;
    struct engine_opts opts = {.driver = STR("mem")};
    t_ok(engine_open(&opts, &engine, NULL));
    t_ok(open_repl(NULL));
    for (region_id id = 2; id <= last; id++) {
        repl_add_peer(R, id);
    }
    part = repl_part(R, 1);
    struct repl_mode m = writer_mode(is_strong, mask);
    repl_set_mode(R, &m);
    repl_open_epoch(R);
    store();
}

void stage_end(void)
{
    for (size_t i = 0; i < batch_count; i++) {
        engine_batch_free(batches[i]);
    }
    batch_count = 0;
    repl_free(R);
    engine_close(engine);
}
