/* The checkers and the world tested by hand-made histories: good ones must pass, and for each thing
 * a checker promises to notice there is a bad one that it must notice. */
#include <stdio.h>

#include "base/contract.h"
#include "base/mem.h"
#include "lib/t.h"
#include "sim/check.h"
#include "sim/cover.h"

/* ---- world ---- */

static char order[16];
static size_t order_n;

static void note(struct world *w, void *ctx, uint64_t arg)
{
    (void)w; /* part of the signature */
    (void)ctx;
    order[order_n++] = (char)arg;
}

T_TEST("events of one time happen in the order they were asked for")
{
    struct sim_cfg cfg = {.seed = 1};
    struct world *w = world_new(&cfg);
    order_n = 0;
    world_after(w, 20, note, NULL, 'd');
    world_after(w, 10, note, NULL, 'a');
    world_after(w, 10, note, NULL, 'b');
    world_after(w, 10, note, NULL, 'c');
    world_run(w, w->now + 100, NULL);
    t_eq_str(str_make(order, order_n), STR("abcd"));
    world_free(w);
}

T_TEST("the trace's hash depends on every part of every line")
{
    struct sim_cfg cfg = {.seed = 1};
    uint64_t hashes[6];
    for (int i = 0; i < 6; i++) {
        struct world *w = world_new(&cfg);
        trace(w, i == 1 ? "other" : "what", i == 2 ? 9 : 1, i == 3 ? 9 : 1, i == 4 ? 9 : 1,
              i == 5 ? 9 : 1);
        hashes[i] = w->trace_hash;
        world_free(w);
    }
    for (int i = 1; i < 6; i++) {
        t_check(hashes[i] != hashes[0]);
    }
}

/* ---- linear ---- */

#define R(v, a, b)                                                                                 \
    {                                                                                              \
        .kind = LIN_READ, .value = (v), .from = (a), .to = (b)                                     \
    }
#define W(v, a, b)                                                                                 \
    {                                                                                              \
        .kind = LIN_WRITE, .value = (v), .from = (a), .to = (b)                                    \
    }
#define W_UNKNOWN(v, a)                                                                            \
    {                                                                                              \
        .kind = LIN_WRITE, .value = (v), .from = (a), .is_unknown = true                           \
    }
#define VERDICT(ops) lin_check((ops), sizeof(ops) / sizeof((ops)[0]), 1000000)

T_TEST("linear: a register that is read and written one after the other")
{
    struct lin_op ops[] = {R(0, 0, 1), W(1, 2, 3), R(1, 4, 5), W(2, 6, 7), R(2, 8, 9)};
    t_eq_int(VERDICT(ops), LIN_OK);
}

T_TEST("linear: concurrent reads may see either side of a write, but not go back")
{
    struct lin_op good[] = {W(1, 0, 1), W(2, 10, 20), R(1, 11, 12), R(2, 13, 14)};
    struct lin_op bad[] = {W(1, 0, 1), W(2, 10, 20), R(2, 11, 12), R(1, 13, 14)};
    t_eq_int(VERDICT(good), LIN_OK);
    t_eq_int(VERDICT(bad), LIN_BAD);
}

T_TEST("linear: a stale read is found")
{
    struct lin_op bad[] = {W(1, 0, 1), W(2, 2, 3), R(1, 4, 5)};
    t_eq_int(VERDICT(bad), LIN_BAD);
}

T_TEST("linear: a lost write is found")
{
    struct lin_op bad[] = {W(1, 0, 1), R(0, 2, 3)};
    t_eq_int(VERDICT(bad), LIN_BAD);
}

T_TEST("linear: a write of unknown outcome may take effect late, early or never")
{
    struct lin_op late[] = {W(1, 0, 1), W_UNKNOWN(2, 2), R(1, 3, 4), R(2, 100, 101)};
    struct lin_op never[] = {W(1, 0, 1), W_UNKNOWN(2, 2), R(1, 3, 4), R(1, 100, 101)};
    struct lin_op undone[] = {W(1, 0, 1), W_UNKNOWN(2, 2), R(2, 3, 4), R(1, 100, 101)};
    struct lin_op too_early[] = {W(1, 0, 1), R(2, 2, 3), W_UNKNOWN(2, 4)};
    t_eq_int(VERDICT(late), LIN_OK);
    t_eq_int(VERDICT(never), LIN_OK);
    t_eq_int(VERDICT(undone), LIN_BAD);
    t_eq_int(VERDICT(too_early), LIN_BAD);
}

T_TEST("linear: conditions must have held where the operation took effect")
{
    struct lin_op twice[] = {
        {.kind = LIN_CREATE, .value = 1, .from = 0, .to = 1},
        {.kind = LIN_CREATE, .value = 2, .from = 2, .to = 3},
    };
    struct lin_op between[] = {
        {.kind = LIN_CREATE, .value = 1, .from = 0, .to = 1},
        {.kind = LIN_DELETE, .from = 2, .to = 3},
        {.kind = LIN_CREATE, .value = 2, .from = 4, .to = 5},
    };
    struct lin_op lost_update[] = {
        W(1, 0, 1),
        {.kind = LIN_REPLACE, .value = 2, .expect = 1, .from = 2, .to = 9},
        {.kind = LIN_REPLACE, .value = 3, .expect = 1, .from = 2, .to = 9},
    };
    t_eq_int(VERDICT(twice), LIN_BAD);
    t_eq_int(VERDICT(between), LIN_OK);
    t_eq_int(VERDICT(lost_update), LIN_BAD);
}

