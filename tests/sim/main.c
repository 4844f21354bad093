/* Runner of the simulator: many runs in worker processes, TAP at the end.
 *
 *   sim [--seed S] [--seeds N] [--seconds T] [--scenario NAME [--variant V]] [--level L]
 *       [--nightly [--hours H]] [--jobs J] [--verbose] [--list] [--only-random] [--faults a,b,...] [--plant N]
 *       [--not-by CHECK] [--schedules DEPTH]
 *
 * Without arguments: every scenario in all variants and random seeds, by turns, until the time is over.
 * A night goes on with seeds that nobody has run before, says which, and demands that every row of the
 * core's tables fires (cover.h). --schedules runs every sequence of at most DEPTH steps
 * (scenario_schedule.c). `--seed S` alone repeats one random run and tells its story when it fails. One run
 * in four is done twice and the two must have the same trace. A run that aborts (a failed assertion of the
 * core) takes its worker with it: the parent notes the run and starts another worker. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/bug.h"
#include "base/contract.h"
#include "base/log.h"
#include "base/mem.h"
#include "sim/run.h"
#include "sim/scenario.h"

enum { JOBS_MAX = 64, FAILURES_MAX = 64, SCENARIOS_MAX = 96, PRINT_LAST = 80, TEXT = 400 };

struct options {
    uint64_t seed;
    bool has_seed;
    uint64_t seeds; /* 0 = until the time is over */
    unsigned seconds;
    const struct scenario *scenario; /* NULL = all, and random runs */
    unsigned variants;               /* of `scenario`; 0 = those of the short form */
    int variant;                     /* -1 = all */
    int level;                       /* -1 = all, or drawn */
    unsigned jobs;
    bool is_verbose, only_random, stops_at_first, is_nightly;
    uint32_t fault_mask;
    const char *not_by; /* a check that is not asked; NULL = all are */
    bool is_planted;    /* a fault is: runs are not repeated */
    size_t scripted;    /* count of scripted runs, before the random ones; by count_scripted */
};

struct failure {
    uint64_t seed;
    char scenario[32];
    unsigned variant;
    int level;
    char check[64];
    char text[TEXT];
};

struct totals {
    uint64_t runs, replays, events, virtual_us, ops, acknowledged, reads, unknown, lost;
    uint64_t linear_violations, session_violations, bounded_violations, session_runs;
    uint64_t trace_hash; /* sum over the runs: equal for equal programs and arguments */
    uint64_t level_runs[CONSISTENCY_COUNT];
    uint64_t scenario_runs[SCENARIOS_MAX], scenario_lost[SCENARIOS_MAX];
};

struct shared { /* mapped; written by workers, each its own slot */
    _Atomic uint64_t next;
    _Atomic bool stop;
    _Atomic unsigned failure_count;
    bool is_told_at_once; /* a night is long, and may end without its report */
    struct failure failures[FAILURES_MAX];
    struct worker {
        struct run_options now; /* what is running, for the parent when it aborts */
        bool is_running;
        struct totals totals;
        struct cover_totals cover;
    } workers[JOBS_MAX];
};

static struct shared *shared;
static double started;

enum {
    SHORT_SECONDS = 280,
    SHORT_SECONDS_MAX = 300,
    SHORT_JOBS = 2,
    NIGHT_SECONDS = 8 * 3600,
    PROGRESS_SECONDS = 300,
    SHORT_SEEDS = 2000,
    NIGHTLY_MIX = 4,  /* one run in so many is a scenario */
    REPLAY_EVERY = 4, /* one run in so many is done twice */
};

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- the list of runs: an index says which ---- */

static size_t runs_of(const struct options *o, const struct scenario *s)
{
    if (o->scenario != NULL && o->scenario != s) {
        return 0;
    }
    size_t variants = o->variants > 0 ? o->variants : s->variants;
    return (o->variant >= 0 ? 1 : variants) * (o->level >= 0 ? 1 : (size_t)2);
}

static size_t count_scripted(const struct options *o)
{
    bool is_single = o->has_seed && o->seeds <= 1 && !o->is_nightly;
    if (o->only_random || (o->scenario == NULL && (is_single || o->seeds > 0))) {
        return 0;
    }
    size_t n = 0;
    for (size_t i = 0; i < scenario_count(); i++) {
        n += runs_of(o, scenario_get(i));
    }
    return n;
}

