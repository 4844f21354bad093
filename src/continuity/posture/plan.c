/* What a move from one region to another takes: placements, who replicates, steps in order. See plan.h.
 *
 * Steps come from tables, one row for each thing that the sources say has to be done for a type of
 * asset; a row is only taken for what is in the region that is left. */
#include "continuity/posture/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"
#include "continuity/posture/arith.h"
#include "continuity/posture/figures_int.h"

#define T(type)  (UINT64_C(1) << TYPE_##type)
#define COSMOS   (T(COSMOS_ACCOUNT) | T(HOLDFAST_ACCOUNT))
#define STORAGE  (T(STORAGE_ACCOUNT) | T(DATABRICKS_STORAGE))
#define POSTGRES (T(POSTGRESQL_SERVER) | T(POSTGRESQL_SINGLE_SERVER))
#define MYSQL    (T(MYSQL_SERVER) | T(MYSQL_SINGLE_SERVER))
#define COMPUTE                                                                                    \
    (T(AML_COMPUTE_INSTANCE) | T(AML_COMPUTE_CLUSTER) | T(AKS_CLUSTER) | T(CONTAINER_INSTANCES) |  \
     T(HDINSIGHT_CLUSTER) | T(APPLICATION) | T(SERVICE))
#define OPENSCALE (T(OPENSCALE_SERVICE) | T(OPENSCALE_CONTENT) | T(OPENSCALE_DATABASE))

/* Topologies that a row is for. */
enum {
    HOT = 1,
    WARM = 2,
    COLD = 4,
    RESTORED = 8, /* backup-only */
    ANY = 15,
};

