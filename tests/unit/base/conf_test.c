/* Options: precedence of sources, every type at its edges, messages that help, help texts. */
#include "base/conf.h"

#include <stdio.h>

#include "base/contract.h"
#include "base/mem_probe.h"
#include "lib/t.h"

enum { DATA_DIR, HEARTBEAT, CACHE, PORT, REGIONS, TLS, KEY, ROW_COUNT };

static const struct conf_row rows[] = {
    [DATA_DIR] = {"data-dir", CONF_STRING, "data", 1, 20, 0, "where data lives"},
    [HEARTBEAT] = {"heartbeat", CONF_DURATION, "200ms", 10, 60000, CONF_RELOADABLE, "how often"},
    [CACHE] = {"cache-size", CONF_SIZE, "64MiB", 1024, 0, CONF_RELOADABLE, "memory for reads"},
    [PORT] = {"port", CONF_U64, "8081", 1, 65535, 0, "where to listen"},
    [REGIONS] = {"region", CONF_LIST, "", 0, 3, 0, "names of regions"},
    [TLS] = {"tls", CONF_BOOL, "yes", 0, 0, 0, "encrypt connections"},
    [KEY] = {"account-key", CONF_STRING, "", 0, 0, CONF_SECRET, "signs requests"},
};

static struct conf *fresh(void)
{
    return conf_new(rows, ROW_COUNT);
}

T_TEST("without any source the defaults hold")
{
    mem_probe_start();
    struct conf *c = fresh();
    t_eq_cstr(conf_cstr(c, DATA_DIR), "data");
    t_eq_u64(conf_u64(c, HEARTBEAT), 200);
    t_eq_u64(conf_u64(c, CACHE), 64U << 20);
    t_eq_u64(conf_u64(c, PORT), 8081);
    t_eq_u64(conf_list_count(c, REGIONS), 0);
    t_check(conf_bool(c, TLS));
    t_eq_int(conf_source(c, PORT), CONF_FROM_DEFAULT);
    conf_free(c);
    conf_free(NULL);
    t_eq_i64(mem_live_count(), 0);
    mem_probe_stop();
}

T_TEST("a flag wins over the environment, that over the file, in any order of loading")
{
    char *env[] = {"HOLDFAST_PORT=3", "HOLDFAST_CACHE_SIZE=3k", "PORT=9", "HOLDFAST_OTHER=x", NULL};
    char arg0[] = "prog";
    char arg1[] = "--port=4";
    struct errinfo ei = {0};
    for (int order = 0; order < 2; order++) {
        char *argv[] = {arg0, arg1, NULL};
        int argc = 0;
        struct conf *c = fresh();
        if (order == 0) {
            t_ok(conf_load_args(c, 2, argv, &argc, &ei));
            t_ok(conf_load_env(c, env, &ei));
        }
        t_ok(conf_load_text(c, "f", STR("port = 2\ncache_size = 2k\nheartbeat = 2s"), &ei));
        if (order == 1) {
            t_ok(conf_load_env(c, env, &ei));
            t_ok(conf_load_args(c, 2, argv, &argc, &ei));
        }
        t_eq_u64(conf_u64(c, PORT), 4);
        t_eq_u64(conf_u64(c, CACHE), 3072);
        t_eq_u64(conf_u64(c, HEARTBEAT), 2000);
        t_eq_int(conf_source(c, PORT), CONF_FROM_FLAG);
        t_eq_int(conf_source(c, CACHE), CONF_FROM_ENV);
        t_eq_int(conf_source(c, HEARTBEAT), CONF_FROM_FILE);
        conf_free(c);
    }
}

T_TEST("files have comments, quotes and both spellings; the last line of a key counts")
{
    struct conf *c = fresh();
    struct errinfo ei = {0};
    t_ok_info(conf_load_text(c, "f",
                             STR("# comment\n\n  data_dir = \"a # \\\"b\\\" \" # real comment\n"
                                 "port=1\r\nport = 70 # seventy\nregion = a, b ,c\ntls=off\n"
                                 "account-key = a#b"),
                             &ei),
              &ei);
    t_eq_cstr(conf_cstr(c, DATA_DIR), "a # \"b\" ");
    t_eq_u64(conf_u64(c, PORT), 70);
    t_eq_u64(conf_list_count(c, REGIONS), 3);
    t_eq_lit(conf_list_item(c, REGIONS, 1), "b");
    t_eq_lit(conf_list_item(c, REGIONS, 2), "c");
    t_check(!conf_bool(c, TLS));
    t_eq_cstr(conf_cstr(c, KEY), "a#b");
    conf_free(c);
}

