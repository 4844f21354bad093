/* One HTTP exchange as a libcurl easy handle: shared by the client on a loop and the blocking form. */
#pragma once

#include <curl/curl.h>

#include "net/http_client.h"

enum {
    HTTP_TRANSFER_HEAD_SIZE_MAX = 256 << 10,
    HTTP_TRANSFER_HEADERS_MAX = 200,
    HTTP_TRANSFER_BODY_SIZE_DEFAULT = 16 << 20,
};

struct http_transfer {
    CURL *easy;                /* not owned */
    struct curl_slist *fields; /* owned */
    struct buf request_body;
    struct buf head; /* of the answer: "Name: value\r\n" lines */
    struct buf body; /* of the answer */
    bool is_idempotent;
    unsigned attempt_count; /* connections on which the request was (about to be) sent */
    char detail[CURL_ERROR_SIZE];
    struct http_header headers[HTTP_TRANSFER_HEADERS_MAX]; /* into `head` */
};

void http_transfer_global_init(void); /* any thread, any number of times */
/* Sets everything on `easy` (fresh or reset). False: the request cannot be expressed (ERR_INVALID). */
bool http_transfer_init(struct http_transfer *t, CURL *easy, const struct http_client_req *req);
void http_transfer_result(struct http_transfer *t, CURLcode code, struct http_client_result *ret);
void http_transfer_done(struct http_transfer *t); /* before `easy` is used for anything else */
