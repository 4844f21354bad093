/* The index over an estate: who refers to whom, and what is in which region. Built once, in time
 * linear in the references. */
#include "continuity/posture/posture_int.h"

#include <string.h>

#include "base/contract.h"

static void list_add(struct posture *p, struct posture_list *l, const struct estate_asset *a)
{
    if (l->count > 0 && l->items[l->count - 1] == a) {
        return; /* named twice by one asset */
    }
    if (l->count == l->cap) {
        size_t cap = l->cap == 0 ? 4 : l->cap * 2;
        const struct estate_asset **bigger =
            ARENA_NEW_ARRAY(p->arena, const struct estate_asset *, cap);
        if (l->count > 0) {
            memcpy((void *)bigger, (const void *)l->items,
                   l->count * sizeof(const struct estate_asset *));
        }
        l->items = bigger;
        l->cap = cap;
    }
    l->items[l->count++] = a;
}

static void index_attr(struct posture *p, const struct estate_asset *a,
                       const struct estate_attr_slot *slot)
{
    const struct estate_value *v = &slot->value;
    for (size_t i = 0; v->refs && i < v->count; i++) {
        const struct estate_asset *to = v->refs[i].asset;
        if (!to) {
            continue;
        }
        struct posture_list *list = NULL;
        switch ((int)slot->attr) {
        case ATTR_DEFAULT_STORAGE:
            list = p->default_of;
            break;
        case ATTR_WORKSPACE:
            list = p->in_workspace;
            break;
        case ATTR_STORAGE:
            list = a->type == TYPE_AML_DATASTORE ? p->on_storage : NULL;
            break;
        case ATTR_APPLIES_TO:
            list = p->runbooks;
            break;
        case ATTR_SERVES:
            list = a->type == TYPE_ROUTE ? p->routes : NULL;
            break;
        case ATTR_SCOPE:
            list = p->scoped;
            break;
        case ATTR_BACKUPS:
            list = p->protects;
            break;
        default:
            break;
        }
        if (list) {
            list_add(p, &list[to->idx], a);
        }
        list_add(p, &p->users[to->idx], a);
    }
}

/* Of which types are all assets known to be in one and the same region? */
static void note_spread(struct posture *p)
{
    for (size_t t = 0; t < TYPE_COUNT; t++) {
        const struct posture_list *l = &p->by_type[t];
        const struct estate_placement *first = l->count > 0 ? estate_primary(l->items[0]) : NULL;
        bool is_one = first != NULL;
        for (size_t i = 1; i < l->count && is_one; i++) {
            const struct estate_placement *next = estate_primary(l->items[i]);
            is_one = next && str_eq(first->region, next->region);
        }
        p->in_one_region[t] = is_one;
    }
}

void posture_init(struct posture *p, struct arena *arena, const struct estate *e, int64_t at_ms)
{
    ASSERT(e->is_finished);
    *p = (struct posture){.arena = arena, .estate = e, .at_ms = at_ms};
    struct posture_list **lists[] = {&p->default_of, &p->in_workspace, &p->on_storage,
                                     &p->users,      &p->runbooks,     &p->routes,
                                     &p->scoped,     &p->protects};
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        *lists[i] = ARENA_NEW_ARRAY(arena, struct posture_list, e->asset_count + 1);
    }
    p->named_peer_of = ARENA_NEW_ARRAY(arena, const struct estate_asset *, e->asset_count + 1);
    p->drills = ARENA_NEW_ARRAY(arena, struct posture_drill, e->asset_count + 1);
    for (size_t i = 0; i < e->asset_count; i++) {
        const struct estate_asset *a = e->assets[i];
        list_add(p, &p->by_type[a->type], a);
        for (size_t k = 0; k < a->attr_count; k++) {
            index_attr(p, a, &a->attrs[k]);
        }
        for (size_t k = 0; k < a->depends_on_count; k++) {
            if (a->depends_on[k].asset) {
                list_add(p, &p->users[a->depends_on[k].asset->idx], a);
            }
        }
        if (a->peer.asset && !p->named_peer_of[a->peer.asset->idx]) {
            p->named_peer_of[a->peer.asset->idx] = a;
        }
        if (a->type == TYPE_AML_WORKSPACE &&
            estate_attr(a, ATTR_DEFAULT_STORAGE)->conf == EV_UNKNOWN) {
            p->some_default_unknown = true;
        }
    }
    note_spread(p);
}

/* ---- regions ---- */

#define REGIONS_AS_OF(date) const char posture_regions_as_of[] = date;
#include "continuity/posture/regions.def"
#undef REGIONS_AS_OF

static const struct {
    const char *name;
    const char *pair;
    bool is_restricted;
} regions[] = {
#define REGION(name, pair, restricted) {name, pair, restricted},
#include "continuity/posture/regions.def"
#undef REGION
};

