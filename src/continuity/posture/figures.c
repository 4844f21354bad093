/* Recovery in four figures for each asset: objective, estimated, current, measured. What each rests
 * on goes into `how`; where that is not known the figure is unknown, and says what to state. */
#include "continuity/posture/figures_int.h"

#include "base/contract.h"

enum { MINUTE_MS = 60000 };
/* Promotion of a Cosmos DB account by its provider: an hour or more, by the provider's guidance
 * (MicrosoftDocs/azure-databases-docs, cosmos-db/disaster-recovery-guidance, 02/2026). */
#define COSMOS_FAILOVER_MS (INT64_C(60) * MINUTE_MS)
/* A private link to a vault that has failed over can take this long. */
#define VAULT_FAILOVER_MS (INT64_C(20) * MINUTE_MS)
/* Loss of a write region at session, consistent prefix and eventual (source S4). */
#define COSMOS_WINDOW_MS (INT64_C(15) * MINUTE_MS)
/* Bounded staleness of an account of several regions, when nothing else is stated (S4). */
#define COSMOS_BOUNDED_MS (INT64_C(5) * MINUTE_MS)

static struct figure value_of(int64_t ms, struct str how)
{
    return (struct figure){FIGURE_VALUE, ms, how};
}

static struct figure just(enum figure_kind kind, const char *how)
{
    return (struct figure){kind, 0, str_of(how)};
}

static int64_t attr_ms(const struct estate_asset *a, enum estate_attr attr)
{
    const struct estate_value *v = estate_attr(a, attr);
    return v->conf == EV_UNKNOWN ? -1 : v->integer;
}

static bool attr_is(const struct estate_asset *a, enum estate_attr attr)
{
    const struct estate_value *v = estate_attr(a, attr);
    return v->conf != EV_UNKNOWN && v->boolean;
}

/* ---- loss windows ---- */

struct figure posture_loss_window(const struct posture *p, const struct estate_asset *a)
{
    UNUSED(p);
    bool is_open = false;
    size_t n = posture_region_count(a, &is_open);
    const struct estate_value *level = estate_attr(a, ATTR_CONSISTENCY);
    if (n == 1 && !is_open) {
        return just(FIGURE_UNBOUNDED, "its only region holds all of it");
    }
    if (n < 2) {
        return just(FIGURE_UNKNOWN, "regions are not stated");
    }
    if (level->conf == EV_UNKNOWN) {
        return just(FIGURE_UNKNOWN, "consistency is not stated");
    }
    if (str_eq(level->text, STR("strong"))) {
        return value_of(0, STR("strong: acknowledged means held by other regions"));
    }
    if (str_eq(level->text, STR("bounded_staleness"))) {
        int64_t bound = attr_ms(a, ATTR_STALENESS_TIME);
        return bound >= 0 ? value_of(bound, STR("bounded staleness, staleness_time"))
                          : value_of(COSMOS_BOUNDED_MS,
                                     STR("bounded staleness, 5 min or 100,000 updates (S4)"));
    }
    if (a->type == TYPE_COSMOS_ACCOUNT) {
        return value_of(COSMOS_WINDOW_MS, STR("up to 15 min at this consistency level (S4)"));
    }
    int64_t lag = attr_ms(a, ATTR_REPLICATION_LAG);
    return lag >= 0
               ? value_of(lag, STR("replication_lag; the level itself gives no bound"))
               : just(FIGURE_UNKNOWN, "the level gives no bound; state replication_lag, or run "
                                      "`holdfast drill`");
}

/* ---- RPO ---- */

static struct figure estimated_rpo(const struct posture *p, const struct estate_asset *a)
{
    const struct estate_type_row *type = estate_type_row(a->type);
    if (!(type->flags & TYPE_STATEFUL)) {
        return just(FIGURE_NOT_APPLICABLE, "holds no data of its own");
    }
    if (type->flags & TYPE_COSMOS) {
        return posture_loss_window(p, a);
    }
    if (estate_type_has(a->type, ATTR_PROVIDER_RPO)) {
        int64_t ms = attr_ms(a, ATTR_PROVIDER_RPO);
        return ms >= 0 ? value_of(ms, STR("the provider's, in writing"))
                       : just(FIGURE_UNKNOWN, "the provider states no figure (S3)");
    }
    int64_t lag = attr_ms(a, ATTR_REPLICATION_LAG);
    if (lag >= 0) {
        return value_of(lag, STR("replication_lag"));
    }
    enum estate_confidence conf;
    enum estate_tri copy = posture_copy_elsewhere(p, a, &conf);
    if (copy == TRI_NO) {
        return just(FIGURE_UNBOUNDED, "no copy and no backup outside its region");
    }
    if (copy == TRI_UNKNOWN) {
        return just(FIGURE_UNKNOWN, "whether a copy is in another region is not stated");
    }
    return just(FIGURE_UNKNOWN, "a copy is elsewhere, its lag is not stated (replication_lag)");
}

