/* Peer messages as bytes.
 *
 *   frame:    magic "HFPM", version (2), reserved (2), from (4), to (4); then messages
 *   message:  type (1), reserved (3), payload size (4), generation (8), payload
 *
 * The encoder and the decoder below name the fields of each type once, in the same order. */
#include "repl/msg.h"

#include <string.h>

#include "base/contract.h"
#include "repl/entry.h"

enum {
    FRAME_MAGIC = 0x4d504648, /* "HFPM" */
    MESSAGE_HEADER_SIZE = 16,
    DOC_FIXED_MAX = 128,
    LATEST_SIZE_MAX = MSG_ENTRIES_MAX * ENTRY_OPS_MAX / 8,
};

static const char *const type_names[MSG_TYPE_COUNT] = {
    [0] = "?",
    [MSG_HELLO] = "HELLO",
    [MSG_PROBE] = "PROBE",
    [MSG_TAIL] = "TAIL",
    [MSG_BRANCH] = "BRANCH",
    [MSG_APPEND] = "APPEND",
    [MSG_ACK] = "ACK",
    [MSG_COMMIT] = "COMMIT",
    [MSG_PING] = "PING",
    [MSG_PONG] = "PONG",
    [MSG_VOUCH] = "VOUCH",
    [MSG_VOUCHED] = "VOUCHED",
    [MSG_LOST] = "LOST",
    [MSG_LOST_ACK] = "LOST_ACK",
    [MSG_FETCH] = "FETCH",
    [MSG_DOCS] = "DOCS",
    [MSG_PULL] = "PULL",
    [MSG_PULLED] = "PULLED",
    [MSG_TRANSFER_END] = "TRANSFER_END",
    [MSG_SEED_AT] = "SEED_AT",
    [MSG_SEED_ASK] = "SEED_ASK",
    [MSG_SEED_GET] = "SEED_GET",
    [MSG_SEED_DOCS] = "SEED_DOCS",
    [MSG_SEED_DONE] = "SEED_DONE",
    [MSG_SEED_FEED] = "SEED_FEED",
    [MSG_SEED_PIECE] = "SEED_PIECE",
    [MSG_SEED_GOT] = "SEED_GOT",
    [MSG_LOST_LATEST] = "LOST_LATEST",
    [MSG_LOST_KEPT] = "LOST_KEPT",
};

const char *msg_type_name(enum msg_type t)
{
    return t >= MSG_HELLO && t < MSG_TYPE_COUNT ? type_names[t] : type_names[0];
}

void msg_frame_begin(struct buf *out, region_id from, region_id to)
{
    buf_add_u32(out, FRAME_MAGIC);
    buf_add_u16(out, MSG_VERSION);
    buf_add_u16(out, 0);
    buf_add_u32(out, from);
    buf_add_u32(out, to);
}

/* ---- parts ---- */

static void put_place(struct buf *out, struct place p)
{
    buf_add_u64(out, p.epoch);
    buf_add_u64(out, p.lsn);
    buf_add_u64(out, p.ord);
    buf_add_u64(out, p.chain);
}

static struct place get_place(struct rd *r)
{
    struct place p;
    p.epoch = rd_u64(r);
    p.lsn = rd_u64(r);
    p.ord = rd_u64(r);
    p.chain = rd_u64(r);
    if (p.lsn > LSN_MAX || (p.lsn == 0) != (p.epoch == 0) || (p.lsn == 0) != (p.ord == 0)) {
        r->bad = true;
    }
    return p;
}

static lsn get_lsn(struct rd *r)
{
    lsn at = rd_u64(r);
    if (at > LSN_MAX) {
        r->bad = true;
    }
    return at;
}

static bool get_flag(struct rd *r)
{
    uint8_t v = rd_u8(r);
    if (v > 1) {
        r->bad = true;
    }
    return v == 1;
}

/* An element count: each element takes at least `size_min` bytes, so that a short message cannot
 * ask for a large allocation. */
static size_t get_count(struct rd *r, size_t count_max, size_t size_min)
{
    size_t n = rd_u32(r);
    if (r->bad || n > count_max || n > r->n / size_min) {
        r->bad = true;
        return 0;
    }
    return n;
}

