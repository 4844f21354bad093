/* Peer messages: every type reads back as it was written; what does not fit is refused whole. */
#include "repl/msg.h"

#include "base/contract.h"
#include "lib/t.h"
#include "repl/entry.h"

static struct arena arena;

static struct epoch_row rows[2] = {{1, 1, 0, 0}, {3, 2000001, 1, 55}};
static struct msg_tail tails[2] = {{0, {3, 2000001, 56, 9}}, {7, {0, 0, 0, 0}}};
static struct msg_key keys[2] = {{SPACE_ITEM, {"a\0b", 3}}, {SPACE_CONFLICT, {"c", 1}}};
static struct str unique[1] = {{"/u\0x", 4}};
static struct msg_doc docs[2];
static struct str entries[1];
static uint64_t sums[2] = {1, UINT64_MAX};

/* One message of each type, all fields of it set. */
static struct msg make(enum msg_type t)
{
    struct entry e = {.kind = ENTRY_EPOCH, .epoch = 1, .lsn = 1, .ord = 1};
    struct buf b;
    buf_init(&b, 4096);
    entry_encode(&e, 0, &b);
    entries[0] = arena_str(&arena, buf_str(&b));
    buf_done(&b);
    docs[0] = (struct msg_doc){
        .key = keys[0],
        .is_present = true,
        .doc = {.version =
                    {.lsn = 4, .op_idx = 2, .expire_at = 9, .unique_count = 1, .uniques = unique},
                .epoch = 1,
                .rid = 5,
                .ts = 6,
                .hlc = 7,
                .origin = 2,
                .text = STR("{}")}};
    docs[1] = (struct msg_doc){.key = keys[1]};
    struct msg m = {.type = t, .generation = 12};
    switch (t) {
    case MSG_HELLO:
        m.incarnation = UINT64_MAX;
        m.epoch = 3;
        break;
    case MSG_TAIL:
        m.pid = 7;
        m.place = (struct place){3, 2000009, 64, 99};
        m.durable = (struct place){3, 2000008, 63, 98};
        m.is_nack = true;
        m.row_count = 2;
        m.rows = rows;
        break;
    case MSG_SEED_AT:
        m.pid = 7;
        m.place = (struct place){3, 2000009, 64, 99};
        m.durable = (struct place){1, 55, 55, 5};
        m.row_count = 2;
        m.rows = rows;
        break;
    case MSG_SEED_ASK:
    case MSG_SEED_DONE:
        m.pid = 7;
        break;
    case MSG_SEED_GOT:
        m.pid = 7;
        m.t = 3;
        m.sent = 4096;
        break;
    case MSG_SEED_GET:
    case MSG_SEED_FEED:
        m.is_first = t == MSG_SEED_FEED;
        m.pid = 7;
        m.t = 3;
        m.space = SPACE_CONFLICT;
        m.from = STR("a");
        m.to = STR("b");
        m.sum_count = 2;
        m.sums = sums;
        break;
    case MSG_SEED_DOCS:
    case MSG_SEED_PIECE:
        m.from = t == MSG_SEED_PIECE ? STR("a") : STR_NONE;
        m.sent = t == MSG_SEED_PIECE ? 4096 : 0;
        m.pid = 7;
        m.place = (struct place){3, 2000009, 64, 99};
        m.t = 3;
        m.to = STR("b");
        m.kept = STR("\3");
        m.doc_count = 2;
        m.docs = docs;
        break;
    case MSG_BRANCH:
        m.pid = 7;
        m.place = (struct place){1, 55, 55, 0};
        m.durable = (struct place){1, 60, 60, 3};
        m.is_unknown = true;
        break;
    case MSG_APPEND:
    case MSG_LOST:
    case MSG_LOST_LATEST:
    case MSG_PULLED:
        m.pid = 7;
        m.kept = t == MSG_LOST_LATEST ? STR("\5") : STR_NONE;
        m.commit_lsn = t == MSG_PULLED ? 0 : 50;
        m.all_lsn = t == MSG_APPEND ? 40 : 0;
        m.is_end = t == MSG_PULLED;
        m.entry_count = 1;
        m.entries = entries;
        break;
    case MSG_LOST_KEPT:
        m.pid = 7;
        m.place = (struct place){3, 2000009, 64, 99};
        m.recorded = 12;
        m.archived = 3;
        break;
    case MSG_ACK:
    case MSG_LOST_ACK:
    case MSG_PULL:
        m.pid = 7;
        m.place = (struct place){3, 2000009, 64, 99};
        break;
    case MSG_COMMIT:
        m.pid = 7;
        m.commit_lsn = 50;
        m.all_lsn = 40;
        break;
    case MSG_VOUCH:
        m.t = 123456789;
        m.record_rev = 77;
        m.lease_ms = 1200;
        break;
    case MSG_VOUCHED:
    case MSG_PING:
    case MSG_PONG:
        m.t = 123456789;
        m.is_granted = t == MSG_PONG;
        break;
    case MSG_FETCH:
        m.pid = 7;
        m.key_count = 2;
        m.keys = keys;
        break;
    case MSG_DOCS:
        m.pid = 7;
        m.place = (struct place){3, 2000009, 64, 99};
        m.doc_count = 2;
        m.docs = docs;
        break;
    case MSG_TRANSFER_END:
        m.tail_count = 2;
        m.tails = tails;
        break;
    case MSG_PROBE:
        m.pid = 7;
        break;
    case MSG_TYPE_COUNT:
        break;
    }
    return m;
}

