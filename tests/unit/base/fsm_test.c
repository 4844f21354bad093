/* State tables: each way a table can be wrong is found; a right one steps and prints. */
#include "base/fsm.h"

#include "base/contract.h"
#include "lib/t.h"

enum { IDLE, BUSY, GONE };
enum { EV_START, EV_STOP, EV_KILL };
static const char *const states[] = {"idle", "busy", "gone"};
static const char *const events[] = {"start", "stop", "kill"};

struct job {
    bool is_ready;
    int starts;
};

static bool is_ready(const void *ctx, const void *event)
{
    UNUSED(event);
    return ((const struct job *)ctx)->is_ready;
}

static void act_start(void *ctx, const void *event)
{
    UNUSED(event);
    ((struct job *)ctx)->starts++;
}

/* clang-format off */
#define GOOD_ROWS \
    FSM_ROW(10, IDLE,    EV_START, is_ready,   BUSY,     act_start,     "started") \
    FSM_ROW(11, IDLE,    EV_START, fsm_always, FSM_SAME, fsm_no_action, "not ready") \
    FSM_ROW(12, GONE,    FSM_ANY,  fsm_always, FSM_SAME, fsm_no_action, "") \
    FSM_ROW(20, FSM_ANY, EV_KILL,  fsm_always, GONE,     fsm_no_action, "killed") \
    FSM_ROW(21, BUSY,    EV_STOP,  fsm_always, IDLE,     fsm_no_action, "stopped") \
    FSM_ROW(22, BUSY,    EV_START, fsm_always, FSM_SAME, fsm_no_action, "") \
    FSM_ROW(23, IDLE,    EV_STOP,  fsm_always, FSM_SAME, fsm_no_action, "")
/* clang-format on */

static struct fsm machine(const struct fsm_row *rows, size_t row_count)
{
    return (struct fsm){
        .name = "job",
        .state_names = states,
        .state_count = 3,
        .event_names = events,
        .event_count = 3,
        .rows = rows,
        .row_count = (int)row_count,
        .initial = IDLE,
        .final_states = 1U << GONE,
    };
}

static void eq_problem(const struct fsm_row *rows, size_t row_count, const char *part)
{
    struct fsm m = machine(rows, row_count);
    struct errinfo ei = {0};
    t_err(fsm_check(&m, &ei), ERR_INTERNAL);
    t_contains(str_of(ei.message), part);
}

static const struct fsm_row good[] = {GOOD_ROWS};

T_TEST("a sound table passes the check and takes the first row that holds")
{
    struct fsm m = machine(good, ARRAY_COUNT(good));
    struct errinfo ei = {0};
    t_ok_info(fsm_check(&m, &ei), &ei);
    struct job job = {0};
    int state = IDLE;
    t_eq_int(fsm_step(&m, &state, EV_START, &job, NULL)->no, 11);
    t_eq_int(state, IDLE);
    job.is_ready = true;
    t_eq_int(fsm_step(&m, &state, EV_START, &job, NULL)->no, 10);
    t_eq_int(state, BUSY);
    t_eq_int(job.starts, 1);
    t_eq_int(fsm_step(&m, &state, EV_KILL, &job, NULL)->no, 20);
    t_eq_int(state, GONE);
    t_eq_int(fsm_step(&m, &state, EV_KILL, &job, NULL)->no, 12);
    t_eq_int(state, GONE);
}

T_TEST("a missing row is found")
{
    eq_problem(good, ARRAY_COUNT(good) - 1, "no unconditional row for state idle, event stop");
}

T_TEST("a row behind an unconditional one, or behind the same guard, is found")
{
    static const struct fsm_row hidden[] = {
        GOOD_ROWS FSM_ROW(30, BUSY, EV_STOP, is_ready, GONE, fsm_no_action, "")
    };
    eq_problem(hidden, ARRAY_COUNT(hidden), "row 30 is hidden");
    static const struct fsm_row same_guard[] = {
        FSM_ROW(5, IDLE, EV_START, is_ready, IDLE, fsm_no_action, "") GOOD_ROWS
    };
    eq_problem(same_guard, ARRAY_COUNT(same_guard), "row 10 is hidden");
    static const struct fsm_row wild[] = {
        GOOD_ROWS FSM_ROW(31, FSM_ANY, FSM_ANY, fsm_always, IDLE, fsm_no_action, "")
    };
    eq_problem(wild, ARRAY_COUNT(wild), "row 31 is hidden");
}

