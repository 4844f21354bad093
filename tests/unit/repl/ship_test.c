/* The writer's side towards one peer that the test plays by hand, on a mem engine that stores when it
 * is told to. What readers do with it is account/region and tests/sim. */
#include <string.h>

#include "base/contract.h"
#include "lib/t.h"
#include "stage.h"

/* What the peer was told last. */
static struct place copy_at;   /* SEED_AT; zero = not since it was cleared */
static struct place stream_at; /* the place that the first entry of an APPEND follows */

static void on_msg(const struct msg *m)
{
    if (m->type == MSG_SEED_AT) {
        copy_at = m->place;
    } else if (m->type == MSG_APPEND && m->pid == 1) {
        struct entry head = {0};
        size_t total = 0;
        t_ok(entry_peek(m->entries[0], &head, &total, NULL));
        stream_at = (struct place){.epoch = head.prev_epoch, .lsn = head.prev_lsn};
    }
}

static void hear_tail(struct place at)
{
    struct epoch_row row = part->rows[0];
    hear(&(struct msg){.type = MSG_TAIL,
                       .generation = 2,
                       .pid = 1,
                       .place = at,
                       .durable = at,
                       .row_count = 1,
                       .rows = &row});
}

static void hear_ask(void)
{
    copy_at = (struct place){0};
    hear(&(struct msg){.type = MSG_SEED_ASK, .generation = 2, .pid = 1});
}

static void prepare(void *ctx, size_t i, const struct write_place *place,
                    const struct engine_doc *current, struct write_plan *ret)
{
    UNUSED(ctx);
    UNUSED(i);
    UNUSED(current);
    *ret = (struct write_plan){.action = WRITE_PUT, .text = STR("{}"), .rid = place->lsn};
}

static void put(const char *key)
{
    struct write_op op = {SPACE_ITEM, str_of(key)};
    struct order_req req = {.op_count = 1, .ops = &op, .prepare = prepare};
    struct order_res res;
    t_ok(repl_order(R, part, &req, &res));
    repl_flush(R);
}

static void begin(void)
{
    stage_on_msg = on_msg;
    stage_has_copies = true;
    stage_begin(/* is_strong= */ false, 1 << 1 | 1 << PEER, PEER);
    repl_flush(R);
    repl_on_link(R, PEER, true);
}

/* The peer had more than the writer's own disk, lost it, and asks for a copy. What it had said before
 * comes once more, or only now: by that it has what it lacks, and its log seems to shrink. The copy's
 * log must go on all the same. The peer asks again while it is not answered. */
static void ask_and_hear_old_tail(bool has_acked)
{
    begin();
    put("a");
    store();
    hear_tail(part->tail);
    put("b");
    struct place had = part->tail; /* sent, and stored there, not here */
    t_check(part->durable.lsn < had.lsn);
    if (has_acked) {
        hear(&(struct msg){.type = MSG_ACK, .generation = 2, .pid = 1, .place = had});
    }
    hear_ask();
    struct place told = copy_at;
    hear_tail(had);
    if (told.lsn == 0) {
        store();
        hear_ask();
        told = copy_at;
    }
    t_check(told.lsn != 0);
    stream_at = (struct place){0};
    hear_tail(told);
    put("c");
    store();
    t_eq_u64(stream_at.lsn, told.lsn);
    stage_end();
}

T_TEST("an old TAIL after a question for a copy does not stop the copy")
{
    ask_and_hear_old_tail(true);
    ask_and_hear_old_tail(false);
}

/* The same with everything stored: it is answered at once. */
T_TEST("a copy begins at the writer's durable end")
{
    begin();
    put("a");
    store();
    hear_tail(part->tail);
    hear_ask();
    t_eq_u64(copy_at.lsn, part->durable.lsn);
    hear_tail(copy_at);
    put("b");
    t_eq_u64(stream_at.lsn, copy_at.lsn);
    stage_end();
}

/* Partitions 1 to 40: the n-th has n entries that nobody else has. */
static void write_unequally(void)
{
    for (pid id = 2; id <= 40; id++) {
        (void)repl_part(R, id);
    }
    struct repl_mode m = writer_mode(/* is_strong= */ false, 0xe);
    repl_set_mode(R, &m);
    for (pid id = 1; id <= 40; id++) {
        part = repl_find(R, id);
        for (pid n = 0; n < id; n++) {
            put("k");
            store();
        }
    }
    part = repl_find(R, 1);
}

T_TEST("where the other regions lack most is told, a few partitions of each")
{
    struct repl_part_lag lags[REPL_LAGS_MAX];
    stage_on_msg = NULL;
    stage_begin(/* is_strong= */ false, 1 << 1 | 1 << 2 | 1 << 3, 3);
    write_unequally();
    t_eq_u64(repl_lags(R, 0, lags), 0);
    t_eq_u64(repl_lags(R, 1 << 2, lags), REPL_LAGS_MAX);
    t_eq_u64(lags[0].pid, 40);
    t_eq_u64(lags[REPL_LAGS_MAX - 1].pid, 40 - (REPL_LAGS_MAX - 1));
    uint64_t before = UINT64_MAX;
    for (size_t i = 0; i < REPL_LAGS_MAX; i++) {
        t_check(lags[i].ops <= before && lags[i].ops >= lags[i].pid);
        t_eq_u64(lags[i].ord, repl_tail(repl_find(R, lags[i].pid)).ord);
        before = lags[i].ops;
    }
    t_eq_u64(repl_lags(R, 1 << 2 | 1 << 3, lags), REPL_LAGS_MAX);
    t_eq_u64(lags[0].region, 2);
    t_eq_u64(lags[REPL_LAGS_MAX / 2 - 1].pid, 40 - (REPL_LAGS_MAX / 2 - 1));
    t_eq_u64(lags[REPL_LAGS_MAX / 2].region, 3);
    t_eq_u64(lags[REPL_LAGS_MAX / 2].pid, 40);
    /* More regions than rows: one each, for those that there are. */
    t_eq_u64(repl_lags(R, UINT64_MAX >> 1, lags), 2);
    stage_end();
}

T_MAIN()
