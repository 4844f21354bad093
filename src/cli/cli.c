/* Command table, help and options. See cli.h. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/contract.h"
#include "base/str.h"

static const struct cli_command commands[] = {
    {"up", "[--regions east,west,north] [--dir D] [--port P]", "start an account on this machine",
     "Runs a coordinator, a front and one server for each region, and starts again what ends. Data "
     "is kept\n"
     "in --dir; the same command takes it up again. Ctrl-C stops everything.\n\n"
     "  holdfast up\n"
     "  holdfast up --dir /srv/shop --port 9000 --regions paris,london --consistency Strong\n",
     cmd_up},
    {"status", "[--watch] [--json]", "roles, lag, and what would be lost now",
     "One line for each region: its state in the account record, the role of its server, and how "
     "far it\n"
     "is behind the write region (marked with *).\n",
     cmd_status},
    {"events", "[--follow] [--region R]", "what happened: failovers, roles, disks, clocks",
     "The event feeds of the front and of every region's server, by time: when, who tells it, the "
     "number of\n"
     "the rule that was followed (holdfast inspect fsm region explains it), the event. Each "
     "process "
     "keeps the\n"
     "last 512 since its start; the front tells of the account, servers of themselves.\n",
     cmd_events},
    {"account",
     "[show | failover REGION | offline REGION | online REGION | regions add|remove|priority NAMES "
     "| "
     "partition list|failover|return|automatic | consistency LEVEL | diverged-writes VALUE | keys "
     "| "
     "create|delete|init NAME | list]",
     "look at and steer the account's regions; create, list and delete accounts",
     "  show              the account record: who writes, since when and why (the default)\n"
     "  failover REGION   make REGION the write region, gracefully: writes are held, none is lost\n"
     "  offline REGION    take REGION out; --force gives up what no other region has (the refusal\n"
     "                    without it says how much), --to NAME says who is to write then\n"
     "  online REGION     let it back in; it catches up first\n"
     "  regions add NAME  a new region: all data are copied there, then it takes part; --priority "
     "N\n"
     "  regions remove NAME\n"
     "                    take REGION out for good; its data stay where they are\n"
     "  regions priority A,B,C\n"
     "                    the order of failover, all regions; another first one takes the writes\n"
     "  consistency LEVEL change the level: Strong, BoundedStaleness (--max-staleness-ops, "
     "--max-staleness-seconds),\n"
     "                    Session, ConsistentPrefix or Eventual; waits until it is in force\n"
     "  diverged-writes VALUE\n"
     "                    what becomes of writes that a failover cannot keep: feed (a conflict "
     "record "
     "each, the default),\n"
     "                    feed-latest (of the last lost version of each item), lww (each, and a "
     "later one "
     "is put back),\n"
     "                    archive (none: they are in a file of the region that accepted them, for "
     "30 "
     "days);\n"
     "                    --feed-quota SIZE: how much the records may take\n"
     "  partition list    every partition: id, container, range of keys, writer, where it is not "
     "sound\n"
     "  partition failover ID REGION\n"
     "                    let REGION write this one partition; --force: without a hand-over\n"
     "  partition return ID\n"
     "                    back to the account's write region, gracefully\n"
     "  partition automatic on|off\n"
     "                    whether a writer gives away a partition whose data it cannot read\n"
     "  keys              print the keys; --regenerate WHICH makes a new one\n"
     "  create NAME       another account beside the first one: --regions A,B,C (in priority "
     "order), "
     "--consistency LEVEL\n"
     "  delete NAME       end such an account and remove its data\n"
     "  list              all accounts\n"
     "  init NAME         an account without `up`, for servers that systemd starts: writes its "
     "first "
     "record to the\n"
     "                    coordinator; --regions FIRST, --coordinator URL, --secret-file F\n",
     cmd_account},
    {"conflicts", "[list | show --id ID | export --out FILE]",
     "writes that a failover could not keep in place",
     "  list              every record of the conflict feed, over all containers (the default)\n"
     "  show --id ID      one record with the document as it was written\n"
     "  export            all of them as JSON lines, to --out FILE or standard output\n",
     cmd_conflicts},
    {"drill", "[--fault FAULT,...|all] [--repeat N] [--level LEVEL|all] [--html FILE]",
     "break it on purpose, measure and count",
     "Writes and reads at a steady rate, breaks the write region, waits until writes flow and the "
     "region is\n"
     "back, and compares every acknowledged write with what is left. Uses the account that is "
     "named "
     "by --dir\n"
     "or --endpoint, or is in ./holdfast-data; where there is none, and with --start, it starts "
     "one of "
     "its own.\n"
     "Faults:\n"
     "  kill pause          SIGKILL or SIGSTOP to the region's server\n"
     "  cut blackhole refuse  its links are reset, silent, or refused\n"
     "  flap                its links come and go (--flap-period)\n"
     "  disk-full slow-disk its disk runs full, or each sync takes --disk-delay longer\n"
     "  corrupt             what it stores of one partition cannot be read: that partition alone "
     "fails over,\n"
     "                      is copied anew and comes back (turns `account partition automatic` on "
     "meanwhile)\n"
     "  coordinator-kill    the coordinator is killed\n"
     "  double              the region that takes over is killed as well\n"
     "  graceful            the write region is moved, as an operator would\n"
     "  region-remove       a read region is removed from the account, then added again (its "
     "links\n"
     "                      then go past the fault proxy until `up` is started again)\n"
     "Faults of links, disks and stored data, and --link-delay-ms, need an account started with "
     "`up "
     "--fault-proxy`\n"
     "(the drill's own account is).\n"
     "Exit status 0: no write was lost and the objectives were met; 1: not. Interrupted, it heals "
     "what "
     "it broke.\n"
     "rto_ms is from the fault to the first write that another region took, client_ms the longest "
     "time "
     "without an\n"
     "acknowledged write, in_feed what is to be found in the conflict feed, unknown what got no "
     "answer.\n\n"
     "  holdfast drill --fault kill --repeat 10 --max-rto-ms 1000\n"
     "  holdfast drill --start --fault cut --level Strong --max-rpo-writes 0\n"
     "  holdfast drill --start --fault all --level all --html report.html\n",
     cmd_drill},
    {"assess",
     "[FILE] [--lose region:X] | init | import FILE | plan --from A --to B | types | rules",
     "what a region loss would cost, and who has to act",
     "Reads an estate file (estate.yaml when none is named) and reports what each loss would do, "
     "what is\n"
     "wrong by which rule, what is not known, and recovery figures.\n\n"
     "  init              write a commented example estate to standard output\n"
     "  import FILE       make an estate of Terraform state, ARM JSON, resource lists or CSV\n"
     "  plan              a checklist for moving from one region to another\n"
     "  types, rules      the kinds of assets with their attributes; the rules\n\n"
     "Exit status: 0 no finding at or above --fail-on; 1 findings; 2 any error.\n\n"
     "  holdfast assess init > estate.yaml\n"
     "  holdfast assess estate.yaml --lose region:koreacentral\n"
     "  holdfast assess estate.yaml --format json --fail-on high --out report.json\n",
     cmd_assess},
    {"inspect", "[fsm [region | partition] | store | log | record | archive FILE] [OPTIONS]",
     "look inside tables and files",
     "  fsm               the state machine that decides about failover; then the decisions: the "
     "numbers of rules\n"
     "  fsm partition     the one of single partitions with a writer of their own\n"
     "  store --store F   partitions of a stopped region, and whether everything in it agrees\n"
     "  log --store F --partition N\n"
     "                    entries of one partition's log (0 = metadata): places and sizes, and "
     "with\n"
     "                    --bodies the documents\n"
     "  record --coordinator F\n"
     "                    the account record as the coordinator has it on disk, without keys\n"
     "  archive FILE      what a returning region handed in and cut\n\n"
     "With --json fsm and store print one object; log, archive and record one a line.\n",
     cmd_inspect},
    {"server", "--config F", "one region of an account",
     "Started by `holdfast up`, or by systemd with socket activation (sockets \"http\" and "
     "\"peer\").\n",
     cmd_server},
    {"front", "--config F", "the global endpoint, and stand-in for regions that are gone",
     "Started by `holdfast up`, or by systemd with socket activation (sockets \"global\", "
     "\"region-NAME\").\n",
     cmd_front},
    {"coordinator", "--config F", "the built-in coordinator (one process: not highly available)",
     "Started by `holdfast up`, or by systemd with socket activation (socket \"coordinator\").\n",
     cmd_coordinator},
    {"proxy", "--config F", "links between processes that a drill can cut",
     "Started by `holdfast up --fault-proxy`.\n", cmd_proxy},
    {"version", "", "print the version", "", cmd_version},
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

static void print_overview(FILE *to)
{
    fprintf(to,
            "holdfast keeps data platforms available through the loss of a zone or a region.\n\n"
            "usage: holdfast COMMAND [OPTIONS]\n\ncommands:\n");
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        fprintf(to, "  %-12s %s\n", commands[i].name, commands[i].summary);
    }
    fprintf(
        to,
        "\nholdfast COMMAND --help describes one. Options may also be given in the environment\n"
        "as HOLDFAST_NAME, and for processes in a file by --config.\n\n"
        "Exit status: 0 done; 1 the answer is no (not found, objective missed); 2 wrong usage;\n"
        "69 not reachable or not implemented; 73 in use; 74 input/output; 75 try again; 77 wrong "
        "key;\n"
        "78 configuration.\n");
}

static int unknown_command(const char *name)
{
    struct errinfo ei = {0};
    unsigned best = STR_DISTANCE_MAX;
    const char *nearest = "";
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        unsigned d = str_distance(str_of(name), str_of(commands[i].name));
        if (d < best) {
            best = d;
            nearest = commands[i].name;
        }
    }
    err_set(&ei, ERR_USAGE, "unknown command '%s'", name);
    if (best <= 2) {
        err_hint(&ei, "did you mean '%s'? holdfast --help lists all", nearest);
    } else {
        err_hint(&ei, "holdfast --help lists them");
    }
    return cli_fail(&ei);
}

/* What was printed has to have got where it goes: a full disk must not look like a short list. */
static int whole_output(int status)
{
    struct errinfo ei = {0};
    bool is_whole = fflush(stdout) == 0;
    int why = errno;
    if ((is_whole && ferror(stdout) == 0) || status != 0) {
        return status;
    }
    err_set(&ei, why == ENOSPC ? ERR_DISK_FULL : ERR_IO, "cannot write to standard output: %s",
            is_whole ? "an earlier line was lost" : err_errno_text(why));
    return cli_fail(&ei);
}