T_TEST("a state that nothing leads to, and a wrongly marked end, are found")
{
    static const struct fsm_row no_way[] = {
        FSM_ROW(1, IDLE, FSM_ANY, fsm_always, GONE, fsm_no_action, "")
            FSM_ROW(2, BUSY, FSM_ANY, fsm_always, IDLE, fsm_no_action, "")
                FSM_ROW(3, GONE, FSM_ANY, fsm_always, FSM_SAME, fsm_no_action, "")
    };
    eq_problem(no_way, ARRAY_COUNT(no_way), "state busy cannot be reached");
    struct fsm m = machine(good, ARRAY_COUNT(good));
    m.final_states = 0;
    struct errinfo ei = {0};
    t_err(fsm_check(&m, &ei), ERR_INTERNAL);
    t_contains(str_of(ei.message), "state gone is left by no row but not marked final");
    m.final_states = 1U << GONE | 1U << BUSY;
    t_err(fsm_check(&m, NULL), ERR_INTERNAL);
}

T_TEST("numbers twice or not positive, and unknown states, are found")
{
    static const struct fsm_row twice[] = {
        GOOD_ROWS FSM_ROW(10, BUSY, EV_STOP, is_ready, GONE, fsm_no_action, "")
    };
    eq_problem(twice, ARRAY_COUNT(twice), "row number 10 twice");
    static const struct fsm_row zero[] = {
        FSM_ROW(0, BUSY, EV_STOP, is_ready, GONE, fsm_no_action, "") GOOD_ROWS
    };
    eq_problem(zero, ARRAY_COUNT(zero), "not positive");
    static const struct fsm_row unknown[] = {
        FSM_ROW(1, BUSY, EV_STOP, is_ready, 3, fsm_no_action, "") GOOD_ROWS
    };
    eq_problem(unknown, ARRAY_COUNT(unknown), "row 1 names an unknown");
}

T_TEST("the table, the diagram and the graph show states, guards and numbers")
{
    struct fsm m = machine(good, ARRAY_COUNT(good));
    struct buf b;
    buf_init(&b, 65536);
    fsm_dump_table(&m, &b);
    t_contains(buf_str(&b), "machine job: 3 states, 3 events, 7 rows; starts in idle");
    t_contains(buf_str(&b), "   10  idle   start  is_ready  busy   act_start  started");
    t_contains(buf_str(&b), "   20  *      kill   always    gone   no_action  killed");
    buf_clear(&b);
    fsm_dump_diagram(&m, &b);
    t_contains(buf_str(&b), "-> [idle]\n      |-- start if is_ready (10) --> [busy]\n"
                            "      |-- kill (20) --> [gone]\n   [busy]");
    t_contains(buf_str(&b), "   [gone] (final)\n");
    buf_clear(&b);
    fsm_dump_dot(&m, &b);
    t_contains(buf_str(&b), "\"idle\" -> \"busy\" [label=\"10 start\\nis_ready\"];");
    buf_done(&b);
}

static const uint64_t successors[] = {
    [IDLE] = 1U << BUSY, [BUSY] = 1U << IDLE | 1U << GONE, [GONE] = 0};
static const struct fsm_path life = {"life", states, successors, 3};

static void move_wrongly(void *arg)
{
    fsm_path_move(&life, (int *)arg, GONE);
}

T_TEST("a path allows only the named successors")
{
    int state = IDLE;
    t_check(t_aborts(move_wrongly, &state));
    fsm_path_move(&life, &state, BUSY);
    t_check(fsm_path_can_move(&life, state, GONE));
    fsm_path_move(&life, &state, GONE);
    t_check(!fsm_path_can_move(&life, state, IDLE));
}

T_MAIN()
