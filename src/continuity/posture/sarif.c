/* The report as SARIF 2.1.0, for systems that show findings beside the file they are about.
 *
 * A finding is a result of kind "fail"; one that cannot be decided is of kind "open" (the standard's
 * word for too little information) and so has level "none"; one that is waived carries a suppression.
 * Fingerprints are made of rule and assets only: a finding stays the same when lines move. */
#include <inttypes.h>
#include <string.h>

#include "continuity/posture/compare.h"
#include "json/json.h"

enum { TIME_TEXT_MAX = 64 };

static const char *const levels[SEVERITY_COUNT] = {
    [SEVERITY_LOW] = "note",
    [SEVERITY_MEDIUM] = "warning",
    [SEVERITY_HIGH] = "error",
    [SEVERITY_CRITICAL] = "error",
};

static void put_text(struct json_out *o, const char *key, struct str text)
{
    json_out_key(o, key);
    json_out_object(o);
    json_out_member_str(o, "text", text);
    json_out_object_end(o);
}

static void put_time(struct json_out *o, const char *key, int64_t ms)
{
    struct buf t;
    buf_init(&t, TIME_TEXT_MAX);
    estate_write_time(&t, ms);
    json_out_key(o, key);
    json_out_str(o, buf_str(&t));
    buf_done(&t);
}

/* ---- rules ---- */

static void put_help(struct json_out *o, const struct rule_info *rule)
{
    struct buf text;
    buf_init(&text, 1 << 16);
    buf_printf(&text, "Expected: %s.\nWhy: %s.\nRemedy: %s.\nSource: %s.", rule->expected,
               rule->why, rule->remedy, rule->sources);
    put_text(o, "help", buf_str(&text));
    buf_done(&text);
}

static void put_rules(struct json_out *o)
{
    json_out_key(o, "rules");
    json_out_array(o);
    for (size_t i = 0; i < rule_count(); i++) {
        const struct rule_info *rule = rule_info(i);
        json_out_object(o);
        json_out_member_cstr(o, "id", rule->id);
        put_text(o, "shortDescription", str_of(rule->title));
        put_text(o, "fullDescription", str_of(rule->why));
        put_help(o, rule);
        json_out_key(o, "defaultConfiguration");
        json_out_object(o);
        json_out_member_cstr(o, "level", levels[rule->severity]);
        json_out_object_end(o);
        json_out_key(o, "properties");
        json_out_object(o);
        json_out_member_cstr(o, "severity", severity_name(rule->severity));
        json_out_member_cstr(o, "sources", rule->sources);
        json_out_object_end(o);
        json_out_object_end(o);
    }
    json_out_array_end(o);
}

static size_t rule_index(const struct rule_info *rule)
{
    size_t i = 0;
    while (rule_info(i) != rule) {
        i++;
    }
    return i;
}

/* ---- results ---- */

static bool is_uri_char(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("-._~/", c));
}

static void put_location(struct json_out *o, const struct report *r, const struct report_finding *f)
{
    struct buf uri;
    struct str source = r->estate->source;
    buf_init(&uri, 1 << 16);
    if (str_starts(source, STR("/"))) {
        buf_add_cstr(&uri, "file://");
    }
    for (size_t i = 0; i < source.n; i++) {
        unsigned char c = (unsigned char)source.p[i];
        if (is_uri_char(c)) {
            buf_add_char(&uri, (char)c);
        } else {
            buf_printf(&uri, "%%%02X", c);
        }
    }
    json_out_key(o, "locations");
    json_out_array(o);
    json_out_object(o);
    json_out_key(o, "physicalLocation");
    json_out_object(o);
    json_out_key(o, "artifactLocation");
    json_out_object(o);
    json_out_member_str(o, "uri", buf_str(&uri));
    json_out_object_end(o);
    if (f->line > 0) {
        json_out_key(o, "region");
        json_out_object(o);
        json_out_member_u64(o, "startLine", f->line);
        json_out_object_end(o);
    }
    json_out_object_end(o);
    json_out_key(o, "logicalLocations");
    json_out_array(o);
    json_out_object(o);
    json_out_member_str(o, "name", f->asset->id);
    json_out_member_cstr(o, "kind", "resource");
    json_out_object_end(o);
    json_out_array_end(o);
    json_out_object_end(o);
    json_out_array_end(o);
    buf_done(&uri);
}

