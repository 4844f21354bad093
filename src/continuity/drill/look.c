#include "continuity/drill/look.h"

#include <stdio.h>
#include <string.h>

#include "base/contract.h"

void look_parse(const struct json *doc, struct look *ret)
{
    memset(ret, 0, sizeof(*ret));
    struct str s = STR("");
    ret->is_known = json_get_str(doc, STR("phase"), &s);
    ret->is_open = str_eq(s, STR("OPEN"));
    s = STR("");
    (void)json_get_str(doc, STR("writer"), &s);
    (void)snprintf(ret->writer, sizeof(ret->writer), STR_FMT, STR_ARG(s));
    s = STR("");
    (void)json_get_str(doc, STR("consistency"), &s);
    (void)snprintf(ret->level, sizeof(ret->level), STR_FMT, STR_ARG(s));
    s = STR("feed");
    (void)json_get_str(doc, STR("divergedWrites"), &s);
    (void)snprintf(ret->diverged_writes, sizeof(ret->diverged_writes), STR_FMT, STR_ARG(s));
    (void)json_get_u64(doc, STR("epoch"), &ret->epoch);
    const struct json *parts = json_get(doc, STR("partitions"));
    for (size_t i = 0; parts && i < parts->count; i++) {
        bool is_home = true;
        (void)json_get_bool(parts->items[i], STR("atHome"), &is_home);
        ret->has_moved_parts = ret->has_moved_parts || !is_home;
    }
    const struct json *regions = json_get(doc, STR("regions"));
    ret->all_online = ret->is_open;
    for (size_t i = 0; regions && i < regions->count && i < ARRAY_COUNT(ret->regions); i++) {
        struct str name = STR("");
        struct str state = STR("");
        struct str endpoint = STR("");
        (void)json_get_str(regions->items[i], STR("name"), &name);
        (void)json_get_str(regions->items[i], STR("state"), &state);
        (void)json_get_str(regions->items[i], STR("endpoint"), &endpoint);
        (void)snprintf(ret->regions[i].name, sizeof(ret->regions[i].name), STR_FMT, STR_ARG(name));
        (void)snprintf(ret->regions[i].endpoint, sizeof(ret->regions[i].endpoint), STR_FMT,
                       STR_ARG(endpoint));
        (void)snprintf(ret->regions[i].state, sizeof(ret->regions[i].state), STR_FMT,
                       STR_ARG(state));
        ret->regions[i].is_online =
            str_eq(state, STR("ONLINE_READ")) || str_eq(state, STR("ONLINE_WRITE"));
        ret->all_online = ret->all_online && ret->regions[i].is_online;
        ret->count++;
    }
}

bool look_is_online(const struct look *look, const char *region)
{
    for (size_t i = 0; i < look->count; i++) {
        if (strcmp(look->regions[i].name, region) == 0) {
            return look->regions[i].is_online;
        }
    }
    return false;
}

const char *look_endpoint(const struct look *look, const char *region)
{
    for (size_t i = 0; i < look->count; i++) {
        if (strcmp(look->regions[i].name, region) == 0) {
            return look->regions[i].endpoint;
        }
    }
    return NULL;
}
