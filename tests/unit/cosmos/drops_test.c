/* When the data of a container that is gone are dropped, and when they must not be. */
#include "base/contract.h"
#include "cosmos/catalog.h"
#include "cosmos/service_int.h"
#include "unit/cosmos/served.h"

#define COLLS "/dbs/db/colls"

/* A container with one item; its only partition. */
static pid begin(void)
{
    served_begin();
    send_expect("POST", "/dbs", "{\"id\":\"db\"}", 201);
    send_expect("POST", COLLS, "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]}}", 201);
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    send_expect("POST", COLLS "/c/docs", "{\"id\":\"1\",\"pk\":\"a\"}", 201);
    return fake_part(f, 0)->pid;
}

static bool is_kept(pid p)
{
    struct engine_part_meta meta;
    struct buf extra;
    buf_init(&extra, 1 << 20);
    enum err err = engine_part_meta_get(f->engine, NULL, p, &extra, &meta, NULL);
    buf_done(&extra);
    t_check(err == OK || err == ERR_NOT_FOUND);
    return err == OK;
}

static int read_item(void)
{
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    fake_send(f, "GET", COLLS "/c/docs/1", NULL);
    return f->answer.status;
}

/* The container's definition as it is stored. */
struct stored {
    struct buf key, hold;
    struct engine_doc doc;
};

static void stored_get(struct stored *s)
{
    buf_init(&s->key, ENGINE_KEY_SIZE_MAX);
    buf_init(&s->hold, ENGINE_DOC_SIZE_MAX);
    meta_key(&s->key, META_CONTAINER, catalog_database(f->cosmos->catalog, STR("db"))->number, 0,
             STR("c"));
    t_ok(engine_get(f->engine, NULL, 0, SPACE_ITEM, buf_str(&s->key), true, &s->hold, &s->doc,
                    NULL));
}

static void stored_change(const struct stored *s, bool is_put)
{
    struct engine_batch *b = engine_batch_new(f->engine);
    enum err each = OK;
    if (is_put) {
        engine_batch_put(b, 0, SPACE_ITEM, buf_str(&s->key), &s->doc, NULL);
    } else {
        engine_batch_delete(b, 0, SPACE_ITEM, buf_str(&s->key), &s->doc.version);
    }
    t_ok(engine_apply(f->engine, &b, 1, true, &each, NULL));
    t_ok(each);
    engine_batch_free(b);
}

static void stored_done(struct stored *s)
{
    buf_done(&s->key);
    buf_done(&s->hold);
}

static void stored_partition(pid p)
{
    struct engine_batch *b = engine_batch_new(f->engine);
    struct engine_part_meta meta = {0};
    enum err each = OK;
    engine_batch_meta(b, p, &meta);
    t_ok(engine_apply(f->engine, &b, 1, true, &each, NULL));
    t_ok(each);
    engine_batch_free(b);
}

T_TEST("the data go with the container once its removal cannot be lost")
{
    pid p = begin();
    t_check(is_kept(p));
    send_expect("DELETE", COLLS "/c", NULL, 204);
    t_check(!is_kept(p));
    served_end();
}

T_TEST("data stay while the removal could still be taken back, and go after that")
{
    pid p = begin();
    f->is_commit_held = true;
    send_expect("DELETE", COLLS "/c", NULL, 204);
    cosmos_tick(f->cosmos);
    t_check(is_kept(p));
    atomic_store(&f->metadata->commit_lsn, atomic_load(&f->metadata->applied_lsn));
    cosmos_tick(f->cosmos);
    t_check(!is_kept(p));
    served_end();
}

/* A failover cuts the removal off: the container is there again. Its data must outlive every later
 * commit, though all of those are above the place where the removal was. */
