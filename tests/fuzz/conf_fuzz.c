/* Configuration files: anything may be in them; what was accepted dumps to a file that gives the
 * same values again. */
#include "base/conf.h"

#include <stddef.h>
#include <stdint.h>

#include "base/contract.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct conf_row rows[] = {
    {"data-dir", CONF_STRING, "data", 1, 20, 0, "text"},
    {"heartbeat", CONF_DURATION, "200ms", 10, 60000, CONF_RELOADABLE, "duration"},
    {"cache-size", CONF_SIZE, "64MiB", 1024, 0, CONF_RELOADABLE, "size"},
    {"port", CONF_U64, "8081", 1, 65535, 0, "number"},
    {"region", CONF_LIST, "", 0, 3, 0, "list"},
    {"tls", CONF_BOOL, "yes", 0, 0, 0, "bool"},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf *c = conf_new(rows, ARRAY_COUNT(rows));
    struct errinfo ei = {0};
    enum err e = conf_load_text(c, "fuzz", str_make(data, size), &ei);
    if (e != OK) {
        ASSERT(ei.code == e);
        ASSERT(ei.message[0] != '\0');
    }
    struct buf dump;
    struct conf *again = conf_new(rows, ARRAY_COUNT(rows));
    buf_init(&dump, CONF_FILE_SIZE_MAX);
    conf_dump(c, &dump);
    ASSERT(buf_ok(&dump));
    e = conf_load_text(again, "dump", buf_str(&dump), NULL);
    ASSERT(e == OK);
    for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
        ASSERT(str_eq(conf_str(c, i), conf_str(again, i)));
    }
    for (unsigned i = 0; i < conf_list_count(c, 4); i++) {
        ASSERT(conf_list_item(c, 4, i).n > 0);
    }
    buf_done(&dump);
    conf_free(again);
    conf_free(c);
    return 0;
}
