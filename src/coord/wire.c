/* The coordinator's JSON (see wire.h). Decoding is strict about what changes something (requests) and
 * ignores members it does not know in answers, which a newer coordinator may add. */
#include "coord/wire.h"

#include <string.h>

#include "base/codec.h"
#include "base/contract.h"
#include "json/json.h"

enum { KVS_MAX = 16384 /* more than keys and remembered deletions of a full store */ };

/* Would the text form be no longer than the base64 form? Escapes make six bytes of one: a store full of
 * control characters must not make an answer several times its size. */
static bool is_text(struct str value)
{
    size_t escape_count = 0;
    for (size_t i = 0; i < value.n; i++) {
        uint8_t c = (uint8_t)value.p[i];
        escape_count += c < 0x20 || c == '"' || c == '\\' || c == 0x7f;
    }
    return escape_count <= value.n / 8 && codec_utf8_valid(value);
}

static void value_out(struct json_out *o, struct str value)
{
    if (is_text(value)) {
        json_out_member_str(o, "value", value);
        return;
    }
    struct buf text;
    buf_init(&text, value.n * 2 + 8);
    codec_base64(&text, value);
    json_out_member_str(o, "value64", buf_str(&text));
    buf_done(&text);
}

void coord_wire_txn_encode(const struct coord_txn *t, struct buf *out)
{
    struct json_out o;
    json_out_init(&o, out);
    json_out_object(&o);
    json_out_key(&o, "compare");
    json_out_array(&o);
    for (size_t i = 0; i < t->compare_count; i++) {
        json_out_object(&o);
        json_out_member_str(&o, "key", t->compares[i].key);
        json_out_member_u64(&o, "rev", t->compares[i].rev);
        json_out_object_end(&o);
    }
    json_out_array_end(&o);
    json_out_key(&o, "put");
    json_out_array(&o);
    for (size_t i = 0; i < t->put_count; i++) {
        const struct coord_put *p = &t->puts[i];
        json_out_object(&o);
        json_out_member_str(&o, "key", p->key);
        if (p->is_delete) {
            json_out_member_bool(&o, "delete", true);
        } else {
            value_out(&o, p->value);
        }
        if (p->is_volatile) {
            json_out_member_bool(&o, "volatile", true);
        }
        json_out_object_end(&o);
    }
    json_out_array_end(&o);
    json_out_object_end(&o);
}

/* --- reading --------------------------------------------------------------------------------------- */

static enum err parse(struct arena *a, struct str text, size_t size_max, const struct json **ret,
                      struct errinfo *ei)
{
    struct json_limits limits = {.text_size_max = size_max, .depth_max = 8};
    TRY(json_parse(a, text, &limits, ret, ei));
    if ((*ret)->type != JSON_OBJECT) {
        return err_set(ei, ERR_INVALID, "want a JSON object");
    }
    return OK;
}

static enum err read_value(struct arena *a, const struct json *v, struct str *ret,
                           struct errinfo *ei)
{
    struct str text = STR_NONE;
    if (json_get_str(v, STR("value"), &text)) {
        *ret = text;
        return OK;
    }
    if (!json_get_str(v, STR("value64"), &text)) {
        return err_set(ei, ERR_INVALID, "want value or value64");
    }
    struct buf bytes;
    buf_init(&bytes, text.n + 4);
    bool ok = codec_unbase64(&bytes, text);
    *ret = arena_str(a, buf_str(&bytes));
    buf_done(&bytes);
    return ok ? OK : err_set(ei, ERR_INVALID, "value64 is no base64");
}

static enum err read_key(const struct json *v, struct str *ret, struct errinfo *ei)
{
    if (!json_get_str(v, STR("key"), ret) || ret->n == 0 || ret->n > COORD_KEY_SIZE_MAX) {
        return err_set(ei, ERR_INVALID, "want a key of 1 to %d bytes", COORD_KEY_SIZE_MAX);
    }
    return OK;
}

/* Every member must be known: a misspelt "delete" must not become a put. */
static bool has_only(const struct json *v, const char *const *names, size_t n)
{
    if (v->type != JSON_OBJECT) {
        return false;
    }
    for (size_t i = 0; i < v->count; i++) {
        bool is_known = false;
        for (size_t j = 0; j < n; j++) {
            is_known = is_known || str_eq(v->members[i].key, str_of(names[j]));
        }
        if (!is_known) {
            return false;
        }
    }
    return true;
}

static enum err read_compare(const struct json *v, struct coord_compare *ret, struct errinfo *ei)
{
    static const char *const names[] = {"key", "rev"};
    if (!has_only(v, names, ARRAY_COUNT(names)) || !json_get_u64(v, STR("rev"), &ret->rev)) {
        return err_set(ei, ERR_INVALID, "want a comparison {key, rev}");
    }
    return read_key(v, &ret->key, ei);
}

