/* A copy of a partition, the other region being played by hand. The reader's side: what is here is
 * replaced by what the pieces say, with index rows and counters. The writer's side: how much is sent
 * before anything is confirmed. */
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"
#include "lib/t.h"
#include "repl/seed_int.h"
#include "stage.h"

enum { DOCS_MAX = 64 };

static struct msg question; /* the last SEED_FEED for items of partition 1 */
static uint64_t sums[DOCS_MAX];
static bool is_asked, is_done;
static uint64_t confirmed; /* by SEED_GOT */
static size_t piece_count; /* sent by the writer */
static uint64_t piece_sent;

static void on_msg(const struct msg *m)
{
    if (m->pid != 1) {
        return;
    }
    if (m->type == MSG_SEED_FEED && m->space == SPACE_ITEM) {
        ASSERT(m->sum_count <= DOCS_MAX);
        memcpy(sums, m->sums, m->sum_count * sizeof(sums[0]));
        question = *m;
        is_asked = true;
    } else if (m->type == MSG_SEED_GOT) {
        confirmed = m->sent;
    } else if (m->type == MSG_SEED_PIECE) {
        piece_count++;
        piece_sent = m->sent;
    }
    is_done = is_done || m->type == MSG_SEED_DONE;
}

/* ---- documents ---- */

struct doc {
    const char *key, *text, *unique; /* unique NULL: none */
};

static void prepare(void *ctx, size_t i, const struct write_place *place,
                    const struct engine_doc *current, struct write_plan *ret)
{
    const struct doc *d = (const struct doc *)ctx;
    UNUSED(i);
    UNUSED(current);
    static struct str unique;
    unique = d->unique != NULL ? str_of(d->unique) : STR_NONE;
    *ret = (struct write_plan){.action = WRITE_PUT,
                               .text = str_of(d->text),
                               .rid = place->lsn,
                               .unique_count = d->unique != NULL,
                               .uniques = &unique};
}

static void write_doc(struct doc d)
{
    struct write_op op = {SPACE_ITEM, str_of(d.key)};
    struct order_req req = {.op_count = 1, .ops = &op, .prepare = prepare, .ctx = &d};
    struct order_res res;
    t_ok(repl_order(R, part, &req, &res));
    store();
}

/* In storage; NULL = nobody. */
static const char *owner_of(const char *unique)
{
    struct buf hold;
    buf_init(&hold, ENGINE_KEY_SIZE_MAX);
    enum err e = engine_unique_get(engine, NULL, 1, str_of(unique), &hold, NULL);
    const char *key = e == OK ? arena_cstr(&arena, buf_str(&hold)) : NULL;
    buf_done(&hold);
    return key;
}

/* ---- the reader's side ---- */

static struct place copy_place; /* S */

/* Region 2 writes: our log ends where it says, and the copy is asked for. */
static void follow(void)
{
    struct repl_mode m = {.kind = REPL_READER,
                          .generation = 3,
                          .epoch = 2,
                          .record_epoch = 2,
                          .start_lsn = 1000,
                          .writer = PEER};
    repl_set_mode(R, &m);
    repl_on_link(R, PEER, true);
}

static void hear_seed_at(struct place at)
{
    struct epoch_row row = {2, 1000, 1, 900};
    hear(&(struct msg){.type = MSG_SEED_AT,
                       .generation = 3,
                       .pid = 1,
                       .place = at,
                       .durable = part->tail,
                       .row_count = 1,
                       .rows = &row});
    store();
    repl_on_tick(R); /* the old log goes */
    store();
    copy_place = at;
}

static void match(void)
{
    is_asked = false;
    is_done = false;
    repl_on_tick(R);
    store();
    hear(&(struct msg){
        .type = MSG_BRANCH, .generation = 3, .pid = 1, .place = copy_place, .durable = copy_place});
    t_check(is_asked);
}

