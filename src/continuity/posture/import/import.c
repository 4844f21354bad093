/* Imports: which importer reads a file, what all of them share, and the report for people.
 *
 * Detection goes by content, never by the file's name. A form that is asked for must be the form that
 * the content has: a wrong guess of the user's is an error, not an empty estate. */
#include "continuity/posture/import/import.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/contract.h"
#include "base/mem.h"
#include "continuity/posture/import/import_int.h"

const struct import_type import_types[IMPORT_ROW_COUNT] = {
#define RES(id, name, role, type) [IMPORT_##id] = {name, role, type},
#define FIELD(id, path, conv, attr, def)
#include "continuity/posture/import/arm.def"
#include "continuity/posture/import/azurerm.def"
#undef RES
#undef FIELD
};

const struct import_field import_fields[] = {
#define RES(id, name, role, type)
#define FIELD(id, path, conv, attr, def) {IMPORT_##id, path, conv, attr, def},
#include "continuity/posture/import/arm.def"
#include "continuity/posture/import/azurerm.def"
#undef RES
#undef FIELD
};
const size_t import_field_count = ARRAY_COUNT(import_fields);

static const struct {
    const char *from;
    const char *to;
} words[] = {
#define WORD(from, to) {from, to},
#include "continuity/posture/import/words.def"
#undef WORD
};

struct str import_word(struct str word)
{
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (str_eq_nocase(str_of(words[i].from), word)) {
            return str_of(words[i].to);
        }
    }
    return word;
}

bool import_format_find(struct str name, enum import_format *ret)
{
    static const char *const names[] = {
        [IMPORT_AUTO] = "auto", [IMPORT_TERRAFORM] = "terraform",
        [IMPORT_ARM] = "arm",   [IMPORT_RESOURCES] = "resources",
        [IMPORT_CSV] = "csv",
    };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (str_eq(str_of(names[i]), name)) {
            *ret = (enum import_format)i;
            return true;
        }
    }
    return false;
}

/* ---- lines ---- */

static void index_lines(struct import *im)
{
    size_t n = 0;
    for (size_t i = 0; i < im->text.n; i++) {
        n += im->text.p[i] == '\n';
    }
    im->lines = ARENA_NEW_ARRAY(&im->arena, size_t, n + 1);
    for (size_t i = 0; i < im->text.n; i++) {
        if (im->text.p[i] == '\n') {
            im->lines[im->line_count++] = i;
        }
    }
}

unsigned import_line(const struct import *im, const struct json *v)
{
    if (!v || v->src.n == 0 || v->src.p < im->text.p || v->src.p >= im->text.p + im->text.n) {
        return 0;
    }
    size_t at = (size_t)(v->src.p - im->text.p);
    size_t low = 0;
    size_t high = im->line_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (im->lines[mid] < at) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return (unsigned)low + 1;
}

/* ---- the report while it grows ---- */

void import_warn(struct import *im, const char *fmt, ...)
{
    struct import_report *r = im->report;
    if (r->warning_count++ >= IMPORT_WARNINGS_MAX) {
        return;
    }
    if (!r->warnings) {
        r->warnings = ARENA_NEW_ARRAY(&r->arena, struct str, IMPORT_WARNINGS_MAX);
    }
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap); /* long ids are cut */
    va_end(ap);
    for (char *p = text; *p; p++) {
        if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f) {
            *p = '?';
        }
    }
    r->warnings[r->warning_count - 1] = arena_str(&r->arena, str_of(text));
}

struct str import_type_text(struct str type)
{
    bool is_type = type.n > 0 && type.n <= 128;
    for (size_t i = 0; i < type.n && is_type; i++) {
        char c = type.p[i];
        is_type = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '/' || c == '_' || c == '-' || c == '#' || c == ' ';
    }
    return is_type ? type : STR("(no type)");
}

