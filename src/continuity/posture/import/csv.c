/* CSV inventories (RFC 4180): the first row names the columns, `id`, `type` and `region` among them.
 *
 * Types and attributes are those of the estate itself, so unlike the other importers this one is
 * strict: a value that does not fit is an error with its line and column. Columns that are no attribute
 * are left out and counted. Lists in a cell are separated by semicolons; an empty cell says nothing, and
 * `unknown` says that it is not known. No message quotes a cell. */
#include "continuity/posture/import/import_int.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/contract.h"
#include "base/map.h"

enum { LIST_ITEMS_MAX = 256, NUMBER_SIZE_MAX = 32 };

enum column_kind {
    COLUMN_SKIPPED,
    COLUMN_ID,
    COLUMN_TYPE,
    COLUMN_REGION,
    COLUMN_NAME,
    COLUMN_OWNER,
    COLUMN_CLASS,
    COLUMN_ENVIRONMENT,
    COLUMN_CRITICAL_PATH,
    COLUMN_PEER,
    COLUMN_DEPENDS_ON,
    COLUMN_ZONES,
    COLUMN_RTO,
    COLUMN_RPO,
    COLUMN_ATTR,
};

struct column {
    enum column_kind kind;
    enum estate_attr attr; /* COLUMN_ATTR */
    struct str name;
};

struct csv {
    struct import *im;
    struct str rest;
    unsigned line; /* of the next byte */
    struct column columns[IMPORT_COLUMNS_MAX];
    size_t column_count;
    struct str cells[IMPORT_COLUMNS_MAX];
    size_t cell_count;
    unsigned row_line;
    char scratch[ESTATE_STRING_SIZE_MAX];
};

static const struct {
    const char *name;
    enum column_kind kind;
} fixed[] = {
    {"id", COLUMN_ID},
    {"type", COLUMN_TYPE},
    {"region", COLUMN_REGION},
    {"regions", COLUMN_REGION},
    {"name", COLUMN_NAME},
    {"owner", COLUMN_OWNER},
    {"class", COLUMN_CLASS},
    {"environment", COLUMN_ENVIRONMENT},
    {"critical_path", COLUMN_CRITICAL_PATH},
    {"peer", COLUMN_PEER},
    {"depends_on", COLUMN_DEPENDS_ON},
    {"zones", COLUMN_ZONES},
    {"objective.rto", COLUMN_RTO},
    {"objective.rpo", COLUMN_RPO},
};

/* ---- rows ---- */

static enum err fail_at(struct csv *c, size_t column, const char *what, const char *hint)
{
    err_set(c->im->ei, ERR_INVALID, STR_FMT ":%u: column %zu (" STR_FMT "): %s",
            STR_ARG(c->im->source), c->row_line, column + 1,
            STR_ARG(import_type_text(c->columns[column].name)), what);
    if (hint) {
        err_hint(c->im->ei, "%s", hint);
    }
    return ERR_INVALID;
}

static enum err fail_syntax(struct csv *c, unsigned line, const char *what)
{
    err_set(c->im->ei, ERR_SYNTAX, STR_FMT ":%u: %s", STR_ARG(c->im->source), line, what);
    err_hint(c->im->ei,
             "RFC 4180: cells with quotes, commas or line breaks stand in double quotes, "
             "and quotes inside are doubled");
    return ERR_SYNTAX;
}

static bool at_break(struct str s)
{
    return s.n > 0 && (s.p[0] == '\n' || s.p[0] == '\r');
}

/* Takes one line break: LF, CR LF, or CR alone. */
static void take_break(struct csv *c)
{
    bool is_crlf = c->rest.n > 1 && c->rest.p[0] == '\r' && c->rest.p[1] == '\n';
    c->rest = str_slice(c->rest, is_crlf ? 2 : 1, c->rest.n);
    c->line++;
}

