/* Fences of single partitions, inside of src/engine: see engine_batch_fence. */
#pragma once

#include "engine/engine_int.h"

/* Reads them when the engine opens. */
enum err fence_load(struct engine *e, struct errinfo *ei) MUST_CHECK;
/* May the batch be applied after those that made `f` what it is? Notes its own fences there. */
bool fence_pass(struct engine_fences *f, const struct engine_batch *b);
/* Drops what the region's own generation covers; true when `f` differs from what is stored. */
bool fence_settle(const struct engine *e, struct engine_fences *f, generation g);
void fence_put(const struct engine_fences *f, struct kv_batch *own);
void fence_keep(struct engine *e, const struct engine_fences *f); /* they are durable now */