static void count_in(struct import *im, struct import_count **list, size_t *count, size_t *cap,
                     const char *which, struct str type)
{
    struct import_report *r = im->report;
    struct str name = import_type_text(type);
    if (*count >= IMPORT_TYPES_MAX) {
        name = STR("(other types)");
    }
    struct str lower = import_lower(&im->arena, name);
    struct str key = arena_printf(&im->arena, "%s " STR_FMT, which, STR_ARG(lower));
    /* Positions are kept in the map, from one: the list moves when it grows. */
    size_t idx = (size_t)(uintptr_t)map_get(&im->counts, key);
    if (idx == 0) {
        if (*count == *cap) {
            size_t cap_new = *cap == 0 ? 16 : *cap * 2;
            struct import_count *list_new =
                ARENA_NEW_ARRAY(&r->arena, struct import_count, cap_new);
            for (size_t i = 0; i < *count; i++) {
                list_new[i] = (*list)[i];
            }
            *list = list_new;
            *cap = cap_new;
        }
        (*list)[(*count)++] = (struct import_count){.name = arena_str(&r->arena, name)};
        idx = *count;
        (void)map_put(&im->counts, key, (void *)(uintptr_t)idx);
    }
    (*list)[idx - 1].count++;
}

void import_skip(struct import *im, struct str type)
{
    struct import_report *r = im->report;
    count_in(im, &r->skipped, &r->skipped_count, &r->skipped_cap, "skipped", type);
}

enum err import_seen(struct import *im)
{
    if (++im->report->resource_count > IMPORT_RESOURCES_MAX) {
        err_set(im->ei, ERR_LIMIT, STR_FMT ": more than %d resources", STR_ARG(im->source),
                IMPORT_RESOURCES_MAX);
        err_hint(im->ei, "import parts of the platform, one file for each");
        return ERR_LIMIT;
    }
    return OK;
}

enum import_row import_find_row(struct str name, enum import_row from, enum import_row to)
{
    for (unsigned i = from; i < to; i++) {
        if (str_eq_nocase(str_of(import_types[i].name), name)) {
            return (enum import_row)i;
        }
    }
    return IMPORT_ROW_COUNT;
}

/* ---- resources ---- */

/* An id that estate_add() takes, near the one that was wanted. Control characters and what people
 * could not type become '?'. */
static struct str usable_id(struct import *im, struct str wanted)
{
    struct str s = str_trim(wanted);
    if (s.n > ESTATE_ID_SIZE_MAX - 16) {
        s = str_slice(s, 0, ESTATE_ID_SIZE_MAX - 16);
    }
    char *p = arena_alloc(&im->arena, s.n + 1);
    for (size_t i = 0; i < s.n; i++) {
        p[i] = (unsigned char)s.p[i] < 0x20 || (unsigned char)s.p[i] >= 0x7f ? '?' : s.p[i];
    }
    struct str id = str_make(p, s.n);
    bool is_reserved = id.n == 0 || str_eq(id, STR("none")) || str_eq(id, STR("unknown")) ||
                       str_eq(id, STR("*")) || str_starts(id, STR("outside:"));
    return is_reserved ? STR("resource") : id;
}

static enum err add_asset(struct import *im, struct import_res *res, struct str wanted)
{
    struct str base = usable_id(im, wanted);
    struct str id = base;
    while (estate_find(im->e, id)) {
        struct import_count *c = map_get(&im->id_counts, base);
        if (!c) {
            c = ARENA_NEW(&im->arena, struct import_count);
            c->count = 1;
            (void)map_put(&im->id_counts, base, c);
        }
        id = arena_printf(&im->arena, STR_FMT "#%zu", STR_ARG(base), ++c->count);
    }
    enum estate_type type = import_types[res->row].type;
    TRY(estate_add(im->e, id, type, res->line, &res->asset, im->ei));
    return OK;
}

static void index_name(struct import *im, struct import_res *res)
{
    if (res->rid.n > 0) {
        (void)map_put(&im->by_rid, res->rid, res);
    }
    if (res->kind.n > 0 && res->name.n > 0) {
        struct str name = import_lower(&im->arena, res->name);
        struct str key =
            arena_printf(&im->arena, STR_FMT "|" STR_FMT, STR_ARG(res->kind), STR_ARG(name));
        if (map_put(&im->by_name, key, res)) {
            (void)map_put(&im->by_name, key, &import_ambiguous);
        }
    }
}

