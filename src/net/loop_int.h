/* What the other files of src/net need from the loop beyond loop.h. On the loop's thread. */
#pragma once

#include <uv.h>

#include "base/list.h"
#include "net/loop.h"

/* Work put off to the end of the present round of events, after every loop_on_idle function: the
 * place where everything written in the round leaves in one system call. A plain uv_prepare handle
 * would not do: one that is started while prepare handles run is only looked at in the next
 * round, which may be long in coming. */
struct loop_flush {
    struct list link; /* in loop.flushes while pending; detached otherwise */
    void (*fn)(struct loop_flush *f);
};

void loop_flush_init(struct loop_flush *f, void (*fn)(struct loop_flush *f));
void loop_flush_later(struct loop *l, struct loop_flush *f); /* again while pending: nothing */
void loop_flush_cancel(struct loop_flush *f);

/* "host:port" with a numeric address. False: not numeric (resolve it) or malformed. */
bool loop_addr_numeric(const char *addr, struct sockaddr_storage *ret);
