/* Processes of an account on this machine, as faults need them. */
#pragma once

#include <sys/types.h>

#include "base/err.h"

/* Never signals a process that is not a holdfast program. ERR_NOT_FOUND, ERR_FORBIDDEN. */
enum err process_signal(pid_t target, int signum, struct errinfo *ei) MUST_CHECK;
/* The child of `parent` that was started as `holdfast ROLE ...`. */
enum err process_child(pid_t parent, const char *role, pid_t *ret, struct errinfo *ei) MUST_CHECK;