enum err import_add(struct import *im, const struct import_res *from, struct str id)
{
    ASSERT(from->row < IMPORT_ROW_COUNT);
    struct import_report *r = im->report;
    if (from->rid.n > 0 && map_get(&im->by_rid, from->rid)) {
        return OK; /* read as data what is managed in the same file, or listed twice */
    }
    struct import_res *res = ARENA_NEW(&im->arena, struct import_res);
    *res = *from;
    if (import_types[res->row].role == ROLE_ASSET) {
        TRY(add_asset(im, res, id));
    } else {
        count_in(im, &r->read, &r->read_count, &r->read_cap, "read",
                 str_of(import_types[res->row].name));
    }
    if (im->res_count == im->res_cap) {
        im->res_cap = im->res_cap == 0 ? 64 : im->res_cap * 2;
        im->res = mem_realloc(
            im->res,
            im->res_cap *
                sizeof(struct import_res *)); /* NOLINT(bugprone-sizeof-expression): pointers */
    }
    im->res[im->res_count++] = res;
    index_name(im, res);
    return OK;
}

/* ---- the whole ---- */

static enum err parse(struct import *im, const struct json **ret)
{
    const struct json_limits limits = {.text_size_max = IMPORT_TEXT_SIZE_MAX};
    struct errinfo ei = {0};
    enum err err = json_parse(&im->arena, im->text, &limits, ret, &ei);
    if (err != OK) {
        err_set(im->ei, err, STR_FMT ": %s", STR_ARG(im->source), ei.message);
        err_hint(im->ei, err == ERR_SYNTAX ? "the file must be JSON as the tool wrote it, complete"
                                           : "import parts of the platform, one file for each");
    }
    return err;
}

/* Text that looks like what the user may have meant instead. */
static enum err not_recognised(struct import *im)
{
    static const struct {
        const char *start;
        const char *hint;
    } likely[] = {
        {"resource ", "build Bicep with `az bicep build`; for Terraform give the state"},
        {"param ", "build Bicep to JSON first: az bicep build --file FILE"},
        {"targetScope", "build Bicep to JSON first: az bicep build --file FILE"},
        {"terraform ", "give the state, not the configuration: terraform state pull > FILE"},
        {"provider ", "give the state, not the configuration: terraform state pull > FILE"},
        {"version:", "this looks like an estate: holdfast assess FILE"},
    };
    const char *hint =
        "JSON of Terraform or Azure, or CSV whose first row names id, type and region";
    struct str start = str_trim(str_slice(im->text, 0, 4096));
    for (size_t i = 0; i < ARRAY_COUNT(likely); i++) {
        if (str_starts(start, str_of(likely[i].start))) {
            hint = likely[i].hint;
        }
    }
    err_set(im->ei, ERR_INVALID, STR_FMT ": no form that can be imported", STR_ARG(im->source));
    err_hint(im->ei, "%s", hint);
    return ERR_INVALID;
}

/* JSON that is something else. */
static enum err json_not_recognised(struct import *im, const struct json *root)
{
    struct str schema = STR_NONE;
    const char *what = "JSON of no form that can be imported";
    const char *hint = "one of: Terraform state or show -json, ARM template, list of resources";
    (void)json_get_str(root, STR("$schema"), &schema);
    if (str_find(schema, STR("deploymentParameters.json")) >= 0) {
        what = "parameters of an ARM template, not the template";
        hint = "import the template and give values with --param NAME=VALUE";
    } else if (json_get(root, STR("encrypted_data"))) {
        what = "an encrypted state";
        hint = "write it out first: tofu state pull > FILE";
    } else if (json_get(root, STR("provider_schemas"))) {
        what = "schemas of providers, not a state";
        hint = "terraform show -json > FILE";
    } else if (json_get(root, STR("columns")) && json_get(root, STR("rows"))) {
        what = "a query result as a table";
        hint = "ask for objects: az graph query, or resultFormat objectArray";
    }
    err_set(im->ei, ERR_INVALID, STR_FMT ": %s", STR_ARG(im->source), what);
    err_hint(im->ei, "%s", hint);
    return ERR_INVALID;
}

