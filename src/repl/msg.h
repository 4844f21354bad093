/* Messages between the regions of an account: doc/format/peer.md.
 *
 * A frame (one per flush and peer) is a header and any number of messages. Peers are authenticated
 * by the link below, yet every byte is checked: a frame that does not decode is dropped whole and
 * counts as a gap, which the sender repairs by probing again. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/types.h"
#include "engine/engine.h"
#include "repl/place.h"

enum {
    MSG_VERSION = 1,
    MSG_FRAME_SIZE_MAX = (16 << 20) - (64 << 10), /* below the link's own limit */
    MSG_FRAME_HEADER_SIZE = 16,
    MSG_EPOCHS_MAX = 64,
    MSG_ENTRIES_MAX = 4096,
    MSG_KEYS_MAX = 256,
    MSG_TAILS_MAX = 65536,
    MSG_SUMS_MAX = 1024,
    MSG_SEED_DOCS_MAX = 8192,
};

enum msg_type {
    MSG_HELLO = 1, /* incarnation, generation, epoch: the first message of a link */
    MSG_PROBE,     /* writer: where does your log of this partition end? */
    MSG_TAIL,     /* place = tail, durable place, epoch table end; is_nack: an append did not fit */
    MSG_BRANCH,   /* writer: place = last entry in common with the tail `durable` (the one it
                       * answers); what is above must go, nothing being above: matched */
    MSG_APPEND,   /* prev place, entries, commit and all-regions lsn */
    MSG_ACK,      /* place = durable at the reader */
    MSG_COMMIT,   /* commit_lsn, all_lsn */
    MSG_PING,     /* t */
    MSG_PONG,     /* t echoed; is_granted: a read lease counted from t */
    MSG_LOST,     /* entries of a diverged suffix; commit_lsn known there */
    MSG_LOST_ACK, /* place: everything of the suffix up to it is in the conflict feed */
    MSG_FETCH,    /* keys whose state is unknown */
    MSG_DOCS,     /* answers, from a snapshot at place.lsn */
    MSG_PULL,     /* candidate: entries after this place of the same history, please */
    MSG_PULLED,   /* entries; is_end: there is no more */
    MSG_TRANSFER_END, /* tails of all partitions: nothing will follow under this generation */
    MSG_SEED_AT,  /* writer: your log ends (`durable`) below what is kept here: copy everything, the
                       * log goes on after `place`; rows: how the history came there */
    MSG_SEED_ASK, /* reader: a copy has to begin anew */
    MSG_SEED_GET, /* sums of what is here in [from, to) of a space; t: number of the question */
    MSG_SEED_DOCS, /* kept: which of those are right; documents: what is missing, as of place; up to
                       * `to`, unless is_end; t of the question */
    MSG_SEED_DONE, /* reader: no copy is under way */
    MSG_SEED_FEED, /* as SEED_GET, answered by as many SEED_PIECE as it takes to reach `to`, in order
                       * of keys, after those of the questions before; is_first: forget those */
    MSG_SEED_PIECE, /* as SEED_DOCS, begins at `from`; sent: bytes of all pieces since is_first */
    MSG_SEED_GOT,   /* reader: pieces up to `sent` bytes are stored; t of the question */
    MSG_VOUCH, /* writer: do you, too, hear nothing from the coordinator? t, record_rev, lease_ms */
    MSG_VOUCHED, /* t echoed: no newer record is known, and nobody is taken over from meanwhile */
    MSG_LOST_LATEST, /* as LOST; kept: which of the operations nothing later in the suffix follows */
    MSG_LOST_KEPT, /* as LOST_ACK: operations before that which are in the feed, and which are not */
    MSG_TYPE_COUNT,
};
const char *msg_type_name(enum msg_type t);

struct msg_key {
    enum engine_space space;
    struct str key;
};

struct msg_doc {
    struct msg_key key;
    bool is_present;
    struct engine_doc doc; /* when present */
};

struct msg_tail {
    pid pid;
    struct place place;
};

/* One struct for all; each type uses the fields named beside it in doc/format/peer.md. */
struct msg {
    enum msg_type type;
    generation generation; /* of the account record the sender acts under */
    pid pid;
    struct place place;
    struct place durable;
    uint64_t t;
    uint64_t incarnation;
    epoch epoch;
    lsn commit_lsn;
    lsn all_lsn;
    bool is_nack;
    bool is_unknown; /* BRANCH: the writer has no such partition */
    bool is_granted;
    bool is_end;
    size_t row_count;
    struct epoch_row *rows; /* TAIL: newest last */
    size_t entry_count;
    struct str *entries;
    size_t key_count;
    struct msg_key *keys;
    size_t doc_count;
    struct msg_doc *docs;
    size_t tail_count;
    struct msg_tail *tails;
    enum engine_space space; /* SEED_GET, SEED_DOCS: their range; from and to may be empty */
    struct str from, to;
    bool is_first;
    uint64_t sent;
    uint64_t record_rev; /* VOUCH: revision of the account record that the sender knows */
    uint32_t lease_ms;   /* VOUCH */
    size_t sum_count;
    uint64_t *sums;
    struct str kept; /* bit per sum of the question; LOST_LATEST: per operation of the entries */
    uint64_t recorded, archived; /* LOST_KEPT: operations */
};

void msg_frame_begin(struct buf *out, region_id from, region_id to);
void msg_encode(struct buf *out, const struct msg *m);
/* Upper bound of what msg_encode adds. */
size_t msg_size_max(const struct msg *m);

struct msg_reader {
    struct rd rd;
    region_id from, to;
};
/* ERR_CORRUPT, ERR_FORMAT_NEWER. */
enum err msg_frame_open(struct str frame, struct msg_reader *ret, struct errinfo *ei) MUST_CHECK;
/* The next message; ERR_NOT_FOUND at the end. Everything in it points into the frame or `a`. A
 * type that a newer program added is skipped. */
enum err msg_next(struct msg_reader *r, struct arena *a, struct msg *ret,
                  struct errinfo *ei) MUST_CHECK;
