/* The command line: `holdfast COMMAND ...`. Commands are rows of one table; each is a function that
 * gets its own arguments and returns the exit status. Exit statuses: 0 done, 1 the answer is no
 * (a drill that missed its objective, a thing not found), 2 wrong usage, others from err.def. */
#pragma once

#include "base/conf.h"
#include "base/err.h"

struct cli_command {
    const char *name;    /* "account" */
    const char *args;    /* "show|failover|offline|online|keys ..." */
    const char *summary; /* one line */
    const char *details; /* operations and examples, for its --help; lines end in \n */
    int (*run)(int argc, char **argv); /* argv[0] is the command's name */
};

int cli_main(int argc, char **argv);

/* Prints "holdfast: MESSAGE" and the hint to stderr; returns the exit status of ei->code. */
int cli_fail(const struct errinfo *ei);

/* --help or -h among the options. */
bool cli_wants_help(int argc, char **argv);
void cli_print_help(const struct cli_command *cmd, const struct conf_row *rows, unsigned row_count);
/* Flags, then HOLDFAST_* environment, then --config file, then defaults. `conf_row` is the row of
 * --config or -1. Prints help and returns false with *ret_status when there is nothing left to do. */
bool cli_options(struct conf *c, const struct conf_row *rows, unsigned row_count, int config_row,
                 const struct cli_command *cmd, int *argc, char **argv, int *ret_status);
const struct cli_command *cli_command(const char *name);

int cmd_up(int argc, char **argv);
int cmd_server(int argc, char **argv);
int cmd_front(int argc, char **argv);
int cmd_coordinator(int argc, char **argv);
int cmd_proxy(int argc, char **argv);
int cmd_account(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_conflicts(int argc, char **argv);
int cmd_drill(int argc, char **argv);
int cmd_assess(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_version(int argc, char **argv);