static enum err quoted_cell(struct csv *c, struct str *ret)
{
    struct str s = c->rest;
    unsigned from = c->line;
    char *text = c->scratch;
    size_t n = 0;
    size_t i = 1;
    for (; i < s.n; i++) {
        if (s.p[i] == '"' && !(i + 1 < s.n && s.p[i + 1] == '"')) {
            break;
        }
        i += s.p[i] == '"';
        c->line += s.p[i] == '\n';
        if (n == ESTATE_STRING_SIZE_MAX) {
            return err_set(c->im->ei, ERR_LIMIT, STR_FMT ":%u: a cell of more than %d bytes",
                           STR_ARG(c->im->source), from, ESTATE_STRING_SIZE_MAX);
        }
        text[n++] = s.p[i];
    }
    if (i >= s.n) {
        return fail_syntax(c, from, "a quote is not closed");
    }
    c->rest = str_slice(s, i + 1, s.n);
    if (c->rest.n > 0 && c->rest.p[0] != ',' && !at_break(c->rest)) {
        return fail_syntax(c, c->line, "text after a closing quote");
    }
    *ret = arena_str(&c->im->arena, str_make(text, n));
    return OK;
}

static enum err bare_cell(struct csv *c, struct str *ret)
{
    size_t n = 0;
    while (n < c->rest.n && c->rest.p[n] != ',' && c->rest.p[n] != '\n' && c->rest.p[n] != '\r') {
        if (c->rest.p[n] == '"') {
            return fail_syntax(c, c->line, "a quote inside a cell that is not quoted");
        }
        n++;
    }
    if (n > ESTATE_STRING_SIZE_MAX) {
        return err_set(c->im->ei, ERR_LIMIT, STR_FMT ":%u: a cell of more than %d bytes",
                       STR_ARG(c->im->source), c->line, ESTATE_STRING_SIZE_MAX);
    }
    *ret = str_slice(c->rest, 0, n);
    c->rest = str_slice(c->rest, n, c->rest.n);
    return OK;
}

/* Cells of the next row that is not empty; none at the end. */
static enum err next_row(struct csv *c)
{
    while (at_break(c->rest)) {
        take_break(c);
    }
    c->cell_count = 0;
    c->row_line = c->line;
    if (c->rest.n == 0) {
        return OK;
    }
    for (;;) {
        if (c->cell_count == IMPORT_COLUMNS_MAX) {
            return err_set(c->im->ei, ERR_LIMIT, STR_FMT ":%u: more than %d columns",
                           STR_ARG(c->im->source), c->row_line, IMPORT_COLUMNS_MAX);
        }
        bool is_quoted = c->rest.n > 0 && c->rest.p[0] == '"';
        struct str cell;
        TRY(is_quoted ? quoted_cell(c, &cell) : bare_cell(c, &cell));
        c->cells[c->cell_count++] = str_trim(cell);
        if (c->rest.n == 0) {
            return OK;
        }
        if (at_break(c->rest)) {
            take_break(c);
            return OK;
        }
        c->rest = str_slice(c->rest, 1, c->rest.n); /* the comma */
    }
}

/* ---- values ---- */

struct list {
    struct str items[LIST_ITEMS_MAX];
    size_t count;
    bool is_open; /* `unknown` was among them */
};

static enum err split_list(struct csv *c, size_t column, struct str cell, struct list *ret)
{
    bool more = cell.n > 0 && !str_eq(cell, STR("none"));
    ret->count = 0;
    ret->is_open = false;
    while (more) {
        struct str item;
        struct str tail = STR_NONE;
        more = str_split(cell, ';', &item, &tail);
        cell = tail;
        item = str_trim(item);
        if (item.n == 0) {
            continue;
        }
        if (str_eq_nocase(item, STR("unknown"))) {
            ret->is_open = true;
            continue;
        }
        if (ret->count == LIST_ITEMS_MAX) {
            return fail_at(c, column, "a list of more than 256 items", NULL);
        }
        ret->items[ret->count++] = item;
    }
    return OK;
}

static bool to_bool(struct str s, bool *ret)
{
    *ret = str_eq_nocase(s, STR("true")) || str_eq_nocase(s, STR("yes"));
    return *ret || str_eq_nocase(s, STR("false")) || str_eq_nocase(s, STR("no"));
}