static void put_rows(struct buf *out, const struct msg *m)
{
    ASSERT(m->row_count <= MSG_EPOCHS_MAX);
    buf_add_u32(out, (uint32_t)m->row_count);
    for (size_t i = 0; i < m->row_count; i++) {
        buf_add_u64(out, m->rows[i].epoch);
        buf_add_u64(out, m->rows[i].first_lsn);
        buf_add_u64(out, m->rows[i].prev_epoch);
        buf_add_u64(out, m->rows[i].prev_lsn);
    }
}

static void get_rows(struct rd *r, struct arena *a, struct msg *m)
{
    m->row_count = get_count(r, MSG_EPOCHS_MAX, 32);
    if (m->row_count == 0) {
        return;
    }
    m->rows = ARENA_NEW_ARRAY(a, struct epoch_row, m->row_count);
    for (size_t i = 0; i < m->row_count; i++) {
        struct epoch_row *row = &m->rows[i];
        row->epoch = rd_u64(r);
        row->first_lsn = get_lsn(r);
        row->prev_epoch = rd_u64(r);
        row->prev_lsn = get_lsn(r);
        if (row->epoch == 0 || row->first_lsn <= row->prev_lsn || row->epoch <= row->prev_epoch ||
            (i > 0 && (row->epoch <= row[-1].epoch || row->first_lsn <= row[-1].first_lsn))) {
            r->bad = true;
        }
    }
}

static void put_entries(struct buf *out, const struct msg *m)
{
    ASSERT(m->entry_count <= MSG_ENTRIES_MAX);
    buf_add_u32(out, (uint32_t)m->entry_count);
    for (size_t i = 0; i < m->entry_count; i++) {
        buf_add_lstr(out, m->entries[i]);
    }
}

static void get_entries(struct rd *r, struct arena *a, struct msg *m)
{
    m->entry_count = get_count(r, MSG_ENTRIES_MAX, 4 + ENTRY_HEADER_SIZE);
    if (m->entry_count == 0) {
        return;
    }
    m->entries = ARENA_NEW_ARRAY(a, struct str, m->entry_count);
    for (size_t i = 0; i < m->entry_count; i++) {
        m->entries[i] = rd_lstr(r, ENGINE_ENTRY_SIZE_MAX);
        if (m->entries[i].n < ENTRY_HEADER_SIZE) {
            r->bad = true;
        }
    }
}

static void put_key(struct buf *out, const struct msg_key *k)
{
    buf_add_u8(out, (uint8_t)k->space);
    buf_add_lstr(out, k->key);
}

static void get_key(struct rd *r, struct msg_key *k)
{
    k->space = (enum engine_space)rd_u8(r);
    k->key = rd_lstr(r, ENGINE_KEY_SIZE_MAX);
    if (k->space >= SPACE_COUNT || k->key.n == 0) {
        r->bad = true;
    }
}

static void put_keys(struct buf *out, const struct msg *m)
{
    ASSERT(m->key_count <= MSG_KEYS_MAX);
    buf_add_u32(out, (uint32_t)m->key_count);
    for (size_t i = 0; i < m->key_count; i++) {
        put_key(out, &m->keys[i]);
    }
}

static void get_keys(struct rd *r, struct arena *a, struct msg *m)
{
    m->key_count = get_count(r, MSG_KEYS_MAX, 6);
    if (m->key_count > 0) {
        m->keys = ARENA_NEW_ARRAY(a, struct msg_key, m->key_count);
    }
    for (size_t i = 0; i < m->key_count; i++) {
        get_key(r, &m->keys[i]);
    }
}

static void put_doc(struct buf *out, const struct msg_doc *d)
{
    put_key(out, &d->key);
    buf_add_u8(out, d->is_present ? 1 : 0);
    if (!d->is_present) {
        return;
    }
    const struct engine_version *v = &d->doc.version;
    ASSERT(v->unique_count <= ENGINE_UNIQUE_MAX);
    buf_add_u64(out, v->lsn);
    buf_add_u16(out, v->op_idx);
    buf_add_u64(out, v->expire_at);
    buf_add_u64(out, d->doc.epoch);
    buf_add_u64(out, d->doc.rid);
    buf_add_u64(out, d->doc.ts);
    buf_add_u64(out, d->doc.hlc);
    buf_add_u32(out, d->doc.origin);
    buf_add_u8(out, (uint8_t)v->unique_count);
    for (size_t i = 0; i < v->unique_count; i++) {
        buf_add_lstr(out, v->uniques[i]);
    }
    buf_add_lstr(out, d->doc.text);
}

