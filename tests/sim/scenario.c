/* The list of stories, and how the world of each is set up. Each lets the cluster work for a moment,
 * strikes, and lets time pass; what must hold is what holds in every run (checkers, liveness), and for
 * some that losses were reported. */
#include "sim/scenario_int.h"

static const struct scenario scenarios[] = {
    {"level-up", "a level becomes Strong only when every region has what was acknowledged", 12, 3,
     false, level_up},
    {"level-down", "a level becomes weaker without stale reads where nobody was told", 12, 3, false,
     level_down},
    {"level-bounded", "a lease of Strong is no licence to lag at BoundedStaleness", 8, 3, false,
     level_bounded},
    {"level-often", "levels change all the time, with writers", 8, 3, false, level_often},
    {"bounded-lag", "a region behind at BoundedStaleness holds writes up, not reads down", 12, 3,
     false, bounded_lag},

    {"pause-writer", "a writer paused across its lease at any step harms nothing", 72, 3, false,
     pause_writer},
    {"cut-writer", "a writer cut off in any direction harms nothing", 18, 3, false, cut_writer},
    {"kill-unreplicated", "what only a killed writer had comes into the conflict feed", 4, 3, true,
     kill_unreplicated},
    {"quick-restart", "a writer that restarts at once does not continue its epoch", 8, 3, false,
     quick_restart},
    {"double-fault", "the next writer may die at any step of its promotion", 48, 3, false,
     double_fault},
    {"coordinator-in-wait", "a coordinator that restarts during the lease wait shortens nothing", 8,
     3, false, coordinator_in_wait},
    {"coordinator-away", "writes go on without the coordinator while all regions agree", 20, 3,
     false, coordinator_away},
    {"transfer-crash", "source or target of a graceful change may stop at any step", 96, 3, false,
     transfer_crash},
    {"transfer-often", "graceful changes lose nothing, however fast they follow", 12, 3, false,
     transfer_often},
    {"transfer-twice",
     "what both sides of a graceful change do at a coordinator's restart, one does", 16, 3, false,
     transfer_twice},
    {"rejoin-crash", "a returning writer may die at any step", 64, 3, true, rejoin_crash},
    {"rejoin-writer-crash", "the writer may die while another hands it a lost suffix", 48, 3, true,
     rejoin_writer_crash},
    {"failover-chain", "two writers die one after the other, both with a suffix", 4, 3, true,
     failover_chain},
    {"all-restart", "all regions stop and start in any order", 12, 3, false, all_restart},
    {"evict-reader", "a region leaves the strong quorum without stale reads", 12, 3, false,
     evict_reader},
    {"evict-reader-of-two", "the same with two regions", 8, 2, false, evict_reader},
    {"evict-by-operator", "a region taken out by an operator serves nothing stale", 12, 3, false,
     evict_by_operator},
    {"forced-offline", "an operator takes the writer offline, running, paused or cut off", 6, 3,
     false, forced_offline},
    {"loss-accepted", "with nobody left who has everything, an operator chooses who writes", 36, 3,
     false, loss_accepted},
    {"handing-in", "who still hands in a lost suffix takes over when nobody else is left", 8, 3,
     false, handing_in},
    {"feed-lost-epoch", "a change feed goes on from where the history it had read parted", 16, 3,
     false, feed_lost_epoch},
    {"bad-disk", "a disk that fails, is full or slow", 12, 3, false, bad_disk},
    {"old-frames", "frames of the old writer arrive when another one writes", 6, 3, false,
     old_frames},
    {"drained", "a drained region hands over before it stops", 6, 3, false, drained},
    {"wall-clock", "a wall clock that jumps neither lengthens nor shortens a lease", 4, 3, false,
     wall_clock},
    {"lonely-flap", "the writer's links flap around the lease", 6, 3, false, lonely_flap},
    {"slow-disk", "a slow disk gives the writer's role away, once, and not for a hiccup", 42, 3,
     false, slow_disk},
    {"slow-peer", "a region that is slow to store leaves the strong quorum, when that helps", 8, 3,
     false, slow_peer},
    {"deaf-reader", "a reader that is cut off in one direction is taken offline", 12, 3, false,
     deaf_reader},
    {"region-added", "a region joins under load, whoever stops on the way", 72, 3, false,
     region_added},
    {"region-removed", "a region leaves without a stale read, whether it knows or not", 32, 3,
     false, region_removed},
    {"region-back", "a region that is added back brings what only it has", 64, 3, true,
     region_back},
    {"log-over-budget", "a full copy replaces nothing that was not sent", 32, 3, true,
     log_over_budget},
    {"regions-ordered", "another order of the regions loses nothing", 6, 3, false, regions_ordered},
    {"frames-twice", "frames that arrive once more, later, change nothing", 12, 3, false,
     frames_twice},
    {"coordinator-restored", "a coordinator restored from an old copy makes nobody write", 12, 3,
     false, coordinator_restored},
    {"coordinator-unknown", "nor does a region that cannot know that the copy is old", 8, 3, false,
     coordinator_unknown},
    {"unwhole-writer", "a writer that is not whole after a restart passes its role on", 6, 3, false,
     unwhole_writer},
    {"lsn-block", "a block of lsns that runs out stops writes until there is another", 8, 3, false,
     lsn_block},
    {"evict-called-off", "an eviction of unknown outcome is called off without stale reads", 8, 3,
     false, evict_called_off},
    {"promoted-stuck", "a new writer whose disk stands still passes the role on", 4, 3, false,
     promoted_stuck},
    {"rejoin-called-off", "a suffix that is being sent when the writer changes goes to the next",
     12, 3, true, rejoin_called_off},
    {"diverged-writes", "a lost suffix is kept where the setting says, whenever that changes", 48,
     3, true, diverged_writes},
    {"suffix-called-off", "a suffix that is still being stored when its finder dies is found again",
     8, 3, false, suffix_called_off},
    {"copy-lost", "a copy whose place was lost in a failover begins anew", 8, 3, false, copy_lost},
    {"copy-unreadable", "rows that a copy cannot read while it replaces them leave nothing behind",
     16, 3, false, copy_unreadable},
    {"copy-asked-again", "a copy whose pieces do not come is asked for range by range", 8, 3, false,
     copy_asked_again},
    {"tail-twice", "an old answer about a suffix cuts nothing when it comes again", 8, 3, true,
     tail_twice},
    {"partition-unusable", "one partition moves alone, and comes back repaired", 16, 3, false,
     partition_unusable},
    {"partition-reader", "one partition is copied anew where it is only read", 16, 3, false,
     partition_reader},
    {"partition-nobody", "who wrote a partition last takes it again when nobody else can", 20, 3,
     false, partition_nobody},
    {"partition-moved", "one partition moves alone while its writer fails", 32, 3, false,
     partition_moved},
    {"partition-old-frames", "frames of a partition's former writer change nothing", 8, 3, false,
     partition_old_frames},
    {"partition-passed-on", "a region that cannot read what it was to take passes it on", 8, 3,
     false, partition_passed_on},
    {"partition-gone", "the row of a partition that is nowhere goes", 4, 3, false, partition_gone},
    {"partition-forgotten", "what a partition lost is known after its row has gone", 24, 3, true,
     partition_forgotten},
    {"partition-joiner", "who joins takes no partition over of which it lacks a part", 8, 3, false,
     partition_joiner},
    {"partition-often", "a partition that goes round all the time loses nothing", 8, 3, false,
     partition_often},
    {"schedules", "every sequence of faults and orders ends well", 181, 3, false, every_schedule},
    {"container-removed", "a container goes in every phase of its partition's row", 48, 3, false,
     container_removed},
    {"container-unborn", "a partition is not given away before its container is made", 8, 3, false,
     container_unborn},
    {"container-drop-crash", "what is left of a removed partition goes, whoever dies", 36, 3, false,
     container_drop_crash},
    {"container-removal-lost", "a removal that a failover takes back has taken no data", 16, 3,
     false, container_removal_lost},
    {"container-making-lost", "nothing stays of a container whose making is lost", 12, 3, false,
     container_making_lost},
    {"container-gone-away", "a region that was away lets go of a removed container", 24, 3, false,
     container_gone_away},
    {"container-old-frames", "old frames of a removed partition fence nobody off", 16, 3, false,
     container_old_frames},
    {"container-gone-copying", "a container goes while its partition is copied", 16, 3, false,
     container_gone_copying},
    {"container-often", "containers come, go and move all the time", 12, 3, false, container_often},
    {"flap-hold", "a second failover waits unless the stop is confirmed", 6, 3, false, flap_hold},
};

