/* What the account looks like to an operator: /_holdfast/account, parsed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "json/json.h"

struct look {
    bool is_known, is_open, all_online;
    bool has_moved_parts; /* a partition is not written by the account's writer */
    char writer[64];
    char level[32];
    char diverged_writes[16]; /* "feed" where the account does not say */
    uint64_t epoch;
    size_t count;
    struct {
        char name[64];
        char endpoint[256];
        char state[32];
        bool is_online;
    } regions[32];
};

void look_parse(const struct json *doc, struct look *ret);
bool look_is_online(const struct look *look, const char *region);
/* NULL: the account has no such region. */
const char *look_endpoint(const struct look *look, const char *region);