static enum err read_put(struct arena *a, const struct json *v, struct coord_put *ret,
                         struct errinfo *ei)
{
    static const char *const names[] = {"key", "value", "value64", "volatile", "delete"};
    if (!has_only(v, names, ARRAY_COUNT(names))) {
        return err_set(ei, ERR_INVALID, "want a put {key, value or value64 or delete, volatile}");
    }
    bool has_value = json_get(v, STR("value")) != NULL || json_get(v, STR("value64")) != NULL;
    (void)json_get_bool(v, STR("volatile"), &ret->is_volatile); /* absent: false */
    (void)json_get_bool(v, STR("delete"), &ret->is_delete);
    if (ret->is_delete == has_value) {
        return err_set(ei, ERR_INVALID, "want either a value or a deletion");
    }
    if (has_value) {
        TRY(read_value(a, v, &ret->value, ei));
    }
    if (ret->value.n > COORD_VALUE_SIZE_MAX) {
        return err_set(ei, ERR_LIMIT, "value of %zu bytes, at most %d", ret->value.n,
                       COORD_VALUE_SIZE_MAX);
    }
    return read_key(v, &ret->key, ei);
}

/* Absent is empty. */
static enum err read_list(const struct json *v, const char *name, size_t count_max,
                          const struct json **ret, struct errinfo *ei)
{
    const struct json *list = json_get(v, str_of(name));
    *ret = list;
    if (list == NULL) {
        return OK;
    }
    if (list->type != JSON_ARRAY) {
        return err_set(ei, ERR_INVALID, "%s is no array", name);
    }
    if (list->count > count_max) {
        return err_set(ei, ERR_LIMIT, "%zu in %s, at most %zu", list->count, name, count_max);
    }
    return OK;
}

enum err coord_wire_txn_decode(struct arena *a, struct str text, struct coord_txn *ret,
                               struct errinfo *ei)
{
    static const char *const names[] = {"compare", "put"};
    const struct json *v = NULL;
    const struct json *compares = NULL;
    const struct json *puts = NULL;
    TRY(parse(a, text, COORD_REQUEST_SIZE_MAX, &v, ei));
    if (!has_only(v, names, ARRAY_COUNT(names))) {
        return err_set(ei, ERR_INVALID, "want {compare, put} and nothing else");
    }
    TRY(read_list(v, "compare", COORD_TXN_OPS_MAX, &compares, ei));
    TRY(read_list(v, "put", COORD_TXN_OPS_MAX, &puts, ei));
    struct coord_txn *t = ARENA_NEW(a, struct coord_txn);
    t->compare_count = compares == NULL ? 0 : compares->count;
    t->put_count = puts == NULL ? 0 : puts->count;
    for (size_t i = 0; i < t->compare_count; i++) {
        TRY(read_compare(compares->items[i], &t->compares[i], ei));
    }
    for (size_t i = 0; i < t->put_count; i++) {
        TRY(read_put(a, puts->items[i], &t->puts[i], ei));
    }
    *ret = *t;
    return OK;
}

/* --- answers ------------------------------------------------------------------------------------------ */

static void kvs_out(struct json_out *o, const struct coord_kv *kvs, size_t n)
{
    json_out_key(o, "kvs");
    json_out_array(o);
    for (size_t i = 0; i < n; i++) {
        json_out_object(o);
        json_out_member_str(o, "key", kvs[i].key);
        if (kvs[i].is_deleted) {
            json_out_member_bool(o, "deleted", true);
        } else {
            value_out(o, kvs[i].value);
        }
        json_out_member_u64(o, "rev", kvs[i].rev);
        json_out_object_end(o);
    }
    json_out_array_end(o);
}

static enum err read_kvs(struct arena *a, const struct json *v, const struct coord_kv **ret,
                         size_t *ret_n, struct errinfo *ei)
{
    const struct json *list = NULL;
    TRY(read_list(v, "kvs", KVS_MAX, &list, ei));
    size_t n = list == NULL ? 0 : list->count;
    struct coord_kv *kvs = ARENA_NEW_ARRAY(a, struct coord_kv, n + 1);
    for (size_t i = 0; i < n; i++) {
        const struct json *item = list->items[i];
        TRY(read_key(item, &kvs[i].key, ei));
        (void)json_get_bool(item, STR("deleted"), &kvs[i].is_deleted); /* absent: false */
        if (!kvs[i].is_deleted) {
            TRY(read_value(a, item, &kvs[i].value, ei));
        }
        if (!json_get_u64(item, STR("rev"), &kvs[i].rev) || kvs[i].rev == 0) {
            return err_set(ei, ERR_INVALID, "want a revision for every key");
        }
    }
    *ret = kvs;
    *ret_n = n;
    return OK;
}

void coord_wire_result_encode(const struct coord_txn_result *r, struct buf *out)
{
    ASSERT(r->err == OK);
    struct json_out o;
    json_out_init(&o, out);
    json_out_object(&o);
    json_out_member_bool(&o, "succeeded", r->succeeded);
    json_out_member_u64(&o, "rev", r->rev);
    kvs_out(&o, r->kvs, r->kv_count);
    json_out_object_end(&o);
}

