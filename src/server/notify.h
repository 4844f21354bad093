/* Telling the parent how we are: the systemd notification protocol (NOTIFY_SOCKET, WATCHDOG_USEC),
 * spoken to our own supervisor and to systemd alike. Without NOTIFY_SOCKET everything is a no-op. */
#pragma once

#include <stdbool.h>

/* One datagram, e.g. "READY=1" or "STATUS=...". Never blocks; a full socket drops it. */
void notify_send(const char *state);
/* Period in which "WATCHDOG=1" is due (half of WATCHDOG_USEC), in ms; 0 = not asked for. */
unsigned notify_watchdog_ms(void);
/* Feeds the watchdog from this loop from now on, twice in its time; NULL when nobody watches. The caller
 * frees the timer. */
struct loop;
struct loop_timer;
struct loop_timer *notify_watchdog_start(struct loop *loop);
