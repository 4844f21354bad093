/* The tables of asset types and attributes, and the words of the model's enumerations. */
#include "continuity/posture/estate.h"

#include "base/contract.h"

static const struct estate_attr_row attr_rows[] = {
#define ATTR(id, name, type, words, doc) [ATTR_##id] = {name, type, words, doc},
#include "continuity/posture/attrs.def"
#undef ATTR
};
STATIC_ASSERT(ARRAY_COUNT(attr_rows) == ATTR_COUNT, "a row for each attribute");

static const struct estate_type_row type_rows[] = {
#define TYPE(id, name, title, runs, ha, geo, flags, config, limits, sources, successor)            \
    [TYPE_##id] = {name, title, runs, ha, geo, flags, config, limits, sources, successor},
#define HAS(type, attr)
#include "continuity/posture/asset_types.def"
#undef TYPE
#undef HAS
};
STATIC_ASSERT(ARRAY_COUNT(type_rows) == TYPE_COUNT, "a row for each type");
/* Sets of types are kept as bits. */
STATIC_ASSERT(TYPE_COUNT <= 64, "a bit for each type");

static const struct {
    unsigned char type;
    unsigned char attr;
} type_attrs[] = {
#define TYPE(id, name, title, runs, ha, geo, flags, config, limits, sources, successor)
#define HAS(type, attr) {TYPE_##type, ATTR_##attr},
#include "continuity/posture/asset_types.def"
#undef TYPE
#undef HAS
};
STATIC_ASSERT(ATTR_COUNT < 256, "fits a byte");

const struct estate_type_row *estate_type_row(enum estate_type type)
{
    ASSERT(type < TYPE_COUNT);
    return &type_rows[type];
}

const struct estate_attr_row *estate_attr_row(enum estate_attr attr)
{
    ASSERT(attr < ATTR_COUNT);
    return &attr_rows[attr];
}

bool estate_type_find(struct str name, enum estate_type *ret)
{
    for (unsigned i = 0; i < TYPE_COUNT; i++) {
        if (str_eq(str_of(type_rows[i].name), name)) {
            *ret = (enum estate_type)i;
            return true;
        }
    }
    return false;
}

bool estate_attr_find(struct str name, enum estate_attr *ret)
{
    for (unsigned i = 0; i < ATTR_COUNT; i++) {
        if (str_eq(str_of(attr_rows[i].name), name)) {
            *ret = (enum estate_attr)i;
            return true;
        }
    }
    return false;
}

bool estate_type_has(enum estate_type type, enum estate_attr attr)
{
    if (attr <= ATTR_COMMON_LAST) {
        return true;
    }
    for (size_t i = 0; i < ARRAY_COUNT(type_attrs); i++) {
        if (type_attrs[i].type == type && type_attrs[i].attr == attr) {
            return true;
        }
    }
    return false;
}

const char *estate_party_name(enum estate_party party)
{
    static const char *const names[] = {
        [PARTY_SILENT] = "not stated by the sources",
        [PARTY_CUSTOMER] = "the customer",
        [PARTY_MICROSOFT] = "Microsoft",
        [PARTY_IBM] = "IBM",
        [PARTY_PROVIDER] = "the provider",
        [PARTY_ORCHESTRATOR] = "an orchestrator of the customer's",
    };
    return names[party];
}

const char *estate_value_type_name(enum estate_value_type type)
{
    static const char *const names[] = {
        [VT_BOOL] = "true or false",
        [VT_INT] = "a whole number",
        [VT_NUMBER] = "a number",
        [VT_PERCENT] = "a percentage (0 to 100)",
        [VT_DURATION] = "a duration (250ms, 90s, 15m, 4h, 7d, 0)",
        [VT_TIME] = "a date (2026-11-28 or 2026-11-28T10:00:00Z) or never",
        [VT_STRING] = "a text",
        [VT_WORD] = "one of the listed words",
        [VT_WORDS] = "a list of the listed words",
        [VT_STRINGS] = "a list of texts",
        [VT_REGIONS] = "a list of regions",
        [VT_REF] = "the id of an asset, none, or outside:NAME",
        [VT_REFS] = "a list of ids of assets",
    };
    return names[type];
}

const char *estate_topology_name(enum estate_topology t)
{
    static const char *const names[] = {
        [TOPOLOGY_UNSTATED] = "not stated",     [TOPOLOGY_SINGLE] = "single",
        [TOPOLOGY_BACKUP_ONLY] = "backup-only", [TOPOLOGY_HOT_COLD] = "hot/cold",
        [TOPOLOGY_HOT_WARM] = "hot/warm",       [TOPOLOGY_HOT_HOT] = "hot/hot",
    };
    return names[t];
}

const char *estate_environment_name(enum estate_environment e)
{
    static const char *const names[] = {
        [ENVIRONMENT_UNSTATED] = "not stated",
        [ENVIRONMENT_PRODUCTION] = "production",
        [ENVIRONMENT_STAGING] = "staging",
        [ENVIRONMENT_DEVELOPMENT] = "development",
    };
    return names[e];
}

const char *estate_step_name(enum estate_step_kind kind)
{
    static const char *const names[] = {
#define STEP(id, name) [STEP_##id] = (name),
        ESTATE_STEPS(STEP)
#undef STEP
    };
    return names[kind];
}

const char *estate_phase_name(enum estate_phase phase)
{
    static const char *const names[] = {
        [PHASE_BEFORE] = "before", [PHASE_DURING] = "during", [PHASE_AFTER] = "after"};
    return names[phase];
}
