/* Partition keys: values, the effective partition key (EPK) that decides the range, and the engine
 * key of a document.
 *
 * The hash must be bit-identical to the clients' (they route bulk requests by it): MurmurHash3 x64 128
 * with seed 0 over the encoded value, output bytes reversed, top two bits cleared; hierarchical keys
 * are the hashes of their components one after another. Containers are always created with version 2
 * of the hash, and say so in their definition, whatever version the client named.
 *
 * Engine key of a document: EPK bytes, then the key values themselves (order-preserving, each
 * self-delimiting), then the id. So a logical partition is contiguous, two keys whose hashes collide
 * stay apart, and a range of EPKs is a range of engine keys. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "json/json.h"
#include "json/path.h"

enum {
    PK_PATHS_MAX = 3,
    PK_VALUE_SIZE_MAX = 2048, /* bytes of one string component */
    PK_KEY_SIZE_MAX = 3072,   /* bytes of all components in an engine key: a NUL counts twice */
    EPK_COMPONENT_SIZE = 16,
    EPK_SIZE_MAX = PK_PATHS_MAX * EPK_COMPONENT_SIZE,
    ITEM_ID_SIZE_MAX = 1023,
};

enum pk_type { PK_UNDEFINED, PK_NULL, PK_FALSE, PK_TRUE, PK_NUMBER, PK_STRING };
struct pk_value {
    enum pk_type type;
    double number;
    struct str text;
};
struct pk {
    size_t count; /* 0 = none given */
    struct pk_value values[PK_PATHS_MAX];
};

/* All three: ERR_INVALID also when the values are longer than the limits above.
 * From the header x-ms-documentdb-partitionkey, a JSON array; `[]` = one undefined component. */
enum err pk_parse(struct arena *a, struct str header, struct pk *ret,
                  struct errinfo *ei) MUST_CHECK;
/* From a document along the container's paths. ERR_INVALID when a value is an object or array. */
enum err pk_extract(const struct json *doc, const struct json_path *paths, size_t n, struct pk *ret,
                    struct errinfo *ei) MUST_CHECK;
/* From values found elsewhere, e.g. in a query's filter. ERR_INVALID as above. */
enum err pk_of_values(const struct json *const *values, size_t n, struct pk *ret,
                      struct errinfo *ei) MUST_CHECK;
bool pk_eq(const struct pk *a, const struct pk *b);
void pk_json(const struct pk *k, struct buf *out); /* as in the header */

/* EPK bytes of the first `pk->count` components. */
void epk_of(const struct pk *k, struct buf *out);
/* "05C1..." to bytes; "" and "FF" are the ends of the space (FF gives one byte 0xff). */
enum err epk_parse(struct str hex, struct buf *out, struct errinfo *ei) MUST_CHECK;

/* Engine keys. With fewer components than the container has: the prefix of all below. */
void key_prefix(const struct pk *k, size_t path_count, struct buf *out);
void key_item(const struct pk *k, size_t path_count, struct str id, struct buf *out);
/* Smallest key above every key that starts with `prefix`; empty = there is none. */
void key_after(struct str prefix, struct buf *out);
/* The id at the end of an engine key, and the key values. False when it is none. */
bool key_split(struct str key, size_t path_count, struct pk *ret_pk, struct str *ret_id,
               struct arena *a);
