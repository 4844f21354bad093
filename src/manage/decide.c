/* What a request leads to. See decide.h. */
#include "manage/decide.h"

#include <string.h>

#include "account/beats.h"
#include "account/formats.h"
#include "base/contract.h"
#include "manage/change.h"
#include "manage/doc.h"
#include "manage/plan.h"

enum { BODY_SIZE_MAX = 4 << 20 };

static enum err no_account(struct str name, struct errinfo *ei)
{
    return err_set(ei, ERR_NOT_FOUND, "there is no account '" STR_FMT "'",
                   STR_ARG(str_slice(name, 0, 64)));
}

static enum err no_method(const struct manage_call *c, struct errinfo *ei)
{
    return err_set(ei, ERR_INVALID, STR_FMT " does not apply to this path",
                   STR_ARG(str_slice(c->method, 0, 16)));
}

static bool is_method(const struct manage_call *c, struct str method)
{
    return str_eq(c->method, method);
}

static enum err find(const struct manage_call *c, struct manage_world *w,
                     struct manage_account **ret, struct errinfo *ei)
{
    *ret = manage_world_find(w, c->target.account);
    return *ret != NULL ? OK : no_account(c->target.account, ei);
}

/* The account as something that can be changed, or whose keys can be read. */
static enum err find_made(const struct manage_call *c, struct manage_world *w,
                          struct manage_account **ret, struct errinfo *ei)
{
    TRY(find(c, w, ret, ei));
    const struct manage_account *acc = *ret;
    if (acc->hosted != NULL && acc->hosted->is_deleting) {
        return err_set(ei, ERR_PRECONDITION, "account " STR_FMT " is being deleted",
                       STR_ARG(acc->name));
    }
    if (acc->rec == NULL) {
        enum err e =
            err_set(ei, ERR_PRECONDITION, "account " STR_FMT " is being made", STR_ARG(acc->name));
        err_hint(ei, "try again when its provisioningState is Succeeded");
        return e;
    }
    return OK;
}

static void name_account(struct manage_op *op, const struct manage_account *acc)
{
    ASSERT(acc->name.n < sizeof(op->account));
    memcpy(op->account, acc->name.p, acc->name.n);
}

/* ---- changes ---- */

static bool is_same(const struct account_record *x, const struct account_record *y)
{
    struct buf a;
    struct buf b;
    buf_init(&a, COORD_VALUE_SIZE_MAX);
    buf_init(&b, COORD_VALUE_SIZE_MAX);
    record_encode(x, &a);
    record_encode(y, &b);
    bool same = str_eq(buf_str(&a), buf_str(&b));
    buf_done_secret(&a);
    buf_done_secret(&b);
    return same;
}

/* The record as planned is put, unless the plan left it as it was; the answer shows the account as it
 * will be. */
static enum err change(struct arena *a, const struct manage_call *c, struct manage_account *acc,
                       struct account_record *planned, int status, struct manage_answer *ret,
                       struct errinfo *ei)
{
    TRY(formats_check(acc->beats, acc->rec, planned, ei));
    TRY(beats_check_transfer(acc->beats, acc->rec, planned, c->wall_ms, ei));
    name_account(&ret->op, acc);
    ret->op.start_wall_ms = c->wall_ms;
    ret->status = status;
    ret->has_op = true;
    ret->is_running = true;
    if (!is_same(acc->rec, planned)) {
        ret->txn = change_record_txn(a, planned, acc->rev);
        acc->rec = planned;
    }
    if (c->target.what == MANAGE_ACCOUNT) {
        manage_doc_account(&c->target, acc, &ret->body);
    }
    return OK;
}

static struct account_record *copy_of(struct arena *a, const struct manage_account *acc)
{
    struct account_record *rec = ARENA_NEW(a, struct account_record);
    record_copy(a, acc->rec, rec);
    return rec;
}

static enum err update(struct arena *a, const struct manage_call *c, struct manage_world *w,
                       int status, struct manage_answer *ret, struct errinfo *ei)
{
    struct manage_account *acc = NULL;
    TRY(find_made(c, w, &acc, ei));
    struct account_record *rec = copy_of(a, acc);
    TRY(manage_plan_update(c->body, rec, c->wall_ms, &ret->op, ei));
    return change(a, c, acc, rec, status, ret, ei);
}

