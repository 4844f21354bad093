/* What a drill computes without an account: percentiles, names of faults, what a look shows. */
#include "continuity/drill/drill.h"

#include <string.h>

#include "base/contract.h"
#include "continuity/drill/fault.h"
#include "continuity/drill/look.h"

#include "lib/t.h"

T_TEST("percentiles are by nearest rank and leave out what never happened")
{
    static const int64_t values[] = {50, -1, 10, 40, -1, 20, 30};
    t_eq_i64(drill_percentile(values, 7, 0), 10);
    t_eq_i64(drill_percentile(values, 7, 20), 10);
    t_eq_i64(drill_percentile(values, 7, 21), 20);
    t_eq_i64(drill_percentile(values, 7, 50), 30);
    t_eq_i64(drill_percentile(values, 7, 80), 40);
    t_eq_i64(drill_percentile(values, 7, 99), 50);
    t_eq_i64(drill_percentile(values, 7, 100), 50);
    static const int64_t zero[] = {0};
    t_eq_i64(drill_percentile(zero, 1, 50), 0);
}

T_TEST("without any value there is no percentile")
{
    static const int64_t never[] = {-1, -1};
    t_eq_i64(drill_percentile(never, 2, 50), -1);
    t_eq_i64(drill_percentile(never, 0, 50), -1);
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
