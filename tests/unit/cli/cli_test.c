/* The command line as its user meets it: every command in a process of its own, what it prints and
 * how it ends. */
#include "cli/cli.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/contract.h"
#include "base/files.h"
#include "base/mem.h"
#include "base/str.h"
#include "lib/t.h"

enum { ARGS_MAX = 16 };

static struct {
    int status;
    char *out, *err; /* freed by the next run */
} r;

static char *captured(const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", t_tmp_dir(), name);
    return t_read_file(path, NULL);
}

static void redirect(int fd, const char *name)
{
    char path[512];
    bool is_ours = name[0] != '/';
    (void)snprintf(path, sizeof(path), "%s%s%s", is_ours ? t_tmp_dir() : "", is_ours ? "/" : "",
                   name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || dup2(file, fd) != fd) {
        _exit(99);
    }
}

static const char *out_name = "out"; /* where standard output goes */

/* `holdfast LINE`: words are separated by single blanks, '' is an empty word. */
static void run(const char *line)
{
    char text[1024];
    char program[] = "holdfast";
    char *argv[ARGS_MAX + 1] = {program};
    int argc = 1;
    (void)snprintf(text, sizeof(text), "%s", line);
    for (char *word = text; *word;) {
        char *end = strchr(word, ' ');
        t_check(argc < ARGS_MAX);
        argv[argc++] = strncmp(word, "''", 2) == 0 ? word + 2 : word;
        if (!end) {
            break;
        }
        *end = '\0';
        word = end + 1;
    }
    const char *folder = t_tmp_dir(); /* made here, not in the child */
    (void)fflush(NULL);
    pid_t child = fork();
    t_check(child >= 0);
    if (child == 0) {
        if (chdir(folder) != 0) {
            _exit(99);
        }
        redirect(STDOUT_FILENO, out_name);
        redirect(STDERR_FILENO, "err");
        int status = cli_main(argc, argv);
        (void)fflush(NULL);
        _exit(status);
    }
    int status = 0;
    t_check(waitpid(child, &status, 0) == child);
    t_checkf(WIFEXITED(status), "holdfast %s: wait status %d", line, status);
    mem_free(r.out);
    mem_free(r.err);
    r.status = WEXITSTATUS(status);
    r.out = captured("out");
    r.err = captured("err");
}

/* An error goes to stderr in the one form, nothing to stdout. */
static void fails(const char *line, int status, const char *says, const char *hint)
{
    run(line);
    t_checkf(r.status == status, "holdfast %s: exit %d, not %d: %s", line, r.status, status, r.err);
    t_checkf(strncmp(r.err, "holdfast: ", 10) == 0 && strstr(r.err, says),
             "holdfast %s: '%s' not in: %s", line, says, r.err);
    const char *at = strstr(r.err, "\nhint: ");
    t_checkf(hint[0] ? at && strstr(at, hint) : !at, "holdfast %s: hint '%s', got: %s", line, hint,
             r.err);
    t_checkf(r.out[0] == '\0', "holdfast %s printed: %s", line, r.out);
    t_check(r.err[strlen(r.err) - 1] == '\n');
}

static void prints(const char *line, const char *part)
{
    run(line);
    t_checkf(r.status == 0, "holdfast %s: exit %d: %s", line, r.status, r.err);
    t_checkf(strstr(r.out, part) != NULL, "holdfast %s: '%s' not in: %s", line, part, r.out);
    t_checkf(r.err[0] == '\0', "holdfast %s: %s", line, r.err);
}

static const char *const names[] = {"up",    "status",  "account", "events", "conflicts",
                                    "drill", "inspect", "server",  "front",  "coordinator",
                                    "proxy", "version", "assess"};

T_TEST("without a command the overview is an error, with --help it is the answer")
{
    run("");
    t_eq_int(r.status, 2);
    t_eq_cstr(r.out, "");
    char *overview = mem_strdup(r.err);
    static const char *const asked[] = {"--help", "-h", "help"};
    for (size_t i = 0; i < ARRAY_COUNT(asked); i++) {
        prints(asked[i], "usage: holdfast COMMAND [OPTIONS]");
        t_eq_cstr(r.out, overview);
    }
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char line[64];
        (void)snprintf(line, sizeof(line), "\n  %-12s ", names[i]);
        t_checkf(strstr(overview, line) != NULL, "%s is not in the overview", names[i]);
        t_check(cli_command(names[i]) != NULL);
    }
    t_contains(str_of(overview), "Exit status: 0 done");
    t_check(cli_command("nothing") == NULL);
    mem_free(overview);
}

