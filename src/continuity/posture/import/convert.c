/* Values of files as values of attributes. What does not fit the attribute's type becomes unknown; the
 * value itself is never shown. */
#include "continuity/posture/import/import_int.h"

#include "base/contract.h"
#include "continuity/posture/import/apply_int.h"

static void misfit(struct import *im, struct estate_asset *a, const struct import_field *f,
                   unsigned line)
{
    estate_set_unknown(im->e, a, (enum estate_attr)f->attr,
                       STR("the file has a value of another kind"), line);
}

bool import_to_int(const struct json *v, int64_t *ret)
{
    int64_t i = 0;
    if (v->type == JSON_STRING ? str_to_i64(v->text, &i)
                               : v->type == JSON_NUMBER && json_is_integer(v, &i)) {
        *ret = i;
        return i >= 0 && i <= INT32_MAX; /* what an estate file takes */
    }
    return false;
}

/* Text of a JSON string or of a default; false for others. */
static bool to_bool(const struct json *v, bool *ret)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"true", true}, {"enabled", true}, {"false", false}, {"disabled", false}};
    if (v->type == JSON_BOOL) {
        *ret = v->boolean;
        return true;
    }
    for (size_t i = 0; i < ARRAY_COUNT(words) && v->type == JSON_STRING; i++) {
        if (str_eq_nocase(v->text, str_of(words[i].word))) {
            *ret = words[i].value;
            return true;
        }
    }
    return false;
}

/* Milliseconds of one unit of a conversion; 0 = it is no duration. */
static int64_t unit_ms(enum import_conv conv)
{
    static const int64_t units[] = {
        [CONV_SECONDS] = 1000,           [CONV_BOUNDED_SECONDS] = 1000,
        [CONV_PERIODIC_MINUTES] = 60000, [CONV_PERIODIC_HOURS] = 3600000,
        [CONV_DAYS] = 86400000,
    };
    return (size_t)conv < ARRAY_COUNT(units) ? units[conv] : 0;
}

/* Host names, ids of principals, names of roles: nothing that could be a key or a signed address. */
static bool is_name(struct str s)
{
    if (s.n == 0 || s.n > 253) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_' && c != ' ' &&
            c != '(' && c != ')' && c != '*') {
            return false;
        }
    }
    return true;
}

static bool ends_geo(struct str s)
{
    return str_eq_nocase(s, STR("Geo")) || str_eq_nocase(s, STR("GeoZone")) ||
           str_eq_nocase(s, STR("GRS"));
}

static bool is_local(struct str s)
{
    return str_eq_nocase(s, STR("Local")) || str_eq_nocase(s, STR("Zone")) ||
           str_eq_nocase(s, STR("LRS")) || str_eq_nocase(s, STR("ZRS"));
}

static bool convert_text(struct import *im, struct estate_asset *a, const struct import_field *f,
                         struct str text, enum estate_confidence conf, unsigned line)
{
    enum estate_attr attr = (enum estate_attr)f->attr;
    int64_t ms = 0;
    switch ((int)f->conv) {
    case CONV_WORD:
    case CONV_PERIODIC_WORD:
        (void)estate_set_word(im->e, a, attr, import_word(text), conf, line);
        return true;
    case CONV_STRING:
        if (!is_name(text)) {
            return false;
        }
        estate_set_string(im->e, a, attr, text, conf, line);
        return true;
    case CONV_ROLE_ID:
        while (str_find_char(text, '/') >= 0) {
            text = str_slice(text, (size_t)str_find_char(text, '/') + 1, text.n);
        }
        if (!is_name(text)) {
            return false;
        }
        estate_set_string(im->e, a, attr, text, conf, line);
        return true;
    case CONV_TIME:
        if (!estate_parse_time(text, &ms)) {
            return false;
        }
        estate_set_int(im->e, a, attr, ms, conf, line);
        return true;
    case CONV_CONTINUOUS_TIER:
        if (!estate_parse_duration(import_word(text), &ms)) {
            return false;
        }
        estate_set_int(im->e, a, attr, ms, conf, line);
        return true;
    case CONV_GEO_STORAGE:
        if (!ends_geo(text) && !is_local(text)) {
            return false;
        }
        estate_set_bool(im->e, a, attr, ends_geo(text), conf, line);
        return true;
    default:
        return false;
    }
}

static bool has_serverless(const struct json *list)
{
    for (size_t i = 0; list->type == JSON_ARRAY && i < list->count; i++) {
        struct str name;
        if (json_get_str(list->items[i], STR("name"), &name) &&
            str_eq_nocase(name, STR("EnableServerless"))) {
            return true;
        }
    }
    return false;
}

static bool convert(struct import *im, struct estate_asset *a, const struct import_field *f,
                    const struct json *v, enum estate_confidence conf, unsigned line)
{
    enum estate_attr attr = (enum estate_attr)f->attr;
    int64_t i = 0;
    bool b = false;
    switch ((int)f->conv) {
    case CONV_BOOL:
        if (!to_bool(v, &b)) {
            return false;
        }
        break;
    case CONV_ATTACHED:
        return to_bool(v, &b) &&
               estate_set_word(im->e, a, attr, b ? STR("customer") : STR("aml"), conf, line);
    case CONV_PRESENT:
        b = v->type == JSON_BOOL     ? v->boolean
            : v->type == JSON_NUMBER ? v->number > 0
                                     : v->count > 0;
        break;
    case CONV_PROBED:
        return estate_set_word(im->e, a, attr, v->count > 0 ? STR("endpoint") : STR("none"), conf,
                               line);
    case CONV_SERVERLESS:
        b = has_serverless(v);
        break;
    case CONV_INT:
    case CONV_BOUNDED_INT:
        if (!import_to_int(v, &i)) {
            return false;
        }
        estate_set_int(im->e, a, attr, i, conf, line);
        return true;
    case CONV_SECONDS:
    case CONV_BOUNDED_SECONDS:
    case CONV_PERIODIC_MINUTES:
    case CONV_PERIODIC_HOURS:
    case CONV_DAYS:
        if (!import_to_int(v, &i)) {
            return false;
        }
        estate_set_int(im->e, a, attr, i * unit_ms(f->conv), conf, line);
        return true;
    default:
        return v->type == JSON_STRING && convert_text(im, a, f, v->text, conf, line);
    }
    estate_set_bool(im->e, a, attr, b, conf, line);
    return true;
}

void import_convert(struct import *im, struct estate_asset *a, const struct import_field *f,
                    const struct json *v, enum estate_confidence conf, unsigned line)
{
    if (!convert(im, a, f, v, conf, line) && !estate_is_set(a, (enum estate_attr)f->attr)) {
        misfit(im, a, f, line);
    }
}

void import_convert_default(struct import *im, struct estate_asset *a, const struct import_field *f,
                            unsigned line)
{
    struct import_field plain = *f;
    const struct json *v = json_string(&im->arena, str_of(f->def));
    enum estate_value_type type = estate_attr_row((enum estate_attr)f->attr)->type;
    if (type == VT_BOOL) {
        plain.conv = CONV_BOOL;
    } else if (type == VT_WORD) {
        plain.conv = CONV_WORD;
    }
    import_convert(im, a, &plain, v, EV_INFERRED, line);
    estate_set_note(im->e, a, (enum estate_attr)f->attr, STR("default of the provider"));
}
