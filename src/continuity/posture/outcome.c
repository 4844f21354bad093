/* What happens to each asset when a region or a zone is lost: first to it alone, then through what it
 * cannot do without.
 *
 * An asset whose peer carries on is only taken down by what both of the pair need. Effects only ever
 * get worse while they spread, so that circles of dependencies end. */
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"
#include "continuity/posture/figures_int.h"

struct loss {
    const struct posture *p;
    const struct report_asset *assets;
    struct str region;
    struct str zone; /* empty: the whole region */
};

const char *effect_name(enum effect e)
{
    static const char *const names[] = {
        [EFFECT_NONE] = "not touched",  [EFFECT_GOES_ON] = "goes on",
        [EFFECT_DEGRADED] = "degraded", [EFFECT_FAILS_OVER] = "fails over",
        [EFFECT_UNKNOWN] = "unknown",   [EFFECT_NEEDS_HANDS] = "needs people",
        [EFFECT_STOPS] = "stops",
    };
    ASSERT(e < EFFECT_COUNT);
    return names[e];
}

bool is_on_path(const struct estate_asset *a)
{
    if (a->critical_path != TRI_UNKNOWN) {
        return a->critical_path == TRI_YES;
    }
    return !(estate_type_row(a->type)->flags & TYPE_OFF_PATH);
}

void needs_each(const struct estate_asset *a,
                void (*fn)(void *ctx, const struct estate_asset *needed), void *ctx)
{
    static const enum estate_attr needed[] = {
        ATTR_DEFAULT_STORAGE, ATTR_KEY_VAULT,   ATTR_CONTAINER_REGISTRY, ATTR_STORAGE,
        ATTR_DATA_STORES,     ATTR_CMK_ACCOUNT, ATTR_EXTERNAL_METASTORE, ATTR_WORKSPACE,
    };
    for (size_t i = 0; i < a->depends_on_count; i++) {
        if (a->depends_on[i].asset) {
            fn(ctx, a->depends_on[i].asset);
        }
    }
    for (size_t i = 0; i < a->attr_count; i++) {
        bool is_needed = false;
        for (size_t k = 0; k < ARRAY_COUNT(needed) && !is_needed; k++) {
            is_needed = a->attrs[i].attr == needed[k];
        }
        const struct estate_value *v = &a->attrs[i].value;
        for (size_t k = 0; is_needed && k < v->count; k++) {
            if (v->refs[k].asset) {
                fn(ctx, v->refs[k].asset);
            }
        }
    }
}

/* ---- one asset by itself ---- */

static void set(struct report_outcome *o, enum effect effect, const char *why, const char *action)
{
    o->effect = effect;
    o->why = str_of(why);
    o->action = str_of(action);
}

/* Figures of an outcome: what would be lost and for how long. */
static void set_figures(const struct report_asset *ra, struct report_outcome *o)
{
    const struct figure *rpo = ra->rpo;
    const struct figure *rto = ra->rto;
    o->loss = rpo[BY_ESTIMATE];
    if (rpo[BY_CURRENT].kind == FIGURE_VALUE && o->loss.kind == FIGURE_UNKNOWN) {
        o->loss = rpo[BY_CURRENT];
    }
    if (o->effect == EFFECT_GOES_ON || o->effect == EFFECT_DEGRADED) {
        o->down = (struct figure){FIGURE_VALUE, 0, STR_NONE};
    } else if (o->effect == EFFECT_STOPS) {
        o->down = (struct figure){FIGURE_UNBOUNDED, 0, STR("until it returns")};
    } else {
        o->down = rto[BY_MEASUREMENT].kind == FIGURE_VALUE ? rto[BY_MEASUREMENT] : rto[BY_ESTIMATE];
    }
}

static bool is_first_region(const struct loss *l, const struct estate_asset *a)
{
    const struct estate_placement *p = estate_primary(a);
    return p && str_eq(p->region, l->region);
}

static bool is_automatic(const struct estate_asset *a)
{
    const struct estate_value *v = estate_attr(a, ATTR_FAILOVER_AUTOMATIC);
    return v->conf != EV_UNKNOWN && v->boolean;
}