T_TEST("a command that is not there is an error, and a slip of the finger is named")
{
    fails("nonsense", 2, "unknown command 'nonsense'", "holdfast --help");
    fails("statsu", 2, "unknown command 'statsu'", "did you mean 'status'?");
    fails("help nonsense", 2, "unknown command 'nonsense'", "holdfast --help");
    fails("''", 2, "unknown command ''", "--help");
}

T_TEST("every command has help with usage, summary and options, however it is asked for")
{
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char line[64];
        char usage[64];
        (void)snprintf(line, sizeof(line), "%s --help", names[i]);
        (void)snprintf(usage, sizeof(usage), "usage: holdfast %s", names[i]);
        prints(line, usage);
        t_contains(str_of(r.out), cli_command(names[i])->summary);
        t_check(strcmp(names[i], "version") == 0 || strstr(r.out, "\noptions:\n  --") != NULL);
        for (const char *l = r.out; l; l = strchr(l + 1, '\n')) {
            t_checkf(strcspn(l + 1, "\n") <= 250, "%s --help: long line: %.80s", names[i], l);
        }
        char *first = mem_strdup(r.out);
        (void)snprintf(line, sizeof(line), "help %s", names[i]);
        prints(line, usage);
        t_eq_cstr(r.out, first);
        (void)snprintf(line, sizeof(line), "%s some thing -h", names[i]);
        prints(line, usage);
        mem_free(first);
    }
}

T_TEST("help of a process shows what that process looks at")
{
    prints("front --help", "--http-threads");
    t_check(strstr(r.out, "--region ") == NULL && strstr(r.out, "--engine") == NULL);
    prints("server --help", "--region ");
    t_check(strstr(r.out, "--links") == NULL);
    prints("coordinator --help", "--dir ");
    t_check(strstr(r.out, "--account") == NULL);
    prints("proxy --help", "--links ");
    prints("server --help", "in the file that --config names");
    prints("status --help", "HOLDFAST_A_B");
    t_check(strstr(r.out, "--config") == NULL);
    prints("up --help", "--[no-]auto-failover");
}

T_TEST("the version is printed both ways and takes nothing else")
{
    prints("version", "holdfast " HF_VERSION "\n");
    prints("--version", "holdfast " HF_VERSION "\n");
    fails("version 7", 2, "takes no argument '7'", "");
}

T_TEST("what could not be printed whole is an error")
{
    static const char *const lines[] = {"inspect fsm", "--help", "help up", "version",
                                        "assess init"};
    run("version");
    out_name = "/dev/full";
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        run(lines[i]);
        t_checkf(r.status == 74, "%s: exit %d", lines[i], r.status);
        t_contains(str_of(r.err), "holdfast: cannot write to standard output: ");
    }
    out_name = "out";
    fails("inspect fsm x", 2, "cannot inspect", "holdfast inspect");
}

T_TEST("up refuses wrong options before it touches anything")
{
    fails("up extra", 2, "up takes no argument 'extra'", "");
    fails("up --bogus", 2, "unknown option 'bogus'", "--help lists");
    fails("up --regoins a", 2, "unknown option 'regoins'", "did you mean 'regions'?");
    fails("up --port", 2, "--port needs a value", "");
    fails("up --port x", 2, "'x' is not a number", "");
    fails("up --port 70000", 2, "must be 1 to 65000", "");
    fails("up --regions a,b,a", 2, "region 'a' is named twice", "");
    fails("up --regions East", 2, "bad region name 'East'", "lower-case");
    fails("up --regions a,,b", 2, "'a,,b' is not a list", "commas");
    fails("up --regions r1,r2,r3,r4,r5,r6,r7,r8,r9,r10,r11,r12,r13,r14,r15,r16"
          ",r17,r18,r19,r20,r21,r22,r23,r24,r25,r26,r27,r28,r29,r30,r31,r32,r33",
          2, "must be 1 to 32", "commas");
    fails("up --fault-proxy --regions a,b,c,d,e,f,g,h", 2, "7 regions at most", "");
    fails("up --account -a-", 2, "bad account name '-a-'", "hyphen");
    fails("up --account localhost", 2, "cannot be called localhost", "clients");
    fails("up --max-staleness-ops 10", 2, "need --consistency BoundedStaleness", "");
    fails("up --consistency BoundedStaleness --max-staleness-ops 0", 2, "must be 1 to 2147483647",
          "");
    fails("up --consistency BoundedStaleness --max-staleness-seconds 4", 2, "must be 5 to 86400",
          "");
    fails("up --session-after-loss perhaps", 2, "unknown session-after-loss 'perhaps'",
          "accept, reject");
    fails("up --consistency strict", 2, "unknown consistency level 'strict'", "Strong");
    fails("up --engine floppy", 2, "unknown engine 'floppy'", "rocksdb, mem");
    fails("up --profile moon", 2, "unknown profile 'moon'", "lan, wan");
    fails("up --log-level loud", 2, "unknown log level 'loud'", "debug");
    fails("up --watchdog soon", 2, "'soon' is not a duration", "5s");
    fails("up --quiet=perhaps", 2, "'perhaps' is not a", "yes or no");
    fails("up --dir ''", 2, "dir", "");
    t_check(access("holdfast-data", F_OK) != 0);
}

