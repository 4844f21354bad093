/* The event feed: numbers, the ring's edge, long polls (over a real server), and the story that a front
 * reads out of account records. */
#include "server/feed.h"

#include <stdio.h>
#include <string.h>

#include "../net/loop_until.h"
#include "../net/raw_http.h"
#include "account/region.h"
#include "base/mem.h"
#include "net/sockets.h"
#include "server/story.h"

static struct {
    struct loop *loop;
    struct feed *feed;
    struct http_server *server;
    int fd;
    uint16_t port;
    struct raw_conn *conn;
    size_t waiting; /* wanted */
} w;

static void setup(void)
{
    memset(&w, 0, sizeof(w));
    w.loop = loop_new();
    w.feed = feed_new(w.loop, "server/east");
}

static void teardown(void)
{
    feed_free(w.feed);
    if (w.server) {
        http_server_free(w.server, 100);
        t_check(close(w.fd) == 0);
    }
    loop_free(w.loop);
}

static void add_many(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        feed_add(w.feed, 1700000000000 + i, "role", i + 1, "from=A to=B");
    }
}

/* How many events come after `since`; the first and last number. */
static size_t look(uint64_t since, uint64_t *ret_first, uint64_t *ret_last, bool *ret_missed)
{
    struct buf text;
    struct json_out o;
    struct arena a;
    buf_init(&text, 1 << 20);
    json_out_init(&o, &text);
    feed_json(w.feed, since, &o);
    t_check(buf_ok(&text));
    arena_init(&a);
    const struct json *doc = NULL;
    t_ok(json_parse(&a, buf_str(&text), NULL, &doc, NULL));
    const struct json *events = json_get(doc, STR("events"));
    t_check(json_get_bool(doc, STR("missed"), ret_missed));
    *ret_first = *ret_last = 0;
    size_t count = events->count;
    for (size_t i = 0; i < count; i++) {
        uint64_t seq = 0;
        uint64_t rule = 0;
        t_check(json_get_u64(events->items[i], STR("seq"), &seq));
        t_check(json_get_u64(events->items[i], STR("rule"), &rule));
        t_eq_u64(rule, seq); /* the slot holds this event and no other */
        t_check(i == 0 || seq == *ret_last + 1);
        *ret_first = i == 0 ? seq : *ret_first;
        *ret_last = seq;
    }
    arena_done(&a);
    buf_done(&text);
    return count;
}

T_TEST("events are numbered from 1, and since leaves out what was seen")
{
    uint64_t first = 0, last = 0;
    bool is_missed = false;
    setup();
    t_eq_u64(look(0, &first, &last, &is_missed), 0);
    add_many(5);
    t_eq_u64(look(0, &first, &last, &is_missed), 5);
    t_check(first == 1 && last == 5 && !is_missed);
    t_eq_u64(look(3, &first, &last, &is_missed), 2);
    t_check(first == 4 && last == 5 && !is_missed);
    t_eq_u64(look(5, &first, &last, &is_missed), 0);
    t_eq_u64(look(UINT64_MAX, &first, &last, &is_missed), 0);
    teardown();
}

T_TEST("a full ring holds exactly its size, the newest ones, and says what is gone")
{
    uint64_t first = 0, last = 0;
    bool is_missed = false;
    setup();
    add_many(FEED_EVENTS_MAX);
    t_eq_u64(look(0, &first, &last, &is_missed), FEED_EVENTS_MAX);
    t_check(first == 1 && !is_missed);
    teardown();
    setup();
    add_many(FEED_EVENTS_MAX + 2);
    t_eq_u64(look(0, &first, &last, &is_missed), FEED_EVENTS_MAX);
    t_check(first == 3 && last == FEED_EVENTS_MAX + 2 && !is_missed); /* asked for what is there */
    t_eq_u64(look(1, &first, &last, &is_missed), FEED_EVENTS_MAX);
    t_check(first == 3 && is_missed);
    t_eq_u64(look(2, &first, &last, &is_missed), FEED_EVENTS_MAX);
    t_check(!is_missed);
    t_eq_u64(look(3, &first, &last, &is_missed), FEED_EVENTS_MAX - 1);
    teardown();
}

