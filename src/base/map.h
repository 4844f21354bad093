/* Hash map from byte strings to pointers. Keys are copied; values are the caller's.
 * Iteration is in insertion order (deletions keep the order of the rest), so that nothing
 * depends on addresses or hash values. Not thread-safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct map_entry;
struct map {
    struct map_entry **slots; /* owned, power of two */
    size_t slot_count;
    size_t count;
    struct map_entry *first; /* insertion order */
    struct map_entry *last;
};

void map_init(struct map *m);
void map_done(struct map *m); /* frees keys, not values */
void map_clear(struct map *m);
void *map_get(const struct map *m, struct str key);        /* NULL = absent */
void *map_put(struct map *m, struct str key, void *value); /* returns the old value or NULL */
void *map_remove(struct map *m, struct str key);           /* returns the value or NULL */

/* for (struct map_entry *e = map_first(m); e; e = map_next(e)). Removing the current entry is
 * allowed after taking its successor. */
struct map_entry *map_first(const struct map *m);
struct map_entry *map_next(const struct map_entry *e);
struct str map_key(const struct map_entry *e);
void *map_value(const struct map_entry *e);