T_TEST("linear: a rejection is a look at the register")
{
    struct lin_op good[] = {W(1, 0, 1), {.kind = LIN_SAW_PRESENT, .from = 2, .to = 3}};
    struct lin_op bad[] = {{.kind = LIN_SAW_PRESENT, .from = 0, .to = 1}, W(1, 2, 3)};
    struct lin_op absent[] = {W(1, 0, 1), {.kind = LIN_SAW_ABSENT, .from = 2, .to = 3}};
    struct lin_op other[] = {W(1, 0, 1), {.kind = LIN_SAW_OTHER, .expect = 1, .from = 2, .to = 3}};
    t_eq_int(VERDICT(good), LIN_OK);
    t_eq_int(VERDICT(bad), LIN_BAD);
    t_eq_int(VERDICT(absent), LIN_BAD);
    t_eq_int(VERDICT(other), LIN_BAD);
}

/* May the operation happen when the register holds *value? Then it becomes what the operation leaves. */
static bool happens(const struct lin_op *op, uint64_t *value)
{
    bool is_there = *value != 0;
    bool is_expected = op->expect == 0 || op->expect == *value;
    bool fits = op->kind == LIN_READ          ? op->value == *value
                : op->kind == LIN_CREATE      ? !is_there
                : op->kind == LIN_REPLACE     ? is_there && is_expected
                : op->kind == LIN_DELETE      ? is_there && is_expected
                : op->kind == LIN_SAW_PRESENT ? is_there
                : op->kind == LIN_SAW_ABSENT  ? !is_there
                : op->kind == LIN_SAW_OTHER   ? is_there && op->expect != *value
                                              : true;
    bool is_put = op->kind == LIN_WRITE || op->kind == LIN_CREATE || op->kind == LIN_REPLACE;
    *value = is_put ? op->value : op->kind == LIN_DELETE ? 0 : *value;
    return fits;
}

/* All orders of n operations by brute force, as a second opinion. */
static bool brute(const struct lin_op *ops, size_t n, unsigned placed, uint64_t value)
{
    bool is_done = true;
    for (size_t i = 0; i < n; i++) {
        is_done &= (placed & (1u << i)) != 0 || ops[i].is_unknown;
    }
    if (is_done) {
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        bool may_be_next = (placed & (1u << i)) == 0;
        for (size_t k = 0; k < n && may_be_next; k++) {
            may_be_next = (placed & (1u << k)) != 0 || k == i || ops[k].is_unknown ||
                          ops[k].to >= ops[i].from;
        }
        uint64_t after = value;
        if (may_be_next && happens(&ops[i], &after) && brute(ops, n, placed | 1u << i, after)) {
            return true;
        }
    }
    return false;
}

static struct lin_op draw_lin_op(struct rng *r, bool is_plain)
{
    static const enum lin_kind kinds[] = {LIN_WRITE,       LIN_READ,       LIN_WRITE,
                                          LIN_CREATE,      LIN_REPLACE,    LIN_DELETE,
                                          LIN_SAW_PRESENT, LIN_SAW_ABSENT, LIN_SAW_OTHER};
    usec from = rng_below(r, 30);
    struct lin_op op = {
        .kind = kinds[rng_below(r, is_plain ? 2 : ARRAY_COUNT(kinds))],
        .value = rng_below(r, 3),
        .from = from,
        .to = from + rng_below(r, 12),
    };
    bool is_change = op.kind == LIN_WRITE || op.kind == LIN_CREATE || op.kind == LIN_REPLACE ||
                     op.kind == LIN_DELETE;
    op.value += is_change;
    if (op.kind == LIN_SAW_OTHER || (!is_plain && is_change && rng_chance(r, 1, 4))) {
        op.expect = 1 + rng_below(r, 3);
    }
    op.is_unknown = is_change && rng_chance(r, is_plain ? 1 : 2, 4);
    return op;
}

T_TEST("linear: the search agrees with brute force on random small histories")
{
    struct rng r;
    rng_init(&r, t_seed());
    unsigned verdicts[2] = {0};
    for (int round = 0; round < 9000; round++) {
        struct lin_op ops[7];
        size_t n = (size_t)rng_range(&r, 2, 7);
        for (size_t i = 0; i < n; i++) {
            ops[i] = draw_lin_op(&r, round % 3 == 0);
        }
        bool want = brute(ops, n, 0, 0);
        verdicts[want]++;
        t_eq_int(lin_check(ops, n, 1000000), want ? LIN_OK : LIN_BAD);
    }
    t_check(verdicts[0] > 1000 && verdicts[1] > 1000);
}

T_TEST("linear: forty lost writes that nobody saw do not stop the search")
{
    struct lin_op ops[100] = {0};
    size_t n = 0;
    for (; n < 40; n++) {
        ops[n] = (struct lin_op){
            .kind = LIN_WRITE, .is_unknown = true, .value = 1000 + n, .from = n, .to = n + 1};
    }
    for (usec at = 100; n < 97; at += 10, n++) {
        ops[n] = (struct lin_op){.kind = LIN_READ, .value = 0, .from = at, .to = at + 12};
        if (n % 3 == 0) {
            ops[n].kind = n % 2 == 0 ? LIN_WRITE : LIN_DELETE;
            ops[n].value = n % 2 == 0 ? n : 0;
        }
    }
    enum lin_verdict before = lin_check(ops, n, 100000);
    t_check(before != LIN_UNDECIDED);
    ops[n++] = (struct lin_op){.kind = LIN_READ, .value = 7, .from = 900, .to = 901};
    t_eq_int(lin_check(ops, n, 100000), LIN_BAD);
}

