/* What the regions' heartbeats say, for whoever plans a change of the account record.
 *
 * The coordinator keeps the last heartbeat of a region that is away, until it restarts itself: what is
 * said here may be old. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "account/record.h"
#include "base/err.h"
#include "base/str.h"
#include "coord/coord.h"
#include "repl/repl.h"
#include "json/json.h"

enum { BEAT_SIZE_MAX = 4096 };
#define BEAT_LAGS_SIZE(n) (16 + (n)*68) /* at most, of so many rows */
/* Where the regions lack most of what the sender writes (repl_lags). */
struct beat_lags {
    size_t count;
    struct repl_part_lag of[REPL_LAGS_MAX];
};

struct account_beat {
    bool is_said;      /* there is a heartbeat */
    unsigned reads;    /* newest record format; 0 = it has not said anything */
    bool could_open;   /* what the region has is all that there was at some time */
    uint64_t ord;      /* entries in its logs, and that were */
    unsigned lease_ms; /* of the region's timers; 0 = it does not say */
    int64_t wall_ms;   /* when, by its own clock; 0 = it does not say */
    pid top; /* highest number of a partition that is there, or was; UINT64_MAX: it does not say */
    struct beat_lags lags;
};

/* A region that the writer knows to be too far behind for a graceful change. */
struct account_lag {
    region_id by; /* who says so; 0 = nobody */
    generation generation;
    unsigned ms; /* age of the oldest entry that it lacks */
    uint64_t ops;
};

struct account_beats {
    struct account_beat of[REGION_ID_MAX + 1]; /* by region id */
    struct account_lag behind[REGION_ID_MAX + 1];
};

/* From the keys of an account as the coordinator has them; others are passed over. */
void beats_read(struct account_beats *b, struct str account, const struct coord_kv *kvs, size_t n);
/* The region is away: its heartbeat is older than some leases, and clocks may differ a bit. */
bool beat_is_old(const struct account_beat *b, int64_t wall_ms);
/* May `to` be put in the place of `from`? Not if it hands the write region over to one that is far behind by the
 * writer's heartbeat (geo-semantics 7.1 step 1): ERR_PRECONDITION says how far. `b` NULL: nothing is known. */
enum err beats_check_transfer(const struct account_beats *b, const struct account_record *from,
                              const struct account_record *to, int64_t wall_ms,
                              struct errinfo *ei) MUST_CHECK;
/* A partition with a higher number than this has not come to be, as far as the regions say; UINT64_MAX: not all
 * of those that say anything say this, or nobody does. */
pid beats_top(const struct account_beats *b);
/* The newest record format that the process reads whose heartbeat this is. */
unsigned beat_reads(const struct json *beat);
/* Those of one region alone, or of all (0). */
void beat_get_lags(struct beat_lags *ret, const struct json *beat, region_id only);
/* What a writer said of it last. One that was put aside goes on beating, under the generation that did it, and says
 * nothing any more. */
struct beat_said {
    generation generation; /* of the record that it knew then */
    struct beat_lags lags; /* of one region alone, or of all (`only`, as above) */
};
void beat_note_lags(struct beat_said *said, const struct json *beat, region_id only);
void beat_put_lags(struct json_out *o, const struct beat_lags *lags);
/* The member "lostInPartitions" of what people ask for. */
void beat_put_losses(struct json_out *o, const struct beat_lags *lost);
/* " lost_in_partitions="7:120 9:3"", for events: the first ones when there are many; "" when there is none. */
enum { BEAT_LOSS_TEXT_SIZE = 160 };
const char *beat_loss_text(const struct beat_lags *lost, char out[BEAT_LOSS_TEXT_SIZE]);
/* See account_beat.could_open. */
bool beat_could_open(const struct json *beat);
