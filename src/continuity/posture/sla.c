/* SLA-composed figures: what the promises of the parts amount to for what is made of them.
 *
 * Subjects are the assets that nothing else needs, and every Cosmos-type account. Only what is on the
 * critical path enters; each asset once, whatever the number of ways to it; what both regions need
 * stands outside the parallel term. */
#include "base/contract.h"
#include "base/mem.h"
#include "continuity/posture/arith.h"
#include "continuity/posture/figures_int.h"

enum { PARTS_MAX = 256 };

struct parts {
    const struct estate_asset *items[PARTS_MAX];
    size_t count;
    bool is_over;
};

static bool has_part(const struct parts *s, const struct estate_asset *a)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->items[i] == a) {
            return true;
        }
    }
    return false;
}

static void add_part(void *ctx, const struct estate_asset *needed)
{
    struct parts *s = ctx;
    if (!is_on_path(needed) || has_part(s, needed)) {
        return;
    }
    if (s->count == PARTS_MAX) {
        s->is_over = true;
        return;
    }
    s->items[s->count++] = needed;
}

/* `a` and all it needs, directly or not. The list grows while it is walked. */
static void closure(const struct estate_asset *a, struct parts *s)
{
    s->count = 0;
    s->is_over = false;
    s->items[s->count++] = a;
    for (size_t i = 0; i < s->count; i++) {
        needs_each(s->items[i], add_part, s);
    }
}

/* ---- one asset ---- */

/* Promise of a Cosmos DB account, percent (S4). Reads by the table of operations, writes by the one of
 * indicators: for reads of several regions with one writer the two disagree (99.999 and 99.995). */
static double cosmos_percent(const struct posture *p, const struct estate_asset *a, bool is_write)
{
    UNUSED(p);
    bool is_open = false;
    size_t n = posture_region_count(a, &is_open);
    enum estate_tri multi = posture_multi_write(a);
    bool all_zones = a->placement_count > 0;
    for (size_t i = 0; i < a->placement_count; i++) {
        all_zones = all_zones && a->placements[i].is_zone_redundant == TRI_YES;
    }
    if (n == 0 || is_open || (n > 1 && multi == TRI_UNKNOWN)) {
        return -1;
    }
    if (n > 1 && (multi == TRI_YES || !is_write)) {
        return 99.999;
    }
    return all_zones ? 99.995 : 99.99;
}

/* -1 when no figure is known. */
static double percent_of(const struct posture *p, const struct estate_asset *a, bool is_write)
{
    const struct estate_value *v = estate_attr(a, ATTR_SLA);
    if (v->conf != EV_UNKNOWN) {
        return v->number;
    }
    return a->type == TYPE_COSMOS_ACCOUNT ? cosmos_percent(p, a, is_write) : -1;
}

struct product {
    const struct posture *p;
    bool is_write;
    double a;           /* so far */
    struct buf formula; /* "99.95 (app) x 99.99 (vault)" */
    struct buf missing;
};

static void multiply(struct product *x, const struct estate_asset *part)
{
    double percent = percent_of(x->p, part, x->is_write);
    if (percent < 0) {
        if (x->missing.n < 400) {
            buf_printf(&x->missing, "%s" STR_FMT, x->missing.n > 0 ? ", " : "sla of ",
                       STR_ARG(part->id));
        }
        return;
    }
    x->a *= percent / 100;
    buf_printf(&x->formula, "%s%.7g (" STR_FMT ")", x->formula.n > 0 ? " x " : "", percent,
               STR_ARG(part->id));
}

static void product_init(struct product *x, const struct posture *p, bool is_write)
{
    *x = (struct product){.p = p, .is_write = is_write, .a = 1};
    buf_init(&x->formula, 64 << 10);
    buf_init(&x->missing, 64 << 10);
}

static void product_done(struct product *x)
{
    buf_done(&x->formula);
    buf_done(&x->missing);
}

/* ---- shapes ---- */

static void set_percent(struct report_sla *s, double a)
{
    s->is_known = TRI_YES;
    s->percent = a * 100;
    s->downtime_min_per_year = arith_downtime_min(a);
}

