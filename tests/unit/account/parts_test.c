/* Partitions with a writer of their own: what the record can say of them, what operators may ask for,
 * and the table of roles. Faults on the way are tests/sim (fault `partition`). */
#include "account/region_int.h"
#include "base/contract.h"
#include "base/fsm.h"
#include "lib/t.h"
#include "records.h"

static struct account_record open_account(void)
{
    return three_regions("west");
}

/* West has taken partition 5 from east. */
static void take_by_west(struct account_record *r)
{
    t_ok(account_plan_partition_failover(r, 5, STR("west"), true, NULL, NULL));
    struct record_override *o = record_override_make(r, 5);
    o->phase = PHASE_OPEN;
    o->incarnation = 9;
    o->epoch = record_epoch_top(r) + 1;
    o->holder = 2;
    o->holder_incarnation = 9;
    o->holder_generation = o->generation;
    o->start_lsn = r->lsn_limit;
    r->lsn_limit += 1000000;
    r->token_version++;
    o->token_version = r->token_version;
    o->opened.is_lossy = true;
    o->lossy_epoch = o->epoch;
    o->lossy_version = o->token_version;
    o->branch = (struct record_branch){5, 1, 77};
    memcpy(o->opened.reason, "why", 4);
}

T_TEST("the table of a partition's roles is total and names no dead row")
{
    struct errinfo ei = {0};
    t_ok_info(fsm_check(parts_fsm(), &ei), &ei);
    t_eq_int(parts_fsm()->state_count, PROLE_COUNT);
}

static size_t openings_of(const struct account_record *r, pid p, struct repl_opening *ret)
{
    size_t n = record_openings(r, p, ret);
    for (size_t i = 1; i < n; i++) {
        t_check(ret[i].epoch > ret[i - 1].epoch && ret[i].start_lsn > ret[i - 1].start_lsn);
    }
    return n;
}

T_TEST("what the record remembers of epochs, as each partition sees it")
{
    struct account_record r = open_account();
    struct repl_opening o[RECORD_OPENINGS_MAX];
    static const struct record_branch branches[] = {{5, 1, 90}, {7, 1, 30}};
    t_eq_u64(openings_of(&r, 5, o), 1);
    t_check(o[0].epoch == 1 && !o[0].has_prev && !o[0].is_elsewhere);
    take_by_west(&r); /* epoch 2 is that of a row, from entry 77 */
    struct record_epoch e = {.epoch = 3,
                             .generation = 9,
                             .writer = 1,
                             .start_lsn = r.lsn_limit,
                             .branch_count = ARRAY_COUNT(branches),
                             .branches = branches};
    record_add_epoch(&r, &e);
    t_eq_u64(openings_of(&r, 5, o), 3);
    t_check(o[1].epoch == 2 && !o[1].is_elsewhere && o[1].has_prev);
    t_check(o[1].prev_epoch == 1 && o[1].prev_lsn == 77);
    t_check(o[2].epoch == 3 && o[2].has_prev && o[2].prev_lsn == 90);
    t_eq_u64(openings_of(&r, 7, o), 3);
    t_check(o[1].epoch == 2 && o[1].is_elsewhere && !o[1].has_prev);
    t_check(o[2].has_prev && o[2].prev_epoch == 1 && o[2].prev_lsn == 30);
    t_eq_u64(openings_of(&r, 8, o), 3);
    t_check(!o[2].has_prev && !o[2].is_elsewhere); /* it may have had entries of this one */
}

T_TEST(
    "a row without an epoch of its own adds none, also when the account's has dropped off the list")
{
    struct account_record r = open_account();
    struct repl_opening o[RECORD_OPENINGS_MAX];
    t_check(record_override_make(&r, 5) != NULL);
    t_eq_u64(openings_of(&r, 5, o), 1);
    t_eq_u64(openings_of(&r, 7, o), 1);
    for (epoch e = 2; e <= RECORD_EPOCHS_MAX + 1; e++) {
        record_add_epoch(&r, &(struct record_epoch){.epoch = e, .start_lsn = e * 1000000 + 1});
    }
    t_eq_u64(openings_of(&r, 7, o), RECORD_EPOCHS_MAX);
    t_eq_u64(o[0].epoch, 2); /* 1 is not another partition's alone */
    t_eq_u64(openings_of(&r, 5, o), RECORD_EPOCHS_MAX + 1);
    t_check(o[0].epoch == 1 && !o[0].has_prev && !o[0].is_elsewhere);
}

