/* Results of a drill as JSON and as a table. See drill_int.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/contract.h"
#include "base/mem.h"
#include "cli/drill_int.h"
#include "json/json.h"

static bool is_lossless(const struct drill_result *r)
{
    return r->lost == 0;
}

bool drill_meets(const struct conf *c, const struct drill_result *r)
{
    uint64_t max_rto = conf_u64(c, D_MAX_RTO);
    uint64_t max_rpo = 0;
    bool has_rpo = str_to_u64(conf_str(c, D_MAX_RPO), &max_rpo);
    int64_t rto = r->rto_ms >= 0 ? r->rto_ms : r->client_rto_ms;
    return is_lossless(r) && (max_rto == 0 || (rto >= 0 && (uint64_t)rto <= max_rto)) &&
           (!has_rpo || r->in_feed + r->lost <= max_rpo);
}

static void json_ms(struct json_out *o, const char *key, int64_t ms)
{
    json_out_key(o, key);
    if (ms < 0) {
        json_out_null(o);
    } else {
        json_out_i64(o, ms);
    }
}

static const char *const time_names[DRILL_TIME_COUNT] = {
    [DRILL_RTO] = "rto_ms",
    [DRILL_CLIENT_RTO] = "client_rto_ms",
    [DRILL_READ_RTO] = "read_rto_ms",
    [DRILL_REJOIN] = "rejoin_ms",
};

static void json_spread(struct json_out *o, const struct drill_result *res, size_t n,
                        const struct drill_group *g)
{
    for (unsigned p = 50; p <= 100; p += 50) {
        json_out_key(o, p == 50 ? "p50" : "worst");
        json_out_object(o);
        for (unsigned t = 0; t < DRILL_TIME_COUNT; t++) {
            json_ms(o, time_names[t], drill_percentile(res, n, g, (enum drill_time)t, p));
        }
        json_out_object_end(o);
    }
}

/* Over faults and levels together, and of each by itself. */
static void json_spreads(struct json_out *o, const struct drill_result *res, size_t n)
{
    struct drill_group groups[DRILL_GROUPS_MAX];
    size_t count = drill_groups(res, n, groups);
    json_spread(o, res, n, NULL);
    json_out_key(o, "groups");
    json_out_array(o);
    for (size_t i = 0; i < count; i++) {
        json_out_object(o);
        json_out_member_cstr(o, "fault", drill_fault_name(groups[i].fault));
        json_out_member_cstr(o, "level", groups[i].level);
        json_spread(o, res, n, &groups[i]);
        json_out_object_end(o);
    }
    json_out_array_end(o);
}

static void json_skips(struct json_out *o, const struct drill_skips *skips)
{
    json_out_key(o, "left_out");
    json_out_array(o);
    for (size_t i = 0; i < skips->count; i++) {
        json_out_cstr(o, skips->texts[i]);
    }
    json_out_array_end(o);
}

void drill_print_json(const struct conf *c, const struct drill_result *res, size_t n,
                      const struct drill_skips *skips, bool is_met)
{
    struct buf text;
    struct json_out o;
    buf_init(&text, 16 << 20);
    json_out_init(&o, &text);
    json_out_object(&o);
    json_out_member_cstr(&o, "fault", conf_cstr(c, D_FAULT));
    json_out_member_bool(&o, "objectives_met", is_met);
    json_out_member_i64(&o, "finished_at_ms", clock_wall_ms());
    json_out_key(&o, "repeats");
    json_out_array(&o);
    for (size_t k = 0; k < n; k++) {
        const struct drill_result *r = &res[k];
        json_out_object(&o);
        json_out_member_cstr(&o, "fault", drill_fault_name(r->fault));
        json_out_member_cstr(&o, "level", r->level);
        json_out_member_cstr(&o, "region", r->region);
        json_out_member_cstr(&o, "new_writer", r->new_writer);
        for (unsigned t = 0; t < DRILL_TIME_COUNT; t++) {
            json_ms(&o, time_names[t], drill_time_of(r, (enum drill_time)t));
        }
        const struct {
            const char *name;
            uint64_t value;
        } counts[] = {{"acked", r->acked},     {"surviving", r->surviving},
                      {"in_feed", r->in_feed}, {"lost", r->lost},
                      {"unknown", r->unknown}, {"unknown_surviving", r->unknown_surviving},
                      {"errors", r->errors},   {"writer_changes", r->writer_changes}};
        for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
            json_out_key(&o, counts[i].name);
            json_out_u64(&o, counts[i].value);
        }
        json_out_object_end(&o);
    }
    json_out_array_end(&o);
    json_spreads(&o, res, n);
    json_skips(&o, skips);
    json_out_object_end(&o);
    printf(STR_FMT "\n", STR_ARG(buf_str(&text)));
    buf_done(&text);
}

static void print_ms(int64_t ms)
{
    if (ms < 0) {
        printf(" %9s", "-");
    } else {
        printf(" %9" PRId64, ms);
    }
}

static void print_spreads(const struct drill_result *res, size_t n)
{
    struct drill_group groups[DRILL_GROUPS_MAX];
    size_t count = drill_groups(res, n, groups);
    for (size_t i = 0; i < count && n > count; i++) { /* else each has one repeat */
        for (unsigned p = 50; p <= 100; p += 50) {
            printf("%-5s%-16s %-34s", p == 50 ? "p50" : "max", drill_fault_name(groups[i].fault),
                   groups[i].level);
            for (unsigned t = 0; t < DRILL_TIME_COUNT; t++) {
                print_ms(drill_percentile(res, n, &groups[i], (enum drill_time)t, p));
            }
            printf("\n");
        }
    }
}

void drill_print_table(const struct drill_result *res, size_t n, const struct drill_skips *skips,
                       bool is_met)
{
    printf("%-4s %-16s %-16s %-8s %-8s %9s %9s %9s %9s %8s %9s %7s %5s %7s\n", "no.", "fault",
           "level", "region", "writer", "rto_ms", "client_ms", "read_ms", "rejoin_ms", "acked",
           "surviving", "in_feed", "lost", "unknown");
    uint64_t lost = 0;
    uint64_t acked = 0;
    for (size_t k = 0; k < n; k++) {
        const struct drill_result *r = &res[k];
        printf("%-4zu %-16s %-16s %-8s %-8s", k + 1, drill_fault_name(r->fault), r->level,
               r->region, r->new_writer[0] ? r->new_writer : "-");
        for (unsigned t = 0; t < DRILL_TIME_COUNT; t++) {
            print_ms(drill_time_of(r, (enum drill_time)t));
        }
        printf(" %8" PRIu64 " %9" PRIu64 " %7" PRIu64 " %5" PRIu64 " %7" PRIu64 "\n", r->acked,
               r->surviving, r->in_feed, r->lost, r->unknown);
        lost += r->lost;
        acked += r->acked;
    }
    print_spreads(res, n);
    for (size_t i = 0; i < skips->count; i++) {
        printf("left out: %s\n", skips->texts[i]);
    }
    printf("\n%" PRIu64 " writes were acknowledged, %" PRIu64 " of them are lost. %s\n", acked,
           lost, is_met ? "Objectives met." : "OBJECTIVES MISSED.");
}