static void get_doc(struct rd *r, struct arena *a, struct msg_doc *d)
{
    get_key(r, &d->key);
    d->is_present = get_flag(r);
    if (!d->is_present) {
        return;
    }
    struct engine_version *v = &d->doc.version;
    v->lsn = get_lsn(r);
    v->op_idx = rd_u16(r);
    v->expire_at = rd_u64(r);
    d->doc.epoch = rd_u64(r);
    d->doc.rid = rd_u64(r);
    d->doc.ts = rd_u64(r);
    d->doc.hlc = rd_u64(r);
    d->doc.origin = rd_u32(r);
    v->unique_count = rd_u8(r);
    if (v->lsn == 0 || v->unique_count > ENGINE_UNIQUE_MAX) {
        r->bad = true;
        return;
    }
    if (v->unique_count > 0) {
        struct str *u = ARENA_NEW_ARRAY(a, struct str, v->unique_count);
        for (size_t i = 0; i < v->unique_count; i++) {
            u[i] = rd_lstr(r, ENGINE_KEY_SIZE_MAX);
            r->bad = r->bad || u[i].n == 0;
        }
        v->uniques = u;
    }
    d->doc.text = rd_lstr(r, ENGINE_DOC_SIZE_MAX);
    v->doc_size = d->doc.text.n;
}

static size_t docs_max(enum msg_type t)
{
    return t == MSG_SEED_DOCS || t == MSG_SEED_PIECE ? MSG_SEED_DOCS_MAX : MSG_KEYS_MAX;
}

static void put_docs(struct buf *out, const struct msg *m)
{
    ASSERT(m->doc_count <= docs_max(m->type));
    buf_add_u32(out, (uint32_t)m->doc_count);
    for (size_t i = 0; i < m->doc_count; i++) {
        put_doc(out, &m->docs[i]);
    }
}

static void get_docs(struct rd *r, struct arena *a, struct msg *m)
{
    m->doc_count = get_count(r, docs_max(m->type), 7);
    if (m->doc_count > 0) {
        m->docs = ARENA_NEW_ARRAY(a, struct msg_doc, m->doc_count);
    }
    for (size_t i = 0; i < m->doc_count; i++) {
        get_doc(r, a, &m->docs[i]);
    }
}

static void put_tails(struct buf *out, const struct msg *m)
{
    ASSERT(m->tail_count <= MSG_TAILS_MAX);
    buf_add_u32(out, (uint32_t)m->tail_count);
    for (size_t i = 0; i < m->tail_count; i++) {
        buf_add_u64(out, m->tails[i].pid);
        put_place(out, m->tails[i].place);
    }
}

static void get_tails(struct rd *r, struct arena *a, struct msg *m)
{
    m->tail_count = get_count(r, MSG_TAILS_MAX, 40);
    if (m->tail_count > 0) {
        m->tails = ARENA_NEW_ARRAY(a, struct msg_tail, m->tail_count);
    }
    for (size_t i = 0; i < m->tail_count; i++) {
        m->tails[i].pid = rd_u64(r);
        m->tails[i].place = get_place(r);
    }
}

static void put_sums(struct buf *out, const struct msg *m)
{
    ASSERT(m->sum_count <= MSG_SUMS_MAX);
    buf_add_u32(out, (uint32_t)m->sum_count);
    for (size_t i = 0; i < m->sum_count; i++) {
        buf_add_u64(out, m->sums[i]);
    }
}

static void get_sums(struct rd *r, struct arena *a, struct msg *m)
{
    m->sum_count = get_count(r, MSG_SUMS_MAX, 8);
    if (m->sum_count > 0) {
        m->sums = ARENA_NEW_ARRAY(a, uint64_t, m->sum_count);
    }
    for (size_t i = 0; i < m->sum_count; i++) {
        m->sums[i] = rd_u64(r);
    }
}

static enum engine_space get_space(struct rd *r)
{
    uint8_t v = rd_u8(r);
    if (v >= SPACE_COUNT) {
        r->bad = true;
        return SPACE_ITEM;
    }
    return (enum engine_space)v;
}

static void put_flag(struct buf *out, bool v)
{
    buf_add_u8(out, v ? 1 : 0);
}

