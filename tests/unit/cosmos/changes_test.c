/* The change feed through the whole protocol layer. */
#include "base/clock.h"
#include "base/contract.h"
#include "base/mem.h"
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
    uint64_t first = 0;
    t_check(str_to_u64(str_slice(str_of(etag), 1, strlen(etag) - 2), &first));
    poll(etag, "-1", 304, "");
    uint64_t second = 0;
    t_check(str_to_u64(str_slice(str_of(etag), 1, strlen(etag) - 2), &second));
    t_check(second >= first);
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