/* The idx-th scripted run, idx < o->scripted: the first of each scenario, then the second of each, and so
 * on, so that a short time has seen a little of everything. Returns which scenario; `ret_run`: which of its
 * runs. */
static size_t scripted_place(const struct options *o, size_t idx, size_t *ret_run)
{
    ASSERT(idx < o->scripted);
    if (o->scenario != NULL) { /* the others have none */
        *ret_run = idx;
        return (size_t)(o->scenario - scenario_get(0));
    }
    size_t left = idx;
    for (size_t round = 0;; round++) {
        for (size_t i = 0; i < scenario_count(); i++) {
            if (round < runs_of(o, scenario_get(i)) && left-- == 0) {
                *ret_run = round;
                return i;
            }
        }
    }
}

static void scripted_run(const struct options *o, size_t idx, struct run_options *ret,
                         size_t *ret_scenario)
{
    size_t levels = o->level >= 0 ? 1 : 2;
    size_t run = 0;
    size_t i = scripted_place(o, idx, &run);
    ret->scenario = scenario_get(i)->name;
    ret->variant = o->variant >= 0 ? (unsigned)o->variant : (unsigned)(run / levels);
    ret->level = o->level >= 0       ? o->level
                 : run % levels == 0 ? (int)CONSISTENCY_SESSION
                                     : (int)CONSISTENCY_STRONG;
    /* Another seed for each variant: one bad draw must not spare a fault in all of them. */
    ret->seed = o->variant >= 0 ? o->seed : o->seed + ret->variant;
    *ret_scenario = i;
}

/* A night mixes in the scenarios, each time with other seeds: one run in four. */
static void nightly_run(const struct options *o, uint64_t idx, struct run_options *ret,
                        size_t *ret_scenario)
{
    uint64_t no = idx / NIGHTLY_MIX;
    if (idx % NIGHTLY_MIX != 0) {
        ret->seed = o->seed + idx - no - 1;
        return;
    }
    struct options later = *o;
    later.seed += 1 + no;
    scripted_run(&later, no % o->scripted, ret, ret_scenario);
}

/* The seed after those of the first `count` random runs of a night. */
static uint64_t nightly_seed(const struct options *o, uint64_t idx)
{
    if (o->only_random) {
        return o->seed + idx;
    }
    return o->seed + idx - (idx + NIGHTLY_MIX - 1) / NIGHTLY_MIX;
}

/* The short form takes turns, so that a slow machine has seen scenarios as well as seeds. */
static uint64_t mixed(const struct options *o, uint64_t idx)
{
    bool is_short = !o->is_nightly && o->seeds == 0 && !o->stops_at_first &&
                    o->seconds <= SHORT_SECONDS_MAX && o->scenario == NULL;
    uint64_t scripted = o->scripted;
    uint64_t pairs = scripted < SHORT_SEEDS ? scripted : SHORT_SEEDS;
    if (!is_short || idx >= scripted + SHORT_SEEDS) {
        return idx;
    }
    if (idx < 2 * pairs) {
        return idx % 2 == 0 ? idx / 2 : scripted + idx / 2;
    }
    return pairs == scripted ? idx : idx - pairs;
}

static bool run_of(const struct options *o, uint64_t idx, struct run_options *ret,
                   size_t *ret_scenario)
{
    *ret = (struct run_options){.seed = o->seed,
                                .level = o->level,
                                .fault_mask = o->fault_mask,
                                .is_verbose = o->is_verbose,
                                .print_last = PRINT_LAST,
                                .wants_teeth = true};
    *ret_scenario = SIZE_MAX;
    idx = mixed(o, idx);
    if (idx < o->scripted) {
        scripted_run(o, idx, ret, ret_scenario);
        return true;
    }
    if (o->scenario != NULL) {
        return false;
    }
    idx -= o->scripted;
    if (o->is_nightly && o->scripted > 0) {
        nightly_run(o, idx, ret, ret_scenario);
        return true;
    }
    ret->seed = o->seed + idx;
    uint64_t limit = o->has_seed && o->seeds == 0 && !o->is_nightly ? 1 : o->seeds;
    if (limit == 0 && !o->is_nightly && o->seconds <= SHORT_SECONDS_MAX) {
        limit = SHORT_SEEDS; /* the same runs on a fast machine as on a slow one */
    }
    return limit == 0 || idx < limit;
}

