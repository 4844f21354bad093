/* Writes of items: one operation (create, upsert, replace, patch, delete, read in a batch) as the
 * HTTP thread prepared it and as the core thread decides it in log order. */
#pragma once

#include "cosmos/service_int.h"
#include "json/patch.h"

enum item_kind { ITEM_CREATE, ITEM_UPSERT, ITEM_REPLACE, ITEM_DELETE, ITEM_PATCH, ITEM_READ };

struct item_op {
    enum item_kind kind;
    struct container *coll;
    size_t ordinal;
    struct pk pk;
    struct str id;
    struct str key;  /* engine key */
    struct str base; /* new document without system members and closing brace */
    bool base_has_members;
    bool has_ttl;
    int64_t ttl; /* of the item, when has_ttl */
    size_t unique_count;
    struct str uniques[UNIQUE_SETS_MAX];
    struct str if_match; /* empty = none */
    struct str if_none_match;
    const struct json_patch *patch;
    const struct query *condition; /* of a patch; NULL = none */
    /* Result. */
    int status, substatus;
    struct str text; /* body */
    struct str etag;
    size_t size;
    const char *why; /* message of a refusal */
    char why_text[200];
};

/* One write of one or several item_ops (all or nothing). In the request's arena. */
struct item_write {
    struct write_user user; /* first: region_write.user points here */
    struct region_write w;
    struct item_op **ops; /* op_count of them */
    void *owner;          /* batch or bulk in progress */
    size_t *answer_left; /* batch, bulk: bytes that reads and patches may still take; core thread */
};

/* From the document's text or tree: id, key, uniques, ttl, base. pk checked against `given` when that
 * has components (400/1001 in op->status). */
enum err item_op_document(struct arena *a, struct item_op *op, const struct json *doc,
                          const struct pk *given, struct errinfo *ei) MUST_CHECK;
/* The body of a patch: sets patch and condition; refuses changes of id, partition key and system
 * properties. */
enum err item_op_patch(struct arena *a, struct item_op *it, const struct json *body,
                       struct errinfo *ei) MUST_CHECK;
/* An item as it is stored: `base` (see item_op) and the system members of the version at `place`. */
void item_text_write(const struct container *coll, struct str base, bool base_has_members,
                     uint64_t number, const struct write_place *place, struct buf *out);
void item_op_key(struct arena *a, struct item_op *op); /* key and ordinal from pk and id */
void item_prepare(struct region_write *w, size_t i, const struct write_place *place,
                  const struct engine_doc *current, struct write_plan *ret);
/* Status, substatus and message of a write that was not acknowledged. */
void item_write_failed(const struct region_write *w, const struct item_op *op, int *ret_status,
                       int *ret_substatus, const char **ret_message);
struct item_write *item_write_new(struct op *op, struct item_op **ops, size_t n,
                                  void (*done)(struct region_write *w));