/* ---- histories ---- */

/* Adds an entry that writes `value` to `key` (0: a delete). */
static void add(struct history *h, epoch e, lsn at, epoch pe, lsn pl, uint16_t key, uint64_t value)
{
    const struct hist_entry *prev = pl != 0 ? history_find(h, 1, pl) : NULL;
    struct hist_entry he = {
        .at = {e, at},
        .prev = {pe, pl},
        .ord = prev != NULL ? prev->ord + 1 : 1,
        .bytes_hash = e * 1000003 + at * 7919 + value,
        .kind = ENTRY_WRITE,
        .op_id = value,
        .op_count = 1,
        .ops = MEM_NEW_ARRAY(struct hist_op, 1),
    };
    he.ops[0] = (struct hist_op){.key = key, .value = value, .is_delete = value == 0};
    char why[256];
    t_checkf(history_add(h, 1, &he, why), "%s", why);
}

/* Epoch 1: 1 2 3 4; epoch 2 branches at 2: 100 101; epoch 3 branches at 101: 200. */
static struct history *branched(void)
{
    struct history *h = history_new();
    add(h, 1, 1, 0, 0, 0, 11);
    add(h, 1, 2, 1, 1, 1, 12);
    add(h, 1, 3, 1, 2, 0, 13);
    add(h, 1, 4, 1, 3, 1, 14);
    add(h, 2, 100, 1, 2, 1, 21);
    add(h, 2, 101, 2, 100, 1, 0);
    add(h, 3, 200, 2, 101, 0, 31);
    history_add_reign(h, &(struct hist_reign){.epoch = 1, .version = 0});
    history_add_reign(h, &(struct hist_reign){.epoch = 2,
                                              .version = 1,
                                              .is_lossy = true,
                                              .branch_count = 1,
                                              .branches = {{1, 1, 2}}});
    history_add_reign(h,
                      &(struct hist_reign){
                          .epoch = 3, .version = 1, .branch_count = 1, .branches = {{1, 2, 101}}});
    return h;
}

T_TEST("history: values and membership follow the branches")
{
    struct history *h = branched();
    t_eq_u64(history_value(h, 1, 0, (struct spot){1, 4}, NULL), 13);
    t_eq_u64(history_value(h, 1, 0, (struct spot){2, 101}, NULL), 11);
    t_eq_u64(history_value(h, 1, 0, (struct spot){3, 200}, NULL), 31);
    t_eq_u64(history_value(h, 1, 1, (struct spot){2, 100}, NULL), 21);
    t_eq_u64(history_value(h, 1, 1, (struct spot){2, 101}, NULL), 0);
    t_check(history_contains(h, 1, (struct spot){3, 200}, (struct spot){1, 2}));
    t_check(!history_contains(h, 1, (struct spot){3, 200}, (struct spot){1, 3}));
    t_check(!history_contains(h, 1, (struct spot){1, 4}, (struct spot){2, 100}));
    t_eq_u64(history_common(h, 1, (struct spot){1, 4}, (struct spot){3, 200}).lsn, 2);
    t_eq_u64(history_surviving(h, 1, (struct spot){1, 4}, 0, 1).lsn, 2);
    t_eq_u64(history_surviving(h, 1, (struct spot){1, 1}, 0, 1).lsn, 1);
    t_eq_u64(history_surviving(h, 1, (struct spot){1, 4}, 1, 1).lsn, 4);
    history_free(h);
}

T_TEST("history: an lsn with two contents, a gap and a second start of an epoch are found")
{
    struct history *h = branched();
    char why[256];
    struct hist_entry other = {.at = {2, 100}, .prev = {1, 2}, .ord = 3, .bytes_hash = 5};
    t_check(!history_add(h, 1, &other, why));
    struct hist_entry gap = {.at = {3, 205}, .prev = {3, 204}, .ord = 9, .bytes_hash = 6};
    t_check(!history_add(h, 1, &gap, why));
    struct hist_entry ord = {.at = {3, 205}, .prev = {3, 200}, .ord = 9, .bytes_hash = 6};
    t_check(!history_add(h, 1, &ord, why));
    struct hist_entry again = {.at = {3, 205}, .prev = {2, 101}, .ord = 5, .bytes_hash = 7};
    t_check(!history_add(h, 1, &again, why));
    history_free(h);
}

T_TEST("history: conflict keys are read as they are written")
{
    char key[64];
    struct conflict_id id = {.pid = 3, .epoch = 7, .lsn = 1000001, .op_idx = 4};
    size_t n = conflict_key_format(key, &id);
    struct conflict_id back;
    t_check(conflict_key_parse(str_make(key, n), &back));
    t_check(back.pid == 3 && back.epoch == 7 && back.lsn == 1000001 && back.op_idx == 4);
    t_check(!conflict_key_parse(STR("x/1/2/3"), &back));
    t_check(!conflict_key_parse(STR("x/1/2/3/4/5"), &back));
    t_check(!conflict_key_parse(STR("y/1/2/3/4"), &back));
}

/* ---- session ---- */