/* ---- workers ---- */

static void print_failure(FILE *to, const struct failure *f)
{
    (void)fprintf(to, "# %s: %s\n#   repeat: ./test sim --seed %llu%s%s", f->check, f->text,
                  (unsigned long long)f->seed, f->scenario[0] != 0 ? " --scenario " : "",
                  f->scenario);
    if (f->scenario[0] != 0) {
        (void)fprintf(to, " --variant %u", f->variant);
    }
    if (f->level >= 0) {
        (void)fprintf(to, " --level %s", consistency_name((enum consistency)f->level));
    }
    (void)fprintf(to, "\n");
}

static void note_failure(const struct run_options *r, const char *check, const char *text)
{
    unsigned i = atomic_fetch_add(&shared->failure_count, 1);
    if (i >= FAILURES_MAX) {
        return;
    }
    struct failure *f = &shared->failures[i];
    *f = (struct failure){.seed = r->seed, .variant = r->variant, .level = r->level};
    (void)snprintf(f->scenario, sizeof(f->scenario), "%s", r->scenario != NULL ? r->scenario : "");
    (void)snprintf(f->check, sizeof(f->check), "%s", check);
    (void)snprintf(f->text, sizeof(f->text), "%s", text);
    if (shared->is_told_at_once) {
        print_failure(stderr, f);
    }
}

static void add_totals(struct totals *t, const struct run_options *r, const struct run_result *res,
                       size_t scenario)
{
    struct sim_cfg cfg;
    run_configure(r, &cfg);
    t->runs++;
    t->events += res->events;
    t->virtual_us += res->virtual_us;
    t->ops += res->ops;
    t->acknowledged += res->acknowledged;
    t->reads += res->reads;
    t->unknown += res->unknown;
    t->lost += res->lost;
    t->linear_violations += res->linear_violations;
    t->session_violations += res->session_violations;
    t->bounded_violations += res->bounded_violations;
    t->trace_hash += res->trace_hash;
    t->session_runs += cfg.level == CONSISTENCY_SESSION;
    t->level_runs[cfg.level]++;
    if (scenario != SIZE_MAX) {
        t->scenario_runs[scenario]++;
        t->scenario_lost[scenario] += cfg.level < CONSISTENCY_STRONG ? res->lost : 0;
    }
}

static void on_abort(int sig)
{
    UNUSED(sig);
    run_report_abort(); /* NOLINT(bugprone-signal-handler): our own assert called abort(), not within stdio */
    _exit(99);
}

static void run_twice(const struct options *o, struct worker *me, const struct run_options *r,
                      size_t scenario, uint64_t run_no)
{
    static struct run_result a, b;
    me->now = *r;
    me->is_running = true;
    run_one(r, &a);
    add_totals(&me->totals, r, &a, scenario);
    cover_add(&me->cover, a.cover, run_no);
    if (a.has_failed) {
        if (o->not_by == NULL || strcmp(o->not_by, a.check) != 0) {
            note_failure(r, a.check, a.failure);
        }
    } else if (!o->is_planted && (run_no % REPLAY_EVERY == 1 || o->has_seed)) {
        me->totals.replays++;
        struct run_options again = *r;
        again.is_verbose = false;
        again.wants_teeth = false;
        run_one(&again, &b);
        if (a.trace_hash != b.trace_hash || a.events != b.events) {
            note_failure(r, "replay", "the same seed took another course the second time");
        }
    }
    me->is_running = false;
}

/* How far a night is; what other workers count meanwhile is read as it is. */
static void tell_progress(double *told)
{
    static struct cover_totals c;
    double now = seconds_now();
    if (!shared->is_told_at_once || now - *told < PROGRESS_SECONDS) {
        return;
    }
    *told = now;
    c = (struct cover_totals){0};
    for (size_t j = 0; j < JOBS_MAX; j++) {
        cover_merge(&c, &shared->workers[j].cover);
    }
    (void)fprintf(stderr, "# %.0f s: %llu runs, %u failures, %zu rows have not fired yet\n",
                  now - started, (unsigned long long)atomic_load(&shared->next),
                  atomic_load(&shared->failure_count), cover_missing(&c));
}

