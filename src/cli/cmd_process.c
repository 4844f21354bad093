/* `holdfast server|front|coordinator|proxy`: the processes of an account, alone. */
#include "base/contract.h"
#include "cli/cli.h"
#include "server/process.h"

/* The table is shared, so that one file can serve several processes; help shows what matters here. */
static void print_role_help(const char *role)
{
    struct conf_row used[PROC_ROW_COUNT];
    unsigned count = 0;
    for (unsigned row = 0; row < PROC_ROW_COUNT; row++) {
        if (process_row_is_for(row, role)) {
            used[count++] = process_rows[row];
        }
    }
    cli_print_help(cli_command(role), used, count);
}

static int run_process(int argc, char **argv, enum err (*run)(struct process *, struct errinfo *))
{
    const char *role = argv[0];
    if (cli_wants_help(argc, argv)) {
        print_role_help(role);
        return 0;
    }
    struct conf *c = conf_new(process_rows, PROC_ROW_COUNT);
    int status = 0;
    if (cli_options(c, process_rows, PROC_ROW_COUNT, PROC_CONFIG, cli_command(role), &argc, argv,
                    &status)) {
        struct process p;
        struct errinfo ei = {0};
        enum err err = OK;
        if (argc > 1) {
            err = err_set(&ei, ERR_USAGE, "%s takes no argument '%s'", role, argv[1]);
        }
        if (err == OK) {
            err = process_init(&p, c, role, &ei);
        }
        if (err == OK) {
            err = run(&p, &ei);
        }
        status = err == OK ? 0 : cli_fail(&ei);
    }
    conf_free(c);
    return status;
}

int cmd_server(int argc, char **argv)
{
    return run_process(argc, argv, process_server);
}

int cmd_front(int argc, char **argv)
{
    return run_process(argc, argv, process_front);
}

int cmd_coordinator(int argc, char **argv)
{
    return run_process(argc, argv, process_coordinator);
}

int cmd_proxy(int argc, char **argv)
{
    return run_process(argc, argv, process_proxy);
}