static void lose_cosmos(const struct loss *l, const struct report_asset *ra,
                        struct report_outcome *o)
{
    const struct estate_asset *a = ra->asset;
    bool is_open = false;
    size_t n = posture_region_count(a, &is_open);
    enum estate_tri multi = posture_multi_write(a);
    const struct estate_value *level = estate_attr(a, ATTR_CONSISTENCY);
    const struct estate_value *automatic = estate_attr(a, ATTR_AUTOMATIC_FAILOVER);
    bool is_strong = level->conf != EV_UNKNOWN && str_eq(level->text, STR("strong"));
    if (n < 2) {
        set(o, is_open ? EFFECT_UNKNOWN : EFFECT_STOPS,
            is_open ? "its other regions are not stated" : "its only region is lost, with all data",
            "restore a backup into another region, if there is one");
    } else if (!is_first_region(l, a) || multi == TRI_YES) {
        set(o, EFFECT_GOES_ON,
            is_first_region(l, a)
                ? "every region takes writes; recent updates of the lost one may be "
                  "missing until it returns"
                : "a read region is lost: reads move to another, no data are lost",
            "");
        if (is_strong && n == 2 && multi != TRI_YES) {
            set(o, EFFECT_NEEDS_HANDS,
                "strong over two regions: writes stop until the lost one is marked failed",
                "mark the lost region as failed");
        }
    } else if (a->type == TYPE_HOLDFAST_ACCOUNT) {
        set(o, EFFECT_FAILS_OVER,
            is_strong
                ? "the next region is promoted; nothing acknowledged is missing"
                : "the next region is promoted; what was not replicated is in the conflict feed "
                  "when the region returns",
            is_strong ? "watch `holdfast status`"
                      : "watch `holdfast status`; read the conflict feed after the return");
    } else if (automatic->conf == EV_UNKNOWN || multi == TRI_UNKNOWN) {
        set(o, EFFECT_UNKNOWN, "automatic_failover or multi_write is not stated",
            "state automatic_failover");
    } else if (automatic->boolean) {
        set(o, EFFECT_FAILS_OVER,
            "reads go on; writes stop until the next region by priority is promoted",
            "start no manual failover; check that the throughput left is enough");
    } else {
        set(o, EFFECT_STOPS,
            "reads go on; writes stop until the region returns: automatic failover "
            "is off",
            "start no manual failover: it needs both regions; turn automatic failover on before "
            "the "
            "next time");
    }
    set_figures(ra, o);
    if (!is_first_region(l, a) && n > 1) {
        o->loss = (struct figure){FIGURE_VALUE, 0, STR("the write region has it all")};
    }
}

/* Storage of one region with a geo-copy. */
static void lose_geo_storage(const struct report_asset *ra, bool is_default,
                             struct report_outcome *o)
{
    const struct estate_value *r = estate_attr(ra->asset, ATTR_REDUNDANCY);
    const struct estate_value *relies = estate_attr(ra->asset, ATTR_RELIES_ON_FAILOVER);
    bool is_readable = str_starts(r->text, STR("ra_"));
    if (is_default) {
        set(o, is_readable ? EFFECT_DEGRADED : EFFECT_STOPS,
            is_readable
                ? "the geo-copy can be read; failover of a workspace's default storage is not "
                  "supported"
                : "failover of a workspace's default storage is not supported",
            "work with the default storage of the peer workspace");
    } else if (is_readable && !(relies->conf != EV_UNKNOWN && relies->boolean)) {
        set(o, EFFECT_DEGRADED, "the geo-copy can be read; writes wait for an account failover",
            "decide on an account failover; bring geo-redundancy back after it");
    } else {
        set(o, EFFECT_NEEDS_HANDS,
            "a geo-copy is elsewhere; somebody has to start the account failover",
            "start the account failover; bring geo-redundancy back after it");
    }
}

