/* The coordinator is an old copy of itself: who can prove it says so, there.
 *
 * A region that is shown a record older than one it has acted under is FENCED: it does nothing. A
 * region that was away when the newer one was made cannot know, and would take over under a generation
 * that was used already. So the first kind puts `objection/<its id>`, comparing the revision of
 * the record that it was shown: if that succeeds the coordinator's record *is* that old one. Whoever
 * sees an objection is FENCED as well. It is durable, and gone with the old copy. */
#include <inttypes.h>
#include <stdio.h>

#include "account/region_int.h"

enum { VALUE_SIZE = 128 };

void objection_raise(struct region *r, coord_rev shown, generation known)
{
    if (known != 0 && r->objection.known == 0) {
        r->objection = (struct objection){.shown = shown, .known = known};
    }
}

void objection_tick(struct region *r)
{
    struct objection *o = &r->objection;
    if (o->known == 0 || o->is_settled || o->ticket != 0 || region_now(r) < o->next_us) {
        return;
    }
    char key[KEY_SIZE + 32];
    char value[VALUE_SIZE];
    (void)snprintf(key, sizeof(key), "%sobjection/%u", r->key_prefix, r->cfg.self);
    (void)snprintf(value, sizeof(value), "{\"generation\":%" PRIu64 "}", o->known);
    struct coord_txn t = {
        .compare_count = 1,
        .compares = {{.key = str_of(r->key_record), .rev = o->shown}},
        .put_count = 1,
        .puts = {{.key = str_of(key), .value = str_of(value)}},
    };
    o->ticket = r->next_ticket++;
    r->io.txn(r->io.ctx, &t, o->ticket);
}

/* Generation of the record that a failed comparison shows; 0 = unreadable. */
static generation shown_generation(struct str text)
{
    struct arena a;
    struct errinfo ei = {0};
    arena_init(&a);
    struct account_record *rec = ARENA_NEW(&a, struct account_record);
    generation g = record_decode(&a, text, rec, &ei) == OK ? rec->generation : 0;
    arena_done(&a);
    return g;
}

void objection_on_result(struct region *r, const struct coord_txn_result *res)
{
    struct objection *o = &r->objection;
    o->ticket = 0;
    o->next_us = region_now(r) + ms(r->cfg.timers.beat_ms);
    if (res->err != OK) {
        return; /* unknown: once more does no harm */
    }
    if (res->succeeded) {
        o->is_settled = true;
        region_event(r, EVENT_STALE_GENERATION, 0,
                     "what=\"objected: the coordinator is an old copy\" known_generation=%" PRIu64,
                     o->known);
        return;
    }
    o->is_settled = true; /* it is not that old any more, unless it shows that it is */
    for (size_t i = 0; i < res->kv_count; i++) {
        generation g = str_eq(res->kvs[i].key, str_of(r->key_record))
                           ? shown_generation(res->kvs[i].value)
                           : 0;
        if (g != 0 && g < o->known) {
            o->shown = res->kvs[i].rev;
            o->is_settled = false;
        }
    }
}

void objection_on_kv(struct region *r, region_id id, bool is_there)
{
    if (is_there && r->role != ROLE_FENCED) {
        region_event(r, EVENT_STALE_GENERATION, 0,
                     "what=\"region %u knows a newer record: the coordinator is an old copy\"", id);
        region_step(r, EV_STALE);
    }
}
