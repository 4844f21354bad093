/* Table-driven state machines: lookup, the proof that a table is sound, and its pictures.
 * Tables are small (tens of rows) and steps are rare compared with requests, so lookup is a scan:
 * the order of the rows is their meaning. */
#include "base/fsm.h"

#include <string.h>

#include "base/contract.h"

bool fsm_always(const void *ctx, const void *event)
{
    UNUSED(ctx);
    UNUSED(event);
    return true;
}

void fsm_no_action(void *ctx, const void *event)
{
    UNUSED(ctx);
    UNUSED(event);
}

static uint64_t bit(int i)
{
    ASSERT(i >= 0 && i < 64);
    return UINT64_C(1) << i;
}

static bool is_match(const struct fsm_row *r, int state, int event)
{
    return (r->from == FSM_ANY || r->from == state) && (r->event == FSM_ANY || r->event == event);
}

static int target_of(const struct fsm_row *r, int state)
{
    return r->to == FSM_SAME ? state : r->to;
}

const struct fsm_row *fsm_find(const struct fsm *m, int state, int event, const void *ctx,
                               const void *arg)
{
    ASSERT(state >= 0 && state < m->state_count);
    ASSERT(event >= 0 && event < m->event_count);
    for (int i = 0; i < m->row_count; i++) {
        const struct fsm_row *r = &m->rows[i];
        if (is_match(r, state, event) && r->guard(ctx, arg)) {
            return r;
        }
    }
    contract_trace(m->name, (unsigned)state, (unsigned)event);
    UNREACHABLE(); /* fsm_check() was not called on this table */
}

const struct fsm_row *fsm_step(const struct fsm *m, int *state, int event, void *ctx,
                               const void *arg)
{
    const struct fsm_row *r = fsm_find(m, *state, event, ctx, arg);
    contract_trace(m->name, (unsigned)r->no, (unsigned)*state);
    *state = target_of(r, *state);
    r->action(ctx, arg);
    return r;
}

const char *fsm_state_name(const struct fsm *m, int state)
{
    if (state == FSM_ANY) {
        return "*";
    }
    if (state == FSM_SAME) {
        return "=";
    }
    ASSERT(state >= 0 && state < m->state_count);
    return m->state_names[state];
}

const char *fsm_event_name(const struct fsm *m, int event)
{
    if (event == FSM_ANY) {
        return "*";
    }
    ASSERT(event >= 0 && event < m->event_count);
    return m->event_names[event];
}

static bool is_in(int value, int count, int wildcard)
{
    return value == wildcard || (value >= 0 && value < count);
}

static enum err check_rows(const struct fsm *m, struct errinfo *ei)
{
    for (int i = 0; i < m->row_count; i++) {
        const struct fsm_row *r = &m->rows[i];
        if (r->no <= 0) {
            return err_set(ei, ERR_INTERNAL, "%s: row number %d is not positive", m->name, r->no);
        }
        for (int j = 0; j < i; j++) {
            if (m->rows[j].no == r->no) {
                return err_set(ei, ERR_INTERNAL, "%s: row number %d twice", m->name, r->no);
            }
        }
        if (!is_in(r->from, m->state_count, FSM_ANY) || !is_in(r->to, m->state_count, FSM_SAME) ||
            !is_in(r->event, m->event_count, FSM_ANY)) {
            return err_set(ei, ERR_INTERNAL, "%s: row %d names an unknown state or event", m->name,
                           r->no);
        }
        if (r->guard == NULL || r->action == NULL || r->text == NULL) {
            return err_set(ei, ERR_INTERNAL, "%s: row %d lacks guard, action or text", m->name,
                           r->no);
        }
    }
    return OK;
}