static void work(const struct options *o, struct worker *me)
{
    double told = started;
    (void)signal(SIGABRT, on_abort); /* the default would only say less */
    (void)signal(SIGSEGV, on_abort);
    while (!atomic_load(&shared->stop)) {
        struct run_options r;
        size_t scenario;
        uint64_t idx = atomic_fetch_add(&shared->next, 1);
        if (!run_of(o, idx, &r, &scenario)) {
            break;
        }
        run_twice(o, me, &r, scenario, idx + 1);
        if (me == &shared->workers[0]) {
            tell_progress(&told);
        }
        bool is_timed = o->is_nightly || (o->seeds == 0 && !o->has_seed && o->scenario == NULL);
        if ((is_timed && seconds_now() - started > o->seconds) ||
            (o->stops_at_first && atomic_load(&shared->failure_count) > 0)) {
            atomic_store(&shared->stop, true);
        }
    }
}

static pid_t spawn(const struct options *o, unsigned slot)
{
    (void)fflush(NULL); /* nothing may be printed twice; losing output is no reason to stop */
    pid_t child = fork();
    if (child == 0) {
        work(o, &shared->workers[slot]);
        exit(0); /* not _exit: leak checkers look at the end */
    }
    return child;
}

static void on_interrupt(int sig)
{
    UNUSED(sig);
    atomic_store(&shared->stop, true); /* the runs under way end, and there is a report */
}

static void run_all(const struct options *o)
{
    if (o->is_nightly) {
        shared->is_told_at_once = true;
        (void)signal(SIGINT, on_interrupt); /* worst case: it ends at once */
        (void)signal(SIGTERM, on_interrupt);
        (void)printf("# a night of %u s on %u cores: seeds from %llu on\n", o->seconds, o->jobs,
                     (unsigned long long)o->seed);
    }
    pid_t pids[JOBS_MAX] = {0};
    for (unsigned i = 0; i < o->jobs; i++) {
        pids[i] = spawn(o, i);
    }
    for (unsigned alive = o->jobs; alive > 0;) {
        int status = 0;
        pid_t child = wait(&status);
        unsigned slot = 0;
        while (slot < o->jobs && pids[slot] != child) {
            slot++;
        }
        if (child < 0 || slot == o->jobs) {
            continue;
        }
        alive--;
        struct worker *me = &shared->workers[slot];
        if (status != 0) {
            note_failure(&me->now, "abort", "the run aborted: see its assertion above");
            me->is_running = false;
            if (!atomic_load(&shared->stop) && !o->stops_at_first &&
                atomic_load(&shared->failure_count) < FAILURES_MAX) {
                pids[slot] = spawn(o, slot);
                alive++;
            }
        }
    }
}

/* ---- report ---- */

static unsigned test_no, test_failures;

static void tap(bool is_ok, const char *title)
{
    test_no++;
    test_failures += !is_ok;
    (void)printf("%s %u - %s\n", is_ok ? "ok" : "not ok", test_no, title);
}

static void sum(struct totals *t)
{
    for (size_t j = 0; j < JOBS_MAX; j++) {
        const uint64_t *from = (const uint64_t *)&shared->workers[j].totals;
        uint64_t *to = (uint64_t *)t;
        for (size_t i = 0; i < sizeof(struct totals) / sizeof(uint64_t); i++) {
            to[i] += from[i];
        }
    }
}

static unsigned failures_of(const char *scenario)
{
    unsigned n = 0;
    unsigned count = atomic_load(&shared->failure_count);
    for (unsigned i = 0; i < count && i < FAILURES_MAX; i++) {
        n += strcmp(shared->failures[i].scenario, scenario) == 0;
    }
    return n;
}

static void print_failures(const char *scenario)
{
    unsigned count = atomic_load(&shared->failure_count);
    for (unsigned i = 0; i < count && i < FAILURES_MAX; i++) {
        if (strcmp(shared->failures[i].scenario, scenario) == 0) {
            print_failure(stdout, &shared->failures[i]);
        }
    }
}

