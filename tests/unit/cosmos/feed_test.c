/* Feeds and queries through the whole protocol layer. */
#include "base/contract.h"
#include "base/mem.h"
#include "served.h"

static const struct json *docs(void)
{
    const struct json *list = json_get(f->doc, STR("Documents"));
    t_checkf(list && list->type == JSON_ARRAY, STR_FMT, STR_ARG(f->answer.body));
    return list;
}

static void query_header(const char *name, const char *value)
{
    fake_header(f, name, value);
}

static void query(const char *text)
{
    char body[2048];
    (void)snprintf(body, sizeof(body), "{\"query\":\"%s\",\"parameters\":[]}", text);
    fake_header(f, "x-ms-documentdb-isquery", "True");
    fake_header(f, "content-type", "application/query+json");
    fake_send(f, "POST", DOCS, body);
}

/* Follows continuations to the end; returns the ids in order, "1,2,3". */
static char *all_ids(const char *method, const char *query_text, const char *pk,
                     const char *page_size, size_t *ret_pages)
{
    struct buf ids;
    char *token = NULL;
    size_t pages = 0;
    buf_init(&ids, 1 << 20);
    do {
        if (pk) {
            fake_header(f, "x-ms-documentdb-partitionkey", pk);
        }
        fake_header(f, "x-ms-max-item-count", page_size);
        fake_header(f, "x-ms-documentdb-responsecontinuationtokenlimitinkb", "1");
        if (token) {
            fake_header(f, "x-ms-continuation", token);
            mem_free(token);
            token = NULL;
        }
        if (query_text) {
            query(query_text);
        } else {
            fake_send(f, method, DOCS, NULL);
        }
        expect(200, 0);
        const struct json *list = docs();
        uint64_t count = 0;
        t_check(json_get_u64(f->doc, STR("_count"), &count));
        t_eq_u64(count, list->count);
        for (size_t i = 0; i < list->count; i++) {
            struct str id = STR("");
            (void)json_get_str(list->items[i], STR("id"), &id);
            buf_printf(&ids, "%s" STR_FMT, ids.n > 0 ? "," : "", STR_ARG(id));
        }
        struct str next = fake_answer_header(f, "x-ms-continuation");
        if (next.n > 0) {
            t_check(next.n <= 1024);
            token = mem_zalloc(next.n + 1);
            memcpy(token, next.p, next.n);
        }
        t_check(++pages < 1000);
    } while (token);
    if (ret_pages) {
        *ret_pages = pages;
    }
    return buf_take(&ids, NULL);
}

T_TEST("a feed lists the items of a container page by page, each once")
{
    served_begin_container();
    for (int i = 0; i < 25; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "i%02d", i);
        served_put(i % 2 ? "a" : "b", id, i);
    }
    size_t pages = 0;
    char *ids = all_ids("GET", NULL, NULL, "4", &pages);
    t_check(pages >= 7);
    for (int i = 0; i < 25; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "i%02d", i);
        t_checkf(strstr(ids, id) != NULL, "%s", id);
    }
    t_eq_u64(strlen(ids), 25 * 4 - 1);
    mem_free(ids);
    ids = all_ids("GET", NULL, "[\"a\"]", "-1", &pages);
    t_eq_u64(strlen(ids), 12 * 4 - 1);
    t_eq_u64(pages, 1);
    mem_free(ids);
    served_end();
}

T_TEST("an empty feed has no continuation")
{
    served_begin_container();
    fake_send(f, "GET", DOCS, NULL);
    expect(200, 0);
    t_eq_u64(docs()->count, 0);
    t_check(fake_answer_header(f, "x-ms-continuation").p == NULL);
    served_end();
}

