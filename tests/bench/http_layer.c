/* Our own HTTP layer (net/http_server) with nothing behind it: beside mhd_bare it shows what the
 * layer costs. Answers as mhd_bare does, with the headers an item's answer has.
 *
 *   http_layer [THREADS, default 2] [park]
 *
 * park: writes are answered from a loop on a thread of its own, by way of its queue, as they are in
 * the server. Prints the port; ends when its standard input does. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/contract.h"
#include "bench/sample.h"
#include "net/http_server.h"
#include "net/loop.h"
#include "net/sockets.h"

struct layer {
    struct loop *loop; /* NULL: everything is answered at once */
    char item[ITEM_SIZE];
};

static struct layer layer;

static void answer(struct http_req *req, int status)
{
    struct http_response res = {.status = status, .body_copy = str_make(layer.item, ITEM_SIZE)};
    http_response_header(&res, STR("Content-Type"), STR("application/json"));
    http_response_header(&res, STR("x-ms-activity-id"),
                         STR("6f0ab2b4-7a6e-4d6c-9a0e-3c1f1f1f2a2b"));
    http_response_header(&res, STR("x-ms-request-charge"), STR("1"));
    http_response_header(&res, STR("x-ms-session-token"), STR("0:1#123456"));
    http_response_header(&res, STR("x-ms-serviceversion"), STR("version=2.14.0.0"));
    http_response_header(&res, STR("etag"), STR("\"00000000-0000-0000-0000-000000000000\""));
    http_response_header(&res, STR("lsn"), STR("123456"));
    http_respond(req, &res);
}

static void on_loop(void *ctx)
{
    answer((struct http_req *)ctx, 201);
}

static void on_request(void *ctx, struct http_req *req)
{
    UNUSED(ctx);
    bool is_read = str_eq(req->method, STR("GET"));
    if (is_read || layer.loop == NULL || !loop_post(layer.loop, on_loop, req)) {
        answer(req, is_read ? 200 : 201);
    }
}

static void *run_loop(void *arg)
{
    loop_run((struct loop *)arg);
    return NULL;
}

int main(int argc, char **argv)
{
    struct item_maker m;
    item_maker_init(&m, 1);
    item_make(&m, "bare-0000000000", layer.item);
    item_maker_done(&m);
    pthread_t thread;
    bool has_loop = argc > 2 && strcmp(argv[2], "park") == 0;
    if (has_loop) {
        layer.loop = loop_new();
        int rc = pthread_create(&thread, NULL, run_loop, layer.loop);
        ASSERT(rc == 0);
    }
    struct http_server_opts opts = {.threads = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 2,
                                    .handler = on_request};
    struct http_server *s = NULL;
    int fd = -1;
    uint16_t port = 0;
    struct errinfo ei = {0};
    enum err err = http_server_new(&opts, &s, &ei);
    err = err == OK ? sockets_listen("127.0.0.1:0", &fd, &port, &ei) : err;
    err = err == OK ? http_server_listen(s, fd, "bench", &ei) : err;
    if (err != OK) {
        fprintf(stderr, "http_layer: %s\n", ei.message);
        return 1;
    }
    printf("%u\n", (unsigned)port);
    (void)fflush(stdout);
    char byte = 0;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    http_server_free(s, 100);
    if (has_loop) {
        loop_stop(layer.loop);
        (void)pthread_join(thread, NULL);
        loop_free(layer.loop);
    }
    (void)close(fd); /* a listening socket carries no data */
    return 0;
}
