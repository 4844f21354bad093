/* Shared by the importers only.
 *
 *   text -> walker (terraform.c, arm.c, csv.c) -> struct import_res, one for each resource of a type
 *        that azurerm.def or arm.def lists -> apply.c sets what the rows name -> estate
 *
 * First all resources are added, so that references find assets that stand later in the file; then the
 * rows are applied. */
#pragma once

#include "base/map.h"
#include "continuity/posture/import/import.h"
#include "json/json.h"

/* How a value of a file becomes a statement about an asset. */
enum import_conv {
    CONV_PLACE,         /* region name: where the asset is */
    CONV_PLACE_OF,      /* reference: it is where that one is */
    CONV_PLACES,        /* list of objects with a location: further regions */
    CONV_COSMOS_PLACES, /* likewise with priority and zones: all regions */
    CONV_ZONES,         /* list of zones, or one */
    CONV_BOOL,          /* true, false, Enabled, Disabled */
    CONV_PRESENT,       /* bool: the block is there */
    CONV_PROBED,        /* health_check: endpoint when the block is there */
    CONV_INT,           /* whole number */
    CONV_SECONDS,       /* durations */
    CONV_DAYS,
    CONV_TIME,
    CONV_WORD, /* through words.def */
    CONV_STRING,
    CONV_ROLE_ID,     /* last segment of a role definition's id */
    CONV_REF,         /* resource id */
    CONV_REFS,        /* resource id, added to a list */
    CONV_STORE,       /* storage account: id, address of a container, or name */
    CONV_PEER,        /* resource id of the server that this one is a replica of */
    CONV_CONST,       /* the default, whatever the file says; managed resources only */
    CONV_BOUNDED_INT, /* only with consistency bounded_staleness */
    CONV_BOUNDED_SECONDS,
    CONV_PERIODIC_MINUTES, /* only with backup_type periodic */
    CONV_PERIODIC_HOURS,
    CONV_PERIODIC_WORD,
    CONV_CONTINUOUS_TIER, /* only with backup_type continuous */
    CONV_SERVERLESS,      /* list of capabilities */
    CONV_GEO_STORAGE,     /* bool: redundancy of backups is Geo or GeoZone */
    CONV_ATTACHED,        /* created_by: true customer, false aml */
    CONV_METASTORE,       /* object with server and database_name */
    CONV_DBFS,            /* makes the asset of a Databricks workspace's own storage */
    CONV_ENDPOINTS,       /* list of a traffic manager's endpoints */
    CONV_GROUP,           /* a failover group: databases and partners */
    CONV_JOB,             /* a Databricks job's tasks */
};

enum import_role {
    ROLE_ASSET,
    ROLE_CARRIER, /* no asset; others refer to it (a database server has the region) */
    ROLE_LINK,    /* no asset; its first row names the asset that the others are applied to */
    ROLE_GROUP,   /* no asset; its rows find assets themselves */
};

enum import_row {
#define RES(id, name, role, type) IMPORT_##id,
#define FIELD(id, path, conv, attr, def)
#include "continuity/posture/import/arm.def"
#include "continuity/posture/import/azurerm.def"
#undef RES
#undef FIELD
    IMPORT_ROW_COUNT,
};

struct import_type {
    const char *name; /* as the tool writes it */
    enum import_role role;
    enum estate_type type; /* TYPE_COUNT unless ROLE_ASSET */
};

struct import_field {
    enum import_row row;
    const char *path; /* names with dots; lists: their first element; alternatives with | */
    enum import_conv conv;
    int attr;        /* enum estate_attr or -1 */
    const char *def; /* what an unset value means to the provider; NULL = unknown, "-" = nothing */
};

extern const struct import_type import_types[IMPORT_ROW_COUNT];
extern const struct import_field import_fields[];
extern const size_t import_field_count;

/* A word of a file as a word of the estate; `word` itself when words.def has no row for it. */
struct str import_word(struct str word);

enum import_form {
    FORM_STATE,     /* Terraform: what is not there is not known, null is not set */
    FORM_PLAN,      /* Terraform: what is not there is known only after apply */
    FORM_TEMPLATE,  /* ARM: what is not there is the provider's default */
    FORM_RESOURCES, /* lists: what is not there is not known */
};

struct arm_scope;

