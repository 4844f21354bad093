/* Linearizability of one register by the search of Wing and Gong with Lowe's memo: try to place
 * the operations one after the other; a configuration (set of placed operations, value) that was
 * reached before is not tried again. Operations of unknown outcome may be left out.
 *
 * A failover can leave dozens of these, and any subset of them may have happened. Nearly all wrote what
 * nobody saw: such writes of one kind stand for each other, so they are placed in the order of their begins
 * and leave the same value behind, which makes their subsets a count. */
#include <stdlib.h>

#include "base/contract.h"
#include "base/mem.h"
#include "sim/check.h"

struct event_link { /* a begin or an end, in a list ordered by time */
    struct event_link *prev, *next;
    struct event_link *end; /* of a begin: its end; NULL for ends and for unknown outcomes */
    struct event_link
        *twin; /* of an unknown outcome: one that stands for it and is placed first, or NULL */
    const struct lin_op *op;
    size_t op_idx;
    usec at;
    bool is_begin, is_placed;
};

struct memo {
    uint64_t (*slots)[2]; /* owned; {0,0} = free */
    size_t count, cap;
};

struct search {
    struct lin_op *ops; /* owned; values of unknown writes that nobody saw are VALUE_UNSEEN */
    struct event_link *events; /* owned; [0] is the head */
    size_t event_count;
    struct memo memo;
    uint64_t hash[2]; /* of the set of placed operations */
    uint64_t value;
    size_t open; /* operations of known outcome not yet placed */
};

static const uint64_t VALUE_UNSEEN = UINT64_MAX;