T_TEST("session: what a client has seen must be there, as far as it survived")
{
    struct history *h = branched();
    char why[256];
    struct token none = {0};
    struct token t4 = {.version = 0, .at = {1, 4}};
    struct token t2 = {.version = 0, .at = {1, 2}};
    struct token n101 = {.version = 1, .at = {2, 101}};
    t_check(session_ok(h, 1, &none, 0, (struct spot){0, 0}, why));
    t_check(session_ok(h, 1, &t4, 0, (struct spot){1, 4}, why));
    t_check(!session_ok(h, 1, &t4, 0, (struct spot){1, 3}, why));   /* goes back */
    t_check(session_ok(h, 1, &t4, 1, (struct spot){2, 100}, why));  /* 3 and 4 are lost */
    t_check(session_ok(h, 1, &t4, 1, (struct spot){1, 2}, why));    /* all that survived */
    t_check(!session_ok(h, 1, &t2, 1, (struct spot){1, 1}, why));   /* 2 survived, is missing */
    t_check(!session_ok(h, 1, &n101, 0, (struct spot){1, 4}, why)); /* older version */
    t_check(!session_ok(h, 1, &n101, 1, (struct spot){2, 100}, why));
    t_check(session_ok(h, 1, &n101, 1, (struct spot){3, 200}, why));
    history_free(h);
}

/* ---- prefix ---- */

T_TEST("prefix: a read must be the state at its place, whole batches included")
{
    struct history *h = branched();
    char why[256];
    struct op read = {.kind = OP_READ, .pid = 1, .snapshot = {1, 3}, .sub_count = 1};
    read.values[0] = 13;
    t_check(prefix_ok(h, &read, why));
    read.values[0] = 11;
    t_check(!prefix_ok(h, &read, why));
    struct op scan = {.kind = OP_SCAN, .pid = 1, .snapshot = {1, 4}};
    scan.values[0] = 13;
    scan.values[1] = 14;
    t_check(prefix_ok(h, &scan, why));
    scan.values[1] = 12; /* one key of the state before */
    t_check(!prefix_ok(h, &scan, why));
    scan.values[1] = 0;
    t_check(!prefix_ok(h, &scan, why));
    history_free(h);
}

/* ---- follow ---- */

T_TEST("follow: a log may end in its writer's history or epoch, and nowhere else")
{
    struct history *h = branched();
    h->reigns[1].generation = 5; /* epoch 2, from 1/2 on */
    char why[256];
    t_check(follow_ok(h, 1, 5, (struct spot){0, 0}, why));
    t_check(follow_ok(h, 1, 5, (struct spot){1, 1}, why));
    t_check(follow_ok(h, 1, 5, (struct spot){1, 2}, why));
    t_check(!follow_ok(h, 1, 5, (struct spot){1, 3}, why)); /* another writer's suffix */
    t_check(follow_ok(h, 1, 5, (struct spot){2, 100}, why));
    t_check(!follow_ok(h, 1, 5, (struct spot){3, 200}, why)); /* a later writer's */
    t_check(follow_ok(h, 1, 4, (struct spot){1, 3}, why));    /* nothing was opened under it */
    /* A later epoch begins after an entry of the second that nobody has stored yet. */
    history_add_reign(h, &(struct hist_reign){.epoch = 9,
                                              .generation = 6,
                                              .branch_count = 1,
                                              .branches = {{.pid = 1, .epoch = 2, .lsn = 150}}});
    t_check(follow_ok(h, 1, 6, (struct spot){1, 2}, why));
    t_check(!follow_ok(h, 1, 6, (struct spot){1, 3}, why));
    /* The epoch's writer had ordered on under a row, after what its record names. */
    h->reigns[h->reign_count - 1].folds[1] = 1;
    t_check(follow_ok(h, 1, 6, (struct spot){1, 3}, why));
    t_check(!follow_ok(h, 1, 6, (struct spot){3, 200}, why));
    h->reigns[1].spares = 1u << 1;
    t_check(follow_ok(h, 1, 5, (struct spot){1, 3}, why)); /* another region writes this one */
    history_free(h);
}

/* ---- writer ---- */

T_TEST("writer: generations of acknowledgements never go back or have two processes")
{
    char why[256];
    struct writer_track t[SIM_PARTS_MAX] = {0};
    struct op a = {.generation = 1, .region = 1, .life = 1};
    struct op b = {.generation = 2, .region = 2, .life = 1};
    struct op twin = {.generation = 2, .region = 1, .life = 1};
    struct op elsewhere = {.generation = 1, .region = 1, .life = 1, .pid = 1};
    struct op twin_elsewhere = {.generation = 2, .region = 1, .life = 1, .pid = 1};
    t_check(writer_ok(t, &a, why));
    t_check(writer_ok(t, &a, why));
    t_check(writer_ok(t, &b, why));
    t_check(!writer_ok(t, &a, why));
    t_check(!writer_ok(t, &twin, why));
    t_check(writer_ok(t, &b, why));
    t_check(writer_ok(t, &elsewhere, why)); /* another partition may be behind */
    t_check(!writer_ok(t, &twin_elsewhere, why));
}

/* ---- errors and loss: a ledger by hand ---- */

struct made {
    struct ledger ledger;
    struct op *ops[40];
};

/* One operation per id 1..31; all refused but those named below. */
static void make_ledger(struct made *m)
{
    m->ledger = (struct ledger){.ops = m->ops, .count = 31};
    for (size_t i = 0; i < 31; i++) {
        m->ops[i] = MEM_NEW(struct op);
        m->ops[i]->id = i + 1;
        m->ops[i]->kind = OP_UPSERT;
        m->ops[i]->pid = 1;
        m->ops[i]->sub_count = 1;
        m->ops[i]->subs[0].kind = OP_UPSERT;
        m->ops[i]->outcome = OUT_REFUSED;
    }
}

