/* Hash map: open addressing with linear probing over pointers to entries, and a doubly linked
 * list through the entries for the iteration order. Deletion shifts the rest of the probe run
 * back, so there are no tombstones and a lookup ends at the first empty slot. */
#include "base/map.h"

#include <string.h>

#include "base/contract.h"
#include "base/mem.h"

enum { SLOT_COUNT_MIN = 16 };

struct map_entry {
    struct map_entry *next;
    struct map_entry *prev;
    uint64_t hash;
    void *value; /* the caller's */
    size_t key_size;
    char key[];
};

void map_init(struct map *m)
{
    *m = (struct map){0};
}

void map_clear(struct map *m)
{
    struct map_entry *e = m->first;
    while (e != NULL) {
        struct map_entry *next = e->next;
        mem_free(e);
        e = next;
    }
    if (m->slots != NULL) {
        memset(m->slots, 0, m->slot_count * sizeof(struct map_entry *));
    }
    m->first = NULL;
    m->last = NULL;
    m->count = 0;
}

void map_done(struct map *m)
{
    map_clear(m);
    mem_free(m->slots);
    *m = (struct map){0};
}

/* The slot that holds `key`, or the empty one where it belongs. Needs an empty slot. */
static size_t find_slot(const struct map *m, struct str key, uint64_t hash)
{
    size_t mask = m->slot_count - 1;
    size_t i = (size_t)hash & mask;
    while (m->slots[i] != NULL) {
        const struct map_entry *e = m->slots[i];
        if (e->hash == hash && str_eq(map_key(e), key)) {
            break;
        }
        i = (i + 1) & mask;
    }
    return i;
}

void *map_get(const struct map *m, struct str key)
{
    if (m->count == 0) {
        return NULL;
    }
    const struct map_entry *e = m->slots[find_slot(m, key, str_hash(key, 0))];
    return e != NULL ? e->value : NULL;
}

static void grow(struct map *m)
{
    size_t slot_count = m->slot_count > 0 ? m->slot_count * 2 : SLOT_COUNT_MIN;
    mem_free(m->slots);
    m->slots = MEM_NEW_ARRAY(struct map_entry *, slot_count);
    m->slot_count = slot_count;
    size_t mask = slot_count - 1;
    for (struct map_entry *e = m->first; e != NULL; e = e->next) {
        size_t i = (size_t)e->hash & mask;
        while (m->slots[i] != NULL) {
            i = (i + 1) & mask;
        }
        m->slots[i] = e;
    }
}

void *map_put(struct map *m, struct str key, void *value)
{
    if (m->slots == NULL || m->count + 1 > m->slot_count / 4 * 3) {
        grow(m);
    }
    uint64_t hash = str_hash(key, 0);
    size_t i = find_slot(m, key, hash);
    struct map_entry *e = m->slots[i];
    if (e != NULL) {
        void *old = e->value;
        e->value = value;
        return old;
    }
    e = (struct map_entry *)mem_alloc(sizeof(*e) + key.n);
    *e = (struct map_entry){.prev = m->last, .hash = hash, .value = value, .key_size = key.n};
    if (key.n > 0) {
        memcpy(e->key, key.p, key.n);
    }
    if (m->last != NULL) {
        m->last->next = e;
    } else {
        m->first = e;
    }
    m->last = e;
    m->slots[i] = e;
    m->count++;
    ASSERT(m->count < m->slot_count);
    return NULL;
}

/* Empties slot `i` and moves back those behind it that may now stand nearer to their home. */
static void clear_slot(struct map *m, size_t i)
{
    size_t mask = m->slot_count - 1;
    m->slots[i] = NULL;
    for (size_t j = (i + 1) & mask; m->slots[j] != NULL; j = (j + 1) & mask) {
        size_t home = (size_t)m->slots[j]->hash & mask;
        if (((j - home) & mask) >= ((j - i) & mask)) {
            m->slots[i] = m->slots[j];
            m->slots[j] = NULL;
            i = j;
        }
    }
}

void *map_remove(struct map *m, struct str key)
{
    if (m->count == 0) {
        return NULL;
    }
    size_t i = find_slot(m, key, str_hash(key, 0));
    struct map_entry *e = m->slots[i];
    if (e == NULL) {
        return NULL;
    }
    clear_slot(m, i);
    *(e->prev != NULL ? &e->prev->next : &m->first) = e->next;
    *(e->next != NULL ? &e->next->prev : &m->last) = e->prev;
    m->count--;
    void *value = e->value;
    mem_free(e);
    return value;
}

struct map_entry *map_first(const struct map *m)
{
    return m->first;
}

struct map_entry *map_next(const struct map_entry *e)
{
    return e->next;
}

struct str map_key(const struct map_entry *e)
{
    return (struct str){e->key, e->key_size};
}

void *map_value(const struct map_entry *e)
{
    return e->value;
}