T_TEST("queries filter, sort and project over the container or one logical partition")
{
    served_begin_container();
    served_put("a", "1", 3);
    served_put("a", "2", 1);
    served_put("b", "3", 2);
    char *ids = all_ids("POST", "SELECT * FROM c ORDER BY c.v", NULL, "-1", NULL);
    t_eq_cstr(ids, "2,3,1");
    mem_free(ids);
    ids = all_ids("POST", "SELECT * FROM c ORDER BY c.v DESC", NULL, "1", NULL);
    t_eq_cstr(ids, "1,3,2");
    mem_free(ids);
    ids = all_ids("POST", "SELECT c.id FROM c WHERE c.v > 1 ORDER BY c.v", "[\"a\"]", "-1", NULL);
    t_eq_cstr(ids, "1");
    mem_free(ids);
    ids = all_ids("POST", "SELECT * FROM c WHERE c.pk = 'b'", NULL, "-1", NULL);
    t_eq_cstr(ids, "3");
    mem_free(ids);
    ids = all_ids("POST", "SELECT * FROM c WHERE c.pk = 'a' AND c.id = '2'", NULL, "-1", NULL);
    t_eq_cstr(ids, "2");
    mem_free(ids);
    served_end();
}

T_TEST("aggregates are computed over all ranges by the server")
{
    served_begin_container();
    served_put("a", "1", 3);
    served_put("b", "2", 4);
    query("SELECT VALUE COUNT(1) FROM c");
    expect(200, 0);
    t_contains(f->answer.body, "\"Documents\":[2]");
    query("SELECT VALUE SUM(c.v) FROM c");
    t_contains(f->answer.body, "\"Documents\":[7]");
    served_end();
}

T_TEST("parameters are bound")
{
    served_begin_container();
    served_put("a", "1", 3);
    fake_header(f, "x-ms-documentdb-query", "true");
    fake_send(f, "POST", DOCS,
              "{\"query\":\"SELECT * FROM c WHERE c.v = "
              "@v\",\"parameters\":[{\"name\":\"@v\",\"value\":3}]}");
    expect(200, 0);
    t_eq_u64(docs()->count, 1);
    served_end();
}

T_TEST("bad queries and foreign continuations are 400")
{
    served_begin_container();
    served_put("a", "1", 3);
    served_put("a", "2", 3);
    query("SELECT * FORM c");
    expect(400, 0);
    query("SELECT udf.f(c) FROM c");
    expect(400, 0);
    fake_header(f, "x-ms-documentdb-isquery", "true");
    fake_send(f, "POST", DOCS, "{}");
    expect(400, 0);
    fake_header(f, "x-ms-continuation", "garbage");
    query("SELECT * FROM c");
    expect(400, 0);
    query_header("x-ms-max-item-count", "1");
    query("SELECT * FROM c WHERE c.v = 3");
    struct str next = fake_answer_header(f, "x-ms-continuation");
    t_check(next.n > 0);
    char token[1100];
    (void)snprintf(token, sizeof(token), STR_FMT, STR_ARG(next));
    query_header("x-ms-continuation", token);
    query("SELECT * FROM c WHERE c.v = 4");
    expect(400, 0);
    served_end();
}

T_TEST("metrics come when asked for")
{
    served_begin_container();
    served_put("a", "1", 3);
    query("SELECT * FROM c");
    t_check(fake_answer_header(f, "x-ms-documentdb-query-metrics").p == NULL);
    query_header("x-ms-documentdb-populatequerymetrics", "true");
    query("SELECT * FROM c");
    struct str m = fake_answer_header(f, "x-ms-documentdb-query-metrics");
    t_contains(m, "totalExecutionTimeInMs=");
    t_contains(m, "retrievedDocumentCount=1");
    t_contains(m, "outputDocumentCount=1");
    served_end();
}