T_TEST("flags take values both ways, bools none; positional arguments stay in order")
{
    char *argv[] = {"prog", "up",   "--data-dir", "x y", "--no-tls", "--region",
                    "a",    "more", "--region=b", "--",  "--port=1", NULL};
    int argc = 0;
    struct conf *c = fresh();
    struct errinfo ei = {0};
    t_ok_info(conf_load_args(c, 11, argv, &argc, &ei), &ei);
    t_eq_int(argc, 4);
    t_eq_cstr(argv[1], "up");
    t_eq_cstr(argv[2], "more");
    t_eq_cstr(argv[3], "--port=1");
    t_eq_cstr(conf_cstr(c, DATA_DIR), "x y");
    t_check(!conf_bool(c, TLS));
    t_eq_u64(conf_list_count(c, REGIONS), 2);
    t_eq_lit(conf_list_item(c, REGIONS, 1), "b");
    t_eq_u64(conf_u64(c, PORT), 8081);
    conf_free(c);
}

static void eq_problem(const char *text, const char *message, const char *hint)
{
    struct conf *c = fresh();
    struct errinfo ei = {0};
    t_err(conf_load_text(c, "h.conf", str_of(text), &ei), ERR_CONFIG);
    t_contains(str_of(ei.message), message);
    t_contains(str_of(ei.hint), hint);
    conf_free(c);
}

T_TEST("a wrong file says where, what, and what was probably meant")
{
    eq_problem("\n\nprot = 1", "h.conf:3: unknown option 'prot'", "did you mean 'port'?");
    eq_problem("hearthbeat = 1s", "unknown option 'hearthbeat'", "did you mean 'heartbeat'?");
    eq_problem("zzzzzzzzzz = 1s", "unknown option", "");
    eq_problem("port", "h.conf:1: no '=' in the line", "key = value");
    eq_problem("port = x", "h.conf:1: port: 'x' is not a number", "");
    eq_problem("port = 0", "out of range: must be 1 to 65535", "");
    eq_problem("port = 65536", "out of range", "");
    eq_problem("heartbeat = 9ms", "out of range: must be 10 to 60000", "");
    eq_problem("heartbeat = 5x", "is not a duration", "");
    eq_problem("heartbeat = 99999999999999999999s", "is not a duration", "");
    eq_problem("cache-size = 99999999999999T", "is not a size", "");
    eq_problem("data-dir = ", "its length must be 1 to 20", "");
    eq_problem("data-dir = \"abc", "bad quotes", "");
    eq_problem("data-dir = \"abc\" d", "bad quotes", "");
    eq_problem("data-dir = a\x01", "control characters", "");
    eq_problem("region = a,,b", "is not a list", "");
    eq_problem("region = a,b,c,d", "its number of items must be 0 to 3", "");
    eq_problem("tls = maybe", "is not a yes|no", "");
}

static void eq_usage(char *flag, const char *message)
{
    char *argv[] = {"prog", flag, NULL};
    int argc = 0;
    struct conf *c = fresh();
    struct errinfo ei = {0};
    t_err(conf_load_args(c, 2, argv, &argc, &ei), ERR_USAGE);
    t_contains(str_of(ei.message), message);
    conf_free(c);
}

T_TEST("a wrong flag is a usage error")
{
    eq_usage("--port", "--port needs a value");
    eq_usage("--port=", "is not a number");
    eq_usage("--nope=1", "unknown option 'nope'");
    eq_usage("--no-port", "unknown option 'no-port'");
}

T_TEST("units are read in any case, and plain numbers are the base unit")
{
    static const struct {
        const char *text;
        unsigned idx;
        uint64_t want;
    } cases[] = {
        {"15", HEARTBEAT, 15},
        {"1m", HEARTBEAT, 60000},
        {"3 S", HEARTBEAT, 3000},
        {"2048", CACHE, 2048},
        {"1M", CACHE, 1U << 20},
        {"2GiB", CACHE, UINT64_C(2) << 30},
        {"1t", CACHE, UINT64_C(1) << 40},
        {"4096b", CACHE, 4096},
    };
    struct conf *c = fresh();
    for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
        t_ok(conf_set(c, rows[cases[i].idx].name, str_of(cases[i].text), CONF_FROM_FLAG, NULL));
        t_eq_u64(conf_u64(c, cases[i].idx), cases[i].want);
    }
    conf_free(c);
}