size_t scenario_count(void)
{
    return ARRAY_COUNT(scenarios);
}

const struct scenario *scenario_get(size_t i)
{
    ASSERT(i < ARRAY_COUNT(scenarios));
    return &scenarios[i];
}

const struct scenario *scenario_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(scenarios); i++) {
        if (strcmp(scenarios[i].name, name) == 0) {
            return &scenarios[i];
        }
    }
    return NULL;
}

void scenario_configure(struct sim_cfg *c)
{
    const struct scenario *s = scenario_find(c->scenario);
    ASSERT(s != NULL);
    c->region_count = s->region_count;
    c->partition_failover = s->run == partition_unusable || s->run == partition_passed_on ||
                            s->run == partition_reader || s->run == partition_nobody;
    c->keep_writing = s->run == coordinator_away ? KEEP_WRITING_YES : KEEP_WRITING_AUTO;
    c->diverged = DIVERGED_FEED;
    c->feed_quota = 0;
    c->first_count = s->region_count;
    c->log_size_max = 0;
    c->drop_rows_max = s->run == container_drop_crash ? 5 : 0;
    c->part_count = 2;
    c->client_count = 5;
    c->auto_failover = true;
    c->fault_mask = 0;
    c->is_wan = false;
    uint32_t retain_ms = c->timers.retain_ms;
    c->timers = region_timers_lan;
    c->timers.retain_ms = retain_ms;
    c->net_delay_us = c->net_delay_us % 2000 + 50;
    c->coord_delay_us = c->coord_delay_us % 2000 + 50;
    c->net_jitter_us = c->net_jitter_us % 1000;
    c->sync_us = c->sync_us % 3000 + 100;
    c->think_us = 20000;
    c->safety_us = 1000000;
    c->staleness_ops = s->run == level_bounded ? 1 : 25;
    c->staleness_s = STALENESS_S_MIN;
    if (s->run == level_up) {
        /* Session, or in the other story BoundedStaleness, to Strong. */
        c->level = c->level == CONSISTENCY_STRONG ? CONSISTENCY_BOUNDED_STALENESS : c->level;
    } else if (s->run == bounded_lag) {
        c->auto_failover = c->level == CONSISTENCY_STRONG;
        c->level = CONSISTENCY_BOUNDED_STALENESS;
        c->think_us = c->auto_failover ? c->think_us : 60000;
    } else if (s->run == level_down && c->level == CONSISTENCY_SESSION) {
        c->level = CONSISTENCY_BOUNDED_STALENESS;
    }
    if (s->run == rejoin_called_off && c->variant >= 6) {
        c->fault_mask = 1u << FAULT_TWICE;
        c->twice_ppm = 400000;
        c->think_us = 300000;
    }
    if (s->run == region_added || s->run == copy_lost || s->run == copy_asked_again ||
        s->run == container_gone_copying) {
        c->first_count--;
        c->timers.retain_ms = c->variant % 2 == 0 ? 100 : retain_ms;
    }
    if (s->run == partition_joiner) {
        bool is_new = c->variant % 2 == 0;
        c->first_count -= is_new;
        c->timers.retain_ms = 100;
        c->log_size_max = is_new ? 0 : 6000;
    }
    if (s->run == region_back) {
        c->timers.retain_ms = 100;
        c->log_size_max = 4000;
    }
    bool is_copied_twice = s->run == tail_twice && c->variant % 2 == 1;
    if (s->run == log_over_budget || s->run == copy_unreadable || is_copied_twice) {
        c->timers.retain_ms = 100;
        c->log_size_max = 6000;
    }
    if ((s->run == log_over_budget || s->run == region_back) && c->variant % 8 >= 6) {
        c->fault_mask = 1u << FAULT_TWICE;
        c->twice_ppm = 400000;
    }
    if (s->run == partition_forgotten) {
        c->think_us = 4000;
    }
    if (s->run == slow_peer) {
        c->timers.slow_commit_ms = 500;
        c->timers.slow_for_ms = 1000;
    }
    if (s->run == slow_disk) {
        c->timers.slow_commit_ms = 100;
        c->timers.slow_for_ms = c->variant % 7 == 3 ? 4000 : 500; /* above what one sync can take */
    }
    if (s->run != flap_hold) {
        c->timers.failover_hold_ms = 1; /* the stories are about what follows from many of them */
    }
    if (s->run == promoted_stuck) {
        c->timers.slow_commit_ms = 500;
        c->timers.slow_for_ms = 1000;
    }
    if (s->run == frames_twice || s->run == tail_twice) {
        c->fault_mask = 1u << FAULT_TWICE;
        c->twice_ppm = s->run == tail_twice ? 900000 : 400000;
    }
    if (s->run == transfer_often) {
        /* What happens between the end of the old log and the compare-and-set matters here. */
        c->coord_delay_us = 15000;
        c->think_us = 150000;
    }
}

void scenario_run(struct world *w)
{
    const struct scenario *s = scenario_find(w->cfg.scenario);
    ASSERT(s != NULL);
    ASSERT(s->run != every_schedule || s->variants == schedule_count(SCHEDULE_DEPTH_SHORT));
    /* Longer schedules than those of the short form are asked for by their number. */
    s->run(w, s->run == every_schedule ? w->cfg.variant : w->cfg.variant % s->variants);
}
