/* One repeat of a drill, for the files of this folder: what it asks (ask.c), what it does while the
 * load runs (during.c), what it counts afterwards (count.c); drill.c puts them together. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/contract.h"
#include "base/err.h"
#include "base/types.h"
#include "continuity/drill/drill.h"
#include "continuity/drill/fault.h"
#include "continuity/drill/ledger.h"
#include "continuity/drill/load.h"
#include "continuity/drill/look.h"
#include "continuity/drill/timeline.h"
#include "net/http_client.h"
#include "net/loop.h"

enum {
    REPEAT_STEP_MS = 2,
    REPEAT_LOOK_MS = 25, /* between two looks at the account while the load runs */
};

enum drill_phase { PHASE_WARM, PHASE_BROKEN, PHASE_RETURNING, PHASE_AFTER, PHASE_DRAIN };

struct repeat {
    const struct drill_opts *opts;
    struct drill_result *res;
    struct fault fault;
    struct look look;
    char container[256];
    char run[64];
    struct ledger *ledger;
    struct load *load;
    struct loop *loop;
    struct loop_timer *step, *look_timer;
    struct http_client *client;
    struct client_signer *signer;
    enum drill_phase phase;
    usec started_us, fault_us, healed_us, back_us, drain_us, ended_us;
    bool is_looking, is_asking_status;
    bool is_second_done; /* double */
    bool is_flapped_down;
    usec next_flap_us;
    usec replaced_us; /* coordinator-kill: its next process was seen; 0 = not yet */
    usec second_us;
    usec next_status_us;
    uint64_t epoch_before;     /* the fault */
    struct timeline *timeline; /* NULL = not wanted */
    struct errinfo failure;
};

/* ---- ask.c: blocking requests, only while no load runs ---- */
void repeat_say(const struct drill_opts *o, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* An answer of any status is OK. */
enum err repeat_request(const struct drill_opts *o, struct arena *a, const char *method,
                        const char *path, const struct http_header *headers, size_t n,
                        struct str body, struct str *ret_headers, const struct json **ret_doc,
                        int *ret_status, struct errinfo *ei) MUST_CHECK;
/* Until every region is online; ERR_PRECONDITION after opts->settle_ms. */
enum err repeat_wait_healthy(const struct drill_opts *o, struct look *ret,
                             struct errinfo *ei) MUST_CHECK;
/* Healthy, and every region says that nothing is under way that a change of writer began: only now is
 * what is not in the data and not in the conflict feed lost. */
enum err repeat_wait_settled(const struct drill_opts *o, struct look *ret,
                             struct errinfo *ei) MUST_CHECK;
/* A failover without a confirmed stop makes the next such one wait. Each repeat is to be a fault of its
 * own, not the second half of the one before: it begins when nothing waits any more. */
enum err repeat_wait_unheld(const struct drill_opts *o, const struct look *look,
                            struct errinfo *ei) MUST_CHECK;
/* Fine as well when it is there already. */
enum err repeat_create(const struct drill_opts *o, const char *path, struct str body,
                       struct errinfo *ei) MUST_CHECK;
void repeat_drop_container(struct repeat *r);
/* ERR_CLOSED: somebody wants the drill to end. */
enum err repeat_check(const struct drill_opts *o, struct errinfo *ei) MUST_CHECK;

/* ---- during.c: on the loop, while the load runs ---- */
void repeat_step(void *ctx); /* struct repeat; each REPEAT_STEP_MS */
void repeat_look(void *ctx); /* struct repeat; each REPEAT_LOOK_MS */

/* ---- count.c: afterwards ---- */
/* What became of every write, into r->res. */
enum err repeat_count(struct repeat *r, struct errinfo *ei) MUST_CHECK;
/* The regions' own events, and the order of all; nothing without a timeline. */
void repeat_finish_timeline(struct repeat *r);
