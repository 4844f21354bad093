/* One drill, repeat by repeat. See drill.h.
 *
 *   HEALTHY? -> container -> WARM -> fault -> BROKEN (until writes flow again and hold_ms) ->
 *   heal -> RETURNING (until the region is online again) -> DRAIN -> count
 *
 * Blocking requests are made only while no load runs; during the load everything is on the loop. */
#include "continuity/drill/drill.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/contract.h"
#include "base/mem.h"
#include "continuity/drill/repeat.h"

static const char database[] = "/dbs/holdfast-drill";

unsigned drill_fault_hold_ms(enum drill_fault f)
{
    return fault_kind(f)->hold_ms;
}

unsigned drill_fault_settle_ms(enum drill_fault f)
{
    enum { USUAL_MS = 60000 };
    return fault_kind(f)->settle_ms > 0 ? fault_kind(f)->settle_ms : USUAL_MS;
}

const char *drill_fault_name(enum drill_fault f)
{
    return fault_kind(f)->name;
}

bool drill_fault_parse(struct str s, enum drill_fault *ret)
{
    for (int i = 0; i < DRILL_FAULT_COUNT; i++) {
        if (str_eq(s, str_of(drill_fault_name((enum drill_fault)i)))) {
            *ret = (enum drill_fault)i;
            return true;
        }
    }
    return false;
}

/* ---- a repeat from end to end ---- */

static enum err prepare(struct repeat *r, unsigned number, struct errinfo *ei)
{
    const struct drill_opts *o = r->opts;
    TRY(repeat_wait_healthy(o, &r->look, ei));
    TRY(repeat_wait_unheld(o, &r->look, ei));
    TRY(repeat_wait_healthy(o, &r->look, ei));
    /* The write region, unless it is one that can be removed: the last of the others. */
    const struct fault_kind *kind = r->fault.kind;
    const char *usual = r->look.writer;
    for (size_t i = 0; i < r->look.count && kind->removes_region; i++) {
        bool is_other = strcmp(r->look.regions[i].name, r->look.writer) != 0;
        usual = is_other ? r->look.regions[i].name : usual;
    }
    const char *region = o->region && o->region[0] ? o->region : usual;
    r->fault.account = &o->account;
    r->fault.disk_delay_ms = o->disk_delay_ms;
    r->fault.link_delay_ms = o->link_delay_ms;
    (void)snprintf(r->fault.region, sizeof(r->fault.region), "%s", region);
    for (size_t i = 0; i < r->look.count; i++) {
        struct fault_region *to = &r->fault.regions[i];
        (void)snprintf(to->name, sizeof(to->name), "%s", r->look.regions[i].name);
        (void)snprintf(to->endpoint, sizeof(to->endpoint), "%s", r->look.regions[i].endpoint);
    }
    r->fault.region_count = r->look.count;
    if (!look_endpoint(&r->look, region)) {
        err_set(ei, ERR_NOT_FOUND, "the account has no region '%s'", region);
        for (size_t i = 0; i < r->look.count; i++) {
            err_hint_name(ei, "its regions:", str_of(r->look.regions[i].name));
        }
        return ERR_NOT_FOUND;
    }
    if (kind->needs_writer && strcmp(region, r->look.writer) != 0) {
        return err_set(ei, ERR_INVALID, "fault %s starts at the write region, which is %s",
                       kind->name, r->look.writer);
    }
    (void)snprintf(r->res->level, sizeof(r->res->level), "%s", r->look.level);
    (void)snprintf(r->res->region, sizeof(r->res->region), "%s", region);
    TRY(fault_prepare(&r->fault, ei));
    (void)snprintf(r->run, sizeof(r->run), "d%u-%" PRId64, number, clock_wall_ms());
    (void)snprintf(r->container, sizeof(r->container), "%s/colls/%s", database, r->run);
    char body[256];
    TRY(repeat_create(o, "/dbs", STR("{\"id\":\"holdfast-drill\"}"), ei));
    (void)snprintf(
        body, sizeof(body),
        "{\"id\":\"%s\",\"partitionKey\":{\"paths\":[\"/pk\"],\"kind\":\"Hash\",\"version\":2}}",
        r->run);
    char colls[64];
    (void)snprintf(colls, sizeof(colls), "%s/colls", database);
    TRY(repeat_create(o, colls, str_of(body), ei));
    return kind->spoils_partition ? fault_find_partition(&r->fault, r->container, ei) : OK;
}

static void on_acked(void *ctx)
{
    const struct repeat *r = ctx;
    if (r->timeline) {
        timeline_ack(r->timeline, loop_now(r->loop));
    }
}

