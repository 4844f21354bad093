/* `holdfast inspect`: tables of the program and files of a stopped region. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "account/region.h"
#include "base/arena.h"
#include "base/contract.h"
#include "base/files.h"
#include "base/fsm.h"
#include "cli/cli.h"
#include "cli/inspect_json.h"
#include "coord/journal.h"
#include "engine/engine.h"
#include "repl/entry.h"
#include "server/archive.h"
#include "json/json.h"

enum {
    I_FORMAT,
    I_STORE,
    I_PARTITION,
    I_FROM,
    I_LIMIT,
    I_BODIES,
    I_COORDINATOR,
    I_ACCOUNT,
    I_JSON,
    I_ROW_COUNT
};

#define ARCHIVE_SIZE_MAX    ((size_t)4 << 30)
#define STORE_TEXT_SIZE_MAX ((size_t)1 << 30) /* a line for each partition and finding */
#define ENTRY_TEXT_SIZE_MAX ((size_t)64 << 20)

static const struct conf_row rows[I_ROW_COUNT] = {
    [I_FORMAT] = {"format", CONF_STRING, "table", 1, 16, 0, "fsm: table, diagram or dot"},
    [I_STORE] = {"store", CONF_STRING, "", 0, 3000, 0,
                 "store, log: folder of a stopped region, e.g. holdfast-data/regions/east/store"},
    [I_PARTITION] = {"partition", CONF_U64, "0", 0, 0, 0, "log: partition id (0 = metadata)"},
    [I_FROM] = {"from", CONF_U64, "0", 0, 0, 0, "log: first lsn"},
    [I_LIMIT] = {"limit", CONF_U64, "100", 1, 0, 0, "log, archive: entries at most"},
    [I_BODIES] = {"bodies", CONF_BOOL, "no", 0, 0, 0,
                  "log, archive: print documents and keys, too"},
    [I_COORDINATOR] = {"coordinator", CONF_STRING, "", 0, 3000, 0,
                       "record: the coordinator's folder, e.g. holdfast-data/coordinator"},
    [I_ACCOUNT] = {"account", CONF_STRING, "", 0, 63, 0,
                   "record: which one; all of them when not given"},
    [I_JSON] = {"json", CONF_BOOL, "no", 0, 0, 0,
                "print JSON; log, archive, record: one object a line"},
};

/* What is decided between two rows: events, epochs and reports name these numbers as well. */
static void dump_rules(const struct fsm *fsm, struct buf *out)
{
    const struct region_rule *rule;
    buf_add_cstr(out, "decisions:\n");
    for (size_t i = 0; (rule = inspect_rule(fsm, i)) != NULL; i++) {
        buf_printf(out, "    %-4" PRIu32 " %-22s %s\n", rule->no, rule->name, rule->text);
    }
}

static enum err inspect_fsm(const struct conf *c, const struct fsm *fsm, struct errinfo *ei)
{
    struct buf text;
    buf_init(&text, 8 << 20);
    enum err err = OK;
    bool is_table = strcmp(conf_cstr(c, I_FORMAT), "table") == 0;
    if (is_table && conf_bool(c, I_JSON)) {
        inspect_json_fsm(fsm, &text);
        buf_add_char(&text, '\n');
    } else if (conf_bool(c, I_JSON)) {
        err = err_set(ei, ERR_USAGE, "--json or --format, not both");
    } else if (is_table) {
        fsm_dump_table(fsm, &text);
        dump_rules(fsm, &text);
    } else if (strcmp(conf_cstr(c, I_FORMAT), "diagram") == 0) {
        fsm_dump_diagram(fsm, &text);
    } else if (strcmp(conf_cstr(c, I_FORMAT), "dot") == 0) {
        fsm_dump_dot(fsm, &text);
    } else {
        err = err_set(ei, ERR_USAGE, "unknown format '%s'", conf_cstr(c, I_FORMAT));
        err_hint(ei, "one of table, diagram, dot");
    }
    printf(STR_FMT, STR_ARG(buf_str(&text)));
    buf_done(&text);
    return err;
}

static enum err open_store(const struct conf *c, struct engine **ret, struct errinfo *ei)
{
    if (conf_str(c, I_STORE).n == 0) {
        err_set(ei, ERR_USAGE, "which store?");
        err_hint(ei, "give --store FOLDER, e.g. --store holdfast-data/regions/east/store");
        return ERR_USAGE;
    }
    /* Opening makes what is not there: a look must not. */
    char format[3100];
    (void)snprintf(format, sizeof(format), "%s/FORMAT", conf_cstr(c, I_STORE));
    if (access(format, R_OK) != 0) {
        bool is_missing = errno == ENOENT || errno == ENOTDIR;
        enum err err = err_set(ei, is_missing ? ERR_NOT_FOUND : ERR_IO, "%s %s: %s",
                               is_missing ? "no store in" : "cannot open the store",
                               conf_cstr(c, I_STORE), err_errno_text(errno));
        err_hint(ei, "the store of a region is DIR/regions/NAME/store");
        return err;
    }
    struct engine_opts opts = {.driver = STR("rocksdb"), .dir = conf_str(c, I_STORE)};
    return engine_open(&opts, ret, ei);
}

