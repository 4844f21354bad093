/* The conflict feed: records as a returning region's lost writes make them, through the whole layer. */
#include "base/contract.h"
#include "base/mem.h"
#include "cosmos/catalog.h"
#include "cosmos/epk.h"
#include "cosmos/rid.h"
#include "repl/entry.h"
#include "unit/cosmos/served.h"

#define COLL      "/dbs/db/colls/c"
#define CONFLICTS COLL "/conflicts"

static void begin_with(const char *throughput)
{
    served_begin();
    send_expect("POST", "/dbs", "{\"id\":\"db\"}", 201);
    fake_header(f, "x-ms-offer-throughput", throughput);
    send_expect("POST", "/dbs/db/colls", "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]}}",
                201);
}

struct record_write {
    struct region_write w;
    struct write_op op;
    const struct entry *lost;
    size_t op_idx;
    struct conflict_note note;
    struct arena arena;
    struct buf key, text;
    bool is_built;
};

static void record_prepare(struct region_write *w, size_t i, const struct write_place *place,
                           const struct engine_doc *current, struct write_plan *ret)
{
    struct record_write *r = CONTAINER_OF(w, struct record_write, w);
    uint64_t rid = 0;
    UNUSED(i);
    UNUSED(current);
    buf_clear(&r->key);
    buf_clear(&r->text);
    r->is_built = cosmos_conflict_build(f->cosmos, w->pid, r->lost, r->op_idx, &r->note, place,
                                        &r->key, &r->text, &rid);
    *ret = (struct write_plan){
        .action = r->is_built ? WRITE_PUT : WRITE_REJECT, .text = buf_str(&r->text), .rid = rid};
}

/* Makes the record of lost->ops[op_idx] as the core does; false: the layer made none. */
static bool record(size_t part, const struct entry *lost, size_t op_idx)
{
    struct record_write r = {.lost = lost,
                             .op_idx = op_idx,
                             .note = {.from = f->rec.regions[1].id, .was_acknowledged = true}};
    struct write_place place = {
        .pid = fake_part(f, part)->pid, .epoch = f->epoch, .lsn = f->next_lsn};
    uint64_t rid;
    buf_init(&r.key, ENGINE_KEY_SIZE_MAX);
    buf_init(&r.text, ENGINE_DOC_SIZE_MAX);
    /* The key is known before the write is ordered: it does not depend on the place. */
    r.is_built = cosmos_conflict_build(f->cosmos, place.pid, lost, op_idx, &r.note, &place, &r.key,
                                       &r.text, &rid);
    if (r.is_built) {
        r.op = (struct write_op){.space = SPACE_CONFLICT,
                                 .key = arena_str(&f->arena, buf_str(&r.key))};
        r.w = (struct region_write){
            .pid = place.pid, .op_count = 1, .ops = &r.op, .prepare = record_prepare};
        t_ok(fake_order(f, &r.w));
    }
    buf_done(&r.key);
    buf_done(&r.text);
    return r.is_built;
}

/* One operation on item `id` of key "a" or another. */
static struct entry_op lost_op(struct buf *key, const char *pk_text, const char *id, struct str doc)
{
    struct arena a;
    struct pk pk;
    arena_init(&a);
    t_ok(pk_parse(&a, str_of(pk_text), &pk, NULL));
    buf_init(key, ENGINE_KEY_SIZE_MAX);
    key_item(&pk, 1, str_of(id), key);
    arena_done(&a);
    return (struct entry_op){.space = SPACE_ITEM,
                             .key = buf_str(key),
                             .is_delete = doc.n == 0,
                             .doc = {.rid = rid_number(77, 0, 0), .text = doc}};
}

static struct entry lost_entry(struct entry_op *ops, size_t n)
{
    return (struct entry){.kind = ENTRY_WRITE, .epoch = 3, .lsn = 77, .op_count = n, .ops = ops};
}

static void lose(const char *pk, const char *id, const char *doc)
{
    struct buf key;
    struct entry_op op = lost_op(&key, pk, id, str_of(doc));
    struct entry lost = lost_entry(&op, 1);
    t_check(record(0, &lost, 0));
    buf_done(&key);
}

