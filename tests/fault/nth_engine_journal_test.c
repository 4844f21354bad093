/* The write-ahead log of the rocksdb driver: whatever call fails, it says so, and every group that it
 * had reported as durable is replayed at the next start. */
#include "nth.h"

#include "engine/rocksdb/journal.c"

enum { GROUPS = 12, GROUP_SIZE = 100000 /* two in a segment of the smallest size */ };

/* As a driver does: what was replayed is kept elsewhere before anything new is written. */
static enum err count_group(void *ctx, struct str batch, struct errinfo *ei)
{
    UNUSED(ei);
    *(uint64_t *)ctx = (uint64_t)(unsigned char)batch.p[8];
    return OK;
}

static enum err put(struct journal *j, unsigned i, const char *bytes, struct errinfo *ei)
{
    struct str span = str_make(bytes, GROUP_SIZE);
    struct str batch;
    uint64_t segment = rocks_journal_segment(j);
    TRY(rocks_journal_write(j, &span, 1, i, &batch, ei));
    __atomic_store_n(&nth->notes[0], (char)i, __ATOMIC_SEQ_CST); /* survives this process */
    if (rocks_journal_segment(j) != segment) {
        rocks_journal_settle(j, segment); /* late: one full segment is needed at any time */
        __atomic_store_n(&nth->notes[1], (char)segment, __ATOMIC_SEQ_CST);
    }
    return OK;
}

static int work(const char *dir)
{
    static char bytes[GROUP_SIZE];
    struct errinfo ei = {0};
    struct journal *j = NULL;
    struct journal_report report;
    if (files_mkdirs(dir, NULL) != OK) {
        return 1; /* not what is tested: it is the caller's, and no call of it is replaced */
    }
    enum err err = rocks_journal_open(dir, 0, &j, &report, &ei);
    if (err == OK) {
        err = rocks_journal_begin(j, &ei);
    }
    for (unsigned i = 1; i <= GROUPS && err == OK; i++) {
        err = put(j, i, bytes, &ei);
    }
    rocks_journal_close(j);
    bool is_told = ei.code == err && ei.message[0] != '\0';
    return err == OK ? NTH_DONE : is_told ? NTH_FAILED : 1;
}

static void look(const char *dir, int outcome)
{
    struct errinfo ei = {0};
    struct journal_report report;
    uint64_t durable = (uint64_t)nth->notes[0];
    t_check(outcome != NTH_DONE || durable == GROUPS);
    for (int i = 0; i < 2; i++) { /* and again */
        struct journal *j = NULL;
        uint64_t last = 0;
        t_ok_info(rocks_journal_open(dir, 0, &j, &report, &ei), &ei);
        t_ok_info(rocks_journal_replay(j, count_group, &last, &ei), &ei);
        rocks_journal_close(j);
        t_checkf(last == durable || last == durable + 1, "%lu of %lu groups", last, durable);
        /* From a segment that was not settled on: two full ones and the current one at most. */
        t_check(last == 0 || report.groups >= (last < 3 ? last : 3));
    }
}

T_TEST("every group that was reported as durable is replayed, whatever call failed")
{
    nth_each("engine-journal", work, look);
}

T_MAIN()