static const struct coord_txn *hosted_txn(struct arena *a, const struct hosted *h, coord_rev rev)
{
    struct buf value;
    buf_init(&value, COORD_VALUE_SIZE_MAX);
    hosted_encode(h, &value);
    ASSERT(buf_ok(&value));
    struct coord_txn *txn = ARENA_NEW(a, struct coord_txn);
    struct str key = arena_printf(a, HOSTED_PREFIX "%s", h->account);
    txn->compares[txn->compare_count++] = (struct coord_compare){key, rev};
    if (rev == 0) { /* nor may there be an account of that name that is not hosted */
        txn->compares[txn->compare_count++] =
            (struct coord_compare){arena_printf(a, COORD_PREFIX "%s/record", h->account), 0};
    }
    txn->put_count = 1;
    txn->puts[0] = (struct coord_put){.key = key, .value = arena_str(a, buf_str(&value))};
    buf_done(&value);
    return txn;
}

static enum err create(struct arena *a, const struct manage_call *c, struct manage_world *w,
                       struct manage_answer *ret, struct errinfo *ei)
{
    struct hosted *h = ARENA_NEW(a, struct hosted);
    size_t hosted_count = 0;
    TRY(manage_plan_create(c->body, c->target.account, c->wall_ms, h, ei));
    if (!c->can_host) {
        enum err e = err_set(ei, ERR_UNSUPPORTED, "this front cannot start accounts");
        err_hint(ei, "accounts are created where `holdfast up` runs");
        return e;
    }
    for (size_t i = 0; i < w->count; i++) {
        hosted_count += w->accounts[i].hosted != NULL;
    }
    if (hosted_count >= HOSTED_ACCOUNTS_MAX) {
        return err_set(ei, ERR_LIMIT, "there are %zu accounts here already, the limit is %d",
                       hosted_count, HOSTED_ACCOUNTS_MAX);
    }
    struct manage_account acc = {.name = str_of(h->account), .hosted = h};
    ret->op.kind = OP_CREATE;
    ret->op.start_wall_ms = c->wall_ms;
    name_account(&ret->op, &acc);
    ret->status = 201;
    ret->has_op = true;
    ret->is_running = true;
    ret->txn = hosted_txn(a, h, 0);
    manage_doc_account(&c->target, &acc, &ret->body);
    return OK;
}

static enum err remove_account(struct arena *a, const struct manage_call *c, struct manage_world *w,
                               struct manage_answer *ret, struct errinfo *ei)
{
    struct manage_account *acc = manage_world_find(w, c->target.account);
    if (acc == NULL) {
        ret->status = 204; /* so it is already */
        return OK;
    }
    if (acc->hosted == NULL) {
        enum err e = err_set(ei, ERR_PRECONDITION,
                             "account " STR_FMT " is the one that `holdfast up` was started with",
                             STR_ARG(acc->name));
        err_hint(ei, "stop it and remove its directory");
        return e;
    }
    ret->op.kind = OP_DELETE;
    ret->op.start_wall_ms = c->wall_ms;
    name_account(&ret->op, acc);
    ret->status = 202;
    ret->has_op = true;
    ret->is_running = true;
    if (!acc->hosted->is_deleting) {
        acc->hosted->is_deleting = true;
        ret->txn = hosted_txn(a, acc->hosted, acc->hosted_rev);
    }
    return OK;
}

static enum err act(struct arena *a, const struct manage_call *c, struct manage_world *w,
                    struct manage_answer *ret, struct errinfo *ei)
{
    static const char *const elsewhere[] = {"sqlDatabases", "mongodbDatabases", "tables",
                                            "cassandraKeyspaces", "gremlinDatabases"};
    struct str action = c->target.action;
    struct manage_account *acc = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(elsewhere); i++) {
        if (str_eq_nocase(action, str_of(elsewhere[i]))) {
            return err_set(ei, ERR_UNSUPPORTED,
                           "databases and containers are made through the account's own endpoint, "
                           "not here");
        }
    }
    bool is_read_only = str_eq_nocase(action, STR("readonlykeys"));
    if (!is_method(c, STR("POST")) && !(is_read_only && is_method(c, STR("GET")))) {
        return no_method(c, ei);
    }
    TRY(find_made(c, w, &acc, ei));
    ret->status = 200;
    if (is_read_only || str_eq_nocase(action, STR("listKeys"))) {
        manage_doc_keys(acc->rec, is_read_only, &ret->body);
        return OK;
    }
    if (str_eq_nocase(action, STR("listConnectionStrings"))) {
        manage_doc_connections(acc, &ret->body);
        return OK;
    }
    struct account_record *rec = copy_of(a, acc);
    TRY(manage_plan_action(action, c->body, acc->beats, rec, c->wall_ms, &ret->op, ei));
    return change(a, c, acc, rec, 202, ret, ei);
}

/* ---- operations ---- */

