/* The confirmed stop of a server that has no `up` above it: a service manager runs `holdfast server
 * --confirm-stop` once the process is gone, and the others need not wait for its lease.
 *
 *   DIR/incarnation  text: "holdfast incarnation\nformat 1\nregion east\nincarnation 42\n"; written by
 *                    each server before it says anything to anybody
 *
 * Why it is true: the store's lock is held by a server for as long as it lives, and it is taken here
 * first. So the incarnation that is named has ended, and a statement about it stays true for ever. */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum { INCARNATION_FORMAT = 1 };

/* By a server that holds its store's lock. ERR_IO, ERR_DISK_FULL. */
enum err confirm_note(const char *dir, const char *region, uint64_t incarnation,
                      struct errinfo *ei) MUST_CHECK;
/* The file's text; `path` is for messages. ERR_CORRUPT, ERR_FORMAT_NEWER, ERR_CONFIG (another region's). */
enum err confirm_parse(struct str text, const char *path, const char *region,
                       uint64_t *ret_incarnation, struct errinfo *ei) MUST_CHECK;
/* What confirm_note wrote. ERR_NOT_FOUND (no server has run here), ERR_IO, those of confirm_parse. */
enum err confirm_read(const char *dir, const char *region, uint64_t *ret_incarnation,
                      struct errinfo *ei) MUST_CHECK;

struct confirm_opts {
    const char *account, *region, *dir, *coordinator;
    const struct coord_secrets *secrets;
};
/* Tells the coordinator. Blocks, for some seconds at most. OK as well when no server has run here.
 * ERR_IN_USE (one is running), ERR_NOT_FOUND (the account has no such region), ERR_UNAVAILABLE (no
 * coordinator), and those of confirm_read. */
enum err confirm_stop(const struct confirm_opts *o, struct errinfo *ei) MUST_CHECK;
