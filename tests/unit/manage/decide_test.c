/* Requests to the management interface, decided without network or coordinator: what is answered, and
 * what would be put. */
#include "manage/decide.h"

#include "made.h"
#include "manage/doc.h"

#define PLACES(first, second)                                                                      \
    "[{\"locationName\":\"" first "\",\"failoverPriority\":0},"                                    \
    "{\"locationName\":\"" second "\",\"failoverPriority\":1}]"
#define WANTED(more)                                                                               \
    "{\"location\":\"x\",\"properties\":{\"databaseAccountOfferType\":\"Standard\"," more "}}"

static struct {
    struct arena arena;
    struct manage_world world;
    struct coord_kv kvs[8];
    size_t count;
    struct manage_answer answer;
    struct errinfo ei;
    char text[8192]; /* of the answer, or of the error */
} t;

static void forget(void)
{
    buf_done(&t.answer.body);
    arena_done(&t.arena);
    memset(&t, 0, sizeof(t));
    arena_init(&t.arena);
}

static void put(const char *key, struct buf *value)
{
    t_check(buf_ok(value));
    t.kvs[t.count] = (struct coord_kv){.key = arena_str(&t.arena, str_of(key)),
                                       .value = arena_str(&t.arena, buf_str(value)),
                                       .rev = 100 + t.count};
    t.count++;
    buf_done(value);
}

static void put_record(const struct account_record *rec)
{
    struct buf b;
    char key[128];
    buf_init(&b, COORD_VALUE_SIZE_MAX);
    record_encode(rec, &b);
    (void)snprintf(key, sizeof(key), COORD_PREFIX "%s/record", rec->name);
    put(key, &b);
}

static void put_hosted(const struct hosted *h)
{
    struct buf b;
    char key[128];
    buf_init(&b, COORD_VALUE_SIZE_MAX);
    hosted_encode(h, &b);
    (void)snprintf(key, sizeof(key), HOSTED_PREFIX "%s", h->account);
    put(key, &b);
}

/* One account of its own with three regions, a hosted one with one, one that is being made, and keys
 * that are none of this. */
static void start(void)
{
    static struct account_record rec;
    struct buf noise;
    forget();
    made(&rec, "first", 3);
    put_record(&rec);
    made(&rec, "shop", 1);
    put_record(&rec);
    put_hosted(&(struct hosted){.account = "shop",
                                .region_count = 1,
                                .regions = {"east"},
                                .level = CONSISTENCY_SESSION,
                                .auto_failover = true,
                                .port = 9100});
    put_hosted(&(struct hosted){.account = "new",
                                .region_count = 2,
                                .regions = {"a", "b"},
                                .level = CONSISTENCY_EVENTUAL,
                                .auto_failover = true});
    buf_init(&noise, 64);
    buf_add_cstr(&noise, "x");
    put(COORD_PREFIX "first/beat/1", &noise);
}

static enum err ask(const char *method, const char *path, const char *body)
{
    struct manage_call call = {.method = str_of(method), .wall_ms = 77, .can_host = true};
    char target[512];
    buf_done(&t.answer.body);
    memset(&t.answer, 0, sizeof(t.answer));
    memset(&t.ei, 0, sizeof(t.ei));
    (void)snprintf(target, sizeof(target), "%s?api-version=1", path);
    t_ok(manage_target_parse(&t.arena, arena_str(&t.arena, str_of(target)), &call.target, NULL));
    t_ok(manage_world_make(&t.arena, t.kvs, t.count, "http://127.0.0.1:9000/", &t.world, NULL));
    if (body != NULL) {
        t_ok(json_parse(&t.arena, str_of(body), NULL, &call.body, NULL));
    }
    enum err err = manage_decide(&t.arena, &call, &t.world, &t.answer, &t.ei);
    struct buf error;
    buf_init(&error, sizeof(t.text) - 1);
    if (err != OK) {
        manage_doc_error(&t.ei, &error);
    }
    struct str text = err != OK ? buf_str(&error) : buf_str(&t.answer.body);
    (void)snprintf(t.text, sizeof(t.text), STR_FMT, STR_ARG(text));
    buf_done(&error);
    return err;
}

#define A(name)                                                                                    \
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.DocumentDB/databaseAccounts" name

