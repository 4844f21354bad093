/* The role table is complete: every state and event has a row, every state can be reached, no row
 * is dead, FENCED is the only end. Decision rules have one number each, apart from the rows'. */
#include "base/fsm.h"

#include "account/region.h"
#include "lib/t.h"

T_TEST("the role table is total, reachable and without dead rows")
{
    struct errinfo ei = {0};
    t_ok_info(fsm_check(region_fsm(), &ei), &ei);
    t_eq_int(region_fsm()->state_count, ROLE_COUNT);
    t_eq_u64(region_fsm()->final_states, UINT64_C(1) << ROLE_FENCED);
}

T_TEST("the table of partitions' roles is total, reachable, without dead rows and without an end")
{
    struct errinfo ei = {0};
    t_ok_info(fsm_check(parts_fsm(), &ei), &ei);
    t_eq_u64(parts_fsm()->final_states, 0);
    for (int i = 0; i < parts_fsm()->row_count; i++) {
        t_check(parts_fsm()->rows[i].no >= 600 && parts_fsm()->rows[i].no < 700);
    }
}

T_TEST("only a process that has sealed, caught up or held opens as writer")
{
    const struct fsm *m = region_fsm();
    for (int i = 0; i < m->row_count; i++) {
        const struct fsm_row *row = &m->rows[i];
        if (row->to == ROLE_WRITER) {
            t_checkf(row->from == ROLE_PROMOTING || row->from == ROLE_TAKING ||
                         row->from == ROLE_HOLDING,
                     "row %d", row->no);
        }
        if (row->to == ROLE_HOLDING) {
            t_eq_int(row->from, ROLE_WRITER);
        }
    }
}

T_TEST("rule numbers are unique and differ from the rows'")
{
    size_t n = 0;
    const struct region_rule *rules = region_rules(&n);
    const struct fsm *m = region_fsm();
    t_check(n > 0);
    for (size_t i = 0; i < n; i++) {
        t_check(rules[i].no > 0 && rules[i].name[0] != 0 && rules[i].text[0] != 0);
        for (size_t j = 0; j < i; j++) {
            t_check(rules[i].no != rules[j].no);
        }
        for (int k = 0; k < m->row_count; k++) {
            t_check(rules[i].no != (uint32_t)m->rows[k].no);
        }
    }
}

T_TEST("timers are checked against each other")
{
    char why[256];
    t_check(region_timers_check(&region_timers_lan, why));
    t_check(region_timers_check(&region_timers_wan, why));
    struct region_timers t = region_timers_lan;
    t.beat_ms = 500; /* 500 + 2 x 300 is not below 1200 - 150 */
    t_check(!region_timers_check(&t, why));
    t = region_timers_lan;
    t.hold_ms = 0;
    t_check(!region_timers_check(&t, why));
}

T_MAIN()
