/* Catalog snapshots: ranges of a container, what is folded, what is shared between snapshots. */
#include "cosmos/catalog.h"

#include "base/contract.h"
#include "cosmos/service_int.h"
#include "unit/cosmos/served.h"

#define COLLS "/dbs/db/colls"

/* ---- ranges ---- */

static void bound_of(const struct container *c, size_t ordinal, struct buf *out)
{
    buf_clear(out);
    container_bound(c, ordinal, out);
}

T_TEST("ranges cover the whole key space without gaps, whatever their number")
{
    static struct container c; /* large */
    struct buf low;
    struct buf high;
    struct buf text;
    struct buf parsed;
    buf_init(&low, RANGE_BOUND_SIZE);
    buf_init(&high, RANGE_BOUND_SIZE);
    buf_init(&text, 64);
    buf_init(&parsed, 64);
    for (c.part_count = 1; c.part_count <= RID_PARTITIONS_MAX; c.part_count++) {
        bound_of(&c, 0, &low);
        t_eq_u64(low.n, 0);
        for (size_t i = 0; i < c.part_count; i++) {
            bound_of(&c, i, &low);
            bound_of(&c, i + 1, &high);
            t_check(str_cmp(buf_str(&low), buf_str(&high)) < 0);
            t_eq_u64(container_ordinal(&c, buf_str(&low)), i);
            if (i + 1 < c.part_count) { /* one below the next bound still belongs here */
                for (size_t at = high.n; at-- > 0;) {
                    high.p[at] = (char)((unsigned char)high.p[at] - 1);
                    if ((unsigned char)high.p[at] != 0xff) {
                        break;
                    }
                }
                t_eq_u64(container_ordinal(&c, buf_str(&high)), i);
            }
            buf_clear(&text);
            buf_clear(&parsed);
            container_bound_text(&c, i, &text);
            t_ok(epk_parse(buf_str(&text), &parsed, NULL));
            t_eq_str(buf_str(&parsed), buf_str(&low));
        }
        buf_clear(&text);
        container_bound_text(&c, c.part_count, &text);
        t_eq_lit(buf_str(&text), "FF");
        t_eq_u64(container_ordinal(&c, STR("\x3f\xff\xff\xff")), c.part_count - 1);
    }
    buf_done(&low);
    buf_done(&high);
    buf_done(&text);
    buf_done(&parsed);
}

T_TEST("all keys below a prefix of a hierarchical key lie in one range")
{
    static struct container c;
    struct arena a;
    arena_init(&a);
    for (c.part_count = 1; c.part_count <= 64; c.part_count += 7) {
        for (unsigned i = 0; i < 200; i++) {
            struct pk whole = {.count = 2,
                               .values = {{.type = PK_NUMBER, .number = i}, {.type = PK_NULL}}};
            struct pk prefix = whole;
            prefix.count = 1;
            struct buf x;
            struct buf y;
            buf_init(&x, EPK_SIZE_MAX);
            buf_init(&y, EPK_SIZE_MAX);
            epk_of(&whole, &x);
            epk_of(&prefix, &y);
            t_eq_u64(container_ordinal(&c, buf_str(&x)), container_ordinal(&c, buf_str(&y)));
            buf_done(&x);
            buf_done(&y);
        }
    }
    arena_done(&a);
}

/* ---- snapshots ---- */

static struct container *find(struct catalog *cat, const char *id)
{
    const struct database *db = catalog_database(cat, STR("db"));
    t_check(db != NULL);
    return catalog_container(cat, db, str_of(id));
}

static void begin(void)
{
    served_begin();
    send_expect("POST", "/dbs", "{\"id\":\"db\"}", 201);
    send_expect("POST", COLLS, "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]}}", 201);
    fake_header(f, "x-ms-offer-throughput", "30000");
    send_expect("POST", COLLS,
                "{\"id\":\"d\",\"partitionKey\":{\"paths\":[\"/pk\"]},\"defaultTtl\":7}", 201);
}

T_TEST("an old snapshot stays as it was, and shares the containers that did not change")
{
    begin();
    struct catalog *before = catalog_ref(f->cosmos->catalog);
    struct container *c = find(before, "c");
    struct container *d = find(before, "d");
    send_expect("PUT", COLLS "/d", "{\"id\":\"d\",\"defaultTtl\":8}", 200);
    send_expect("DELETE", COLLS "/c", NULL, 204);
    struct catalog *after = f->cosmos->catalog;
    t_check(after != before);
    t_check(find(after, "c") == NULL);
    t_check(find(after, "d") != d);
    struct container *newer = find(after, "d");
    t_eq_i64(newer->ttl, 8);
    t_eq_i64(d->ttl, 7);
    t_check(find(before, "c") == c);
    send_expect("POST", COLLS, "{\"id\":\"e\",\"partitionKey\":{\"paths\":[\"/pk\"]}}", 201);
    t_check(find(f->cosmos->catalog, "d") == newer);
    t_eq_u64(newer->part_count, 3);
    catalog_unref(before);
    served_end();
}