/* The record that would be put. */
static const struct account_record *planned(void)
{
    struct account_record *rec = ARENA_NEW(&t.arena, struct account_record);
    t_check(t.answer.txn != NULL);
    t_eq_u64(t.answer.txn->compare_count, 1);
    t_eq_u64(t.answer.txn->put_count, 1);
    t_eq_str(t.answer.txn->puts[0].key, t.answer.txn->compares[0].key);
    t_ok(record_decode(&t.arena, t.answer.txn->puts[0].value, rec, NULL));
    return rec;
}

static void is_refused(const char *method, const char *path, const char *body, int status,
                       const char *says)
{
    t_check(ask(method, path, body) != OK);
    t_checkf(manage_http_status(t.ei.code) == status, "%s", t.text);
    t_contains(str_of(t.text), "{\"error\":{\"code\":\"");
    t_contains(str_of(t.text), says);
}

T_TEST("accounts are found by name, listed in order, and shown with their state")
{
    start();
    t_ok(ask("GET", A(""), NULL));
    t_eq_u64(t.world.count, 3);
    t_contains(str_of(t.text), "\"name\":\"first\"");
    t_contains(str_of(t.text), "\"documentEndpoint\":\"http://127.0.0.1:9000/\"");
    t_contains(str_of(t.text), "\"documentEndpoint\":\"http://127.0.0.1:9100/\"");
    t_check(strstr(t.text, "\"name\":\"first\"") < strstr(t.text, "\"name\":\"new\""));
    t_check(strstr(t.text, "a2V5") == NULL); /* no keys */
    t_ok(ask("GET", A("/first"), NULL));
    t_eq_int(t.answer.status, 200);
    t_contains(str_of(t.text), "\"provisioningState\":\"Succeeded\"");
    t_contains(str_of(t.text),
               "\"writeLocations\":[{\"id\":\"first-east\",\"locationName\":\"east\"");
    t_ok(ask("GET", A("/new"), NULL));
    t_contains(str_of(t.text), "\"provisioningState\":\"Creating\"");
    t_contains(str_of(t.text), "\"writeLocations\":[],\"readLocations\":[]");
    is_refused("GET", A("/other"), NULL, 404, "no account 'other'");
    t_ok(ask("HEAD", "/providers/Microsoft.DocumentDB/databaseAccountNames/shop", NULL));
    is_refused("HEAD", "/providers/Microsoft.DocumentDB/databaseAccountNames/free", NULL, 404, "");
    is_refused("POST", A(""), NULL, 400, "POST does not apply");
    forget();
}

T_TEST("the longest operation can be followed")
{
    struct manage_op op = {.kind = OP_CONSISTENCY, .start_wall_ms = INT64_MAX};
    struct manage_op got;
    struct manage_call call = {0};
    struct buf id;
    memset(op.account, 'a', HOSTED_ACCOUNT_MAX);
    memset(op.arg, 'r', RECORD_NAME_MAX - 1);
    buf_init(&id, MANAGE_OP_ID_SIZE_MAX);
    manage_op_id(&op, &id);
    t_check(buf_ok(&id));
    forget();
    struct str target = arena_printf(&t.arena, A("/x/operationResults/" STR_FMT "?api-version=1"),
                                     STR_ARG(buf_str(&id)));
    t_ok(manage_target_parse(&t.arena, target, &call.target, NULL));
    t_ok(manage_op_parse(call.target.operation, &got, NULL));
    t_eq_cstr(got.arg, op.arg);
    t_eq_i64(got.start_wall_ms, op.start_wall_ms);
    buf_done(&id);
    forget();
}

T_TEST("who knows one account only says nothing of others")
{
    static const struct {
        const char *method, *path;
        bool is_known;
    } cases[] = {
        {"GET", A("/first"), true},
        {"GET", A("/First"), true},
        {"GET", A("/shop"), false},
        {"GET", A(""), false},
        {"PATCH", A("/first"), false},
        {"POST", A("/first/listKeys"), true},
        {"POST", A("/shop/listKeys"), false},
        {"POST", A("/first/regenerateKey"), false},
        {"HEAD", "/providers/Microsoft.DocumentDB/databaseAccountNames/first", true},
        {"HEAD", "/providers/Microsoft.DocumentDB/databaseAccountNames/shop", false},
        {"GET", A("/first/operationResults/failover.first.west.5"), true},
        {"GET", A("/shop/operationResults/delete.shop..5"), false}, /* "no account: it succeeded" */
        {"GET", A("/first/operationResults/delete.shop..5"), false},
        {"GET", A("/first/operationResults/nonsense"), false},
    };
    forget();
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct manage_call call = {.method = str_of(cases[i].method)};
        struct str target = arena_printf(&t.arena, "%s?api-version=1", cases[i].path);
        t_ok(manage_target_parse(&t.arena, target, &call.target, NULL));
        t_checkf(manage_is_about_one(&call, STR("first")) == cases[i].is_known, "%s %s",
                 cases[i].method, cases[i].path);
    }
    forget();
}