T_TEST("a full ring of the longest texts, all of it to be escaped, fits an answer")
{
    uint64_t first = 0, last = 0;
    bool is_missed = false;
    char text[FEED_TEXT_SIZE * 2];
    memset(text, '"', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    setup();
    for (unsigned i = 1; i <= FEED_EVENTS_MAX; i++) {
        feed_add(w.feed, 1700000000000, "role", i, text);
    }
    t_eq_u64(look(0, &first, &last, &is_missed), FEED_EVENTS_MAX);
    teardown();
}

T_TEST("only the feed's own addresses are its own")
{
    t_check(feed_is_target(STR("/events")));
    t_check(feed_is_target(STR("/events?since=1&wait=2")));
    t_check(feed_is_target(STR("/_holdfast/events?")));
    t_check(!feed_is_target(STR("/events/1")));
    t_check(!feed_is_target(STR("/")));
    t_check(!feed_is_target(STR("")));
}

/* ---- long polls ---- */

static void serve(void *ctx)
{
    struct http_req *req = ctx;
    feed_serve(w.feed, req);
}

static void on_request(void *ctx, struct http_req *req)
{
    UNUSED(ctx);
    t_check(loop_post(w.loop, serve, req));
}

static void setup_server(void)
{
    setup();
    struct http_server_opts opts = {.handler = on_request};
    t_ok(sockets_listen("127.0.0.1:0", &w.fd, &w.port, NULL));
    t_ok(http_server_new(&opts, &w.server, NULL));
    t_ok(http_server_listen(w.server, w.fd, "x", NULL));
}

static bool enough_wait(void)
{
    return feed_waiting(w.feed) == w.waiting;
}

static void ask(struct raw_conn *c, const char *target)
{
    char text[256];
    (void)snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);
    raw_send(c, text);
}

static bool has_answer(void)
{
    ssize_t n = recv(w.conn->fd, w.conn->in + w.conn->in_size, RAW_SIZE_MAX - 1 - w.conn->in_size,
                     MSG_DONTWAIT);
    if (n > 0) {
        w.conn->in_size += (size_t)n;
    }
    w.conn->in[w.conn->in_size] = '\0';
    return strstr(w.conn->in, "}") != NULL;
}

static const char *answer_of(struct raw_conn *c)
{
    c->in_size = 0;
    w.conn = c;
    loop_until(w.loop, has_answer);
    return c->in;
}

T_TEST("a long poll is answered by the next event, at once when there is news, and when time is up")
{
    setup_server();
    struct raw_conn c = raw_connect(w.port);
    ask(&c, "/events?since=0&wait=60");
    w.waiting = 1;
    loop_until(w.loop, enough_wait);
    feed_add(w.feed, 1700000000000, "failover", 311, "to=west");
    t_eq_u64(feed_waiting(w.feed), 0);
    const char *text = answer_of(&c);
    t_contains(str_of(text), "\"last\":1,");
    t_contains(str_of(text), "to=west");
    ask(&c, "/events?wait=60");
    t_contains(str_of(answer_of(&c)), "\"seq\":1,");
    ask(&c, "/events?since=1&wait=1");
    t_contains(str_of(answer_of(&c)), "\"events\":[]");
    ask(&c, "/events?since=77&wait=60"); /* of an instance before this one */
    t_contains(str_of(answer_of(&c)), "\"seq\":1,");
    raw_close(&c);
    teardown();
}