static const struct {
    enum plan_phase phase;
    unsigned rank;
    uint64_t types;
    unsigned topologies;
    bool is_manual;
    const char *text;
} rows[] = {
    {PLAN_PREPARE, 20, COMPUTE | T(AML_WORKSPACE) | T(DATABRICKS_WORKSPACE), ANY, true,
     "ask for quota in the target region now: capacity is not to be had during an outage"},
    {PLAN_PREPARE, 30, T(AML_WORKSPACE), ANY, true,
     "give the target workspace a default storage account and telemetry of its own; share vault "
     "and "
     "registry"},
    {PLAN_PREPARE, 30, T(AML_DATASTORE), ANY, true, "attach the store to the target workspace too"},
    {PLAN_PREPARE, 30, T(AKS_CLUSTER), ANY, true,
     "create the cluster outside Azure ML and attach it by template"},
    {PLAN_PREPARE, 40,
     T(VIRTUAL_NETWORK) | T(PRIVATE_ENDPOINT) | T(VPN_GATEWAY) | T(DATABRICKS_NETWORK), ANY, true,
     "create the network in the target region and test access to it"},
    {PLAN_PREPARE, 40, COSMOS, ANY, true,
     "turn automatic failover on, give each region its priority, and the clients the whole list"},

    {PLAN_BEFORE, 10, COSMOS, ANY, false, "look at the replication lag of the target region"},
    {PLAN_BEFORE, 10, STORAGE, ANY, true, "look at the last sync time"},
    {PLAN_BEFORE, 10, POSTGRES | MYSQL | T(SQL_DATABASE) | T(HIVE_METASTORE), ANY, true,
     "look at the lag of the replica, or the age of the backup"},
    {PLAN_BEFORE, 20, T(AML_WORKSPACE), HOT | WARM, true,
     "bring registered models and environments to the target workspace: download, register"},
    {PLAN_BEFORE, 21, T(AML_WORKSPACE), ANY, true,
     "register datasets again on shared or replicated storage: they cannot be copied"},
    {PLAN_BEFORE, 22, T(AML_WORKSPACE), ANY, true,
     "keep pipelines as code; ones made in the designer cannot be exported"},
    {PLAN_BEFORE, 30, T(DATABRICKS_WORKSPACE), ANY, true,
     "profiles of the command line for both workspaces"},
    {PLAN_BEFORE, 31, T(DATABRICKS_WORKSPACE), ANY, true, "users, by hand or by SCIM"},
    {PLAN_BEFORE, 32, T(DATABRICKS_WORKSPACE), ANY, true, "folders and notebooks"},
    {PLAN_BEFORE, 33, T(DATABRICKS_WORKSPACE), ANY, true,
     "cluster definitions; keep the map from old to new ids, take allowed fields only"},
    {PLAN_BEFORE, 34, T(DATABRICKS_WORKSPACE), ANY, true,
     "job definitions, without schedules, cluster ids mapped"},
    {PLAN_BEFORE, 35, T(DATABRICKS_WORKSPACE), ANY, true,
     "libraries: uploaded, they do not travel with notebooks"},
    {PLAN_BEFORE, 36, T(DATABRICKS_WORKSPACE), ANY, true,
     "mounts: by a notebook in the target workspace"},
    {PLAN_BEFORE, 37, T(DATABRICKS_WORKSPACE), ANY, true, "init scripts"},
    {PLAN_BEFORE, 38, T(DATABRICKS_WORKSPACE), ANY, true,
     "access lists of notebooks, clusters, jobs, tables"},
    {PLAN_BEFORE, 39, T(DATABRICKS_WORKSPACE), ANY, true, "verify all of it"},
    {PLAN_BEFORE, 40, OPENSCALE, ANY, true,
     "bring custom models, training data and policies to the instance in the target region"},
    {PLAN_BEFORE, 50, T(KEY_VAULT), ANY, true,
     "do what writes secrets or policies now: the vault is read-only while failed over"},

    {PLAN_DURING, 20, T(DATABRICKS_WORKSPACE), ANY, true,
     "disable schedules in the region that is left"},
    {PLAN_DURING, 20, COMPUTE, ANY, true, "if it can be reached: stop taking work there"},
    {PLAN_DURING, 30, T(COSMOS_ACCOUNT), ANY, false,
     "wait for the provider's failover; start no manual one while a region is down: it needs both"},
    {PLAN_DURING, 30, T(HOLDFAST_ACCOUNT), ANY, false,
     "it fails over by itself; for a planned move: `holdfast account failover`"},
    {PLAN_DURING, 30, STORAGE, ANY, true,
     "start the account failover, or use the copy in the target region"},
    {PLAN_DURING, 30, T(SQL_DATABASE), ANY, true, "fail the group over"},
    {PLAN_DURING, 30, POSTGRES | MYSQL | T(HIVE_METASTORE), HOT | WARM | COLD, true,
     "promote the replica"},
    {PLAN_DURING, 30, POSTGRES | MYSQL | T(HIVE_METASTORE) | T(SQL_DATABASE), RESTORED, true,
     "restore the newest backup"},
    {PLAN_DURING, 35, T(KEY_VAULT), ANY, false,
     "it fails over within minutes; write nothing to it"},
    {PLAN_DURING, 40, COMPUTE | T(AML_WORKSPACE), WARM, true,
     "start what waits in the target region"},
    {PLAN_DURING, 40, COMPUTE | T(AML_WORKSPACE), COLD, true,
     "deploy models, services and pipelines from templates in the target region"},
    {PLAN_DURING, 40, COMPUTE | T(AML_WORKSPACE), RESTORED, true,
     "create it in the target region from templates and backups"},
    {PLAN_DURING, 50, T(DATABRICKS_WORKSPACE), ANY, true,
     "set the schedules in the target workspace"},
    {PLAN_DURING, 55, T(CICD_PIPELINE), ANY, true, "repoint deployments to the target region"},
    {PLAN_DURING, 60, T(ROUTE), ANY, true, "lead clients to the target region"},
    {PLAN_DURING, 60, T(OPENSCALE_SERVICE) | T(OPENSCALE_ROUTING), ANY, true,
     "route to the instance in the target region"},

    {PLAN_AFTER, 10, T(AML_WORKSPACE), ANY, true,
     "submit the jobs again that were in flight: they will hardly go on"},
    {PLAN_AFTER, 20, COSMOS, ANY, true,
     "when the region has returned as a read region: read the conflict feed"},
    {PLAN_AFTER, 30, STORAGE, ANY, true,
     "bring geo-redundancy back: after an unplanned failover the account is locally redundant"},
};