static struct kept first_id(void)
{
    struct str id = STR("");
    send_expect("GET", CONFLICTS, NULL, 200);
    const struct json *list = json_get(f->doc, STR("Conflicts"));
    t_check(list && list->count > 0);
    t_check(json_get_str(list->items[0], STR("id"), &id));
    return keep(id);
}

T_TEST("a lost write becomes a record that clients list, query, read and delete")
{
    static const char doc[] =
        "{\"id\":\"1\",\"pk\":\"a\",\"s\":\"say \\\"hi\\\"\",\"_etag\":\"\\\"x\\\"\"}";
    begin_with("400");
    send_expect("GET", CONFLICTS, NULL, 200);
    t_eq_u64(feed_count("Conflicts"), 0);
    lose("[\"a\"]", "1", doc);
    send_expect("GET", CONFLICTS, NULL, 200);
    t_eq_u64(feed_count("Conflicts"), 1);
    struct kept id = first_id();
    char path[1100];
    (void)snprintf(path, sizeof(path), CONFLICTS "/%s", id.text);
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    send_expect("GET", path, NULL, 200);
    t_eq_lit(fake_answer_str(f, "operationType"), "create");
    t_eq_lit(fake_answer_str(f, "resourceType"), "document");
    t_eq_lit(fake_answer_str(f, "content"), doc);
    t_eq_lit(fake_answer_str(f, "x_origin"), "failover");
    t_eq_lit(fake_answer_str(f, "x_region"), "west");
    t_eq_lit(fake_answer_str(f, "x_itemId"), "1");
    bool was_acknowledged = false;
    uint64_t lost_lsn = 0;
    t_check(json_get_bool(f->doc, STR("x_acknowledged"), &was_acknowledged));
    t_check(was_acknowledged);
    t_check(json_get_u64(f->doc, STR("conflict_lsn"), &lost_lsn));
    t_eq_u64(lost_lsn, 77);
    struct rid rid;
    t_check(rid_parse(fake_answer_str(f, "_rid"), &rid));
    t_eq_int((int)rid.kind, RID_CONFLICT);
    t_check(rid_parse(fake_answer_str(f, "resourceId"), &rid));
    t_eq_int((int)rid.kind, RID_ITEM);
    t_eq_u64(rid.number, rid_number(77, 0, 0));
    t_eq_str(fake_answer_str(f, "_etag"), fake_answer_header(f, "etag"));
    t_check(str_starts(fake_answer_str(f, "_self"), STR("dbs/")));
    query_send(CONFLICTS,
               "{\"query\":\"SELECT VALUE c.x_itemId FROM c WHERE c.x_region = 'west'\"}");
    expect(200, 0);
    t_eq_u64(feed_count("Conflicts"), 1);
    send_expect("DELETE", path, NULL, 400); /* needs the partition key */
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"b\"]");
    send_expect("DELETE", path, NULL, 404);
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    send_expect("DELETE", path, NULL, 204);
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    send_expect("DELETE", path, NULL, 404);
    send_expect("GET", CONFLICTS, NULL, 200);
    t_eq_u64(feed_count("Conflicts"), 0);
    served_end();
}

T_TEST("records tell creates, replaces and deletes apart, and what belonged to one transaction")
{
    struct buf keys[3];
    begin_with("400");
    struct entry_op ops[3] = {lost_op(&keys[0], "[\"a\"]", "1", STR("{\"id\":\"1\",\"pk\":\"a\"}")),
                              lost_op(&keys[1], "[\"a\"]", "2", STR("{\"id\":\"2\",\"pk\":\"a\"}")),
                              lost_op(&keys[2], "[\"a\"]", "3", STR(""))};
    ops[1].old.lsn = 5;
    ops[2].old.lsn = 6;
    struct entry lost = lost_entry(ops, 3);
    for (size_t i = 0; i < 3; i++) {
        t_check(record(0, &lost, i));
        buf_done(&keys[i]);
    }
    query_send(CONFLICTS, "{\"query\":\"SELECT c.operationType AS t, c.x_batch AS b, c.content AS "
                          "s FROM c ORDER BY c.x_itemId\"}");
    expect(200, 0);
    t_eq_u64(feed_count("Conflicts"), 3);
    t_contains(f->answer.body, "{\"t\":\"create\",\"b\":77,");
    t_contains(f->answer.body, "{\"t\":\"replace\",\"b\":77,");
    t_contains(f->answer.body, "{\"t\":\"delete\",\"b\":77,\"s\":\"\"}");
    served_end();
}