T_TEST("partitions of containers are their own for ever, and are found by number")
{
    begin();
    struct container *c = find(f->cosmos->catalog, "c");
    struct container *d = find(f->cosmos->catalog, "d");
    t_eq_u64(d->part_count, 3);
    for (size_t i = 0; i < d->part_count; i++) {
        t_check(d->first_pid + i != c->first_pid);
        t_check(catalog_by_pid(f->cosmos->catalog, d->first_pid + i) == d);
        t_eq_u64(d->parts[i]->pid, d->first_pid + i);
    }
    t_check(catalog_by_pid(f->cosmos->catalog, d->first_pid + 3) == NULL);
    t_check(catalog_by_pid(f->cosmos->catalog, 0) == NULL);
    pid old = d->first_pid;
    send_expect("DELETE", COLLS "/d", NULL, 204);
    send_expect("POST", COLLS, "{\"id\":\"d\",\"partitionKey\":{\"paths\":[\"/pk\"]}}", 201);
    t_check(find(f->cosmos->catalog, "d")->first_pid != old);
    t_check(catalog_by_pid(f->cosmos->catalog, old) == NULL);
    served_end();
}

T_TEST("names come before rids, and a rid of another database's container finds nothing")
{
    begin();
    send_expect("POST", "/dbs", "{\"id\":\"other\"}", 201);
    struct catalog *cat = f->cosmos->catalog;
    struct container *c = find(cat, "c");
    const struct database *other = catalog_database(cat, STR("other"));
    t_check(catalog_container(cat, catalog_database(cat, STR("db")), c->rid) == c);
    t_check(catalog_container(cat, other, c->rid) == NULL);
    t_check(catalog_database(cat, c->rid) == NULL);
    t_check(catalog_database(cat, other->rid) == other);
    /* A database may be named like another one's rid. */
    char body[64];
    struct kept rid = keep(other->rid);
    (void)snprintf(body, sizeof(body), "{\"id\":\"%.40s\"}", rid.text);
    send_expect("POST", "/dbs", body, 201);
    const struct database *named = catalog_database(f->cosmos->catalog, str_of(rid.text));
    t_check(named != NULL);
    t_eq_str(named->id, str_of(rid.text));
    served_end();
}

T_TEST("operators see each partition with its keys, its own writer, and whether it is sound here")
{
    begin();
    struct container *d = find(f->cosmos->catalog, "d");
    t_eq_u64(d->part_count, 3);
    f->rec.phase = PHASE_OPEN;
    f->rec.override_count = 1;
    f->rec.overrides[0] = (struct record_override){
        .pid = d->first_pid + 1, .phase = PHASE_PROMOTING, .writer = 2, .generation = 9};
    fake_publish_record(f);
    atomic_store(&d->parts[1]->flags, PART_WHOLE);
    struct arena a;
    struct buf text;
    const struct json *doc = NULL;
    arena_init(&a);
    buf_init(&text, 64 << 10);
    cosmos_partitions_json(f->cosmos, &text);
    t_ok(json_parse(&a, buf_str(&text), NULL, &doc, NULL));
    const struct json *list = json_get(doc, STR("partitions"));
    t_eq_u64(list->count, find(f->cosmos->catalog, "c")->part_count + 3);
    for (size_t i = 0; i < 3; i++) {
        const struct json *p = list->items[list->count - 3 + i];
        uint64_t id = 0;
        bool is_readable = false;
        struct str writer, phase, link, from, to;
        t_check(json_get_u64(p, STR("partition"), &id) && id == d->first_pid + i);
        t_check(json_get_str(p, STR("writer"), &writer) && json_get_str(p, STR("phase"), &phase));
        t_check(json_get_str(p, STR("container"), &link) && str_eq(link, d->link));
        t_eq_str(writer, i == 1 ? STR("west") : STR("east"));
        t_eq_str(phase, i == 1 ? STR("PROMOTING") : STR("OPEN"));
        t_check(json_get_str(p, STR("minInclusive"), &from) &&
                json_get_str(p, STR("maxExclusive"), &to));
        t_eq_bool(from.n == 0, i == 0);
        t_eq_bool(str_eq(to, STR("FF")), i == 2);
        t_check(json_get_bool(p, STR("readable"), &is_readable));
        t_eq_bool(is_readable, i != 1);
    }
    buf_done(&text);
    arena_done(&a);
    served_end();
}

T_MAIN()
