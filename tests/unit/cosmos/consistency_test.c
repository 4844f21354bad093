/* What a region may answer when it is behind, is not the writer, has lost its lease or its place. */
#include "base/clock.h"
#include "base/contract.h"
#include "base/mem.h"
#include "served.h"

static void put_item(const char *id, int v)
{
    char body[128];
    (void)snprintf(body, sizeof(body), "{\"id\":\"%s\",\"pk\":\"a\",\"v\":%d}", id, v);
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    fake_header(f, "x-ms-documentdb-is-upsert", "true");
    fake_send(f, "POST", DOCS, body);
}

static void begin_with(const struct fake_opts *opts)
{
    f = fake_new(opts);
    fake_send(f, "POST", "/dbs", "{\"id\":\"db\"}");
    fake_send(f, "POST", "/dbs/db/colls", "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]}}");
    t_eq_int(f->answer.status, 201);
    put_item("1", 1);
    t_eq_int(f->answer.status, 201);
}

static void begin(enum consistency level)
{
    begin_with(&(struct fake_opts){.level = level});
}

static void read_item(const char *id, const char *token)
{
    char path[64];
    (void)snprintf(path, sizeof(path), DOCS "/%s", id);
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    if (token) {
        fake_header(f, "x-ms-session-token", token);
    }
    fake_send(f, "GET", path, NULL);
}

/* ---- session tokens ---- */

T_TEST("a write's token covers the write, a read's what was read")
{
    begin(CONSISTENCY_SESSION);
    put_item("2", 1);
    char want[64];
    (void)snprintf(want, sizeof(want), "0:1#%d", (int)f->next_lsn - 1);
    t_eq_str(fake_answer_header(f, "x-ms-session-token"), str_of(want));
    read_item("2", want);
    expect(200, 0);
    t_eq_str(fake_answer_header(f, "x-ms-session-token"), str_of(want));
    t_eq_u64(f->waits, 0);
    served_end();
}

T_TEST("an account of one region speaks the short form")
{
    begin_with(&(struct fake_opts){.level = CONSISTENCY_SESSION, .is_single_region = true});
    put_item("2", 1);
    t_check(str_starts(fake_answer_header(f, "x-ms-session-token"), STR("0:-1#")));
    served_end();
}

/* The wait brings what was asked for. */
static void catch_up(struct fake *fake, struct region_wait *w)
{
    t_eq_int(w->kind, WAIT_APPLIED);
    t_eq_u64(w->lsn, 500);
    t_eq_u64(w->token_version, 1);
    atomic_store(&fake_part(fake, 0)->applied_lsn, 500);
}

T_TEST("a read waits until its token is reached")
{
    begin(CONSISTENCY_SESSION);
    f->on_wait = catch_up;
    read_item("1", "0:1#500");
    expect(200, 0);
    t_eq_u64(f->waits, 1);
    served_end();
}

T_TEST("a token that is not reached in time is 404 with its substatus")
{
    begin(CONSISTENCY_SESSION);
    f->wait_err = ERR_SESSION_BEHIND;
    read_item("1", "0:1#500");
    expect(404, 1002);
    t_check(fake_answer_header(f, "x-ms-session-token").n > 0);
    served_end();
}

static void expect_version(struct fake *fake, struct region_wait *w)
{
    UNUSED(fake);
    t_eq_u64(w->token_version, 7);
    t_eq_u64(w->lsn, 1000005);
}

/* Right after a failover another region may not have heard of the new version yet: the wait must be
 * for both, or the client would not see its own write. */
T_TEST("a token of a newer version waits for the version and for its place")
{
    begin(CONSISTENCY_SESSION);
    f->on_wait = expect_version;
    f->wait_err = ERR_SESSION_BEHIND;
    read_item("1", "0:7#1000005");
    expect(404, 1002);
    t_eq_u64(f->waits, 1);
    served_end();
}

T_TEST("tokens with regions, of other ranges, empty and of one region are accepted")
{
    begin(CONSISTENCY_SESSION);
    static const char *const tokens[] = {"0:1#2#1=2#2=1", "5:1#999", "", "0:-1#1"};
    for (size_t i = 0; i < ARRAY_COUNT(tokens); i++) {
        read_item("1", tokens[i]);
        expect(200, 0);
    }
    t_eq_u64(f->waits, 0);
    read_item("1", "garbage");
    expect(400, 0);
    served_end();
}