static double number_or(const struct estate_asset *a, enum estate_attr attr, double otherwise)
{
    const struct estate_value *v = estate_attr(a, attr);
    return v->conf == EV_UNKNOWN ? otherwise : v->number;
}

/* Active/standby of the first region's product and the second's. */
static void standby(const struct posture *p, const struct report_asset *ra, double a1, double a2,
                    double shared, struct report_sla *s)
{
    const struct estate_asset *a = ra->asset;
    const struct figure *rto = ra->rto[BY_MEASUREMENT].kind == FIGURE_VALUE
                                   ? &ra->rto[BY_MEASUREMENT]
                                   : &ra->rto[BY_ESTIMATE];
    const struct estate_value *stated = estate_attr(a, ATTR_FAILOVER_SUCCESS);
    if (rto->kind != FIGURE_VALUE && rto->kind != FIGURE_AT_LEAST) {
        s->missing = STR("a failover time (failover_time, or a drill)");
        return;
    }
    struct arith_standby in = {
        .primary = a1,
        .standby = a2,
        .outages_per_year = number_or(a, ATTR_OUTAGES_PER_YEAR, 2),
        .failover_min = (double)rto->ms / 60000,
        .success = stated->conf == EV_UNKNOWN ? 0.9 : stated->number / 100,
    };
    if (in.outages_per_year <= 0) {
        s->missing = STR("outages_per_year above 0");
        return;
    }
    bool is_useless = false;
    double outage = 0;
    set_percent(s, shared * arith_standby(&in, &is_useless, &outage));
    struct buf note;
    buf_init(&note, 4096);
    buf_printf(&note,
               "active/standby: %.4g outages a year%s, failover %.4g min (%s), works in %.4g %%%s",
               in.outages_per_year,
               estate_attr(a, ATTR_OUTAGES_PER_YEAR)->conf == EV_UNKNOWN ? " (assumed)" : "",
               in.failover_min, rto == &ra->rto[BY_MEASUREMENT] ? "measured" : "estimated",
               in.success * 100, stated->conf == EV_UNKNOWN ? " (assumed: never drilled)" : "");
    if (is_useless) {
        buf_printf(&note,
                   "; this failover is useless: it takes as long as the mean outage it answers "
                   "(%.4g min), or longer",
                   outage);
    }
    s->note = arena_str(p->arena, buf_str(&note));
    buf_done(&note);
}

static void compose_pair(const struct posture *p, const struct report_asset *ra,
                         const struct parts *mine, const struct parts *theirs, bool is_write,
                         struct report_sla *s)
{
    struct product first;
    struct product second;
    struct product both;
    product_init(&first, p, is_write);
    product_init(&second, p, is_write);
    product_init(&both, p, is_write);
    for (size_t i = 0; i < mine->count; i++) {
        multiply(has_part(theirs, mine->items[i]) ? &both : &first, mine->items[i]);
    }
    for (size_t i = 0; i < theirs->count; i++) {
        if (!has_part(mine, theirs->items[i])) {
            multiply(&second, theirs->items[i]);
        }
    }
    const struct posture_list *routes = &p->routes[ra->asset->idx];
    for (size_t i = 0; i < routes->count; i++) {
        multiply(&both, routes->items[i]);
    }
    bool is_hot = ra->topology == TOPOLOGY_HOT_HOT;
    s->formula = arena_printf(p->arena, STR_FMT "%s%s(" STR_FMT " | " STR_FMT ")",
                              STR_ARG(buf_str(&both.formula)), both.formula.n > 0 ? " x " : "",
                              is_hot ? "parallel" : "active/standby",
                              STR_ARG(buf_str(&first.formula)), STR_ARG(buf_str(&second.formula)));
    const struct buf *missing = first.missing.n > 0    ? &first.missing
                                : second.missing.n > 0 ? &second.missing
                                                       : &both.missing;
    if (missing->n > 0) {
        s->missing = arena_str(p->arena, buf_str(missing));
    } else if (is_hot) {
        set_percent(s, arith_two_regions(both.a, first.a, second.a));
        s->note = routes->count == 0
                      ? STR("no router is in the estate: its promise is missing here")
                      : STR_NONE;
    } else if (ra->topology == TOPOLOGY_UNSTATED) {
        s->missing = STR("topology");
    } else {
        standby(p, ra, first.a, second.a, both.a, s);
    }
    product_done(&first);
    product_done(&second);
    product_done(&both);
}

