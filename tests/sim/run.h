/* One run: configuration from a seed, two phases, all checks. */
#pragma once

#include "sim/cover.h"
#include "sim/world.h"

struct run_result {
    bool has_failed;
    char check[64];
    char failure[2048];
    uint64_t trace_hash;
    uint64_t events, virtual_us;
    size_t ops, acknowledged, reads, unknown, lost, linear_violations, session_violations;
    size_t bounded_violations;
    uint64_t cover[COVER_ROWS_MAX]; /* how often each row fired */
};

struct run_options {
    uint64_t seed;
    int level;            /* enum consistency, -1 = drawn */
    uint32_t fault_mask;  /* of the drawn faults only these; UINT32_MAX = all */
    const char *scenario; /* NULL = random faults */
    unsigned variant;
    bool is_verbose;
    size_t print_last; /* trace lines printed when it fails */
    bool wants_teeth;  /* also judge by the next stronger level, and count */
};

void run_configure(const struct run_options *o, struct sim_cfg *c);
void run_one(const struct run_options *o, struct run_result *ret);
/* For a signal handler's report: what was running when the program aborted. */
void run_report_abort(void);
/* One line for people: what the seed means. */
void run_describe(const struct sim_cfg *c, char ret[512]);