/* lsn 3..40 of partition 1 were lost when epoch 2 began at 1000000. */
static void fail_over(lsn branch)
{
    static struct record_branch b;
    b = (struct record_branch){.pid = fake_part(f, 0)->pid, .epoch = 1, .lsn = branch};
    struct record_epoch e = {.epoch = 2,
                             .generation = 2,
                             .writer = 1,
                             .start_lsn = 1000000,
                             .opened.is_lossy = true,
                             .branch_count = 1,
                             .branches = &b};
    f->rec.token_version = 2;
    record_add_epoch(&f->rec, &e);
    f->rec.epoch = 2;
    f->epoch = 2;
    f->next_lsn = 1000000;
    fake_publish_record(f);
}

T_TEST("a token from before a lossy failover is accepted, and what it lost is said")
{
    begin(CONSISTENCY_SESSION);
    fail_over(10);
    put_item("2", 1);
    read_item("1", "0:1#40");
    expect(200, 0);
    t_eq_lit(fake_answer_header(f, "x-hf-session-loss"), "1");
    read_item("1", "0:1#10");
    expect(200, 0);
    t_check(fake_answer_header(f, "x-hf-session-loss").p == NULL);
    read_item("1", "0:2#1000000");
    expect(200, 0);
    t_check(fake_answer_header(f, "x-hf-session-loss").p == NULL);
    t_eq_u64(f->waits, 0);
    served_end();
}

T_TEST("a token from before a change of the regions is still compared")
{
    begin(CONSISTENCY_SESSION);
    f->rec.token_version = 5;
    fake_publish_record(f);
    f->wait_err = ERR_SESSION_BEHIND;
    read_item("1", "0:1#500");
    expect(404, 1002);
    t_eq_u64(f->waits, 1);
    read_item("1", "0:1#1");
    expect(200, 0);
    served_end();
}

T_TEST("lost sessions are counted, and refused where the server is told to")
{
    struct cosmos_counts c;
    begin_with(&(struct fake_opts){.level = CONSISTENCY_SESSION, .rejects_lost_sessions = true});
    fail_over(10);
    put_item("2", 1);
    read_item("1", "0:1#40");
    expect(404, 1002);
    t_eq_lit(fake_answer_header(f, "x-hf-session-loss"), "1");
    read_item("1", "0:1#10"); /* lost nothing */
    expect(200, 0);
    read_item("1", "0:1#41");
    expect(404, 1002);
    cosmos_counts(f->cosmos, &c);
    t_eq_u64(c.sessions_lost, 2);
    t_eq_u64(c.sessions_rejected, 2);
    served_end();
}

T_TEST("weaker reads do not look at the token")
{
    begin(CONSISTENCY_SESSION);
    fake_header(f, "x-ms-consistency-level", "Eventual");
    read_item("1", "0:1#500");
    expect(200, 0);
    t_eq_u64(f->waits, 0);
    served_end();
}

T_TEST("queries and feeds wait for the token of every range they read")
{
    begin(CONSISTENCY_SESSION);
    f->wait_err = ERR_SESSION_BEHIND;
    fake_header(f, "x-ms-session-token", "0:1#500");
    fake_header(f, "x-ms-documentdb-isquery", "true");
    fake_send(f, "POST", DOCS, "{\"query\":\"SELECT * FROM c\"}");
    expect(404, 1002);
    fake_header(f, "x-ms-session-token", "0:1#500");
    fake_send(f, "GET", DOCS, NULL);
    expect(404, 1002);
    served_end();
}

T_TEST("too many waiting reads are 429")
{
    begin(CONSISTENCY_SESSION);
    f->is_wait_queue_full = true;
    read_item("1", "0:1#500");
    expect(429, 3200);
    t_check(fake_answer_header(f, "x-ms-retry-after-ms").n > 0);
    served_end();
}

T_TEST("an answer from several ranges has a token for each")
{
    begin(CONSISTENCY_SESSION);
    fake_header(f, "x-ms-offer-throughput", "20000");
    fake_send(f, "POST", "/dbs/db/colls",
              "{\"id\":\"wide\",\"partitionKey\":{\"paths\":[\"/pk\"]}}");
    expect(201, 0);
    fake_send(f, "GET", "/dbs/db/colls/wide/docs", NULL);
    expect(200, 0);
    t_eq_lit(fake_answer_header(f, "x-ms-session-token"), "0:1#0,1:1#0");
    served_end();
}

