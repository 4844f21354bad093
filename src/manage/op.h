/* Long-running operations of the management interface.
 *
 * Nothing remembers them: an operation's id says what was asked of which account, and how far it is
 * follows from the account's present record. So an id holds after a restart of the front, and in
 * every front; what it cannot tell is the past: asked about long afterwards it compares with what is
 * true then.
 *
 *   id = KIND "." ACCOUNT "." ARGUMENT "." START            "failover.shop.west.1795877477123" */
#pragma once

#include <stdint.h>

#include "account/record.h"
#include "base/buf.h"
#include "base/err.h"
#include "manage/hosted.h"

enum manage_op_kind {
    OP_CREATE,      /* -: until it takes writes */
    OP_DELETE,      /* -: until nothing is left of it */
    OP_FAILOVER,    /* region: until it is the write region */
    OP_OFFLINE,     /* region: until it is offline and another one writes */
    OP_ONLINE,      /* region: until it has caught up */
    OP_ADD,         /* region: until it has everything */
    OP_REMOVE,      /* region: until it is gone */
    OP_CONSISTENCY, /* level: until it holds */
    OP_UPDATE,      /* -: at once (keys, order, automatic failover) */
    OP_KIND_COUNT,
};

struct manage_op {
    enum manage_op_kind kind;
    char account[RECORD_NAME_MAX];
    char arg[RECORD_NAME_MAX]; /* region as compared, level in lower case; or empty */
    int64_t start_wall_ms;
};

enum manage_op_state { OP_RUNNING, OP_SUCCEEDED, OP_FAILED, OP_CANCELED };
const char *manage_op_state_name(enum manage_op_state s); /* "InProgress", "Succeeded", ... */

enum { MANAGE_OP_ID_SIZE_MAX = 144 }; /* of the longest account and region */
void manage_op_id(const struct manage_op *op, struct buf *out);
/* ERR_NOT_FOUND: no id of ours. */
enum err manage_op_parse(struct str id, struct manage_op *ret, struct errinfo *ei) MUST_CHECK;

/* `rec`: the account's record, NULL when there is none; `hosted` likewise. Failed and canceled ones
 * fill ei with the reason. */
enum manage_op_state manage_op_look(const struct manage_op *op, struct account_record *rec,
                                    const struct hosted *hosted, struct errinfo *ei);
/* What the account document says: "Creating", "Succeeded", "Updating", "Deleting". */
const char *manage_provisioning_state(const struct account_record *rec,
                                      const struct hosted *hosted);