T_TEST("a key must be base64 of 64 bytes, and is not shown when it is wrong")
{
    fails("up --key se!cret", 2, "the key is not base64", "/dev/urandom");
    fails("up --key c2VjcmV0", 2, "base64 of 6 bytes, it must be of 64", "/dev/urandom");
    t_check(strstr(r.err, "c2VjcmV0") == NULL);
    fails("up --key c2VjcmV0 --well-known-key", 2, "exclude each other", "");
    char line[512];
    memset(line, 'A', sizeof(line));
    (void)snprintf(line, 10, "up --key ");
    line[9] = 'A';
    line[sizeof(line) - 1] = '\0';
    fails(line, 2, "(hidden)", "");
}

static void put(const char *name, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", t_tmp_dir(), name);
    t_ok(files_write_durable(path, str_of(text), 0600, NULL));
}

static void make_dir(const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", t_tmp_dir(), name);
    t_ok(files_mkdirs(path, NULL));
}

T_TEST("up refuses directories that are not its own, damaged, of another account, or newer")
{
    put("file", "x");
    fails("up --dir file/below", 74, "file/below", "--dir");
    make_dir("other");
    put("other/FORMAT", "something else\n");
    fails("up --dir other", 78, "is not a directory of `holdfast up`", "--dir");
    make_dir("newer");
    put("newer/FORMAT", "holdfast-data 2\n");
    fails("up --dir newer", 78, "has format 2, this program knows up to 1", "newer version");
    make_dir("kept");
    put("kept/FORMAT", "holdfast-data 1\n");
    put("kept/account.json", "{\"account\":\"shop\",\"engine\":\"rocksdb\",\"regions\":[{\"name\":"
                             "\"a\"},{\"name\":\"b\"}]}");
    fails("up --dir kept --regions a", 78, "has other regions", "leave --regions out");
    fails("up --dir kept --regions b,a", 78, "has other regions", "leave --regions out");
    fails("up --dir kept --account store", 78, "has account 'shop', not 'store'",
          "leave --account out");
    fails("up --dir kept --engine mem", 78, "has engine 'rocksdb', not 'mem'",
          "leave --engine out");
    put("kept/account.json", "{\"account\":");
    fails("up --dir kept", 74, "account.json is damaged", "copy");
    put("kept/account.json", "{\"account\":\"shop\"}");
    fails("up --dir kept", 74, "account.json is damaged: parts are missing", "copy");
}