T_TEST("names that headers cannot carry are left out of them")
{
    begin(CONSISTENCY_SESSION);
    fake_send(f, "POST", "/dbs/db/colls",
              "{\"id\":\"\xc3\xa9\",\"partitionKey\":{\"paths\":[\"/pk\"]}}");
    expect(201, 0);
    fake_send(f, "GET", "/dbs/db/colls/%C3%A9/docs", NULL);
    expect(200, 0);
    t_check(fake_answer_header(f, "x-ms-alt-content-path").p == NULL);
    t_check(fake_answer_header(f, "x-ms-content-path").n > 0);
    served_end();
}

T_TEST("direct mode is refused with a sentence")
{
    begin(CONSISTENCY_SESSION);
    fake_send(f, "GET", "/addresses/", NULL);
    expect(501, 0);
    t_contains(fake_answer_str(f, "message"), "gateway");
    served_end();
}

/* ---- who may answer ---- */

T_TEST("a reader refuses writes at once and serves reads")
{
    begin(CONSISTENCY_SESSION);
    atomic_store(&f->view->role, ROLE_READER);
    size_t writes = f->writes;
    put_item("2", 1);
    expect(403, 3);
    fake_send(f, "POST", "/dbs", "{\"id\":\"other\"}");
    expect(403, 3);
    t_eq_u64(f->writes, writes);
    read_item("1", NULL);
    expect(200, 0);
    fake_header(f, "x-ms-cosmos-hub-region-processing-only", "True");
    read_item("1", NULL);
    expect(403, 3);
    served_end();
}

T_TEST("a region that left the account, or is not whole, does not serve documents")
{
    begin(CONSISTENCY_SESSION);
    atomic_store(&fake_part(f, 0)->flags, 0);
    atomic_store(&f->view->role, ROLE_OFFLINE);
    read_item("1", NULL);
    expect(403, 1008);
    atomic_store(&f->view->role, ROLE_RECOVERING);
    read_item("1", NULL);
    expect(403, 1008);
    fake_send(f, "GET", DOCS, NULL);
    expect(403, 1008);
    atomic_store(&f->view->role, ROLE_READER);
    read_item("1", NULL);
    expect(503, 0);
    served_end();
}

T_TEST("outcomes of a write are told apart exactly")
{
    static const struct {
        enum err err;
        int status, substatus;
    } rows[] = {{ERR_NOT_WRITER, 403, 3},      {ERR_UNAVAILABLE, 503, 0},
                {ERR_UNKNOWN_OUTCOME, 408, 0}, {ERR_BUSY, 429, 3200},
                {ERR_STALENESS_LIMIT, 429, 0}, {ERR_LIMIT, 413, 0}};
    begin(CONSISTENCY_SESSION);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        f->write_err = rows[i].err;
        put_item("2", 1);
        expect(rows[i].status, rows[i].substatus);
        t_check(fake_answer_str(f, "message").n > 0);
        t_check(fake_answer_str(f, "code").n > 0);
    }
    f->write_err = OK;
    f->is_write_queue_full = true;
    put_item("2", 1);
    expect(429, 3200);
    served_end();
}

T_TEST("a server that is stopping answers 503 with a body")
{
    begin(CONSISTENCY_SESSION);
    cosmos_stopping(f->cosmos);
    read_item("1", NULL);
    expect(503, 0);
    put_item("2", 1);
    expect(503, 0);
    served_end();
}

/* ---- Strong ---- */

T_TEST("strong reads need a lease, before and after")
{
    begin(CONSISTENCY_STRONG);
    read_item("1", NULL);
    expect(200, 0);
    atomic_store(&f->view->fresh_until_us, clock_boot_us() - 1);
    read_item("1", NULL);
    expect(503, 0);
    fake_header(f, "x-ms-consistency-level", "Session");
    read_item("1", NULL);
    expect(200, 0);
    served_end();
}

static void commit(struct fake *fake, struct region_wait *w)
{
    t_eq_int(w->kind, WAIT_COMMIT);
    atomic_store(&fake_part(fake, 0)->commit_lsn, w->lsn);
}

static void lose_lease(struct fake *fake, struct region_wait *w)
{
    commit(fake, w);
    atomic_store(&fake->view->fresh_until_us, clock_boot_us() - 1);
}

