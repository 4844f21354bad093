/* The account record: what is written is read back, anything else is refused, and the operator's
 * plans keep the invariants of geo-semantics 2.2. */
#include "account/record.h"

#include "account/region.h"
#include "base/contract.h"
#include "lib/t.h"
#include "records.h"

/* Three regions; epoch 1 was opened by the first. */
static struct account_record sample(void)
{
    struct account_record r;
    account_init(&r, "shop", CONSISTENCY_SESSION);
    t_ok(account_add_region(&r, "east", "http://127.0.0.1:8081/", "127.0.0.1:41001", 5, NULL));
    t_ok(account_add_region(&r, "West US", "http://127.0.0.1:8082/", "127.0.0.1:41002", 5, NULL));
    t_ok(account_add_region(&r, "north", "http://127.0.0.1:8083/", "127.0.0.1:41003", 5, NULL));
    static const struct record_branch branches[] = {{0, 0, 0}, {7, 0, 0}};
    struct record_epoch e = {
        .epoch = 1,
        .generation = 2,
        .writer = 1,
        .incarnation = UINT64_MAX,
        .start_lsn = 1,
        .opened.rule = 310,
        .opened.wall_ms = -3,
        .opened.reason = "first \"start\"",
        .branch_count = 2,
        .branches = branches,
    };
    r.generation = 2;
    r.epoch = 1;
    r.phase = PHASE_OPEN;
    r.lsn_limit = 1000001;
    r.writer_incarnation = UINT64_MAX;
    record_add_epoch(&r, &e);
    record_set_state(&r, 1, REGION_ONLINE_WRITE, 9);
    memcpy(r.key[0], "a2V5", 5);
    return r;
}

T_TEST("a record reads back as it was written")
{
    struct account_record r = sample();
    struct str text = encode(&r);
    struct account_record back;
    struct errinfo ei = {0};
    t_ok_info(record_decode(&arena, text, &back, &ei), &ei);
    t_eq_str(encode(&back), text);
    t_eq_u64(back.writer_incarnation, UINT64_MAX);
    t_eq_i64(back.epochs[0].opened.wall_ms, -3);
    t_eq_u64(back.epochs[0].branches[1].pid, 7);
    t_eq_cstr(back.regions[1].name, "West US");
    t_golden("record-v1.json", text);
}

/* Replaces the first `from` in the encoded sample and expects `want`. */
static void refuses(const char *from, const char *to, enum err want)
{
    struct account_record r = sample();
    struct str text = encode(&r);
    ptrdiff_t at = str_find(text, str_of(from));
    t_checkf(at >= 0, "looking for %s", from);
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_add(&b, text.p, (size_t)at);
    buf_add_cstr(&b, to);
    size_t rest = (size_t)at + strlen(from);
    buf_add(&b, text.p + rest, text.n - rest);
    struct account_record back;
    struct errinfo ei = {0};
    enum err got = record_decode(&arena, buf_str(&b), &back, &ei);
    t_checkf(got == want, "%s -> %s gives %s (%s), not %s", from, to, err_name(got), ei.message,
             err_name(want));
    buf_done(&b);
}

T_TEST("a damaged or newer record is refused")
{
    refuses("{\"format\":1", "{\"format\":1000", ERR_FORMAT_NEWER);
    refuses("\"auto_failover\"", "\"levels\":1,\"auto_failover\"", ERR_CORRUPT);
    refuses("\"auto_failover\"", "\"levels\":{\"to\":\"Sure\"},\"auto_failover\"",
            ERR_FORMAT_NEWER);
    refuses("{\"format\":1", "{\"format\":1,\"x\":1", ERR_FORMAT_NEWER);
    refuses("{\"format\":1", "{\"format\":1,", ERR_CORRUPT);
    refuses("\"phase\":\"OPEN\"", "\"phase\":\"LATER\"", ERR_FORMAT_NEWER);
    refuses("\"writer\":1", "\"writer\":9", ERR_CORRUPT);
    refuses("\"writer\":1", "\"writer\":\"1\"", ERR_CORRUPT);
    refuses("\"writer\":1", "\"writer\":-1", ERR_CORRUPT);
    refuses("\"writer\":1", "\"writer\":2", ERR_CORRUPT); /* ONLINE_WRITE is another */
    refuses("\"priority\":1", "\"priority\":0", ERR_CORRUPT);
    refuses("\"id\":2", "\"id\":1", ERR_CORRUPT);
    refuses("\"id\":2", "\"id\":64", ERR_CORRUPT);
    refuses("\"name\":\"West US\"", "\"name\":\"E A S T\"", ERR_CORRUPT);
    refuses("\"lsn_limit\":1000001", "\"lsn_limit\":1", ERR_CORRUPT);
    refuses("\"lsn_limit\":1000001", "\"lsn_limit\":99999999999999999", ERR_CORRUPT);
    refuses("[7,0,0]", "[7,0]", ERR_CORRUPT);
    refuses("\"q_mask\":14", "\"q_mask\":30", ERR_CORRUPT);
    refuses("\"ONLINE_READ\"", "\"ASLEEP\"", ERR_FORMAT_NEWER);
}

