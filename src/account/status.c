/* What operators and monitoring see of one region. Figures, states and rule numbers only: no
 * document, key or secret. */
#include "account/region_int.h"
#include "base/contract.h"
#include "json/json.h"

static uint64_t ms_since(usec now, usec then)
{
    return then == 0 || then > now ? 0 : (now - then) / 1000;
}

/* What the loss of this writer would cost, and each region's lag. */
static void put_regions(struct region *r, struct json_out *o)
{
    usec now = region_now(r);
    json_out_key(o, "regions");
    json_out_array(o);
    for (size_t i = 0; i < r->rec->region_count; i++) {
        const struct record_region *g = &r->rec->regions[i];
        const struct member *m = &r->members[g->id];
        json_out_object(o);
        json_out_member_u64(o, "id", g->id);
        json_out_member_cstr(o, "name", g->name);
        json_out_member_cstr(o, "state", region_state_name(g->state));
        json_out_member_bool(o, "forcedOffline", g->is_forced_offline);
        json_out_member_u64(o, "priority", g->priority);
        json_out_member_bool(o, "needsFullCopy", g->needs_full_copy);
        json_out_member_u64(o, "unsentOperationsEstimate", g->unsent_ops);
        json_out_member_bool(o, "inQuorum", (r->rec->q_mask & record_mask(g->id)) != 0);
        if (g->id != r->cfg.self) {
            json_out_member_bool(o, "heartbeatFresh", coordio_is_alive(r, g->id));
            json_out_member_u64(o, "heartbeatAgeMs", ms_since(now, m->seen_us));
            json_out_member_bool(o, "linkUp", repl_link_is_up(r->repl, g->id));
            json_out_member_bool(o, "logWhole", m->is_whole);
            json_out_member_u64(o, "readsRecordFormat", m->reads);
        }
        if (region_acts_as_writer(r) && g->id != r->cfg.self) {
            struct repl_lag lag;
            repl_lag(r->repl, g->id, &lag);
            json_out_member_u64(o, "lagOperations", lag.ops);
            json_out_member_u64(o, "lagMs", lag.since_us == 0 ? 0 : ms_since(now, lag.since_us));
            json_out_member_bool(o, "streaming", lag.is_streaming);
            json_out_member_bool(o, "copying", lag.needs_copy);
            json_out_member_u64(o, "logKeptSize", repl_log_kept_for(r->repl, g->id));
        }
        json_out_object_end(o);
    }
    json_out_array_end(o);
}

/* Partitions with a writer of their own, as this process takes part in them. */
static void put_partitions(struct region *r, struct json_out *o)
{
    json_out_member_bool(o, "partitionFailover", r->rec->partition_failover);
    json_out_member_u64(o, "unusablePartitions", repl_corrupt_count(r->repl));
    json_out_key(o, "partitionWriters");
    json_out_array(o);
    for (size_t i = 0; i < r->rec->override_count; i++) {
        const struct record_override *p = &r->rec->overrides[i];
        const struct part_ctl *c = parts_ctl(r, p->pid);
        json_out_object(o);
        json_out_member_u64(o, "partition", p->pid);
        json_out_member_u64(o, "writer", p->writer);
        json_out_member_cstr(o, "role", c != NULL ? fsm_state_name(parts_fsm(), c->role) : "");
        json_out_member_u64(o, "generation", p->generation);
        json_out_member_u64(o, "epoch", p->epoch);
        json_out_member_u64(o, "rule", p->opened.rule);
        json_out_member_bool(o, "pinned", p->is_pinned);
        json_out_member_bool(o, "leaseFresh", c != NULL && parts_lease_is_fresh(r, c));
        json_out_object_end(o);
    }
    json_out_array_end(o);
}

static uint64_t loss_now(struct region *r)
{
    region_id best = account_best_candidate(r->rec, record_mask(r->cfg.self));
    if (!region_acts_as_writer(r) || best == 0) {
        return 0;
    }
    struct repl_lag lag;
    repl_lag(r->repl, best, &lag);
    return r->rec->level == CONSISTENCY_STRONG ? 0 : lag.ops;
}