static void acknowledge(struct made *m, uint64_t id, enum op_kind kind, uint16_t key, epoch e,
                        lsn at)
{
    struct op *op = m->ops[id - 1];
    op->kind = kind;
    op->subs[0].kind = kind;
    op->subs[0].key = key;
    op->outcome = OUT_OK;
    op->at = (struct spot){e, at};
}

static void made_done(struct made *m)
{
    for (size_t i = 0; i < m->ledger.count; i++) {
        mem_free(m->ops[i]);
    }
}

static void make_good(struct made *m)
{
    make_ledger(m);
    acknowledge(m, 11, OP_UPSERT, 0, 1, 1);
    acknowledge(m, 12, OP_UPSERT, 1, 1, 2);
    acknowledge(m, 13, OP_UPSERT, 0, 1, 3);
    m->ops[13]->outcome = OUT_UNKNOWN; /* 14 */
    m->ops[13]->subs[0].key = 1;
    acknowledge(m, 21, OP_UPSERT, 1, 2, 100);
    acknowledge(m, 22, OP_DELETE, 1, 2, 101);
    acknowledge(m, 31, OP_UPSERT, 0, 3, 200);
}

T_TEST("errors: a good ledger passes; refused but applied, acknowledged but absent do not")
{
    struct history *h = branched();
    char why[256];
    struct made m;
    make_good(&m);
    t_checkf(errors_ok(&m.ledger, h, why), "%s", why);
    m.ops[13]->outcome = OUT_REFUSED;
    t_check(!errors_ok(&m.ledger, h, why));
    m.ops[13]->outcome = OUT_REJECTED;
    t_check(!errors_ok(&m.ledger, h, why));
    m.ops[13]->outcome = OUT_UNKNOWN;
    m.ops[0]->outcome = OUT_OK; /* operation 1 says it is at a place of another one */
    m.ops[0]->at = (struct spot){1, 1};
    t_check(!errors_ok(&m.ledger, h, why));
    m.ops[0]->at = (struct spot){1, 50};
    t_check(!errors_ok(&m.ledger, h, why));
    m.ops[0]->outcome = OUT_REFUSED;
    m.ops[10]->at.epoch = 2; /* the right lsn, the wrong epoch */
    t_check(!errors_ok(&m.ledger, h, why));
    made_done(&m);
    history_free(h);
}

T_TEST("loss: what did not survive is in the feed exactly once, and nothing else is")
{
    struct history *h = branched();
    char why[256];
    struct made m;
    make_good(&m);
    struct feed_record feed[4] = {
        {.pid = 1, .id = {1, 1, 3, 0}, .was_acknowledged = true},
        {.pid = 1, .id = {1, 1, 4, 0}},
    };
    struct final_state f = {
        .level = CONSISTENCY_SESSION, .is_everyone_back = true, .feed = feed, .feed_count = 2};
    f.tails[1] = (struct spot){3, 200};
    t_checkf(loss_ok(&m.ledger, h, &f, why), "%s", why);
    f.feed_count = 1; /* the one of unknown outcome was durable as well */
    t_check(!loss_ok(&m.ledger, h, &f, why));
    f.is_everyone_back = false;
    t_check(loss_ok(&m.ledger, h, &f, why));
    f.is_everyone_back = true;
    f.feed_count = 3;
    feed[2] = feed[0]; /* twice */
    t_check(!loss_ok(&m.ledger, h, &f, why));
    feed[2] = (struct feed_record){.pid = 1, .id = {1, 1, 2, 0}}; /* survived */
    t_check(!loss_ok(&m.ledger, h, &f, why));
    feed[2] = (struct feed_record){.pid = 1, .id = {1, 1, 99, 0}}; /* never was */
    t_check(!loss_ok(&m.ledger, h, &f, why));
    f.feed_count = 2;
    feed[0].was_acknowledged = false; /* the client was told yes */
    t_check(!loss_ok(&m.ledger, h, &f, why));
    feed[0].was_acknowledged = true;
    feed[0].pid = 2; /* in another partition */
    t_check(!loss_ok(&m.ledger, h, &f, why));
    feed[0].pid = 1;
    feed[0].is_applied = true; /* nobody has put it back */
    t_check(!loss_ok(&m.ledger, h, &f, why));
    feed[0].is_applied = false;
    f.level = CONSISTENCY_STRONG; /* nothing acknowledged may be lost there */
    t_check(!loss_ok(&m.ledger, h, &f, why));
    made_done(&m);
    history_free(h);
}

T_TEST("loss: what the setting lets out of the feed is in an archive")
{
    struct history *h = branched();
    char why[256];
    struct made m;
    make_good(&m);
    struct feed_record feed[2] = {{.pid = 1, .id = {1, 1, 3, 0}, .was_acknowledged = true},
                                  {.pid = 1, .id = {1, 1, 4, 0}}};
    struct final_state f = {.level = CONSISTENCY_SESSION, .is_everyone_back = true, .feed = feed};
    f.tails[1] = (struct spot){3, 200};
    f.diverged_mask = 1u << DIVERGED_ARCHIVE;
    history_archived(h, 1, (struct spot){1, 3});
    t_check(!loss_ok(&m.ledger, h, &f, why)); /* the second one is nowhere */
    history_archived(h, 1, (struct spot){1, 4});
    t_checkf(loss_ok(&m.ledger, h, &f, why), "%s", why);
    f.feed_count = 1; /* nothing else was ever set */
    t_check(!loss_ok(&m.ledger, h, &f, why));
    f.diverged_mask |= 1u << DIVERGED_FEED;
    t_checkf(loss_ok(&m.ledger, h, &f, why), "%s", why);
    f.diverged_mask = 1u << DIVERGED_FEED; /* archived or not */
    t_check(!loss_ok(&m.ledger, h, &f, why));
    f.diverged_mask = 1u << DIVERGED_FEED_LATEST; /* the other one is of another item */
    t_check(!loss_ok(&m.ledger, h, &f, why));
    history_find(h, 1, 4)->ops[0].key = history_find(h, 1, 3)->ops[0].key;
    f.feed_count = 1; /* the earlier version */
    t_check(!loss_ok(&m.ledger, h, &f, why));
    feed[0] = feed[1]; /* the later one */
    t_checkf(loss_ok(&m.ledger, h, &f, why), "%s", why);
    made_done(&m);
    history_free(h);
}