T_TEST("a newer record is refused with the formats that are and that can be read")
{
    struct account_record back;
    struct errinfo ei = {0};
    t_err(record_decode(&arena, STR("{\"format\":99}"), &back, &ei), ERR_FORMAT_NEWER);
    t_contains(str_of(ei.message), "format 99 of a newer version");
    t_check(ei.hint[0] != 0);
}

T_TEST("region names compare without case and blanks")
{
    struct account_record r = sample();
    t_eq_u64(record_region_by_name(&r, STR("westus"))->id, 2);
    t_eq_u64(record_region_by_name(&r, STR(" W E S T us "))->id, 2);
    t_check(record_region_by_name(&r, STR("west")) == NULL);
    t_check(record_region_by_name(&r, STR("")) == NULL);
}

T_TEST("the best candidate follows priority, state and Q")
{
    struct account_record r = sample();
    t_eq_u64(account_best_candidate(&r, 0), 2); /* 1 is ONLINE_WRITE */
    t_eq_u64(account_best_candidate(&r, record_mask(2)), 3);
    r.level = CONSISTENCY_STRONG;
    r.q_mask &= ~record_mask(2);
    t_eq_u64(account_best_candidate(&r, 0), 3);
    record_set_state(&r, 3, REGION_RECOVERING, 1);
    t_eq_u64(account_best_candidate(&r, 0), 0);
}

static void must_check(const struct account_record *r)
{
    char reason[256] = "";
    bool ok = record_check(r, reason);
    t_checkf(ok, "%s", reason);
}

T_TEST("a graceful change needs a healthy account and no other operation")
{
    struct account_record r = sample();
    struct errinfo ei = {0};
    t_err(account_plan_failover(&r, STR("nowhere"), 1, &ei), ERR_INVALID);
    t_eq_cstr(ei.hint, "the account's regions: east, West US, north");
    t_ok(account_plan_failover(&r, STR("west us"), 1, NULL));
    t_eq_int(r.phase, PHASE_TRANSFER);
    t_eq_u64(r.transfer_to, 2);
    must_check(&r);
    t_err(account_plan_failover(&r, STR("north"), 1, NULL), ERR_CONFLICTING_OPERATION);
    t_err(account_plan_online(&(struct account_record){.region_count = 0}, STR("x"), 1, NULL),
          ERR_INVALID);
    r = sample();
    record_set_state(&r, 3, REGION_OFFLINE, 1);
    t_err(account_plan_failover(&r, STR("west us"), 1, NULL), ERR_PRECONDITION);
}

T_TEST("taking the writer offline chooses another in the same change")
{
    struct account_record r = sample();
    t_ok(account_plan_offline(&r, STR("east"), &(struct offline_request){0}, 77, NULL));
    must_check(&r);
    t_eq_int(r.phase, PHASE_PROMOTING);
    t_eq_u64(r.writer, 2);
    t_eq_u64(r.writer_incarnation, 0);
    t_eq_u64(r.generation, 3);
    t_eq_int(r.regions[0].state, REGION_OFFLINE);
    t_check(r.regions[0].is_forced_offline);
    t_eq_i64(r.regions[0].since_wall_ms, 77);
    t_eq_u64(r.q_mask, record_mask(2) | record_mask(3));
    /* First in line: it may interrupt the failover it started itself. */
    t_ok(account_plan_offline(&r, STR("west us"), &(struct offline_request){0}, 78, NULL));
    must_check(&r);
    t_eq_u64(r.writer, 3);
    t_err(account_plan_offline(&r, STR("north"), &(struct offline_request){.accepts_loss = true},
                               79, NULL),
          ERR_PRECONDITION);
    must_check(&r);
}

T_TEST("taking the target of a change offline asks the writer to open again")
{
    struct account_record r = sample();
    t_ok(account_plan_failover(&r, STR("north"), 1, NULL));
    t_ok(account_plan_offline(&r, STR("north"), &(struct offline_request){0}, 2, NULL));
    must_check(&r);
    t_eq_u64(r.writer, 1);
    t_eq_int(r.phase, PHASE_PROMOTING);
    t_eq_u64(r.generation, 3);
}