static enum err wrong_form(struct import *im, const char *asked, const char *got)
{
    err_set(im->ei, ERR_INVALID, STR_FMT ": this is no %s", STR_ARG(im->source), asked);
    err_hint(im->ei, "it looks like %s: leave --format away", got);
    return ERR_INVALID;
}

static enum err run_json(struct import *im, enum import_format format)
{
    static const struct {
        enum import_format format;
        bool (*is)(const struct json *root);
        enum err (*run)(struct import *im, const struct json *root);
        const char *name;
    } forms[] = {
        {IMPORT_TERRAFORM, import_is_terraform, import_terraform, "Terraform's JSON"},
        {IMPORT_ARM, import_is_arm, import_arm, "an ARM template"},
        {IMPORT_RESOURCES, import_is_resources, import_resources, "a list of resources"},
    };
    const struct json *root = NULL;
    const char *asked = NULL;
    TRY(parse(im, &root));
    if (json_get(root, STR("template")) && !json_get(root, STR("resources"))) {
        root = json_get(root, STR("template")); /* the answer of the export operation */
    }
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        asked = format == forms[i].format ? forms[i].name : asked;
    }
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        if (forms[i].is(root)) {
            if (format != IMPORT_AUTO && format != forms[i].format) {
                return wrong_form(im, asked, forms[i].name);
            }
            TRY(forms[i].run(im, root));
            return import_apply_all(im);
        }
    }
    return json_not_recognised(im, root);
}

static enum err run(struct import *im, enum import_format format)
{
    struct str t = im->text;
    if (t.n >= 2 && (memcmp(t.p, "\xff\xfe", 2) == 0 || memcmp(t.p, "\xfe\xff", 2) == 0)) {
        err_set(im->ei, ERR_SYNTAX, STR_FMT ": UTF-16, not UTF-8", STR_ARG(im->source));
        err_hint(im->ei, "older PowerShell writes it so: use Out-File -Encoding utf8");
        return ERR_SYNTAX;
    }
    if (str_starts(t, STR("\xef\xbb\xbf"))) {
        im->text = str_slice(t, 3, t.n);
    }
    index_lines(im);
    struct str start = str_trim(im->text);
    bool is_json = start.n > 0 && (start.p[0] == '{' || start.p[0] == '[');
    if (is_json && format != IMPORT_CSV) {
        return run_json(im, format);
    }
    if (format == IMPORT_CSV || (format == IMPORT_AUTO && import_is_csv(im->text))) {
        return import_csv(im);
    }
    return not_recognised(im);
}

static void count_unknown(const struct estate *e, struct import_report *r)
{
    r->asset_count = e->asset_count;
    for (size_t i = 0; i < e->asset_count; i++) {
        const struct estate_asset *a = e->assets[i];
        r->types[a->type]++;
        r->unknown_count += a->placements_open;
        for (size_t k = 0; k < a->attr_count; k++) {
            const struct estate_value *v = &a->attrs[k].value;
            r->unknown_count += v->conf == EV_UNKNOWN || v->is_open;
        }
    }
}