/* What SEED_GET and SEED_FEED have in common. */
static void put_question(struct buf *out, const struct msg *m)
{
    buf_add_u64(out, m->pid);
    buf_add_u64(out, m->t);
    buf_add_u8(out, (uint8_t)m->space);
    buf_add_lstr(out, m->from);
    buf_add_lstr(out, m->to);
    put_flag(out, m->is_end);
    put_sums(out, m);
}

static void get_question(struct rd *r, struct arena *a, struct msg *m)
{
    m->pid = rd_u64(r);
    m->t = rd_u64(r);
    m->space = get_space(r);
    m->from = rd_lstr(r, ENGINE_KEY_SIZE_MAX);
    m->to = rd_lstr(r, ENGINE_KEY_SIZE_MAX);
    m->is_end = get_flag(r);
    get_sums(r, a, m);
}

/* What SEED_DOCS and SEED_PIECE have in common. */
static void put_answer(struct buf *out, const struct msg *m)
{
    buf_add_u64(out, m->pid);
    put_place(out, m->place);
    buf_add_u64(out, m->t);
    buf_add_u8(out, (uint8_t)m->space);
    buf_add_lstr(out, m->to);
    put_flag(out, m->is_end);
    buf_add_lstr(out, m->kept);
    put_docs(out, m);
}

static void get_answer(struct rd *r, struct arena *a, struct msg *m)
{
    m->pid = rd_u64(r);
    m->place = get_place(r);
    m->t = rd_u64(r);
    m->space = get_space(r);
    m->to = rd_lstr(r, ENGINE_KEY_SIZE_MAX);
    m->is_end = get_flag(r);
    m->kept = rd_lstr(r, (MSG_SUMS_MAX + 7) / 8);
    get_docs(r, a, m);
}

/* ---- messages ---- */

static void put_payload(struct buf *out, const struct msg *m)
{
    switch (m->type) {
    case MSG_HELLO:
        buf_add_u64(out, m->incarnation);
        buf_add_u64(out, m->epoch);
        return;
    case MSG_PROBE:
        buf_add_u64(out, m->pid);
        return;
    case MSG_TAIL:
        buf_add_u64(out, m->pid);
        put_place(out, m->place);
        put_place(out, m->durable);
        put_flag(out, m->is_nack);
        put_rows(out, m);
        return;
    case MSG_BRANCH:
        buf_add_u64(out, m->pid);
        put_place(out, m->place);
        put_place(out, m->durable);
        put_flag(out, m->is_unknown);
        return;
    case MSG_APPEND:
        buf_add_u64(out, m->pid);
        buf_add_u64(out, m->commit_lsn);
        buf_add_u64(out, m->all_lsn);
        put_entries(out, m);
        return;
    case MSG_ACK:
    case MSG_LOST_ACK:
    case MSG_PULL:
        buf_add_u64(out, m->pid);
        put_place(out, m->place);
        return;
    case MSG_COMMIT:
        buf_add_u64(out, m->pid);
        buf_add_u64(out, m->commit_lsn);
        buf_add_u64(out, m->all_lsn);
        return;
    case MSG_PING:
    case MSG_VOUCHED:
        buf_add_u64(out, m->t);
        return;
    case MSG_VOUCH:
        buf_add_u64(out, m->t);
        buf_add_u64(out, m->record_rev);
        buf_add_u32(out, m->lease_ms);
        return;
    case MSG_PONG:
        buf_add_u64(out, m->t);
        put_flag(out, m->is_granted);
        return;
    case MSG_LOST:
    case MSG_LOST_LATEST:
        buf_add_u64(out, m->pid);
        buf_add_u64(out, m->commit_lsn);
        put_entries(out, m);
        if (m->type == MSG_LOST_LATEST) {
            buf_add_lstr(out, m->kept);
        }
        return;
    case MSG_LOST_KEPT:
        buf_add_u64(out, m->pid);
        put_place(out, m->place);
        buf_add_u64(out, m->recorded);
        buf_add_u64(out, m->archived);
        return;
    case MSG_FETCH:
        buf_add_u64(out, m->pid);
        put_keys(out, m);
        return;
    case MSG_DOCS:
        buf_add_u64(out, m->pid);
        put_place(out, m->place);
        put_docs(out, m);
        return;
    case MSG_PULLED:
        buf_add_u64(out, m->pid);
        put_flag(out, m->is_end);
        put_entries(out, m);
        return;
    case MSG_TRANSFER_END:
        put_tails(out, m);
        return;
    case MSG_SEED_AT:
        buf_add_u64(out, m->pid);
        put_place(out, m->place);
        put_place(out, m->durable);
        put_rows(out, m);
        return;
    case MSG_SEED_ASK:
    case MSG_SEED_DONE:
        buf_add_u64(out, m->pid);
        return;
    case MSG_SEED_GET:
        put_question(out, m);
        return;
    case MSG_SEED_FEED:
        put_question(out, m);
        put_flag(out, m->is_first);
        return;
    case MSG_SEED_DOCS:
        put_answer(out, m);
        return;
    case MSG_SEED_PIECE:
        put_answer(out, m);
        buf_add_lstr(out, m->from);
        buf_add_u64(out, m->sent);
        return;
    case MSG_SEED_GOT:
        buf_add_u64(out, m->pid);
        buf_add_u64(out, m->t);
        buf_add_u64(out, m->sent);
        return;
    case MSG_TYPE_COUNT:
        break;
    }
    UNREACHABLE();
}

