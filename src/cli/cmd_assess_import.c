/* `holdfast assess import`: an estate from what deployment tools and exports say. The estate goes to
 * standard output or --out, what was imported to standard error: types and counts, never values. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/files.h"
#include "cli/cli.h"
#include "cli/cmd_assess.h"
#include "continuity/posture/import/import.h"

enum { I_FORMAT, I_OUT, I_PARAM, I_ROW_COUNT };

static const struct conf_row rows[I_ROW_COUNT] = {
    [I_FORMAT] = {"format", CONF_STRING, "auto", 1, 16, 0,
                  "auto, terraform, arm, resources or csv"},
    [I_OUT] = {"out", CONF_STRING, "", 0, 3000, 0, "write to this file, not to standard output"},
    [I_PARAM] = {"param", CONF_LIST, "", 0, IMPORT_PARAMS_MAX, 0,
                 "NAME=VALUE of a template's parameter; resourceGroup.location=REGION"},
};

static const struct cli_command command = {
    "assess import", "FILE [--format auto] [--out F] [--param NAME=VALUE ...]",
    "make an estate file of what a tool has written",
    "Reads Terraform state (version 4), terraform show -json, ARM templates and exports, lists of "
    "Azure\n"
    "resources, and CSV whose first row names id, type and region. Only listed attributes are "
    "read:\n"
    "keys and passwords in such files never get anywhere. What cannot be resolved is `unknown`.\n"
    "Review the result, add objectives and owners, then: holdfast assess estate.yaml\n\n"
    "  terraform state pull > platform.tfstate\n"
    "  holdfast assess import platform.tfstate --out estate.yaml\n"
    "  holdfast assess import main.json --param resourceGroup.location=koreacentral\n",
    cmd_assess_import};

static enum err parse_params(const struct conf *c, struct import_param params[IMPORT_PARAMS_MAX],
                             struct import_opts *opts, struct errinfo *ei)
{
    opts->params = params;
    opts->param_count = conf_list_count(c, I_PARAM);
    for (unsigned i = 0; i < opts->param_count; i++) {
        if (!str_split(conf_list_item(c, I_PARAM, i), '=', &params[i].name, &params[i].value) ||
            params[i].name.n == 0) {
            return err_set(ei, ERR_USAGE, "--param needs NAME=VALUE");
        }
    }
    return OK;
}

static enum err write_result(const struct conf *c, const struct estate *e,
                             const struct import_report *r, struct errinfo *ei)
{
    struct buf out;
    buf_init(&out, ASSESS_OUTPUT_SIZE_MAX);
    import_write_yaml(e, r, &out);
    enum err err = buf_ok(&out) ? assess_write(conf_cstr(c, I_OUT), buf_str(&out), ei)
                                : err_set(ei, ERR_LIMIT, "the estate is larger than %d MiB",
                                          ASSESS_OUTPUT_SIZE_MAX >> 20);
    buf_clear(&out);
    if (err == OK) {
        import_report_write(r, &out);
        (void)fwrite(out.p, 1, out.n, stderr); /* nobody to tell when this fails */
    }
    buf_done(&out);
    return err;
}

static enum err run(const struct conf *c, int argc, char **argv, struct errinfo *ei)
{
    struct import_param params[IMPORT_PARAMS_MAX];
    struct import_opts opts = {0};
    if (argc != 2) {
        err_set(ei, ERR_USAGE, argc < 2 ? "import which file?" : "one file at a time");
        err_hint(ei, "holdfast assess import FILE --out estate.yaml");
        return ERR_USAGE;
    }
    if (!import_format_find(conf_str(c, I_FORMAT), &opts.format)) {
        return err_set(ei, ERR_USAGE, "--format needs auto, terraform, arm, resources or csv");
    }
    TRY(parse_params(c, params, &opts, ei));
    struct buf text;
    struct estate *e = NULL;
    struct import_report *r = NULL;
    buf_init(&text, IMPORT_TEXT_SIZE_MAX);
    enum err err = files_read(argv[1], &text, ei);
    if (err == OK) {
        err = import_read(buf_str(&text), str_of(argv[1]), &opts, &e, &r, ei);
    }
    if (err == OK) {
        err = write_result(c, e, r, ei);
    }
    estate_free(e);
    import_report_free(r);
    buf_done(&text);
    return err;
}

int cmd_assess_import(int argc, char **argv)
{
    struct conf *c = conf_new(rows, I_ROW_COUNT);
    struct errinfo ei = {0};
    int status = 0;
    if (cli_options(c, rows, I_ROW_COUNT, -1, &command, &argc, argv, &status)) {
        status = run(c, argc, argv, &ei) == OK ? 0 : assess_fail(&ei);
    } else if (status != 0) {
        status = 2;
    }
    conf_free(c);
    return status;
}
