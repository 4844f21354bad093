/* Shared by the reader and the writer of estate files: keys as data. */
#pragma once

#include <stddef.h>

#include "continuity/posture/estate.h"

enum { ESTATE_VERSION = 1 };

/* One key of `policy`. Days are whole numbers, all else durations. */
struct estate_policy_row {
    const char *name;
    size_t offset; /* of an int64_t in struct estate_policy */
    bool is_days;
    const char *doc;
};
extern const struct estate_policy_row estate_policy_rows[];
extern const size_t estate_policy_row_count;

static inline int64_t *estate_policy_at(struct estate_policy *p, size_t row)
{
    return (int64_t *)(void *)((char *)p + estate_policy_rows[row].offset);
}