static void get_payload(struct rd *r, struct arena *a, struct msg *m)
{
    switch (m->type) {
    case MSG_HELLO:
        m->incarnation = rd_u64(r);
        m->epoch = rd_u64(r);
        return;
    case MSG_PROBE:
        m->pid = rd_u64(r);
        return;
    case MSG_TAIL:
        m->pid = rd_u64(r);
        m->place = get_place(r);
        m->durable = get_place(r);
        m->is_nack = get_flag(r);
        get_rows(r, a, m);
        if (m->durable.lsn > m->place.lsn) {
            r->bad = true;
        }
        return;
    case MSG_BRANCH:
        m->pid = rd_u64(r);
        m->place = get_place(r);
        m->durable = get_place(r);
        m->is_unknown = get_flag(r);
        return;
    case MSG_APPEND:
        m->pid = rd_u64(r);
        m->commit_lsn = get_lsn(r);
        m->all_lsn = get_lsn(r);
        get_entries(r, a, m);
        return;
    case MSG_ACK:
    case MSG_LOST_ACK:
    case MSG_PULL:
        m->pid = rd_u64(r);
        m->place = get_place(r);
        return;
    case MSG_COMMIT:
        m->pid = rd_u64(r);
        m->commit_lsn = get_lsn(r);
        m->all_lsn = get_lsn(r);
        return;
    case MSG_PING:
    case MSG_VOUCHED:
        m->t = rd_u64(r);
        return;
    case MSG_VOUCH:
        m->t = rd_u64(r);
        m->record_rev = rd_u64(r);
        m->lease_ms = rd_u32(r);
        return;
    case MSG_PONG:
        m->t = rd_u64(r);
        m->is_granted = get_flag(r);
        return;
    case MSG_LOST:
    case MSG_LOST_LATEST:
        m->pid = rd_u64(r);
        m->commit_lsn = get_lsn(r);
        get_entries(r, a, m);
        if (m->type == MSG_LOST_LATEST) {
            m->kept = rd_lstr(r, LATEST_SIZE_MAX);
        }
        return;
    case MSG_LOST_KEPT:
        m->pid = rd_u64(r);
        m->place = get_place(r);
        m->recorded = rd_u64(r);
        m->archived = rd_u64(r);
        return;
    case MSG_FETCH:
        m->pid = rd_u64(r);
        get_keys(r, a, m);
        return;
    case MSG_DOCS:
        m->pid = rd_u64(r);
        m->place = get_place(r);
        get_docs(r, a, m);
        return;
    case MSG_PULLED:
        m->pid = rd_u64(r);
        m->is_end = get_flag(r);
        get_entries(r, a, m);
        return;
    case MSG_TRANSFER_END:
        get_tails(r, a, m);
        return;
    case MSG_SEED_AT:
        m->pid = rd_u64(r);
        m->place = get_place(r);
        m->durable = get_place(r);
        get_rows(r, a, m);
        return;
    case MSG_SEED_ASK:
    case MSG_SEED_DONE:
        m->pid = rd_u64(r);
        return;
    case MSG_SEED_GET:
        get_question(r, a, m);
        return;
    case MSG_SEED_FEED:
        get_question(r, a, m);
        m->is_first = get_flag(r);
        return;
    case MSG_SEED_DOCS:
        get_answer(r, a, m);
        return;
    case MSG_SEED_PIECE:
        get_answer(r, a, m);
        m->from = rd_lstr(r, ENGINE_KEY_SIZE_MAX);
        m->sent = rd_u64(r);
        return;
    case MSG_SEED_GOT:
        m->pid = rd_u64(r);
        m->t = rd_u64(r);
        m->sent = rd_u64(r);
        return;
    case MSG_TYPE_COUNT:
        break;
    }
    r->bad = true;
}