struct region_fact posture_region(const struct posture *p, struct str region)
{
    struct region_fact f = {.has_pair = TRI_UNKNOWN};
    for (size_t i = 0; i < ARRAY_COUNT(regions); i++) {
        if (str_eq(str_of(regions[i].name), region)) {
            f.pair = str_of(regions[i].pair);
            f.has_pair = f.pair.n > 0 ? TRI_YES : TRI_NO;
            f.is_restricted = regions[i].is_restricted ? TRI_YES : TRI_NO;
            break;
        }
    }
    const struct estate_region *r = estate_find_region(p->estate, region);
    if (r) {
        f.has_zones = r->has_zones;
        if (r->has_pair != TRI_UNKNOWN) {
            f.has_pair = r->has_pair;
            f.pair = r->pair;
        }
        if (r->is_restricted != TRI_UNKNOWN) {
            f.is_restricted = r->is_restricted;
        }
    }
    return f;
}

/* ---- peers ---- */

struct peer_fact posture_peer(const struct posture *p, const struct estate_asset *a)
{
    struct peer_fact f = {.has = TRI_UNKNOWN};
    const struct estate_asset *namer = p->named_peer_of[a->idx];
    if (a->peer_conf != EV_UNKNOWN && a->peer.id.n > 0) {
        f = (struct peer_fact){TRI_YES, a->peer_conf, a->peer.asset, false};
        /* Of two that name each other, the one written first is the first of the pair. */
        f.is_second = namer != NULL && namer == a->peer.asset && namer->idx < a->idx;
    } else if (namer) {
        f = (struct peer_fact){TRI_YES, namer->peer_conf, namer, true};
    } else if (a->peer_conf != EV_UNKNOWN) {
        f = (struct peer_fact){TRI_NO, a->peer_conf, NULL, false};
    } else if (p->in_one_region[a->type]) { /* there can be none elsewhere */
        f = (struct peer_fact){TRI_NO, EV_INFERRED, NULL, false};
    }
    return f;
}

/* ---- topology ---- */

enum estate_topology posture_topology_for(const struct estate_objective *o)
{
    const int64_t minute_ms = 60000;
    if (!o || o->rto_ms < 0) {
        return TOPOLOGY_UNSTATED;
    }
    if (o->rto_ms < minute_ms && o->rpo_ms == 0) {
        return TOPOLOGY_HOT_HOT;
    }
    if (o->rto_ms <= 15 * minute_ms) {
        return TOPOLOGY_HOT_WARM;
    }
    return o->rto_ms < 1440 * minute_ms ? TOPOLOGY_HOT_COLD : TOPOLOGY_BACKUP_ONLY;
}

enum estate_topology posture_topology(const struct posture *p, const struct estate_asset *a,
                                      enum estate_confidence *ret_conf)
{
    const struct estate_objective *o = estate_objective(p->estate, a);
    *ret_conf = EV_KNOWN;
    if (a->topology != TOPOLOGY_UNSTATED) {
        return a->topology;
    }
    if (o && o->topology != TOPOLOGY_UNSTATED) {
        return o->topology;
    }
    const struct estate_asset *peer = posture_peer(p, a).asset;
    if (peer && peer->topology != TOPOLOGY_UNSTATED) {
        return peer->topology; /* a pair has one */
    }
    enum estate_topology t = posture_topology_for(o);
    *ret_conf = t == TOPOLOGY_UNSTATED ? EV_UNKNOWN : EV_INFERRED;
    return t;
}

/* ---- data ---- */

size_t posture_region_count(const struct estate_asset *a, bool *ret_open)
{
    size_t n = 0;
    for (size_t i = 0; i < a->placement_count; i++) {
        bool is_new = true;
        for (size_t k = 0; k < i && is_new; k++) {
            is_new = !str_eq(a->placements[i].region, a->placements[k].region);
        }
        n += is_new;
    }
    *ret_open = a->placements_open || a->placement_count == 0;
    return n;
}

bool posture_is_geo(const struct estate_value *redundancy)
{
    return redundancy->conf != EV_UNKNOWN && redundancy->text.n > 0 &&
           (str_ends(redundancy->text, STR("grs")) || str_ends(redundancy->text, STR("gzrs")));
}

enum estate_tri posture_multi_write(const struct estate_asset *a)
{
    const struct estate_value *v = estate_attr(a, ATTR_MULTI_WRITE);
    if (v->conf != EV_UNKNOWN) {
        return v->boolean ? TRI_YES : TRI_NO;
    }
    /* A Holdfast account has one write region. */
    return a->type == TYPE_HOLDFAST_ACCOUNT ? TRI_NO : TRI_UNKNOWN;
}