static uint64_t scramble(uint64_t v)
{
    v += UINT64_C(0x9e3779b97f4a7c15);
    v = (v ^ (v >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ (v >> 27)) * UINT64_C(0x94d049bb133111eb);
    return v ^ (v >> 31);
}

static bool memo_put(struct memo *m, uint64_t a, uint64_t b)
{
    a |= 1; /* never the free slot */
    size_t i = (size_t)a & (m->cap - 1);
    while (m->slots[i][0] != 0) {
        if (m->slots[i][0] == a && m->slots[i][1] == b) {
            return false;
        }
        i = (i + 1) & (m->cap - 1);
    }
    m->slots[i][0] = a;
    m->slots[i][1] = b;
    m->count++;
    return true;
}

/* false: this configuration was reached before. */
static bool memo_add(struct memo *m, uint64_t a, uint64_t b)
{
    if (m->cap == 0 || m->count * 2 >= m->cap) {
        struct memo bigger = {.cap = m->cap > 0 ? m->cap * 2 : 1024};
        bigger.slots = mem_zalloc(bigger.cap * sizeof(*bigger.slots));
        for (size_t i = 0; i < m->cap; i++) {
            if (m->slots[i][0] != 0) {
                (void)memo_put(&bigger, m->slots[i][0], m->slots[i][1]);
            }
        }
        mem_free(m->slots);
        *m = bigger;
    }
    return memo_put(m, a, b);
}

/* false: the operation cannot happen when the register holds `value`. */
static bool apply(const struct lin_op *op, uint64_t value, uint64_t *ret)
{
    *ret = value;
    switch (op->kind) {
    case LIN_READ:
        return value == op->value;
    case LIN_WRITE:
        *ret = op->value;
        return true;
    case LIN_CREATE:
        *ret = op->value;
        return value == 0;
    case LIN_REPLACE:
        *ret = op->value;
        return value != 0 && (op->expect == 0 || op->expect == value);
    case LIN_DELETE:
        *ret = 0;
        return value != 0 && (op->expect == 0 || op->expect == value);
    case LIN_SAW_PRESENT:
        return value != 0;
    case LIN_SAW_ABSENT:
        return value == 0;
    case LIN_SAW_OTHER:
        return value != 0 && value != op->expect;
    }
    UNREACHABLE();
}

static int by_time(const void *x, const void *y)
{
    const struct event_link *a = x;
    const struct event_link *b = y;
    if (a->at != b->at) {
        return a->at < b->at ? -1 : 1;
    }
    /* Begins first: operations that touch count as concurrent. */
    if (a->is_begin != b->is_begin) {
        return a->is_begin ? -1 : 1;
    }
    return a->op_idx < b->op_idx ? -1 : a->op_idx > b->op_idx;
}

/* Does an operation depend on this value being there, or not? */
static bool is_seen(const struct lin_op *ops, size_t n, uint64_t value)
{
    for (size_t i = 0; i < n; i++) {
        if ((ops[i].kind == LIN_READ && ops[i].value == value) || ops[i].expect == value) {
            return true;
        }
    }
    return false;
}

static struct lin_op *blur_unseen(const struct lin_op *ops, size_t n)
{
    struct lin_op *ret = MEM_NEW_ARRAY(struct lin_op, n + 1);
    for (size_t i = 0; i < n; i++) {
        ret[i] = ops[i];
        if (ops[i].is_unknown && ops[i].kind != LIN_DELETE && !is_seen(ops, n, ops[i].value)) {
            ret[i].value = VALUE_UNSEEN;
        }
    }
    return ret;
}

/* The last event before e whose operation of unknown outcome does the same. */
static struct event_link *twin_of(const struct search *s, const struct event_link *e)
{
    const struct lin_op *op = e->op;
    if (!op->is_unknown || (op->kind != LIN_DELETE && op->value != VALUE_UNSEEN)) {
        return NULL;
    }
    for (struct event_link *t = e->prev; t != s->events; t = t->prev) {
        if (t->op->is_unknown && t->op->kind == op->kind && t->op->expect == op->expect &&
            (op->kind == LIN_DELETE || t->op->value == VALUE_UNSEEN)) {
            return t;
        }
    }
    return NULL;
}

static void search_init(struct search *s, const struct lin_op *ops, size_t n)
{
    *s = (struct search){.ops = blur_unseen(ops, n),
                         .events = MEM_NEW_ARRAY(struct event_link, 2 * n + 1),
                         .event_count = 1};
    for (size_t i = 0; i < n; i++) {
        s->events[s->event_count++] =
            (struct event_link){.op = &s->ops[i], .op_idx = i, .at = ops[i].from, .is_begin = true};
        if (!ops[i].is_unknown) {
            s->events[s->event_count++] =
                (struct event_link){.op = &s->ops[i], .op_idx = i, .at = ops[i].to};
            s->open++;
        }
    }
    qsort(s->events + 1, s->event_count - 1, sizeof(struct event_link), by_time);
    struct event_link **begins = MEM_NEW_ARRAY(struct event_link *, n + 1);
    for (size_t i = 1; i < s->event_count; i++) {
        struct event_link *e = &s->events[i];
        e->prev = e - 1;
        (e - 1)->next = e;
        e->twin = twin_of(s, e);
        if (e->is_begin) {
            begins[e->op_idx] = e;
        } else {
            begins[e->op_idx]->end = e;
        }
    }
    mem_free(begins);
}

static void unlink_event(struct event_link *e)
{
    e->prev->next = e->next;
    if (e->next != NULL) {
        e->next->prev = e->prev;
    }
}

static void relink_event(struct event_link *e)
{
    e->prev->next = e;
    if (e->next != NULL) {
        e->next->prev = e;
    }
}

static void place_op(struct search *s, struct event_link *e)
{
    s->hash[0] ^= scramble(e->op_idx * 2 + 1);
    s->hash[1] ^= scramble(e->op_idx * 2 + 2);
    unlink_event(e);
    e->is_placed = true;
    if (e->end != NULL) {
        unlink_event(e->end);
        s->open--;
    }
}

static void unplace_op(struct search *s, struct event_link *e)
{
    s->hash[0] ^= scramble(e->op_idx * 2 + 1);
    s->hash[1] ^= scramble(e->op_idx * 2 + 2);
    if (e->end != NULL) {
        relink_event(e->end);
        s->open++;
    }
    relink_event(e);
    e->is_placed = false;
}

/* Can it come next, and is it of use? One that may be left out has to change something. */
static bool can_follow(const struct search *s, const struct event_link *e, uint64_t *ret)
{
    return e->is_begin && (e->twin == NULL || e->twin->is_placed) && apply(e->op, s->value, ret) &&
           (!e->op->is_unknown || *ret != s->value);
}

struct choice {
    struct event_link *event;
    uint64_t value; /* before it */
};

enum lin_verdict lin_check(const struct lin_op *ops, size_t n, size_t steps_max)
{
    struct search s;
    search_init(&s, ops, n);
    struct choice *stack = MEM_NEW_ARRAY(struct choice, n + 1);
    size_t depth = 0;
    size_t steps = 0;
    enum lin_verdict verdict = LIN_OK;
    struct event_link *e = s.events[0].next;
    while (s.open > 0) {
        ASSERT(e != NULL);
        if (++steps > steps_max) {
            verdict = LIN_UNDECIDED;
            break;
        }
        uint64_t value = 0;
        if (can_follow(&s, e, &value)) {
            place_op(&s, e);
            if (memo_add(&s.memo, s.hash[0] ^ scramble(value + 77), s.hash[1] ^ value)) {
                stack[depth++] = (struct choice){.event = e, .value = s.value};
                s.value = value;
                e = s.events[0].next;
                continue;
            }
            unplace_op(&s, e);
        }
        if (e->is_begin) {
            e = e->next;
            continue;
        }
        /* An operation has ended and is not placed: the last choice was wrong. */
        if (depth == 0) {
            verdict = LIN_BAD;
            break;
        }
        depth--;
        e = stack[depth].event;
        s.value = stack[depth].value;
        unplace_op(&s, e);
        e = e->next;
    }
    mem_free(stack);
    mem_free(s.memo.slots);
    mem_free(s.events);
    mem_free(s.ops);
    return verdict;
}

/* ---- from the ledger ---- */

/* Did a write of unknown outcome ever reach a disk? One that did not cannot have been seen. */
static bool may_have_happened(const struct history *h, const struct op *op)
{
    if (op->planned.lsn == 0) {
        return false;
    }
    const struct hist_entry *e = history_find(h, op->pid, op->planned.lsn);
    return e != NULL && e->at.epoch == op->planned.epoch && (e->op_id == op->id || e->op_id == 0);
}

static bool convert_write(const struct op *op, const struct sub_op *s, struct lin_op *ret)
{
    ret->value = op->id;
    ret->expect = s->expect;
    switch (s->kind) {
    case OP_UPSERT:
        ret->kind = LIN_WRITE;
        return true;
    case OP_CREATE:
        ret->kind = LIN_CREATE;
        return true;
    case OP_REPLACE:
        ret->kind = LIN_REPLACE;
        return true;
    case OP_DELETE:
        ret->kind = LIN_DELETE;
        return true;
    case OP_READ:
    case OP_SCAN:
    case OP_BATCH:
    case OP_CONTAINER:
    case OP_REMOVE:
        break;
    }
    return false;
}

static bool convert_rejection(const struct op *op, struct lin_op *ret)
{
    switch (op->why) {
    case REJECT_EXISTS:
        ret->kind = LIN_SAW_PRESENT;
        return true;
    case REJECT_ABSENT:
        ret->kind = LIN_SAW_ABSENT;
        return true;
    case REJECT_ETAG:
        ret->kind = LIN_SAW_OTHER;
        ret->expect = op->subs[op->failed_sub].expect;
        return true;
    case REJECT_UNIQUE:
    case REJECT_NONE:
        break;
    }
    return false; /* says nothing about this item */
}

static bool convert(const struct history *h, const struct op *op, uint16_t key,
                    enum consistency level, struct spot tail, struct lin_op *ret)
{
    *ret = (struct lin_op){.from = op->arrived_at, .to = op->ended_at, .op_id = op->id};
    if (op->kind == OP_READ || op->kind == OP_SCAN) {
        bool covers = op->kind == OP_READ ? op->subs[0].key == key : op->lp == key_lp(key);
        ret->kind = LIN_READ;
        ret->value = op->values[key];
        return covers && op->outcome == OUT_OK && op->level >= level;
    }
    if (op_is_metadata(op->kind) || op->outcome == OUT_REFUSED) {
        return false;
    }
    for (size_t i = 0; i < op->sub_count; i++) {
        if (op->subs[i].key != key) {
            continue;
        }
        if (op->outcome == OUT_REJECTED) {
            return op->failed_sub == i && op->is_strong_decision && convert_rejection(op, ret);
        }
        bool is_kept = op->is_strong_decision || history_contains(h, op->pid, tail, op->at);
        ret->is_unknown = !is_kept;
        if (op->outcome != OUT_OK) {
            ret->is_unknown = true;
            return may_have_happened(h, op) && convert_write(op, &op->subs[i], ret);
        }
        return convert_write(op, &op->subs[i], ret);
    }
    return false;
}

size_t lin_collect(const struct ledger *l, const struct history *h, pid p, uint16_t key,
                   enum consistency level, struct spot tail, struct lin_op **ret)
{
    struct lin_op *ops = MEM_NEW_ARRAY(struct lin_op, l->count + 1);
    size_t n = 0;
    for (size_t i = 0; i < l->count; i++) {
        const struct op *op = l->ops[i];
        if (op->pid == p && op->arrived_at != 0 && convert(h, op, key, level, tail, &ops[n])) {
            n++;
        }
    }
    *ret = ops;
    return n;
}