/* Digits, at most one point: nothing that strtod() would take besides. */
static bool to_number(struct str s, double *ret)
{
    char text[NUMBER_SIZE_MAX];
    if (s.n == 0 || s.n >= sizeof(text)) {
        return false;
    }
    size_t points = 0;
    for (size_t i = 0; i < s.n; i++) {
        points += s.p[i] == '.';
        if ((s.p[i] < '0' || s.p[i] > '9') && s.p[i] != '.') {
            return false;
        }
        text[i] = s.p[i];
    }
    text[s.n] = 0;
    *ret = strtod(text, NULL);
    return points <= 1 && s.n > points;
}

static bool is_reference(struct str id)
{
    return id.n <= ESTATE_ID_SIZE_MAX && !str_eq(id, STR("*")) && !str_eq(id, STR("outside:"));
}

static enum err set_list(struct csv *c, struct estate_asset *a, size_t column, struct str cell)
{
    struct estate *e = c->im->e;
    enum estate_attr attr = c->columns[column].attr;
    enum estate_value_type type = estate_attr_row(attr)->type;
    struct list list;
    TRY(split_list(c, column, cell, &list));
    for (size_t i = 0; i < list.count && (type == VT_REF || type == VT_REFS); i++) {
        if (!is_reference(list.items[i]) || str_eq(list.items[i], a->id)) {
            return fail_at(c, column, "what stands here cannot be a reference", NULL);
        }
    }
    if (type == VT_REF && list.count > 1) {
        return fail_at(c, column, "more than one id", "this attribute names one asset");
    }
    if (type == VT_REF || type == VT_REFS) {
        estate_set_refs(e, a, attr, list.items, list.count, EV_KNOWN, c->row_line);
    } else {
        estate_set_list(e, a, attr, list.items, list.count, EV_KNOWN, c->row_line);
        if (estate_attr(a, attr)->conf == EV_UNKNOWN) {
            return fail_at(c, column, "a value in the list is none that the attribute takes",
                           estate_attr_row(attr)->words[0] ? estate_attr_row(attr)->words : NULL);
        }
    }
    if (list.is_open) {
        estate_set_open(a, attr);
    }
    return OK;
}

/* False: the cell is not of the attribute's type. */
static bool set_scalar(struct csv *c, struct estate_asset *a, enum estate_attr attr,
                       struct str cell)
{
    struct estate *e = c->im->e;
    int64_t i = 0;
    uint64_t u = 0;
    double d = 0;
    bool b = false;
    switch ((int)estate_attr_row(attr)->type) {
    case VT_BOOL:
        if (to_bool(cell, &b)) {
            estate_set_bool(e, a, attr, b, EV_KNOWN, c->row_line);
            return true;
        }
        return false;
    case VT_INT:
        if (str_to_u64(cell, &u) && u <= INT32_MAX) {
            estate_set_int(e, a, attr, (int64_t)u, EV_KNOWN, c->row_line);
            return true;
        }
        return false;
    case VT_NUMBER:
    case VT_PERCENT:
        if (to_number(cell, &d)) {
            estate_set_number(e, a, attr, d, EV_KNOWN, c->row_line);
            return estate_attr(a, attr)->conf == EV_KNOWN;
        }
        return false;
    case VT_DURATION:
    case VT_TIME:
        if (estate_attr_row(attr)->type == VT_TIME ? estate_parse_time(cell, &i)
                                                   : estate_parse_duration(cell, &i)) {
            estate_set_int(e, a, attr, i, EV_KNOWN, c->row_line);
            return true;
        }
        return false;
    case VT_WORD:
        return estate_set_word(e, a, attr, cell, EV_KNOWN, c->row_line);
    default:
        estate_set_string(e, a, attr, cell, EV_KNOWN, c->row_line);
        return true;
    }
}

static enum err set_attr(struct csv *c, struct estate_asset *a, size_t column, struct str cell)
{
    enum estate_attr attr = c->columns[column].attr;
    const struct estate_attr_row *row = estate_attr_row(attr);
    char text[256];
    if (!estate_type_has(a->type, attr)) {
        (void)snprintf(text, sizeof(text), "%s has no attribute %s", estate_type_row(a->type)->name,
                       row->name);
        return fail_at(c, column, text, "leave the cell empty; holdfast assess types lists them");
    }
    if (str_eq(cell, STR("unknown"))) {
        estate_set_unknown(c->im->e, a, attr, STR("the inventory says so"), c->row_line);
        return OK;
    }
    if (row->type >= VT_WORDS) {
        return set_list(c, a, column, cell);
    }
    if (!set_scalar(c, a, attr, cell)) {
        (void)snprintf(text, sizeof(text), "has to be %s", estate_value_type_name(row->type));
        return fail_at(c, column, text, row->words[0] ? row->words : NULL);
    }
    return OK;
}

