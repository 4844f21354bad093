/* Results of several faults and levels: what can be compared, and how they spread. See drill.h. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "continuity/drill/drill.h"

int64_t drill_time_of(const struct drill_result *r, enum drill_time which)
{
    switch (which) {
    case DRILL_RTO:
        return r->rto_ms;
    case DRILL_CLIENT_RTO:
        return r->client_rto_ms;
    case DRILL_READ_RTO:
        return r->read_rto_ms;
    case DRILL_REJOIN:
    case DRILL_TIME_COUNT:
        break;
    }
    return r->rejoin_ms;
}

bool drill_is_in(const struct drill_result *r, const struct drill_group *g)
{
    return !g || (r->fault == g->fault && strcmp(r->level, g->level) == 0);
}

size_t drill_groups(const struct drill_result *res, size_t n,
                    struct drill_group ret[DRILL_GROUPS_MAX])
{
    size_t count = 0;
    for (size_t k = 0; k < n; k++) {
        bool is_known = false;
        for (size_t i = 0; i < count && !is_known; i++) {
            is_known = drill_is_in(&res[k], &ret[i]);
        }
        if (!is_known && count < DRILL_GROUPS_MAX) {
            ret[count++] = (struct drill_group){res[k].fault, res[k].level};
        }
    }
    return count;
}

static int compare_i64(const void *a, const void *b)
{
    const int64_t *x = a;
    const int64_t *y = b;
    return *x < *y ? -1 : *x > *y;
}

int64_t drill_percentile(const struct drill_result *res, size_t n, const struct drill_group *g,
                         enum drill_time which, unsigned p)
{
    int64_t *sorted = MEM_NEW_ARRAY(int64_t, n + 1);
    size_t count = 0;
    for (size_t k = 0; k < n; k++) {
        int64_t ms = drill_time_of(&res[k], which);
        if (ms >= 0 && drill_is_in(&res[k], g)) {
            sorted[count++] = ms;
        }
    }
    int64_t ret = -1;
    if (count > 0) {
        qsort(sorted, count, sizeof(sorted[0]), compare_i64);
        size_t at = (count * p + 99) / 100;
        ret = sorted[at > 0 ? at - 1 : 0];
    }
    mem_free(sorted);
    return ret;
}