T_TEST("tools say where they looked for an account, and what to give instead")
{
    static const char *const tools[] = {
        "status", "account", "account keys", "account failover a", "conflicts", "events"};
    for (size_t i = 0; i < ARRAY_COUNT(tools); i++) {
        char line[128];
        fails(tools[i], 1, "./holdfast-data/account.json", "holdfast up");
        (void)snprintf(line, sizeof(line), "%s --dir nowhere", tools[i]);
        fails(line, 1, "nowhere/account.json", "--dir");
        (void)snprintf(line, sizeof(line), "%s --endpoint http://127.0.0.1:1/", tools[i]);
        fails(line, 2, "no key for http://127.0.0.1:1/", "--key");
        (void)snprintf(line, sizeof(line), "%s --endpoint http://127.0.0.1:1/ --key AAAA",
                       tools[i]);
        run(line);
        t_eq_int(r.status, 69);
        t_contains(str_of(r.err), "127.0.0.1");
        t_contains(str_of(r.err), "hint: is the account running?");
        (void)snprintf(line, sizeof(line), "%s --endpoint http://127.0.0.1:1/ --key ??", tools[i]);
        fails(line, 2, "the key is not base64", "keys");
    }
    make_dir("damaged");
    make_dir("unreadable/account.json");
    fails("status --dir unreadable", 74, "key cannot be read", "another user");
    put("damaged/account.json", "{");
    fails("status --dir damaged", 74, "damaged/account.json is damaged", "--endpoint");
    put("damaged/account.json", "{\"endpoint\":\"http://127.0.0.1:1/\"}");
    fails("status --dir damaged", 78, "lacks the endpoint or the key", "--endpoint");
}

T_TEST("commands with operations name a wrong one and list the right ones")
{
    fails("account fly", 2, "unknown operation 'fly'", "failover REGION");
    fails("account failover", 2, "account failover needs the name of one region",
          "failover REGION");
    fails("account offline a b", 2, "account offline needs the name of one region",
          "offline REGION");
    fails("account regions", 2, "account regions: what it takes", "regions add NAME");
    fails("account regions add", 2, "account regions: what it takes", "regions add NAME");
    fails("account regions grow a", 2, "account regions: what it takes", "regions add NAME");
    fails("account create a/../b --regions east", 2, "'a/../b' is no name of an account", "");
    fails("account delete Shop", 2, "'Shop' is no name of an account", "");
    fails("account init", 2, "takes the name of one account", "");
    fails("account init Shop --regions a --secret-file f", 2, "'Shop' is no name of", "");
    fails("account init shop --secret-file f", 2, "with one region", "--regions NAME");
    fails("account init shop --regions a,b --secret-file f", 2, "with one region", "regions add");
    fails("account init shop --regions a/b --secret-file f", 2, "'a/b' is no name of a region", "");
    fails("account init shop --regions a --consistency strog --secret-file f", 2,
          "unknown consistency level 'strog'", "BoundedStaleness");
    fails("account init shop --regions a --max-staleness-ops 9 --secret-file f", 2,
          "only BoundedStaleness has bounds", "");
    fails("account init shop --regions a", 2, "secret is missing", "--secret-file");
    fails("account init shop --regions a --secret-file nosuch", 1, "nosuch", "");
    fails("account show a", 2, "account show takes no further argument", "show");
    fails("account keys a", 2, "account keys takes no further argument", "keys");
    fails("conflicts burn", 2, "unknown operation 'burn'", "export --out FILE");
    fails("conflicts list all", 2, "conflicts list takes no further argument", "list");
    fails("conflicts show", 2, "conflicts show needs --id", "list");
    fails("status now", 2, "status takes no argument 'now'", "");
    fails("status --interval 1 --watch", 2, "must be 100 to 3600000 milliseconds", "5s");
    fails("inspect", 2, "inspect what?", "fsm region|partition");
    fails("inspect soul", 2, "cannot inspect 'soul'", "fsm region|partition");
    fails("inspect fsm soul", 2, "cannot inspect 'soul'", "fsm region|partition");
    fails("inspect fsm --format oil", 2, "unknown format 'oil'", "diagram");
    fails("inspect store", 2, "which store?", "--store FOLDER");
    fails("inspect log", 2, "which store?", "--store FOLDER");
    fails("inspect record", 2, "which coordinator?", "--coordinator FOLDER");
    fails("inspect record --coordinator ghost", 1, "ghost/coordinator.log", "");
    fails("drill now", 2, "drill takes no argument 'now'", "");
    fails("drill --fault flood --endpoint http://127.0.0.1:1/ --key AAAA", 2,
          "unknown fault 'flood'", "kill, pause");
    fails("drill --fault kill,flood", 2, "unknown fault 'flood'", "or all");
    fails("drill --fault kill,", 2, "unknown fault ''", "or all");
    fails("drill --fault kill,cut,kill", 2, "fault kill is named twice", "");
    fails("drill --fault all --repeat 51", 2, "corrupt can be repeated 50 times", "");
    fails("drill --max-rpo-writes few", 2, "--max-rpo-writes needs a number", "");
    fails("drill --level strog", 2, "unknown consistency level 'strog'", "Session");
    fails("drill --html nowhere/at/all.html", 74, "cannot write nowhere/at/all.html", "");
    /* Not one of its own instead of what was named. */
    fails("drill --dir nowhere", 1, "nowhere/account.json", "--dir");
    fails("drill --endpoint http://127.0.0.1:1/", 2, "no key for http://127.0.0.1:1/", "--key");
}