/* ---- what is no attribute ---- */

static enum err set_regions(struct csv *c, struct estate_asset *a, size_t column, struct str cell)
{
    struct list list;
    TRY(split_list(c, column, cell, &list));
    a->placements_open = list.is_open || cell.n == 0;
    for (size_t i = 0; i < list.count; i++) {
        struct estate_region *r = NULL;
        struct errinfo ei = {0};
        enum err err = estate_region(c->im->e, list.items[i], &r, &ei);
        if (err != OK) {
            return fail_at(c, column, err == ERR_LIMIT ? ei.message : "that cannot be a region",
                           "names such as koreacentral; several are separated by semicolons");
        }
        TRY(estate_place(c->im->e, a, r->name, NULL, c->im->ei));
    }
    return OK;
}

static enum err set_class(struct csv *c, struct estate_asset *a, size_t column, struct str cell)
{
    struct estate *e = c->im->e;
    a->class_name = estate_copy(e, cell);
    for (size_t i = 0; i < e->objective_count; i++) {
        if (str_eq(e->objectives[i].class_name, a->class_name)) {
            return OK;
        }
    }
    struct estate_objective *o = estate_add_objective(e);
    if (!o) {
        return fail_at(c, column, "too many different classes", NULL);
    }
    o->class_name = a->class_name;
    return OK;
}

static enum err set_environment(struct csv *c, struct estate_asset *a, size_t column,
                                struct str cell)
{
    static const enum estate_environment all[] = {ENVIRONMENT_PRODUCTION, ENVIRONMENT_STAGING,
                                                  ENVIRONMENT_DEVELOPMENT};
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        if (str_eq_nocase(cell, str_of(estate_environment_name(all[i])))) {
            a->environment = all[i];
            return OK;
        }
    }
    return fail_at(c, column, "has to be production, staging or development", NULL);
}

static enum err set_links(struct csv *c, struct estate_asset *a, size_t column, struct str cell)
{
    struct list list;
    bool is_peer = c->columns[column].kind == COLUMN_PEER;
    TRY(split_list(c, column, cell, &list));
    if (is_peer && list.count > 1) {
        return fail_at(c, column, "more than one id", "an asset has one peer");
    }
    if (is_peer && list.count == 0 && !list.is_open) {
        estate_set_peer_none(a, EV_KNOWN);
    }
    for (size_t i = 0; i < list.count; i++) {
        if (!is_reference(list.items[i]) || str_eq(list.items[i], a->id)) {
            return fail_at(c, column, "what stands here cannot be a reference", NULL);
        }
        if (is_peer) {
            estate_set_peer(c->im->e, a, list.items[i], EV_KNOWN);
        } else {
            TRY(estate_depend(c->im->e, a, list.items[i], c->im->ei));
        }
    }
    return OK;
}

static enum err set_objective(struct csv *c, struct estate_asset *a, size_t column, struct str cell)
{
    struct estate_objective *o = estate_own_objective(c->im->e, a);
    int64_t ms = 0;
    if (!estate_parse_duration(cell, &ms)) {
        return fail_at(c, column, "has to be a duration", "250ms, 90s, 15m, 4h, 7d, 0");
    }
    *(c->columns[column].kind == COLUMN_RTO ? &o->rto_ms : &o->rpo_ms) = ms;
    return OK;
}