T_TEST("bringing a region online only lifts the order")
{
    struct account_record r = sample();
    t_ok(account_plan_online(&r, STR("north"), 1, NULL)); /* no effect */
    t_ok(account_plan_offline(&r, STR("north"), &(struct offline_request){0}, 2, NULL));
    must_check(&r);
    t_ok(account_plan_online(&r, STR("north"), 3, NULL));
    must_check(&r);
    t_eq_int(r.regions[2].state, REGION_OFFLINE);
    t_check(!r.regions[2].is_forced_offline);
    t_ok(account_plan_offline(&r, STR("east"), &(struct offline_request){0}, 4, NULL));
    t_eq_int(r.phase, PHASE_PROMOTING); /* a failover that may never end, for want of this region */
    t_ok(account_plan_online(&r, STR("east"), 5, NULL));
    must_check(&r);
    t_check(!r.regions[0].is_forced_offline);
    t_eq_int(r.phase, PHASE_PROMOTING);
}

T_TEST("epochs and branches are bounded, the newest stay")
{
    struct account_record r = sample();
    struct record_branch *b = ARENA_NEW_ARRAY(&arena, struct record_branch, RECORD_BRANCHES_MAX);
    for (size_t i = 0; i < RECORD_BRANCHES_MAX; i++) {
        b[i] = (struct record_branch){i, UINT64_MAX, LSN_MAX};
    }
    for (uint64_t i = 2; i < 2 + RECORD_EPOCHS_MAX + 3; i++) {
        r.epoch = i;
        r.generation = i + 1;
        r.lsn_limit = i * 1000000 + 1;
        struct record_epoch e = {.epoch = i,
                                 .generation = i + 1,
                                 .writer = 1,
                                 .start_lsn = (i - 1) * 1000000 + 1,
                                 .branch_count = 3000,
                                 .branches = b};
        record_add_epoch(&r, &e);
        must_check(&r);
    }
    t_eq_u64(r.epoch_count, RECORD_EPOCHS_MAX);
    t_eq_u64(r.epochs[RECORD_EPOCHS_MAX - 1].branch_count, 3000);
    t_eq_u64(r.epochs[RECORD_EPOCHS_MAX - 2].branch_count, RECORD_BRANCHES_MAX - 3000);
    t_eq_u64(r.epochs[0].branch_count, 0);
    struct account_record back;
    t_ok(record_decode(&arena, encode(&r), &back, NULL));
}

T_TEST("preferring a region keeps the order of the others")
{
    struct account_record r = sample();
    record_prefer(&r, 3);
    t_eq_u64(r.regions[0].id, 3);
    t_eq_u64(r.regions[1].id, 1);
    t_eq_u64(r.regions[2].id, 2);
    must_check(&r);
}

T_TEST("a record that says more than format 1 can is of format 2, and reads back")
{
    struct account_record r = sample();
    r.level = CONSISTENCY_BOUNDED_STALENESS;
    r.max_staleness_ops = 1234;
    r.max_staleness_s = 56;
    r.is_level_changing = true;
    r.level_to = CONSISTENCY_STRONG;
    r.strong_since = 1;
    must_check(&r);
    struct str text = encode(&r);
    t_check(str_starts(text, STR("{\"format\":2,")));
    struct account_record back;
    t_ok(record_decode(&arena, text, &back, NULL));
    t_eq_str(encode(&back), text);
    t_eq_u64(back.max_staleness_ops, 1234);
    t_eq_u64(back.max_staleness_s, 56);
    t_check(back.is_level_changing);
    t_eq_int(record_read_level(&back), CONSISTENCY_BOUNDED_STALENESS);
    t_eq_int(record_write_level(&back), CONSISTENCY_STRONG);
    t_eq_int(record_lease_level(&back), CONSISTENCY_STRONG);
    t_golden("record-v2.json", text);
}

T_TEST("a bounded record of format 1 has the usual bounds")
{
    struct account_record r = sample();
    r.level = CONSISTENCY_STRONG;
    struct buf b;
    buf_init(&b, 1 << 20);
    struct str text = encode(&r);
    ptrdiff_t at = str_find(text, STR("Strong"));
    buf_add_str(&b, str_slice(text, 0, (size_t)at));
    buf_add_cstr(&b, "BoundedStaleness");
    buf_add_str(&b, str_slice(text, (size_t)at + 6, text.n));
    struct account_record back;
    t_ok(record_decode(&arena, buf_str(&b), &back, NULL));
    t_eq_u64(back.max_staleness_ops, 100000);
    t_eq_u64(back.max_staleness_s, 300);
    buf_done(&b);
}