static const struct {
    enum plan_phase phase;
    unsigned rank;
    const char *text;
} whole[] = {
    {PLAN_PREPARE, 90,
     "put runbook, journal and credentials where they can be reached from the target region"},
    {PLAN_BEFORE, 90, "drill, and put the measured figures into the estate"},
    {PLAN_DURING, 10, "say what is lost, decide, and write down when"},
    {PLAN_DURING, 70, "probe what clients see in the target region; check that capacity is enough"},
    {PLAN_AFTER, 90, "go back by a planned move of its own, once the old region has caught up"},
};

const char *plan_phase_name(enum plan_phase phase)
{
    static const char *const names[] = {[PLAN_PREPARE] = "prepare",
                                        [PLAN_BEFORE] = "before",
                                        [PLAN_DURING] = "during",
                                        [PLAN_AFTER] = "after"};
    ASSERT(phase < PLAN_PHASE_COUNT);
    return names[phase];
}

/* ---- one asset ---- */

struct builder {
    struct plan *plan;
    struct posture posture;
    size_t step_cap;
};

static void add_step(struct builder *b, struct plan_step step)
{
    struct plan *plan = b->plan;
    if (plan->step_count == b->step_cap) {
        b->step_cap = b->step_cap == 0 ? 64 : b->step_cap * 2;
        struct plan_step *bigger = ARENA_NEW_ARRAY(&plan->arena, struct plan_step, b->step_cap);
        if (plan->step_count > 0) {
            memcpy(bigger, plan->steps, plan->step_count * sizeof(*bigger));
        }
        plan->steps = bigger;
    }
    plan->steps[plan->step_count++] = step;
}

static struct str owner_of(const struct estate_asset *a)
{
    return a->owner.n > 0 ? a->owner : STR("nobody named");
}

static unsigned topology_bit(enum estate_topology t)
{
    switch (t) {
    case TOPOLOGY_HOT_HOT:
        return HOT;
    case TOPOLOGY_HOT_WARM:
        return WARM;
    case TOPOLOGY_BACKUP_ONLY:
        return RESTORED;
    case TOPOLOGY_HOT_COLD:
    case TOPOLOGY_SINGLE:
    case TOPOLOGY_UNSTATED:
        break;
    }
    return COLD;
}

static void add_steps(struct builder *b, const struct estate_asset *a, enum estate_topology t)
{
    /* The failover of a workspace's default storage is not supported: its rows do not hold. */
    bool is_default = b->posture.default_of[a->idx].count > 0;
    if (is_default) {
        add_step(b,
                 (struct plan_step){PLAN_DURING, 30, a,
                                    STR("leave it: work with the default storage of the target "
                                        "workspace; read old outputs here once it can be reached"),
                                    owner_of(a), true});
    }
    for (size_t i = 0; i < ARRAY_COUNT(rows) && !is_default; i++) {
        if ((rows[i].types >> a->type & 1) && (rows[i].topologies & topology_bit(t))) {
            add_step(b, (struct plan_step){rows[i].phase, rows[i].rank, a, str_of(rows[i].text),
                                           owner_of(a), rows[i].is_manual});
        }
    }
}

static bool is_there(const struct builder *b, const struct report_asset *ra)
{
    return estate_is_in(ra->asset, b->plan->to) ||
           (ra->peer && estate_is_in(ra->peer, b->plan->to));
}

