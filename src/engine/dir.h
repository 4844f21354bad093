/* The directory of a durable engine: one process at a time, one driver, a known format.
 *
 *   DIR/LOCK    held with flock(2) while the engine is open
 *   DIR/FORMAT  text: "holdfast engine\nformat 2\ndriver rocksdb\n"; written before any data
 *   DIR/data/   the driver's files
 *   DIR/journal/  the driver's write-ahead log, since format 2
 *
 * Other files in DIR are left alone. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
    ENGINE_FORMAT = 2,
    ENGINE_FORMAT_JOURNAL = 2, /* the first one with a journal */
};

struct engine_dir;

/* Creates what is missing (parents as well). ERR_IN_USE, ERR_FORMAT_NEWER, ERR_CONFIG when another
 * driver made it, ERR_CORRUPT when FORMAT is damaged or missing beside data, ERR_IO, ERR_DISK_FULL. */
enum err engine_dir_open(struct str dir, const char *driver, struct engine_dir **ret,
                         struct errinfo *ei) MUST_CHECK;
void engine_dir_close(struct engine_dir *d);               /* NULL accepted; gives the lock back */
struct str engine_dir_data(const struct engine_dir *d);    /* NUL-terminated path of DIR/data */
struct str engine_dir_journal(const struct engine_dir *d); /* the same of DIR/journal */
/* Format that FORMAT names. An older one is opened as it is; what it lacks is the driver's to add. */
unsigned engine_dir_format(const struct engine_dir *d);
/* Once the driver's files are of ENGINE_FORMAT: makes FORMAT say so, durably. */
enum err engine_dir_upgraded(struct engine_dir *d, const char *driver,
                             struct errinfo *ei) MUST_CHECK;