enum err coord_wire_result_decode(struct arena *a, struct str text, struct coord_txn_result *ret,
                                  struct errinfo *ei)
{
    const struct json *v = NULL;
    struct coord_txn_result r = {.err = OK};
    TRY(parse(a, text, COORD_STATE_SIZE_MAX, &v, ei));
    if (!json_get_bool(v, STR("succeeded"), &r.succeeded) || !json_get_u64(v, STR("rev"), &r.rev)) {
        return err_set(ei, ERR_INVALID, "want succeeded and rev");
    }
    TRY(read_kvs(a, v, &r.kvs, &r.kv_count, ei));
    *ret = r;
    return OK;
}

void coord_wire_state_encode(const struct coord_state *s, struct buf *out)
{
    struct json_out o;
    json_out_init(&o, out);
    json_out_object(&o);
    json_out_member_u64(&o, "rev", s->rev);
    json_out_member_bool(&o, "reset", s->is_reset);
    kvs_out(&o, s->kvs, s->kv_count);
    json_out_object_end(&o);
}

enum err coord_wire_state_decode(struct arena *a, struct str text, struct coord_state *ret,
                                 struct errinfo *ei)
{
    const struct json *v = NULL;
    struct coord_state s = {0};
    TRY(parse(a, text, COORD_STATE_SIZE_MAX, &v, ei));
    if (!json_get_bool(v, STR("reset"), &s.is_reset) || !json_get_u64(v, STR("rev"), &s.rev)) {
        return err_set(ei, ERR_INVALID, "want reset and rev");
    }
    TRY(read_kvs(a, v, &s.kvs, &s.kv_count, ei));
    *ret = s;
    return OK;
}

/* Errors a coordinator may answer with. Only these names are believed. */
static const enum err known_errors[] = {
    ERR_INVALID, ERR_SYNTAX,      ERR_LIMIT,     ERR_UNAUTHORIZED,    ERR_NOT_FOUND,
    ERR_BUSY,    ERR_UNAVAILABLE, ERR_DISK_FULL, ERR_UNKNOWN_OUTCOME,
};

void coord_wire_error_encode(enum err code, const char *message, struct buf *out)
{
    struct json_out o;
    json_out_init(&o, out);
    json_out_object(&o);
    json_out_member_cstr(&o, "code", err_name(code));
    json_out_member_cstr(&o, "message", message);
    json_out_object_end(&o);
}

enum err coord_wire_error_decode(int status, struct str text)
{
    enum err ret = status == 401 ? ERR_UNAUTHORIZED : ERR_UNKNOWN_OUTCOME;
    struct arena a;
    arena_init(&a);
    const struct json *v = NULL;
    struct str code = STR_NONE;
    if (parse(&a, text, 64 << 10, &v, NULL) == OK && json_get_str(v, STR("code"), &code)) {
        for (size_t i = 0; i < ARRAY_COUNT(known_errors); i++) {
            if (str_eq(code, str_of(err_name(known_errors[i])))) {
                ret = known_errors[i];
            }
        }
    }
    arena_done(&a);
    return ret;
}

/* --- query ---------------------------------------------------------------------------------------------- */

static enum err read_parameter(struct arena *a, struct str name, struct str value,
                               struct coord_watch_query *q, struct errinfo *ei)
{
    uint64_t number = 0;
    if (str_eq(name, STR("prefix"))) {
        struct buf b;
        buf_init(&b, COORD_KEY_SIZE_MAX);
        bool ok = codec_percent_decode(&b, value) && buf_ok(&b);
        q->prefix = arena_str(a, buf_str(&b));
        buf_done(&b);
        return ok ? OK : err_set(ei, ERR_INVALID, "prefix is malformed or too long");
    }
    if (str_eq(name, STR("after"))) {
        return str_to_u64(value, &q->after) ? OK : err_set(ei, ERR_INVALID, "after is no revision");
    }
    if (str_eq(name, STR("wait_ms"))) {
        if (!str_to_u64(value, &number)) {
            return err_set(ei, ERR_INVALID, "wait_ms is no number");
        }
        q->wait_ms = number < COORD_WATCH_MS_MAX ? (unsigned)number : COORD_WATCH_MS_MAX;
    }
    return OK;
}

enum err coord_wire_query_decode(struct arena *a, struct str query, struct coord_watch_query *ret,
                                 struct errinfo *ei)
{
    struct coord_watch_query q = {.prefix = STR(""), .wait_ms = COORD_WATCH_MS_MAX};
    while (query.n > 0) {
        struct str item = STR_NONE;
        struct str rest = STR_NONE;
        struct str name = STR_NONE;
        struct str value = STR_NONE;
        (void)str_split(query, '&', &item, &rest); /* the last one has no '&' behind it */
        (void)str_split(item, '=', &name, &value); /* a name alone has an empty value */
        TRY(read_parameter(a, name, value, &q, ei));
        query = rest;
    }
    *ret = q;
    return OK;
}
