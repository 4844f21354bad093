/* What a request to the management interface leads to, given all accounts as they are now: an answer,
 * and for a change the transaction that has to succeed before the answer is given. No I/O, no clock. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "coord/coord.h"
#include "manage/op.h"
#include "manage/target.h"
#include "manage/world.h"
#include "json/json.h"

struct manage_call {
    struct str method;
    struct manage_target target;
    const struct json *body; /* NULL = none */
    int64_t wall_ms;
    bool can_host; /* somebody starts the accounts that are asked for */
};

struct manage_answer {
    int status;
    struct buf body;             /* the caller's to free; empty = no body */
    const struct coord_txn *txn; /* NULL = nothing changes */
    bool has_op;                 /* a long-running operation: say where it is followed */
    bool is_running;             /* ... and that it is worth asking again */
    struct manage_op op;
};

/* Whether it can be answered by who knows nothing but that account's record: it reads, and nothing of
 * another account. */
bool manage_is_about_one(const struct manage_call *call, struct str account);

/* Error: the answer is that error (manage_doc_error), and *ret is untouched. */
enum err manage_decide(struct arena *a, const struct manage_call *call, struct manage_world *w,
                       struct manage_answer *ret, struct errinfo *ei) MUST_CHECK;