/* Some state and event lets row `i` be asked: no earlier row takes them for sure. */
static bool can_be_asked(const struct fsm *m, int i)
{
    const struct fsm_row *r = &m->rows[i];
    for (int state = 0; state < m->state_count; state++) {
        for (int event = 0; event < m->event_count; event++) {
            bool is_taken = !is_match(r, state, event);
            for (int j = 0; j < i && !is_taken; j++) {
                const struct fsm_row *before = &m->rows[j];
                is_taken = is_match(before, state, event) &&
                           (before->guard == fsm_always || before->guard == r->guard);
            }
            if (!is_taken) {
                return true;
            }
        }
    }
    return false;
}

static bool has_unconditional_row(const struct fsm *m, int state, int event)
{
    for (int i = 0; i < m->row_count; i++) {
        if (m->rows[i].guard == fsm_always && is_match(&m->rows[i], state, event)) {
            return true;
        }
    }
    return false;
}

static enum err check_total(const struct fsm *m, struct errinfo *ei)
{
    for (int i = 0; i < m->row_count; i++) {
        if (!can_be_asked(m, i)) {
            return err_set(ei, ERR_INTERNAL, "%s: row %d is hidden by earlier rows", m->name,
                           m->rows[i].no);
        }
    }
    for (int state = 0; state < m->state_count; state++) {
        for (int event = 0; event < m->event_count; event++) {
            if (!has_unconditional_row(m, state, event)) {
                return err_set(ei, ERR_INTERNAL, "%s: no unconditional row for state %s, event %s",
                               m->name, m->state_names[state], m->event_names[event]);
            }
        }
    }
    return OK;
}

/* Bit mask of the states that rows lead to from `state`. */
static uint64_t ways_out(const struct fsm *m, int state)
{
    uint64_t out = 0;
    for (int event = 0; event < m->event_count; event++) {
        for (int i = 0; i < m->row_count; i++) {
            const struct fsm_row *r = &m->rows[i];
            if (!is_match(r, state, event)) {
                continue;
            }
            out |= bit(target_of(r, state));
            if (r->guard == fsm_always) {
                break; /* rows for any state that come later are never asked in this one */
            }
        }
    }
    return out & ~bit(state);
}

static enum err check_reach(const struct fsm *m, struct errinfo *ei)
{
    uint64_t reached = bit(m->initial);
    uint64_t before = 0;
    while (reached != before) { /* at most state_count rounds: each adds a state */
        before = reached;
        for (int state = 0; state < m->state_count; state++) {
            if ((reached & bit(state)) != 0) {
                reached |= ways_out(m, state);
            }
        }
    }
    for (int state = 0; state < m->state_count; state++) {
        bool is_final = (m->final_states & bit(state)) != 0;
        if ((reached & bit(state)) == 0) {
            return err_set(ei, ERR_INTERNAL, "%s: state %s cannot be reached", m->name,
                           m->state_names[state]);
        }
        if (is_final != (ways_out(m, state) == 0)) {
            return err_set(ei, ERR_INTERNAL, "%s: state %s is %s final", m->name,
                           m->state_names[state],
                           is_final ? "left by a row but marked" : "left by no row but not marked");
        }
    }
    return OK;
}

enum err fsm_check(const struct fsm *m, struct errinfo *ei)
{
    ASSERT(m->state_count > 0 && m->state_count <= FSM_STATES_MAX);
    ASSERT(m->event_count > 0 && m->event_count <= FSM_EVENTS_MAX);
    ASSERT(m->row_count > 0 && m->row_count <= FSM_ROWS_MAX);
    ASSERT(m->initial >= 0 && m->initial < m->state_count);
    TRY(check_rows(m, ei));
    TRY(check_total(m, ei));
    return check_reach(m, ei);
}

/* "fsm_always" is printed as "always". */
static const char *short_name(const char *name)
{
    return strncmp(name, "fsm_", 4) == 0 ? name + 4 : name;
}

static int max_int(int a, int b)
{
    return a > b ? a : b;
}

static int text_len(const char *s)
{
    return (int)strnlen(s, 1000);
}

