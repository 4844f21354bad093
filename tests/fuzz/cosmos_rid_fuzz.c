/* rids: what is accepted names one resource, and its canonical text is accepted as the same. */
#include "base/contract.h"
#include "cosmos/rid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ITEM_SIZE = 16 };

static void write_again(const struct rid *r, struct buf *out)
{
    if (r->size == RID_DATABASE_SIZE) {
        rid_add_database(out, r->db);
    } else if (r->size == RID_CONTAINER_SIZE && r->coll != 0) {
        rid_add_container(out, r->db, r->coll);
    } else if (r->size == RID_CONTAINER_SIZE) {
        rid_add_user(out, r->db, r->user);
    } else if (r->coll != 0) {
        rid_add_child(out, r->db, r->coll, r->kind, r->number);
    } else {
        rid_add_permission(out, r->db, r->user, r->number);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rid r;
    struct rid again;
    if (!rid_parse(str_make(data, size), &r)) {
        return 0;
    }
    ASSERT(r.size == RID_DATABASE_SIZE || r.size == RID_CONTAINER_SIZE || r.size == ITEM_SIZE);
    ASSERT(r.coll == 0 || r.user == 0);
    ASSERT(IMPLIES(r.coll != 0, r.number < UINT64_C(1) << 60));
    struct buf text;
    buf_init(&text, RID_TEXT_SIZE_MAX);
    write_again(&r, &text);
    ASSERT(buf_ok(&text));
    bool is_one = rid_parse(buf_str(&text), &again);
    ASSERT(is_one);
    ASSERT(again.size == r.size && again.db == r.db && again.user == r.user);
    ASSERT(again.kind == r.kind && again.number == r.number && again.coll == r.coll);
    buf_done(&text);
    return 0;
}
