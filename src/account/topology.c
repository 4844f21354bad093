/* Regions added, removed and put in another order while the account runs (geo-semantics 10).
 *
 *   operator                          writer
 *   add       -> SEEDING              ONLINE_READ once it has everything (decide.c, admission)
 *   remove    -> DRAINING             gone, once nothing can be read there under a lease
 *   order     -> TRANSFER when another region comes first, else a new order at once
 *
 * The operator's half is here, pure like plan.c; the writer's is in members.c. One operation runs at a time: while a region joins or
 * leaves, while the write region changes or the level does, the next is refused; only taking a
 * region offline goes first. Each change of the set raises the token version: a client notices that
 * the regions it knows are not the regions there are. Nothing is lost by it, so its tokens go on
 * being compared (struct part_view, token_base). */
#include <string.h>

#include "account/region_int.h"
#include "base/bug.h"
#include "base/contract.h"

/* ---- what is in the way ---- */

static enum err is_running(struct errinfo *ei, const char *what, const char *hint)
{
    enum err e = err_set(ei, ERR_CONFLICTING_OPERATION, "%s", what);
    err_hint(ei, "%s", hint);
    return e;
}

enum err account_need_idle(const struct account_record *rec, region_id but, struct errinfo *ei)
{
    if (rec->phase == PHASE_TRANSFER) {
        return is_running(ei, "a change of the write region is running",
                          "try again when it has ended");
    }
    if (rec->phase == PHASE_PROMOTING) {
        return is_running(ei, "a failover is running", "try again when a region takes writes");
    }
    if (rec->is_level_changing) {
        return is_running(ei, "a change of the consistency level is running",
                          "try again when it has ended, or call it off");
    }
    for (size_t i = 0; i < rec->region_count; i++) {
        const struct record_region *g = &rec->regions[i];
        if (g->id != but && (g->state == REGION_SEEDING || g->state == REGION_DRAINING)) {
            enum err e = err_set(ei, ERR_CONFLICTING_OPERATION, "region %s is being %s", g->name,
                                 g->state == REGION_SEEDING ? "added" : "removed");
            err_hint(ei, g->state == REGION_SEEDING
                             ? "wait until it is online, or call it off by removing the region"
                             : "try again when it has ended");
            return e;
        }
    }
    return OK;
}

static enum err need_healthy(const struct account_record *rec, region_id but, const char *what,
                             struct errinfo *ei)
{
    for (size_t i = 0; i < rec->region_count; i++) {
        const struct record_region *g = &rec->regions[i];
        if (g->id != but && (g->state == REGION_OFFLINE || g->state == REGION_RECOVERING)) {
            enum err e = err_set(ei, ERR_PRECONDITION, "region %s is %s: %s during an outage",
                                 g->name, region_state_name(g->state), what);
            err_hint(ei, "wait until it is back, bring it back with account online, or remove it");
            return e;
        }
    }
    return OK;
}

/* ---- add ---- */