static void put_last(struct region *r, struct json_out *o)
{
    if (r->last_failover.rule == 0) {
        return;
    }
    json_out_key(o, "lastOpening");
    json_out_object(o);
    json_out_member_u64(o, "rule", (uint64_t)r->last_failover.rule);
    json_out_member_u64(o, "fromRegion", r->last_failover.from);
    json_out_member_i64(o, "wallMs", r->last_failover.wall_ms);
    json_out_member_u64(o, "detectMs", r->last_failover.detect_ms);
    json_out_member_u64(o, "waitMs", r->last_failover.wait_ms);
    json_out_member_u64(o, "promoteMs", r->last_failover.promote_ms);
    json_out_member_u64(o, "lostOperationsEstimate", r->last_failover.lost_estimate);
    beat_put_losses(o, &r->last_failover.lost_parts);
    json_out_object_end(o);
}

static bool region_is_settled(const struct region *r)
{
    return r->rec != NULL && repl_is_settled(r->repl, record_online_mask(r->rec));
}

static void put_log(struct region *r, struct json_out *o)
{
    struct repl_stats s;
    struct engine_stats es = {0};
    repl_stats(r->repl, &s);
    engine_stats_get(r->engine, &es);
    json_out_member_u64(o, "partitions", repl_part_count(r->repl));
    json_out_member_u64(o, "entries", repl_total_ord(r->repl));
    json_out_member_u64(o, "logEntries", s.log_entries);
    json_out_member_u64(o, "logSize", repl_log_size(r->repl));
    json_out_member_u64(o, "logSizeMax", r->cfg.log_size_max);
    json_out_member_u64(o, "copyingPartitions", repl_seed_count(r->repl));
    json_out_member_u64(o, "dirtyKeys", repl_dirty_count(r->repl));
    json_out_member_bool(o, "logWhole", repl_is_whole(r->repl));
    json_out_member_bool(o, "settled", region_is_settled(r));
    json_out_member_u64(o, "divergedPartitions", repl_diverged_count(r->repl));
    json_out_member_u64(o, "conflictFeedSize", repl_feed_size(r->repl));
    json_out_member_u64(o, "conflictFeedQuota", repl_feed_quota(r->repl));
    json_out_member_u64(o, "divergedWritesRecorded", s.lost_recorded);
    json_out_member_u64(o, "divergedWritesArchivedOnly", s.lost_archived);
    json_out_member_u64(o, "divergedWritesApplied", s.lost_applied);
    json_out_member_u64(o, "diskSize", es.disk_size);
    json_out_member_u64(o, "diskFree", es.disk_free);
    json_out_member_bool(o, "zoneRedundant",
                         (engine_features(r->engine) & ENGINE_ZONE_REDUNDANT) != 0);
}

