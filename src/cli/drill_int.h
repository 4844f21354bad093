/* The parts of `holdfast drill`: options, an account of its own, results. For cmd_drill.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/conf.h"
#include "base/err.h"
#include "continuity/drill/drill.h"

enum {
    D_FAULT,
    D_REGION,
    D_LEVEL,
    D_LOAD,
    D_CONNECTIONS,
    D_REPEAT,
    D_MAX_RTO,
    D_MAX_RPO,
    D_WARM,
    D_HOLD,
    D_SETTLE,
    D_FLAP,
    D_DISK_DELAY,
    D_LINK_DELAY,
    D_WRITE_TIMEOUT,
    D_DIR,
    D_ENDPOINT,
    D_KEY,
    D_CA,
    D_START,
    D_REGIONS,
    D_PORT,
    D_ENGINE,
    D_JSON,
    D_HTML,
    D_ROW_COUNT,
};

extern const struct conf_row drill_rows[D_ROW_COUNT];

/* What --fault and --level ask for: every fault at every level. */
struct drill_order {
    enum drill_fault faults[DRILL_FAULT_COUNT];
    size_t fault_count;
    const char *levels[DRILL_LEVELS_MAX]; /* for accounts that the drill starts */
    size_t level_count;
};
enum err drill_order_read(const struct conf *c, struct drill_order *ret,
                          struct errinfo *ei) MUST_CHECK;
/* Notes and says what cannot be done; `why` is cleared. level NULL = the account's own. */
void drill_skip(struct drill_skips *s, enum drill_fault fault, const char *level,
                struct errinfo *why);

/* An account started for the drill, in a folder under /tmp. */
struct drill_own {
    pid_t child;
    char dir[64];
};
/* ERR_UNSUPPORTED: this program cannot do that level. own_stop even after a failure. */
enum err drill_own_start(const struct conf *c, const char *level, struct drill_own *own,
                         struct errinfo *ei) MUST_CHECK;
void drill_own_stop(struct drill_own *own, bool keep);

/* Nothing lost, and the objectives that were given are met. */
bool drill_meets(const struct conf *c, const struct drill_result *r);
void drill_print_json(const struct conf *c, const struct drill_result *res, size_t n,
                      const struct drill_skips *skips, bool is_met);
void drill_print_table(const struct drill_result *res, size_t n, const struct drill_skips *skips,
                       bool is_met);
