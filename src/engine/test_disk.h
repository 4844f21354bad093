/* Faults of the disk on demand, for fault tests and drills. Off unless the environment says
 *
 *   HOLDFAST_TEST_DISK=slow:MS | fail-sync-after:N | full-after:BYTES | at:TEXT  (several with commas)
 *
 * slow: every sync takes MS longer. fail-sync-after: N syncs succeed, then each fails after its
 * data was written, so that the outcome really is unknown. full-after: a write that would take the
 * total over BYTES fails with ERR_DISK_FULL, and what is left of them is the free space. at: only
 * stores with TEXT in the name of their directory. Read once per engine_open; a warning is logged.
 *
 * A running drill sets slow and full by test_disk_set, through engine_disturb. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct test_disk {
    atomic_bool is_on;
    _Atomic uint64_t slow_ms;
    uint64_t fail_sync_after;         /* UINT64_MAX = never */
    _Atomic uint64_t full_after_size; /* UINT64_MAX = never */
    _Atomic uint64_t syncs, bytes_written;
};

/* ERR_CONFIG for text that does not parse. */
enum err test_disk_init(struct test_disk *t, struct str dir, struct errinfo *ei) MUST_CHECK;
/* Any thread, while others use it. Each sync takes slow_ms longer, and free_size bytes are left;
 * 0 and UINT64_MAX: as the disk really is. */
void test_disk_set(struct test_disk *t, uint64_t slow_ms, uint64_t free_size);
/* Called before a write of `size` bytes: ERR_DISK_FULL or OK. */
enum err test_disk_write(struct test_disk *t, size_t size, struct errinfo *ei) MUST_CHECK;
/* Called before a sync: takes its time; true when the sync must fail. */
bool test_disk_sync_fails(struct test_disk *t);
/* Free space as such a disk has it. */
uint64_t test_disk_free(const struct test_disk *t, uint64_t really_free);
