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

static const struct {
    const char *name;
    size_t offset;
} times[] = {
    {"rto_ms", offsetof(struct drill_result, rto_ms)},
    {"client_rto_ms", offsetof(struct drill_result, client_rto_ms)},
    {"read_rto_ms", offsetof(struct drill_result, read_rto_ms)},
    {"rejoin_ms", offsetof(struct drill_result, rejoin_ms)},
};

static int64_t time_of(const struct drill_result *r, size_t i)
{
    int64_t ms;
    memcpy(&ms, (const char *)r + times[i].offset, sizeof(ms));
    return ms;
}

static int64_t over_repeats(const struct drill_result *res, size_t n, size_t i, unsigned p)
{
    int64_t *values = MEM_NEW_ARRAY(int64_t, n);
    for (size_t k = 0; k < n; k++) {
        values[k] = time_of(&res[k], i);
    }
    int64_t ret = drill_percentile(values, n, p);
    mem_free(values);
    return ret;
}

void drill_print_json(const struct conf *c, const struct drill_result *res, size_t n, bool is_met)
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
        json_out_member_cstr(&o, "fault", conf_cstr(c, D_FAULT));
        json_out_member_cstr(&o, "level", r->level);
        json_out_member_cstr(&o, "region", r->region);
        json_out_member_cstr(&o, "new_writer", r->new_writer);
        for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
            json_ms(&o, times[i].name, time_of(r, i));
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
    for (unsigned p = 50; p <= 100; p += 50) {
        json_out_key(&o, p == 50 ? "p50" : "worst");
        json_out_object(&o);
        for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
            json_ms(&o, times[i].name, over_repeats(res, n, i, p));
        }
        json_out_object_end(&o);
    }
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

void drill_print_table(const struct conf *c, const struct drill_result *res, size_t n, bool is_met)
{
    printf("%-4s %-16s %-16s %-8s %-8s %9s %9s %9s %9s %8s %9s %7s %5s %7s\n", "no.", "fault",
           "level", "region", "writer", "rto_ms", "client_ms", "read_ms", "rejoin_ms", "acked",
           "surviving", "in_feed", "lost", "unknown");
    for (size_t k = 0; k < n; k++) {
        const struct drill_result *r = &res[k];
        printf("%-4zu %-16s %-16s %-8s %-8s", k + 1, conf_cstr(c, D_FAULT), r->level, r->region,
               r->new_writer[0] ? r->new_writer : "-");
        for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
            print_ms(time_of(r, i));
        }
        printf(" %8" PRIu64 " %9" PRIu64 " %7" PRIu64 " %5" PRIu64 " %7" PRIu64 "\n", r->acked,
               r->surviving, r->in_feed, r->lost, r->unknown);
    }
    for (unsigned p = 50; p <= 100 && n > 1; p += 50) {
        printf("%-56s", p == 50 ? "p50" : "worst");
        for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
            print_ms(over_repeats(res, n, i, p));
        }
        printf("\n");
    }
    uint64_t lost = 0;
    uint64_t acked = 0;
    for (size_t k = 0; k < n; k++) {
        lost += res[k].lost;
        acked += res[k].acked;
    }
    printf("\n%" PRIu64 " writes were acknowledged, %" PRIu64 " of them are lost. %s\n", acked,
           lost, is_met ? "Objectives met." : "OBJECTIVES MISSED.");
}