T_TEST("a record with impossible levels is refused")
{
    char why[256];
    struct account_record r = sample();
    r.level = CONSISTENCY_BOUNDED_STALENESS;
    t_check(!record_check(&r, why)); /* no bounds */
    r.max_staleness_ops = STALENESS_OPS_MAX;
    r.max_staleness_s = STALENESS_S_MIN;
    must_check(&r);
    r.max_staleness_ops++;
    t_check(!record_check(&r, why));
    r.max_staleness_ops = 1;
    r.max_staleness_s = STALENESS_S_MIN - 1;
    t_check(!record_check(&r, why));
    r.max_staleness_s = STALENESS_S_MAX;
    must_check(&r);
    r.max_staleness_s++;
    t_check(!record_check(&r, why));
    r = sample();
    r.is_level_changing = true;
    r.level_to = r.level;
    t_check(!record_check(&r, why));
    r = sample();
    r.strong_since = r.epoch + 1;
    t_check(!record_check(&r, why));
}

static enum err plan_level(struct account_record *r, enum consistency level, uint64_t ops,
                           uint64_t seconds)
{
    struct level_request q = {level, ops, seconds};
    enum err e = account_plan_consistency(r, &q, NULL);
    must_check(r);
    return e;
}

T_TEST("a change of level needs a healthy account, no other operation and sensible bounds")
{
    struct account_record r = sample();
    t_err(plan_level(&r, CONSISTENCY_STRONG, 5, 0), ERR_INVALID);
    t_err(plan_level(&r, CONSISTENCY_BOUNDED_STALENESS, 0, 4), ERR_INVALID);
    t_err(plan_level(&r, CONSISTENCY_BOUNDED_STALENESS, UINT64_C(1) << 31, 5), ERR_INVALID);
    t_err(plan_level(&r, CONSISTENCY_BOUNDED_STALENESS, 1, 86401), ERR_INVALID);
    t_err(plan_level(&r, CONSISTENCY_COUNT, 0, 0), ERR_INVALID);
    t_check(!r.is_level_changing && r.max_staleness_ops == 0);
    t_ok(plan_level(&r, CONSISTENCY_SESSION, 0, 0)); /* the present level: nothing to do */
    t_check(!r.is_level_changing);
    t_ok(plan_level(&r, CONSISTENCY_STRONG, 0, 0));
    t_check(r.is_level_changing && r.level == CONSISTENCY_SESSION);
    t_err(plan_level(&r, CONSISTENCY_EVENTUAL, 0, 0), ERR_CONFLICTING_OPERATION);
    t_ok(plan_level(&r, CONSISTENCY_SESSION, 0, 0)); /* called off */
    t_check(!r.is_level_changing);
    t_ok(account_plan_failover(&r, STR("west us"), 1, NULL));
    t_err(plan_level(&r, CONSISTENCY_STRONG, 0, 0), ERR_CONFLICTING_OPERATION);
    r = sample();
    t_ok(account_plan_add(&r, STR("south"), -1, 1, NULL));
    t_err(plan_level(&r, CONSISTENCY_STRONG, 0, 0), ERR_CONFLICTING_OPERATION);
    r = sample();
    record_set_state(&r, 3, REGION_RECOVERING, 1);
    t_err(plan_level(&r, CONSISTENCY_STRONG, 0, 0), ERR_PRECONDITION);
}

T_TEST("bounds are kept, filled in, and called tight below what the service allows")
{
    struct account_record r = sample();
    t_ok(plan_level(&r, CONSISTENCY_BOUNDED_STALENESS, 0, 0));
    t_eq_u64(r.max_staleness_ops, 100000);
    t_eq_u64(r.max_staleness_s, 300);
    t_check(!account_bounds_are_tight(&r));
    r.is_level_changing = false;
    r.level = CONSISTENCY_BOUNDED_STALENESS;
    t_ok(plan_level(&r, CONSISTENCY_BOUNDED_STALENESS, 99999, 0));
    t_eq_u64(r.max_staleness_ops, 99999);
    t_eq_u64(r.max_staleness_s, 300);
    t_check(account_bounds_are_tight(&r));
    t_check(!r.is_level_changing); /* new bounds of the same level hold at once */
    r.region_count = 1;
    t_check(!account_bounds_are_tight(&r));
    r.max_staleness_ops = 9;
    t_check(account_bounds_are_tight(&r));
}

T_TEST("levels are parsed in any case")
{
    enum consistency c = CONSISTENCY_EVENTUAL;
    t_check(consistency_parse(STR("boundedSTALENESS"), &c));
    t_eq_int(c, CONSISTENCY_BOUNDED_STALENESS);
    t_check(!consistency_parse(STR("Sessio"), &c));
    t_eq_cstr(consistency_name(CONSISTENCY_STRONG), "Strong");
}

T_MAIN()