/* What fired is judged after a night, when every row has had its chances; the short form says it. */
static void report_coverage(const struct options *o, const struct totals *t)
{
    static struct cover_totals c;
    for (size_t j = 0; j < JOBS_MAX; j++) {
        cover_merge(&c, &shared->workers[j].cover);
    }
    if (o->is_nightly) {
        char title[128];
        (void)snprintf(title, sizeof(title),
                       "every row of the tables that can fire has fired (%zu)", cover_count());
        tap(cover_missing(&c) == 0, title);
        tap(cover_surprises(&c) == 0, "no row has fired that is said not to be able to");
    }
    if (o->is_nightly || t->runs >= o->scripted + SHORT_SEEDS) {
        cover_print_wrong(&c);
    }
    cover_print(&c, o->is_nightly || o->scenario != NULL);
    if (o->is_nightly) {
        uint64_t count = atomic_load(&shared->next); /* the last ones were taken and not run */
        count -= count < o->jobs ? count : o->jobs;
        count = count > o->scripted ? count - o->scripted : 0; /* of the random ones */
        (void)printf("# to go on: ./test sim --nightly --seed %llu\n",
                     (unsigned long long)nightly_seed(o, count));
    }
}

static void report(const struct options *o)
{
    static struct totals t;
    sum(&t);
    double wall = seconds_now() - started;
    for (size_t i = 0; i < scenario_count(); i++) {
        const struct scenario *s = scenario_get(i);
        if (t.scenario_runs[i] == 0 && failures_of(s->name) == 0) {
            continue;
        }
        bool misses_loss = s->expects_loss && o->variant < 0 && t.scenario_lost[i] == 0;
        char title[256];
        (void)snprintf(title, sizeof(title), "%s: %s (%llu runs)", s->name, s->holds,
                       (unsigned long long)t.scenario_runs[i]);
        tap(failures_of(s->name) == 0 && !misses_loss, title);
        if (misses_loss) {
            (void)printf("# no run lost anything: the scenario does not do what it says\n");
        }
        print_failures(s->name);
    }
    if (o->scenario == NULL) {
        char title[256];
        uint64_t random = t.runs;
        for (size_t i = 0; i < scenario_count(); i++) {
            random -= t.scenario_runs[i];
        }
        (void)snprintf(title, sizeof(title), "random runs from seed %llu: every check holds (%llu)",
                       (unsigned long long)o->seed, (unsigned long long)random);
        tap(failures_of("") == 0, title);
        print_failures("");
        if (t.session_runs >= 20) {
            tap(t.linear_violations > 0, "the checker of Strong finds fault with Session runs");
            tap(t.bounded_violations > 0,
                "the checker of BoundedStaleness finds fault with Session runs");
            tap(t.session_violations > 0,
                "the session checker finds fault with reads that present no token");
        }
    }
    (void)printf("# %llu runs (Eventual %llu, ConsistentPrefix %llu, Session %llu, Bounded %llu, "
                 "Strong %llu), "
                 "%llu of them twice; %.0f s virtual in %.0f s: %.0f x real time\n",
                 (unsigned long long)t.runs, (unsigned long long)t.level_runs[CONSISTENCY_EVENTUAL],
                 (unsigned long long)t.level_runs[CONSISTENCY_CONSISTENT_PREFIX],
                 (unsigned long long)t.level_runs[CONSISTENCY_SESSION],
                 (unsigned long long)t.level_runs[CONSISTENCY_BOUNDED_STALENESS],
                 (unsigned long long)t.level_runs[CONSISTENCY_STRONG],
                 (unsigned long long)t.replays, (double)t.virtual_us / 1e6, wall,
                 (double)t.virtual_us / 1e6 / wall);
    (void)printf("# %llu events, %llu operations: %llu writes acknowledged, %llu reads, %llu of "
                 "unknown outcome; %llu conflict records; stronger checkers object: linear %llu, "
                 "bounded %llu, session %llu\n",
                 (unsigned long long)t.events, (unsigned long long)t.ops,
                 (unsigned long long)t.acknowledged, (unsigned long long)t.reads,
                 (unsigned long long)t.unknown, (unsigned long long)t.lost,
                 (unsigned long long)t.linear_violations, (unsigned long long)t.bounded_violations,
                 (unsigned long long)t.session_violations);
    report_coverage(o, &t);
    (void)printf("# trace %016llx\n", (unsigned long long)t.trace_hash);
    (void)printf("1..%u\n", test_no);
}

/* ---- arguments ---- */

static uint32_t parse_faults(const char *text)
{
    uint32_t mask = 0;
    struct str rest = str_of(text);
    while (rest.n > 0) {
        struct str head;
        struct str tail = STR_NONE;
        (void)str_split(rest, ',', &head, &tail); /* the last one has no comma */
        for (unsigned f = 0; f < FAULT_COUNT; f++) {
            if (str_eq(head, str_of(fault_name((enum fault)f)))) {
                mask |= 1u << f;
            }
        }
        rest = tail;
    }
    return mask;
}