/* What must exist in the target region; a step for what does not. */
static void place(struct builder *b, struct plan_asset *pa)
{
    const struct report_asset *ra = pa->asset;
    const struct estate_asset *a = ra->asset;
    const struct estate_type_row *type = estate_type_row(a->type);
    struct str to = b->plan->to;
    struct arena *arena = &b->plan->arena;
    if (is_there(b, ra)) {
        pa->placement = ra->peer && !estate_is_in(a, to)
                            ? arena_printf(arena, STR_FMT " is there", STR_ARG(ra->peer->id))
                            : STR("it is there");
        return;
    }
    if (b->posture.default_of[a->idx].count > 0) {
        pa->placement = STR("nothing of it: the target workspace has a default storage of its own");
        return;
    }
    if (a->type == TYPE_KEY_VAULT &&
        posture_region(&b->posture, b->plan->from).has_pair == TRI_YES) {
        pa->placement = STR("nothing: one vault serves both");
        return;
    }
    if (pa->topology == TOPOLOGY_BACKUP_ONLY) {
        pa->placement = STR("a backup that can be restored there");
    } else if ((type->flags & TYPE_COSMOS) || a->type == TYPE_CONTAINER_REGISTRY) {
        pa->placement = arena_printf(arena, "a replica in " STR_FMT, STR_ARG(to));
    } else if (ra->is_stateful) {
        pa->placement = arena_printf(arena, "a copy of its data in " STR_FMT, STR_ARG(to));
    } else {
        pa->placement = arena_printf(arena, "a counterpart in " STR_FMT, STR_ARG(to));
    }
    add_step(b, (struct plan_step){PLAN_PREPARE, 10, a,
                                   arena_printf(arena, "provide " STR_FMT ": %s",
                                                STR_ARG(pa->placement), type->config),
                                   owner_of(a), true});
}

static void copies(struct builder *b, struct plan_asset *pa)
{
    const struct report_asset *ra = pa->asset;
    bool is_cosmos = estate_type_row(ra->asset->type)->flags & TYPE_COSMOS;
    /* A Cosmos DB account keeps 4 replicas in each region; everything else counts once a region. */
    double each = ra->asset->type == TYPE_COSMOS_ACCOUNT ? 4 : 1;
    bool has_target = false;
    size_t n = 0;
    for (size_t i = 0; i < ra->place_count && ra->is_stateful; i++) {
        n += ra->places[i].region.n > 0;
        has_target = has_target || str_eq(ra->places[i].region, b->plan->to);
    }
    has_target = has_target || (ra->peer && estate_is_in(ra->peer, b->plan->to));
    bool grows = ra->is_stateful && !has_target && pa->placement.n > 0 &&
                 !str_starts(pa->placement, STR("nothing"));
    pa->copies_from = each * (double)n;
    pa->copies_to = pa->copies_from + (grows ? each : 0);
    pa->cost = !grows ? STR("no further copy")
               : is_cosmos
                   ? STR("the provisioned throughput once more for the region, x 1.25 where zones "
                         "are on; multi-region writes at their own rate")
                   : STR("one more copy of its data, and the traffic to keep it");
    b->plan->copies_from += pa->copies_from;
    b->plan->copies_to += pa->copies_to;
}

static void residual(struct plan_asset *pa)
{
    const struct estate_asset *a = pa->asset->asset;
    const struct estate_value *level =
        estate_type_has(a->type, ATTR_CONSISTENCY) ? estate_attr(a, ATTR_CONSISTENCY) : NULL;
    bool is_strong = level && level->conf != EV_UNKNOWN && str_eq(level->text, STR("strong"));
    if (is_strong) {
        pa->residual =
            STR("both regions are lost at once; with two regions writes stop until the lost "
                "one is marked failed, and each write costs a round trip between regions");
    } else if (level) {
        pa->residual = STR("updates of the loss window that no other region has yet");
    } else if (a->type == TYPE_KEY_VAULT) {
        pa->residual = STR("secrets written in the last moments before the loss");
    } else if (a->type == TYPE_AML_WORKSPACE) {
        pa->residual = STR("jobs in flight, and what exists in the workspace only");
    } else if (pa->topology == TOPOLOGY_BACKUP_ONLY) {
        pa->residual = STR("what was written after the newest recoverable point");
    } else if (pa->asset->is_stateful) {
        pa->residual = STR("what was written and not copied yet");
    } else {
        pa->residual = STR("both regions are lost at once");
    }
}