T_TEST("what cannot be understood is refused, and so is one waiter too many")
{
    setup_server();
    struct raw_conn c = raw_connect(w.port);
    static const char *const bad[] = {"/events?since=x", "/events?since", "/events?wait=61",
                                      "/events?until=4", "/events?since=-1"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        ask(&c, bad[i]);
        t_contains(str_of(answer_of(&c)), "HTTP/1.1 400 ");
    }
    struct raw_conn many[FEED_WAITERS_MAX];
    for (size_t i = 0; i < FEED_WAITERS_MAX; i++) {
        many[i] = raw_connect(w.port);
        ask(&many[i], "/events?wait=60");
    }
    w.waiting = FEED_WAITERS_MAX;
    loop_until(w.loop, enough_wait);
    ask(&c, "/events?wait=60");
    t_contains(str_of(answer_of(&c)), "HTTP/1.1 429 ");
    feed_free(w.feed); /* the end of the process answers them */
    t_contains(str_of(answer_of(&many[FEED_WAITERS_MAX - 1])), "\"events\":[]");
    w.feed = feed_new(w.loop, "again");
    for (size_t i = 0; i < FEED_WAITERS_MAX; i++) {
        raw_close(&many[i]);
    }
    raw_close(&c);
    teardown();
}

/* ---- the front's story ---- */

static struct account_record rec;

static void open_epoch(region_id writer, uint32_t rule, int64_t wall_ms)
{
    struct record_epoch e = {.epoch = ++rec.epoch,
                             .generation = ++rec.generation,
                             .writer = writer,
                             .opened.rule = rule,
                             .opened.wall_ms = wall_ms,
                             .opened.detect_ms = 1,
                             .start_lsn = 1 + rec.epoch * 1000};
    (void)snprintf(e.opened.reason, sizeof(e.opened.reason), "because");
    record_add_epoch(&rec, &e);
    rec.writer = writer;
}

static void new_account(void)
{
    account_init(&rec, "shop", CONSISTENCY_SESSION);
    t_ok(account_add_region(&rec, "east", "http://127.0.0.1:1/", "127.0.0.1:2", 5, NULL));
    t_ok(account_add_region(&rec, "west", "http://127.0.0.1:3/", "127.0.0.1:4", 5, NULL));
}

static struct str story(uint64_t since)
{
    static struct buf text;
    struct json_out o;
    buf_done(&text);
    buf_init(&text, 1 << 20);
    json_out_init(&o, &text);
    feed_json(w.feed, since, &o);
    return buf_str(&text);
}

T_TEST("records tell of failovers, of reopenings, of regions and of levels, each once")
{
    static struct story s;
    memset(&s, 0, sizeof(s));
    setup();
    new_account();
    open_epoch(1, 313, 1000);
    story_note(&s, &rec, 1000000, w.feed, NULL);
    t_contains(story(0), "\"events\":[]"); /* what was before is no news */
    open_epoch(2, 311, 1000001);
    record_set_state(&rec, 1, REGION_OFFLINE, 1000001);
    story_note(&s, &rec, 1000002, w.feed, NULL);
    t_contains(story(0), "\"event\":\"failover\",\"rule\":311,");
    t_contains(story(0), "from=east to=west");
    t_contains(story(1), "region=east from=ONLINE_READ to=OFFLINE");
    story_note(&s, &rec, 1000003, w.feed, NULL);
    t_contains(story(2), "\"events\":[]");
    open_epoch(2, 312, 1000004);
    rec.level = CONSISTENCY_STRONG;
    story_note(&s, &rec, 1000004, w.feed, NULL);
    t_contains(story(2), "\"event\":\"reopened\",\"rule\":312,");
    t_contains(story(3), "from=Session to=Strong");
    rec.region_count = 1; /* west is gone, whatever that means for its epochs */
    story_note(&s, &rec, 1000005, w.feed, NULL);
    t_contains(story(4), "region=west from=ONLINE_READ to=ABSENT");
    teardown();
}

static void beat(struct story *s, region_id id, generation g, const char *lags)
{
    char text[200];
    (void)snprintf(text, sizeof(text), "{\"generation\":%u%s%s}", (unsigned)g,
                   lags != NULL ? ",\"lags\":" : "", lags != NULL ? lags : "");
    story_beat(s, id, str_of(text));
}