T_TEST("loss: by the level in force when the failover began")
{
    struct history *h = branched();
    char why[256];
    struct made m;
    make_good(&m);
    struct feed_record feed[2] = {
        {.pid = 1, .id = {1, 1, 3, 0}, .was_acknowledged = true},
        {.pid = 1, .id = {1, 1, 4, 0}},
    };
    struct final_state f = {.level = CONSISTENCY_STRONG,
                            .has_level_changed = true,
                            .is_everyone_back = true,
                            .feed = feed,
                            .feed_count = 2};
    f.tails[1] = (struct spot){3, 200};
    t_eq_u64(history_loser(h, 1, (struct spot){1, 3})->epoch, 2);
    t_check(history_loser(h, 1, (struct spot){1, 2}) == NULL);
    h->reigns[1].level = CONSISTENCY_SESSION; /* took 1/3 */
    h->reigns[2].level = CONSISTENCY_STRONG;
    t_checkf(loss_ok(&m.ledger, h, &f, why), "%s", why);
    h->reigns[1].level = CONSISTENCY_STRONG;
    t_check(!loss_ok(&m.ledger, h, &f, why));
    h->reigns[1].level = CONSISTENCY_BOUNDED_STALENESS;
    f.staleness_ops = 1;
    t_checkf(loss_ok(&m.ledger, h, &f, why), "%s", why);
    f.staleness_ops = 0;
    t_check(!loss_ok(&m.ledger, h, &f, why));
    made_done(&m);
    history_free(h);
}

T_TEST("loss: a removed container has no feed; at Strong it had lost nothing all the same")
{
    struct history *h = branched();
    char why[256];
    struct made m;
    make_good(&m);
    struct final_state f = {.level = CONSISTENCY_SESSION, .is_everyone_back = true};
    f.tails[1] = history_newest(h, 1);
    t_eq_u64(f.tails[1].lsn, 200);
    t_check(!loss_ok(&m.ledger, h, &f, why));
    f.gone_mask = 1u << 1;
    t_checkf(loss_ok(&m.ledger, h, &f, why), "%s", why);
    f.gone_mask = 1u << 2; /* another one */
    t_check(!loss_ok(&m.ledger, h, &f, why));
    f.gone_mask = 1u << 1;
    f.level = CONSISTENCY_STRONG;
    t_check(!loss_ok(&m.ledger, h, &f, why));
    made_done(&m);
    history_free(h);
}

/* ---- gone ---- */

/* Adds an entry to the metadata that makes or removes the container of partition 1. */
static void add_container(struct history *h, epoch e, lsn at, epoch pe, lsn pl, bool is_removal)
{
    const struct hist_entry *prev = pl != 0 ? history_find(h, 0, pl) : NULL;
    struct hist_entry he = {
        .at = {e, at},
        .prev = {pe, pl},
        .ord = prev != NULL ? prev->ord + 1 : 1,
        .bytes_hash = at,
        .op_count = 1,
        .ops = MEM_NEW_ARRAY(struct hist_op, 1),
    };
    he.ops[0] = (struct hist_op){.key = HIST_KEY_NONE, .is_delete = is_removal};
    *(is_removal ? &he.ops[0].removes : &he.ops[0].creates) = 1;
    char why[256];
    t_checkf(history_add(h, 0, &he, why), "%s", why);
}

/* Made at 1/1, removed at 1/2, which the next epoch has lost; removed for good at 2/100. */
static struct history *removed(void)
{
    struct history *h = branched();
    add_container(h, 1, 1, 0, 0, false);
    add_container(h, 1, 2, 1, 1, true);
    add_container(h, 2, 100, 1, 1, true);
    return h;
}

T_TEST("history: a container is there from its making to a removal that was not lost")
{
    struct history *h = removed();
    t_eq_int(history_container(h, 1, (struct spot){0, 0}), CONTAINER_NEVER);
    t_eq_int(history_container(h, 1, (struct spot){1, 1}), CONTAINER_THERE);
    t_eq_int(history_container(h, 1, (struct spot){1, 2}), CONTAINER_GONE);
    t_eq_int(history_container(h, 1, (struct spot){2, 99}),
             CONTAINER_THERE); /* not yet gone again */
    t_eq_int(history_container(h, 1, (struct spot){2, 100}), CONTAINER_GONE);
    t_eq_int(history_container(h, 2, (struct spot){2, 100}), CONTAINER_NEVER);
    history_free(h);
}

