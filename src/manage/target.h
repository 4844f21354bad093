/* Paths of the management interface, taken apart (geo-semantics 10). Fixed words are compared without
 * case, as clients of that interface expect; names are percent-decoded. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum {
    MANAGE_TARGET_SIZE_MAX = 2048,
    MANAGE_NAME_SIZE_MAX = 160, /* subscription, resource group, account, operation */
};

enum manage_what {
    MANAGE_NAME,    /* /providers/P/databaseAccountNames/{account} */
    MANAGE_LIST,    /* /subscriptions/{s}[/resourceGroups/{g}]/providers/P/databaseAccounts */
    MANAGE_ACCOUNT, /* ... /{account} */
    MANAGE_ACTION,  /* ... /{account}/{action} */
    MANAGE_RESULT,  /* ... /{account}/operationResults/{operation} */
    MANAGE_STATUS, /* /subscriptions/{s}/providers/P/locations/{any}/operationsStatus/{operation} */
};

struct manage_target {
    enum manage_what what;
    struct str subscription, group, account, action, operation; /* empty when not in the path */
};

/* Is the path of the management interface at all? Nothing of the data plane begins like that. */
bool manage_target_is_ours(struct str target);
/* ERR_INVALID: no api-version, bad escapes, too long. ERR_NOT_FOUND: no such path. */
enum err manage_target_parse(struct arena *a, struct str target, struct manage_target *ret,
                             struct errinfo *ei) MUST_CHECK;
