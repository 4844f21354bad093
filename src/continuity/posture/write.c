/* An estate as canonical YAML: the same model always gives the same text, and estate_read() gives
 * the same model back. Texts stand plain only where no reader could take them for anything else;
 * all others are quoted as JSON strings, which YAML understands too. */
#include <inttypes.h>

#include "base/contract.h"
#include "continuity/posture/estate.h"
#include "continuity/posture/estate_int.h"
#include "json/json.h"

const struct estate_policy_row estate_policy_rows[] = {
    {"drill_max_age", offsetof(struct estate_policy, drill_max_age_ms), false,
     "age at which a drill no longer counts"},
    {"verify_max_age", offsetof(struct estate_policy, verify_max_age_ms), false,
     "age at which a verification of backups no longer counts"},
    {"restore_max_age", offsetof(struct estate_policy, restore_max_age_ms), false,
     "age at which a rehearsed restore no longer counts"},
    {"log_retention_days", offsetof(struct estate_policy, log_retention_days), true,
     "days that telemetry must be kept"},
    {"backup_retention", offsetof(struct estate_policy, backup_retention_ms), false,
     "how far back one must be able to restore"},
    {"detect", offsetof(struct estate_policy, detect_ms), false,
     "estimate: until the loss is noticed"},
    {"decide", offsetof(struct estate_policy, decide_ms), false,
     "estimate: until a person has decided"},
    {"promote", offsetof(struct estate_policy, promote_ms), false,
     "estimate: promoting the other region"},
    {"resolver_floor", offsetof(struct estate_policy, resolver_floor_ms), false,
     "estimate: shortest time that resolvers keep a record"},
    {"reconnect", offsetof(struct estate_policy, reconnect_ms), false,
     "estimate: clients connecting again"},
    {"start", offsetof(struct estate_policy, start_ms), false,
     "estimate: hot/warm, starting what waits in the other region"},
    {"deploy", offsetof(struct estate_policy, deploy_ms), false,
     "estimate: hot/cold, deploying what is not there"},
    {"restore", offsetof(struct estate_policy, restore_ms), false,
     "estimate: backup-only, restoring elsewhere"},
};
const size_t estate_policy_row_count = ARRAY_COUNT(estate_policy_rows);

enum { QUOTED_SIZE_MAX = ESTATE_STRING_SIZE_MAX * 8 }; /* every byte escaped */

/* ---- scalars ---- */

static bool is_plain(struct str s)
{
    static const char *const reserved[] = {"true",  "false", "null", "yes",    "no",
                                           "on",    "off",   "y",    "n",      "none",
                                           "never", "nan",   "inf",  "unknown"};
    for (size_t i = 0; i < ARRAY_COUNT(reserved); i++) {
        if (str_eq_nocase(s, str_of(reserved[i]))) {
            return false;
        }
    }
    if (s.n == 0) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        bool is_other = (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
        if (!is_letter && c != '/' && (i == 0 || !is_other)) {
            return false;
        }
    }
    return true;
}

/* A JSON string with what YAML does not take as it is escaped: DEL, C1 controls (among them the line
 * break NEL), the line breaks U+2028 and U+2029, byte order marks and U+FFFE, U+FFFF. */
static void add_quoted(struct buf *out, const char *prefix, struct str s)
{
    struct buf json;
    buf_init(&json, QUOTED_SIZE_MAX);
    json_write_string(&json, s);
    buf_add_char(out, '"');
    buf_add_cstr(out, prefix);
    for (size_t i = 1; i < json.n; i++) {
        const unsigned char *p = (const unsigned char *)json.p + i;
        size_t left = json.n - i;
        unsigned code = 0;
        size_t n = 1;
        if (p[0] == 0x7f) {
            code = p[0];
        } else if (left > 1 && p[0] == 0xc2 && p[1] < 0xa0) {
            code = p[1];
            n = 2;
        } else if (left > 2 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9)) {
            code = 0x2000U | (p[2] & 0x3fU);
            n = 3;
        } else if (left > 2 && p[0] == 0xef &&
                   ((p[1] == 0xbb && p[2] == 0xbf) || (p[1] == 0xbf && p[2] >= 0xbe))) {
            code = p[1] == 0xbb ? 0xfeff : 0xffc0U + (p[2] & 0x3fU);
            n = 3;
        }
        if (code != 0) {
            buf_printf(out, "\\u%04x", code);
            i += n - 1;
        } else {
            buf_add_char(out, (char)p[0]);
        }
    }
    buf_done(&json);
}

static void add_text(struct buf *out, struct str s)
{
    if (is_plain(s)) {
        buf_add_str(out, s);
    } else {
        add_quoted(out, "", s);
    }
}