/* Operations 1 and 2 have removed it: the first does not know, the second was told so at 10 s. */
static void make_removals(struct made *m)
{
    make_ledger(m);
    for (size_t i = 0; i < 2; i++) {
        m->ops[i]->kind = OP_REMOVE;
        m->ops[i]->pid = 0;
        m->ops[i]->subs[0] = (struct sub_op){.kind = OP_REMOVE, .key = 1};
    }
    m->ops[0]->outcome = OUT_UNKNOWN;
    m->ops[0]->planned = (struct spot){1, 2};
    m->ops[1]->outcome = OUT_OK;
    m->ops[1]->planned = m->ops[1]->at = (struct spot){2, 100};
    m->ops[1]->ended_at = 10000000;
    m->ops[1]->online_mask = 1u << 1 | 1u << 2;
}

T_TEST("gone: a removed container answers nowhere, but for a lease where nobody could know")
{
    struct history *h = removed();
    char why[256];
    struct made m;
    make_removals(&m);
    const usec lease = 3000000;
    t_checkf(gone_ok(&m.ledger, h, lease, why), "%s", why);
    struct op *op = m.ops[5];
    op->outcome = OUT_OK;
    op->region = 2;
    op->arrived_at = 10000000; /* not after the answer */
    t_checkf(gone_ok(&m.ledger, h, lease, why), "%s", why);
    op->arrived_at = 10000001;
    t_check(!gone_ok(&m.ledger, h, lease, why));
    op->region = 3; /* it was offline */
    t_checkf(gone_ok(&m.ledger, h, lease, why), "%s", why);
    op->arrived_at += lease;
    t_check(!gone_ok(&m.ledger, h, lease, why));
    op->kind = OP_READ;
    op->level = CONSISTENCY_SESSION; /* promises nothing */
    t_checkf(gone_ok(&m.ledger, h, lease, why), "%s", why);
    op->level = CONSISTENCY_STRONG;
    t_check(!gone_ok(&m.ledger, h, lease, why));
    op->pid = 2;
    t_checkf(gone_ok(&m.ledger, h, lease, why), "%s", why);
    made_done(&m);
    history_free(h);
}

T_TEST("gone: what nobody asked for, or was told that it did not happen, removes nothing")
{
    struct history *h = removed();
    char why[256];
    struct made m;
    make_removals(&m);
    m.ops[0]->outcome = OUT_REFUSED;
    t_check(!gone_ok(&m.ledger, h, 0, why));
    m.ops[0]->outcome = OUT_REJECTED;
    t_check(!gone_ok(&m.ledger, h, 0, why));
    m.ops[0]->outcome = OUT_PENDING;
    t_checkf(gone_ok(&m.ledger, h, 0, why), "%s", why);
    m.ops[0]->subs[0].key = 2; /* of another one */
    t_check(!gone_ok(&m.ledger, h, 0, why));
    made_done(&m);
    history_free(h);
}

/* ---- bounded ---- */

/* Acknowledged at 10, 20, 1000 and 1010 s: 1/1, 1/2, 2/100, 2/101; 1/3 at 30 s was lost. */
static void make_times(struct made *m)
{
    make_good(m);
    static const struct {
        uint64_t id;
        usec s;
    } rows[] = {{11, 10}, {12, 20}, {13, 30}, {21, 1000}, {22, 1010}, {31, 2000}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        m->ops[rows[i].id - 1]->ended_at = rows[i].s * 1000000;
    }
}

static struct op *make_read(struct made *m, size_t idx, usec at_s, struct spot snapshot,
                            uint64_t version)
{
    struct op *op = m->ops[idx];
    *op = (struct op){.id = idx + 1,
                      .kind = OP_READ,
                      .pid = 1,
                      .level = CONSISTENCY_BOUNDED_STALENESS,
                      .outcome = OUT_OK,
                      .region = 2,
                      .snapshot = snapshot,
                      .version = version,
                      .arrived_at = at_s * 1000000,
                      .ended_at = at_s * 1000000 + 1};
    return op;
}

static size_t judge_bounded(const struct made *m, const struct history *h, uint64_t ops, usec age_s)
{
    char why[256];
    struct spot tails[SIM_PARTS_MAX] = {[1] = {3, 200}};
    struct bounds b = {.level = CONSISTENCY_BOUNDED_STALENESS,
                       .ops = ops,
                       .age_us = age_s * 1000000,
                       .tails = tails};
    return bounded_violations(&m->ledger, h, &b, why);
}

T_TEST("bounded: a read may lack K writes and none older than T, lost ones aside")
{
    struct history *h = branched();
    struct made m;
    make_times(&m);
    struct op *read = make_read(&m, 0, 1012, (struct spot){1, 2}, 0);
    t_eq_u64(judge_bounded(&m, h, 2, 12), 0); /* lacks 2/100 and 2/101 */
    t_eq_u64(judge_bounded(&m, h, 1, 12), 1);
    t_eq_u64(judge_bounded(&m, h, 2, 11), 1); /* 2/100 is 12 s old */
    read->level = CONSISTENCY_SESSION;        /* promises less */
    t_eq_u64(judge_bounded(&m, h, 0, 0), 0);
    read->level = CONSISTENCY_STRONG; /* another checker's */
    t_eq_u64(judge_bounded(&m, h, 0, 0), 0);
    (void)make_read(&m, 0, 40, (struct spot){1, 2}, 0); /* lacks 1/3, which nobody has any more */
    t_eq_u64(judge_bounded(&m, h, 0, 0), 0);
    (void)make_read(&m, 0, 1005, (struct spot){2, 100}, 1); /* lacks what came later */
    t_eq_u64(judge_bounded(&m, h, 0, 0), 0);
    made_done(&m);
    history_free(h);
}