enum err import_read(struct str text, struct str source, const struct import_opts *opts,
                     struct estate **ret, struct import_report **ret_report, struct errinfo *ei)
{
    ASSERT(opts->param_count <= IMPORT_PARAMS_MAX);
    struct errinfo own = {0};
    struct import im = {.text = text, .source = source, .opts = opts, .ei = ei ? ei : &own};
    if (text.n > IMPORT_TEXT_SIZE_MAX) {
        return err_set(ei, ERR_LIMIT, STR_FMT ": more than %d MiB", STR_ARG(source),
                       IMPORT_TEXT_SIZE_MAX >> 20);
    }
    arena_init(&im.arena);
    map_init(&im.by_rid);
    map_init(&im.by_name);
    map_init(&im.id_counts);
    map_init(&im.counts);
    im.e = estate_new(source);
    im.report = MEM_NEW(struct import_report);
    arena_init(&im.report->arena);
    im.report->source = arena_str(&im.report->arena, source);
    enum err err = run(&im, opts->format);
    if (err == OK) {
        err = estate_finish(im.e, ESTATE_UNRESOLVED_IS_OUTSIDE, im.ei);
    }
    mem_free(im.res);
    mem_free(im.refs);
    map_done(&im.by_rid);
    map_done(&im.by_name);
    map_done(&im.id_counts);
    map_done(&im.counts);
    arena_done(&im.arena);
    if (err != OK) {
        estate_free(im.e);
        import_report_free(im.report);
        return err;
    }
    count_unknown(im.e, im.report);
    *ret = im.e;
    *ret_report = im.report;
    return OK;
}

void import_report_free(struct import_report *r)
{
    if (r) {
        arena_done(&r->arena);
        mem_free(r);
    }
}

/* ---- output ---- */

static int by_count(const void *a, const void *b)
{
    const struct import_count *x = a;
    const struct import_count *y = b;
    if (x->count != y->count) {
        return x->count > y->count ? -1 : 1;
    }
    return str_cmp(x->name, y->name);
}

static void write_counts(const char *title, const struct import_count *list, size_t n,
                         struct buf *out)
{
    enum { SHOWN_MAX = 20 };
    struct import_count *sorted = mem_alloc((n + 1) * sizeof(*sorted));
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        sorted[i] = list[i];
        total += list[i].count;
    }
    qsort(sorted, n, sizeof(*sorted), by_count);
    buf_printf(out, "%s: %zu\n", title, total);
    for (size_t i = 0; i < n && i < SHOWN_MAX; i++) {
        buf_printf(out, "  %6zu  " STR_FMT "\n", sorted[i].count, STR_ARG(sorted[i].name));
    }
    if (n > SHOWN_MAX) {
        buf_printf(out, "          and %zu more types\n", n - SHOWN_MAX);
    }
    mem_free(sorted);
}

void import_report_write(const struct import_report *r, struct buf *out)
{
    buf_printf(out, "%s: %zu assets, %zu unknown\n", r->form, r->asset_count, r->unknown_count);
    for (unsigned t = 0; t < TYPE_COUNT; t++) {
        if (r->types[t] > 0) {
            buf_printf(out, "  %6zu  %s\n", r->types[t],
                       estate_type_row((enum estate_type)t)->name);
        }
    }
    if (r->read_count > 0) {
        write_counts("read for what they say about those", r->read, r->read_count, out);
    }
    if (r->skipped_count > 0) {
        write_counts("not imported", r->skipped, r->skipped_count, out);
    }
    size_t shown = r->warning_count < IMPORT_WARNINGS_MAX ? r->warning_count : IMPORT_WARNINGS_MAX;
    for (size_t i = 0; i < shown; i++) {
        buf_printf(out, "warning: " STR_FMT "\n", STR_ARG(r->warnings[i]));
    }
    if (r->warning_count > shown) {
        buf_printf(out, "and %zu more warnings\n", r->warning_count - shown);
    }
}

void import_write_yaml(const struct estate *e, const struct import_report *r, struct buf *out)
{
    buf_printf(out, "# Imported from a file of the form: %s.\n", r->form);
    buf_printf(out, "# %zu assets, %zu unknown. To review:\n", r->asset_count, r->unknown_count);
    buf_add_cstr(
        out, "#  - every `unknown`: fill it in, or leave it: it is reported, never taken as good\n"
             "#  - what `inferred` lists: defaults of the provider and conclusions\n"
             "#  - what no file holds: objectives, owners, environment, peer, topology, routes,\n"
             "#    runbooks, backups (holdfast assess init shows each; assess types lists all)\n");
    estate_write_yaml(e, out);
}