static void add_key(struct buf *out, unsigned indent, const char *key)
{
    buf_printf(out, "%*s%s: ", (int)indent, "", key);
}

static void line_text(struct buf *out, unsigned indent, const char *key, struct str s)
{
    if (s.n > 0) {
        add_key(out, indent, key);
        add_text(out, s);
        buf_add_char(out, '\n');
    }
}

static void line_tri(struct buf *out, unsigned indent, const char *key, enum estate_tri t)
{
    if (t != TRI_UNKNOWN) {
        add_key(out, indent, key);
        buf_add_cstr(out, t == TRI_YES ? "true\n" : "false\n");
    }
}

static void line_i64(struct buf *out, unsigned indent, const char *key, int64_t v)
{
    if (v >= 0) {
        add_key(out, indent, key);
        buf_printf(out, "%" PRId64 "\n", v);
    }
}

static void line_duration(struct buf *out, unsigned indent, const char *key, int64_t ms)
{
    if (ms >= 0) {
        add_key(out, indent, key);
        estate_write_duration(out, ms);
        buf_add_char(out, '\n');
    }
}

static void line_number(struct buf *out, unsigned indent, const char *key, double v)
{
    if (v >= 0) {
        add_key(out, indent, key);
        json_write_number(out, v);
        buf_add_char(out, '\n');
    }
}

static void add_list(struct buf *out, const struct str *items, size_t n, bool is_open)
{
    buf_add_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        buf_add_cstr(out, i > 0 ? ", " : "");
        add_text(out, items[i]);
    }
    if (is_open) {
        buf_add_cstr(out, n > 0 ? ", unknown" : "unknown");
    }
    buf_add_char(out, ']');
}

static void add_ref(struct buf *out, const struct estate_ref *ref)
{
    if (ref->is_outside) {
        add_quoted(out, "outside:", ref->id);
    } else {
        add_text(out, ref->id);
    }
}

static void add_refs(struct buf *out, const struct estate_ref *refs, size_t n, bool is_open)
{
    buf_add_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        buf_add_cstr(out, i > 0 ? ", " : "");
        add_ref(out, &refs[i]);
    }
    if (is_open) {
        buf_add_cstr(out, n > 0 ? ", unknown" : "unknown");
    }
    buf_add_char(out, ']');
}

static void add_value(struct buf *out, enum estate_value_type type, const struct estate_value *v)
{
    if (v->conf == EV_UNKNOWN) {
        buf_add_cstr(out, "unknown");
        return;
    }
    switch (type) {
    case VT_BOOL:
        buf_add_cstr(out, v->boolean ? "true" : "false");
        break;
    case VT_INT:
        buf_printf(out, "%" PRId64, v->integer);
        break;
    case VT_NUMBER:
    case VT_PERCENT:
        json_write_number(out, v->number);
        break;
    case VT_DURATION:
        estate_write_duration(out, v->integer);
        break;
    case VT_TIME:
        estate_write_time(out, v->integer);
        break;
    case VT_WORD:
        /* Words are the schema's own: `none` stands plain here. */
        buf_add_str(out, v->text);
        break;
    case VT_STRING:
        add_text(out, v->text);
        break;
    case VT_WORDS:
    case VT_STRINGS:
    case VT_REGIONS:
        add_list(out, v->items, v->count, v->is_open);
        break;
    case VT_REF:
        if (v->count == 0) {
            buf_add_cstr(out, "none");
        } else {
            add_ref(out, &v->refs[0]);
        }
        break;
    case VT_REFS:
        add_refs(out, v->refs, v->count, v->is_open);
        break;
    }
}

static void add_note(struct buf *out, struct str note)
{
    if (note.n == 0) {
        return;
    }
    buf_add_cstr(out, "  # ");
    for (size_t i = 0; i < note.n; i++) {
        char c = note.p[i];
        /* Anything that a reader might take for a line break or refuse in a comment. */
        buf_add_char(out, (unsigned char)c < 0x20 || (unsigned char)c >= 0x7f ? ' ' : c);
    }
}

/* ---- parts ---- */

static void write_region(const struct estate_region *r, struct buf *out)
{
    buf_add_cstr(out, "  - name: ");
    add_text(out, r->name);
    buf_add_char(out, '\n');
    if (r->has_pair == TRI_YES) {
        line_text(out, 4, "pair", r->pair);
    } else if (r->has_pair == TRI_NO) {
        buf_add_cstr(out, "    pair: none\n");
    }
    if (r->has_zones != TRI_UNKNOWN) {
        add_key(out, 4, "zones");
        add_list(out, r->zones, r->zone_count, false);
        buf_add_char(out, '\n');
    }
    line_tri(out, 4, "restricted", r->is_restricted);
    line_text(out, 4, "outage_domain", r->outage_domain);
    line_i64(out, 4, "core_quota", r->core_quota);
    if (r->offers_known) {
        add_key(out, 4, "not_offered");
        buf_add_char(out, '[');
        bool is_first = true;
        for (unsigned t = 0; t < TYPE_COUNT; t++) {
            if (r->not_offered >> t & 1) {
                buf_printf(out, "%s%s", is_first ? "" : ", ",
                           estate_type_row((enum estate_type)t)->name);
                is_first = false;
            }
        }
        buf_add_cstr(out, "]\n");
    }
}