/* East, who writes, has said `lags`, then `later` when it knew that it was out, or before; west takes over. */
static struct str lose(const char *lags, bool is_out, const char *later)
{
    static struct story s;
    memset(&s, 0, sizeof(s));
    new_account();
    open_epoch(1, 313, 1000);
    story_note(&s, &rec, 1000000, w.feed, NULL);
    beat(&s, 1, rec.generation, lags);
    beat(&s, 2, rec.generation, NULL);
    beat(&s, 1, is_out ? 9 : rec.generation, later);
    rec.generation = 8;
    open_epoch(2, 311, 1000001);
    rec.epochs[1].opened.is_lossy = true;
    record_set_state(&rec, 1, REGION_OFFLINE, 1000001);
    record_region(&rec, 1)->unsent_ops = 130;
    story_note(&s, &rec, 1000002, w.feed, NULL);
    return story(0);
}

T_TEST("a failover is told with what it may have lost, by partition as the old writer said last")
{
    static const char *const lags = "[[3,7,200,300],[2,7,120,300],[2,9,10,40]]";
    setup();
    struct str told = lose(lags, true, NULL);
    t_contains(told,
               "lost_operations_estimate=130 lost_in_partitions=\\\"7:120 9:10\\\" detect_ms");
    teardown();
    setup();
    told = lose(lags, false, "[[2,9,4,40]]");
    t_contains(told, "lost_operations_estimate=130 lost_in_partitions=\\\"9:4\\\" detect_ms");
    teardown();
    setup();
    told = lose(lags, false, NULL); /* nothing was behind any more */
    t_contains(told, "lost_operations_estimate=130 detect_ms");
    teardown();
    setup();
    told = lose(NULL, true, "[[2,9,4,40]]"); /* of a later time */
    t_contains(told, "lost_operations_estimate=130 detect_ms");
    teardown();
}

T_TEST("a front that starts tells of young epochs again, not of old ones, never of the first")
{
    static struct story s;
    memset(&s, 0, sizeof(s));
    setup();
    new_account();
    open_epoch(1, 313, 9000000);
    open_epoch(2, 311, 9000000 - STORY_RECENT_MS);
    open_epoch(1, 311, 9000001 - STORY_RECENT_MS);
    story_note(&s, &rec, 9000000, w.feed, NULL);
    t_contains(story(0), "\"last\":1,");
    t_contains(story(0), "from=west to=east");
    teardown();
}

/* The partition's row: opened last by that region. */
static void open_part(pid p, region_id at, bool is_lossy, int64_t wall_ms)
{
    struct record_override *o = record_override_make(&rec, p);
    t_check(o != NULL);
    o->phase = PHASE_OPEN;
    o->writer = o->holder = at;
    o->epoch = record_epoch_top(&rec) + 1;
    o->opened = (struct record_opening){
        .rule = 355, .wall_ms = wall_ms, .is_lossy = is_lossy, .reason = "because", .wait_ms = 7};
}

static void new_split_account(struct story *s)
{
    memset(s, 0, sizeof(*s));
    setup();
    new_account();
    t_ok(account_add_region(&rec, "north", "http://127.0.0.1:5/", "127.0.0.1:6", 5, NULL));
    open_epoch(1, 313, 1000);
    rec.phase = PHASE_OPEN;
    story_note(s, &rec, 1000000, w.feed, NULL);
    t_contains(story(0), "\"events\":[]");
}

T_TEST("records tell when one partition is written elsewhere, there by another, and at home again")
{
    static struct story s;
    new_split_account(&s);
    open_part(512, 1, false, 1000001); /* a row of one that stays is no news */
    struct record_override *o = record_override_make(&rec, 1024);
    o->phase = PHASE_PROMOTING;
    o->writer = 2; /* nor is one that is about to go */
    story_note(&s, &rec, 1000001, w.feed, NULL);
    t_contains(story(0), "\"events\":[]");
    open_part(1024, 2, true, 1000002);
    story_note(&s, &rec, 1000002, w.feed, NULL);
    t_contains(story(0), "\"event\":\"partition_moved\",\"rule\":355,");
    t_contains(story(0), "partition=1024 epoch=3 from=east to=west may_have_conflicts=true");
    story_note(&s, &rec, 1000003, w.feed, NULL);
    t_contains(story(1), "\"events\":[]");
    open_part(1024, 3, false, 1000004);
    story_note(&s, &rec, 1000004, w.feed, NULL);
    t_contains(story(1), "from=west to=north may_have_conflicts=false");
    open_part(1024, 1, false, 1000005);
    story_note(&s, &rec, 1000005, w.feed, NULL);
    t_contains(story(2), "\"event\":\"partition_returned\",\"rule\":355,");
    t_contains(story(2), "partition=1024 epoch=5 from=north to=east");
    open_part(1024, 2, false, 1000006);
    story_note(&s, &rec, 1000006, w.feed, NULL);
    record_override_remove(&rec, 1024); /* folded into an epoch of the account, or deleted */
    story_note(&s, &rec, 1000007, w.feed, NULL);
    t_contains(story(4), "\"event\":\"partition_returned\",\"rule\":0,");
    t_contains(story(4), "partition=1024 epoch=6 from=west to=east");
    t_contains(story(5), "\"events\":[]");
    teardown();
}