void region_status_json(struct region *r, struct buf *out)
{
    struct json_out o;
    json_out_init(&o, out);
    json_out_object(&o);
    json_out_member_cstr(&o, "account", r->account);
    json_out_member_u64(&o, "region", r->cfg.self);
    json_out_member_cstr(&o, "name", r->cfg.name);
    json_out_member_cstr(&o, "role", region_role_name((enum region_role)r->role));
    json_out_member_u64(&o, "rule", (uint64_t)r->rule);
    json_out_member_u64(&o, "roleMs", ms_since(region_now(r), r->role_since_us));
    json_out_member_bool(&o, "coordinatorInTouch", r->is_synced);
    if (r->rec != NULL) {
        json_out_member_cstr(&o, "level", consistency_name(r->rec->level));
        if (r->rec->is_level_changing) {
            json_out_member_cstr(&o, "levelTo", consistency_name(r->rec->level_to));
        }
        if (r->rec->max_staleness_ops != 0) {
            json_out_member_u64(&o, "maxStalenessOperations", r->rec->max_staleness_ops);
            json_out_member_u64(&o, "maxStalenessSeconds", r->rec->max_staleness_s);
        }
        json_out_member_u64(&o, "writer", r->rec->writer);
        json_out_member_u64(&o, "generation", r->rec->generation);
        json_out_member_u64(&o, "epoch", r->rec->epoch);
        json_out_member_u64(&o, "tokenVersion", r->rec->token_version);
        json_out_member_u64(&o, "lsnLimit", r->rec->lsn_limit);
        json_out_member_u64(&o, "recordFormat", record_format(r->rec));
        json_out_member_bool(&o, "automaticFailover", r->rec->auto_failover);
        json_out_member_cstr(&o, "divergedWrites", diverged_name(r->rec->diverged_writes));
        json_out_member_bool(&o, "leaseFresh", region_lease_is_fresh(r));
        json_out_member_cstr(&o, "keepWritingWithoutCoordinator",
                             keep_writing_name(r->cfg.keep_writing));
        json_out_member_bool(&o, "vouched", r->is_vouched);
        json_out_member_cstr(&o, "durability", record_is_degraded(r->rec) ? "degraded" : "normal");
        json_out_member_u64(&o, "lossIfWriterFailsNowOperations", loss_now(r));
        json_out_member_bool(&o, "diskSlow", r->health.is_slow);
        json_out_member_bool(&o, "failoverHeldBack", r->health.is_holding);
        usec hold_until = r->health.hold_until_us;
        usec now = region_now(r);
        json_out_member_u64(&o, "failoverHoldLeftMs",
                            hold_until > now ? (hold_until - now + 999) / 1000 : 0);
        json_out_member_i64(&o, "clockAheadMs", r->health.clock_ahead_ms);
        put_partitions(r, &o);
        put_regions(r, &o);
    }
    put_log(r, &o);
    put_last(r, &o);
    json_out_member_u64(&o, "pendingWrites", r->pending_count);
    json_out_member_u64(&o, "heldWrites", r->held_count);
    json_out_member_u64(&o, "delayedWrites", r->delayed_count);
    json_out_object_end(&o);
}

/* ---- Prometheus ---- */

static void metric(struct region *r, struct buf *out, const char *name, const char *kind,
                   const char *help, uint64_t v)
{
    buf_printf(out, "# HELP holdfast_%s %s\n# TYPE holdfast_%s %s\n", name, help, name, kind);
    buf_printf(out, "holdfast_%s{account=\"%s\",region=\"%s\"} %llu\n", name, r->account,
               r->cfg.name, (unsigned long long)v);
}

static void copy_metrics(struct region *r, struct buf *out)
{
    if (r->rec == NULL) {
        return;
    }
    buf_add_cstr(out, "# HELP holdfast_needs_full_copy 1: the log is not kept for this region.\n"
                      "# TYPE holdfast_needs_full_copy gauge\n");
    for (size_t i = 0; i < r->rec->region_count; i++) {
        const struct record_region *g = &r->rec->regions[i];
        buf_printf(out, "holdfast_needs_full_copy{account=\"%s\",region=\"%s\",peer=\"%s\"} %d\n",
                   r->account, r->cfg.name, g->name, g->needs_full_copy);
    }
}

static void lag_metrics(struct region *r, struct buf *out)
{
    if (r->rec == NULL || !region_acts_as_writer(r)) {
        return;
    }
    buf_add_cstr(out, "# HELP holdfast_lag_operations Entries a region has not made durable.\n"
                      "# TYPE holdfast_lag_operations gauge\n");
    for (size_t i = 0; i < r->rec->region_count; i++) {
        const struct record_region *g = &r->rec->regions[i];
        if (g->id != r->cfg.self) {
            struct repl_lag lag;
            repl_lag(r->repl, g->id, &lag);
            buf_printf(out,
                       "holdfast_lag_operations{account=\"%s\",region=\"%s\",peer=\"%s\"} %llu\n",
                       r->account, r->cfg.name, g->name, (unsigned long long)lag.ops);
        }
    }
    buf_add_cstr(out, "# HELP holdfast_lag_seconds Age of the oldest entry a region lacks.\n"
                      "# TYPE holdfast_lag_seconds gauge\n");
    for (size_t i = 0; i < r->rec->region_count; i++) {
        const struct record_region *g = &r->rec->regions[i];
        if (g->id != r->cfg.self) {
            struct repl_lag lag;
            repl_lag(r->repl, g->id, &lag);
            uint64_t ms = lag.since_us == 0 ? 0 : ms_since(region_now(r), lag.since_us);
            buf_printf(
                out, "holdfast_lag_seconds{account=\"%s\",region=\"%s\",peer=\"%s\"} %llu.%03llu\n",
                r->account, r->cfg.name, g->name, (unsigned long long)(ms / 1000),
                (unsigned long long)(ms % 1000));
        }
    }
}