static struct figure current_rpo(const struct posture *p, const struct estate_asset *a)
{
    if (!(estate_type_row(a->type)->flags & TYPE_STATEFUL)) {
        return just(FIGURE_NOT_APPLICABLE, "");
    }
    int64_t lag = attr_ms(a, ATTR_REPLICATION_LAG);
    if (lag >= 0) {
        return value_of(lag, STR("replication_lag"));
    }
    int64_t sync = attr_ms(a, ATTR_LAST_SYNC_TIME);
    if (sync >= 0) {
        return value_of(sync > p->at_ms ? 0 : p->at_ms - sync, STR("age of last_sync_time"));
    }
    const struct estate_value *backups = estate_attr(a, ATTR_BACKUPS);
    int64_t newest = -1;
    bool is_open = false;
    /* Where replicas are elsewhere, the backup is not what a region's loss is answered with. */
    bool is_several = posture_region_count(a, &is_open) > 1;
    for (size_t i = 0; i < backups->count && !is_several; i++) {
        const struct estate_asset *b = backups->refs[i].asset;
        const struct estate_placement *home = estate_primary(a);
        if (b && home && b->placement_count == 1 && estate_is_in(b, home->region)) {
            continue; /* lost with the region */
        }
        int64_t point = b && estate_type_has(b->type, ATTR_LAST_RECOVERABLE_POINT)
                            ? attr_ms(b, ATTR_LAST_RECOVERABLE_POINT)
                            : -1;
        newest = point > newest ? point : newest;
    }
    return newest >= 0 ? value_of(newest > p->at_ms ? 0 : p->at_ms - newest,
                                  STR("age of its backup's last_recoverable_point"))
                       : just(FIGURE_NOT_STATED, "");
}

/* ---- RTO ---- */

/* A sum with its terms as text. */
struct sum {
    struct buf how;
    int64_t ms;
};

static void add_term(struct sum *s, const char *name, int64_t ms)
{
    if (ms == 0) {
        return;
    }
    buf_printf(&s->how, "%s%s ", s->how.n > 0 ? " + " : "", name);
    estate_write_duration(&s->how, ms);
    s->ms += ms;
}

/* Longest time to live of the routes that lead to it, and of what resolvers make of it. */
static int64_t route_ms(const struct posture *p, const struct estate_asset *a)
{
    const struct posture_list *l = &p->routes[a->idx];
    int64_t longest = -1;
    for (size_t i = 0; i < l->count; i++) {
        int64_t ttl = attr_ms(l->items[i], ATTR_TTL);
        longest = ttl > longest ? ttl : longest;
    }
    int64_t floor_ms = p->estate->policy.resolver_floor_ms;
    return longest < 0 ? 0 : longest > floor_ms ? longest : floor_ms;
}

static struct figure sum_figure(const struct posture *p, const struct estate_asset *a,
                                enum estate_topology t)
{
    const struct estate_policy *policy = &p->estate->policy;
    struct sum s = {.ms = 0};
    buf_init(&s.how, 512);
    int64_t failover = attr_ms(a, ATTR_FAILOVER_TIME);
    if (t != TOPOLOGY_HOT_HOT) {
        add_term(&s, "detect", policy->detect_ms);
        add_term(&s, "decide", attr_is(a, ATTR_FAILOVER_AUTOMATIC) ? 0 : policy->decide_ms);
        if (failover >= 0) {
            add_term(&s, "failover_time", failover);
        } else {
            add_term(&s, "promote", t == TOPOLOGY_BACKUP_ONLY ? 0 : policy->promote_ms);
            add_term(&s, "start", t == TOPOLOGY_HOT_WARM ? policy->start_ms : 0);
            add_term(&s, "deploy", t == TOPOLOGY_HOT_COLD ? policy->deploy_ms : 0);
            add_term(&s, "restore", t == TOPOLOGY_BACKUP_ONLY ? policy->restore_ms : 0);
        }
    }
    add_term(&s, "route", route_ms(p, a));
    add_term(&s, "reconnect", policy->reconnect_ms);
    struct figure f = value_of(s.ms, arena_str(p->arena, buf_str(&s.how)));
    buf_done(&s.how);
    return f;
}