/* Region 1 has written `docs` and is region 2's reader now, whose log begins above all of it. */
static void begin_copy(const struct doc *docs, size_t n)
{
    confirmed = 0;
    stage_on_msg = on_msg;
    stage_has_copies = true;
    stage_begin(/* is_strong= */ false, 1 << 1, PEER);
    for (size_t i = 0; i < n; i++) {
        write_doc(docs[i]);
    }
    follow();
    hear_seed_at((struct place){.epoch = 2, .lsn = 2000, .ord = 2000, .chain = 5});
    match();
}

static struct msg_doc piece_doc(const struct doc *d, lsn at, struct str *unique)
{
    *unique = d->unique != NULL ? str_of(d->unique) : STR_NONE;
    return (struct msg_doc){
        .key = {SPACE_ITEM, str_of(d->key)},
        .is_present = true,
        .doc = {.version = {.lsn = at, .unique_count = d->unique != NULL, .uniques = unique},
                .epoch = 2,
                .rid = at,
                .origin = PEER,
                .text = str_of(d->text)}};
}

/* A piece of the question: [from, to), to "" = to the end. `kept`: a bit per sum. */
static void hear_piece(const char *from, const char *to, unsigned char kept, const struct doc *docs,
                       size_t n, uint64_t sent)
{
    struct msg_doc rows[DOCS_MAX];
    struct str uniques[DOCS_MAX];
    for (size_t i = 0; i < n; i++) {
        rows[i] = piece_doc(&docs[i], 1000 + sent + i, &uniques[i]);
    }
    hear(&(struct msg){.type = MSG_SEED_PIECE,
                       .generation = 3,
                       .pid = 1,
                       .place = copy_place,
                       .t = question.t,
                       .space = SPACE_ITEM,
                       .from = str_of(from),
                       .to = str_of(to),
                       .is_end = to[0] == '\0',
                       .kept = str_make(&kept, (question.sum_count + 7) / 8),
                       .doc_count = n,
                       .docs = rows,
                       .sent = sent});
}

T_TEST("a copy replaces, adds and removes what differs, with its index rows")
{
    const struct doc had[] = {{"b", "old b", "ub"}, {"c", "same c", "uc"}, {"d", "old d", "ud"},
                              {"e", "old e", "ue"}, {"f", "old f", NULL},  {"g", "old g", "ug"}};
    begin_copy(had, ARRAY_COUNT(had));
    t_eq_u64(question.sum_count, ARRAY_COUNT(had));
    /* a is new with what was b's unique key, b has another one; c is right; d is gone; e keeps its own;
     * f is given d's; g comes in the second piece. */
    const struct doc first[] = {{"a", "new a", "ub"}, {"b", "new b", "ux"}, {"e", "new e", "ue"}};
    const struct doc second[] = {{"f", "new f", "ud"}, {"h", "new h", NULL}};
    hear_piece("", "f", 1 << 1, first, ARRAY_COUNT(first), 100);
    t_eq_u64(confirmed, 0); /* not before it is in storage */
    store();
    repl_on_tick(R);
    repl_flush(R);
    t_eq_u64(confirmed, 100);
    hear_piece("f", "", 1 << 1, second, ARRAY_COUNT(second), 200);
    store();
    static const char *const want[][2] = {{"a", "new a"}, {"b", "new b"}, {"c", "same c"},
                                          {"d", NULL},    {"e", "new e"}, {"f", "new f"},
                                          {"g", NULL},    {"h", "new h"}};
    size_t size = 0;
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        t_eq_cstr(stored(want[i][0]), want[i][1]);
        size += want[i][1] != NULL ? strlen(want[i][1]) : 0;
        count += want[i][1] != NULL;
    }
    t_eq_cstr(owner_of("ub"), "a");
    t_eq_cstr(owner_of("ux"), "b");
    t_eq_cstr(owner_of("uc"), "c");
    t_eq_cstr(owner_of("ue"), "e");
    t_eq_cstr(owner_of("ud"), "f");
    t_eq_cstr(owner_of("ug"), NULL);
    t_eq_u64(part->item_count, count);
    t_eq_u64(part->item_size, size);
    t_check(part->seed->space != SPACE_ITEM); /* goes on with the conflict feed */
    t_check(!is_done);
    sound();
    stage_end();
}

