/* Long-running operations: what their ids say, and how far they are by the account's record. */
#include "manage/op.h"

#include "made.h"

static struct account_record rec;

static enum manage_op_state look(enum manage_op_kind kind, const char *arg,
                                 const struct hosted *hosted, struct errinfo *ei)
{
    struct manage_op op = {.kind = kind, .account = "shop", .start_wall_ms = 9};
    (void)snprintf(op.arg, sizeof(op.arg), "%s", arg);
    return manage_op_look(&op, &rec, hosted, ei);
}

static enum manage_op_state state_of(enum manage_op_kind kind, const char *arg)
{
    struct errinfo ei = {0};
    enum manage_op_state s = look(kind, arg, NULL, &ei);
    bool is_bad = s == OP_FAILED || s == OP_CANCELED;
    t_eq_bool(is_bad, ei.message[0] != '\0');
    return s;
}

T_TEST("an id holds everything and is read back")
{
    static const struct manage_op ops[] = {
        {OP_CREATE, "shop", "", 1795877477123}, {OP_DELETE, "a-b", "", 0},
        {OP_FAILOVER, "shop", "west-2", 1},     {OP_OFFLINE, "shop", "eastus", 1},
        {OP_ONLINE, "shop", "eastus", 1},       {OP_ADD, "shop", "eastus", 1},
        {OP_REMOVE, "shop", "eastus", 1},       {OP_CONSISTENCY, "shop", "boundedstaleness", 1},
        {OP_UPDATE, "shop", "", INT64_MAX},
    };
    struct buf b;
    buf_init(&b, MANAGE_OP_ID_SIZE_MAX + 64);
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        struct manage_op back;
        buf_clear(&b);
        manage_op_id(&ops[i], &b);
        t_ok(manage_op_parse(buf_str(&b), &back, NULL));
        t_eq_int(back.kind, ops[i].kind);
        t_eq_cstr(back.account, ops[i].account);
        t_eq_cstr(back.arg, ops[i].arg);
        t_eq_i64(back.start_wall_ms, ops[i].start_wall_ms);
    }
    buf_clear(&b);
    manage_op_id(&ops[2], &b);
    t_eq_lit(buf_str(&b), "failover.shop.west-2.1");
    buf_done(&b);
}

T_TEST("what is no id of ours is not found")
{
    static const char *const bad[] = {"",
                                      "failover",
                                      "failover.shop.west",
                                      "failover.shop..1",
                                      "create.shop.west.1",
                                      "nonsense.shop.west.1",
                                      "failover.shop.west.x",
                                      "failover.shop.west.-1",
                                      "failover.Shop.west.1",
                                      "failover.shop.West.1",
                                      "failover.shop.west.1.1",
                                      "failover.shop.w est.1"};
    struct manage_op op;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        t_note("%s", bad[i]);
        t_err(manage_op_parse(str_of(bad[i]), &op, NULL), ERR_NOT_FOUND);
    }
}

T_TEST("failover: running while it moves, then done, or failed when the writer stayed")
{
    made(&rec, "shop", 3);
    t_ok(account_plan_failover(&rec, STR("west"), 10, NULL));
    t_eq_int(state_of(OP_FAILOVER, "west"), OP_RUNNING);
    t_eq_cstr(manage_provisioning_state(&rec, NULL), "Updating");
    rec.phase = PHASE_OPEN;
    rec.transfer_to = 0;
    t_eq_int(state_of(OP_FAILOVER, "west"), OP_FAILED); /* rolled back */
    rec.writer = 2;
    t_eq_int(state_of(OP_FAILOVER, "west"), OP_SUCCEEDED);
    t_eq_int(state_of(OP_FAILOVER, "south"), OP_FAILED);
    t_eq_cstr(manage_provisioning_state(&rec, NULL), "Succeeded");
}

T_TEST("offline is done when another region writes; online when it has caught up")
{
    made(&rec, "shop", 3);
    t_ok(account_plan_offline(&rec, STR("east"), &(struct offline_request){0}, 10, NULL));
    t_eq_int(state_of(OP_OFFLINE, "east"), OP_RUNNING); /* being promoted */
    rec.phase = PHASE_OPEN;
    t_eq_int(state_of(OP_OFFLINE, "east"), OP_SUCCEEDED);
    t_eq_int(state_of(OP_ONLINE, "east"), OP_CANCELED);
    t_ok(account_plan_online(&rec, STR("east"), 11, NULL));
    t_eq_int(state_of(OP_ONLINE, "east"), OP_RUNNING);
    t_eq_int(state_of(OP_OFFLINE, "east"), OP_FAILED);
    record_set_state(&rec, 1, REGION_RECOVERING, 12);
    t_eq_int(state_of(OP_ONLINE, "east"), OP_RUNNING);
    record_set_state(&rec, 1, REGION_ONLINE_READ, 13);
    t_eq_int(state_of(OP_ONLINE, "east"), OP_SUCCEEDED);
}