struct figure figures_planned_rto(const struct posture *p, const struct estate_asset *a,
                                  enum estate_topology t)
{
    return sum_figure(p, a, t);
}

static struct figure cosmos_rto(const struct posture *p, const struct estate_asset *a)
{
    bool is_open = false;
    size_t n = posture_region_count(a, &is_open);
    if (n < 2) {
        return is_open ? just(FIGURE_UNKNOWN, "regions are not stated")
                       : just(FIGURE_UNBOUNDED, "one region: down until it returns");
    }
    enum estate_tri multi = posture_multi_write(a);
    if (multi == TRI_YES) {
        return sum_figure(p, a, TOPOLOGY_HOT_HOT);
    }
    if (a->type == TYPE_HOLDFAST_ACCOUNT) {
        int64_t ms = attr_ms(a, ATTR_FAILOVER_TIME);
        return ms >= 0 ? value_of(ms, STR("failover_time"))
                       : just(FIGURE_UNKNOWN, "run `holdfast drill`, or state failover_time");
    }
    const struct estate_value *automatic = estate_attr(a, ATTR_AUTOMATIC_FAILOVER);
    if (multi == TRI_UNKNOWN || automatic->conf == EV_UNKNOWN) {
        return just(FIGURE_UNKNOWN, "automatic_failover or multi_write is not stated");
    }
    if (!automatic->boolean) {
        return just(FIGURE_UNBOUNDED,
                    "automatic failover is off: writes stop until the region returns");
    }
    return (struct figure){FIGURE_AT_LEAST, COSMOS_FAILOVER_MS,
                           STR("failover managed by the provider: an hour or more")};
}

static struct figure estimated_rto(const struct posture *p, const struct estate_asset *a)
{
    const struct estate_type_row *type = estate_type_row(a->type);
    if (a->placement_count == 0 && (type->flags & TYPE_REGIONLESS)) {
        return just(FIGURE_NOT_APPLICABLE, "in no region");
    }
    if (type->flags & TYPE_COSMOS) {
        return cosmos_rto(p, a);
    }
    const struct estate_placement *home = estate_primary(a);
    if (a->type == TYPE_KEY_VAULT) {
        enum estate_tri pair = home ? posture_region(p, home->region).has_pair : TRI_UNKNOWN;
        return pair == TRI_YES
                   ? value_of(VAULT_FAILOVER_MS,
                              STR("failover by the provider: minutes, up to 20 with private "
                                  "links; read-only meanwhile"))
               : pair == TRI_NO ? just(FIGURE_UNBOUNDED, "its region has no pair: no failover")
                                : just(FIGURE_UNKNOWN, "the pair of its region is not known");
    }
    enum estate_confidence conf;
    enum estate_topology t = posture_topology(p, a, &conf);
    struct peer_fact peer = posture_peer(p, a);
    bool is_open = false;
    bool is_several = posture_region_count(a, &is_open) > 1;
    enum estate_tri copy = posture_copy_elsewhere(p, a, &conf);
    bool is_stateful = type->flags & TYPE_STATEFUL;
    if (t == TOPOLOGY_BACKUP_ONLY && is_stateful && copy == TRI_YES) {
        return sum_figure(p, a, t);
    }
    if (is_several || peer.has == TRI_YES || (is_stateful && copy == TRI_YES)) {
        if (t == TOPOLOGY_UNSTATED) {
            return just(FIGURE_UNKNOWN, "topology is not stated");
        }
        /* A stated hot/hot of something with one region and a copy is not one. */
        bool is_alone = !is_several && peer.has != TRI_YES;
        return sum_figure(p, a, is_alone ? TOPOLOGY_HOT_COLD : t);
    }
    if (peer.has == TRI_UNKNOWN && !is_stateful) {
        return just(FIGURE_UNKNOWN, "whether it has a peer is not stated");
    }
    if (is_stateful && copy == TRI_UNKNOWN) {
        return just(FIGURE_UNKNOWN, "whether a copy is in another region is not stated");
    }
    return just(FIGURE_UNBOUNDED,
                "nothing of it is in another region: down until the region returns");
}

/* ---- all ---- */

static struct figure of_objective(int64_t ms, const struct estate_asset *a)
{
    if (ms < 0) {
        return just(FIGURE_NOT_STATED, "");
    }
    return value_of(ms, a->objective ? STR("its own") : STR("of its class"));
}

