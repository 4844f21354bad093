/* Prometheus text: rows as they must look, histograms that add up, and which operation a request is. */
#include "server/metrics.h"

#include <stdio.h>

#include "lib/t.h"
#include "server/http_metrics.h"

T_TEST("a head, then rows with at most one label, values escaped")
{
    struct buf b;
    buf_init(&b, 4096);
    metric_u64(&b, "holdfast_a_total", METRIC_COUNTER, "Things.", UINT64_MAX);
    metric_head(&b, "holdfast_b", METRIC_GAUGE, "Others.");
    metric_row(&b, "holdfast_b", "region", "a\"b\\c\nd", 3);
    metric_row_seconds(&b, "holdfast_b", "region", "e", 1000001);
    t_eq_lit(buf_str(&b), "# HELP holdfast_a_total Things.\n# TYPE holdfast_a_total counter\n"
                          "holdfast_a_total 18446744073709551615\n"
                          "# HELP holdfast_b Others.\n# TYPE holdfast_b gauge\n"
                          "holdfast_b{region=\"a\\\"b\\\\c d\"} 3\n"
                          "holdfast_b{region=\"e\"} 1.000001\n");
    buf_done(&b);
}

T_TEST("a histogram counts up to its bounds, and everything at +Inf")
{
    static struct metric_histogram h;
    metric_histogram_add(&h, 0);
    metric_histogram_add(&h, 100); /* a bound belongs to its bucket */
    metric_histogram_add(&h, 101);
    metric_histogram_add(&h, 10000000);
    metric_histogram_add(&h, UINT32_MAX);
    struct buf b;
    buf_init(&b, 8192);
    metric_histogram_rows(&b, "h", "kind", "read", &h);
    t_contains(buf_str(&b), "h_bucket{kind=\"read\",le=\"0.000100\"} 2\n");
    t_contains(buf_str(&b), "h_bucket{kind=\"read\",le=\"0.000250\"} 3\n");
    t_contains(buf_str(&b), "h_bucket{kind=\"read\",le=\"5.000000\"} 3\n");
    t_contains(buf_str(&b), "h_bucket{kind=\"read\",le=\"10.000000\"} 4\n");
    t_contains(buf_str(&b), "h_bucket{kind=\"read\",le=\"+Inf\"} 5\n");
    t_contains(buf_str(&b), "h_sum{kind=\"read\"} 4304.967496\nh_count{kind=\"read\"} 5\n");
    buf_done(&b);
}

T_TEST("the process tells what it uses")
{
    struct buf b;
    buf_init(&b, 4096);
    metric_process(&b);
    t_contains(buf_str(&b), "holdfast_build_info{version=\"" HF_VERSION "\"} 1\n");
    ptrdiff_t at = str_find(buf_str(&b), STR("\nprocess_resident_memory_bytes "));
    t_check(at > 0);
    struct str value = str_slice(buf_str(&b), (size_t)at + 31, 3);
    t_check(value.n == 3 && value.p[0] >= '1'); /* three digits at least */
    t_contains(buf_str(&b), "\nprocess_open_fds ");
    buf_done(&b);
}

static void is_op(const char *method, const char *target, const char *header, const char *value,
                  const char *want)
{
    struct http_header headers[] = {{str_of(header), str_of(value)}};
    struct http_req req = {.method = str_of(method),
                           .target = str_of(target),
                           .headers = headers,
                           .header_count = header[0] ? 1 : 0};
    const char *got = http_op_name(http_op_of(&req));
    t_checkf(strcmp(got, want) == 0, "%s %s %s is %s, not %s", method, target, header, got, want);
}

T_TEST("every request has one operation, by method, path and what the headers say")
{
    static const char docs[] = "/dbs/d/colls/c/docs";
    is_op("GET", "/", "", "", "account");
    is_op("GET", "", "", "", "account");
    is_op("GET", "//", "", "", "account");
    is_op("GET", "/metrics", "", "", "admin");
    is_op("GET", "/health/live", "", "", "admin");
    is_op("POST", "/_holdfast/account/failover", "", "", "admin");
    is_op("POST", "/dbs", "", "", "metadata");
    is_op("GET", "/dbs/d/colls/docs", "", "", "metadata");
    is_op("GET", "/dbs/docs/colls/docs/pkranges", "", "", "metadata");
    is_op("GET", "/dbs/d/colls/c/conflicts/x", "", "", "conflict");
    is_op("GET", docs, "a-im", "Incremental feed", "feed");
    is_op("GET", "/dbs/d/colls/c/docs/", "", "", "feed");
    is_op("GET", "/dbs/d/colls/c/docs/i", "", "", "read");
    is_op("GET", "/dbs/d/colls/c/docs/i/attachments", "", "", "read");
    is_op("POST", docs, "", "", "create");
    is_op("POST", docs, "x-ms-documentdb-is-upsert", "True", "upsert");
    is_op("POST", docs, "x-ms-cosmos-is-batch-request", "true", "batch");
    is_op("POST", docs, "x-ms-documentdb-isquery", "True", "query");
    is_op("POST", docs, "Content-Type", "application/query+json; charset=utf-8", "query");
    is_op("PUT", "/dbs/d/colls/c/docs/i", "", "", "replace");
    is_op("PATCH", "/dbs/d/colls/c/docs/i", "", "", "patch");
    is_op("DELETE", "/dbs/d/colls/c/docs/i", "", "", "delete");
    is_op("BREW", "/dbs/d/colls/c/docs/i", "", "", "read"); /* unknown methods make no series */
}

T_MAIN()