static struct str frame_of(const struct msg *list, size_t n)
{
    struct buf b;
    buf_init(&b, MSG_FRAME_SIZE_MAX);
    msg_frame_begin(&b, 1, 2);
    for (size_t i = 0; i < n; i++) {
        size_t before = b.n;
        msg_encode(&b, &list[i]);
        t_check(b.n - before <= msg_size_max(&list[i]));
    }
    struct str s = arena_str(&arena, buf_str(&b));
    buf_done(&b);
    return s;
}

T_TEST("each type of message reads back as it was written")
{
    struct msg all[MSG_TYPE_COUNT];
    size_t n = 0;
    for (int t = MSG_HELLO; t < MSG_TYPE_COUNT; t++) {
        all[n++] = make((enum msg_type)t);
    }
    struct str frame = frame_of(all, n);
    size_t first = MSG_SEED_AT - MSG_HELLO; /* types that came later: skipped by older programs */
    t_golden("peer-frame-v1.bin", frame_of(all, first));
    size_t feed = MSG_SEED_FEED - MSG_HELLO;
    t_golden("peer-frame-v1-seed.bin", frame_of(all + first, feed - first));
    size_t vouch = MSG_VOUCH - MSG_HELLO;
    t_golden("peer-frame-v1-feed.bin", frame_of(all + feed, vouch - feed));
    size_t lost = MSG_LOST_LATEST - MSG_HELLO;
    t_golden("peer-frame-v1-vouch.bin", frame_of(all + vouch, lost - vouch));
    t_golden("peer-frame-v1-lost.bin", frame_of(all + lost, n - lost));
    struct msg_reader r;
    t_ok(msg_frame_open(frame, &r, NULL));
    t_eq_u64(r.from, 1);
    t_eq_u64(r.to, 2);
    for (size_t i = 0; i < n; i++) {
        struct msg back;
        struct errinfo ei = {0};
        t_ok_info(msg_next(&r, &arena, &back, &ei), &ei);
        t_eq_int(back.type, all[i].type);
        /* Encoding what was read gives the same bytes: nothing got lost. */
        t_eq_str(frame_of(&back, 1), frame_of(&all[i], 1));
    }
    struct msg end;
    t_err(msg_next(&r, &arena, &end, NULL), ERR_NOT_FOUND);
}

T_TEST("a frame cut anywhere is refused or ends early, never misread")
{
    for (int t = MSG_HELLO; t < MSG_TYPE_COUNT; t++) {
        struct msg one = make((enum msg_type)t);
        struct str frame = frame_of(&one, 1);
        for (size_t n = 0; n < frame.n; n++) {
            struct msg_reader r;
            if (msg_frame_open(str_make(frame.p, n), &r, NULL) != OK) {
                continue;
            }
            struct msg back;
            enum err e = msg_next(&r, &arena, &back, NULL);
            t_checkf(e == ERR_CORRUPT || (e == ERR_NOT_FOUND && n == MSG_FRAME_HEADER_SIZE),
                     "%s cut at %zu: %s", msg_type_name((enum msg_type)t), n, err_name(e));
        }
    }
}

T_TEST("a message of a newer program is skipped, a newer frame refused")
{
    struct msg two[2] = {make(MSG_PING), make(MSG_PROBE)};
    struct str frame = frame_of(two, 2);
    char *copy = arena_cstr(&arena, frame);
    copy[MSG_FRAME_HEADER_SIZE] = 120; /* type of the first */
    struct msg_reader r;
    struct msg back;
    t_ok(msg_frame_open(str_make(copy, frame.n), &r, NULL));
    t_ok(msg_next(&r, &arena, &back, NULL));
    t_eq_int(back.type, MSG_PROBE);
    copy[4] = MSG_VERSION + 1;
    t_err(msg_frame_open(str_make(copy, frame.n), &r, NULL), ERR_FORMAT_NEWER);
}

T_TEST("impossible places and counts are refused")
{
    struct msg m = make(MSG_ACK);
    m.place.epoch = 0; /* an lsn without an epoch */
    struct str frame = frame_of(&m, 1);
    struct msg_reader r;
    struct msg back;
    t_ok(msg_frame_open(frame, &r, NULL));
    t_err(msg_next(&r, &arena, &back, NULL), ERR_CORRUPT);

    m = make(MSG_TAIL);
    m.durable = (struct place){3, 2000010, 65, 1}; /* above the tail */
    t_ok(msg_frame_open(frame_of(&m, 1), &r, NULL));
    t_err(msg_next(&r, &arena, &back, NULL), ERR_CORRUPT);

    m = make(MSG_TRANSFER_END);
    frame = frame_of(&m, 1);
    char *copy = arena_cstr(&arena, frame);
    copy[MSG_FRAME_HEADER_SIZE + 16 + 2] = 1; /* count + 65536: more than the bytes could hold */
    t_ok(msg_frame_open(str_make(copy, frame.n), &r, NULL));
    t_err(msg_next(&r, &arena, &back, NULL), ERR_CORRUPT);
}

T_MAIN()