T_TEST("add is done when the region is online, remove when it is not there")
{
    made(&rec, "shop", 3);
    record_set_state(&rec, 3, REGION_SEEDING, 10);
    t_eq_int(state_of(OP_ADD, "north"), OP_RUNNING);
    t_eq_cstr(manage_provisioning_state(&rec, NULL), "Updating");
    record_set_state(&rec, 3, REGION_ONLINE_READ, 11);
    t_eq_int(state_of(OP_ADD, "north"), OP_SUCCEEDED);
    t_eq_int(state_of(OP_REMOVE, "north"), OP_FAILED);
    record_set_state(&rec, 3, REGION_DRAINING, 12);
    t_eq_int(state_of(OP_REMOVE, "north"), OP_RUNNING);
    t_eq_int(state_of(OP_ADD, "north"), OP_CANCELED);
    rec.region_count = 2;
    t_eq_int(state_of(OP_REMOVE, "north"), OP_SUCCEEDED);
    t_eq_int(state_of(OP_ADD, "north"), OP_FAILED);
}

T_TEST("a change of level is done when it holds, canceled when it was called off")
{
    made(&rec, "shop", 3);
    t_ok(
        account_plan_consistency(&rec, &(struct level_request){.level = CONSISTENCY_STRONG}, NULL));
    t_eq_int(state_of(OP_CONSISTENCY, "strong"), OP_RUNNING);
    rec.is_level_changing = false;
    t_eq_int(state_of(OP_CONSISTENCY, "strong"), OP_CANCELED);
    rec.level = CONSISTENCY_STRONG;
    t_eq_int(state_of(OP_CONSISTENCY, "strong"), OP_SUCCEEDED);
    t_eq_int(state_of(OP_UPDATE, ""), OP_SUCCEEDED);
}

T_TEST("an account is made once it took writes, and gone once nothing is left")
{
    struct errinfo ei = {0};
    struct hosted hosted = {.account = "shop", .region_count = 1, .regions = {"east"}};
    struct manage_op create = {.kind = OP_CREATE, .account = "shop"};
    struct manage_op gone = {.kind = OP_DELETE, .account = "shop"};
    struct manage_op update = {.kind = OP_UPDATE, .account = "shop"};
    t_eq_int(manage_op_look(&create, NULL, &hosted, &ei), OP_RUNNING);
    t_eq_cstr(manage_provisioning_state(NULL, &hosted), "Creating");
    account_init(&rec, "shop", CONSISTENCY_SESSION);
    t_eq_int(manage_op_look(&create, &rec, &hosted, &ei), OP_RUNNING);
    t_eq_cstr(manage_provisioning_state(&rec, &hosted), "Creating");
    made(&rec, "shop", 1);
    t_eq_int(manage_op_look(&create, &rec, &hosted, &ei), OP_SUCCEEDED);
    t_eq_int(manage_op_look(&gone, &rec, &hosted, &ei), OP_RUNNING);
    hosted.is_deleting = true;
    t_eq_cstr(manage_provisioning_state(&rec, &hosted), "Deleting");
    t_eq_int(manage_op_look(&gone, &rec, &hosted, &ei), OP_RUNNING);
    t_eq_int(manage_op_look(&gone, NULL, &hosted, &ei), OP_RUNNING);
    t_eq_int(manage_op_look(&gone, NULL, NULL, &ei), OP_SUCCEEDED);
    t_eq_int(ei.code, OK);
    t_eq_int(manage_op_look(&create, &rec, &hosted, &ei), OP_CANCELED);
    t_eq_int(manage_op_look(&update, NULL, NULL, &ei), OP_FAILED);
    t_eq_int(manage_op_look(&gone, &rec, NULL, &ei), OP_FAILED); /* not a hosted one */
    t_check(ei.message[0] != '\0');
}

T_MAIN()