/* Something that is in the lost region only, or in several, and is no Cosmos-type account. */
static void lose_other(const struct loss *l, const struct report_asset *ra,
                       struct report_outcome *o)
{
    const struct estate_asset *a = ra->asset;
    bool is_open = false;
    bool is_several = posture_region_count(a, &is_open) > 1;
    struct peer_fact peer = posture_peer(l->p, a);
    enum estate_confidence conf;
    enum estate_tri copy = ra->is_stateful ? posture_copy_elsewhere(l->p, a, &conf) : TRI_NO;
    if ((is_several && !is_first_region(l, a)) || peer.is_second) {
        set(o, EFFECT_GOES_ON, "the first of its regions serves", "");
    } else if (a->type == TYPE_CONTAINER_REGISTRY && is_several) {
        set(o, EFFECT_DEGRADED,
            "pulls go on from the replica; the control plane is in the lost region", "");
    } else if (a->type == TYPE_KEY_VAULT &&
               posture_region(l->p, l->region).has_pair != TRI_UNKNOWN) {
        bool has_pair = posture_region(l->p, l->region).has_pair == TRI_YES;
        set(o, has_pair ? EFFECT_DEGRADED : EFFECT_STOPS,
            has_pair ? "it fails over within minutes and is read-only until the return"
                     : "its region has no pair: the provider does not fail it over",
            has_pair ? "write no secrets meanwhile" : "restore its backup into a chosen region");
    } else if (is_several || peer.has == TRI_YES) {
        bool is_auto = is_automatic(a);
        enum estate_topology t = ra->topology;
        if (t == TOPOLOGY_HOT_HOT) {
            set(o, EFFECT_GOES_ON, "the other region is active as well", "");
        } else if (is_auto) {
            set(o, EFFECT_FAILS_OVER, "the other region takes over by itself", "");
        } else if (t == TOPOLOGY_UNSTATED) {
            set(o, EFFECT_UNKNOWN, "its topology is not stated", "state topology");
        } else if (t == TOPOLOGY_HOT_WARM) {
            set(o, EFFECT_NEEDS_HANDS, "what waits in the other region has to be started",
                "start the other region and lead clients there");
        } else {
            set(o, EFFECT_NEEDS_HANDS, "it has to be deployed in the other region",
                "deploy in the other region and lead clients there");
        }
    } else if (ra->is_stateful && estate_type_has(a->type, ATTR_REDUNDANCY) &&
               posture_is_geo(estate_attr(a, ATTR_REDUNDANCY))) {
        lose_geo_storage(ra, l->p->default_of[a->idx].count > 0, o);
    } else if (ra->is_stateful && copy == TRI_YES) {
        set(o, EFFECT_NEEDS_HANDS, "it is gone with the region, a copy or backup is elsewhere",
            "restore or promote the copy");
    } else if (ra->is_stateful && copy == TRI_UNKNOWN) {
        set(o, EFFECT_UNKNOWN, "whether a copy or backup is in another region is not stated",
            "state copy_in and backups");
    } else if (ra->is_stateful) {
        set(o, EFFECT_STOPS,
            posture_backed_up(l->p, a) == TRI_YES ? "it and its backups are in this region only"
                                                  : "it is in this region only, with all its data",
            "wait for the region");
    } else if (estate_type_row(a->type)->geo == PARTY_PROVIDER) {
        set(o, EFFECT_GOES_ON, "its provider replicates it; it gives no second workspace", "");
    } else if (a->type == TYPE_BACKUP) {
        set(o, EFFECT_STOPS, "the backups kept in this region cannot be reached", "");
    } else if (peer.has == TRI_UNKNOWN) {
        set(o, EFFECT_UNKNOWN, "whether it has a counterpart elsewhere is not stated",
            "state peer");
    } else {
        set(o, EFFECT_STOPS, "it is in this region only",
            "create it elsewhere, or wait for the region");
    }
    set_figures(ra, o);
    if ((is_several && !is_first_region(l, a)) && ra->is_stateful) {
        o->loss = (struct figure){FIGURE_VALUE, 0, STR("the primary has it all")};
    }
}

static void lose_region(const struct loss *l, const struct report_asset *ra,
                        struct report_outcome *o)
{
    const struct estate_asset *a = ra->asset;
    bool is_here = estate_is_in(a, l->region);
    if (!is_here &&
        (a->placements_open ||
         (a->placement_count == 0 && !(estate_type_row(a->type)->flags & TYPE_REGIONLESS)))) {
        set(o, EFFECT_UNKNOWN, "its regions are not stated", "state region");
        set_figures(ra, o);
    } else if (is_here && (estate_type_row(a->type)->flags & TYPE_COSMOS)) {
        lose_cosmos(l, ra, o);
    } else if (is_here) {
        lose_other(l, ra, o);
    }
}