void fsm_dump_table(const struct fsm *m, struct buf *out)
{
    int state_width = 5;
    int event_width = 5;
    int guard_width = 5;
    int action_width = 6;
    for (int i = 0; i < m->row_count; i++) {
        const struct fsm_row *r = &m->rows[i];
        state_width = max_int(state_width, max_int(text_len(fsm_state_name(m, r->from)),
                                                   text_len(fsm_state_name(m, r->to))));
        event_width = max_int(event_width, text_len(fsm_event_name(m, r->event)));
        guard_width = max_int(guard_width, text_len(short_name(r->guard_name)));
        action_width = max_int(action_width, text_len(short_name(r->action_name)));
    }
    buf_printf(out, "machine %s: %d states, %d events, %d rows; starts in %s\n", m->name,
               m->state_count, m->event_count, m->row_count, m->state_names[m->initial]);
    buf_printf(out, "  %5s  %-*s  %-*s  %-*s  %-*s  %-*s  %s\n", "no.", state_width, "from",
               event_width, "event", guard_width, "guard", state_width, "to", action_width,
               "action", "text");
    for (int i = 0; i < m->row_count; i++) {
        const struct fsm_row *r = &m->rows[i];
        buf_printf(out, "  %5d  %-*s  %-*s  %-*s  %-*s  %-*s  %s\n", r->no, state_width,
                   fsm_state_name(m, r->from), event_width, fsm_event_name(m, r->event),
                   guard_width, short_name(r->guard_name), state_width, fsm_state_name(m, r->to),
                   action_width, short_name(r->action_name), r->text);
    }
}

void fsm_dump_diagram(const struct fsm *m, struct buf *out)
{
    for (int state = 0; state < m->state_count; state++) {
        buf_printf(out, "%s[%s]%s\n", state == m->initial ? "-> " : "   ", m->state_names[state],
                   (m->final_states & bit(state)) != 0 ? " (final)" : "");
        for (int i = 0; i < m->row_count; i++) {
            const struct fsm_row *r = &m->rows[i];
            if ((r->from != FSM_ANY && r->from != state) || target_of(r, state) == state) {
                continue;
            }
            buf_printf(out, "      |-- %s", fsm_event_name(m, r->event));
            if (r->guard != fsm_always) {
                buf_printf(out, " if %s", r->guard_name);
            }
            buf_printf(out, " (%d) --> [%s]\n", r->no, m->state_names[r->to]);
        }
    }
}

void fsm_dump_dot(const struct fsm *m, struct buf *out)
{
    buf_printf(out, "digraph \"%s\" {\n    rankdir=LR;\n    node [shape=box];\n", m->name);
    for (int state = 0; state < m->state_count; state++) {
        buf_printf(out, "    \"%s\"%s;\n", m->state_names[state],
                   (m->final_states & bit(state)) != 0 ? " [peripheries=2]"
                   : state == m->initial               ? " [style=bold]"
                                                       : "");
    }
    for (int state = 0; state < m->state_count; state++) {
        for (int i = 0; i < m->row_count; i++) {
            const struct fsm_row *r = &m->rows[i];
            if ((r->from != FSM_ANY && r->from != state) || target_of(r, state) == state) {
                continue;
            }
            buf_printf(out, "    \"%s\" -> \"%s\" [label=\"%d %s\\n%s\"];\n", m->state_names[state],
                       m->state_names[r->to], r->no, fsm_event_name(m, r->event),
                       short_name(r->guard_name));
        }
    }
    buf_add_cstr(out, "}\n");
}

bool fsm_path_can_move(const struct fsm_path *p, int from, int to)
{
    ASSERT(from >= 0 && from < p->state_count);
    ASSERT(to >= 0 && to < p->state_count);
    return (p->successors[from] & bit(to)) != 0;
}

void fsm_path_move(const struct fsm_path *p, int *state, int to)
{
    contract_trace(p->name, (unsigned)*state, (unsigned)to);
    ASSERT(fsm_path_can_move(p, *state, to));
    *state = to;
}