static enum err follow(const struct manage_call *c, struct manage_world *w,
                       struct manage_answer *ret, struct errinfo *ei)
{
    struct errinfo why = {0};
    TRY(manage_op_parse(c->target.operation, &ret->op, ei));
    struct manage_account *acc = manage_world_find(w, str_of(ret->op.account));
    enum manage_op_state state = manage_op_look(&ret->op, acc != NULL ? acc->rec : NULL,
                                                acc != NULL ? acc->hosted : NULL, &why);
    ret->is_running = state == OP_RUNNING;
    ret->status = 200;
    if (c->target.what == MANAGE_STATUS) {
        manage_doc_status(&c->target, &ret->op, state, &why, &ret->body);
        return OK;
    }
    ret->has_op = ret->is_running;
    if (ret->is_running) {
        ret->status = 202;
    } else if (state != OP_SUCCEEDED) {
        return err_pass(ei, why.code, &why);
    } else if (acc == NULL) {
        ret->status = 204;
    } else {
        manage_doc_account(&c->target, acc, &ret->body);
    }
    return OK;
}

/* ---- all ---- */

static enum err decide_account(struct arena *a, const struct manage_call *c, struct manage_world *w,
                               struct manage_answer *ret, struct errinfo *ei)
{
    struct manage_account *acc = NULL;
    if (is_method(c, STR("GET"))) {
        TRY(find(c, w, &acc, ei));
        manage_doc_account(&c->target, acc, &ret->body);
        return OK;
    }
    if (is_method(c, STR("PUT"))) {
        return manage_world_find(w, c->target.account) == NULL ? create(a, c, w, ret, ei)
                                                               : update(a, c, w, 200, ret, ei);
    }
    if (is_method(c, STR("PATCH"))) {
        return update(a, c, w, 202, ret, ei);
    }
    if (is_method(c, STR("DELETE"))) {
        return remove_account(a, c, w, ret, ei);
    }
    return no_method(c, ei);
}

static enum err decide(struct arena *a, const struct manage_call *c, struct manage_world *w,
                       struct manage_answer *ret, struct errinfo *ei)
{
    bool is_get = is_method(c, STR("GET"));
    ret->status = 200;
    switch (c->target.what) {
    case MANAGE_NAME:
        if (!is_get && !is_method(c, STR("HEAD"))) {
            return no_method(c, ei);
        }
        TRY(hosted_check_account(c->target.account, ei));
        return manage_world_find(w, c->target.account) != NULL ? OK
                                                               : no_account(c->target.account, ei);
    case MANAGE_LIST:
        if (!is_get) {
            return no_method(c, ei);
        }
        manage_doc_list(&c->target, w, &ret->body);
        return OK;
    case MANAGE_ACCOUNT:
        return decide_account(a, c, w, ret, ei);
    case MANAGE_ACTION:
        return act(a, c, w, ret, ei);
    case MANAGE_RESULT:
    case MANAGE_STATUS:
        return is_get ? follow(c, w, ret, ei) : no_method(c, ei);
    }
    ASSERT(false);
    return ERR_INTERNAL;
}

bool manage_is_about_one(const struct manage_call *call, struct str account)
{
    static const char *const reading[] = {"listKeys", "readonlykeys", "listConnectionStrings"};
    struct manage_op op;
    bool is_read = is_method(call, STR("GET")) || is_method(call, STR("HEAD"));
    for (size_t i = 0; i < ARRAY_COUNT(reading); i++) {
        is_read = is_read || str_eq_nocase(call->target.action, str_of(reading[i]));
    }
    switch (call->target.what) {
    case MANAGE_LIST:
        return false; /* of all accounts: one that is left out would be taken as gone */
    case MANAGE_STATUS:
    case MANAGE_RESULT:
        return is_read && manage_op_parse(call->target.operation, &op, NULL) == OK &&
               str_eq(str_of(op.account), account);
    case MANAGE_NAME:
    case MANAGE_ACCOUNT:
    case MANAGE_ACTION:
        break;
    }
    return is_read && str_eq_nocase(call->target.account, account);
}

enum err manage_decide(struct arena *a, const struct manage_call *call, struct manage_world *w,
                       struct manage_answer *ret, struct errinfo *ei)
{
    struct manage_answer answer = {0};
    buf_init(&answer.body, BODY_SIZE_MAX);
    enum err err = decide(a, call, w, &answer, ei);
    if (err == OK && !buf_ok(&answer.body)) {
        err = err_set(ei, ERR_LIMIT, "the answer is too long");
    }
    if (err != OK) {
        buf_done(&answer.body);
        return err;
    }
    *ret = answer;
    return OK;
}