/* Replicas in several zones of the region; NO for things that are in one by their kind. */
static enum estate_tri survives_zone(const struct loss *l, const struct estate_asset *a)
{
    for (size_t i = 0; i < a->placement_count; i++) {
        if (str_eq(a->placements[i].region, l->region) &&
            a->placements[i].is_zone_redundant != TRI_UNKNOWN) {
            return a->placements[i].is_zone_redundant;
        }
    }
    if (estate_type_has(a->type, ATTR_ZONE_REDUNDANT)) {
        const struct estate_value *v = estate_attr(a, ATTR_ZONE_REDUNDANT);
        if (v->conf != EV_UNKNOWN) {
            return v->boolean ? TRI_YES : TRI_NO;
        }
    }
    if (estate_type_has(a->type, ATTR_REDUNDANCY)) {
        const struct estate_value *v = estate_attr(a, ATTR_REDUNDANCY);
        if (v->conf != EV_UNKNOWN) {
            return str_find(v->text, STR("z")) >= 0 ? TRI_YES : TRI_NO;
        }
    }
    if (estate_type_has(a->type, ATTR_HA_MODE)) {
        const struct estate_value *v = estate_attr(a, ATTR_HA_MODE);
        if (v->conf != EV_UNKNOWN) {
            return str_eq(v->text, STR("zone_redundant")) ? TRI_YES : TRI_NO;
        }
    }
    bool is_cosmos = estate_type_row(a->type)->flags & TYPE_COSMOS;
    return estate_type_row(a->type)->ha == HA_YES && !is_cosmos ? TRI_YES : TRI_UNKNOWN;
}

static void lose_zone(const struct loss *l, const struct report_asset *ra, struct report_outcome *o)
{
    const struct estate_asset *a = ra->asset;
    if (!estate_is_in(a, l->region)) {
        lose_region(l, ra, o); /* untouched, or unknown where it is */
        return;
    }
    if (a->zones_conf != EV_UNKNOWN && a->zone_count > 0 && is_first_region(l, a)) {
        bool is_in = false;
        for (size_t i = 0; i < a->zone_count; i++) {
            is_in = is_in || str_eq(a->zones[i], l->zone);
        }
        if (!is_in) {
            return;
        }
        if (a->zone_count > 1) {
            set(o, EFFECT_GOES_ON, "it is in several zones", "");
            o->loss = (struct figure){FIGURE_VALUE, 0, STR_NONE};
            o->down = o->loss;
            return;
        }
        lose_region(l, ra, o);
        return;
    }
    enum estate_tri survives = survives_zone(l, a);
    if (survives == TRI_YES) {
        set(o, EFFECT_GOES_ON, "it is zone-redundant", "");
        o->loss = (struct figure){FIGURE_VALUE, 0, STR_NONE};
        o->down = o->loss;
    } else if (survives == TRI_NO) {
        /* Nobody promises which zone it is in. */
        lose_region(l, ra, o);
        o->why =
            arena_printf(l->p->arena, "not zone-redundant, so counted as in the zone: " STR_FMT,
                         STR_ARG(o->why));
    } else {
        set(o, EFFECT_UNKNOWN, "its zones are not stated", "state zones or zone_redundant");
        set_figures(ra, o);
    }
}

/* ---- through dependencies ---- */

struct needs {
    const struct estate_asset *wanted;
    bool is_needed;
};

static void is_it(void *ctx, const struct estate_asset *needed)
{
    struct needs *n = ctx;
    n->is_needed = n->is_needed || needed == n->wanted;
}

static bool needs_it(const struct estate_asset *a, const struct estate_asset *it)
{
    struct needs n = {it, false};
    needs_each(a, is_it, &n);
    return n.is_needed;
}

/* The asset itself is lost here and goes on by its other half, which must not need `dep` as well. */
static bool is_carried(const struct loss *l, const struct report_asset *ra,
                       const struct report_outcome *o, const struct estate_asset *dep)
{
    if (o->effect == EFFECT_NONE || !estate_is_in(ra->asset, l->region)) {
        return false;
    }
    struct peer_fact peer = posture_peer(l->p, ra->asset);
    return peer.asset && !needs_it(peer.asset, dep);
}

