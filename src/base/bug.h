/* Planted faults: they prove that the checkers of the tests can fail. Compiled in only for the program
 * sim_planted (HF_PLANT), and there off until it sets bug_planted. */
#pragma once

enum bug {
    BUG_NONE,
    BUG_LEASE_ON_ENTRY_ONLY,  /* no second lease check before an acknowledgement */
    BUG_NO_GENERATION_GUARD,  /* neither messages nor storage check the generation */
    BUG_TRIM_BEFORE_SENT,     /* a diverged suffix is cut before it is in the conflict feed */
    BUG_ACK_BEFORE_PEER_SYNC, /* a reader acknowledges what it received, not what is durable */
    BUG_LSN_REUSED,           /* a new epoch goes on at tail + 1 instead of a fresh block */
    BUG_Q_SHRINK_NO_WAIT, /* acknowledges without an evicted region before its read lease ended */
    BUG_BRANCH_FROM_CACHED_LAG, /* branch point from remembered progress instead of the logs */
    BUG_FEED_KEY_BY_ITEM,       /* conflict records of one item overwrite each other */
    BUG_503_ON_UNKNOWN,         /* an unknown outcome is answered as "not applied" */
    BUG_SESSION_WAIT_SKIPPED,   /* reads do not wait for the session token's lsn */
    BUG_TRANSFER_BOTH,          /* the old writer goes on ordering during a graceful change */
    BUG_WALL_CLOCK_LEASE,       /* leases are measured on the wall clock */
    BUG_LAG_BY_LSN,             /* lag of bounded staleness is a difference of lsns, not a count */
    BUG_LEVEL_NO_CATCH_UP, /* the level becomes Strong before every region has what was acknowledged */
    BUG_LEASE_IGNORES_LAG,   /* Bounded read leases are given to regions that are too far behind */
    BUG_LEVEL_KEEPS_LEASES,  /* the level becomes weaker while a region may serve strong reads */
    BUG_READD_KEEPS_VERSION, /* the token version is not raised when a region is added back */
    BUG_COPY_OVER_SUFFIX,    /* a full copy replaces a suffix that was not sent */
    BUG_PART_NO_GENERATION,  /* messages of a partition with a row are taken whatever their reign */
    BUG_PART_NO_LEASE_WAIT, /* the new writer of one partition does not wait for the old one's lease */
    BUG_PART_BRANCH_CACHED, /* branch point of one partition from remembered progress */
    BUG_PROMISE_FORGOTTEN,  /* a region takes over from a writer that it has vouched for */
    BUG_DROP_FENCED,        /* the fence of a moved partition holds for the batch that drops it */
    BUG_DROP_UNFINISHED,    /* a start does not finish what it finds marked as dropped */
    BUG_PART_ROW_STAYS,     /* the row of a removed partition is not taken out */
    BUG_ADMIT_UNFOLLOWED, /* a region is admitted that a partition's writer does not know to follow it */
    BUG_FOLLOWER_DROPPED, /* a partition's writer trims what a region lacks that it said follows it */
    BUG_ROLLBACK_UNCOMPARED, /* a graceful change is rolled back whether or not it was taken over */
    BUG_FEED_PARTED_LATE, /* a change feed goes on above what a lost epoch lacked of the one before it */
    BUG_COUNT,
};

#ifdef HF_PLANT
extern int bug_planted;
#define BUG(n) (bug_planted == (n))
#else
#define BUG(n) 0
#endif