T_TEST("what each account's regions can read is known from their heartbeats")
{
    struct buf beat;
    start();
    buf_init(&beat, 64);
    buf_add_cstr(&beat, "{\"record_format\":7}");
    put(COORD_PREFIX "shop/beat/1", &beat);
    t_ok(ask("GET", A("/shop"), NULL));
    t_eq_u64(manage_world_find(&t.world, STR("shop"))->beats->of[1].reads, 7);
    t_eq_u64(manage_world_find(&t.world, STR("first"))->beats->of[1].reads, 0); /* "x" is none */
    forget();
}

T_TEST("keys: listed, read-only ones alone, and none while the account is being made")
{
    start();
    t_ok(ask("POST", A("/first/listKeys"), NULL));
    t_eq_cstr(t.text, "{\"primaryMasterKey\":\"a2V50\",\"secondaryMasterKey\":\"a2V51\","
                      "\"primaryReadonlyMasterKey\":\"a2V52\",\"secondaryReadonlyMasterKey\":"
                      "\"a2V53\"}");
    t_ok(ask("GET", A("/first/readonlykeys"), NULL));
    t_eq_cstr(t.text, "{\"primaryReadonlyMasterKey\":\"a2V52\",\"secondaryReadonlyMasterKey\":"
                      "\"a2V53\"}");
    t_ok(ask("POST", A("/shop/listConnectionStrings"), NULL));
    t_contains(str_of(t.text), "AccountEndpoint=http://127.0.0.1:9100/;AccountKey=a2V50;");
    is_refused("GET", A("/first/listKeys"), NULL, 400, "GET does not apply");
    is_refused("POST", A("/new/listKeys"), NULL, 409, "is being made");
    t_ok(ask("POST", A("/first/regenerateKey"), "{\"keyKind\":\"secondary\"}"));
    t_eq_int(t.answer.status, 202);
    t_eq_cstr(planned()->key[0], "a2V50");
    t_check(strcmp(planned()->key[1], "a2V51") != 0);
    t_eq_u64(strlen(planned()->key[1]), 88); /* base64 of 64 bytes */
    t_eq_int(t.answer.op.kind, OP_UPDATE);
    is_refused("POST", A("/first/regenerateKey"), "{\"keyKind\":\"third\"}", 400, "unknown key");
    is_refused("POST", A("/first/regenerateKey"), "{}", 400, "keyKind");
    forget();
}

T_TEST("create: what is wanted is put, if neither it nor a record of that name is there")
{
    struct hosted h;
    start();
    t_ok(ask("PUT", A("/fresh"),
             WANTED("\"locations\":" PLACES(
                 "East US",
                 "West US") ",\"consistencyPolicy\":"
                            "{\"defaultConsistencyLevel\":\"BoundedStaleness\","
                            "\"maxStalenessPrefix\":1000,"
                            "\"maxIntervalInSeconds\":60},\"enableAutomaticFailover\":false")));
    t_eq_int(t.answer.status, 201);
    t_check(t.answer.has_op && t.answer.is_running);
    t_contains(str_of(t.text), "\"provisioningState\":\"Creating\"");
    t_eq_u64(t.answer.txn->compare_count, 2);
    t_eq_u64(t.answer.txn->compares[0].rev, 0);
    t_eq_u64(t.answer.txn->compares[1].rev, 0);
    t_eq_lit(t.answer.txn->compares[1].key, COORD_PREFIX "fresh/record");
    t_eq_lit(t.answer.txn->puts[0].key, HOSTED_PREFIX "fresh");
    t_ok(hosted_decode(t.answer.txn->puts[0].value, &h, NULL));
    t_eq_cstr(h.regions[0], "eastus");
    t_eq_cstr(h.regions[1], "westus");
    t_eq_int(h.level, CONSISTENCY_BOUNDED_STALENESS);
    t_eq_u64(h.max_staleness_ops, 1000);
    t_eq_u64(h.max_staleness_s, 60);
    t_check(!h.auto_failover && h.port == 0 && !h.is_deleting);
    t_eq_i64(h.created_wall_ms, 77);
    forget();
}