static enum err set_cell(struct csv *c, struct estate_asset *a, size_t column)
{
    struct str cell = c->cells[column];
    enum column_kind kind = c->columns[column].kind;
    struct list list;
    bool b = false;
    if (cell.n == 0 && kind != COLUMN_REGION) {
        return OK;
    }
    switch (kind) {
    case COLUMN_SKIPPED:
    case COLUMN_ID:
    case COLUMN_TYPE:
        return OK;
    case COLUMN_REGION:
        return set_regions(c, a, column, cell);
    case COLUMN_NAME:
        a->name = estate_copy(c->im->e, cell);
        return OK;
    case COLUMN_OWNER:
        a->owner = estate_copy(c->im->e, cell);
        return OK;
    case COLUMN_CLASS:
        return set_class(c, a, column, cell);
    case COLUMN_ENVIRONMENT:
        return set_environment(c, a, column, cell);
    case COLUMN_CRITICAL_PATH:
        if (!to_bool(cell, &b)) {
            return fail_at(c, column, "has to be true or false", NULL);
        }
        a->critical_path = b ? TRI_YES : TRI_NO;
        return OK;
    case COLUMN_PEER:
    case COLUMN_DEPENDS_ON:
        return set_links(c, a, column, cell);
    case COLUMN_ZONES:
        TRY(split_list(c, column, cell, &list));
        if (!list.is_open) {
            estate_set_zones(c->im->e, a, list.items, list.count, EV_KNOWN);
        }
        return OK;
    case COLUMN_RTO:
    case COLUMN_RPO:
        return set_objective(c, a, column, cell);
    case COLUMN_ATTR:
        return set_attr(c, a, column, cell);
    }
    return OK;
}

/* ---- the file ---- */

static const char *nearest_attr(struct str name)
{
    for (unsigned i = 0; i < ATTR_COUNT; i++) {
        const char *known = estate_attr_row((enum estate_attr)i)->name;
        if (str_distance(name, str_of(known)) <= 2) {
            return known;
        }
    }
    return NULL;
}

static void classify(struct csv *c, struct column *col)
{
    struct str name = import_lower(&c->im->arena, col->name);
    if (str_starts(name, STR("attrs."))) {
        name = str_slice(name, 6, name.n);
    } else {
        for (size_t i = 0; i < ARRAY_COUNT(fixed); i++) {
            if (str_eq(name, str_of(fixed[i].name))) {
                col->kind = fixed[i].kind;
                return;
            }
        }
    }
    if (estate_attr_find(name, &col->attr)) {
        col->kind = COLUMN_ATTR;
        return;
    }
    const char *near = nearest_attr(name);
    if (near) {
        import_warn(c->im, "column " STR_FMT " is no attribute: did you mean %s?",
                    STR_ARG(import_type_text(col->name)), near);
    }
    import_skip(c->im, col->name);
}

