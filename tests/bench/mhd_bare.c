/* The least that an HTTP server on libmicrohttpd can do, with the thread shape of Holdfast's: a
 * pool of epoll threads. Every request, whatever it asks, is answered from memory: GET with 200 and
 * 1 KiB, anything else with 201 and 1 KiB once its body has been read. The ceiling for what goes
 * over HTTP.
 *
 *   mhd_bare [PORT, default 0 = any] [THREADS, default 2]
 *
 * Prints the port; ends when its standard input does. */
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/contract.h"
#include "bench/sample.h"

static char item[ITEM_SIZE];

static enum MHD_Result on_access(void *cls, struct MHD_Connection *mhd, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_size, void **con_cls)
{
    static int seen;
    UNUSED(cls);
    UNUSED(url);
    UNUSED(version);
    UNUSED(upload);
    if (*con_cls == NULL) {
        *con_cls = &seen;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        *upload_size = 0;
        return MHD_YES;
    }
    struct MHD_Response *r =
        MHD_create_response_from_buffer(sizeof(item), item, MHD_RESPMEM_PERSISTENT);
    if (r == NULL) {
        return MHD_NO;
    }
    (void)MHD_add_response_header(r, "Content-Type", "application/json"); /* nobody reads it */
    enum MHD_Result ret =
        MHD_queue_response(mhd, strcmp(method, "GET") == 0 ? MHD_HTTP_OK : MHD_HTTP_CREATED, r);
    MHD_destroy_response(r);
    return ret;
}

int main(int argc, char **argv)
{
    unsigned long port = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    unsigned long threads = argc > 2 ? strtoul(argv[2], NULL, 10) : 2;
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct item_maker m;
    item_maker_init(&m, 1);
    item_make(&m, "bare-0000000000", item);
    item_maker_done(&m);
    struct MHD_Daemon *d = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, (uint16_t)port, NULL, NULL,
        on_access, NULL, MHD_OPTION_SOCK_ADDR, &addr, MHD_OPTION_THREAD_POOL_SIZE,
        threads > 1 ? (unsigned)threads : 0U, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)(64 << 10), MHD_OPTION_CONNECTION_LIMIT, 4096U, MHD_OPTION_END);
    if (d == NULL) {
        fprintf(stderr, "mhd_bare: cannot listen on port %lu\n", port);
        return 1;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT);
    printf("%u\n", (unsigned)info->port);
    (void)fflush(stdout);
    char byte = 0;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    MHD_stop_daemon(d);
    return 0;
}
