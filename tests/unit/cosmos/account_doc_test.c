#include "cosmos/account_doc.h"

#include "account/region.h"
#include "base/contract.h"
#include "lib/t.h"
#include "json/json.h"

static struct arena arena;
static struct account_record rec;
static struct buf text;

static const struct json *document(const char *region)
{
    const struct json *doc = NULL;
    struct errinfo ei = {0};
    buf_clear(&text);
    cosmos_account_document(&rec, region, &text);
    t_check(buf_ok(&text));
    t_ok_info(json_parse(&arena, arena_str(&arena, buf_str(&text)), NULL, &doc, &ei), &ei);
    return doc;
}

static void begin(void)
{
    arena_init(&arena);
    buf_init(&text, 64 << 10);
    account_init(&rec, "acct1", CONSISTENCY_SESSION);
    t_ok(account_add_region(&rec, "east", "http://127.0.0.1:8081/", "127.0.0.1:1", 0, NULL));
    t_ok(account_add_region(&rec, "west", "http://127.0.0.1:8082/", "127.0.0.1:2", 0, NULL));
    t_ok(account_add_region(&rec, "north", "http://127.0.0.1:8083/", "127.0.0.1:3", 0, NULL));
}

static void end(void)
{
    buf_done(&text);
    arena_done(&arena);
}

static void check_locations(const struct json *doc, const char *key, const char *names)
{
    const struct json *list = json_get(doc, str_of(key));
    struct buf got;
    t_check(list && list->type == JSON_ARRAY);
    buf_init(&got, 1024);
    for (size_t i = 0; i < list->count; i++) {
        struct str name = STR("");
        struct str endpoint = STR("");
        t_check(json_get_str(list->items[i], STR("name"), &name));
        t_check(json_get_str(list->items[i], STR("databaseAccountEndpoint"), &endpoint));
        t_check(str_ends(endpoint, STR("/")));
        buf_printf(&got, "%s" STR_FMT, i > 0 ? "," : "", STR_ARG(name));
    }
    t_eq_str(buf_str(&got), str_of(names));
    buf_done(&got);
}

T_TEST("one writer, every online region in priority order")
{
    begin();
    const struct json *doc = document(NULL);
    check_locations(doc, "writableLocations", "east");
    check_locations(doc, "readableLocations", "east,west,north");
    bool flag = true;
    t_check(json_get_bool(doc, STR("enableMultipleWriteLocations"), &flag));
    t_check(!flag);
    t_check(json_get_bool(doc, STR("enablePerPartitionFailoverBehavior"), &flag));
    t_check(flag);
    end();
}

T_TEST("a region that is offline or catching up is not listed")
{
    begin();
    record_set_state(&rec, rec.regions[1].id, REGION_OFFLINE, 1);
    record_set_state(&rec, rec.regions[2].id, REGION_RECOVERING, 1);
    check_locations(document(NULL), "readableLocations", "east");
    end();
}

T_TEST("the document follows the record's writer")
{
    begin();
    rec.writer = rec.regions[1].id;
    check_locations(document("west"), "writableLocations", "west");
    end();
}

/* Clients ignore all locations of an account called localhost, and other clients need these members
 * to be present and well-formed. */
T_TEST("members that clients insist on are there")
{
    begin();
    static const char *const objects[] = {"userReplicationPolicy", "systemReplicationPolicy",
                                          "readPolicy", "userConsistencyPolicy"};
    const struct json *doc = document("east");
    for (size_t i = 0; i < ARRAY_COUNT(objects); i++) {
        const struct json *v = json_get(doc, str_of(objects[i]));
        t_checkf(v && v->type == JSON_OBJECT, "%s", objects[i]);
    }
    struct str engine = STR("");
    const struct json *inner = NULL;
    t_check(json_get_str(doc, STR("queryEngineConfiguration"), &engine));
    t_ok(json_parse(&arena, engine, NULL, &inner, NULL));
    struct str level = STR("");
    t_check(json_get_str(json_get(doc, STR("userConsistencyPolicy")),
                         STR("defaultConsistencyLevel"), &level));
    t_eq_lit(level, "Session");
    struct str id = STR("");
    t_check(json_get_str(doc, STR("id"), &id));
    t_check(!str_eq(id, STR("localhost")));
    end();
}

static struct str policy(const char *member)
{
    struct str s = STR("");
    const struct json *p = json_get(document(NULL), STR("userConsistencyPolicy"));
    const struct json *v = json_get(p, str_of(member));
    if (v != NULL) {
        s = v->type == JSON_STRING ? v->text : v->src;
    }
    return s;
}

T_TEST(
    "bounds are shown with BoundedStaleness, and what clients can count on while the level changes")
{
    begin();
    t_eq_u64(policy("maxStalenessPrefix").n, 0);
    struct level_request q = {CONSISTENCY_BOUNDED_STALENESS, 1000, 60};
    rec.phase = PHASE_OPEN;
    t_ok(account_plan_consistency(&rec, &q, NULL));
    t_eq_lit(policy("defaultConsistencyLevel"), "Session");
    rec.level = CONSISTENCY_BOUNDED_STALENESS;
    rec.is_level_changing = false;
    t_eq_lit(policy("defaultConsistencyLevel"), "BoundedStaleness");
    t_eq_lit(policy("maxStalenessPrefix"), "1000");
    t_eq_lit(policy("maxIntervalInSeconds"), "60");
    rec.is_level_changing = true;
    rec.level_to = CONSISTENCY_EVENTUAL;
    t_eq_lit(policy("defaultConsistencyLevel"), "Eventual");
    end();
}

T_TEST("an account that is left with one region of several says so")
{
    begin();
    struct str s = STR("");
    t_check(json_get_str(document(NULL), STR("durability"), &s));
    t_eq_lit(s, "normal");
    record_set_state(&rec, 2, REGION_OFFLINE, 1);
    record_set_state(&rec, 3, REGION_RECOVERING, 1);
    t_check(json_get_str(document(NULL), STR("durability"), &s));
    t_eq_lit(s, "degraded");
    rec.region_count = 1;
    rec.next_region_id = 2;
    t_check(json_get_str(document(NULL), STR("durability"), &s));
    t_eq_lit(s, "normal"); /* there never was another */
    end();
}

T_TEST("keys and secrets never appear")
{
    begin();
    memcpy(rec.key[0], "SECRETSECRET", 13);
    memcpy(rec.peer_secret, "SECRETSECRET", 13);
    (void)document(NULL);
    t_check(str_find(buf_str(&text), STR("SECRET")) < 0);
    end();
}

T_MAIN()