static void health_metrics(struct region *r, struct buf *out)
{
    const struct health *h = &r->health;
    metric(r, out, "disk_slow", "gauge", "1 while commits take too long for too long.", h->is_slow);
    metric(r, out, "failover_held_back", "gauge",
           "1 while a failover waits because the last one was just now.", h->is_holding);
    metric(r, out, "clock_drift", "gauge",
           "1 while the wall clock is far from the median of the other regions'.", h->is_clock_off);
    int64_t off = h->clock_ahead_ms < 0 ? -h->clock_ahead_ms : h->clock_ahead_ms;
    buf_printf(
        out,
        "# HELP holdfast_clock_ahead_seconds How far the wall clock is ahead of the others'.\n"
        "# TYPE holdfast_clock_ahead_seconds gauge\n"
        "holdfast_clock_ahead_seconds{account=\"%s\",region=\"%s\"} %s%lld.%03lld\n",
        r->account, r->cfg.name, h->clock_ahead_ms < 0 ? "-" : "", (long long)(off / 1000),
        (long long)(off % 1000));
}

void region_metrics(struct region *r, struct buf *out)
{
    struct repl_stats s;
    repl_stats(r->repl, &s);
    metric(r, out, "role", "gauge", "Role of this process (enum region_role).", (uint64_t)r->role);
    if (r->rec != NULL) {
        metric(r, out, "generation", "gauge", "Generation of the account record.",
               r->rec->generation);
        metric(r, out, "durability_degraded", "gauge",
               "1 while only one of several regions is online.", record_is_degraded(r->rec));
        metric(r, out, "consistency_level", "gauge",
               "0 Eventual, 1 ConsistentPrefix, 2 Session, 3 BoundedStaleness, 4 Strong.",
               (uint64_t)r->rec->level);
        metric(r, out, "level_changing", "gauge", "1 while the consistency level changes.",
               r->rec->is_level_changing);
        metric(r, out, "epoch", "gauge", "Epoch of the account record.", r->rec->epoch);
        metric(r, out, "partition_writers", "gauge",
               "Partitions with a writer of their own in the account record.",
               r->rec->override_count);
        metric(r, out, "partitions_split", "gauge",
               "1 while a partition is written by another region than the account's writer.",
               record_is_split(r->rec));
        metric(r, out, "loss_if_writer_fails_operations", "gauge",
               "Entries that the best candidate lacks now.", loss_now(r));
    }
    metric(r, out, "lease_fresh", "gauge", "1 while this process may acknowledge writes.",
           region_lease_is_fresh(r));
    metric(r, out, "coordinator_in_touch", "gauge", "1 while the watch is up.", r->is_synced);
    metric(r, out, "writes_ok_total", "counter", "Acknowledged writes.", r->writes_ok);
    metric(r, out, "writes_unknown_total", "counter", "Writes answered with unknown outcome.",
           r->writes_unknown);
    metric(r, out, "writes_refused_total", "counter", "Writes certainly not applied.",
           r->writes_refused);
    metric(r, out, "writes_rejected_total", "counter", "Writes whose precondition failed.",
           r->writes_rejected);
    metric(r, out, "writes_delayed_total", "counter",
           "Writes that waited because a region was far behind.", r->writes_delayed);
    metric(r, out, "writes_throttled_total", "counter",
           "Writes refused because a region was as far behind as BoundedStaleness allows (429).",
           r->writes_throttled);
    metric(r, out, "writes_delayed", "gauge", "Writes waiting for a region to catch up.",
           r->delayed_count);
    metric(r, out, "openings_total", "counter", "Epochs opened by this process.", r->failovers);
    metric(r, out, "partition_openings_total", "counter",
           "Epochs of single partitions opened by this process.", r->part_openings);
    metric(r, out, "partitions_unusable", "gauge",
           "Partitions whose data could not be read here and is not replaced yet.",
           repl_corrupt_count(r->repl));
    metric(r, out, "stale_generation_total", "counter", "Times this process was fenced.",
           r->stale_events);
    metric(r, out, "entries_ordered_total", "counter", "Log entries ordered here.",
           s.entries_ordered);
    metric(r, out, "entries_applied_total", "counter", "Log entries applied from the writer.",
           s.entries_applied);
    metric(r, out, "batches_total", "counter", "Batches handed to storage.", s.batches);
    metric(r, out, "batches_pending", "gauge", "Batches that storage has not answered.",
           s.pending_batches);
    metric(r, out, "bytes_shipped_total", "counter", "Bytes handed to peer links.",
           s.bytes_shipped);
    metric(r, out, "frames_bad_total", "counter", "Peer frames that did not decode.", s.frames_bad);
    metric(r, out, "nacks_total", "counter", "Gaps reported by or to peers.", s.nacks);
    metric(r, out, "conflict_records_total", "counter", "Conflict records written.",
           s.conflict_records);
    metric(r, out, "conflict_feed_bytes", "gauge", "Texts of the conflict records here.",
           repl_feed_size(r->repl));
    metric(r, out, "conflict_feed_quota_bytes", "gauge",
           "From there on lost writes go to the archive of the region that lost them only.",
           repl_feed_quota(r->repl));
    metric(r, out, "diverged_writes_recorded_total", "counter",
           "Writes of an earlier epoch handed in by this region: in the conflict feed.",
           s.lost_recorded);
    metric(r, out, "diverged_writes_archived_total", "counter",
           "Writes of an earlier epoch handed in by this region: in its archive only.",
           s.lost_archived);
    metric(r, out, "diverged_writes_applied_total", "counter",
           "Writes of an earlier epoch that this region, as the writer, put in place (lww).",
           s.lost_applied);
    metric(r, out, "expired_deletes_total", "counter", "Documents deleted by expiry.", s.purged);
    metric(r, out, "log_entries_trimmed_total", "counter", "Log entries trimmed.", s.trimmed);
    metric(r, out, "log_entries", "gauge", "Entries kept in the log.", s.log_entries);
    metric(r, out, "log_bytes", "gauge", "Bytes of the entries in the log.",
           repl_log_size(r->repl));
    metric(r, out, "log_budget_bytes", "gauge",
           "Above it a region that the log is kept for must be copied; 0 = no limit.",
           r->cfg.log_size_max);
    metric(r, out, "copying_partitions", "gauge", "Partitions being copied to here.",
           repl_seed_count(r->repl));
    metric(r, out, "copied_documents_total", "counter", "Documents that copies brought.", s.seeded);
    metric(r, out, "copied_bytes_total", "counter", "Bytes of their text.", s.seeded_size);
    metric(r, out, "dirty_keys", "gauge", "Documents to be fetched again.",
           repl_dirty_count(r->repl));
    metric(r, out, "diverged_partitions", "gauge",
           "Partitions whose writes of an earlier epoch are being handed in to the conflict feed.",
           repl_diverged_count(r->repl));
    metric(r, out, "vouched", "gauge",
           "1: writes go on without the coordinator, with the consent of all regions.",
           r->is_vouched);
    metric(
        r, out, "settled", "gauge",
        "1: nothing is under way that a change of writer began; on all regions: the conflict feed "
        "is complete.",
        region_is_settled(r));
    metric(r, out, "pending_writes", "gauge", "Writes waiting for acknowledgement.",
           r->pending_count);
    metric(r, out, "ring_bytes", "gauge", "Recent entries in memory.", s.ring_size);
    health_metrics(r, out);
    copy_metrics(r, out);
    lag_metrics(r, out);
}