static void write_objective(const struct estate_objective *o, unsigned indent, struct buf *out)
{
    line_duration(out, indent, "rto", o->rto_ms);
    line_duration(out, indent, "rpo", o->rpo_ms);
    line_number(out, indent, "availability", o->availability);
    line_number(out, indent, "write_availability", o->write_availability);
    if (o->topology != TOPOLOGY_UNSTATED) {
        line_text(out, indent, "topology", str_of(estate_topology_name(o->topology)));
    }
}

static bool is_bare(const struct estate_placement *p)
{
    return p->priority < 0 && p->throughput < 0 && p->is_zone_redundant == TRI_UNKNOWN;
}

static void write_placements(const struct estate_asset *a, struct buf *out)
{
    if (a->placement_count == 0) {
        buf_add_cstr(out, a->placements_open ? "    region: unknown\n" : "");
        return;
    }
    if (a->placement_count == 1 && !a->placements_open && is_bare(&a->placements[0])) {
        line_text(out, 4, "region", a->placements[0].region);
        return;
    }
    buf_add_cstr(out, "    regions:\n");
    for (size_t i = 0; i < a->placement_count; i++) {
        const struct estate_placement *p = &a->placements[i];
        buf_add_cstr(out, "      - ");
        if (is_bare(p)) {
            add_text(out, p->region);
            buf_add_char(out, '\n');
            continue;
        }
        buf_add_cstr(out, "name: ");
        add_text(out, p->region);
        buf_add_char(out, '\n');
        line_i64(out, 8, "priority", p->priority);
        line_tri(out, 8, "zone_redundant", p->is_zone_redundant);
        line_number(out, 8, "throughput", p->throughput);
    }
    if (a->placements_open) {
        buf_add_cstr(out, "      - unknown\n");
    }
}

static void write_steps(const struct estate_asset *a, struct buf *out)
{
    if (a->has_steps == TRI_UNKNOWN) {
        return;
    }
    buf_add_cstr(out, a->step_count == 0 ? "    steps: []\n" : "    steps:\n");
    for (size_t i = 0; i < a->step_count; i++) {
        const struct estate_step *s = &a->steps[i];
        buf_printf(out, "      - kind: %s\n", estate_step_name(s->kind));
        line_text(out, 8, "phase", str_of(estate_phase_name(s->phase)));
        line_text(out, 8, "text", s->text);
        line_text(out, 8, "who", s->who);
        line_tri(out, 8, "writes_secrets", s->writes_secrets);
    }
}

static void write_inferred(const struct estate_asset *a, struct buf *out)
{
    bool is_first = true;
    const struct {
        const char *name;
        enum estate_confidence conf;
    } fields[] = {{"peer", a->peer_conf}, {"zones", a->zones_conf}};
    for (size_t i = 0; i < ARRAY_COUNT(fields) + a->attr_count; i++) {
        size_t k = i - ARRAY_COUNT(fields);
        enum estate_confidence conf =
            i < ARRAY_COUNT(fields) ? fields[i].conf : a->attrs[k].value.conf;
        if (conf == EV_INFERRED) {
            buf_printf(out, "%s%s", is_first ? "    inferred: [" : ", ",
                       i < ARRAY_COUNT(fields) ? fields[i].name
                                               : estate_attr_row(a->attrs[k].attr)->name);
            is_first = false;
        }
    }
    buf_add_cstr(out, is_first ? "" : "]\n");
}