/* Which version a lost write was about, so that whoever merges can tell whether the item has changed
 * since: the etag of the replaced version, its epoch found by the blocks of lsns. */
T_TEST("a record names the version that the lost write was based on, and the item of a delete")
{
    struct buf keys[3];
    begin_with("400");
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    send_expect("POST", DOCS, "{\"id\":\"there\",\"pk\":\"a\"}", 201);
    struct kept item_rid = keep(fake_answer_str(f, "_rid"));
    static const struct record_epoch epochs[] = {{.epoch = 2, .writer = 1, .start_lsn = 40},
                                                 {.epoch = 3, .writer = 2, .start_lsn = 70}};
    memcpy(f->rec.epochs, epochs, sizeof(epochs));
    f->rec.epoch_count = ARRAY_COUNT(epochs);
    fake_publish_record(f);
    struct entry_op ops[3] = {lost_op(&keys[0], "[\"a\"]", "1", STR("{\"id\":\"1\",\"pk\":\"a\"}")),
                              lost_op(&keys[1], "[\"a\"]", "2", STR("{\"id\":\"2\",\"pk\":\"a\"}")),
                              lost_op(&keys[2], "[\"a\"]", "there", STR(""))};
    ops[0].old.lsn = 69;
    ops[0].old.op_idx = 1;
    ops[1].old.lsn = 39; /* before the oldest epoch that is remembered */
    ops[2].old.lsn = 70;
    struct entry lost = lost_entry(ops, 3);
    for (size_t i = 0; i < 3; i++) {
        t_check(record(0, &lost, i));
        buf_done(&keys[i]);
    }
    query_send(CONFLICTS,
               "{\"query\":\"SELECT VALUE {i: c.x_itemId, e: c.x_baseEtag, r: c.resourceId}"
               " FROM c ORDER BY c.x_itemId\"}");
    expect(200, 0);
    t_contains(f->answer.body, "{\"i\":\"1\",\"e\":\"\\\"00000002-0001-000000000045\\\"\",");
    t_contains(f->answer.body, "{\"i\":\"2\",\"r\":");
    char want[1200];
    (void)snprintf(want, sizeof(want),
                   "{\"i\":\"there\",\"e\":\"\\\"00000003-0000-000000000046\\\"\",\"r\":\"%s\"}",
                   item_rid.text);
    t_contains(f->answer.body, want);
    f->rec.epoch_count = 0;
    served_end();
}

T_TEST("a suffix that is sent twice makes each record once")
{
    begin_with("400");
    lose("[\"a\"]", "1", "{\"id\":\"1\",\"pk\":\"a\"}");
    lose("[\"a\"]", "1", "{\"id\":\"1\",\"pk\":\"a\"}");
    send_expect("GET", CONFLICTS, NULL, 200);
    t_eq_u64(feed_count("Conflicts"), 1);
    served_end();
}

T_TEST("records are neither items nor changes, and items are no records")
{
    begin_with("400");
    lose("[\"a\"]", "1", "{\"id\":\"1\",\"pk\":\"a\"}");
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    send_expect("POST", DOCS, "{\"id\":\"9\",\"pk\":\"a\"}", 201);
    send_expect("GET", DOCS, NULL, 200);
    t_eq_u64(feed_count("Documents"), 1);
    fake_header(f, "a-im", "Incremental Feed");
    fake_header(f, "x-ms-documentdb-partitionkeyrangeid", "0");
    send_expect("GET", DOCS, NULL, 200);
    t_eq_u64(feed_count("Documents"), 1);
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    send_expect("GET", CONFLICTS "/9", NULL, 404);
    send_expect("GET", CONFLICTS "/9", NULL, 404);
    served_end();
}

