/* The coordinator's value of a hosted account. See hosted.h. */
#include "manage/hosted.h"

#include <inttypes.h>
#include <string.h>

#include "base/arena.h"
#include "base/contract.h"
#include "json/json.h"

enum { VALUE_SIZE_MAX = 64 << 10, PORT_MAX = 65535 };

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!is_name_char(s.p[i])) {
            return false;
        }
    }
    return s.n > 0 && s.p[0] != '-';
}

enum err hosted_check_account(struct str name, struct errinfo *ei)
{
    if (name.n < HOSTED_ACCOUNT_MIN || name.n > HOSTED_ACCOUNT_MAX || !is_name(name)) {
        return err_set(ei, ERR_INVALID,
                       "'" STR_FMT
                       "' is no name of an account: %d to %d lower-case letters, digits "
                       "and hyphens, the first one no hyphen",
                       STR_ARG(str_slice(name, 0, 64)), HOSTED_ACCOUNT_MIN, HOSTED_ACCOUNT_MAX);
    }
    if (str_eq(name, STR("localhost"))) {
        return err_set(ei, ERR_INVALID,
                       "an account cannot be called localhost: clients would ignore its regions");
    }
    return OK;
}

enum err hosted_region_name(struct str given, char ret[RECORD_NAME_MAX], struct errinfo *ei)
{
    char name[RECORD_NAME_MAX] = "";
    size_t n = 0;
    bool is_fine = true;
    for (size_t i = 0; i < given.n && is_fine; i++) {
        char c = given.p[i];
        c = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        if (c == ' ') {
            continue;
        }
        is_fine = n + 1 < RECORD_NAME_MAX && is_name_char(c);
        if (is_fine) {
            name[n++] = c;
        }
    }
    if (!is_fine || !is_name(str_make(name, n))) {
        return err_set(ei, ERR_INVALID,
                       "'" STR_FMT "' is no name of a region: 1 to %d letters, digits, blanks and "
                       "hyphens, the first one no hyphen",
                       STR_ARG(str_slice(given, 0, 64)), RECORD_NAME_MAX - 1);
    }
    memcpy(ret, name, sizeof(name));
    return OK;
}

void hosted_encode(const struct hosted *h, struct buf *out)
{
    struct json_out o;
    json_out_init(&o, out);
    json_out_object(&o);
    json_out_member_u64(&o, "format", HOSTED_FORMAT);
    json_out_member_cstr(&o, "account", h->account);
    json_out_key(&o, "regions");
    json_out_array(&o);
    for (size_t i = 0; i < h->region_count; i++) {
        json_out_cstr(&o, h->regions[i]);
    }
    json_out_array_end(&o);
    json_out_member_cstr(&o, "level", consistency_name(h->level));
    json_out_member_u64(&o, "maxStalenessOperations", h->max_staleness_ops);
    json_out_member_u64(&o, "maxStalenessSeconds", h->max_staleness_s);
    json_out_member_bool(&o, "automaticFailover", h->auto_failover);
    json_out_member_bool(&o, "deleting", h->is_deleting);
    json_out_member_u64(&o, "port", h->port);
    json_out_member_i64(&o, "createdMs", h->created_wall_ms);
    json_out_object_end(&o);
}

static bool read_regions(const struct json *v, struct hosted *h)
{
    if (v == NULL || v->type != JSON_ARRAY || v->count == 0 || v->count > HOSTED_REGIONS_MAX) {
        return false;
    }
    for (size_t i = 0; i < v->count; i++) {
        const struct json *name = v->items[i];
        if (name->type != JSON_STRING || name->text.n >= RECORD_NAME_MAX || !is_name(name->text)) {
            return false;
        }
        memcpy(h->regions[i], name->text.p, name->text.n);
        for (size_t k = 0; k < i; k++) {
            if (strcmp(h->regions[k], h->regions[i]) == 0) {
                return false;
            }
        }
    }
    h->region_count = v->count;
    return true;
}

static const char *read_value(const struct json *doc, struct hosted *h)
{
    struct str s = STR_NONE;
    uint64_t n = 0;
    if (!json_get_str(doc, STR("account"), &s) || hosted_check_account(s, NULL) != OK) {
        return "account";
    }
    memcpy(h->account, s.p, s.n);
    if (!read_regions(json_get(doc, STR("regions")), h)) {
        return "regions";
    }
    if (!json_get_str(doc, STR("level"), &s) || !consistency_parse(s, &h->level)) {
        return "level";
    }
    if (!json_get_u64(doc, STR("maxStalenessOperations"), &h->max_staleness_ops) ||
        !json_get_u64(doc, STR("maxStalenessSeconds"), &h->max_staleness_s)) {
        return "staleness";
    }
    if (!json_get_bool(doc, STR("automaticFailover"), &h->auto_failover) ||
        !json_get_bool(doc, STR("deleting"), &h->is_deleting)) {
        return "flags";
    }
    if (!json_get_u64(doc, STR("port"), &n) || n > PORT_MAX) {
        return "port";
    }
    h->port = (unsigned)n;
    if (!json_get_u64(doc, STR("createdMs"), &n) || n > INT64_MAX) {
        return "createdMs";
    }
    h->created_wall_ms = (int64_t)n;
    return NULL;
}

enum err hosted_decode(struct str text, struct hosted *ret, struct errinfo *ei)
{
    struct arena a;
    struct hosted h = {0};
    const struct json_limits limits = {.text_size_max = VALUE_SIZE_MAX};
    const struct json *doc = NULL;
    uint64_t format = 0;
    arena_init(&a);
    enum err err = json_parse(&a, text, &limits, &doc, ei);
    if (err != OK || !json_get_u64(doc, STR("format"), &format) || format == 0) {
        err = err_set(ei, ERR_CORRUPT, "a hosted account's value is damaged");
    } else if (format > HOSTED_FORMAT) {
        err = err_set(ei, ERR_FORMAT_NEWER,
                      "a hosted account has format %" PRIu64 ", this program knows up to %d",
                      format, HOSTED_FORMAT);
    } else {
        const char *bad = read_value(doc, &h);
        if (bad != NULL) {
            err = err_set(ei, ERR_CORRUPT, "a hosted account's value is damaged: %s", bad);
        }
    }
    arena_done(&a);
    if (err == OK) {
        *ret = h;
    }
    return err;
}