/* Estimates once the plan is carried out; a measured recovery time wins. */
static void estimate(struct builder *b, struct plan_asset *pa)
{
    const struct report_asset *ra = pa->asset;
    const struct estate_asset *a = ra->asset;
    bool is_managed = a->type == TYPE_COSMOS_ACCOUNT || a->type == TYPE_HOLDFAST_ACCOUNT ||
                      a->type == TYPE_KEY_VAULT;
    pa->rto = ra->rto[BY_MEASUREMENT].kind == FIGURE_VALUE ? ra->rto[BY_MEASUREMENT]
              : is_managed && ra->rto[BY_ESTIMATE].kind != FIGURE_UNBOUNDED
                  ? ra->rto[BY_ESTIMATE]
                  : figures_planned_rto(&b->posture, a, pa->topology);
    pa->rpo = ra->rpo[BY_MEASUREMENT].kind == FIGURE_VALUE ? ra->rpo[BY_MEASUREMENT]
              : ra->rpo[BY_CURRENT].kind == FIGURE_VALUE   ? ra->rpo[BY_CURRENT]
                                                           : ra->rpo[BY_ESTIMATE];
    if (pa->rpo.kind == FIGURE_UNBOUNDED) {
        pa->rpo =
            (struct figure){FIGURE_UNKNOWN, 0, STR("by the lag of the copy that is to be made")};
    }
    const struct estate_value *sla = estate_attr(a, ATTR_SLA);
    if (sla->conf == EV_UNKNOWN || sla->number >= 100) {
        return;
    }
    const struct estate_value *outages = estate_attr(a, ATTR_OUTAGES_PER_YEAR);
    struct arith_standby s = {
        .primary = sla->number / 100,
        .standby = sla->number / 100,
        .outages_per_year =
            outages->conf == EV_UNKNOWN || outages->number <= 0 ? 2 : outages->number,
        .failover_min = (double)pa->rto.ms / 60000,
        .success = 1,
    };
    (void)arith_standby(&s, &pa->is_useless, &pa->outage_min);
    pa->is_useless =
        pa->is_useless && (pa->rto.kind == FIGURE_VALUE || pa->rto.kind == FIGURE_AT_LEAST);
}

static void plan_asset(struct builder *b, const struct report_asset *ra)
{
    struct plan_asset *pa = &b->plan->assets[b->plan->asset_count++];
    pa->asset = ra;
    pa->topology_is_stated = ra->topology_is_stated && ra->topology != TOPOLOGY_UNSTATED;
    pa->topology = ra->topology == TOPOLOGY_UNSTATED || ra->topology == TOPOLOGY_SINGLE
                       ? TOPOLOGY_HOT_COLD
                       : ra->topology;
    pa->replicates = str_of(estate_party_name(estate_type_row(ra->asset->type)->geo));
    place(b, pa);
    copies(b, pa);
    residual(pa);
    estimate(b, pa);
    add_steps(b, ra->asset, pa->topology);
}

/* ---- the whole ---- */

/* Routes and pipelines are in no region: taken when they serve or deploy something that is left. */
static bool touches(const struct estate_asset *a, struct str region)
{
    const struct estate_value *v = a->type == TYPE_ROUTE           ? estate_attr(a, ATTR_SERVES)
                                   : a->type == TYPE_CICD_PIPELINE ? estate_attr(a, ATTR_DEPLOYS)
                                                                   : NULL;
    for (size_t i = 0; v && i < v->count; i++) {
        if (v->refs[i].asset && estate_is_in(v->refs[i].asset, region)) {
            return true;
        }
    }
    return false;
}