static int usage(const char *what)
{
    (void)fprintf(stderr, "sim: bad argument %s\n", what);
    return 2;
}

static bool set_option(struct options *o, const char *name, const char *value)
{
    uint64_t v = 0;
    bool is_number = str_to_u64(str_of(value), &v);
    if (strcmp(name, "--seed") == 0 && is_number) {
        o->seed = v;
        o->has_seed = true;
    } else if (strcmp(name, "--seeds") == 0 && is_number) {
        o->seeds = v;
    } else if (strcmp(name, "--seconds") == 0 && is_number) {
        o->seconds = (unsigned)v;
    } else if (strcmp(name, "--hours") == 0 && is_number && v >= 1 && v <= 1000) {
        o->seconds = (unsigned)v * 3600;
    } else if (strcmp(name, "--jobs") == 0 && is_number && v >= 1 && v <= JOBS_MAX) {
        o->jobs = (unsigned)v;
    } else if (strcmp(name, "--variant") == 0 && is_number) {
        o->variant = (int)v;
    } else if (strcmp(name, "--scenario") == 0 && scenario_find(value) != NULL) {
        o->scenario = scenario_find(value);
    } else if (strcmp(name, "--schedules") == 0 && is_number && v >= 1 && v <= SCHEDULE_DEPTH_MAX) {
        o->scenario = scenario_find("schedules");
        o->variants = schedule_count((unsigned)v);
    } else if (strcmp(name, "--not-by") == 0) {
        o->not_by = value;
    } else if (strcmp(name, "--faults") == 0) {
        o->fault_mask = parse_faults(value);
    } else if (strcmp(name, "--level") == 0) {
        enum consistency c;
        if (!consistency_parse(str_of(value), &c)) {
            return false;
        }
        o->level = (int)c;
#ifdef HF_PLANT /* else this build has no planted faults */
    } else if (strcmp(name, "--plant") == 0 && is_number) {
        bug_planted = (int)v;
        o->is_planted = v != BUG_NONE;
#endif
    } else {
        return false;
    }
    return true;
}

static int list(void)
{
    for (size_t i = 0; i < scenario_count(); i++) {
        const struct scenario *s = scenario_get(i);
        (void)printf("%-22s %3u variants  %s\n", s->name, s->variants, s->holds);
    }
    return 0;
}

static void start_night(struct options *o)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (o->jobs == 0) {
        o->jobs = cores < 1 ? 1 : cores > JOBS_MAX ? JOBS_MAX : (unsigned)cores;
    }
    o->seconds = o->seconds != 0 ? o->seconds : NIGHT_SECONDS;
    o->seed = o->has_seed ? o->seed : (uint64_t)time(NULL) * 1000;
}

int main(int argc, char **argv)
{
    struct options o = {
        .seed = 1, .seconds = 0, .variant = -1, .level = -1, .jobs = 0, .fault_mask = UINT32_MAX};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            o.is_verbose = true;
        } else if (strcmp(argv[i], "--only-random") == 0) {
            o.only_random = true;
        } else if (strcmp(argv[i], "--stop-at-first") == 0) {
            o.stops_at_first = true;
        } else if (strcmp(argv[i], "--nightly") == 0) {
            o.is_nightly = true;
        } else if (strcmp(argv[i], "--list") == 0) {
            return list();
        } else if (i + 1 >= argc || !set_option(&o, argv[i], argv[i + 1])) {
            return usage(argv[i]);
        } else {
            i++;
        }
    }
    if (o.is_nightly) {
        start_night(&o);
    }
    o.seconds = o.seconds != 0 ? o.seconds : SHORT_SECONDS;
    o.jobs = o.jobs != 0 ? o.jobs : SHORT_JOBS;
    o.scripted = count_scripted(&o);
    ASSERT(scenario_count() <= SCENARIOS_MAX);
    log_set_level(LOG_LEVEL_ERROR);
    started = seconds_now();
    shared = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                  -1, 0);
    if (shared == MAP_FAILED) {
        return 1;
    }
    run_all(&o);
    report(&o);
    return test_failures > 0 ? 1 : 0;
}
