/* Long-running operations: ids and states. See op.h. */
#include "manage/op.h"

#include <inttypes.h>
#include <string.h>

#include "base/contract.h"

static const struct {
    const char *name;
    bool has_arg;
} kinds[OP_KIND_COUNT] = {
    [OP_CREATE] = {"create", false},    [OP_DELETE] = {"delete", false},
    [OP_FAILOVER] = {"failover", true}, [OP_OFFLINE] = {"offline", true},
    [OP_ONLINE] = {"online", true},     [OP_ADD] = {"add", true},
    [OP_REMOVE] = {"remove", true},     [OP_CONSISTENCY] = {"consistency", true},
    [OP_UPDATE] = {"update", false},
};

const char *manage_op_state_name(enum manage_op_state s)
{
    static const char *const names[] = {"InProgress", "Succeeded", "Failed", "Canceled"};
    return names[s];
}

void manage_op_id(const struct manage_op *op, struct buf *out)
{
    ASSERT(op->kind < OP_KIND_COUNT);
    ASSERT(kinds[op->kind].has_arg == (op->arg[0] != '\0'));
    buf_printf(out, "%s.%s.%s.%" PRId64, kinds[op->kind].name, op->account, op->arg,
               op->start_wall_ms);
}

static enum err no_operation(struct errinfo *ei)
{
    return err_set(ei, ERR_NOT_FOUND, "no such operation");
}

enum err manage_op_parse(struct str id, struct manage_op *ret, struct errinfo *ei)
{
    struct manage_op op = {.kind = OP_KIND_COUNT};
    struct str kind = STR_NONE;
    struct str account = STR_NONE;
    struct str arg = STR_NONE;
    struct str rest = STR_NONE;
    char name[RECORD_NAME_MAX];
    if (!str_split(id, '.', &kind, &rest) || !str_split(rest, '.', &account, &rest) ||
        !str_split(rest, '.', &arg, &rest) || !str_to_i64(rest, &op.start_wall_ms) ||
        op.start_wall_ms < 0) {
        return no_operation(ei);
    }
    for (size_t i = 0; i < OP_KIND_COUNT; i++) {
        if (str_eq(kind, str_of(kinds[i].name))) {
            op.kind = (enum manage_op_kind)i;
        }
    }
    if (op.kind == OP_KIND_COUNT || kinds[op.kind].has_arg != (arg.n > 0) ||
        hosted_check_account(account, NULL) != OK) {
        return no_operation(ei);
    }
    if (arg.n > 0) {
        if (hosted_region_name(arg, name, NULL) != OK || !str_eq(arg, str_of(name))) {
            return no_operation(ei);
        }
        memcpy(op.arg, arg.p, arg.n);
    }
    memcpy(op.account, account.p, account.n);
    *ret = op;
    return OK;
}

/* ---- how far they are ---- */

/* Ends it with a reason; the state is the value. */
#define OVER(state, ei, ...) (err_set((ei), ERR_PRECONDITION, __VA_ARGS__), (state))

static bool is_online(const struct record_region *g)
{
    return g->state == REGION_ONLINE_READ || g->state == REGION_ONLINE_WRITE;
}

static enum manage_op_state look_failover(const struct account_record *rec,
                                          const struct record_region *g, struct errinfo *ei)
{
    if (rec->phase != PHASE_OPEN) {
        return OP_RUNNING;
    }
    if (rec->writer == g->id) {
        return OP_SUCCEEDED;
    }
    return OVER(OP_FAILED, ei, "the write region did not change to %s; the account is as it was",
                g->name);
}