T_TEST("create: what clients send for things they do not use is taken, the rest is refused")
{
    start();
    t_ok(ask("PUT", A("/fresh"),
             "{\"kind\":\"GlobalDocumentDB\",\"tags\":{},\"identity\":{\"type\":\"None\"},"
             "\"location\":\"x\",\"properties\":{\"databaseAccountOfferType\":\"Standard\","
             "\"createMode\":\"Default\",\"ipRules\":[],\"enableFreeTier\":false,"
             "\"backupPolicy\":null,\"publicNetworkAccess\":\"Enabled\",\"locations\":"
             "[{\"locationName\":\"b\",\"failoverPriority\":1},{\"locationName\":\"a\","
             "\"failoverPriority\":0}],\"consistencyPolicy\":{\"defaultConsistencyLevel\":"
             "\"Session\",\"maxStalenessPrefix\":100,\"maxIntervalInSeconds\":5}}}"));
    struct hosted h;
    t_ok(hosted_decode(t.answer.txn->puts[0].value, &h, NULL));
    t_eq_cstr(h.regions[0], "a"); /* by priority, not by place in the list */
    t_eq_u64(h.max_staleness_ops, 0);
#define REFUSED(more, status, says)                                                                \
    is_refused("PUT", A("/fresh"), WANTED("\"locations\":" PLACES("a", "b") "," more), status, says)
    REFUSED("\"backupPolicy\":{\"type\":\"Continuous\"}", 501, "backupPolicy");
    REFUSED("\"publicNetworkAccess\":\"Disabled\"", 501, "publicNetworkAccess");
    REFUSED("\"createMode\":\"Restore\"", 501, "createMode");
    REFUSED("\"enableMultipleWriteLocations\":true", 501, "write regions");
    REFUSED("\"enableMultipleWriteLocations\":true,\"consistencyPolicy\":"
            "{\"defaultConsistencyLevel\":\"Strong\"}",
            400, "Strong");
    is_refused("PUT", A("/fresh"),
               WANTED("\"locations\":" PLACES(
                   "Korea Central", "Brazil South") ",\"consistencyPolicy\":{"
                                                    "\"defaultConsistencyLevel\":\"Strong\"}"),
               400, "km apart");
    REFUSED("\"enableAutomaticFailover\":1", 400, "neither true nor false");
    REFUSED("\"consistencyPolicy\":{}", 400, "unknown consistency level");
    REFUSED("\"consistencyPolicy\":{\"defaultConsistencyLevel\":\"BoundedStaleness\","
            "\"maxStalenessPrefix\":0}",
            400, "maxStalenessPrefix");
    is_refused("PUT", A("/fresh"), WANTED("\"locations\":[]"), 400, "1 to");
    is_refused("PUT", A("/fresh"), WANTED("\"enableFreeTier\":false"), 400, "at least one region");
    is_refused("PUT", A("/fresh"), WANTED("\"locations\":" PLACES("a", "A")), 400, "twice");
    is_refused("PUT", A("/fresh"),
               WANTED("\"locations\":[{\"locationName\":\"a\",\"failoverPriority\":1}]"), 400,
               "not one of 0 to 0");
    is_refused("PUT", A("/fresh"),
               WANTED("\"locations\":[{\"locationName\":\"a\",\"isZoneRedundant\":true}]"), 501,
               "zone redundant");
    is_refused("PUT", A("/fresh"),
               WANTED("\"locations\":[{\"locationName\":\"a\"}],\"enableAutomaticFailover\":true"),
               400, "two or more regions");
    is_refused("PUT", A("/fresh"), "{\"properties\":{\"locations\":" PLACES("a", "b") "}}", 400,
               "databaseAccountOfferType");
    is_refused("PUT", A("/fresh"), "[]", 400, "no JSON object");
    is_refused("PUT", A("/fresh"), NULL, 400, "no JSON object");
    is_refused("PUT", A("/fresh"), "{\"tags\":{\"a\":\"b\"}}", 501, "tags");
    is_refused("PUT", A("/-x-"), WANTED("\"locations\":" PLACES("a", "b")), 400, "no name");
    is_refused("PUT", A("/new"), WANTED("\"locations\":" PLACES("a", "b")), 409, "is being made");
    forget();
}

