/* Importers: what deployment tools and cloud exports say about a platform, as an estate to review.
 *
 *   terraform   raw state (version 4), `terraform show -json` of a state or of a plan (format 1.x)
 *   arm         ARM templates and exports, also those that Bicep builds
 *   resources   lists of resources: az resource list, Resource Graph, REST answers
 *   csv         an inventory with the columns id, type and region
 *
 * Such files hold secrets. Importers read an allow-list of attributes for each type of resource
 * (azurerm.def, arm.def): everything else is dropped before anything is logged or written, and no
 * message quotes a value of the input. A text gets into the estate only as a name, a region, a resource
 * id, a host name, a principal or a role, or as one of the words of an attribute. What cannot be
 * resolved becomes unknown, with a note that says why.
 *
 * Pure: no files, no clock. Any thread. Errors: ERR_SYNTAX and ERR_INVALID with line (and column),
 * ERR_LIMIT, ERR_UNSUPPORTED for a version that we do not know. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "continuity/posture/estate.h"

enum {
    IMPORT_TEXT_SIZE_MAX = 64 << 20, /* bytes of a file */
    IMPORT_RESOURCES_MAX = 200000,   /* resources in a file, skipped ones too */
    IMPORT_NESTING_MAX = 32,         /* modules in modules, deployments in deployments, children */
    IMPORT_PARAMS_MAX = 64,
    IMPORT_WARNINGS_MAX = 100, /* later ones are only counted */
    IMPORT_TYPES_MAX = 1000,   /* different types that are counted; later ones as one */
    IMPORT_COLUMNS_MAX = 256,  /* of a CSV file */
    IMPORT_ROWS_MAX = 100000,  /* of a CSV file */
};

enum import_format {
    IMPORT_AUTO, /* by content */
    IMPORT_TERRAFORM,
    IMPORT_ARM,
    IMPORT_RESOURCES,
    IMPORT_CSV,
};

/* Value of a template's parameter; `resourceGroup.location` is what resourceGroup().location gives.
 * Parameters that a template declares as secure are never read. */
struct import_param {
    struct str name;
    struct str value;
};

struct import_opts {
    enum import_format format;
    const struct import_param *params;
    size_t param_count;
};

struct import_count {
    struct str name;
    size_t count;
};

struct import_report {
    struct arena arena;
    const char *form;          /* "Terraform state" */
    struct str source;         /* file name */
    size_t resource_count;     /* in the file */
    size_t asset_count;        /* in the estate */
    size_t unknown_count;      /* attributes and regions that are unknown */
    size_t types[TYPE_COUNT];  /* assets by type */
    struct import_count *read; /* types that only fill in other assets */
    size_t read_count;
    size_t read_cap;
    struct import_count *skipped; /* types (CSV: columns) that nothing is made of */
    size_t skipped_count;
    size_t skipped_cap;
    struct str *warnings;
    size_t warning_count; /* may be more than IMPORT_WARNINGS_MAX */
};

bool import_format_find(struct str name, enum import_format *ret);

/* `source` names the text in messages. The estate is finished: references to what is not in the file
 * are outside:NAME. *ret_report is to be freed with import_report_free(). */
enum err import_read(struct str text, struct str source, const struct import_opts *opts,
                     struct estate **ret, struct import_report **ret_report,
                     struct errinfo *ei) MUST_CHECK;
void import_report_free(struct import_report *r);

/* What was imported, for a person: lines of text. */
void import_report_write(const struct import_report *r, struct buf *out);
/* estate.yaml: a comment that says where it comes from and what to review, then the estate. */
void import_write_yaml(const struct estate *e, const struct import_report *r, struct buf *out);
