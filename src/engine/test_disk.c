/* See test_disk.h. */
#include "engine/test_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/str.h"

static enum err parse_one(struct test_disk *t, struct str item, struct str dir, struct errinfo *ei)
{
    struct str name;
    struct str number;
    uint64_t value = 0;
    bool is_pair = str_split(item, ':', &name, &number);
    if (is_pair && str_eq(name, STR("at")) && number.n > 0) {
        t->is_on = t->is_on && str_find(dir, number) >= 0;
        return OK;
    }
    if (!is_pair || !str_to_u64(number, &value)) {
        return err_set(ei, ERR_CONFIG, "HOLDFAST_TEST_DISK: bad item \"" STR_FMT "\"",
                       STR_ARG(item));
    }
    if (str_eq(name, STR("slow"))) {
        t->slow_ms = value;
    } else if (str_eq(name, STR("fail-sync-after"))) {
        t->fail_sync_after = value;
    } else if (str_eq(name, STR("full-after"))) {
        t->full_after_size = value;
    } else {
        return err_set(ei, ERR_CONFIG, "HOLDFAST_TEST_DISK: unknown fault \"" STR_FMT "\"",
                       STR_ARG(name));
    }
    return OK;
}

enum err test_disk_init(struct test_disk *t, struct str dir, struct errinfo *ei)
{
    t->is_on = false;
    t->slow_ms = 0;
    t->fail_sync_after = UINT64_MAX;
    t->full_after_size = UINT64_MAX;
    atomic_init(&t->syncs, 0);
    atomic_init(&t->bytes_written, 0);
    const char *text = getenv("HOLDFAST_TEST_DISK"); /* NOLINT(concurrency-mt-unsafe): never set */
    if (text == NULL || text[0] == '\0') {
        return OK;
    }
    t->is_on = true;
    struct str rest = str_of(text);
    while (rest.n > 0) {
        struct str item;
        if (!str_split(rest, ',', &item, &rest)) {
            rest = STR_NONE;
        }
        TRY(parse_one(t, item, dir, ei));
    }
    if (t->is_on) {
        LOG_WARN("engine", "test_disk_faults_on", "spec=%s", text);
    }
    return OK;
}

void test_disk_set(struct test_disk *t, uint64_t slow_ms, uint64_t free_size)
{
    uint64_t written = atomic_load(&t->bytes_written);
    atomic_store(&t->slow_ms, slow_ms);
    atomic_store(&t->full_after_size,
                 free_size > UINT64_MAX - written ? UINT64_MAX : written + free_size);
    atomic_store(&t->is_on, true);
    LOG_WARN("engine", "test_disk_set", "slow_ms=%lu free_size=%lu", slow_ms, free_size);
}

enum err test_disk_write(struct test_disk *t, size_t size, struct errinfo *ei)
{
    if (!atomic_load(&t->is_on)) {
        return OK;
    }
    uint64_t total = atomic_fetch_add(&t->bytes_written, size) + size;
    if (total > atomic_load(&t->full_after_size)) {
        return err_set(ei, ERR_DISK_FULL, "disk full after %lu bytes (HOLDFAST_TEST_DISK)",
                       t->full_after_size);
    }
    return OK;
}

uint64_t test_disk_free(const struct test_disk *t, uint64_t really_free)
{
    if (!t->is_on || t->full_after_size == UINT64_MAX) {
        return really_free;
    }
    uint64_t written = atomic_load(&t->bytes_written);
    return written >= t->full_after_size ? 0 : t->full_after_size - written;
}

bool test_disk_sync_fails(struct test_disk *t)
{
    if (!t->is_on) {
        return false;
    }
    uint64_t slow_ms = atomic_load(&t->slow_ms);
    struct timespec left = {
        .tv_sec = (time_t)(slow_ms / 1000),
        .tv_nsec = (long)(slow_ms % 1000) * 1000000,
    };
    while (slow_ms > 0 && clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
    return atomic_fetch_add(&t->syncs, 1) >= t->fail_sync_after;
}