T_TEST("secrets appear in no message and no dump; a dump loads again")
{
    struct conf *c = fresh();
    struct conf *again = fresh();
    struct buf b;
    struct errinfo ei = {0};
    buf_init(&b, 65536);
    t_ok(conf_set(c, "account-key", STR("hush"), CONF_FROM_FILE, NULL));
    t_ok(conf_set(c, "data-dir", STR("a \"b\" \\ #c"), CONF_FROM_FILE, NULL));
    t_err(conf_set(c, "account-key", STR("hush\n"), CONF_FROM_FILE, &ei), ERR_CONFIG);
    t_check(str_find(str_of(ei.message), STR("hush")) < 0);
    conf_dump(c, &b);
    t_check(str_find(buf_str(&b), STR("hush")) < 0);
    t_contains(buf_str(&b), "port = \"8081\" # default\n");
    t_ok(conf_load_text(again, "dump", buf_str(&b), NULL));
    t_eq_cstr(conf_cstr(again, DATA_DIR), "a \"b\" \\ #c");
    buf_done(&b);
    conf_free(c);
    conf_free(again);
}

T_TEST("a line that was written is read as the same value, whatever is in it")
{
    static const char *const values[] = {"plain",          "a #b",    "#",      " led and trailed ",
                                         "\"quoted\" end", "a\\",     "a\\\"b", "x = y, \"#\"",
                                         "tab\tbed",       "\xc3\xbc"};
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        struct conf *c = fresh();
        struct buf b;
        buf_init(&b, 4096);
        conf_line(&b, "data-dir", "%s", values[i]);
        conf_line(&b, "port", "%d", 99);
        t_ok(conf_load_text(c, "written", buf_str(&b), NULL));
        t_eq_cstr(conf_cstr(c, DATA_DIR), values[i]);
        t_eq_u64(conf_u64(c, PORT), 99);
        buf_done(&b);
        conf_free(c);
    }
}

T_TEST("a reload changes what is reloadable and counts what is not")
{
    struct conf *c = fresh();
    struct conf *next = fresh();
    unsigned ignored = 0;
    t_ok(conf_load_text(next, "f", STR("heartbeat=1s\nport=9\ntls=no"), NULL));
    t_eq_u64(conf_reload(c, next, &ignored), 1);
    t_eq_u64(ignored, 2);
    t_eq_u64(conf_u64(c, HEARTBEAT), 1000);
    t_eq_u64(conf_u64(c, PORT), 8081);
    conf_free(c);
    conf_free(next);
}

T_TEST("files are read from disk, and a missing one says which")
{
    char path[300];
    int n = snprintf(path, sizeof(path), "%s/h.conf", t_tmp_dir());
    t_check(n > 0 && (size_t)n < sizeof(path));
    struct conf *c = fresh();
    struct errinfo ei = {0};
    t_err(conf_load_file(c, path, &ei), ERR_CONFIG);
    t_contains(str_of(ei.message), "h.conf: No such file");
    FILE *f = fopen(path, "we");
    t_check(f != NULL);
    t_check(fputs("port = 5\n", f) >= 0);
    t_eq_int(fclose(f), 0);
    t_ok(conf_load_file(c, path, NULL));
    t_eq_u64(conf_u64(c, PORT), 5);
    conf_free(c);
}

T_TEST("help and reference list each option with its default")
{
    struct buf b;
    buf_init(&b, 65536);
    conf_help(rows, ROW_COUNT, &b);
    t_contains(buf_str(&b), "  --data-dir text             where data lives (default: data)\n");
    t_contains(buf_str(&b), "  --[no-]tls                  encrypt connections (default: yes)\n");
    t_check(str_ends(buf_str(&b), STR("(--a-b: HOLDFAST_A_B).\n")));
    static const struct conf_row with_file[] = {{"config", CONF_STRING, "", 0, 0, 0, "file"}};
    buf_clear(&b);
    conf_help(with_file, 1, &b);
    t_contains(buf_str(&b), "or in the file that --config names (a-b = value).\n");
    buf_clear(&b);
    conf_reference(rows, ROW_COUNT, &b);
    t_contains(buf_str(&b),
               "| `heartbeat` | `HOLDFAST_HEARTBEAT` | duration | `200ms` | yes | how often |\n");
    buf_done(&b);
}

T_MAIN()