/* What is found in a store goes here: for people line by line, or into one object that is printed at the end. */
struct store_look {
    bool is_json;
    struct buf text;
    struct json_out out;
};

static void on_finding(void *ctx, const char *finding)
{
    struct store_look *look = ctx;
    if (look->is_json) {
        json_out_cstr(&look->out, finding);
    } else {
        printf("%s\n", finding);
    }
}

static void look_begin(struct store_look *look, struct engine *e)
{
    buf_init(&look->text, STORE_TEXT_SIZE_MAX);
    json_out_init(&look->out, &look->text);
    if (look->is_json) {
        json_out_object(&look->out);
        json_out_member_u64(&look->out, "generation", engine_generation(e));
        json_out_key(&look->out, "partitions");
        json_out_array(&look->out);
        return;
    }
    printf("generation %" PRIu64 "\n", engine_generation(e));
    printf("%-18s %10s %12s %10s %12s %12s %10s\n", "partition", "epoch", "tail", "entries",
           "items", "bytes", "conflicts");
}

static void look_partition(struct store_look *look, const struct engine_row *row)
{
    const struct engine_part_meta *m = &row->meta;
    if (!look->is_json) {
        printf("%-18" PRIu64 " %10" PRIu64 " %12" PRIu64 " %10" PRIu64 " %12" PRIu64 " %12" PRIu64
               " %10" PRIu64 "\n",
               row->pid, m->tail_epoch, m->tail_lsn, m->tail_ord, m->item_count, m->item_size,
               m->conflict_count);
        return;
    }
    json_out_object(&look->out);
    json_out_member_u64(&look->out, "partition", row->pid);
    json_out_member_u64(&look->out, "epoch", m->tail_epoch);
    json_out_member_u64(&look->out, "tail", m->tail_lsn);
    json_out_member_u64(&look->out, "entries", m->tail_ord);
    json_out_member_u64(&look->out, "items", m->item_count);
    json_out_member_u64(&look->out, "bytes", m->item_size);
    json_out_member_u64(&look->out, "conflicts", m->conflict_count);
    json_out_object_end(&look->out);
}

static void look_end(struct store_look *look, uint64_t findings)
{
    if (look->is_json) {
        json_out_array_end(&look->out);
        json_out_object_end(&look->out);
        (void)fwrite(look->text.p, 1, look->text.n, stdout);
        printf("\n");
    } else {
        printf("\n%" PRIu64 " finding%s\n", findings, findings == 1 ? "" : "s");
    }
}

static enum err inspect_store(const struct conf *c, bool *ret_clean, struct errinfo *ei)
{
    struct engine *e = NULL;
    uint64_t findings = 0;
    struct store_look look = {.is_json = conf_bool(c, I_JSON)};
    TRY(open_store(c, &e, ei));
    look_begin(&look, e);
    struct engine_iter *it = engine_scan_partitions(e, NULL);
    struct engine_row row;
    while (engine_iter_next(it, &row)) {
        look_partition(&look, &row);
    }
    enum err err = engine_iter_err(it, ei);
    engine_iter_free(it);
    if (look.is_json) {
        json_out_array_end(&look.out);
        json_out_key(&look.out, "findings");
        json_out_array(&look.out);
    }
    if (err == OK) {
        err = engine_verify(e, on_finding, &look, &findings, ei);
    }
    engine_close(e);
    if (err == OK) {
        look_end(&look, findings);
    }
    buf_done(&look.text);
    *ret_clean = findings == 0;
    return err;
}

static void print_bytes(struct str s)
{
    struct buf text;
    buf_init(&text, s.n * 4 + 1);
    inspect_bytes(s, &text);
    printf(STR_FMT, STR_ARG(buf_str(&text)));
    buf_done(&text);
}

