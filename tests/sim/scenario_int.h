/* Words of the scripts, for the files that tell stories; times are in milliseconds. */
#pragma once

#include "base/contract.h"
#include "sim/client.h"
#include "sim/nemesis.h"
#include "sim/net.h"
#include "sim/node.h"
#include "sim/scenario.h"

static const usec MS = 1000;

static inline void pass(struct world *w, usec ms)
{
    world_run(w, w->now + ms * MS, NULL);
}

static inline usec lease_ms(const struct world *w)
{
    return w->cfg.timers.lease_ms;
}

/* A region whose process is in this role; waits for one. 0 = none came. */
static inline region_id wait_role(struct world *w, enum region_role role, region_id not_this,
                                  usec ms)
{
    usec limit = w->now + ms * MS;
    while (!w->has_failed && w->now < limit) {
        for (region_id id = 1; id <= w->cfg.region_count; id++) {
            struct region *r = node_region(w->nodes[id]);
            if (r != NULL && id != not_this && region_role(r) == role) {
                return id;
            }
        }
        world_run(w, w->now + MS / 2, NULL);
    }
    return 0;
}

static inline region_id writer(struct world *w)
{
    return wait_role(w, ROLE_WRITER, 0, 5000);
}

static inline region_id other_than(const struct world *w, region_id a, region_id b)
{
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        if (id != a && id != b) {
            return id;
        }
    }
    return 0;
}

static inline void supervise(struct world *w, region_id id, usec restart_ms, bool confirms)
{
    nemesis_supervise(w, id,
                      &(struct supervision){.is_scripted = true,
                                            .restarts = restart_ms > 0,
                                            .restart_us = restart_ms * MS,
                                            .confirms_stop = confirms,
                                            .confirm_us = 50 * MS});
}

static inline void restart_now(struct world *w, region_id id)
{
    if (!node_is_up(w->nodes[id])) {
        node_start(w->nodes[id]);
    }
}

static inline struct trap trap_of(unsigned step, bool is_crash, usec pause_ms)
{
    static const unsigned kinds[] = {IO_COMMIT,   IO_COMMITTED, IO_SEND,    IO_TXN,
                                     IO_TXN_DONE, IO_REPLY,     IO_ARCHIVE, IO_NOW};
    return (struct trap){.kinds = kinds[step % ARRAY_COUNT(kinds)],
                         .countdown = 1 + step / ARRAY_COUNT(kinds),
                         .is_crash = is_crash,
                         .pause_us = pause_ms * MS};
}

static inline void clog_out(struct world *w, region_id id, bool is_clogged)
{
    for (region_id k = 1; k <= w->cfg.region_count; k++) {
        if (k != id) {
            net_clog(w, id, k, is_clogged);
        }
    }
}

/* How most stories begin: clients have written for a while. Who writes; 0 = nobody, and there is nothing
 * to tell. */
static inline region_id begin(struct world *w)
{
    pass(w, 1500);
    return writer(w);
}

/* The writer gets a suffix that nobody else has, and dies. Returns who it was. */
static inline region_id kill_with_suffix(struct world *w, usec restart_ms, bool confirms)
{
    region_id a = writer(w);
    if (a == 0) {
        return 0;
    }
    supervise(w, a, restart_ms, confirms);
    clog_out(w, a, true);
    pass(w, 400);
    nemesis_crash(w, a);
    clog_out(w, a, false);
    return a;
}

/* ---- scenario_schedule.c ---- */
void every_schedule(struct world *w, unsigned variant);

/* ---- scenario_regions.c ---- */
bool await_trimmed(struct world *w, region_id away);
bool add_region(struct world *w, region_id id); /* tries until it is not refused */