struct spread {
    const struct loss *l;
    struct report_outcome *outcomes;
    unsigned char *is_queued;
    const struct estate_asset **queue; /* ring of asset_count places: each is in it once at most */
    size_t head;
    size_t count;
};

static void enqueue(struct spread *s, const struct estate_asset *a)
{
    size_t n = s->l->p->estate->asset_count;
    if (!s->is_queued[a->idx]) {
        s->is_queued[a->idx] = 1;
        s->queue[(s->head + s->count++) % n] = a;
    }
}

static void spread_to(struct spread *s, const struct estate_asset *user,
                      const struct estate_asset *dep)
{
    const struct report_outcome *from = &s->outcomes[dep->idx];
    struct report_outcome *to = &s->outcomes[user->idx];
    if (from->effect <= to->effect || from->effect <= EFFECT_GOES_ON || !needs_it(user, dep) ||
        is_carried(s->l, &s->l->assets[user->idx], to, dep)) {
        return;
    }
    to->effect = from->effect;
    to->because = dep;
    to->why = arena_printf(s->l->p->arena, "it needs " STR_FMT " (%s)", STR_ARG(dep->id),
                           effect_name(from->effect));
    to->action = STR_NONE; /* what has to be done is done there */
    to->down = from->down;
    if (to->loss.kind == FIGURE_NOT_STATED) {
        to->loss = (struct figure){FIGURE_NOT_APPLICABLE, 0, STR("told of what it needs")};
    }
    enqueue(s, user);
}

static void spread_all(const struct loss *l, struct report_outcome *outcomes)
{
    size_t n = l->p->estate->asset_count;
    struct spread s = {.l = l, .outcomes = outcomes};
    s.is_queued = MEM_NEW_ARRAY(unsigned char, n + 1);
    s.queue = MEM_NEW_ARRAY(const struct estate_asset *, n + 1);
    for (size_t i = 0; i < n; i++) {
        if (outcomes[i].effect > EFFECT_GOES_ON) {
            enqueue(&s, l->p->estate->assets[i]);
        }
    }
    while (s.count > 0) {
        const struct estate_asset *dep = s.queue[s.head];
        s.head = (s.head + 1) % n;
        s.count--;
        s.is_queued[dep->idx] = 0;
        const struct posture_list *users = &l->p->users[dep->idx];
        for (size_t i = 0; i < users->count && is_on_path(dep); i++) {
            spread_to(&s, users->items[i], dep);
        }
    }
    mem_free(s.is_queued);
    mem_free((void *)s.queue);
}

/* Who has to act, and by which runbook. */
static void name_actor(const struct posture *p, const struct estate_asset *a,
                       struct report_outcome *o)
{
    if (o->action.n == 0) {
        return;
    }
    const struct posture_list *books = &p->runbooks[a->idx];
    o->who = a->owner.n > 0 ? a->owner : STR("nobody named");
    if (books->count > 0 && o->effect != EFFECT_UNKNOWN) {
        o->action = arena_printf(p->arena, "carry out the runbook " STR_FMT ": " STR_FMT,
                                 STR_ARG(books->items[0]->id), STR_ARG(o->action));
        o->who = books->items[0]->owner.n > 0 ? books->items[0]->owner : o->who;
    }
}

void outcomes_of(const struct posture *p, const struct report_asset *assets, struct str region,
                 struct str zone, struct report_outcome *outcomes)
{
    struct loss l = {p, assets, region, zone};
    memset(outcomes, 0, sizeof(*outcomes) * p->estate->asset_count);
    for (size_t i = 0; i < p->estate->asset_count; i++) {
        (zone.n > 0 ? lose_zone : lose_region)(&l, &assets[i], &outcomes[i]);
    }
    if (p->estate->asset_count > 0) {
        spread_all(&l, outcomes);
    }
    for (size_t i = 0; i < p->estate->asset_count; i++) {
        name_actor(p, p->estate->assets[i], &outcomes[i]);
    }
}
