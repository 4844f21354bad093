/* Scripted scenarios: named stories that must end well, each in several variants (the step at
 * which the blow falls). They run with clients, checkers and the liveness phase of random runs. */
#pragma once

#include "sim/world.h"

struct scenario {
    const char *name;
    const char *holds; /* the title of its test */
    unsigned variants; /* of the short form */
    size_t region_count;
    bool expects_loss; /* below Strong something must be found in the conflict feed */
    void (*run)(struct world *w, unsigned variant);
};

/* Variants of "schedules" that are sequences of at most so many steps (scenario_schedule.c). */
enum { SCHEDULE_DEPTH_MAX = 5, SCHEDULE_DEPTH_SHORT = 2 };
unsigned schedule_count(unsigned depth);

size_t scenario_count(void);
const struct scenario *scenario_get(size_t i);
const struct scenario *scenario_find(const char *name); /* NULL = none */
void scenario_configure(struct sim_cfg *c);
void scenario_run(struct world *w); /* advances the world by itself */