T_TEST("a copy that was broken off goes on from what is there")
{
    const struct doc had[] = {{"y", "old y", "u"}};
    begin_copy(had, ARRAY_COUNT(had));
    const struct doc x = {"x", "new x", "u"};
    const struct doc y = {"y", "new y", NULL};
    hear_piece("", "y", 0, &x, 1, 100);
    store();
    repl_free(R); /* both name the unique key now, the row is x's */
    t_ok(open_repl(NULL));
    part = repl_find(R, 1);
    t_check(part != NULL && part->seed != NULL);
    t_eq_u64(part->item_count, 2);
    follow();
    match();
    t_eq_u64(question.sum_count, 2);
    hear_piece("", "", 1 << 0, &y, 1, 200);
    store();
    t_eq_cstr(stored("x"), "new x");
    t_eq_cstr(stored("y"), "new y");
    t_eq_cstr(owner_of("u"), "x");
    t_eq_u64(part->item_count, 2);
    t_eq_u64(part->item_size, 10);
    sound();
    stage_end();
}

static void begin_anew(void)
{
    repl_free(R);
    t_ok(open_repl(NULL));
    part = repl_find(R, 1);
    t_check(part != NULL && part->seed != NULL);
    follow();
    match();
}

/* The last piece of a copy: the conflict feed is empty there and here. */
static void hear_no_conflicts(void)
{
    hear(&(struct msg){.type = MSG_SEED_PIECE,
                       .generation = 3,
                       .pid = 1,
                       .place = copy_place,
                       .t = question.t + 1,
                       .space = SPACE_CONFLICT,
                       .is_end = true,
                       .sent = 1000});
    store();
    t_check(part->seed == NULL);
}

/* The writer's entry after ours: `d` in place of version `old`. */
static void hear_entry(const struct doc *d, struct engine_version old)
{
    struct str unique;
    struct msg_doc row = piece_doc(d, part->tail.lsn + 1, &unique);
    struct entry_op op = {.space = SPACE_ITEM, .key = row.key.key, .old = old, .doc = row.doc};
    struct entry e = {.kind = ENTRY_WRITE,
                      .epoch = 2,
                      .generation = 3,
                      .lsn = part->tail.lsn + 1,
                      .ord = part->tail.ord + 1,
                      .prev_epoch = part->tail.epoch,
                      .prev_lsn = part->tail.lsn,
                      .origin = PEER,
                      .op_count = 1,
                      .ops = &op};
    struct buf b;
    buf_init(&b, ENGINE_ENTRY_SIZE_MAX);
    entry_encode(&e, part->tail.chain, &b);
    struct str bytes = buf_str(&b);
    hear(&(struct msg){
        .type = MSG_APPEND, .generation = 3, .pid = 1, .entry_count = 1, .entries = &bytes});
    buf_done(&b);
    t_eq_u64(part->tail.lsn, e.lsn);
    store();
}

T_TEST("an answer to a question of an earlier copy says nothing")
{
    const struct doc had = {"y", "old y", NULL};
    const struct doc new = {"y", "new y", NULL};
    begin_copy(&had, 1);
    uint64_t t = question.t;
    begin_anew(); /* another process: it asks with other numbers */
    uint64_t second_t = question.t;
    question.t = t;
    hear_piece("", "", 1 << 0, NULL, 0, 100);
    t_check(part->seed->space == SPACE_ITEM);
    question.t = second_t;
    hear_piece("", "", 0, &new, 1, 200);
    hear_no_conflicts();
    t_eq_cstr(stored("y"), "new y");
    hear_seed_at((struct place){.epoch = 2, .lsn = 3000, .ord = 3000, .chain = 7});
    match(); /* the next copy of the same process and of the same writer */
    uint64_t third_t = question.t;
    question.t = second_t;
    hear_piece("", "", 1 << 0, NULL, 0, 200);
    t_check(part->seed->space == SPACE_ITEM);
    question.t = third_t;
    hear_piece("", "", 0, NULL, 0, 300);
    hear_no_conflicts();
    t_eq_cstr(stored("y"), NULL);
    sound();
    stage_end();
}

