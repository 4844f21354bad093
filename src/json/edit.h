/* Edits of a document's text that do not rewrite what the client wrote: the store's write path
 * takes the client's system properties out and appends its own. */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"
#include "json/json.h"

/* Writes `{` and the members of `object` but those named by `keys` (decoded), joined with commas,
 * without blanks between members, keys and values, and without the closing brace. Keys and values
 * keep their source bytes. Members made by a program are written as json_write() does, undefined
 * ones left out. Returns the number of members written: 0 = no comma before the next one. */
size_t json_text_without(struct buf *out, const struct json *object, const struct str *keys,
                         size_t n);
