/* Shared by value.c, convert.c and apply.c: one value of a resource on its way into the estate. */
#pragma once

#include "continuity/posture/import/import_int.h"

enum import_found {
    FOUND,
    FOUND_ABSENT,     /* no such key */
    FOUND_UNSET,      /* null, or a block that is not there */
    FOUND_UNRESOLVED, /* sensitive, or an expression that is not evaluated */
};

struct import_value {
    enum import_found found;
    const struct json *v;          /* FOUND: never NULL, never JSON_NULL */
    const struct arm_scope *scope; /* of expressions inside v */
    struct arm_value arm;          /* of the last step: references by resourceId() */
    const char *why;               /* FOUND_UNRESOLVED */
};

/* ---- value.c ---- */

struct import_value import_value_at(struct import *im, const struct import_res *res,
                                    const struct json *from, const char *path);
const char *import_why_absent(const struct import *im, enum import_found found);
bool import_is_default(const struct import *im, enum import_found found);

/* ---- convert.c ---- */

/* Sets an attribute of a plain type from a value that was found; unknown when it does not fit. */
void import_convert(struct import *im, struct estate_asset *a, const struct import_field *f,
                    const struct json *v, enum estate_confidence conf, unsigned line);
/* The same from the text of a default. */
void import_convert_default(struct import *im, struct estate_asset *a, const struct import_field *f,
                            unsigned line);
/* A number as it stands or as text. */
bool import_to_int(const struct json *v, int64_t *ret);