T_TEST("a look at a store that is not there makes none")
{
    fails("inspect store --store ghost", 1, "no store in ghost", "regions/NAME/store");
    fails("inspect log --store ghost", 1, "no store in ghost", "regions/NAME/store");
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/ghost", t_tmp_dir());
    t_check(access(path, F_OK) != 0);
}

T_TEST("the state machine is printed in each of its forms")
{
    prints("inspect fsm", "machine region:");
    prints("inspect fsm region --format diagram", "");
    t_check(r.out[0] != '\0');
    prints("inspect fsm --format=dot", "digraph");
}

T_TEST("the numbers of decisions are explained beside those of the roles")
{
    prints("inspect fsm", "the writer's lease expired: taking over");
    t_check(strstr(r.out, "\n    311 ") != NULL && strstr(r.out, "\n    298 ") != NULL);
    t_check(strstr(r.out, "\n    350 ") == NULL); /* of single partitions */
    prints("inspect fsm partition", "a partition's writer is gone: taking it");
    t_check(strstr(r.out, "\n    353 ") != NULL && strstr(r.out, "\n    311 ") == NULL);
}

T_TEST("the help of account names every operation")
{
    static const char *const operations[] = {
        "show",           "failover",  "offline", "online",         "regions add",
        "regions remove", "partition", "create",  "list",           "delete",
        "consistency",    "keys",      "init",    "diverged-writes"};
    run("account --help");
    t_eq_int(r.status, 0);
    for (size_t i = 0; i < ARRAY_COUNT(operations); i++) {
        char line[64];
        (void)snprintf(line, sizeof(line), "\n  %s ", operations[i]);
        t_checkf(strstr(r.out, line) != NULL, "account --help does not name %s", operations[i]);
    }
}

T_TEST("processes started by hand say what they need")
{
    static const char *const roles[] = {"server", "front", "coordinator"};
    for (size_t i = 0; i < ARRAY_COUNT(roles); i++) {
        char line[128];
        fails(roles[i], 78, "the coordinator's secret is missing", "--secret-file");
        (void)snprintf(line, sizeof(line), "%s --config nowhere.conf", roles[i]);
        fails(line, 78, "nowhere.conf", "");
        (void)snprintf(line, sizeof(line), "%s extra", roles[i]);
        fails(line, 2, "takes no argument 'extra'", "");
    }
    fails("proxy", 78, "no links to carry", "--fault-proxy");
    put("typo.conf", "# comment\nregoin = east\n");
    fails("server --config typo.conf", 78, "typo.conf:2: unknown option 'regoin'",
          "did you mean 'region'?");
}

T_TEST("the environment gives options, and flags win over it")
{
    t_check(setenv("HOLDFAST_PORT", "lots", 1) == 0);
    fails("up", 78, "environment: port: 'lots'", "");
    t_check(unsetenv("HOLDFAST_PORT") == 0);
    t_check(setenv("HOLDFAST_DIR", "from-environment", 1) == 0);
    fails("status", 1, "from-environment/account.json", "--dir");
    fails("status --dir from-flag", 1, "from-flag/account.json", "--dir");
    t_check(unsetenv("HOLDFAST_DIR") == 0);
}