T_TEST("a piece that lacks what the log here had when the copy began is not put in")
{
    const struct doc had = {"y", "old y", NULL};
    const struct doc older = {"y", "older y", NULL};
    const struct doc new = {"y", "new y", NULL};
    begin_copy(&had, 1);
    struct place at = copy_place;
    copy_place.lsn--; /* an entry that we have not seen lies between its snapshot and our log */
    hear_piece("", "", 0, &older, 1, 100);
    t_check(part->seed->space == SPACE_ITEM);
    copy_place = at;
    hear_entry(&new, (struct engine_version){.lsn = 1900});
    copy_place = part->tail;
    begin_anew(); /* what entries have decided about is forgotten */
    copy_place = at;
    hear_piece("", "", 0, &older, 1, 100);
    t_check(part->seed->space == SPACE_ITEM);
    t_eq_cstr(stored("y"), "new y");
    sound();
    copy_place = part->tail;
    hear_piece("", "", 1 << 0, NULL, 0, 200);
    hear_no_conflicts();
    t_eq_cstr(stored("y"), "new y");
    t_eq_u64(part->item_count, 1);
    t_eq_u64(part->item_size, 5);
    sound();
    stage_end();
}

/* ---- the writer's side ---- */

static void ask_for_all(uint64_t t, bool is_first)
{
    hear(&(struct msg){.type = MSG_SEED_FEED,
                       .generation = 2,
                       .pid = 1,
                       .t = t,
                       .space = SPACE_ITEM,
                       .is_end = true,
                       .is_first = is_first});
}

T_TEST("pieces are sent until the window is full, so many per tick, and on when they are stored")
{
    piece_count = 0;
    stage_on_msg = on_msg;
    stage_has_copies = true;
    stage_begin(/* is_strong= */ false, 1 << 1 | 1 << PEER, PEER);
    repl_on_link(R, PEER, true);
    char key[8] = "k000";
    char *text = (char *)mem_zalloc(SEED_SIZE_MAX + 1);
    memset(text, 'x', SEED_SIZE_MAX);
    enum { COUNT = 80 }; /* one document per piece, more than the window takes */
    for (int i = 0; i < COUNT; i++) {
        key[2] = (char)('0' + i / 10);
        key[3] = (char)('0' + i % 10);
        write_doc((struct doc){key, text, NULL});
    }
    mem_free(text);
    ask_for_all(1, true);
    t_eq_u64(piece_count, 1); /* the round that the question made */
    for (size_t before = 0; before != piece_count;) {
        before = piece_count;
        repl_flush(R);
    }
    size_t per_tick = piece_count;
    t_check(per_tick > 1 && per_tick < 32);
    for (size_t before = 0; before != piece_count;) {
        before = piece_count;
        repl_on_tick(R);
        for (size_t i = 0; i < per_tick + 1; i++) {
            repl_flush(R);
        }
    }
    size_t in_window = piece_count;
    t_check(piece_sent >= SEED_WINDOW_MAX && piece_sent < SEED_WINDOW_MAX + 2 * SEED_SIZE_MAX);
    t_check(in_window < COUNT);
    hear(
        &(struct msg){.type = MSG_SEED_GOT, .generation = 2, .pid = 1, .t = 1, .sent = piece_sent});
    t_eq_u64(piece_count, in_window + 1);
    repl_on_link(R, PEER, false); /* what it asked for is forgotten */
    repl_on_link(R, PEER, true);
    repl_on_tick(R);
    repl_flush(R);
    t_eq_u64(piece_count, in_window + 1);
    stage_end();
}

T_MAIN()
