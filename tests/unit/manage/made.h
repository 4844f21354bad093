/* An account that runs: what these tests decide about. */
#pragma once

#include <stdio.h>
#include <string.h>

#include "account/region.h"
#include "lib/t.h"

/* Regions "east", "west", "north": the first `count`; east writes in epoch 1. */
static inline void made(struct account_record *rec, const char *name, size_t count)
{
    static const char *const names[] = {"east", "west", "north"};
    static const struct record_epoch first = {
        .epoch = 1, .generation = 1, .writer = 1, .incarnation = 7, .start_lsn = 1};
    account_init(rec, name, CONSISTENCY_SESSION);
    for (size_t i = 0; i < count; i++) {
        char endpoint[64];
        (void)snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:900%zu/", i + 1);
        t_ok(account_add_region(rec, names[i], endpoint, "127.0.0.1:1", 5, NULL));
    }
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(rec->key[i], sizeof(rec->key[i]), "a2V5%zu", i);
    }
    (void)snprintf(rec->peer_secret, sizeof(rec->peer_secret), "c2VjcmV0");
    record_add_epoch(rec, &first);
    rec->epoch = 1;
    rec->lsn_limit = 1000;
    rec->phase = PHASE_OPEN;
    record_set_state(rec, 1, REGION_ONLINE_WRITE, 6);
    char why[256] = "";
    t_checkf(record_check(rec, why), "%s", why);
}