T_TEST("a removal that a failover took back never takes the data with it")
{
    struct stored def;
    pid p = begin();
    stored_get(&def);
    f->is_commit_held = true;
    send_expect("DELETE", COLLS "/c", NULL, 204);
    stored_change(&def, /* is_put= */ true);
    cosmos_metadata_applied(f->cosmos, f->next_lsn);
    f->is_commit_held = false;
    f->epoch++;
    f->next_lsn += 1000000;
    send_expect("POST", "/dbs", "{\"id\":\"later\"}", 201);
    cosmos_tick(f->cosmos);
    t_check(is_kept(p));
    t_eq_int(read_item(), 200);
    stored_done(&def);
    served_end();
}

/* A region that returns removes the documents of its lost suffix and fetches what is right: in between
 * a definition that was changed in that suffix is missing, and its partition 0 may not be served. */
T_TEST("nothing is dropped while the metadata are not whole")
{
    struct stored def;
    pid p = begin();
    stored_get(&def);
    atomic_store(&f->metadata->flags, 0);
    stored_change(&def, /* is_put= */ false);
    cosmos_metadata_applied(f->cosmos, 1);
    cosmos_tick(f->cosmos);
    t_check(is_kept(p));
    stored_change(&def, /* is_put= */ true);
    cosmos_metadata_applied(f->cosmos, f->next_lsn);
    atomic_store(&f->metadata->flags, PART_WHOLE | PART_READABLE | PART_WRITABLE);
    cosmos_tick(f->cosmos);
    t_check(is_kept(p));
    t_eq_int(read_item(), 200);
    stored_done(&def);
    served_end();
}

/* The removal was stored here, the process died before it dropped the data, and it is back as a region
 * that catches up: it serves nothing, but as long as it keeps them the writer, which has dropped them,
 * cannot agree with it. */
T_TEST("a region that is catching up drops what is gone")
{
    pid p = begin();
    f->is_commit_held = true;
    send_expect("DELETE", COLLS "/c", NULL, 204);
    atomic_store(&f->metadata->flags, PART_WHOLE);
    cosmos_tick(f->cosmos);
    t_check(is_kept(p));
    atomic_store(&f->metadata->commit_lsn, f->next_lsn);
    cosmos_tick(f->cosmos);
    t_check(!is_kept(p));
    served_end();
}

/* The writer of an epoch that was lost had made a container and told us of its partition, not yet of the
 * container. One that may only be younger than our metadata stays. */
T_TEST("a partition whose container never came to be is dropped once the metadata have passed its "
       "place")
{
    (void)begin();
    lsn at = atomic_load(&f->metadata->applied_lsn) + 10;
    pid lost = catalog_first_pid(at);
    (void)region_part(f->cosmos->region, lost);
    stored_partition(lost);
    send_expect("POST", "/dbs", "{\"id\":\"next\"}", 201);
    t_check(atomic_load(&f->metadata->applied_lsn) < at);
    t_check(is_kept(lost));
    f->epoch++;
    f->next_lsn += 1000000;
    send_expect("POST", "/dbs", "{\"id\":\"later\"}", 201);
    t_check(!is_kept(lost));
    served_end();
}

/* Our metadata had the removal before the writer had dropped the partition, and told us of it: it has no
 * container, and no change of the metadata will make anybody look. */
T_TEST("a partition that appears after its container's removal was seen is dropped")
{
    pid p = begin();
    lsn tail = atomic_load(&f->metadata->applied_lsn);
    pid gone = catalog_first_pid(tail - 1); /* where the database was made */
    pid later = catalog_first_pid(tail + 10);
    (void)region_part(f->cosmos->region, gone);
    (void)region_part(f->cosmos->region, later);
    stored_partition(gone);
    stored_partition(later);
    cosmos_tick(f->cosmos); /* who writes the metadata makes the partitions */
    t_check(is_kept(gone));
    atomic_store(&f->metadata->flags, PART_READABLE);
    cosmos_tick(f->cosmos);
    t_check(is_kept(gone));
    atomic_store(&f->metadata->flags, PART_WHOLE);
    cosmos_tick(f->cosmos);
    t_check(!is_kept(gone));
    t_check(is_kept(later));
    t_check(is_kept(p));
    served_end();
}

T_MAIN()
