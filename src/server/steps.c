/* Standing still at named steps. See steps.h. */
#include "server/steps.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/contract.h"
#include "base/log.h"
#include "repl/msg.h"

enum step {
    STEP_NONE,
    STEP_HOLDING,
    STEP_END_SENT,
    STEP_TAKING,
    STEP_PROMOTING,
    STEP_SEALED,
    STEP_PULLING,
    STEP_ASKING,
    STEP_ASKED,
    STEP_OPENING,
    STEP_COUNT,
};

static const char *const names[STEP_COUNT] = {"",          "holding", "end-sent", "taking",
                                              "promoting", "sealed",  "pulling",  "asking",
                                              "asked",     "opening"};

static _Atomic unsigned armed;
static atomic_bool is_due; /* what was sent is to leave the process before: at the next tick */

static bool is_armed(enum step s)
{
    return atomic_load_explicit(&armed, memory_order_relaxed) == (unsigned)s;
}

static void stand_still(void)
{
    LOG_WARN("server", "standing_still", "step=%s", names[atomic_load(&armed)]);
    atomic_store(&armed, STEP_NONE);
    (void)raise(SIGSTOP); /* cannot fail for a signal that exists */
}

enum err steps_arm(struct str name, struct errinfo *ei)
{
    for (unsigned i = 0; i < STEP_COUNT; i++) {
        if (str_eq(name, str_of(names[i]))) {
            atomic_store(&is_due, false);
            atomic_store(&armed, i);
            return OK;
        }
    }
    return err_set(ei, ERR_INVALID, "no such step '" STR_FMT "'", STR_ARG(str_slice(name, 0, 40)));
}

void steps_at_event(const struct region_event *ev)
{
    static const struct {
        enum step step;
        const char *text;
    } roles[] = {{STEP_HOLDING, "to=HOLDING"},
                 {STEP_TAKING, "to=TAKING"},
                 {STEP_PROMOTING, "to=PROMOTING"},
                 {STEP_OPENING, "to=WRITER"}};
    for (size_t i = 0; ev->kind == EVENT_ROLE && i < ARRAY_COUNT(roles); i++) {
        if (is_armed(roles[i].step) && str_find(str_of(ev->text), str_of(roles[i].text)) >= 0) {
            stand_still();
        }
    }
}

static bool has_message(struct str frame, enum msg_type type)
{
    struct arena a;
    struct msg_reader r;
    struct msg m;
    bool found = false;
    arena_init(&a);
    if (msg_frame_open(frame, &r, NULL) == OK) {
        while (!found && msg_next(&r, &a, &m, NULL) == OK) {
            found = m.type == type;
        }
    }
    arena_done(&a);
    return found;
}

void steps_at_send(struct str frame)
{
    if ((is_armed(STEP_END_SENT) && has_message(frame, MSG_TRANSFER_END)) ||
        (is_armed(STEP_PULLING) && has_message(frame, MSG_PULL))) {
        atomic_store(&is_due, true);
    }
}

void steps_at_tick(void)
{
    if (atomic_load_explicit(&is_due, memory_order_relaxed) && atomic_exchange(&is_due, false)) {
        stand_still();
    }
}

bool steps_at_txn(enum region_role role, const struct coord_txn *t)
{
    bool is_record = t->put_count > 0 && str_ends(t->puts[0].key, STR("/record"));
    bool is_theirs = role == ROLE_TAKING || role == ROLE_PROMOTING || role == ROLE_READER;
    if (is_record && is_theirs && is_armed(STEP_ASKING)) {
        stand_still();
    }
    return is_record && is_theirs;
}

void steps_at_answer(void)
{
    if (is_armed(STEP_ASKED)) {
        stand_still();
    }
}

void steps_at_durable(enum region_role role)
{
    if (is_armed(STEP_SEALED) && role == ROLE_PROMOTING) {
        stand_still();
    }
}