static void print_entry(const struct conf *c, const struct entry *e, size_t size)
{
    bool wants_bodies = conf_bool(c, I_BODIES);
    if (conf_bool(c, I_JSON)) {
        struct buf text;
        buf_init(&text, ENTRY_TEXT_SIZE_MAX);
        inspect_json_entry(e, size, wants_bodies, &text);
        buf_add_char(&text, '\n');
        (void)fwrite(text.p, 1, text.n, stdout);
        buf_done(&text);
        return;
    }
    printf("%12" PRIu64 " epoch=%" PRIu64 " generation=%" PRIu64 " ord=%" PRIu64 " prev=%" PRIu64
           "/%" PRIu64 " chain=%016" PRIx64 " origin=%u %s reason=%s ops=%zu bytes=%zu\n",
           e->lsn, e->epoch, e->generation, e->ord, e->prev_epoch, e->prev_lsn, e->chain, e->origin,
           e->kind == ENTRY_EPOCH ? "EPOCH" : "WRITE", inspect_reason(e), e->op_count, size);
    for (size_t i = 0; i < e->op_count; i++) {
        const struct entry_op *op = &e->ops[i];
        printf("             %s %s key_bytes=%zu doc_bytes=%zu replaces=%" PRIu64 "\n",
               op->is_delete ? "delete" : "put", op->space == SPACE_ITEM ? "item" : "conflict",
               op->key.n, op->doc.text.n, op->old.lsn);
        if (wants_bodies) {
            printf("             key ");
            print_bytes(op->key);
            printf("\n             " STR_FMT "\n", STR_ARG(op->doc.text)); /* JSON text: one line */
        }
    }
}

/* Nothing was printed: is there such a partition? */
static enum err explain_empty(struct engine *e, pid p, uint64_t from, struct errinfo *ei)
{
    struct engine_row row;
    struct engine_iter *it = engine_scan_partitions(e, NULL);
    bool is_found = false;
    while (!is_found && engine_iter_next(it, &row)) {
        is_found = row.pid == p;
    }
    enum err err = engine_iter_err(it, ei);
    if (err == OK && is_found) {
        fprintf(stderr,
                "partition %" PRIu64 " ends at %" PRIu64 ": its log has no entry from %" PRIu64
                " on (entries that every region has are trimmed)\n",
                p, row.meta.tail_lsn, from);
    } else if (err == OK) {
        err = err_set(ei, ERR_NOT_FOUND, "the store has no partition %" PRIu64, p);
        err_hint(ei, "`holdfast inspect store` lists them");
    }
    engine_iter_free(it);
    return err;
}

static enum err inspect_archive(const struct conf *c, const char *path, struct errinfo *ei)
{
    struct buf file;
    struct archive ar = {0};
    struct arena a;
    buf_init(&file, ARCHIVE_SIZE_MAX);
    arena_init(&a);
    enum err err = files_read(path, &file, ei);
    if (err == OK) {
        err = archive_parse(buf_str(&file), &ar, ei);
    }
    if (err == OK && !conf_bool(c, I_JSON)) {
        printf("region %u partition %" PRIu64 " bytes %zu\n", ar.region, ar.pid, ar.entries.n);
    }
    for (uint64_t n = 0; err == OK && n < conf_u64(c, I_LIMIT) && ar.entries.n > 0; n++) {
        struct entry entry;
        size_t size = 0;
        arena_reset(&a);
        err = entry_peek(ar.entries, &entry, &size, ei);
        if (err == OK) {
            err = entry_decode(&a, str_slice(ar.entries, 0, size), &entry, ei);
        }
        if (err == OK) {
            print_entry(c, &entry, size);
            ar.entries = str_slice(ar.entries, size, ar.entries.n);
        }
    }
    arena_done(&a);
    buf_done(&file);
    return err;
}

static enum err inspect_log(const struct conf *c, struct errinfo *ei)
{
    struct engine *e = NULL;
    TRY(open_store(c, &e, ei));
    struct arena a;
    arena_init(&a);
    enum err err = OK;
    struct engine_row row;
    struct engine_iter *it =
        engine_scan_log(e, NULL, conf_u64(c, I_PARTITION), conf_u64(c, I_FROM));
    uint64_t n = 0;
    for (; err == OK && n < conf_u64(c, I_LIMIT) && engine_iter_next(it, &row); n++) {
        struct entry entry;
        arena_reset(&a);
        err = entry_decode(&a, row.entry, &entry, ei);
        if (err == OK) {
            print_entry(c, &entry, row.entry.n);
        }
    }
    KEEP_FIRST(err, engine_iter_err(it, ei));
    engine_iter_free(it);
    arena_done(&a);
    if (err == OK && n == 0 && conf_u64(c, I_LIMIT) > 0) {
        err = explain_empty(e, conf_u64(c, I_PARTITION), conf_u64(c, I_FROM), ei);
    }
    engine_close(e);
    return err;
}

/* Whatever a later version adds: what sounds like a secret is none to print. */
static bool is_secret(struct str name)
{
    static const char *const words[] = {"key", "secret", "password", "credential", "token_secret"};
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (str_find(name, str_of(words[i])) >= 0) {
            return true;
        }
    }
    return false;
}