static void write_asset(const struct estate_asset *a, struct buf *out)
{
    buf_add_cstr(out, "  - id: ");
    add_text(out, a->id);
    buf_add_char(out, '\n');
    if (a->type != TYPE_ROUTE && a->type != TYPE_RUNBOOK) {
        line_text(out, 4, "type", str_of(estate_type_row(a->type)->name));
    }
    line_text(out, 4, "name", a->name);
    write_placements(a, out);
    if (a->zones_conf != EV_UNKNOWN) {
        add_key(out, 4, "zones");
        add_list(out, a->zones, a->zone_count, false);
        buf_add_char(out, '\n');
    }
    line_text(out, 4, "owner", a->owner);
    line_text(out, 4, "class", a->class_name);
    if (a->environment != ENVIRONMENT_UNSTATED) {
        line_text(out, 4, "environment", str_of(estate_environment_name(a->environment)));
    }
    line_tri(out, 4, "critical_path", a->critical_path);
    if (a->topology != TOPOLOGY_UNSTATED) {
        line_text(out, 4, "topology", str_of(estate_topology_name(a->topology)));
    }
    if (a->peer_conf != EV_UNKNOWN) {
        add_key(out, 4, "peer");
        if (a->peer.id.n == 0) {
            buf_add_cstr(out, "none");
        } else {
            add_ref(out, &a->peer);
        }
        buf_add_char(out, '\n');
    }
    if (a->depends_on_count > 0) {
        add_key(out, 4, "depends_on");
        add_refs(out, a->depends_on, a->depends_on_count, false);
        buf_add_char(out, '\n');
    }
    if (a->objective) {
        buf_add_cstr(out, "    objective:\n");
        write_objective(a->objective, 6, out);
    }
    write_steps(a, out);
    if (a->attr_count > 0) {
        buf_add_cstr(out, "    attrs:\n");
    }
    for (size_t i = 0; i < a->attr_count; i++) {
        const struct estate_attr_row *row = estate_attr_row(a->attrs[i].attr);
        add_key(out, 6, row->name);
        add_value(out, row->type, &a->attrs[i].value);
        add_note(out, a->attrs[i].value.note);
        buf_add_char(out, '\n');
    }
    write_inferred(a, out);
}

static bool is_in_list(const struct estate_asset *a, enum estate_type list)
{
    bool is_apart = a->type == TYPE_ROUTE || a->type == TYPE_RUNBOOK;
    return is_apart ? a->type == list : list == TYPE_COUNT;
}

/* TYPE_COUNT: the list `assets`. */
static void write_assets(const struct estate *e, const char *key, enum estate_type list,
                         bool even_empty, struct buf *out)
{
    size_t n = 0;
    for (size_t i = 0; i < e->asset_count; i++) {
        if (is_in_list(e->assets[i], list)) {
            if (n++ == 0) {
                buf_printf(out, "%s:\n", key);
            }
            write_asset(e->assets[i], out);
        }
    }
    if (n == 0 && even_empty) {
        buf_printf(out, "%s: []\n", key);
    }
}

static void write_policy(const struct estate *e, struct buf *out)
{
    struct estate *fresh = estate_new(STR_NONE);
    struct estate_policy policy = e->policy;
    bool is_first = true;
    for (size_t i = 0; i < estate_policy_row_count; i++) {
        int64_t v = *estate_policy_at(&policy, i);
        if (v == *estate_policy_at(&fresh->policy, i)) {
            continue;
        }
        buf_add_cstr(out, is_first ? "policy:\n" : "");
        is_first = false;
        const struct estate_policy_row *row = &estate_policy_rows[i];
        (row->is_days ? line_i64 : line_duration)(out, 2, row->name, v);
    }
    estate_free(fresh);
}

void estate_write_yaml(const struct estate *e, struct buf *out)
{
    buf_printf(out, "version: %d\n", ESTATE_VERSION);
    line_text(out, 0, "name", e->title);
    buf_add_cstr(out, e->region_count > 0 ? "regions:\n" : "");
    for (size_t i = 0; i < e->region_count; i++) {
        write_region(e->regions[i], out);
    }
    write_policy(e, out);
    buf_add_cstr(out, e->objective_count > 0 ? "objectives:\n" : "");
    for (size_t i = 0; i < e->objective_count; i++) {
        buf_add_cstr(out, "  - class: ");
        add_text(out, e->objectives[i].class_name);
        buf_add_char(out, '\n');
        write_objective(&e->objectives[i], 4, out);
    }
    write_assets(e, "assets", TYPE_COUNT, true, out);
    write_assets(e, "routes", TYPE_ROUTE, e->has_routes, out);
    write_assets(e, "runbooks", TYPE_RUNBOOK, e->has_runbooks, out);
    buf_add_cstr(out, e->waiver_count > 0 ? "waivers:\n" : "");
    for (size_t i = 0; i < e->waiver_count; i++) {
        const struct estate_waiver *w = &e->waivers[i];
        buf_add_cstr(out, "  - rule: ");
        add_text(out, w->rule);
        buf_add_char(out, '\n');
        line_text(out, 4, "asset", w->asset);
        line_text(out, 4, "reason", w->reason);
        line_text(out, 4, "owner", w->owner);
        add_key(out, 4, "expires");
        estate_write_time(out, w->expires_ms);
        buf_add_char(out, '\n');
    }
}