T_TEST("query plans are answered for clients that merge themselves")
{
    served_begin_container();
    fake_header(f, "x-ms-cosmos-is-query-plan-request", "True");
    fake_header(f, "x-ms-cosmos-query-version", "1.4");
    fake_header(f, "x-ms-cosmos-supported-query-features",
                "NonValueAggregate,Aggregate,Distinct,MultipleOrderBy,OffsetAndLimit,OrderBy,Top,"
                "CompositeAggregate,"
                "GroupBy,MultipleAggregates,NonStreamingOrderBy,ListAndSetAggregate,CountIf");
    fake_send(f, "POST", DOCS, "{\"query\":\"SELECT * FROM c ORDER BY c.v\"}");
    expect(200, 0);
    const struct json *info = json_get(f->doc, STR("queryInfo"));
    t_check(info != NULL);
    t_check(json_get(info, STR("aggregates")) != NULL);
    const struct json *ranges = json_get(f->doc, STR("queryRanges"));
    t_check(ranges && ranges->count == 1);
    served_end();
}

T_TEST("a request may be restricted to one range, and an unknown range is 410")
{
    served_begin_container();
    served_put("a", "1", 3);
    query_header("x-ms-documentdb-partitionkeyrangeid", "0");
    query("SELECT * FROM c");
    expect(200, 0);
    t_eq_u64(docs()->count, 1);
    query_header("x-ms-documentdb-partitionkeyrangeid", "5");
    query("SELECT * FROM c");
    expect(410, 1002);
    served_end();
}

/* 30,000 RU/s show three ranges; together they cover the space of keys without gaps. */
T_TEST("containers of much throughput show several ranges, and feeds run over all of them")
{
    f = fake_new(&(struct fake_opts){.level = CONSISTENCY_SESSION});
    fake_send(f, "POST", "/dbs", "{\"id\":\"db\"}");
    fake_header(f, "x-ms-offer-throughput", "30000");
    fake_send(f, "POST", "/dbs/db/colls", "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]}}");
    expect(201, 0);
    fake_send(f, "GET", "/dbs/db/colls/c/pkranges", NULL);
    expect(200, 0);
    const struct json *ranges = json_get(f->doc, STR("PartitionKeyRanges"));
    t_check(ranges && ranges->count == 3);
    char last[64] = "";
    for (size_t i = 0; i < ranges->count; i++) {
        struct str min = STR("?");
        struct str max = STR("?");
        t_check(json_get_str(ranges->items[i], STR("minInclusive"), &min));
        t_check(json_get_str(ranges->items[i], STR("maxExclusive"), &max));
        t_eq_str(min, str_of(last));
        (void)snprintf(last, sizeof(last), STR_FMT, STR_ARG(max));
    }
    t_eq_cstr(last, "FF");
    for (int i = 0; i < 60; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "i%02d", i);
        served_put(id, id, i);
    }
    size_t pages = 0;
    char *ids = all_ids("GET", NULL, NULL, "7", &pages);
    t_eq_u64(strlen(ids), 60 * 4 - 1);
    mem_free(ids);
    char *sorted = all_ids("POST", "SELECT * FROM c ORDER BY c.v", NULL, "9", &pages);
    t_check(str_starts(str_of(sorted), STR("i00,i01,i02")));
    t_eq_u64(strlen(sorted), 60 * 4 - 1);
    mem_free(sorted);
    size_t total = 0;
    for (int i = 0; i < 3; i++) {
        char range[8];
        (void)snprintf(range, sizeof(range), "%d", i);
        query_header("x-ms-documentdb-partitionkeyrangeid", range);
        query("SELECT * FROM c");
        total += docs()->count;
        t_check(str_starts(fake_answer_header(f, "x-ms-session-token"), str_of(range)));
    }
    t_eq_u64(total, 60);
    served_end();
}