/* As it is stored; for people one member a line, lists one item a line. */
static enum err print_record(const struct coord_kv *kv, bool is_json, struct arena *a,
                             struct errinfo *ei)
{
    const char *member = is_json ? ", " : ",\n  ";
    const char *item = is_json ? "" : "\n    ";
    const struct json *doc = NULL;
    struct buf text;
    TRY(json_parse(a, kv->value, NULL, &doc, ei));
    buf_init(&text, 64 << 20);
    buf_printf(&text, "{ \"_key\": \"" STR_FMT "\", \"_revision\": %" PRIu64, STR_ARG(kv->key),
               kv->rev);
    for (size_t i = 0; i < doc->count; i++) {
        const struct json_member *m = &doc->members[i];
        buf_add_cstr(&text, member);
        json_write_string(&text, m->key);
        buf_add_cstr(&text, ": ");
        if (is_secret(m->key)) {
            buf_add_cstr(&text, "\"(not shown)\"");
        } else if (m->value->type == JSON_ARRAY) {
            buf_add_char(&text, '[');
            for (size_t k = 0; k < m->value->count; k++) {
                buf_printf(&text, "%s%s", k > 0 ? "," : "", item);
                json_write(&text, m->value->items[k]);
            }
            buf_add_char(&text, ']');
        } else {
            json_write(&text, m->value);
        }
    }
    buf_add_cstr(&text, " }\n");
    printf(STR_FMT, STR_ARG(buf_str(&text)));
    buf_done(&text);
    return OK;
}

struct record_look {
    struct str account; /* empty: any */
    bool is_json;
    size_t shown;
    enum err err;
    struct errinfo failure;
};

static void on_kv(void *ctx, const struct coord_kv *kv)
{
    struct record_look *look = ctx;
    struct str account = str_slice(kv->key, sizeof(COORD_PREFIX) - 1, kv->key.n);
    struct str rest = STR("");
    (void)str_split(account, '/', &account, &rest);
    bool is_wanted = look->account.n == 0 || str_eq(account, look->account);
    if (look->err == OK && is_wanted && str_eq(rest, STR("record"))) {
        struct arena a;
        arena_init(&a);
        look->err = print_record(kv, look->is_json, &a, &look->failure);
        look->shown++;
        arena_done(&a);
    }
}

static enum err inspect_record(const struct conf *c, struct errinfo *ei)
{
    if (conf_str(c, I_COORDINATOR).n == 0) {
        err_set(ei, ERR_USAGE, "which coordinator?");
        err_hint(ei,
                 "give --coordinator FOLDER, e.g. --coordinator holdfast-data/coordinator; of a "
                 "running account `holdfast account show` tells more");
        return ERR_USAGE;
    }
    struct record_look look = {.account = conf_str(c, I_ACCOUNT), .is_json = conf_bool(c, I_JSON)};
    enum err err = journal_look(conf_cstr(c, I_COORDINATOR), STR(COORD_PREFIX), on_kv, &look, ei);
    if (err == OK && look.err != OK) {
        *ei = look.failure;
        err = look.err;
    }
    if (err == OK && look.shown == 0) {
        err = err_set(ei, ERR_NOT_FOUND, "no account record in %s", conf_cstr(c, I_COORDINATOR));
    }
    return err;
}

static int run(const struct conf *c, int argc, char **argv)
{
    struct errinfo ei = {0};
    bool is_clean = true;
    enum err err = OK;
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "fsm") == 0 && (argc == 2 || (argc == 3 && strcmp(argv[2], "region") == 0))) {
        err = inspect_fsm(c, region_fsm(), &ei);
    } else if (strcmp(what, "fsm") == 0 && argc == 3 && strcmp(argv[2], "partition") == 0) {
        err = inspect_fsm(c, parts_fsm(), &ei);
    } else if (strcmp(what, "store") == 0 && argc == 2) {
        err = inspect_store(c, &is_clean, &ei);
    } else if (strcmp(what, "log") == 0 && argc == 2) {
        err = inspect_log(c, &ei);
    } else if (strcmp(what, "archive") == 0 && argc == 3) {
        err = inspect_archive(c, argv[2], &ei);
    } else if (strcmp(what, "record") == 0 && argc == 2) {
        err = inspect_record(c, &ei);
    } else {
        err = what[0] == '\0' ? err_set(&ei, ERR_USAGE, "inspect what?")
                              : err_set(&ei, ERR_USAGE, "cannot inspect '%s'", argv[argc - 1]);
        err_hint(
            &ei,
            "holdfast inspect fsm region|partition | store --store FOLDER | log --store FOLDER "
            "--partition N | archive FILE | record --coordinator FOLDER");
    }
    if (err != OK) {
        return cli_fail(&ei);
    }
    return is_clean ? 0 : 1;
}

int cmd_inspect(int argc, char **argv)
{
    struct conf *c = conf_new(rows, I_ROW_COUNT);
    int status = 0;
    if (cli_options(c, rows, I_ROW_COUNT, -1, cli_command("inspect"), &argc, argv, &status)) {
        status = run(c, argc, argv);
    }
    conf_free(c);
    return status;
}