T_TEST("while the account has no open writer nothing is elsewhere, and its own failover is no "
       "partition's")
{
    static struct story s;
    new_split_account(&s);
    open_part(512, 1, false, 1000001);
    open_part(1024, 2, false, 1000001);
    story_note(&s, &rec, 1000001, w.feed, NULL);
    t_contains(story(0), "\"last\":1,");
    rec.phase = PHASE_PROMOTING;
    rec.writer = 2;
    story_note(&s, &rec, 1000002, w.feed, NULL);
    t_contains(story(1), "\"events\":[]");
    open_epoch(2, 311, 1000003);
    rec.phase = PHASE_OPEN;
    record_override_remove(&rec, 512);
    story_note(&s, &rec, 1000003, w.feed, NULL);
    t_contains(story(1), "\"event\":\"failover\"");
    t_contains(story(2), "partition=1024 epoch=3 from=west to=west"); /* the account came to it */
    t_contains(story(0), "\"last\":3,");
    teardown();
}

T_TEST("many partitions that move are told of one by one up to a number, then summed up")
{
    static struct story s;
    new_split_account(&s);
    for (pid p = 1; p <= 30; p++) {
        open_part(p * 512, 2, p % 2 == 0, 1000000);
        story_note(&s, &rec, 1000000 + (int64_t)p, w.feed, NULL);
    }
    t_contains(story(0), "\"last\":10,");
    t_check(story_is_behind(&s));
    story_tick(&s, &rec, 1000011 + STORY_SUM_MS - 1, w.feed, NULL);
    t_contains(story(0), "\"last\":10,");
    story_tick(&s, &rec, 1000011 + STORY_SUM_MS, w.feed, NULL);
    t_contains(story(10), "\"event\":\"partitions_moved\",\"rule\":0,");
    t_contains(story(10), "moved=20 returned=0 may_have_conflicts=10 elsewhere_now=30");
    t_check(!story_is_behind(&s));
    open_epoch(2, 311, 1000050);
    rec.override_count = 0;
    story_note(&s, &rec, 1000050, w.feed, NULL); /* the same minute */
    story_tick(&s, &rec, 1000050 + STORY_SUM_MS, w.feed, NULL);
    t_contains(story(12), "moved=0 returned=30 may_have_conflicts=0 elsewhere_now=0");
    open_part(512, 1, false, 1000001 + STORY_PARTS_MS);
    story_note(&s, &rec, 1000001 + STORY_PARTS_MS, w.feed, NULL); /* the next one */
    t_contains(story(13), "\"event\":\"partition_moved\"");
    teardown();
}

T_TEST("a front that starts tells of partitions that moved just now, from where it does not know")
{
    static struct story s;
    memset(&s, 0, sizeof(s));
    setup();
    new_account();
    open_epoch(1, 313, 1000);
    rec.phase = PHASE_OPEN;
    open_part(512, 2, false, 9000000 - STORY_RECENT_MS);
    open_part(1024, 2, false, 9000001 - STORY_RECENT_MS);
    story_note(&s, &rec, 9000000, w.feed, NULL);
    t_contains(story(0), "\"last\":1,");
    t_contains(story(0), "partition=1024 epoch=3 from= to=west");
    teardown();
}

T_MAIN()
