/* Errors as clients of the protocol see them: always a JSON object. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "net/http_server.h"

/* "NotFound" ... for an HTTP status. */
const char *cosmos_code_word(int status);
/* {"code":"NotFound","message":"..."}; the hint, when there is one, ends the message. */
void cosmos_error_body(int status, const struct errinfo *ei, struct buf *out);
/* Status and substatus of ei->code, JSON body, activity id. Ends the request. */
void cosmos_respond_error(struct http_req *req, const struct errinfo *ei);
/* Adds x-ms-activity-id (the client's own or a new one) and the headers that never change. */
void cosmos_common_headers(struct http_req *req, struct http_response *res);
/* For the HTTP server's own refusals (malformed, too large). */
void cosmos_refuse(void *ctx, int status, const char *why, struct buf *json_body);