T_TEST("a strong read of what could still be lost waits until it cannot")
{
    begin(CONSISTENCY_STRONG);
    atomic_store(&fake_part(f, 0)->commit_lsn, 0);
    f->on_wait = commit;
    read_item("1", NULL);
    expect(200, 0);
    t_eq_u64(f->waits, 1);
    served_end();
}

T_TEST("a strong read of an absent item waits for everything that is here")
{
    begin(CONSISTENCY_STRONG);
    atomic_store(&fake_part(f, 0)->commit_lsn, 0);
    f->on_wait = commit;
    read_item("absent", NULL);
    expect(404, 0);
    t_eq_u64(f->waits, 1);
    served_end();
}

T_TEST("a lease that ends during the wait takes the answer back")
{
    begin(CONSISTENCY_STRONG);
    atomic_store(&fake_part(f, 0)->commit_lsn, 0);
    f->on_wait = lose_lease;
    read_item("1", NULL);
    expect(503, 0);
    served_end();
}

T_TEST("a commit that does not come is 503")
{
    begin(CONSISTENCY_STRONG);
    atomic_store(&fake_part(f, 0)->commit_lsn, 0);
    f->wait_err = ERR_UNAVAILABLE;
    read_item("1", NULL);
    expect(503, 0);
    served_end();
}

T_TEST("strong scans wait as well, strong metadata feeds do not need a container")
{
    begin(CONSISTENCY_STRONG);
    atomic_store(&fake_part(f, 0)->commit_lsn, 0);
    f->on_wait = commit;
    fake_send(f, "GET", DOCS, NULL);
    expect(200, 0);
    t_eq_u64(f->waits, 1);
    fake_send(f, "GET", "/dbs", NULL);
    expect(200, 0);
    fake_send(f, "GET", "/dbs/db/colls", NULL);
    expect(200, 0);
    fake_send(f, "GET", "/offers", NULL);
    expect(200, 0);
    served_end();
}

/* ---- BoundedStaleness ---- */

static void begin_bounded(void)
{
    begin(CONSISTENCY_SESSION);
    f->rec.level = CONSISTENCY_BOUNDED_STALENESS;
    f->rec.max_staleness_ops = 100;
    f->rec.max_staleness_s = 5;
    fake_publish_record(f);
}

T_TEST("bounded reads need a lease, and do not wait for what could be lost")
{
    begin_bounded();
    atomic_store(&fake_part(f, 0)->commit_lsn, 0);
    read_item("1", NULL);
    expect(200, 0);
    fake_send(f, "GET", DOCS, NULL);
    expect(200, 0);
    t_eq_u64(f->waits, 0);
    atomic_store(&f->view->fresh_until_us, clock_boot_us() - 1);
    read_item("1", NULL);
    expect(503, 0);
    fake_send(f, "GET", DOCS, NULL);
    expect(503, 0);
    fake_header(f, "x-ms-consistency-level", "Session");
    read_item("1", NULL);
    expect(200, 0);
    served_end();
}

T_TEST("a write that a region is too far behind for says when to try again")
{
    begin_bounded();
    f->write_err = ERR_STALENESS_LIMIT;
    put_item("2", 1);
    expect(429, 0); /* 3200 is a throughput budget: there is none here */
    t_eq_lit(fake_answer_header(f, "x-ms-retry-after-ms"), "500");
    f->write_err = ERR_BUSY;
    put_item("2", 1);
    expect(429, 3200);
    t_eq_lit(fake_answer_header(f, "x-ms-retry-after-ms"), "20");
    served_end();
}

T_TEST("while the level changes, requests may ask for the weaker of the two")
{
    begin(CONSISTENCY_SESSION);
    f->rec.is_level_changing = true;
    f->rec.level_to = CONSISTENCY_STRONG;
    fake_publish_record(f);
    fake_header(f, "x-ms-consistency-level", "Strong");
    read_item("1", NULL);
    expect(400, 0);
    f->rec.level = CONSISTENCY_STRONG;
    f->rec.level_to = CONSISTENCY_EVENTUAL;
    fake_publish_record(f);
    fake_header(f, "x-ms-consistency-level", "Session");
    read_item("1", NULL);
    expect(400, 0);
    atomic_store(&f->view->fresh_until_us, clock_boot_us() - 1);
    read_item("1", NULL); /* read as at Eventual: no lease is needed */
    expect(200, 0);
    served_end();
}