/* ---- scenario_failover.c ---- */
void pause_writer(struct world *w, unsigned variant);
void cut_writer(struct world *w, unsigned variant);
void kill_unreplicated(struct world *w, unsigned variant);
void quick_restart(struct world *w, unsigned variant);
void double_fault(struct world *w, unsigned variant);
void coordinator_in_wait(struct world *w, unsigned variant);
void coordinator_away(struct world *w, unsigned variant);
void transfer_crash(struct world *w, unsigned variant);
void transfer_often(struct world *w, unsigned variant);
void transfer_twice(struct world *w, unsigned variant);
void rejoin_crash(struct world *w, unsigned variant);
void rejoin_writer_crash(struct world *w, unsigned variant);
void failover_chain(struct world *w, unsigned variant);
void all_restart(struct world *w, unsigned variant);
void evict_reader(struct world *w, unsigned variant);
void evict_by_operator(struct world *w, unsigned variant);
void forced_offline(struct world *w, unsigned variant);
void loss_accepted(struct world *w, unsigned variant);
void bad_disk(struct world *w, unsigned variant);
void old_frames(struct world *w, unsigned variant);
void drained(struct world *w, unsigned variant);
void wall_clock(struct world *w, unsigned variant);
void lonely_flap(struct world *w, unsigned variant);

/* ---- scenario_health.c ---- */
void slow_disk(struct world *w, unsigned variant);
void slow_peer(struct world *w, unsigned variant);
void deaf_reader(struct world *w, unsigned variant);
void flap_hold(struct world *w, unsigned variant);

/* ---- scenario_levels.c ---- */
void level_up(struct world *w, unsigned variant);
void level_down(struct world *w, unsigned variant);
void level_bounded(struct world *w, unsigned variant);
void level_often(struct world *w, unsigned variant);
void bounded_lag(struct world *w, unsigned variant);

/* ---- scenario_regions.c ---- */
void region_added(struct world *w, unsigned variant);
void region_removed(struct world *w, unsigned variant);
void region_back(struct world *w, unsigned variant);
void log_over_budget(struct world *w, unsigned variant);
void regions_ordered(struct world *w, unsigned variant);

/* ---- scenario_parts.c ---- */
void partition_unusable(struct world *w, unsigned variant);
void partition_old_frames(struct world *w, unsigned variant);
void partition_nobody(struct world *w, unsigned variant);
void partition_reader(struct world *w, unsigned variant);
void partition_passed_on(struct world *w, unsigned variant);
void partition_forgotten(struct world *w, unsigned variant);
void partition_often(struct world *w, unsigned variant);
void partition_moved(struct world *w, unsigned variant);
void partition_joiner(struct world *w, unsigned variant);

/* ---- scenario_containers.c ---- */
void container_unborn(struct world *w, unsigned variant);
void partition_gone(struct world *w, unsigned variant);
void container_removed(struct world *w, unsigned variant);
void container_drop_crash(struct world *w, unsigned variant);
void container_removal_lost(struct world *w, unsigned variant);
void container_making_lost(struct world *w, unsigned variant);
void container_gone_away(struct world *w, unsigned variant);
void container_old_frames(struct world *w, unsigned variant);
void container_gone_copying(struct world *w, unsigned variant);
void container_often(struct world *w, unsigned variant);

/* ---- scenario_rare.c: what hardly any seed does by itself ---- */
void frames_twice(struct world *w, unsigned variant);
void coordinator_restored(struct world *w, unsigned variant);
void coordinator_unknown(struct world *w, unsigned variant);
void unwhole_writer(struct world *w, unsigned variant);
void lsn_block(struct world *w, unsigned variant);
void evict_called_off(struct world *w, unsigned variant);
void promoted_stuck(struct world *w, unsigned variant);
void suffix_called_off(struct world *w, unsigned variant);
void copy_lost(struct world *w, unsigned variant);
void copy_unreadable(struct world *w, unsigned variant);
void tail_twice(struct world *w, unsigned variant);
void copy_asked_again(struct world *w, unsigned variant);
void diverged_writes(struct world *w, unsigned variant);
void rejoin_called_off(struct world *w, unsigned variant);
void handing_in(struct world *w, unsigned variant);
void feed_lost_epoch(struct world *w, unsigned variant);
