/* `holdfast assess`: the posture of an estate. Operations are rows of a table; without one it reads
 * an estate and reports. Every failure is exit status 2: 1 means findings. */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/contract.h"
#include "base/files.h"
#include "cli/cli.h"
#include "cli/cmd_assess.h"
#include "continuity/posture/compare.h"
#include "continuity/posture/estate.h"

enum {
    A_FORMAT,
    A_OUT,
    A_HTML,
    A_SARIF,
    A_FAIL_ON,
    A_BASELINE,
    A_NEW_ONLY,
    A_LOSE,
    A_DRILL,
    A_AT,
    A_COLOR,
    A_ROW_COUNT
};

static const struct conf_row rows[A_ROW_COUNT] = {
    [A_FORMAT] = {"format", CONF_STRING, "text", 1, 16, 0, "text, json, sarif or html"},
    [A_OUT] = {"out", CONF_STRING, "", 0, 3000, 0, "write to this file, not to standard output"},
    [A_HTML] = {"html", CONF_STRING, "", 0, 3000, 0,
                "besides, write a page for people to this file"},
    [A_SARIF] = {"sarif", CONF_STRING, "", 0, 3000, 0,
                 "besides, write SARIF 2.1.0 for a code scanning system to this file"},
    [A_BASELINE] = {"baseline", CONF_STRING, "", 0, 3000, 0,
                    "compare with this earlier report (--format json)"},
    [A_NEW_ONLY] = {"new-only", CONF_BOOL, "false", 0, 0, 0,
                    "only findings that the baseline has not count for --fail-on"},
    [A_FAIL_ON] =
        {"fail-on", CONF_STRING, "low", 1, 16, 0,
         "exit status 1 from this severity on: low, medium, high, critical; none = never"},
    [A_LOSE] = {"lose", CONF_STRING, "", 0, 200, 0,
                "what if this were lost: region:NAME or zone:REGION/ZONE"},
    [A_DRILL] = {"drill-report", CONF_LIST, "", 0, 64, 0,
                 "ASSET=FILE: measured figures from `holdfast drill --json`"},
    [A_AT] = {"at", CONF_STRING, "", 0, 32, 0,
              "assess as of this moment (2026-11-28T10:00:00Z); now when not given"},
    [A_COLOR] = {"color", CONF_STRING, "auto", 1, 8, 0, "auto, always or never"},
};

int assess_fail(const struct errinfo *ei)
{
    (void)cli_fail(ei);
    return 2;
}

/* ---- output ---- */

enum err assess_write(const char *path, struct str text, struct errinfo *ei)
{
    if (path[0]) {
        return files_write_durable(path, text, 0644, ei);
    }
    if (fwrite(text.p, 1, text.n, stdout) != text.n || fflush(stdout) != 0) {
        return err_set(ei, ERR_IO, "cannot write to standard output");
    }
    return OK;
}

static struct report_style style_of(const struct conf *c)
{
    struct report_style style = {0};
    struct winsize size = {0};
    bool is_terminal = conf_str(c, A_OUT).n == 0 && isatty(STDOUT_FILENO);
    struct str color = conf_str(c, A_COLOR);
    style.colour = str_eq(color, STR("always")) || (is_terminal && str_eq(color, STR("auto")));
    if (is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
        style.width = size.ws_col;
    }
    return style;
}

static void write_text(const struct conf *c, const struct report *r, struct buf *out)
{
    struct report_style style = style_of(c);
    report_write_text(r, &style, out);
}

static void write_json(const struct conf *c, const struct report *r, struct buf *out)
{
    UNUSED(c);
    report_write_json(r, out);
}

static void write_sarif(const struct conf *c, const struct report *r, struct buf *out)
{
    UNUSED(c);
    report_write_sarif(r, out);
}

static void write_html(const struct conf *c, const struct report *r, struct buf *out)
{
    UNUSED(c);
    report_write_html(r, out);
}

typedef void writer_fn(const struct conf *c, const struct report *r, struct buf *out);
static const struct {
    const char *name;
    writer_fn *write;
} formats[] = {
    {"text", write_text},
    {"json", write_json},
    {"sarif", write_sarif},
    {"html", write_html},
};

/* ---- input ---- */

static enum err parse_drills(const struct conf *c, struct report_drill drills[CONF_LIST_MAX],
                             struct report_opts *opts, struct errinfo *ei)
{
    for (unsigned i = 0; i < conf_list_count(c, A_DRILL); i++) {
        struct report_drill *d = &drills[i];
        if (!str_split(conf_list_item(c, A_DRILL, i), '=', &d->asset, &d->path) || d->path.n == 0) {
            return err_set(ei, ERR_USAGE, "--drill-report needs ASSET=FILE");
        }
    }
    opts->drills = drills;
    opts->drill_count = conf_list_count(c, A_DRILL);
    return OK;
}