static void note_pair(struct builder *b)
{
    struct plan *plan = b->plan;
    struct region_fact from = posture_region(&b->posture, plan->from);
    struct region_fact to = posture_region(&b->posture, plan->to);
    const struct estate_region *rf = estate_find_region(plan->report->estate, plan->from);
    const struct estate_region *rt = estate_find_region(plan->report->estate, plan->to);
    struct buf note;
    buf_init(&note, 4096);
    if (from.has_pair == TRI_YES && str_eq(from.pair, plan->to)) {
        buf_printf(&note, STR_FMT " is the pair of " STR_FMT, STR_ARG(plan->to),
                   STR_ARG(plan->from));
    } else if (from.has_pair == TRI_YES) {
        buf_printf(&note,
                   "the pair of " STR_FMT " is " STR_FMT ", not " STR_FMT
                   ": updates are staggered and recovery is prioritised within pairs only",
                   STR_ARG(plan->from), STR_ARG(from.pair), STR_ARG(plan->to));
    } else {
        buf_printf(&note, STR_FMT " %s", STR_ARG(plan->from),
                   from.has_pair == TRI_NO ? "has no pair" : "has no known pair");
    }
    if (to.is_restricted == TRI_YES) {
        buf_printf(&note, "; access to " STR_FMT " is restricted: ask for it now",
                   STR_ARG(plan->to));
    }
    if (rf->outage_domain.n > 0 && str_eq(rf->outage_domain, rt->outage_domain)) {
        buf_printf(&note, "; both are in the outage domain " STR_FMT, STR_ARG(rf->outage_domain));
    }
    plan->pair_note = arena_str(&plan->arena, buf_str(&note));
    buf_done(&note);
}

static int by_order(const void *x, const void *y)
{
    const struct plan_step *a = x;
    const struct plan_step *b = y;
    if (a->phase != b->phase) {
        return a->phase < b->phase ? -1 : 1;
    }
    if (a->rank != b->rank) {
        return a->rank < b->rank ? -1 : 1;
    }
    unsigned ia = a->asset ? a->asset->idx + 1 : 0;
    unsigned ib = b->asset ? b->asset->idx + 1 : 0;
    return ia != ib ? (ia < ib ? -1 : 1) : str_cmp(a->text, b->text);
}

static enum err find(const struct report *r, struct str name, const char *option, struct str *ret,
                     struct errinfo *ei)
{
    const struct estate_region *region = estate_find_region(r->estate, name);
    if (!region) {
        return err_set(ei, ERR_USAGE, "%s: the estate has no region '" STR_FMT "'", option,
                       STR_ARG(str_slice(name, 0, 80)));
    }
    *ret = region->name;
    return OK;
}

enum err plan_build(const struct report *r, struct str from, struct str to, struct plan **ret,
                    struct errinfo *ei)
{
    TRY(find(r, from, "--from", &from, ei));
    TRY(find(r, to, "--to", &to, ei));
    if (str_eq(from, to)) {
        return err_set(ei, ERR_USAGE, "--from and --to are the same region");
    }
    struct plan *plan = MEM_NEW(struct plan);
    struct builder b = {.plan = plan};
    arena_init(&plan->arena);
    plan->report = r;
    plan->from = from;
    plan->to = to;
    posture_init(&b.posture, &plan->arena, r->estate, r->at_ms);
    note_pair(&b);
    plan->assets = ARENA_NEW_ARRAY(&plan->arena, struct plan_asset, r->asset_count + 1);
    for (size_t i = 0; i < r->asset_count; i++) {
        const struct report_asset *ra = &r->assets[i];
        const struct estate_placement *home = estate_primary(ra->asset);
        if (home && str_eq(home->region, from)) {
            plan_asset(&b, ra);
        } else if (touches(ra->asset, from)) {
            add_steps(&b, ra->asset, TOPOLOGY_HOT_COLD);
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(whole) && plan->asset_count > 0; i++) {
        add_step(&b, (struct plan_step){whole[i].phase, whole[i].rank, NULL, str_of(whole[i].text),
                                        STR("whoever leads the move"), true});
    }
    if (plan->step_count > 1) {
        qsort(plan->steps, plan->step_count, sizeof(*plan->steps), by_order);
    }
    *ret = plan;
    return OK;
}

void plan_free(struct plan *p)
{
    if (p) {
        arena_done(&p->arena);
        mem_free(p);
    }
}