static int run_command(int argc, char **argv)
{
    bool is_help = strcmp(argv[1], "help") == 0;
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || (is_help && argc == 2)) {
        print_overview(stdout);
        return 0;
    }
    const char *name = is_help ? argv[2] : strcmp(argv[1], "--version") == 0 ? "version" : argv[1];
    const struct cli_command *cmd = cli_command(name);
    if (!cmd) {
        return unknown_command(name);
    }
    if (is_help) {
        char help[] = "--help";
        char *help_argv[] = {argv[2], help, NULL};
        return cmd->run(2, help_argv);
    }
    return cmd->run(argc - 1, argv + 1);
}

int cli_main(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stderr);
        return err_exit_code(ERR_USAGE);
    }
    int status = run_command(argc, argv);
    /* That of `up` is for whoever looks on; it goes on without. */
    return strcmp(argv[1], "up") == 0 ? status : whole_output(status);
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

bool cli_wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return true;
        }
    }
    return false;
}

void cli_print_help(const struct cli_command *cmd, const struct conf_row *rows, unsigned row_count)
{
    printf("usage: holdfast %s%s%s\n\n%s\n", cmd->name, cmd->args[0] ? " " : "", cmd->args,
           cmd->summary);
    if (cmd->details[0]) {
        printf("\n%s", cmd->details);
    }
    if (row_count > 0) {
        struct buf text;
        buf_init(&text, 1 << 20);
        conf_help(rows, row_count, &text);
        printf("\noptions:\n" STR_FMT, STR_ARG(buf_str(&text)));
        buf_done(&text);
    }
}

bool cli_options(struct conf *c, const struct conf_row *rows, unsigned row_count, int config_row,
                 const struct cli_command *cmd, int *argc, char **argv, int *ret_status)
{
    ASSERT(cmd != NULL);
    if (cli_wants_help(*argc, argv)) {
        cli_print_help(cmd, rows, row_count);
        *ret_status = 0;
        return false;
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
    if (cli_wants_help(argc, argv)) {
        cli_print_help(cli_command("version"), NULL, 0);
        return 0;
    }
    if (argc > 1) {
        struct errinfo ei = {0};
        err_set(&ei, ERR_USAGE, "version takes no argument '%s'", argv[1]);
        return cli_fail(&ei);
    }
    printf("holdfast %s\n", HF_VERSION);
    return 0;
}
