/* Command table, help and options. See cli.h. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/contract.h"
#include "base/log.h"

extern char **environ;

static const struct cli_command commands[] = {
    {"up", "[--regions east,west,north] [--dir D] [--port P]", "start an account on this machine", cmd_up},
    {"status", "[--watch] [--json]", "roles, lag, and what would be lost now", cmd_status},
    {"account", "show|failover|offline|online|keys", "look at and steer the account's regions", cmd_account},
    {"conflicts", "list|show|export", "writes that a failover could not keep in place", cmd_conflicts},
    {"drill", "--fault kill|pause|cut|graceful", "break it on purpose, measure and count", cmd_drill},
    {"inspect", "fsm|store|log ...", "look inside tables and files", cmd_inspect},
    {"server", "--config F", "one region of an account", cmd_server},
    {"front", "--config F", "the global endpoint, and stand-in for regions that are gone", cmd_front},
    {"coordinator", "--config F", "the built-in coordinator (one process: not highly available)", cmd_coordinator},
    {"proxy", "--config F", "links between processes that a drill can cut", cmd_proxy},
    {"version", "", "print the version", cmd_version},
};

const struct cli_command *cli_command(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static void print_help(FILE *to)
{
    fprintf(to, "holdfast keeps data platforms available through the loss of a zone or a region.\n\n"
                "usage: holdfast COMMAND [OPTIONS]\n\ncommands:\n");
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        fprintf(to, "  %-12s %s\n", commands[i].name, commands[i].summary);
    }
    fprintf(to, "\nholdfast COMMAND --help describes one. Options may also be given in the environment\n"
                "as HOLDFAST_NAME, and for processes in a file by --config.\n");
}

int cli_main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return err_exit_code(ERR_USAGE);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        return cmd_version(argc - 1, argv + 1);
    }
    const struct cli_command *cmd = cli_command(argv[1]);
    if (!cmd) {
        struct errinfo ei = {0};
        err_set(&ei, ERR_USAGE, "unknown command '%s'", argv[1]);
        err_hint(&ei, "holdfast --help lists them");
        return cli_fail(&ei);
    }
    return cmd->run(argc - 1, argv + 1);
}

int cli_fail(const struct errinfo *ei)
{
    ASSERT(ei->code != OK);
    fprintf(stderr, "holdfast: %s\n", ei->message[0] ? ei->message : err_text(ei->code));
    if (ei->hint[0]) {
        fprintf(stderr, "hint: %s\n", ei->hint);
    }
    return err_exit_code(ei->code);
}

static void print_command_help(const struct cli_command *cmd, const struct conf_row *rows, unsigned row_count)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    conf_help(rows, row_count, &text);
    printf("usage: holdfast %s %s\n\n%s\n\noptions:\n" STR_FMT, cmd->name, cmd->args, cmd->summary,
           STR_ARG(buf_str(&text)));
    buf_done(&text);
}

bool cli_options(struct conf *c, const struct conf_row *rows, unsigned row_count, int config_row,
                 const struct cli_command *cmd, int *argc, char **argv, int *ret_status)
{
    ASSERT(cmd != NULL);
    for (int i = 1; i < *argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_command_help(cmd, rows, row_count);
            *ret_status = 0;
            return false;
        }
    }
    struct errinfo ei = {0};
    enum err err = conf_load_args(c, *argc, argv, argc, &ei);
    if (err == OK) {
        err = conf_load_env(c, environ, &ei);
    }
    if (err == OK && config_row >= 0 && conf_str(c, (unsigned)config_row).n > 0) {
        err = conf_load_file(c, conf_cstr(c, (unsigned)config_row), &ei);
    }
    if (err != OK) {
        *ret_status = cli_fail(&ei);
        return false;
    }
    return true;
}

int cmd_version(int argc, char **argv)
{
    UNUSED(argc);
    UNUSED(argv);
    printf("holdfast %s\n", HF_VERSION);
    return 0;
}