static enum err run_load(struct repeat *r, struct errinfo *ei)
{
    const struct drill_opts *o = r->opts;
    struct load_opts lo = {.account = &o->account,
                           .container = r->container,
                           .run = r->run,
                           .read_first = r->fault.region,
                           .writes_per_s = o->writes_per_s,
                           .connections = o->connections,
                           .write_timeout_ms = o->write_timeout_ms,
                           .ledger = r->ledger,
                           .acked = on_acked,
                           .acked_ctx = r};
    r->load = load_new(r->loop, &lo, ei);
    r->signer = r->load ? client_signer_new(o->account.key, ei) : NULL;
    if (!r->signer) {
        return ERR_INVALID;
    }
    r->client = http_client_new(r->loop);
    r->step = loop_timer_new(r->loop, repeat_step, r);
    r->look_timer = loop_timer_new(r->loop, repeat_look, r);
    r->started_us = loop_now(r->loop);
    r->res->started_wall_ms = clock_wall_ms();
    if (r->timeline) {
        r->timeline->start_us = r->started_us;
        r->timeline->start_wall_ms = r->res->started_wall_ms;
        for (size_t i = 0; i < r->look.count; i++) { /* the same colours in every picture */
            (void)timeline_region(r->timeline, r->look.regions[i].name);
        }
        timeline_writer(r->timeline, r->started_us, r->look.writer);
    }
    load_start(r->load);
    loop_timer_set(r->step, REPEAT_STEP_MS, REPEAT_STEP_MS);
    loop_timer_set(r->look_timer, REPEAT_LOOK_MS, REPEAT_LOOK_MS);
    loop_run(r->loop);
    r->ended_us = loop_now(r->loop);
    if (r->failure.code != OK) {
        struct errinfo ignored = {0};
        /* Leave nothing frozen or cut behind; the first failure is the one to tell. */
        if (fault_end(&r->fault, &ignored) != OK) {
            repeat_say(o, "the fault could not be undone: %s", ignored.message);
        }
        if (r->fault.kind->removes_region && !look_endpoint(&r->look, r->fault.region)) {
            repeat_say(o, "region %s is not in the account now: `holdfast account regions add %s`",
                       r->fault.region, r->fault.region);
        }
        *ei = r->failure;
        return r->failure.code;
    }
    return OK;
}

static void repeat_done(struct repeat *r)
{
    if (r->load) {
        while (!load_stop(r->load)) { /* failed on the way: let what is in flight end */
            loop_timer_set(r->step, REPEAT_STEP_MS, REPEAT_STEP_MS);
            r->phase = PHASE_DRAIN;
            loop_run(r->loop);
        }
    }
    if (r->step) {
        loop_timer_free(r->step);
        loop_timer_free(r->look_timer);
    }
    if (r->client) {
        http_client_free(r->client);
    }
    load_free(r->load);
    client_signer_free(r->signer);
    ledger_free(r->ledger);
    loop_free(r->loop);
    mem_free(r);
}

static enum err run_repeat(const struct drill_opts *o, unsigned number, struct drill_result *res,
                           struct errinfo *ei)
{
    struct repeat *r = MEM_NEW(struct repeat);
    r->opts = o;
    r->fault.kind = fault_kind(o->fault);
    r->res = res;
    r->loop = loop_new();
    r->ledger = ledger_new(DRILL_WRITES_MAX);
    memset(res, 0, sizeof(*res));
    res->fault = o->fault;
    res->hold_ms = o->hold_ms;
    res->rto_ms = res->client_rto_ms = res->read_rto_ms = res->rejoin_ms = -1;
    if (o->wants_timeline && number < DRILL_TIMELINES_MAX) {
        r->timeline = res->timeline = timeline_new(0, 0);
    }
    enum err err = prepare(r, number, ei);
    if (err == OK) {
        repeat_say(o, "repeat %u: %s of %s", number + 1, r->fault.kind->name, r->fault.region);
        err = run_load(r, ei);
    }
    if (err == OK) {
        repeat_finish_timeline(r);
        err = repeat_count(r, ei);
        repeat_drop_container(r);
    }
    if (err == OK && r->fault.kind->removes_region && o->account.fault_proxy[0]) {
        repeat_say(o, "links of region %s go past the fault proxy now, until `up` is started again",
                   r->fault.region);
    }
    if (err == ERR_CLOSED && r->container[0]) {
        repeat_drop_container(r);
    }
    struct errinfo ignored = {0};
    if (fault_done(&r->fault, err == OK ? ei : &ignored) != OK && err == OK) {
        err = ei->code;
    }
    if (err != OK) {
        timeline_free(res->timeline);
        res->timeline = NULL;
    }
    repeat_done(r);
    return err;
}

enum err drill_run(const struct drill_opts *opts, struct drill_result *ret, unsigned *ret_done,
                   struct errinfo *ei)
{
    ASSERT(opts->repeats <= DRILL_REPEATS_MAX);
    *ret_done = 0;
    for (unsigned i = 0; i < opts->repeats; i++) {
        TRY(run_repeat(opts, i, &ret[i], ei));
        *ret_done = i + 1;
        char writer[64] = "no other region took writes";
        if (ret[i].rto_ms >= 0) {
            (void)snprintf(writer, sizeof(writer), "writes again after %" PRId64 " ms",
                           ret[i].rto_ms);
        }
        repeat_say(opts,
                   "repeat %u: %s, client gap %" PRId64 " ms, acknowledged %" PRIu64
                   ", in feed %" PRIu64 ", lost %" PRIu64,
                   i + 1, writer, ret[i].client_rto_ms, ret[i].acked, ret[i].in_feed, ret[i].lost);
    }
    return OK;
}
