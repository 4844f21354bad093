/* Built-in functions by name, from the tables of the fn_*.c files. */
#include "base/contract.h"
#include "cosmos/query/query_int.h"

const struct query_fn *query_fn_find(struct str name)
{
    static const struct query_fn *const tables[] = {
        query_fns_type, query_fns_math,  query_fns_string,
        query_fns_text, query_fns_array, query_fns_date,
    };
    for (size_t i = 0; i < ARRAY_COUNT(tables); i++) {
        for (const struct query_fn *f = tables[i]; f->name != NULL; f++) {
            if (str_eq_nocase(str_of(f->name), name)) {
                return f;
            }
        }
    }
    return NULL;
}

bool query_fn_is_planned(struct str name)
{
    static const char *const names[] = {
        "ST_AREA",
        "ST_DISTANCE",
        "ST_INTERSECTS",
        "ST_ISVALID",
        "ST_ISVALIDDETAILED",
        "ST_WITHIN",
        "VECTORDISTANCE",
        "FULLTEXTCONTAINS",
        "FULLTEXTCONTAINSALL",
        "FULLTEXTCONTAINSANY",
        "FULLTEXTSCORE",
        "RRF",
        "HASH",
        "LASTSUBSTRINGBEFORE",
        "LASTSUBSTRINGAFTER",
        "SUBSTRINGBEFORE",
        "SUBSTRINGAFTER",
        "DATETIMEFORMAT",
        "_FULLTEXTWORDCOUNT",
        "_FULLTEXT_WORDCOUNT",
        "_FULLTEXTSCORE",
        "_VECTORSCORE",
    };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (str_eq_nocase(str_of(names[i]), name)) {
            return true;
        }
    }
    return false;
}

static const char *const agg_names[AGG_KIND_COUNT] = {
    [AGG_COUNT] = "COUNT",       [AGG_SUM] = "SUM",         [AGG_AVG] = "AVG",
    [AGG_MIN] = "MIN",           [AGG_MAX] = "MAX",         [AGG_COUNTIF] = "COUNTIF",
    [AGG_MAKELIST] = "MAKELIST", [AGG_MAKESET] = "MAKESET",
};

bool query_agg_find(struct str name, enum query_agg_kind *ret)
{
    for (int i = 0; i < AGG_KIND_COUNT; i++) {
        if (str_eq_nocase(str_of(agg_names[i]), name)) {
            *ret = (enum query_agg_kind)i;
            return true;
        }
    }
    return false;
}

const char *query_agg_name(enum query_agg_kind k)
{
    ASSERT(k < AGG_KIND_COUNT);
    return agg_names[k];
}
