/* What a client of the coordinator tells of a read and of a watch. */
#pragma once

#include "base/contract.h"
#include "coord/coord_client.h"

struct heard {
    bool is_read;
    enum err read_err;
    size_t read_count; /* keys */
    unsigned changed_count, synced_count, lost_count;
};

/* For coord_client_read; `ctx` is the struct heard. */
static inline void heard_read(void *ctx, enum err err, const struct coord_kv *kvs, size_t n)
{
    UNUSED(kvs);
    struct heard *h = (struct heard *)ctx;
    h->is_read = true;
    h->read_err = err;
    h->read_count = n;
}

static inline void heard_changed(void *ctx, const struct coord_kv *kv)
{
    UNUSED(kv);
    ((struct heard *)ctx)->changed_count++;
}

static inline void heard_synced(void *ctx)
{
    ((struct heard *)ctx)->synced_count++;
}

static inline void heard_lost(void *ctx)
{
    ((struct heard *)ctx)->lost_count++;
}

static inline struct coord_events heard_events(struct heard *h)
{
    return (struct coord_events){
        .changed = heard_changed, .synced = heard_synced, .lost = heard_lost, .ctx = h};
}