T_TEST(
    "bounded: what a failover took away and a later one brought back may be lacking between them")
{
    struct history *h = history_new();
    add(h, 1, 1, 0, 0, 0, 11);
    add(h, 1, 2, 1, 1, 1, 12);
    add(h, 1, 3, 1, 2, 0, 13);
    add(h, 2, 100, 1, 2, 1, 21);
    add(h, 3, 200, 1, 3, 0, 31); /* opened by a region that never gave 1/3 up */
    struct made m;
    make_times(&m);
    struct op *read = make_read(&m, 0, 1005, (struct spot){2, 100}, 1);
    t_eq_u64(judge_bounded(&m, h, 0, 0), 0);
    read->snapshot = (struct spot){1, 2}; /* one that lags has no such excuse */
    t_eq_u64(judge_bounded(&m, h, 0, 0), 1);
    made_done(&m);
    history_free(h);
}

T_TEST("bounded: in one region reads do not go back, except over what was lost")
{
    struct history *h = branched();
    struct made m;
    make_times(&m);
    (void)make_read(&m, 0, 100, (struct spot){1, 4}, 0);
    struct op *later = make_read(&m, 1, 101, (struct spot){1, 2}, 0);
    t_eq_u64(judge_bounded(&m, h, 100, 10000), 1);
    later->region = 3; /* elsewhere it may */
    t_eq_u64(judge_bounded(&m, h, 100, 10000), 0);
    later->region = 2;
    later->version = 1; /* a failover took 1/3 and 1/4 */
    t_eq_u64(judge_bounded(&m, h, 100, 10000), 0);
    later->snapshot = (struct spot){1, 1}; /* but not 1/2 */
    t_eq_u64(judge_bounded(&m, h, 100, 10000), 1);
    later->arrived_at = UINT64_C(100) * 1000000; /* at the same time: either order */
    t_eq_u64(judge_bounded(&m, h, 100, 10000), 0);
    made_done(&m);
    history_free(h);
}

T_TEST("throttle: a write is refused only when so many entries can have been missing")
{
    struct history *h = branched();
    char why[256];
    struct made m;
    make_good(&m);
    struct op *op = m.ops[0];
    op->err = ERR_STALENESS_LIMIT;
    op->throttle =
        (struct write_throttle){.region = 2, .acked_lsn = 2, .ops = 3, .is_by_ops = true};
    t_check(throttle_ok(&m.ledger, h, 3, why));
    t_check(!throttle_ok(&m.ledger, h, 4, why)); /* the bound was not reached */
    op->throttle.ops = 999998;                   /* a difference of lsns */
    t_check(!throttle_ok(&m.ledger, h, 3, why));
    op->throttle.is_by_ops = false;
    t_check(throttle_ok(&m.ledger, h, 3, why));
    made_done(&m);
    history_free(h);
}

/* ---- names ---- */

/* Index of a row of the core's table of roles. */
static size_t row_of(unsigned no)
{
    size_t i = 0;
    while (strcmp(cover_get(i)->table, "region") != 0 || cover_get(i)->a != no) {
        i++;
    }
    return i;
}

T_TEST("cover: rows that did not fire are missing, rows that cannot are surprises, until they do")
{
    static struct cover_totals t, other;
    static uint64_t hits[COVER_ROWS_MAX];
    t = other = (struct cover_totals){0};
    size_t all = cover_missing(&t);
    t_check(all > 100 && all < cover_count());
    t_check(cover_surprises(&t) == 0);
    memset(hits, 0, sizeof(hits));
    hits[row_of(120)] = 3;
    cover_add(&t, hits, 7);
    cover_add(&other, hits, 4);
    t_check(cover_missing(&t) == all - 1);
    hits[row_of(120)] = 0;
    hits[row_of(100)] = 1; /* a fenced process that goes on */
    cover_add(&other, hits, 9);
    cover_merge(&t, &other);
    t_check(cover_missing(&t) == all - 1);
    t_check(cover_surprises(&t) == 1);
    t_check(t.run_count == 3);
    t_check(t.hits[row_of(120)] == 6);
    t_check(t.runs[row_of(120)] == 2);
    t_check(t.first[row_of(120)] == 4);
    t_check(t.first[row_of(100)] == 9);
}

T_TEST("cover: what the core traces is counted in the row of that name and number")
{
    static uint64_t hits[COVER_ROWS_MAX];
    memset(hits, 0, sizeof(hits));
    cover_into(hits);
    contract_trace("region", 131, 2);
    contract_trace("another thing", 131, 2);
    cover_note("fault", FAULT_TWICE);
    cover_into(NULL);
    contract_trace("region", 131, 2);
    uint64_t sum = 0;
    for (size_t i = 0; i < COVER_ROWS_MAX; i++) {
        sum += hits[i];
    }
    t_check(sum == 2);
    t_check(hits[row_of(131)] == 1);
}

T_TEST("names: keys and texts are read as they are written")
{
    for (unsigned key = 0; key < SIM_KEYS; key++) {
        char text[OP_KEY_SIZE];
        size_t n = key_format(text, (uint16_t)key);
        uint16_t back = 99;
        t_check(key_parse(str_make(text, n), &back));
        t_eq_u64(back, key);
    }
    uint16_t none = 99;
    t_check(!key_parse(STR("c/1"), &none)); /* the metadata's name of a container */
    char text[OP_TEXT_SIZE];
    size_t n = text_format(text, 12345, 3);
    uint64_t id = 0;
    t_check(text_parse(str_make(text, n), &id));
    t_eq_u64(id, 12345);
    t_check(!text_parse(STR("{\"lost\":1}"), &id));
}

T_MAIN()
