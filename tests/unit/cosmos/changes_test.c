/* The change feed through the whole protocol layer. */
#include "base/clock.h"
#include "base/contract.h"
#include "base/mem.h"
#include "lib/epoch_table.h"
#include "served.h"

static char *etag;

static void keep_etag(void)
{
    struct str v = fake_answer_header(f, "etag");
    t_check(v.n > 0);
    mem_free(etag);
    etag = mem_zalloc(v.n + 1);
    memcpy(etag, v.p, v.n);
}

/* A number in quotes. */
static lsn etag_lsn(void)
{
    uint64_t at = 0;
    t_check(str_to_u64(str_slice(str_of(etag), 1, strlen(etag) - 2), &at));
    return at;
}

static void finish(void)
{
    mem_free(etag);
    etag = NULL;
    served_end();
}

/* One page after `after` (NULL: from the beginning); the ids it has. */
static void poll(const char *after, const char *page_size, int status, const char *ids)
{
    fake_header(f, "a-im", "Incremental Feed");
    fake_header(f, "x-ms-documentdb-partitionkeyrangeid", "0");
    fake_header(f, "x-ms-max-item-count", page_size);
    if (after) {
        fake_header(f, "if-none-match", after);
    }
    fake_send(f, "GET", DOCS, NULL);
    t_checkf(f->answer.status == status, "status %d: " STR_FMT, f->answer.status,
             STR_ARG(f->answer.body));
    t_check(fake_answer_header(f, "x-ms-continuation").p == NULL);
    const struct json *list = json_get(f->doc, STR("Documents"));
    struct buf got;
    buf_init(&got, 4096);
    for (size_t i = 0; list && i < list->count; i++) {
        struct str id = STR("");
        uint64_t at = 0;
        (void)json_get_str(list->items[i], STR("id"), &id);
        t_check(json_get_u64(list->items[i], STR("_lsn"), &at));
        buf_printf(&got, "%s" STR_FMT, i > 0 ? "," : "", STR_ARG(id));
    }
    t_eq_str(buf_str(&got), str_of(ids));
    buf_done(&got);
    keep_etag();
}

T_TEST("every item comes once, at its last change, in order of change")
{
    served_begin_container();
    served_put("a", "1", 1);
    served_put("b", "2", 1);
    served_put("a", "1", 2);
    poll(NULL, "-1", 200, "2,1");
    poll(etag, "-1", 304, "");
    served_put("c", "3", 1);
    poll(etag, "-1", 200, "3");
    poll(etag, "-1", 304, "");
    finish();
}

T_TEST("pages go on where the last one ended")
{
    served_begin_container();
    for (int i = 1; i <= 5; i++) {
        char id[8];
        (void)snprintf(id, sizeof(id), "%d", i);
        served_put("a", id, i);
    }
    poll(NULL, "2", 200, "1,2");
    poll(etag, "2", 200, "3,4");
    poll(etag, "2", 200, "5");
    poll(etag, "2", 304, "");
    finish();
}

T_TEST("from now: nothing at first, then what comes")
{
    served_begin_container();
    served_put("a", "1", 1);
    poll("*", "-1", 304, "");
    served_put("a", "2", 1);
    poll(etag, "-1", 200, "2");
    finish();
}

T_TEST("from a point in time")
{
    served_begin_container();
    f->ahead_s = -1000;
    served_put("a", "1", 1);
    f->ahead_s = 0;
    served_put("a", "2", 1);
    char date[64];
    clock_format_rfc1123(clock_wall_ms() - 500000, date);
    fake_header(f, "if-modified-since", date);
    poll(NULL, "-1", 200, "2");
    finish();
}

T_TEST("a transaction is never split")
{
    served_begin_container();
    served_put("a", "0", 1);
    fake_header(f, "x-ms-cosmos-is-batch-request", "true");
    fake_header(f, "x-ms-cosmos-batch-atomic", "true");
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    fake_send(f, "POST", DOCS,
              "[{\"operationType\":\"Create\",\"resourceBody\":{\"id\":\"1\",\"pk\":\"a\"}},"
              "{\"operationType\":\"Create\",\"resourceBody\":{\"id\":\"2\",\"pk\":\"a\"}},"
              "{\"operationType\":\"Create\",\"resourceBody\":{\"id\":\"3\",\"pk\":\"a\"}}]");
    expect(200, 0);
    served_put("a", "4", 1);
    poll(NULL, "2", 200, "0,1,2,3");
    poll(etag, "2", 200, "4");
    finish();
}

T_TEST("deleted items are not in the feed of latest versions")
{
    served_begin_container();
    served_put("a", "1", 1);
    served_put("a", "2", 1);
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    fake_send(f, "DELETE", DOCS "/1", NULL);
    poll(NULL, "-1", 200, "2");
    finish();
}

T_TEST("the feed of one logical partition, and of limits of the key space")
{
    served_begin_container();
    served_put("asdf", "1", 1);
    served_put("redmond", "2", 1);
    fake_header(f, "a-im", "incremental feed");
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"redmond\"]");
    fake_send(f, "GET", DOCS, NULL);
    expect(200, 0);
    t_contains(f->answer.body, "\"id\":\"2\"");
    t_check(str_find(f->answer.body, STR("\"id\":\"1\"")) < 0);
    fake_header(f, "x-ms-start-epk", "208BF1D598F5B63AD5520F04FE58C5E8");
    fake_header(f, "x-ms-end-epk", "22E342F38A486A088463DFF7838A5963");
    poll(NULL, "-1", 200, "1");
    finish();
}