static enum manage_op_state look_region(const struct manage_op *op,
                                        const struct account_record *rec,
                                        const struct record_region *g, struct errinfo *ei)
{
    switch (op->kind) {
    case OP_FAILOVER:
        return look_failover(rec, g, ei);
    case OP_OFFLINE:
        if (g->is_forced_offline) {
            return rec->phase == PHASE_OPEN ? OP_SUCCEEDED : OP_RUNNING;
        }
        return OVER(OP_FAILED, ei, "region %s has been brought online again", g->name);
    case OP_ONLINE:
        if (g->is_forced_offline) {
            return OVER(OP_CANCELED, ei, "region %s has been taken offline again", g->name);
        }
        return is_online(g) ? OP_SUCCEEDED : OP_RUNNING;
    case OP_ADD:
        if (g->state == REGION_DRAINING) {
            return OVER(OP_CANCELED, ei, "region %s is being removed", g->name);
        }
        return is_online(g) ? OP_SUCCEEDED : OP_RUNNING;
    case OP_REMOVE:
        return g->state == REGION_DRAINING
                   ? OP_RUNNING
                   : OVER(OP_FAILED, ei, "region %s has been added again", g->name);
    case OP_CREATE:
    case OP_DELETE:
    case OP_CONSISTENCY:
    case OP_UPDATE:
    case OP_KIND_COUNT:
        break;
    }
    ASSERT(false);
    return OP_FAILED;
}

static enum manage_op_state look_level(const struct manage_op *op, const struct account_record *rec,
                                       struct errinfo *ei)
{
    if (rec->is_level_changing) {
        return OP_RUNNING;
    }
    if (str_eq_nocase(str_of(consistency_name(rec->level)), str_of(op->arg))) {
        return OP_SUCCEEDED;
    }
    return OVER(OP_CANCELED, ei, "the change of level was called off: it is %s",
                consistency_name(rec->level));
}

static bool is_made(const struct account_record *rec)
{
    return rec->epoch > 0; /* some region took writes */
}

enum manage_op_state manage_op_look(const struct manage_op *op, struct account_record *rec,
                                    const struct hosted *hosted, struct errinfo *ei)
{
    if (op->kind == OP_DELETE) {
        if (rec != NULL && hosted == NULL) {
            return OVER(OP_FAILED, ei, "account %s has been made again", op->account);
        }
        return rec == NULL && hosted == NULL ? OP_SUCCEEDED : OP_RUNNING;
    }
    if (rec == NULL && hosted == NULL) {
        return OVER(OP_FAILED, ei, "there is no account %s any more", op->account);
    }
    if (hosted != NULL && hosted->is_deleting) {
        return OVER(OP_CANCELED, ei, "account %s is being deleted", op->account);
    }
    if (op->kind == OP_CREATE) {
        return rec != NULL && is_made(rec) && rec->phase == PHASE_OPEN ? OP_SUCCEEDED : OP_RUNNING;
    }
    if (rec == NULL) {
        return OVER(OP_FAILED, ei, "account %s is being made", op->account);
    }
    if (op->kind == OP_UPDATE) {
        return OP_SUCCEEDED;
    }
    if (op->kind == OP_CONSISTENCY) {
        return look_level(op, rec, ei);
    }
    const struct record_region *g = record_region_by_name(rec, str_of(op->arg));
    if (g == NULL) {
        return op->kind == OP_REMOVE
                   ? OP_SUCCEEDED
                   : OVER(OP_FAILED, ei, "region %s is not in the account", op->arg);
    }
    return look_region(op, rec, g, ei);
}

const char *manage_provisioning_state(const struct account_record *rec, const struct hosted *hosted)
{
    ASSERT(rec != NULL || hosted != NULL);
    if (hosted != NULL && hosted->is_deleting) {
        return "Deleting";
    }
    if (rec == NULL || !is_made(rec)) {
        return "Creating";
    }
    bool is_busy = rec->phase != PHASE_OPEN || rec->is_level_changing;
    for (size_t i = 0; i < rec->region_count; i++) {
        enum region_state s = rec->regions[i].state;
        is_busy = is_busy || s == REGION_SEEDING || s == REGION_DRAINING;
    }
    return is_busy ? "Updating" : "Succeeded";
}
