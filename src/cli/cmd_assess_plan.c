/* `holdfast assess plan`: the checklist for moving from one region to another. */
#include "base/buf.h"
#include "cli/cli.h"
#include "cli/cmd_assess.h"
#include "continuity/posture/plan.h"

enum { P_FROM, P_TO, P_FORMAT, P_OUT, P_AT, P_ROW_COUNT };

static const struct conf_row rows[P_ROW_COUNT] = {
    [P_FROM] = {"from", CONF_STRING, "", 0, 64, 0, "region that is left"},
    [P_TO] = {"to", CONF_STRING, "", 0, 64, 0, "region that takes over"},
    [P_FORMAT] = {"format", CONF_STRING, "markdown", 1, 16, 0, "markdown or json"},
    [P_OUT] = {"out", CONF_STRING, "", 0, 3000, 0, "write to this file, not to standard output"},
    [P_AT] = {"at", CONF_STRING, "", 0, 32, 0, "plan as of this moment; now when not given"},
};

static const struct cli_command command = {
    "assess plan", "[FILE] --from REGION --to REGION", "a checklist for moving to another region",
    "What must exist where, who replicates it, what has to be done by hand in which order before, "
    "during\n"
    "and after a failover, and what it costs in copies.\n",
    NULL};

static enum err write_plan(const struct conf *c, const struct report *r, struct errinfo *ei)
{
    struct plan *plan = NULL;
    struct buf out;
    bool is_json = str_eq(conf_str(c, P_FORMAT), STR("json"));
    if (!is_json && !str_eq(conf_str(c, P_FORMAT), STR("markdown"))) {
        return err_set(ei, ERR_USAGE, "unknown format '%s'", conf_cstr(c, P_FORMAT));
    }
    TRY(plan_build(r, conf_str(c, P_FROM), conf_str(c, P_TO), &plan, ei));
    buf_init(&out, ASSESS_OUTPUT_SIZE_MAX);
    (is_json ? plan_write_json : plan_write_markdown)(plan, &out);
    enum err err = buf_ok(&out) ? assess_write(conf_cstr(c, P_OUT), buf_str(&out), ei)
                                : err_set(ei, ERR_LIMIT, "the plan is larger than %d MiB",
                                          ASSESS_OUTPUT_SIZE_MAX >> 20);
    buf_done(&out);
    plan_free(plan);
    return err;
}

static enum err run(const struct conf *c, int argc, char **argv, struct errinfo *ei)
{
    const char *path = NULL;
    struct estate *e = NULL;
    struct report *r = NULL;
    struct report_opts opts = {0};
    char dir[4096];
    if (conf_str(c, P_FROM).n == 0 || conf_str(c, P_TO).n == 0) {
        return err_set(ei, ERR_USAGE, "a plan needs --from and --to");
    }
    TRY(assess_time(conf_str(c, P_AT), &opts.at_ms, ei));
    TRY(assess_path(argc, argv, &path, ei));
    assess_folder(path, dir, sizeof(dir));
    opts.dir = dir;
    enum err err = estate_read_file(path, &e, ei);
    if (err == OK) {
        err = report_build(e, &opts, &r, ei);
    }
    if (err == OK) {
        err = write_plan(c, r, ei);
    }
    report_free(r);
    estate_free(e);
    return err;
}

int cmd_assess_plan(int argc, char **argv)
{
    struct conf *c = conf_new(rows, P_ROW_COUNT);
    struct errinfo ei = {0};
    int status = 0;
    if (cli_options(c, rows, P_ROW_COUNT, -1, &command, &argc, argv, &status)) {
        status = run(c, argc, argv, &ei) == OK ? 0 : assess_fail(&ei);
    } else if (status != 0) {
        status = 2;
    }
    conf_free(c);
    return status;
}