T_TEST("an etag never goes backwards")
{
    served_begin_container();
    served_put("a", "1", 1);
    poll(NULL, "-1", 200, "1");
    lsn first = etag_lsn();
    poll(etag, "-1", 304, "");
    t_check(etag_lsn() >= first);
    finish();
}

/* A new writer starts its entries in a fresh block above all that was given out: a place in a lost
 * suffix lies below everything that came after it. */
T_TEST("a continuation from before a failover misses nothing after it")
{
    served_begin_container();
    served_put("a", "1", 1);
    served_put("a", "2", 1);
    poll(NULL, "-1", 200, "1,2");
    f->epoch = 2;
    f->next_lsn = 1000000;
    served_put("a", "3", 1);
    poll(etag, "-1", 200, "3");
    finish();
}

static void history_is(const struct epoch_row *rows, size_t n)
{
    struct buf hold;
    struct engine_part_meta m;
    pid p = fake_part(f, 0)->pid;
    buf_init(&hold, 1 << 20);
    t_ok(engine_part_meta_get(f->engine, NULL, p, &hold, &m, NULL));
    struct buf extra = epoch_table(2, rows, n);
    m.extra = buf_str(&extra);
    struct engine_batch *b = engine_batch_new(f->engine);
    engine_batch_meta(b, p, &m);
    enum err each = OK;
    t_ok(engine_apply(f->engine, &b, 1, true, &each, NULL));
    t_ok(each);
    engine_batch_free(b);
    buf_done(&extra);
    buf_done(&hold);
}

static void open_epoch(epoch e, const struct record_branch *from)
{
    struct record_epoch opened = {.epoch = e,
                                  .generation = e,
                                  .writer = 1,
                                  .start_lsn = (e - 1) * 1000000 + 1,
                                  .branch_count = from != NULL,
                                  .branches = from};
    record_add_epoch(&f->rec, &opened);
    f->rec.epoch = e;
    f->epoch = e;
    f->next_lsn = opened.start_lsn;
    fake_publish_record(f);
}

/* Items 1 and 2, then 3, of epoch 1. Epoch 2 is lost; it went on from item 2, or nobody remembers from where.
 * Epoch 3 went on from item 3, and has item 4. Somebody had come to the entry 1,000,007 of epoch 2. */
static void lose_epoch(bool is_remembered)
{
    served_begin_container();
    served_put("a", "1", 1);
    served_put("a", "2", 1);
    poll(NULL, "-1", 200, "1,2");
    struct record_branch from_2 = {.pid = fake_part(f, 0)->pid, .epoch = 1, .lsn = etag_lsn()};
    served_put("a", "3", 1);
    poll(etag, "-1", 200, "3");
    struct record_branch from_3 = {.pid = from_2.pid, .epoch = 1, .lsn = etag_lsn()};
    open_epoch(2, is_remembered ? &from_2 : NULL);
    open_epoch(3, &from_3);
    served_put("a", "4", 1);
    const struct epoch_row rows[] = {{1, 1, 0, 0}, {3, 2000001, 1, from_3.lsn}};
    history_is(rows, ARRAY_COUNT(rows));
}

T_TEST("a continuation from a lost epoch goes on from where it parted")
{
    lose_epoch(/* is_remembered= */ true);
    poll("\"1000007\"", "1", 200, "3");
    poll(etag, "-1", 200, "4");
    poll(etag, "-1", 304, "");
    finish();
}

T_TEST("a continuation from a lost epoch of which nobody knows begins anew")
{
    lose_epoch(/* is_remembered= */ false);
    poll("\"1000007\"", "-1", 200, "1,2,3,4");
    poll(etag, "-1", 304, "");
    finish();
}

/* The Java SDK calculates with it: doc/design/0003-protocol.md. */
T_TEST("a continuation is a number in quotes, and nothing else")
{
    served_begin_container();
    poll("*", "-1", 304, "");
    (void)etag_lsn();
    served_put("a", "1", 1);
    poll(NULL, "-1", 200, "1");
    (void)etag_lsn();
    finish();
}

T_TEST("other continuations and feeds are refused")
{
    served_begin_container();
    static const char *const bad[] = {"\"x\"", "\"-1\"", "\"99999999999999999999\""};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        fake_header(f, "a-im", "Incremental Feed");
        fake_header(f, "x-ms-documentdb-partitionkeyrangeid", "0");
        fake_header(f, "if-none-match", bad[i]);
        fake_send(f, "GET", DOCS, NULL);
        expect(400, 0);
    }
    fake_header(f, "a-im", "Full-Fidelity Feed");
    fake_header(f, "x-ms-documentdb-partitionkeyrangeid", "0");
    fake_send(f, "GET", DOCS, NULL);
    t_check(f->answer.status == 400 || f->answer.status == 501);
    fake_header(f, "a-im", "Incremental Feed");
    fake_header(f, "x-ms-documentdb-partitionkeyrangeid", "9");
    fake_send(f, "GET", DOCS, NULL);
    expect(410, 1002);
    served_end();
}

T_MAIN()
