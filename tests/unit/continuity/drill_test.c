/* What a drill computes without an account: percentiles, names of faults, what a look shows. */
#include "continuity/drill/drill.h"

#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "continuity/drill/fault.h"
#include "continuity/drill/look.h"

#include "lib/t.h"

static struct drill_result took(enum drill_fault f, const char *level, int64_t rto_ms)
{
    struct drill_result r = {
        .fault = f, .rto_ms = rto_ms, .client_rto_ms = -1, .read_rto_ms = 1, .rejoin_ms = 2};
    (void)snprintf(r.level, sizeof(r.level), "%s", level);
    return r;
}

T_TEST("percentiles are by nearest rank and leave out what never happened")
{
    static const int64_t values[] = {50, -1, 10, 40, -1, 20, 30};
    static const struct {
        unsigned p;
        int64_t want;
    } cases[] = {{0, 10}, {20, 10}, {21, 20}, {50, 30}, {80, 40}, {99, 50}, {100, 50}};
    struct drill_result res[ARRAY_COUNT(values)];
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        res[i] = took(DRILL_KILL, "Session", values[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        t_eq_i64(drill_percentile(res, ARRAY_COUNT(res), NULL, DRILL_RTO, cases[i].p),
                 cases[i].want);
    }
    res[0].rto_ms = 0;
    t_eq_i64(drill_percentile(res, 1, NULL, DRILL_RTO, 50), 0);
    t_eq_i64(drill_percentile(res, 7, NULL, DRILL_READ_RTO, 50), 1);
    t_eq_i64(drill_percentile(res, 7, NULL, DRILL_REJOIN, 50), 2);
}

T_TEST("without any value there is no percentile")
{
    struct drill_result res[] = {took(DRILL_KILL, "Session", -1), took(DRILL_KILL, "Session", -1)};
    t_eq_i64(drill_percentile(res, 2, NULL, DRILL_RTO, 50), -1);
    t_eq_i64(drill_percentile(res, 2, NULL, DRILL_CLIENT_RTO, 50), -1);
    t_eq_i64(drill_percentile(res, 0, NULL, DRILL_RTO, 50), -1);
}

T_TEST("one fault at one level is compared with itself only")
{
    struct drill_result res[] = {took(DRILL_CUT, "Strong", 900), took(DRILL_KILL, "Strong", 50),
                                 took(DRILL_CUT, "Strong", 1100), took(DRILL_CUT, "Session", 1200)};
    struct drill_group groups[DRILL_GROUPS_MAX];
    t_eq_u64(drill_groups(res, ARRAY_COUNT(res), groups), 3);
    t_eq_u64(groups[0].fault, DRILL_CUT);
    t_eq_u64(groups[1].fault, DRILL_KILL);
    t_eq_str(str_of(groups[2].level), STR("Session"));
    t_eq_i64(drill_percentile(res, 4, &groups[0], DRILL_RTO, 50), 900);
    t_eq_i64(drill_percentile(res, 4, &groups[0], DRILL_RTO, 100), 1100);
    t_eq_i64(drill_percentile(res, 4, &groups[1], DRILL_RTO, 100), 50);
    t_eq_i64(drill_percentile(res, 4, &groups[2], DRILL_RTO, 50), 1200);
    t_eq_u64(drill_groups(res, 0, groups), 0);
}

T_TEST("a partition that is not at home is seen, one that has come back is not")
{
    static const struct {
        const char *parts;
        bool has_moved;
    } cases[] = {{"[]", false},
                 {"[{\"partition\":7,\"atHome\":true}]", false},
                 {"[{\"partition\":7,\"atHome\":true},{\"partition\":8,\"atHome\":false}]", true}};
    struct arena a;
    arena_init(&a);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct json *doc = NULL;
        struct look look;
        t_ok(json_parse(&a,
                        arena_printf(&a, "{\"phase\":\"OPEN\",\"partitions\":%s}", cases[i].parts),
                        NULL, &doc, NULL));
        look_parse(doc, &look);
        t_check(look.is_known && look.is_open);
        t_eq_bool(look.has_moved_parts, cases[i].has_moved);
    }
    arena_done(&a);
}

T_TEST("every fault has a name that is read back, and other words are none")
{
    enum drill_fault f = DRILL_FAULT_COUNT;
    for (unsigned i = 0; i < DRILL_FAULT_COUNT; i++) {
        const char *name = drill_fault_name((enum drill_fault)i);
        t_check(drill_fault_parse(str_of(name), &f) && (unsigned)f == i);
    }
    t_eq_u64(drill_fault_hold_ms(DRILL_KILL), 0);
    t_check(drill_fault_hold_ms(DRILL_FLAP) > drill_fault_hold_ms(DRILL_CUT));
    t_eq_u64(drill_fault_settle_ms(DRILL_KILL), 60000);
    t_check(drill_fault_settle_ms(DRILL_SLOW_DISK) >
            100000); /* left out of the quorum for so long */
    t_check(!drill_fault_parse(STR(""), &f));
    t_check(!drill_fault_parse(STR("kil"), &f));
    t_check(!drill_fault_parse(STR("killed"), &f));
}

T_TEST("every fault begins in one way, and says that it has ended when somebody has to end it")
{
    for (unsigned i = 0; i < DRILL_FAULT_COUNT; i++) {
        const struct fault_kind *kind = fault_kind((enum drill_fault)i);
        t_note("%s", kind->name);
        t_check((kind->ask_begin != NULL) != (kind->begin != NULL));
        t_check(IMPLIES(kind->mode != NULL, kind->prepare != NULL && kind->end != NULL));
        t_eq_bool(kind->healed != NULL, kind->end != NULL || kind->ask_end != NULL);
        t_check(IMPLIES(kind->heals_itself, kind->end == NULL && kind->ask_end == NULL));
        t_check(IMPLIES(kind->is_held, kind->hold_ms > 0));
    }
}

T_MAIN()