T_TEST("assess tells findings from errors by its exit status")
{
    run("assess init");
    t_eq_int(r.status, 0);
    char *example = mem_strdup(r.out);
    put("estate.yaml", example);
    mem_free(example);
    /* estate.yaml is the default; it has high findings and no critical one. */
    run("assess --at 2026-11-28");
    t_eq_int(r.status, 1);
    t_contains(str_of(r.out), "HF-CDB-005");
    t_check(strchr(r.out, '\033') == NULL);
    prints("assess estate.yaml --at 2026-11-28 --fail-on critical", "Not known");
    prints("assess estate.yaml --at 2026-11-28 --fail-on none", "If its region were lost today");
    run("assess --lose region:koreacentral --format json --out report.json");
    t_eq_int(r.status, 1);
    t_eq_cstr(r.out, "");
    run("assess --color always");
    t_check(strchr(r.out, '\033') != NULL);
    /* Every error is 2, a file that is not there as well as one that is none. */
    fails("assess nowhere.yaml", 2, "nowhere.yaml", "");
    put("empty.yaml", "");
    fails("assess empty.yaml", 2, "empty.yaml:1:1: the file is empty", "");
    put("bad.yaml", "version: 1\nassets: []\nasets: []\n");
    fails("assess bad.yaml", 2, "bad.yaml:3: an estate has no key 'asets'",
          "did you mean 'assets'?");
    fails("assess estate.yaml --lose region:mars", 2, "no region 'mars'", "");
    fails("assess estate.yaml --fail-on often", 2, "--fail-on", "");
    fails("assess estate.yaml --format tea", 2, "tea", "");
    fails("assess estate.yaml --at noon", 2, "--at", "");
    fails("assess estate.yaml --drill-report orders-db", 2, "ASSET=FILE", "");
    fails("assess estate.yaml more.yaml", 2, "more.yaml", "");
    fails("assess estate.yaml --no-such-thing", 2, "no-such-thing", "--help");
    fails("assess init extra", 2, "takes no argument 'extra'", "standard output");
    prints("assess types", "databricks_workspace");
    prints("assess rules", "HF-RB-004 medium");
    prints("assess --help", "--fail-on");
}

T_TEST("assess plan needs two regions of the estate")
{
    run("assess init");
    char *example = mem_strdup(r.out);
    put("estate.yaml", example);
    mem_free(example);
    prints("assess plan estate.yaml --from koreacentral --to japaneast",
           "# From koreacentral to japaneast");
    prints("assess plan --from koreacentral --to japaneast --format json", "\"steps\":[");
    fails("assess plan", 2, "needs --from and --to", "");
    fails("assess plan --from koreacentral --to koreacentral", 2, "the same region", "");
    fails("assess plan --from koreacentral --to mars", 2, "--to: the estate has no region 'mars'",
          "");
    fails("assess plan --from koreacentral --to japaneast --format tea", 2, "tea", "");
    prints("assess plan --help", "--from");
}

T_TEST("assess import writes an estate, says what it read, and never what it must not")
{
    char line[3 * 512];
    char folder[512];
    t_check(getcwd(folder, sizeof(folder)) != NULL);
    (void)snprintf(
        line, sizeof(line),
        "assess import %s/tests/unit/continuity/posture/data/platform.tfstate --out e.yaml",
        folder);
    run(line);
    t_checkf(r.status == 0, "exit %d: %s", r.status, r.err);
    t_eq_cstr(r.out, "");
    t_contains(str_of(r.err), "Terraform state (version 4): 21 assets, 2 unknown\n");
    t_check(!strstr(r.err, "PLANTED"));
    char *estate = captured("e.yaml");
    t_check(strstr(estate, "type: aml_workspace") && !strstr(estate, "PLANTED"));
    mem_free(estate);
    run("assess e.yaml --fail-on none");
    t_checkf(r.status == 0, "exit %d: %s", r.status, r.err);
    t_check(!strstr(r.out, "PLANTED"));
    (void)snprintf(line, sizeof(line),
                   "assess import %s/tests/unit/continuity/posture/data/template.json --format arm "
                   "--param env=prod --param resourceGroup.location=koreacentral",
                   folder);
    run(line);
    t_checkf(r.status == 0, "exit %d: %s", r.status, r.err);
    t_contains(str_of(r.out), "\n  - id: storageAccounts/stprod\n");
    t_check(!strstr(r.out, "PLANTED") && !strstr(r.err, "PLANTED"));
    fails("assess import", 2, "import which file?", "holdfast assess import FILE");
    fails("assess import a b", 2, "one file at a time", "holdfast assess import FILE");
    fails("assess import none.json", 2, "none.json", "");
    fails("assess import e.yaml", 2, "no form that can be imported", "JSON of Terraform");
    fails("assess import e.yaml --format xml", 2, "--format needs", "");
    fails("assess import e.yaml --param x", 2, "--param needs NAME=VALUE", "");
    prints("assess import --help", "usage: holdfast assess import FILE");
}

T_MAIN()