static enum estate_tri tri_of(const struct estate_value *v)
{
    return v->conf == EV_UNKNOWN ? TRI_UNKNOWN : v->boolean ? TRI_YES : TRI_NO;
}

/* NO < UNKNOWN < YES: one good copy is enough. */
static enum estate_tri either(enum estate_tri x, enum estate_tri y)
{
    if (x == TRI_YES || y == TRI_YES) {
        return TRI_YES;
    }
    return x == TRI_NO && y == TRI_NO ? TRI_NO : TRI_UNKNOWN;
}

/* A backup that the asset names is in a region where the asset is not. */
static enum estate_tri backup_elsewhere(const struct estate_asset *a)
{
    const struct estate_value *v = estate_attr(a, ATTR_BACKUPS);
    const struct estate_placement *home = estate_primary(a);
    if (v->conf == EV_UNKNOWN) {
        return TRI_UNKNOWN;
    }
    enum estate_tri found = v->is_open ? TRI_UNKNOWN : TRI_NO;
    for (size_t i = 0; i < v->count; i++) {
        const struct estate_asset *b = v->refs[i].asset;
        if (!b || !home || b->placement_count == 0) {
            found = either(found, TRI_UNKNOWN);
            continue;
        }
        bool is_apart = b->placement_count > 1 || !str_eq(b->placements[0].region, home->region);
        found = either(found, is_apart ? TRI_YES : b->placements_open ? TRI_UNKNOWN : TRI_NO);
    }
    return found;
}

enum estate_tri posture_backed_up(const struct posture *p, const struct estate_asset *a)
{
    UNUSED(p);
    enum estate_tri found = TRI_NO;
    const struct estate_value *v = estate_attr(a, ATTR_BACKUPS);
    if (v->conf == EV_UNKNOWN || (v->count == 0 && v->is_open)) {
        found = TRI_UNKNOWN;
    } else if (v->count > 0) {
        return TRI_YES;
    }
    if (estate_type_has(a->type, ATTR_BACKUP_TYPE)) {
        v = estate_attr(a, ATTR_BACKUP_TYPE);
        found = either(found, v->conf == EV_UNKNOWN          ? TRI_UNKNOWN
                              : str_eq(v->text, STR("none")) ? TRI_NO
                                                             : TRI_YES);
    }
    if (estate_type_has(a->type, ATTR_OWN_BACKUP)) {
        found = either(found, tri_of(estate_attr(a, ATTR_OWN_BACKUP)));
    }
    return found;
}

enum estate_tri posture_copy_elsewhere(const struct posture *p, const struct estate_asset *a,
                                       enum estate_confidence *ret_conf)
{
    *ret_conf = EV_KNOWN;
    bool is_open = false;
    size_t n = posture_region_count(a, &is_open);
    if (n > 1) {
        return TRI_YES;
    }
    enum estate_tri found = is_open ? TRI_UNKNOWN : TRI_NO;
    const struct estate_value *v = estate_attr(a, ATTR_COPY_IN);
    found = either(found, v->conf == EV_UNKNOWN ? TRI_UNKNOWN
                          : v->count > 0        ? TRI_YES
                          : v->is_open          ? TRI_UNKNOWN
                                                : TRI_NO);
    found = either(found, backup_elsewhere(a));
    if (estate_type_has(a->type, ATTR_REDUNDANCY)) {
        v = estate_attr(a, ATTR_REDUNDANCY);
        found = either(found, v->conf == EV_UNKNOWN ? TRI_UNKNOWN
                              : posture_is_geo(v)   ? TRI_YES
                                                    : TRI_NO);
        *ret_conf = v->conf == EV_INFERRED ? EV_INFERRED : *ret_conf;
    }
    static const enum estate_attr flags[] = {ATTR_GEO_BACKUP, ATTR_FAILOVER_GROUP, ATTR_OWN_BACKUP};
    for (size_t i = 0; i < ARRAY_COUNT(flags); i++) {
        if (estate_type_has(a->type, flags[i])) {
            v = estate_attr(a, flags[i]);
            found = either(found, tri_of(v));
            *ret_conf = v->conf == EV_INFERRED ? EV_INFERRED : *ret_conf;
        }
    }
    if (estate_type_has(a->type, ATTR_BACKUP_REDUNDANCY)) {
        v = estate_attr(a, ATTR_BACKUP_REDUNDANCY);
        found = either(found, v->conf == EV_UNKNOWN         ? TRI_UNKNOWN
                              : str_eq(v->text, STR("geo")) ? TRI_YES
                                                            : TRI_NO);
    }
    if (a->type == TYPE_KEY_VAULT && estate_primary(a)) {
        /* The provider keeps one in the pair. */
        enum estate_tri pair = posture_region(p, estate_primary(a)->region).has_pair;
        found = either(found, pair);
    }
    return found;
}