static void put_message(struct json_out *o, const struct report_finding *f)
{
    struct buf text;
    buf_init(&text, 1 << 16);
    buf_add_str(&text, f->asset->id);
    if (f->other) {
        buf_printf(&text, " (with " STR_FMT ")", STR_ARG(f->other->id));
    }
    if (f->status == FINDING_UNKNOWN) {
        buf_printf(&text, ": cannot be decided whether %s; state " STR_FMT ".", f->rule->title,
                   STR_ARG(f->missing));
    } else {
        buf_printf(&text, ": " STR_FMT ". Remedy: %s.", STR_ARG(f->observed), f->rule->remedy);
    }
    put_text(o, "message", buf_str(&text));
    buf_done(&text);
}

static void put_fingerprint(struct json_out *o, const struct report_finding *f)
{
    char hex[17];
    uint64_t h = str_hash(str_of(f->rule->id), 0);
    h = str_hash(f->asset->id, h);
    h = f->other ? str_hash(f->other->id, h) : h;
    struct buf b;
    buf_init(&b, sizeof(hex));
    buf_add_hex_text(&b, h, 16);
    json_out_key(o, "partialFingerprints");
    json_out_object(o);
    json_out_member_str(o, "ruleAndAssets/v1", buf_str(&b));
    json_out_object_end(o);
    buf_done(&b);
}

static void put_suppression(struct json_out *o, const struct estate_waiver *w)
{
    json_out_key(o, "suppressions");
    json_out_array(o);
    json_out_object(o);
    json_out_member_cstr(o, "kind", "external");
    json_out_member_cstr(o, "status", "accepted");
    json_out_member_str(o, "justification", w->reason);
    json_out_key(o, "properties");
    json_out_object(o);
    json_out_member_str(o, "owner", w->owner);
    put_time(o, "expires", w->expires_ms);
    json_out_object_end(o);
    json_out_object_end(o);
    json_out_array_end(o);
}

static const char *confidence_word(enum estate_confidence c)
{
    return c == EV_KNOWN ? "known" : c == EV_INFERRED ? "inferred" : "unknown";
}

static void put_results(struct json_out *o, const struct report *r,
                        const struct report_finding *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct report_finding *f = &all[i];
        bool is_open = f->status == FINDING_UNKNOWN;
        json_out_object(o);
        json_out_member_cstr(o, "ruleId", f->rule->id);
        json_out_member_u64(o, "ruleIndex", rule_index(f->rule));
        json_out_member_cstr(o, "kind", is_open ? "open" : "fail");
        json_out_member_cstr(o, "level", is_open ? "none" : levels[f->rule->severity]);
        put_message(o, f);
        put_location(o, r, f);
        put_fingerprint(o, f);
        if (r->compare && all == r->findings) {
            json_out_member_cstr(o, "baselineState", r->compare->is_new[i] ? "new" : "unchanged");
        }
        if (f->waiver) {
            put_suppression(o, f->waiver);
        }
        json_out_key(o, "properties");
        json_out_object(o);
        json_out_member_cstr(o, "severity", severity_name(f->rule->severity));
        json_out_member_cstr(o, "confidence", confidence_word(f->confidence));
        json_out_member_str(o, "owner", f->asset->owner);
        json_out_object_end(o);
        json_out_object_end(o);
    }
}

void report_write_sarif(const struct report *r, struct buf *out)
{
    struct json_out o;
    json_out_init(&o, out);
    json_out_object(&o);
    json_out_member_cstr(&o, "$schema",
                         "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/"
                         "sarif-schema-2.1.0.json");
    json_out_member_cstr(&o, "version", "2.1.0");
    json_out_key(&o, "runs");
    json_out_array(&o);
    json_out_object(&o);
    json_out_key(&o, "tool");
    json_out_object(&o);
    json_out_key(&o, "driver");
    json_out_object(&o);
    json_out_member_cstr(&o, "name", "holdfast assess");
    json_out_member_cstr(&o, "version", HF_VERSION);
    put_rules(&o);
    json_out_object_end(&o);
    json_out_object_end(&o);
    json_out_key(&o, "invocations");
    json_out_array(&o);
    json_out_object(&o);
    json_out_member_bool(&o, "executionSuccessful", true);
    put_time(&o, "endTimeUtc", r->at_ms);
    json_out_object_end(&o);
    json_out_array_end(&o);
    json_out_key(&o, "results");
    json_out_array(&o);
    put_results(&o, r, r->findings, r->finding_count);
    put_results(&o, r, r->unknowns, r->unknown_count);
    put_results(&o, r, r->waived, r->waived_count);
    json_out_array_end(&o);
    json_out_object_end(&o);
    json_out_array_end(&o);
    json_out_object_end(&o);
    buf_add_char(out, '\n');
}