T_TEST("a row says who writes its partition, and nothing about the others")
{
    struct account_record r = open_account();
    take_by_west(&r);
    struct account_record back = through_text(&r);
    t_golden("record-v4.json", encode(&back));
    struct record_reign reign;
    record_reign(&back, 5, &reign);
    t_eq_u64(reign.writer, 2);
    t_eq_u64(reign.generation, 3);
    t_eq_u64(reign.epoch, 2);
    t_eq_u64(reign.start_lsn, 1000001);
    record_reign(&back, 4, &reign);
    t_eq_u64(reign.writer, 1);
    t_eq_u64(reign.generation, 2);
    t_eq_u64(record_generation_top(&back), 3);
    t_eq_u64(record_epoch_top(&back), 2);
    t_check(record_is_split(&back));
    t_check(record_overrides_name(&back, 2) && !record_overrides_name(&back, 3));
}

T_TEST("the record is of format 4 only while it has rows, numbers of rows, or the automatic")
{
    struct account_record r = open_account();
    t_eq_u64(record_format(&r), 1);
    t_ok(account_plan_partition_auto(&r, true, NULL));
    t_eq_u64(record_format(&r), 4);
    t_check(through_text(&r).partition_failover);
    t_ok(account_plan_partition_auto(&r, false, NULL));
    t_eq_u64(record_format(&r), 1);
    take_by_west(&r);
    t_eq_u64(record_format(&r), 4);
    record_override_remove(&r, 5);
    t_eq_u64(record_format(&r), 4); /* generation 3 and epoch 2 must not be given out again */
    t_eq_u64(record_generation_top(&r), 3);
    t_eq_u64(record_epoch_top(&r), 2);
    r.generation = 4;
    r.epoch = 3;
    struct record_epoch e = {.epoch = 3, .generation = 4, .writer = 1, .start_lsn = 1500000};
    e.token_version = r.token_version;
    record_add_epoch(&r, &e);
    record_settle(&r);
    t_check(record_format(&r) < 4);
}

T_TEST("there are 64 rows and no more, in order, none of them the metadata's")
{
    struct account_record r = open_account();
    struct errinfo ei = {0};
    for (pid p = RECORD_OVERRIDES_MAX; p >= 1; p--) {
        t_ok(account_plan_partition_failover(&r, p * 3, STR("north"), true, NULL, NULL));
    }
    says(account_plan_partition_failover(&r, 1, STR("north"), true, NULL, &ei), ERR_LIMIT, &ei,
         "64");
    says(account_plan_partition_failover(&r, 0, STR("north"), true, NULL, &ei), ERR_INVALID, &ei,
         "metadata");
    struct account_record back = through_text(&r);
    t_eq_u64(back.override_count, RECORD_OVERRIDES_MAX);
    for (size_t i = 0; i < back.override_count; i++) {
        t_eq_u64(back.overrides[i].pid, 3 * (i + 1));
        t_check(back.overrides[i].is_pinned);
    }
    char why[256];
    back.overrides[1].generation = back.overrides[0].generation;
    t_check(!record_check(&back, why));
    t_eq_cstr(why, "two partitions have one generation");
    struct account_record zero = through_text(&r);
    zero.overrides[0].pid = 0;
    t_check(!record_check(&zero, why));
}