T_TEST("a record is found without its partition key, by its whole id only")
{
    begin_with("400");
    lose("[\"a\"]", "1", "{\"id\":\"1\",\"pk\":\"a\"}");
    struct kept id = first_id();
    char path[1100];
    (void)snprintf(path, sizeof(path), CONFLICTS "/%s", id.text);
    send_expect("GET", path, NULL, 200);
    (void)snprintf(path, sizeof(path), CONFLICTS "/%s/conflicts", id.text); /* as one SDK asks */
    send_expect("GET", path, NULL, 200);
    (void)snprintf(path, sizeof(path), CONFLICTS "/%s", id.text + strlen(id.text) - 3);
    send_expect("GET", path, NULL, 404);
    send_expect("GET", CONFLICTS "/77-0", NULL, 404);
    served_end();
}

T_TEST("records live in their item's range and are found in every one")
{
    begin_with("30000");
    t_eq_u64(fake_part_count(f), 3);
    for (int i = 0; i < 20; i++) {
        char pk[16];
        struct buf key;
        struct buf epk;
        struct arena a;
        struct pk parsed;
        (void)snprintf(pk, sizeof(pk), "[\"k%d\"]", i);
        arena_init(&a);
        t_ok(pk_parse(&a, str_of(pk), &parsed, NULL));
        buf_init(&epk, EPK_SIZE_MAX);
        epk_of(&parsed, &epk);
        size_t part = (size_t)((unsigned char)epk.p[0] * 3U / 0x40U);
        buf_done(&epk);
        arena_done(&a);
        struct entry_op op = lost_op(&key, pk, "1", STR("{\"id\":\"1\"}"));
        struct entry lost = lost_entry(&op, 1);
        lost.lsn = 100 + (lsn)i;
        t_check(record(part, &lost, 0));
        buf_done(&key);
        fake_header(f, "x-ms-documentdb-partitionkey", pk);
        send_expect("GET", CONFLICTS, NULL, 200);
        t_eq_u64(feed_count("Conflicts"), 1);
    }
    send_expect("GET", CONFLICTS, NULL, 200);
    t_eq_u64(feed_count("Conflicts"), 20);
    served_end();
}

T_TEST("a document that is too long as a string is kept as it is, never left out")
{
    enum { DOC_SIZE = 2 << 20 };
    begin_with("400");
    struct buf doc;
    buf_init(&doc, DOC_SIZE);
    buf_add_cstr(&doc, "{\"id\":\"1\",\"pk\":\"a\",\"s\":[0");
    while (doc.n < DOC_SIZE - 8) {
        buf_add_cstr(&doc, ",\"\"");
    }
    buf_add_cstr(&doc, "]}");
    struct buf key;
    struct entry_op op = lost_op(&key, "[\"a\"]", "1", buf_str(&doc));
    struct entry lost = lost_entry(&op, 1);
    t_check(record(0, &lost, 0));
    struct kept id = first_id();
    char path[1100];
    (void)snprintf(path, sizeof(path), CONFLICTS "/%s", id.text);
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    send_expect("GET", path, NULL, 200);
    t_eq_lit(fake_answer_str(f, "content"), "");
    const struct json *kept = json_get(f->doc, STR("x_content"));
    t_check(kept != NULL);
    t_eq_str(kept->src, buf_str(&doc));
    buf_done(&key);
    buf_done(&doc);
    served_end();
}