T_TEST("create: as many regions and accounts as the limits say")
{
    start();
    char body[4096] = "{\"properties\":{\"databaseAccountOfferType\":\"Standard\",\"locations\":[";
    for (size_t i = 0; i <= HOSTED_REGIONS_MAX; i++) {
        size_t at = strlen(body);
        (void)snprintf(body + at, sizeof(body) - at, "%s{\"locationName\":\"r%zu\"}",
                       i > 0 ? "," : "", i);
        if (i + 1 >= HOSTED_REGIONS_MAX) {
            char whole[4200];
            (void)snprintf(whole, sizeof(whole), "%s]}}", body);
            t_err(ask("PUT", A("/fresh"), whole), i < HOSTED_REGIONS_MAX ? OK : ERR_INVALID);
        }
    }
    t_contains(str_of(t.text), "1 to 32 entries");
    const char *one = WANTED("\"locations\":[{\"locationName\":\"a\"}]");
    struct coord_kv kvs[HOSTED_ACCOUNTS_MAX];
    struct manage_call call = {.method = STR("PUT"), .can_host = true};
    t_ok(manage_target_parse(&t.arena, STR(A("/fresh") "?api-version=1"), &call.target, NULL));
    t_ok(json_parse(&t.arena, str_of(one), NULL, &call.body, NULL));
    for (size_t i = 0; i < HOSTED_ACCOUNTS_MAX; i++) {
        struct hosted h = {.region_count = 1, .regions = {"a"}};
        struct buf b;
        (void)snprintf(h.account, sizeof(h.account), "number-%zu", i);
        buf_init(&b, 4096);
        hosted_encode(&h, &b);
        kvs[i] = (struct coord_kv){.key = arena_printf(&t.arena, HOSTED_PREFIX "%s", h.account),
                                   .value = arena_str(&t.arena, buf_str(&b)),
                                   .rev = 5};
        buf_done(&b);
    }
    for (size_t n = HOSTED_ACCOUNTS_MAX - 1; n <= HOSTED_ACCOUNTS_MAX; n++) {
        struct manage_answer answer = {0};
        t_ok(manage_world_make(&t.arena, kvs, n, "", &t.world, NULL));
        t_err(manage_decide(&t.arena, &call, &t.world, &answer, NULL),
              n < HOSTED_ACCOUNTS_MAX ? OK : ERR_LIMIT);
        buf_done(&answer.body);
    }
    call.can_host = false;
    struct manage_answer answer = {0};
    t_ok(manage_world_make(&t.arena, kvs, 1, "", &t.world, NULL));
    t_err(manage_decide(&t.arena, &call, &t.world, &answer, NULL), ERR_UNSUPPORTED);
    forget();
}

T_TEST("patch: what differs is changed; nothing is put when nothing differs")
{
    start();
    t_ok(ask("PATCH", A("/first"), "{\"properties\":{\"enableAutomaticFailover\":false}}"));
    t_eq_int(t.answer.status, 202);
    t_check(!planned()->auto_failover);
    t_eq_u64(t.answer.txn->compares[0].rev, 100);
    t_contains(str_of(t.text), "\"enableAutomaticFailover\":false"); /* as it will be */
    t_ok(ask("PATCH", A("/first"),
             "{\"properties\":{\"enableAutomaticFailover\":true,"
             "\"consistencyPolicy\":{\"defaultConsistencyLevel\":\"session\"}"
             "}}"));
    t_check(t.answer.txn == NULL);
    t_eq_int(t.answer.op.kind, OP_UPDATE);
    t_ok(ask("PATCH", A("/first"),
             "{\"properties\":{\"consistencyPolicy\":{\"defaultConsistencyLevel\":\"Strong\"}}}"));
    t_check(planned()->is_level_changing && planned()->level_to == CONSISTENCY_STRONG);
    t_eq_int(t.answer.op.kind, OP_CONSISTENCY);
    t_eq_cstr(t.answer.op.arg, "strong");
    is_refused("PATCH", A("/first"),
               "{\"properties\":{\"enableAutomaticFailover\":false,\"locations\":" PLACES(
                   "east", "west") "}}",
               400, "one request");
    is_refused("PATCH", A("/shop"), "{\"properties\":{\"enableAutomaticFailover\":\"yes\"}}", 400,
               "neither");
    is_refused("PATCH", A("/other"), "{}", 404, "no account");
    t_ok(ask("PUT", A("/first"), WANTED("\"enableAutomaticFailover\":false")));
    t_eq_int(t.answer.status, 200);
    t_check(!planned()->auto_failover);
    forget();
}