T_TEST("a read for the write region only is answered under the writer's lease, or 403/3")
{
    begin(CONSISTENCY_SESSION);
    fake_header(f, "x-ms-cosmos-hub-region-processing-only", "True");
    read_item("1", NULL);
    expect(200, 0);
    atomic_store(&f->view->role, ROLE_HOLDING);
    fake_header(f, "x-ms-cosmos-hub-region-processing-only", "True");
    read_item("1", NULL);
    expect(200, 0);
    atomic_store(&f->view->fresh_until_us, clock_boot_us() - 1);
    fake_header(f, "x-ms-cosmos-hub-region-processing-only", "True");
    read_item("1", NULL);
    expect(403, 3);
    served_end();
}

T_TEST("a request may ask for a weaker level, not for a stronger one")
{
    begin(CONSISTENCY_SESSION);
    static const char *const fine[] = {"Session", "session", "ConsistentPrefix", "Eventual"};
    for (size_t i = 0; i < ARRAY_COUNT(fine); i++) {
        fake_header(f, "x-ms-consistency-level", fine[i]);
        read_item("1", NULL);
        expect(200, 0);
    }
    static const char *const bad[] = {"Strong", "BoundedStaleness", "Whatever"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        fake_header(f, "x-ms-consistency-level", bad[i]);
        read_item("1", NULL);
        expect(400, 0);
    }
    served_end();
}

/* ---- keys ---- */

T_TEST("unsigned and wrongly signed requests are 401, read-only keys do not write")
{
    begin(CONSISTENCY_SESSION);
    struct str key = f->key;
    f->key = STR("");
    read_item("1", NULL);
    expect(401, 0);
    t_eq_lit(fake_answer_str(f, "code"), "Unauthorized");
    f->key = STR("bm90IGEga2V5IG9mIHRoaXMgYWNjb3VudCBhdCBhbGw=");
    read_item("1", NULL);
    expect(401, 0);
    f->key = STR("cmVhZC1vbmx5IGtleSBvZiB0aGUgYWNjb3VudCEhISE=");
    read_item("1", NULL);
    expect(200, 0);
    fake_header(f, "x-ms-documentdb-isquery", "true");
    fake_send(f, "POST", DOCS, "{\"query\":\"SELECT * FROM c\"}");
    expect(200, 0);
    put_item("2", 1);
    expect(403, 0);
    f->key = key;
    put_item("2", 1);
    expect(201, 0);
    served_end();
}

T_TEST("a changed key counts from the next record on")
{
    begin(CONSISTENCY_SESSION);
    (void)snprintf(f->rec.key[0], sizeof(f->rec.key[0]), "%s",
                   "bm90IGEga2V5IG9mIHRoaXMgYWNjb3VudCBhdCBhbGw=");
    fake_publish_record(f);
    read_item("1", NULL);
    expect(401, 0);
    f->key = STR("bm90IGEga2V5IG9mIHRoaXMgYWNjb3VudCBhdCBhbGw=");
    read_item("1", NULL);
    expect(200, 0);
    served_end();
}

/* ---- the account ---- */

T_TEST("the account document follows the record and is never cached")
{
    begin(CONSISTENCY_SESSION);
    fake_send(f, "GET", "/", NULL);
    expect(200, 0);
    t_contains(fake_answer_header(f, "cache-control"), "no-store");
    const struct json *write = json_get(f->doc, STR("writableLocations"));
    struct str name = STR("");
    t_check(write && write->count == 1 && json_get_str(write->items[0], STR("name"), &name));
    t_eq_lit(name, "east");
    f->rec.writer = f->rec.regions[1].id;
    fake_publish_record(f);
    fake_send(f, "GET", "/", NULL);
    write = json_get(f->doc, STR("writableLocations"));
    t_check(write && write->count == 1 && json_get_str(write->items[0], STR("name"), &name));
    t_eq_lit(name, "west");
    served_end();
}

T_TEST("the activity id is echoed, or made")
{
    begin(CONSISTENCY_SESSION);
    fake_header(f, "x-ms-activity-id", "11111111-2222-4333-8444-555555555555");
    read_item("1", NULL);
    t_eq_lit(fake_answer_header(f, "x-ms-activity-id"), "11111111-2222-4333-8444-555555555555");
    read_item("absent", NULL);
    t_eq_u64(fake_answer_header(f, "x-ms-activity-id").n, 36);
    served_end();
}

T_MAIN()