void figures_of(const struct posture *p, const struct estate_asset *a,
                struct figure rto[FIGURE_SOURCE_COUNT], struct figure rpo[FIGURE_SOURCE_COUNT])
{
    const struct estate_objective *o = estate_objective(p->estate, a);
    const struct posture_drill *drill = &p->drills[a->idx];
    rto[BY_OBJECTIVE] = of_objective(o ? o->rto_ms : -1, a);
    rpo[BY_OBJECTIVE] = of_objective(o ? o->rpo_ms : -1, a);
    rto[BY_ESTIMATE] = estimated_rto(p, a);
    rpo[BY_ESTIMATE] = estimated_rpo(p, a);
    rto[BY_CURRENT] = just(FIGURE_NOT_STATED, "");
    rpo[BY_CURRENT] = current_rpo(p, a);
    int64_t rto_ms = attr_ms(a, ATTR_MEASURED_RTO);
    int64_t rpo_ms = attr_ms(a, ATTR_MEASURED_RPO);
    rto[BY_MEASUREMENT] =
        rto_ms >= 0 ? value_of(rto_ms, STR("measured_rto")) : just(FIGURE_NOT_STATED, "");
    rpo[BY_MEASUREMENT] =
        rpo_ms >= 0 ? value_of(rpo_ms, STR("measured_rpo")) : just(FIGURE_NOT_STATED, "");
    if (drill->is_there) {
        rto[BY_MEASUREMENT] = drill->rto_ms >= 0
                                  ? value_of(drill->rto_ms, drill->rto_how)
                                  : just(FIGURE_UNKNOWN, "the drill report has no recovery time");
        rpo[BY_MEASUREMENT] = drill->rpo_ms >= 0
                                  ? value_of(drill->rpo_ms, drill->rpo_how)
                                  : (struct figure){FIGURE_UNKNOWN, 0, drill->rpo_how};
    }
}

enum estate_tri figures_meet(const struct figure f[FIGURE_SOURCE_COUNT])
{
    static const enum figure_source order[] = {BY_MEASUREMENT, BY_CURRENT, BY_ESTIMATE};
    for (size_t i = 0; i < ARRAY_COUNT(order); i++) {
        const struct figure *x = &f[order[i]];
        switch (x->kind) {
        case FIGURE_VALUE:
            return x->ms <= f[BY_OBJECTIVE].ms ? TRI_YES : TRI_NO;
        case FIGURE_AT_LEAST:
            return x->ms > f[BY_OBJECTIVE].ms ? TRI_NO : TRI_UNKNOWN;
        case FIGURE_UNBOUNDED:
            return TRI_NO;
        case FIGURE_NOT_APPLICABLE:
            return TRI_YES;
        case FIGURE_NOT_STATED:
        case FIGURE_UNKNOWN:
            break;
        }
    }
    return TRI_UNKNOWN;
}

const char *figure_source_name(enum figure_source s)
{
    static const char *const names[] = {[BY_OBJECTIVE] = "objective",
                                        [BY_ESTIMATE] = "estimated",
                                        [BY_CURRENT] = "current",
                                        [BY_MEASUREMENT] = "measured"};
    return names[s];
}

/* For people: "4h 25m 30s". Below a second in milliseconds. */
static void write_span(struct buf *out, int64_t ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    unsigned parts = 0;
    for (size_t i = 0; i < ARRAY_COUNT(units) && parts < 3; i++) {
        int64_t n = ms / units[i].ms;
        ms -= n * units[i].ms;
        if (n > 0) {
            buf_printf(out, "%s%lld%s", parts > 0 ? " " : "", (long long)n, units[i].unit);
            parts++;
        }
    }
    if (parts == 0) {
        buf_add_char(out, '0');
    }
}

void figure_write(struct buf *out, const struct figure *f)
{
    switch (f->kind) {
    case FIGURE_NOT_STATED:
        buf_add_char(out, '-');
        break;
    case FIGURE_UNKNOWN:
        buf_add_cstr(out, "unknown");
        break;
    case FIGURE_AT_LEAST:
        buf_add_cstr(out, "at least ");
        write_span(out, f->ms);
        break;
    case FIGURE_VALUE:
        write_span(out, f->ms);
        break;
    case FIGURE_UNBOUNDED:
        buf_add_cstr(out, "unbounded");
        break;
    case FIGURE_NOT_APPLICABLE:
        buf_add_cstr(out, "n/a");
        break;
    }
}