T_TEST("patch: what becomes of diverged writes, and that it needs a record which all regions read")
{
    start();
    t_ok(ask("PATCH", A("/first"), "{\"properties\":{\"divergedWrites\":\"feed\"}}"));
    t_check(t.answer.txn == NULL);
    is_refused("PATCH", A("/first"), "{\"properties\":{\"divergedWrites\":\"archive\"}}", 409,
               "needs format 5");
    is_refused("PATCH", A("/first"), "{\"properties\":{\"divergedWrites\":\"lww\"}}", 409,
               "needs format 5");
    is_refused("PATCH", A("/first"), "{\"properties\":{\"divergedWrites\":\"heap\"}}", 400,
               "feed, feed-latest");
    is_refused("PATCH", A("/first"), "{\"properties\":{\"divergedWrites\":1}}", 400, "no word");
    is_refused("PATCH", A("/first"), "{\"properties\":{\"conflictFeedQuota\":\"1k\"}}", 400,
               "no whole number");
    is_refused("PATCH", A("/first"), "{\"properties\":{\"conflictFeedQuota\":4096}}", 409,
               "needs format 5");
    t_ok(ask("GET", A("/first"), NULL));
    t_contains(str_of(t.text), "\"divergedWrites\":\"feed\"");
    forget();
}

T_TEST("priorities, offline and online lead to the plans of the same names")
{
    start();
    t_ok(ask("POST", A("/first/failoverPriorityChange"),
             "{\"failoverPolicies\":[{\"locationName\":\"East\",\"failoverPriority\":1},"
             "{\"locationName\":\"WEST\",\"failoverPriority\":0},"
             "{\"locationName\":\"north\",\"failoverPriority\":2}]}"));
    t_eq_int(planned()->phase, PHASE_TRANSFER);
    t_eq_u64(planned()->transfer_to, 2);
    t_eq_int(t.answer.op.kind, OP_FAILOVER);
    t_eq_cstr(t.answer.op.arg, "west");
    t_eq_u64(t.answer.body.n, 0);
    is_refused("POST", A("/first/failoverPriorityChange"), "{}", 400, "failoverPolicies");
    is_refused("POST", A("/first/failoverPriorityChange"),
               "{\"failoverPolicies\":" PLACES("west", "east") "}", 400, "all 3 regions");
    t_ok(ask("POST", A("/first/offlineRegion"), "{\"region\":\"East \"}"));
    t_eq_int(planned()->phase, PHASE_PROMOTING);
    t_eq_int(planned()->regions[0].state, REGION_OFFLINE);
    t_eq_int(t.answer.op.kind, OP_OFFLINE);
    t_eq_cstr(t.answer.op.arg, "east");
    is_refused("POST", A("/shop/offlineRegion"), "{\"region\":\"east\"}", 409, "only one");
    is_refused("POST", A("/first/offlineRegion"), "{\"region\":\"mars\"}", 400, "no region 'mars'");
    is_refused("POST", A("/first/offlineRegion"), "{}", 400, "\\\"region\\\"");
    is_refused("POST", A("/first/offlineRegion"), NULL, 400, "\\\"region\\\"");
    t_ok(ask("POST", A("/first/onlineRegion"), "{\"region\":\"west\"}"));
    t_check(t.answer.txn == NULL); /* it is online */
    is_refused("POST", A("/first/nonsense"), "{}", 404, "no such operation 'nonsense'");
    is_refused("PUT", A("/first/sqlDatabases/d"), "{}", 501, "own endpoint");
    forget();
}