enum err account_check_region_name(struct str name, struct errinfo *ei)
{
    bool is_fine = name.n > 0 && name.n < RECORD_NAME_MAX;
    bool has_other_than_blanks = false;
    for (size_t i = 0; is_fine && i < name.n; i++) {
        char c = name.p[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        is_fine = is_alnum || c == ' ' || c == '-';
        has_other_than_blanks = has_other_than_blanks || is_alnum;
    }
    if (is_fine && has_other_than_blanks) {
        return OK;
    }
    return err_set(ei, ERR_INVALID,
                   "a region's name has 1 to %d letters, digits, blanks and hyphens",
                   RECORD_NAME_MAX - 1);
}

enum err account_plan_add(struct account_record *rec, struct str name, int64_t priority,
                          int64_t wall_ms, struct errinfo *ei)
{
    TRY(account_check_region_name(name, ei));
    const struct record_region *same = record_region_by_name(rec, name);
    if (same != NULL) {
        return err_set(ei, ERR_INVALID, "region %s is in the account already (%s)", same->name,
                       region_state_name(same->state));
    }
    TRY(account_need_idle(rec, 0, ei));
    const struct record_region *writer = record_region_const(rec, rec->writer);
    if (writer == NULL || writer->state != REGION_ONLINE_WRITE) {
        return err_set(ei, ERR_PRECONDITION,
                       "there is no write region that a new region could be copied from");
    }
    if (priority == 0) {
        enum err e = err_set(ei, ERR_INVALID, "priority 0 is the write region's");
        err_hint(ei, "add it with a lower priority, then change the write region to it");
        return e;
    }
    if (priority < 0 || (uint64_t)priority > rec->region_count) {
        priority = (int64_t)rec->region_count;
    }
    const struct record_former *former = record_former_by_name(rec, name);
    TRY(account_need_room(rec, former == NULL, ei));
    struct record_region g = {
        .id = former != NULL ? former->id : rec->next_region_id,
        .priority = (uint32_t)priority,
        .state = REGION_SEEDING,
        .since_wall_ms = wall_ms,
    };
    memcpy(g.name, name.p, name.n);
    rec->next_region_id += former == NULL;
    bool is_raised = former == NULL || !BUG(BUG_READD_KEEPS_VERSION);
    record_insert_region(rec, &g);
    rec->token_version += is_raised;
    return OK;
}

/* ---- remove ---- */

static enum err confirm_removal(const struct record_region *g, struct errinfo *ei)
{
    enum err e;
    if (g->unsent_ops > 0) {
        e = err_set(ei, ERR_PRECONDITION,
                    "region %s is %s and holds about %llu acknowledged operations that no other "
                    "region has: removing it loses them unless it is added back",
                    g->name, region_state_name(g->state), (unsigned long long)g->unsent_ops);
    } else {
        e = err_set(ei, ERR_PRECONDITION,
                    "region %s is %s: removing it loses what it acknowledged and did not send, "
                    "unless it is added back",
                    g->name, region_state_name(g->state));
    }
    err_hint(ei, "bring it back online first, or repeat with --force to accept the loss");
    return e;
}

enum err account_plan_remove(struct account_record *rec, struct str name, bool force,
                             int64_t wall_ms, struct errinfo *ei)
{
    struct record_region *g = record_region_by_name(rec, name);
    if (g == NULL) {
        return plan_no_region(rec, name, ei);
    }
    if (g->state == REGION_DRAINING) {
        return OK; /* as asked for */
    }
    if (rec->region_count == 1) {
        return err_set(ei, ERR_INVALID, "region %s is the last one of the account", g->name);
    }
    if (g->id == rec->writer) {
        enum err e = err_set(ei, ERR_INVALID, "region %s takes the account's writes", g->name);
        err_hint(ei, "change the write region first (account failover REGION)");
        return e;
    }
    for (size_t i = 0; i < rec->override_count; i++) {
        const struct record_override *o = &rec->overrides[i];
        if (o->writer == g->id || o->transfer_to == g->id || o->holder == g->id) {
            enum err e = err_set(ei, ERR_PRECONDITION, "region %s writes partition %llu", g->name,
                                 (unsigned long long)o->pid);
            err_hint(ei, "return the partition first (account partition return), or fail it over");
            return e;
        }
    }
    bool is_joining = g->state == REGION_SEEDING; /* calling it off */
    TRY(account_need_idle(rec, is_joining ? g->id : 0, ei));
    bool is_away = g->state == REGION_OFFLINE || g->state == REGION_RECOVERING;
    if (!is_away && !is_joining) {
        TRY(need_healthy(rec, g->id, "a healthy region cannot be removed", ei));
    }
    if (is_away && !force) {
        return confirm_removal(g, ei);
    }
    g->is_forced_offline = false;
    record_set_state(rec, g->id, REGION_DRAINING, wall_ms);
    rec->token_version++;
    return OK;
}

/* ---- order ---- */

enum err account_plan_priorities(struct account_record *rec, const struct str *names, size_t n,
                                 int64_t wall_ms, struct errinfo *ei)
{
    struct record_region ordered[REGIONS_MAX];
    uint64_t seen = 0;
    ASSERT(rec->region_count > 0);
    if (n != rec->region_count) {
        return err_set(ei, ERR_INVALID, "all %zu regions of the account must be named, not %zu",
                       rec->region_count, n);
    }
    for (size_t i = 0; i < n; i++) {
        const struct record_region *g = record_region_by_name(rec, names[i]);
        if (g == NULL) {
            return plan_no_region(rec, names[i], ei);
        }
        if ((seen & record_mask(g->id)) != 0) {
            return err_set(ei, ERR_INVALID, "region %s is named twice", g->name);
        }
        seen |= record_mask(g->id);
        ordered[i] = *g;
        ordered[i].priority = (uint32_t)i;
    }
    TRY(account_need_idle(rec, 0, ei));
    TRY(need_healthy(rec, 0, "priorities cannot be changed", ei));
    region_id first = ordered[0].id;
    if (first == rec->writer) {
        memcpy(rec->regions, ordered, n * sizeof(ordered[0]));
        return OK;
    }
    /* Another write region is a graceful change. Until it has come about the present writer stays
     * the best candidate but for the one that takes over. */
    TRY(account_plan_failover(rec, names[0], wall_ms, ei));
    memcpy(rec->regions, ordered, n * sizeof(ordered[0]));
    return OK;
}