static void compose_single(const struct posture *p, const struct report_asset *ra,
                           const struct parts *mine, bool is_write, struct report_sla *s)
{
    struct product all;
    product_init(&all, p, is_write);
    for (size_t i = 0; i < mine->count; i++) {
        multiply(&all, mine->items[i]);
    }
    const struct posture_list *routes = &p->routes[ra->asset->idx];
    for (size_t i = 0; i < routes->count; i++) {
        multiply(&all, routes->items[i]);
    }
    s->formula = arena_str(p->arena, buf_str(&all.formula));
    if (all.missing.n > 0) {
        s->missing = arena_str(p->arena, buf_str(&all.missing));
    } else {
        set_percent(s, all.a);
    }
    if (ra->asset->type == TYPE_COSMOS_ACCOUNT) {
        s->note =
            STR("account: reads by S4's table of operations, writes by its table of indicators; "
                "the two disagree about reads of several regions with one writer");
    }
    product_done(&all);
}

/* ---- subjects ---- */

static bool is_root(const struct posture *p, const struct estate_asset *a)
{
    const struct posture_list *users = &p->users[a->idx];
    for (size_t i = 0; i < users->count; i++) {
        unsigned char type = (unsigned char)users->items[i]->type;
        if (type != TYPE_ROUTE && type != TYPE_RUNBOOK && type != TYPE_CICD_PIPELINE &&
            type != TYPE_ROLE_ASSIGNMENT && is_on_path(users->items[i])) {
            return false;
        }
    }
    return true;
}

static bool is_subject(const struct posture *p, const struct estate_asset *a)
{
    if (a->type == TYPE_ROUTE || a->type == TYPE_RUNBOOK || !is_on_path(a)) {
        return false;
    }
    if (a->type == TYPE_COSMOS_ACCOUNT) {
        return true;
    }
    if (!is_root(p, a)) {
        return false;
    }
    struct peer_fact peer = posture_peer(p, a);
    return !peer.is_second &&
           (a->depends_on_count > 0 || peer.asset || estate_attr(a, ATTR_SLA)->conf != EV_UNKNOWN);
}

static bool has_cosmos(const struct parts *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->items[i]->type == TYPE_COSMOS_ACCOUNT) {
            return true;
        }
    }
    return false;
}

void slas_of(const struct posture *p, struct report *r)
{
    struct parts *mine = MEM_NEW(struct parts);
    struct parts *theirs = MEM_NEW(struct parts);
    r->slas = ARENA_NEW_ARRAY(p->arena, struct report_sla, r->asset_count * 2 + 1);
    for (size_t i = 0; i < r->asset_count; i++) {
        const struct report_asset *ra = &r->assets[i];
        if (!is_subject(p, ra->asset)) {
            continue;
        }
        closure(ra->asset, mine);
        struct peer_fact peer = posture_peer(p, ra->asset);
        bool is_pair = peer.asset && !peer.is_second;
        if (is_pair) {
            closure(peer.asset, theirs);
        }
        /* Reads and writes differ only where a Cosmos DB account is among the parts. */
        unsigned ops = has_cosmos(mine) ? 2 : 1;
        for (unsigned op = 0; op < ops; op++) {
            struct report_sla *s = &r->slas[r->sla_count++];
            s->asset = ra->asset;
            s->operation = ops == 1 ? "all" : op == 0 ? "write" : "read";
            if (mine->is_over || (is_pair && theirs->is_over)) {
                s->missing = STR("too many parts to compose");
            } else if (is_pair) {
                compose_pair(p, ra, mine, theirs, op == 0, s);
            } else {
                compose_single(p, ra, mine, op == 0, s);
            }
        }
    }
    mem_free(mine);
    mem_free(theirs);
}
