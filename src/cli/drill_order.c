/* Which faults a drill goes through, and at which levels. See drill_int.h. */
#include <stdio.h>

#include "account/record.h"
#include "base/contract.h"
#include "cli/drill_int.h"

static const char *const all_levels[DRILL_LEVELS_MAX] = {"Strong", "BoundedStaleness", "Session",
                                                         "ConsistentPrefix", "Eventual"};

/* region-remove is the last: links of a region that was added back go past the fault proxy. */
static void take_all(struct drill_order *ret)
{
    for (unsigned i = 0; i < DRILL_FAULT_COUNT; i++) {
        if (i != DRILL_REGION_REMOVE) {
            ret->faults[ret->fault_count++] = (enum drill_fault)i;
        }
    }
    ret->faults[ret->fault_count++] = DRILL_REGION_REMOVE;
}

static enum err unknown_fault(struct str name, struct errinfo *ei)
{
    err_set(ei, ERR_USAGE, "unknown fault '" STR_FMT "'", STR_ARG(name));
    err_hint(ei, "one of kill, pause, cut, graceful, blackhole, refuse, disk-full, slow-disk, "
                 "coordinator-kill, flap, double, region-remove, corrupt, or all");
    return ERR_USAGE;
}

static enum err take_fault(struct drill_order *ret, struct str name, struct errinfo *ei)
{
    enum drill_fault f;
    if (!drill_fault_parse(name, &f)) {
        return unknown_fault(name, ei);
    }
    for (size_t i = 0; i < ret->fault_count; i++) {
        if (ret->faults[i] == f) {
            return err_set(ei, ERR_USAGE, "fault " STR_FMT " is named twice", STR_ARG(name));
        }
    }
    ret->faults[ret->fault_count++] = f;
    return OK;
}

static enum err read_faults(struct str list, struct drill_order *ret, struct errinfo *ei)
{
    if (str_eq(list, STR("all"))) {
        take_all(ret);
        return OK;
    }
    struct str name;
    bool has_more = true;
    for (struct str rest = list; has_more;) {
        has_more = str_split(rest, ',', &name, &rest);
        TRY(take_fault(ret, name, ei));
    }
    return OK;
}

static enum err read_levels(const struct conf *c, struct drill_order *ret, struct errinfo *ei)
{
    enum consistency level;
    if (str_eq_nocase(conf_str(c, D_LEVEL), STR("all"))) {
        for (size_t i = 0; i < DRILL_LEVELS_MAX; i++) {
            ret->levels[ret->level_count++] = all_levels[i];
        }
        return OK;
    }
    if (!consistency_parse(conf_str(c, D_LEVEL), &level)) {
        err_set(ei, ERR_USAGE, "unknown consistency level '%s'", conf_cstr(c, D_LEVEL));
        err_hint(ei,
                 "one of Strong, BoundedStaleness, Session, ConsistentPrefix, Eventual, or all");
        return ERR_USAGE;
    }
    ret->levels[ret->level_count++] = conf_cstr(c, D_LEVEL);
    return OK;
}

enum err drill_order_read(const struct conf *c, struct drill_order *ret, struct errinfo *ei)
{
    *ret = (struct drill_order){0};
    TRY(read_faults(conf_str(c, D_FAULT), ret, ei));
    TRY(read_levels(c, ret, ei));
    for (size_t i = 0; i < ret->fault_count; i++) {
        if (ret->faults[i] == DRILL_CORRUPT && conf_u64(c, D_REPEAT) > DRILL_CORRUPT_REPEATS_MAX) {
            return err_set(ei, ERR_USAGE, "fault corrupt can be repeated %d times",
                           DRILL_CORRUPT_REPEATS_MAX);
        }
    }
    return OK;
}

void drill_skip(struct drill_skips *s, enum drill_fault fault, const char *level,
                struct errinfo *why)
{
    ASSERT(s->count < DRILL_GROUPS_MAX);
    char *text = s->texts[s->count++];
    (void)snprintf(text, sizeof(s->texts[0]), "%s%s%s: %s", drill_fault_name(fault),
                   level ? " at " : "", level ? level : "", why->message);
    fprintf(stderr, "left out: %s\n", text);
    *why = (struct errinfo){0};
}