T_TEST("damage of a row is refused")
{
    struct account_record r = open_account();
    take_by_west(&r);
    static const char *const changes[][2] = {
        {"\"pid\":5", "\"pid\":0"},
        {"\"pid\":5", "\"pid\":-5"},
        {"\"phase\":\"OPEN\",\"writer\":2", "\"phase\":\"OPEN\",\"writer\":9"},
        {"\"phase\":\"OPEN\",\"writer\":2", "\"phase\":\"TRANSFER\",\"writer\":2"},
        {"\"incarnation\":9,\"generation\"", "\"incarnation\":0,\"generation\""},
        {"\"holder\":2", "\"holder\":0"},
        {"\"start_lsn\":1000001", "\"start_lsn\":99999999"},
        {"\"lossy_epoch\":2", "\"lossy_epoch\":3"},
        {"\"is_pinned\":true", "\"is_pinned\":1"},
        {"\"failover\":false", "\"failover\":false,\"more\":1"},
        {"\"epoch_floor\":0", "\"epoch_floor\":9"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
        struct str text = encode(&r);
        ptrdiff_t at = str_find(text, str_of(changes[i][0]));
        t_checkf(at >= 0, "looking for %s", changes[i][0]);
        struct str rest = str_slice(text, (size_t)at + strlen(changes[i][0]), text.n);
        struct str bad =
            arena_printf(&arena, STR_FMT "%s" STR_FMT, STR_ARG(str_slice(text, 0, (size_t)at)),
                         changes[i][1], STR_ARG(rest));
        struct account_record back;
        t_checkf(record_decode(&arena, bad, &back, NULL) != OK, "%s is taken", changes[i][1]);
    }
}

T_TEST("a failover by force chooses another region at once, under a generation of its own")
{
    struct account_record r = open_account();
    t_ok(account_plan_partition_failover(&r, 5, STR("West"), true, NULL, NULL));
    const struct record_override *o = record_override(&r, 5);
    t_eq_int(o->phase, PHASE_PROMOTING);
    t_eq_u64(o->writer, 2);
    t_eq_u64(o->incarnation, 0);
    t_eq_u64(o->generation, 3);
    t_eq_u64(o->epoch, 1); /* still the account's */
    t_eq_u64(o->holder, 1);
    t_eq_u64(o->holder_incarnation, 7);
    t_check(o->is_pinned);
    t_eq_u64(r.generation, 2);
    t_ok(account_plan_partition_failover(&r, 6, STR("north"), true, NULL, NULL));
    t_eq_u64(record_override(&r, 6)->generation, 4);
}

T_TEST("a graceful one leaves the reign as it is until the other region takes over")
{
    struct account_record r = open_account();
    t_ok(account_plan_partition_failover(&r, 5, STR("west"), false, NULL, NULL));
    const struct record_override *o = record_override(&r, 5);
    t_eq_int(o->phase, PHASE_TRANSFER);
    t_eq_u64(o->writer, 1);
    t_eq_u64(o->incarnation, 7);
    t_eq_u64(o->generation, 2);
    t_eq_u64(o->transfer_to, 2);
    t_check(record_is_split(&r));
    (void)through_text(&r);
}

/* The account's writer dies with both: the next one opens before it has taken either. */
T_TEST("two partitions may be on their way to another region when the account gets a new epoch")
{
    struct account_record r = open_account();
    t_ok(account_plan_partition_failover(&r, 5, STR("west"), false, NULL, NULL));
    t_ok(account_plan_partition_failover(&r, 6, STR("north"), false, NULL, NULL));
    struct record_epoch e = {.epoch = 2,
                             .generation = 3,
                             .writer = 2,
                             .incarnation = 8,
                             .start_lsn = r.lsn_limit,
                             .token_version = r.token_version};
    r.writer = 2;
    r.writer_incarnation = 8;
    r.generation = 3;
    r.epoch = 2;
    r.lsn_limit += 1000000;
    record_set_state(&r, 1, REGION_OFFLINE, 9);
    record_set_state(&r, 2, REGION_ONLINE_WRITE, 9);
    record_add_epoch(&r, &e);
    char why[256] = "";
    t_checkf(record_check(&r, why), "%s", why);
    (void)through_text(&r);
}

T_TEST("what is refused, and how it is said")
{
    struct account_record r = open_account();
    struct errinfo ei = {0};
    says(account_plan_partition_failover(&r, 5, STR("mars"), false, NULL, &ei), ERR_INVALID, &ei,
         "mars");
    record_set_state(&r, 3, REGION_OFFLINE, 1);
    says(account_plan_partition_failover(&r, 5, STR("north"), true, NULL, &ei), ERR_PRECONDITION,
         &ei, "OFFLINE");
    r.q_mask &= ~record_mask(2);
    says(account_plan_partition_failover(&r, 5, STR("west"), true, NULL, &ei), ERR_PRECONDITION,
         &ei, "not caught up");
    r = open_account();
    t_ok(account_plan_partition_failover(&r, 5, STR("west"), false, NULL, NULL));
    says(account_plan_partition_failover(&r, 5, STR("north"), false, NULL, &ei),
         ERR_CONFLICTING_OPERATION, &ei, "already");
    says(account_plan_partition_return(&r, 5, NULL, &ei), ERR_CONFLICTING_OPERATION, &ei,
         "already");
    t_ok(account_plan_partition_failover(&r, 5, STR("north"), true, NULL,
                                         NULL)); /* by force it goes */
    r = open_account();
    t_ok(account_plan_failover(&r, STR("west"), 1, NULL));
    says(account_plan_partition_failover(&r, 5, STR("north"), true, NULL, &ei),
         ERR_CONFLICTING_OPERATION, &ei, "change of the write region");
    struct account_record one = open_account();
    record_remove_region(&one, 2);
    record_remove_region(&one, 3);
    says(account_plan_partition_auto(&one, true, &ei), ERR_INVALID, &ei, "two or more");
}

/* A region that says nothing of partitions runs an older program. */
T_TEST("a partition that is yet to be is given to nobody, as far as the regions say")
{
    struct account_record r = open_account();
    struct account_beats beats = {
        .of = {[1] = {.is_said = true, .top = 4}, [2] = {.is_said = true, .top = 3}}};
    struct errinfo ei = {0};
    says(account_plan_partition_failover(&r, 5, STR("west"), true, &beats, &ei), ERR_NOT_FOUND, &ei,
         "no region has a partition 5");
    says(account_plan_partition_return(&r, 5, &beats, &ei), ERR_NOT_FOUND, &ei,
         "no region has a partition 5");
    t_eq_u64(r.override_count, 0);
    t_ok(account_plan_partition_failover(&r, 4, STR("west"), true, &beats, NULL));
    beats.of[3] = (struct account_beat){.is_said = true, .top = UINT64_MAX};
    t_ok(account_plan_partition_failover(&r, 5, STR("west"), true, &beats, NULL));
    beats.of[3] = (struct account_beat){0};
    t_ok(account_plan_partition_failover(&r, 5, STR("north"), true, &beats, NULL)); /* has a row */
    beats = (struct account_beats){0};
    t_ok(account_plan_partition_failover(&r, 6, STR("north"), true, &beats, NULL));
}

T_TEST("a return asks the partition's writer to hand over; at home there is nothing to do")
{
    struct account_record r = open_account();
    t_ok(account_plan_partition_return(&r, 5, NULL, NULL));
    t_eq_u64(r.override_count, 0);
    take_by_west(&r);
    t_ok(account_plan_partition_return(&r, 5, NULL, NULL));
    t_eq_int(record_override(&r, 5)->phase, PHASE_TRANSFER);
    t_eq_u64(record_override(&r, 5)->transfer_to, 1);
    t_check(!record_override(&r, 5)->is_pinned);
    struct account_record home = open_account();
    take_by_west(&home);
    record_override_make(&home, 5)->writer = 1;
    record_override_make(&home, 5)->incarnation = 7;
    t_check(!record_is_split(&home));
    t_ok(account_plan_partition_return(&home, 5, NULL, NULL));
    t_eq_int(record_override(&home, 5)->phase, PHASE_OPEN);
    t_check(!record_override(&home, 5)->is_pinned);
}

T_TEST("a region that writes a partition cannot be removed")
{
    struct account_record r = open_account();
    struct errinfo ei = {0};
    take_by_west(&r);
    says(account_plan_remove(&r, STR("west"), true, 1, &ei), ERR_PRECONDITION, &ei,
         "writes partition 5");
    t_ok(account_plan_remove(&r, STR("north"), false, 1, NULL));
}

T_TEST("a change of level and a split do not go together")
{
    struct account_record r = open_account();
    struct errinfo ei = {0};
    struct level_request q = {.level = CONSISTENCY_STRONG};
    t_ok(account_plan_consistency(&r, &q, NULL));
    t_check(r.is_level_changing);
    t_ok(account_plan_partition_failover(&r, 5, STR("west"), true, NULL, NULL));
    t_check(!r.is_level_changing); /* called off */
    says(account_plan_consistency(&r, &q, &ei), ERR_CONFLICTING_OPERATION, &ei,
         "written by another region");
    char why[256];
    r.is_level_changing = true;
    r.level_to = CONSISTENCY_STRONG;
    t_check(!record_check(&r, why));
}

T_MAIN()