static enum err read_header(struct csv *c)
{
    static const enum column_kind required[] = {COLUMN_ID, COLUMN_TYPE, COLUMN_REGION};
    unsigned seen[COLUMN_ATTR] = {0};
    bool seen_attr[ATTR_COUNT] = {false};
    TRY(next_row(c));
    c->column_count = c->cell_count;
    for (size_t i = 0; i < c->column_count; i++) {
        struct column *col = &c->columns[i];
        col->name = arena_str(&c->im->arena, c->cells[i]);
        classify(c, col);
        bool is_twice = col->kind == COLUMN_ATTR      ? seen_attr[col->attr]
                        : col->kind != COLUMN_SKIPPED ? seen[col->kind]++ > 0
                                                      : false;
        if (col->kind == COLUMN_ATTR) {
            seen_attr[col->attr] = true;
        }
        if (is_twice) {
            return fail_at(c, i, "the column is there twice", NULL);
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(required); i++) {
        if (seen[required[i]] == 0) {
            err_set(c->im->ei, ERR_INVALID, STR_FMT ":%u: the first row has no column %s",
                    STR_ARG(c->im->source), c->row_line, fixed[i].name);
            err_hint(c->im->ei, "the first row names the columns, id, type and region among them, "
                                "separated by commas");
            return ERR_INVALID;
        }
    }
    return OK;
}

static size_t column_of(const struct csv *c, enum column_kind kind)
{
    size_t i = 0;
    while (i < c->column_count && c->columns[i].kind != kind) {
        i++;
    }
    ASSERT(i < c->column_count); /* read_header() has seen it */
    return i;
}

static enum err read_type(struct csv *c, enum estate_type *ret)
{
    size_t column = column_of(c, COLUMN_TYPE);
    struct str name = c->cells[column];
    const char *near = NULL;
    char hint[128];
    if (estate_type_find(name, ret)) {
        return OK;
    }
    for (unsigned i = 0; i < TYPE_COUNT && !near; i++) {
        const char *known = estate_type_row((enum estate_type)i)->name;
        near = str_distance(name, str_of(known)) <= 3 ? known : NULL;
    }
    (void)snprintf(hint, sizeof(hint), "did you mean %s?", near ? near : "");
    return fail_at(c, column, "no type of asset is called so",
                   near ? hint : "holdfast assess types lists them; service is any other");
}

static enum err read_asset(struct csv *c)
{
    struct estate_asset *a = NULL;
    enum estate_type type = TYPE_SERVICE;
    size_t id = column_of(c, COLUMN_ID);
    TRY(import_seen(c->im));
    TRY(read_type(c, &type));
    struct errinfo ei = {0};
    enum err err = estate_add(c->im->e, c->cells[id], type, c->row_line, &a, &ei);
    if (err == ERR_LIMIT) {
        return err_set(c->im->ei, err, STR_FMT ": %s", STR_ARG(c->im->source), ei.message);
    }
    if (err != OK) {
        return fail_at(c, id,
                       err == ERR_EXISTS ? "the id stands in an earlier row already"
                                         : "what stands here cannot be an id",
                       NULL);
    }
    for (size_t i = 0; i < c->column_count; i++) {
        TRY(set_cell(c, a, i));
    }
    return OK;
}

/* Peers have to be of the same type; said here, where the line is known. */
static enum err check_peers(struct csv *c)
{
    size_t column = 0;
    while (column < c->column_count && c->columns[column].kind != COLUMN_PEER) {
        column++;
    }
    for (size_t i = 0; i < c->im->e->asset_count && column < c->column_count; i++) {
        const struct estate_asset *a = c->im->e->assets[i];
        const struct estate_asset *peer =
            a->peer_conf == EV_UNKNOWN ? NULL : estate_find(c->im->e, a->peer.id);
        if (peer && peer->type != a->type) {
            c->row_line = a->line;
            return fail_at(c, column, "the peer is of another type", NULL);
        }
    }
    return OK;
}

static enum err read_rows(struct csv *c)
{
    size_t rows = 0;
    TRY(read_header(c));
    for (;;) {
        TRY(next_row(c));
        if (c->cell_count == 0) {
            break;
        }
        if (++rows > IMPORT_ROWS_MAX) {
            return err_set(c->im->ei, ERR_LIMIT, STR_FMT ": more than %d rows",
                           STR_ARG(c->im->source), IMPORT_ROWS_MAX);
        }
        if (c->cell_count != c->column_count) {
            err_set(c->im->ei, ERR_SYNTAX, STR_FMT ":%u: %zu cells, not %zu as in the first row",
                    STR_ARG(c->im->source), c->row_line, c->cell_count, c->column_count);
            err_hint(c->im->ei, "a comma inside a cell needs quotes around the cell");
            return ERR_SYNTAX;
        }
        TRY(read_asset(c));
    }
    return check_peers(c);
}

bool import_is_csv(struct str text)
{
    struct str line = str_trim(str_slice(text, 0, 64 << 10));
    ptrdiff_t end = str_find_char(line, '\n');
    line = end < 0 ? line : str_slice(line, 0, (size_t)end);
    bool has_id = false;
    bool more = str_find_char(line, ',') >= 0;
    while (more) {
        struct str cell;
        struct str tail = STR_NONE;
        more = str_split(line, ',', &cell, &tail);
        line = tail;
        cell = str_trim(cell);
        if (cell.n >= 2 && cell.p[0] == '"' && cell.p[cell.n - 1] == '"') {
            cell = str_slice(cell, 1, cell.n - 2);
        }
        has_id = has_id || str_eq_nocase(cell, STR("id")) || str_eq_nocase(cell, STR("type"));
    }
    return has_id;
}

enum err import_csv(struct import *im)
{
    struct csv *c = ARENA_NEW(&im->arena, struct csv);
    *c = (struct csv){.im = im, .rest = im->text, .line = 1};
    im->report->form = "CSV inventory";
    return read_rows(c);
}