enum err assess_time(struct str text, int64_t *ret_ms, struct errinfo *ei)
{
    if (text.n == 0) {
        *ret_ms = clock_wall_ms();
        return OK;
    }
    if (!estate_parse_time(text, ret_ms) || *ret_ms == ESTATE_NEVER) {
        return err_set(ei, ERR_USAGE, "--at needs a time such as 2026-11-28T10:00:00Z");
    }
    return OK;
}

enum err assess_path(int argc, char **argv, const char **ret, struct errinfo *ei)
{
    if (argc > 2) {
        return err_set(ei, ERR_USAGE, "one estate at a time: what is '%s'?", argv[2]);
    }
    *ret = argc > 1 ? argv[1] : "estate.yaml";
    return OK;
}

void assess_folder(const char *path, char *ret, size_t size)
{
    const char *slash = strrchr(path, '/');
    (void)snprintf(ret, size, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    if (slash == path) {
        (void)snprintf(ret, size, "/");
    }
}

/* ---- assess ---- */

static enum err write_with(const struct conf *c, const struct report *r, writer_fn *write,
                           const char *path, struct errinfo *ei)
{
    struct buf out;
    buf_init(&out, ASSESS_OUTPUT_SIZE_MAX);
    write(c, r, &out);
    enum err err = buf_ok(&out) ? assess_write(path, buf_str(&out), ei)
                                : err_set(ei, ERR_LIMIT, "the report is larger than %d MiB",
                                          ASSESS_OUTPUT_SIZE_MAX >> 20);
    buf_done(&out);
    return err;
}

static enum err find_format(const struct conf *c, writer_fn **ret, struct errinfo *ei)
{
    for (size_t i = 0; i < ARRAY_COUNT(formats); i++) {
        if (str_eq(conf_str(c, A_FORMAT), str_of(formats[i].name))) {
            *ret = formats[i].write;
            return OK;
        }
    }
    return err_set(ei, ERR_USAGE, "unknown format '%s': text, json, sarif or html",
                   conf_cstr(c, A_FORMAT));
}

static enum err render(const struct conf *c, const struct report *r, struct errinfo *ei)
{
    writer_fn *write = NULL;
    TRY(find_format(c, &write, ei));
    if (conf_str(c, A_HTML).n > 0) {
        TRY(write_with(c, r, write_html, conf_cstr(c, A_HTML), ei));
    }
    if (conf_str(c, A_SARIF).n > 0) {
        TRY(write_with(c, r, write_sarif, conf_cstr(c, A_SARIF), ei));
    }
    return write_with(c, r, write, conf_cstr(c, A_OUT), ei);
}

static enum err compare(const struct conf *c, struct report *r, struct errinfo *ei)
{
    if (conf_str(c, A_BASELINE).n == 0) {
        return conf_bool(c, A_NEW_ONLY) ? err_set(ei, ERR_USAGE, "--new-only needs --baseline FILE")
                                        : OK;
    }
    struct buf text;
    buf_init(&text, COMPARE_TEXT_SIZE_MAX);
    enum err err = files_read(conf_cstr(c, A_BASELINE), &text, ei);
    if (err == OK) {
        err = report_compare_with(r, buf_str(&text), ei);
    }
    buf_done(&text);
    return err;
}

static enum err assess(const struct conf *c, const char *path, bool *ret_fails, struct errinfo *ei)
{
    struct report_drill drills[CONF_LIST_MAX];
    struct report_opts opts = {.lose = conf_str(c, A_LOSE)};
    enum severity threshold = SEVERITY_LOW;
    bool never = str_eq(conf_str(c, A_FAIL_ON), STR("none"));
    if (!never && !severity_find(conf_str(c, A_FAIL_ON), &threshold)) {
        return err_set(ei, ERR_USAGE, "--fail-on needs low, medium, high, critical or none");
    }
    TRY(assess_time(conf_str(c, A_AT), &opts.at_ms, ei));
    TRY(parse_drills(c, drills, &opts, ei));
    char dir[4096];
    assess_folder(path, dir, sizeof(dir));
    opts.dir = dir;
    struct estate *e = NULL;
    struct report *r = NULL;
    enum err err = estate_read_file(path, &e, ei);
    if (err == OK) {
        err = report_build(e, &opts, &r, ei);
    }
    if (err == OK) {
        err = compare(c, r, ei);
    }
    if (err == OK) {
        err = render(c, r, ei);
    }
    *ret_fails =
        err == OK && !never &&
        (conf_bool(c, A_NEW_ONLY) ? report_has_new(r, threshold) : report_fails(r, threshold));
    report_free(r);
    estate_free(e);
    return err;
}

/* ---- init, types, rules ---- */

static int run_init(int argc, char **argv)
{
    struct errinfo ei = {0};
    if (argc > 1) {
        err_set(&ei, ERR_USAGE, "assess init takes no argument '%s'", argv[1]);
        err_hint(&ei, "it writes to standard output: holdfast assess init > estate.yaml");
        return assess_fail(&ei);
    }
    return assess_write("", estate_example(), &ei) == OK ? 0 : assess_fail(&ei);
}

static void print_types(struct buf *out)
{
    buf_add_cstr(out, "Attributes of every type:\n");
    for (unsigned i = 0; i <= ATTR_COMMON_LAST; i++) {
        const struct estate_attr_row *row = estate_attr_row((enum estate_attr)i);
        buf_printf(out, "    %-26s %s\n", row->name, row->doc);
    }
    for (unsigned t = 0; t < TYPE_COUNT; t++) {
        const struct estate_type_row *type = estate_type_row((enum estate_type)t);
        buf_printf(out, "\n%s: %s\n", type->name, type->title);
        buf_printf(out, "    run by %s; replicated across regions by %s\n",
                   estate_party_name(type->runs), estate_party_name(type->geo));
        buf_printf(out, "    to configure: %s\n", type->config);
        buf_printf(out, type->limits[0] ? "    limits: %s\n" : "%s", type->limits);
        buf_printf(out, type->successor ? "    retired, successor: %s\n" : "%s",
                   type->successor ? type->successor : "");
        for (unsigned i = ATTR_COMMON_LAST + 1; i < ATTR_COUNT; i++) {
            const struct estate_attr_row *row = estate_attr_row((enum estate_attr)i);
            if (estate_type_has((enum estate_type)t, (enum estate_attr)i)) {
                buf_printf(out, "    %-26s %s%s%s\n", row->name, row->doc,
                           row->words[0] ? ": " : "", row->words);
            }
        }
    }
}

static void print_rules(struct buf *out)
{
    for (size_t i = 0; i < rule_count(); i++) {
        const struct rule_info *r = rule_info(i);
        buf_printf(out,
                   "%s %s: %s\n    should be: %s\n    why: %s\n    remedy: %s\n    source: %s\n\n",
                   r->id, severity_name(r->severity), r->title, r->expected, r->why, r->remedy,
                   r->sources);
    }
}

static int print_list(int argc, char **argv, void (*print)(struct buf *out))
{
    struct errinfo ei = {0};
    if (argc > 1) {
        err_set(&ei, ERR_USAGE, "assess %s takes no argument '%s'", argv[0], argv[1]);
        return assess_fail(&ei);
    }
    struct buf out;
    buf_init(&out, 1 << 20);
    print(&out);
    enum err err = assess_write("", buf_str(&out), &ei);
    buf_done(&out);
    return err == OK ? 0 : assess_fail(&ei);
}

static int run_types(int argc, char **argv)
{
    return print_list(argc, argv, print_types);
}

static int run_rules(int argc, char **argv)
{
    return print_list(argc, argv, print_rules);
}

/* ---- command ---- */

static const struct {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the operation */
} operations[] = {
    {"import", cmd_assess_import}, {"init", run_init},   {"plan", cmd_assess_plan},
    {"types", run_types},          {"rules", run_rules},
};

static int run(const struct conf *c, int argc, char **argv)
{
    struct errinfo ei = {0};
    const char *path = NULL;
    bool fails = false;
    enum err err = assess_path(argc, argv, &path, &ei);
    if (err == OK) {
        err = assess(c, path, &fails, &ei);
    }
    return err != OK ? assess_fail(&ei) : fails ? 1 : 0;
}

int cmd_assess(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < ARRAY_COUNT(operations); i++) {
        if (strcmp(argv[1], operations[i].name) == 0) {
            return operations[i].run(argc - 1, argv + 1);
        }
    }
    struct conf *c = conf_new(rows, A_ROW_COUNT);
    int status = 0;
    if (cli_options(c, rows, A_ROW_COUNT, -1, cli_command("assess"), &argc, argv, &status)) {
        status = run(c, argc, argv);
    } else if (status != 0) {
        status = 2;
    }
    conf_free(c);
    return status;
}