/* The limits cut the range of keys as clients compute them. */
T_TEST("limits of the key space restrict a feed")
{
    served_begin_container();
    served_put("asdf", "1", 1);    /* 208BF1D5... */
    served_put("redmond", "2", 2); /* 22E342F3... */
    query_header("x-ms-start-epk", "208BF1D598F5B63AD5520F04FE58C5E8");
    query_header("x-ms-end-epk", "22E342F38A486A088463DFF7838A5963");
    query_header("x-ms-read-key-type", "EffectivePartitionKeyRange");
    fake_send(f, "GET", DOCS, NULL);
    expect(200, 0);
    t_eq_u64(docs()->count, 1);
    t_contains(f->answer.body, "\"id\":\"1\"");
    query_header("x-ms-start-epk", "22E342F38A486A088463DFF7838A5963");
    query_header("x-ms-end-epk", "FF");
    fake_send(f, "GET", DOCS, NULL);
    t_eq_u64(docs()->count, 1);
    t_contains(f->answer.body, "\"id\":\"2\"");
    served_end();
}

T_TEST("all items of a logical partition can be deleted by key")
{
    served_begin_container();
    served_put("a", "1", 1);
    served_put("a", "2", 1);
    served_put("b", "3", 1);
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    fake_send(f, "POST", "/dbs/db/colls/c/operations/partitionkeydelete", NULL);
    t_checkf(f->answer.status == 200 || f->answer.status == 204, "%d", f->answer.status);
    char *ids = all_ids("GET", NULL, NULL, "-1", NULL);
    t_eq_cstr(ids, "3");
    mem_free(ids);
    served_end();
}

T_TEST("pages stay below four megabytes")
{
    served_begin_container();
    char *body = mem_alloc(1 << 21);
    for (int i = 0; i < 6; i++) {
        int n = snprintf(body, 128, "{\"id\":\"%d\",\"pk\":\"a\",\"s\":\"", i);
        memset(body + n, 'x', 1 << 20);
        memcpy(body + n + (1 << 20), "\"}", 3);
        fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
        fake_send(f, "POST", DOCS, body);
        expect(201, 0);
    }
    mem_free(body);
    fake_send(f, "GET", DOCS, NULL);
    expect(200, 0);
    t_check(f->answer.body.n < (4 << 20) + 4096);
    t_check(fake_answer_header(f, "x-ms-continuation").n > 0);
    size_t pages = 0;
    char *ids = all_ids("GET", NULL, NULL, "-1", &pages);
    t_eq_cstr(ids, "0,1,2,3,4,5");
    mem_free(ids);
    served_end();
}

/* Named items are looked up: the metrics show that nothing else was read. */
T_TEST("queries that name items read only these")
{
    served_begin_container();
    for (int i = 0; i < 20; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "i%02d", i);
        served_put(i % 2 ? "a" : "b", id, i);
    }
    static const struct {
        const char *text, *ids, *count;
    } queries[] = {
        {"SELECT * FROM c WHERE c.id = 'i03' AND c.pk = 'a'", "i03", "retrievedDocumentCount=1;"},
        {"SELECT * FROM c WHERE c.pk = 'a' AND c.id IN ('i03', 'i05', 'i04', 'i03')", "i03,i05",
         "retrievedDocumentCount=2;"},
        {"SELECT * FROM c WHERE (c.id = 'i03' AND c.pk = 'a') OR (c.id = 'i04' AND c.pk = 'b')",
         NULL, "retrievedDocumentCount=2;"},
        {"SELECT * FROM c WHERE c.id = 'nope' AND c.pk = 'a'", "", "retrievedDocumentCount=0;"},
        {"SELECT * FROM c WHERE c.id = 'i03' AND c.pk = 'a' AND c.v = 99", "",
         "retrievedDocumentCount=1;"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(queries); i++) {
        t_note("%s", queries[i].text);
        query_header("x-ms-documentdb-populatequerymetrics", "true");
        query(queries[i].text);
        expect(200, 0);
        t_contains(fake_answer_header(f, "x-ms-documentdb-query-metrics"), queries[i].count);
        char *ids = all_ids("POST", queries[i].text, NULL, "1", NULL);
        if (queries[i].ids) {
            t_eq_cstr(ids, queries[i].ids);
        } else {
            t_eq_u64(strlen(ids), 7);
        }
        mem_free(ids);
    }
    served_end();
}

T_MAIN()