struct import_res {
    enum import_row row;
    struct estate_asset *asset; /* NULL unless ROLE_ASSET */
    struct str rid;             /* resource id in lower case; may be empty */
    struct str kind;            /* "microsoft.storage/storageaccounts", lower case; may be empty */
    struct str name;            /* "server/database"; ARM: with {placeholders} */
    struct str region;          /* as found by CONV_PLACE; may be empty */
    const struct json *body;
    const struct json *sensitive;        /* Terraform: what the tool marks; may be NULL */
    const struct arm_scope *scope;       /* ARM: expressions are evaluated in it; else NULL */
    const struct import_res *parent;     /* ARM: the resource it stands in, by name */
    struct str parent_kind, parent_name; /* ARM: when the parent has to be looked up */
    bool is_managed;                     /* the tool deploys it; else it only reads it */
    unsigned line;
};

struct import_ref_item {
    struct estate_asset *asset;
    enum estate_attr attr;
    struct str id;
    size_t order;
};

struct import {
    struct estate *e;
    struct import_report *report;
    const struct import_opts *opts;
    struct arena arena; /* the JSON tree, what expressions give; ends with the import */
    struct str text;
    struct str source;
    enum import_form form;
    bool is_export; /* ARM: looks like an export, so nothing shows that a template deploys it */
    size_t *lines;  /* positions of line breaks */
    size_t line_count;
    struct import_res **res;
    size_t res_count;
    size_t res_cap;
    struct map by_rid;            /* struct import_res */
    struct map by_name;           /* "kind|name"; &import_ambiguous when there are several */
    struct map id_counts;         /* struct import_count: how often an id was wanted */
    struct map counts;            /* struct import_count of the report, by type */
    struct import_ref_item *refs; /* list references, set at the end */
    size_t ref_count;
    size_t ref_cap;
    size_t rg_location_count; /* uses of resourceGroup().location without a value */
    struct errinfo *ei;
};

/* ---- import.c ---- */

unsigned import_line(const struct import *im, const struct json *v);
void import_warn(struct import *im, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Text of a type for people: itself when it looks like one, else "(no type)". */
struct str import_type_text(struct str type);
void import_skip(struct import *im, struct str type);
/* ERR_LIMIT past IMPORT_RESOURCES_MAX. */
enum err import_seen(struct import *im);
/* IMPORT_ROW_COUNT when no row has that name; rows [from, to). Case does not count. */
enum import_row import_find_row(struct str name, enum import_row from, enum import_row to);
/* Adds the resource (copied) and its asset, whose id is `id` or near it. A resource id that is there
 * already adds nothing. */
enum err import_add(struct import *im, const struct import_res *from, struct str id);

/* ---- apply.c ---- */

enum err import_apply_all(struct import *im);

/* ---- ids.c ---- */

/* The parts of a resource id: "microsoft.storage/storageaccounts" in lower case and "name" or
 * "parent/child"; the group may be empty. False when it is none. */
bool import_parse_rid(struct import *im, struct str rid, struct str *ret_kind, struct str *ret_name,
                      struct str *ret_group);
struct str import_lower(struct arena *a, struct str s);
/* What a resource id, or a kind and name, refers to in this file; NULL = nothing, or not clear. */
const struct import_res *import_find_rid(struct import *im, struct str rid);
const struct import_res *import_find_name(struct import *im, struct str kind, struct str name);
/* What to write for a reference that is not in the file: "outside:vaults/kv1"; empty when the text
 * is no resource id. */
struct str import_outside(struct import *im, struct str rid);
extern struct import_res import_ambiguous;

/* ---- walkers ---- */

enum err import_terraform(struct import *im, const struct json *root);
bool import_is_terraform(const struct json *root);
enum err import_arm(struct import *im, const struct json *root);
bool import_is_arm(const struct json *root);
enum err import_resources(struct import *im, const struct json *root);
bool import_is_resources(const struct json *root);
enum err import_csv(struct import *im);
bool import_is_csv(struct str text);

/* ---- expr.c ---- */

/* One level of a template: deployments in deployments have their own, unless they share. */
struct arm_scope {
    struct import *im;
    const struct json *parameters; /* declared; may be NULL */
    const struct json *variables;  /* may be NULL */
    const struct json *given;      /* {"name": {"value": ...}} of a nested deployment, or NULL */
    const struct arm_scope *given_scope; /* what `given` is evaluated in; NULL at the top */
};

struct arm_value {
    bool is_known;
    const struct json *v; /* when known; never an expression itself, what is in it may be */
    const struct arm_scope *scope; /* of expressions inside v; NULL when v is none of the file's */
    struct str shape;              /* as text, with {placeholders} for what is not known */
    struct str ref_kind;           /* a reference by resourceId(): kind in lower case, */
    struct str ref_name;           /* and shape of the name; else empty */
    const char *why;               /* when not known */
};

/* The value of `v` where it may be an expression; scope NULL: it is none. */
struct arm_value arm_eval(struct import *im, const struct arm_scope *scope, const struct json *v);