size_t msg_size_max(const struct msg *m)
{
    size_t n = MESSAGE_HEADER_SIZE + 160 + m->row_count * 32 + m->tail_count * 40 +
               m->sum_count * 8 + m->from.n + m->to.n + m->kept.n;
    for (size_t i = 0; i < m->entry_count; i++) {
        n += 4 + m->entries[i].n;
    }
    for (size_t i = 0; i < m->key_count; i++) {
        n += 8 + m->keys[i].key.n;
    }
    for (size_t i = 0; i < m->doc_count; i++) {
        const struct engine_doc *d = &m->docs[i].doc;
        n += DOC_FIXED_MAX + m->docs[i].key.key.n + d->text.n;
        for (size_t u = 0; u < d->version.unique_count; u++) {
            n += 4 + d->version.uniques[u].n;
        }
    }
    return n;
}

void msg_encode(struct buf *out, const struct msg *m)
{
    ASSERT(m->type >= MSG_HELLO && m->type < MSG_TYPE_COUNT);
    size_t begin = out->n;
    buf_add_u32(out, (uint32_t)m->type);
    buf_add_u32(out, 0); /* size */
    buf_add_u64(out, m->generation);
    put_payload(out, m);
    ASSERT(buf_ok(out));
    size_t size = out->n - begin - MESSAGE_HEADER_SIZE;
    ASSERT(size <= MSG_FRAME_SIZE_MAX);
    for (size_t i = 0; i < 4; i++) {
        out->p[begin + 4 + i] = (char)(unsigned char)(size >> (8 * i));
    }
}

enum err msg_frame_open(struct str frame, struct msg_reader *ret, struct errinfo *ei)
{
    struct msg_reader r = {.rd = rd_of(frame)};
    uint32_t magic = rd_u32(&r.rd);
    uint16_t version = rd_u16(&r.rd);
    uint16_t reserved = rd_u16(&r.rd);
    r.from = rd_u32(&r.rd);
    r.to = rd_u32(&r.rd);
    if (r.rd.bad || magic != FRAME_MAGIC) {
        return err_set(ei, ERR_CORRUPT, "peer frame of %zu bytes has no magic", frame.n);
    }
    if (version > MSG_VERSION) {
        return err_set(ei, ERR_FORMAT_NEWER, "peer frame of version %u", version);
    }
    if (version == 0 || reserved != 0 || r.from < 1 || r.from > REGION_ID_MAX || r.to < 1 ||
        r.to > REGION_ID_MAX) {
        return err_set(ei, ERR_CORRUPT, "peer frame header is malformed");
    }
    *ret = r;
    return OK;
}

enum err msg_next(struct msg_reader *r, struct arena *a, struct msg *ret, struct errinfo *ei)
{
    while (r->rd.n > 0) {
        uint32_t type = rd_u32(&r->rd);
        uint32_t size = rd_u32(&r->rd);
        generation g = rd_u64(&r->rd);
        struct str payload = rd_bytes(&r->rd, size);
        if (r->rd.bad || type == 0) {
            return err_set(ei, ERR_CORRUPT, "peer message does not fit its frame");
        }
        if (type >= MSG_TYPE_COUNT) {
            continue; /* a newer program's; it must not depend on an answer */
        }
        struct msg m = {.type = (enum msg_type)type, .generation = g};
        struct rd p = rd_of(payload);
        get_payload(&p, a, &m);
        if (p.bad || p.n != 0) {
            return err_set(ei, ERR_CORRUPT, "peer message %s of %u bytes is malformed",
                           msg_type_name(m.type), size);
        }
        *ret = m;
        return OK;
    }
    return ERR_NOT_FOUND;
}
