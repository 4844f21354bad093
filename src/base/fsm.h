/* State machines as tables.
 *
 *   static const struct fsm_row rows[] = {
 *       // no.  from       event     guard          to         action          operator's text
 *       FSM_ROW(310, SECONDARY, EV_LOST,  quorum_agrees, PROMOTING, act_raise_term, "taking over")
 *       FSM_ROW(311, SECONDARY, EV_LOST,  fsm_always,    FSM_SAME,  fsm_no_action,  "waiting")
 *   };
 *
 * The first row that matches state and event and whose guard holds is taken. Guards are pure
 * predicates; actions only emit requests into the context they are given. Row numbers are stable:
 * they appear in logs and reports. fsm_check() proves at start (and in a unit test) that the
 * table is total and has no dead part; after that fsm_step() cannot fail. No state of its own:
 * the owner keeps the state as an int. Deterministic; any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

typedef bool fsm_guard(const void *ctx, const void *event);
typedef void fsm_action(void *ctx, const void *event);

bool fsm_always(const void *ctx, const void *event); /* the unconditional guard */
void fsm_no_action(void *ctx, const void *event);

enum {
    FSM_SAME = -1, /* as `to`: stay in the state one is in */
    FSM_ANY = -2,  /* as `from` or `event`: matches every one */
    FSM_STATES_MAX = 64,
    FSM_EVENTS_MAX = 64,
    FSM_ROWS_MAX = 1024,
};

struct fsm_row {
    int no;    /* > 0, unique in the table, never reused */
    int from;  /* state or FSM_ANY */
    int event; /* event or FSM_ANY */
    int to;    /* state or FSM_SAME */
    fsm_guard *guard;
    fsm_action *action;
    const char *text; /* told to the operator; may be "" */
    const char *guard_name;
    const char *action_name;
};

#define FSM_ROW(no_, from_, event_, guard_, to_, action_, text_)                                   \
    {.no = (no_),                                                                                  \
     .from = (from_),                                                                              \
     .event = (event_),                                                                            \
     .guard = (guard_),                                                                            \
     .to = (to_),                                                                                  \
     .action = (action_),                                                                          \
     .text = (text_),                                                                              \
     .guard_name = #guard_,                                                                        \
     .action_name = #action_},

struct fsm {
    const char *name;
    const char *const *state_names;
    int state_count;
    const char *const *event_names;
    int event_count;
    const struct fsm_row *rows;
    int row_count;
    int initial;
    uint64_t final_states; /* bit per state that is meant to have no way out */
};

/* OK, or ERR_INTERNAL with the row or the state and event that are wrong:
 * - numbers are positive and unique, states and events exist, guard and action are set;
 * - each state x event ends in an unconditional row (so some row always matches);
 * - no row is hidden by earlier unconditional rows, or by an earlier row with the same guard;
 * - each state can be reached from `initial` (taking each guard as possible);
 * - exactly the states in `final_states` have no row that leaves them. */
MUST_CHECK enum err fsm_check(const struct fsm *m, struct errinfo *ei);

/* The row that applies; asserts that there is one. Changes nothing. */
const struct fsm_row *fsm_find(const struct fsm *m, int state, int event, const void *ctx,
                               const void *arg);

/* Finds the row, moves *state, then runs the action (which sees the new state through its
 * context if the context owns it). Returns the row, for the log. */
const struct fsm_row *fsm_step(const struct fsm *m, int *state, int event, void *ctx,
                               const void *arg);

const char *fsm_state_name(const struct fsm *m, int state);
const char *fsm_event_name(const struct fsm *m, int event);

/* For `holdfast inspect fsm`: the table as aligned text, each state with its ways out as an ASCII
 * diagram, and Graphviz. */
void fsm_dump_table(const struct fsm *m, struct buf *out);
void fsm_dump_diagram(const struct fsm *m, struct buf *out);
void fsm_dump_dot(const struct fsm *m, struct buf *out);

/* Single-path life cycles (a connection, a step of a drill): allowed successors per state. */
struct fsm_path {
    const char *name;
    const char *const *state_names;
    const uint64_t *successors; /* bit mask per state */
    int state_count;
};

bool fsm_path_can_move(const struct fsm_path *p, int from, int to);
void fsm_path_move(const struct fsm_path *p, int *state, int to); /* asserts that it is allowed */