T_TEST("what was no item of a known container makes no record")
{
    struct buf key;
    begin_with("400");
    struct entry_op op = lost_op(&key, "[\"a\"]", "1", STR("{\"id\":\"1\"}"));
    struct entry lost = lost_entry(&op, 1);
    op.space = SPACE_CONFLICT;
    t_check(!record(0, &lost, 0));
    op.space = SPACE_ITEM;
    op.key = STR("no key of ours");
    t_check(!record(0, &lost, 0));
    buf_done(&key);
    struct write_place place = {.lsn = 1};
    struct conflict_note note = {.from = 1, .was_acknowledged = true};
    struct buf text;
    uint64_t rid;
    buf_init(&key, 100);
    buf_init(&text, 100);
    t_check(!cosmos_conflict_build(f->cosmos, 4711, &lost, 0, &note, &place, &key, &text, &rid));
    buf_done(&key);
    buf_done(&text);
    served_end();
}

T_TEST("a region that does not write refuses to delete a record, one that returns to show any")
{
    begin_with("400");
    lose("[\"a\"]", "1", "{\"id\":\"1\",\"pk\":\"a\"}");
    atomic_store(&f->view->role, ROLE_READER);
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    fake_send(f, "DELETE", CONFLICTS "/x", NULL);
    expect(403, 3);
    send_expect("GET", CONFLICTS, NULL, 200);
    atomic_store(&f->view->role, ROLE_RECOVERING);
    atomic_store(&fake_part(f, 0)->flags, 0);
    fake_send(f, "GET", CONFLICTS, NULL);
    expect(403, 1008);
    fake_send(f, "GET", CONFLICTS "/x", NULL);
    expect(403, 1008);
    served_end();
}

T_TEST("a lost version that is put back is the item's next one; its record has what it replaced")
{
    static const char lost_text[] = "{\"id\":\"1\",\"pk\":\"a\",\"v\":2.50,\"_rid\":\"old\",\"_"
                                    "self\":\"old\",\"_etag\":\"old\","
                                    "\"_attachments\":\"attachments/\",\"_ts\":5}";
    begin_with("400");
    struct buf key;
    struct buf text;
    struct entry_op op = lost_op(&key, "[\"a\"]", "1", str_of(lost_text));
    struct entry lost = lost_entry(&op, 1);
    struct engine_doc now = {.rid = rid_number(9, 0, 0), .text = STR("{\"id\":\"1\",\"v\":1}")};
    struct write_place place = {.epoch = 4, .lsn = 100, .ts = 77};
    buf_init(&text, ENGINE_DOC_SIZE_MAX);
    pid p = fake_part(f, 0)->pid;
    t_check(cosmos_conflict_apply(f->cosmos, p, &op, &now, &place, &text));
    t_contains(buf_str(&text), "{\"id\":\"1\",\"pk\":\"a\",\"v\":2.50,\"_rid\":\"");
    t_contains(buf_str(&text), "\"_etag\":\"\\\"00000004-0000-000000000064\\\"\"");
    t_contains(buf_str(&text), ",\"_ts\":77}");
    t_check(str_find(buf_str(&text), STR("old")) < 0);
    buf_clear(&text);
    t_check(!cosmos_conflict_apply(f->cosmos, 4711, &op, &now, &place, &text));
    op.is_delete = true;
    t_check(!cosmos_conflict_apply(f->cosmos, p, &op, &now, &place, &text));
    op.is_delete = false;
    op.doc.text = STR("no JSON");
    t_check(!cosmos_conflict_apply(f->cosmos, p, &op, &now, &place, &text));
    /* The core gives what was replaced in the place of the lost text. */
    op.doc.text = now.text;
    op.doc.rid = now.rid;
    struct conflict_note note = {.from = 2, .was_acknowledged = true, .is_applied = true};
    struct buf record_key;
    uint64_t rid = 0;
    buf_init(&record_key, ENGINE_KEY_SIZE_MAX);
    buf_clear(&text);
    t_check(cosmos_conflict_build(f->cosmos, p, &lost, 0, &note, &place, &record_key, &text, &rid));
    t_contains(buf_str(&text), "\"x_applied\":true");
    t_contains(buf_str(&text), "\"content\":\"{\\\"id\\\":\\\"1\\\",\\\"v\\\":1}\"");
    buf_done(&record_key);
    buf_done(&key);
    buf_done(&text);
    served_end();
}

T_MAIN()