T_TEST("while one operation runs the next is 412, in an outage 409, but offline goes first")
{
    static struct account_record rec;
    start();
    t.count = 0;
    made(&rec, "first", 3);
    t_ok(account_plan_failover(&rec, STR("west"), 9, NULL));
    put_record(&rec);
    const char *order = "{\"failoverPolicies\":[{\"locationName\":\"north\"},{\"locationName\":"
                        "\"west\"},{\"locationName\":\"east\"}]}";
    is_refused("POST", A("/first/failoverPriorityChange"), order, 412, "is running");
    is_refused("PATCH", A("/first"), "{\"properties\":{\"enableAutomaticFailover\":false}}", 412,
               "is running");
    t_ok(ask("POST", A("/first/offlineRegion"), "{\"region\":\"east\"}"));
    t.count = 0;
    made(&rec, "first", 3);
    record_set_state(&rec, 3, REGION_OFFLINE, 9);
    put_record(&rec);
    is_refused("POST", A("/first/failoverPriorityChange"), order, 409, "north is OFFLINE");
    is_refused("PATCH", A("/first"),
               "{\"properties\":{\"consistencyPolicy\":{\"defaultConsistencyLevel\":\"Strong\"}}}",
               409, "north is OFFLINE");
    forget();
}

T_TEST("delete: a hosted account is marked, the first one is refused, a second time is no error")
{
    struct hosted h;
    start();
    t_ok(ask("DELETE", A("/shop"), NULL));
    t_eq_int(t.answer.status, 202);
    t_eq_u64(t.answer.txn->compares[0].rev, 102);
    t_ok(hosted_decode(t.answer.txn->puts[0].value, &h, NULL));
    t_check(h.is_deleting && h.port == 9100);
    t_eq_int(t.answer.op.kind, OP_DELETE);
    t_ok(ask("DELETE", A("/new"), NULL)); /* also while it is being made */
    is_refused("DELETE", A("/first"), NULL, 409, "started with");
    t_ok(ask("DELETE", A("/other"), NULL));
    t_eq_int(t.answer.status, 204);
    h.is_deleting = true;
    t.count = 2;
    put_hosted(&h);
    t_ok(ask("DELETE", A("/shop"), NULL));
    t_check(t.answer.txn == NULL && t.answer.is_running);
    is_refused("POST", A("/shop/listKeys"), NULL, 409, "is being deleted");
    is_refused("PUT", A("/shop"), WANTED("\"locations\":" PLACES("a", "b")), 409,
               "is being deleted");
    forget();
}

T_TEST("operations are followed by either of their two addresses")
{
#define STATUS "/subscriptions/s/providers/Microsoft.DocumentDB/locations/global/operationsStatus/"
#define RESULT A("/first/operationResults/")
    start();
    t_ok(ask("GET", STATUS "failover.first.east.77", NULL));
    t_eq_int(t.answer.status, 200);
    t_check(!t.answer.is_running);
    t_contains(str_of(t.text), "\"status\":\"Succeeded\"");
    t_ok(ask("GET", STATUS "failover.first.west.77", NULL));
    t_contains(str_of(t.text), "\"status\":\"Failed\"");
    t_contains(str_of(t.text), "\"error\":{\"code\":\"Conflict\",\"message\":\"the write region");
    t_ok(ask("GET", STATUS "create.new..77", NULL));
    t_contains(str_of(t.text), "\"status\":\"InProgress\"");
    t_check(t.answer.is_running);
    is_refused("GET", STATUS "nonsense", NULL, 404, "no such operation");
    is_refused("POST", STATUS "create.new..77", NULL, 400, "POST does not apply");
    t_ok(ask("GET", RESULT "failover.first.east.77", NULL));
    t_eq_int(t.answer.status, 200);
    t_contains(str_of(t.text), "\"name\":\"first\"");
    t_ok(ask("GET", RESULT "create.new..77", NULL));
    t_eq_int(t.answer.status, 202);
    t_check(t.answer.has_op && t.answer.is_running);
    t_ok(ask("GET", RESULT "delete.other..77", NULL));
    t_eq_int(t.answer.status, 204);
    is_refused("GET", RESULT "failover.first.west.77", NULL, 409, "the write region");
    forget();
}

T_TEST("a value that cannot be read is an error, not a missing account")
{
    start();
    t.kvs[1].value = STR("{}");
    t_check(manage_world_make(&t.arena, t.kvs, t.count, "", &t.world, &t.ei) != OK);
    start();
    t.kvs[3].value = STR("{}");
    t_err(manage_world_make(&t.arena, t.kvs, t.count, "", &t.world, NULL), ERR_CORRUPT);
    forget();
}

T_MAIN()
