/* Authorization headers: first line the target, second the date, the rest the header. Nothing that a
 * fuzzer can make is a valid signature. */
#include <string.h>

#include "base/contract.h"
#include "cosmos/auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cosmos_auth *auth;
    static const char *const keys[4] = {"cHJpbWFyeSBrZXkgb2YgdGhlIGFjY291bnQhISEhISE=", "",
                                        "cmVhZC1vbmx5IGtleSBvZiB0aGUgYWNjb3VudCEhISE=", NULL};
    if (!auth) {
        auth = cosmos_auth_new(keys);
    }
    struct str rest = str_make(data, size);
    struct str target = rest;
    struct str date = STR("");
    struct str header = STR("");
    if (str_split(rest, '\n', &target, &rest)) {
        date = rest;
        if (str_split(rest, '\n', &date, &rest)) {
            header = rest;
        }
    }
    struct http_header headers[2] = {{STR("authorization"), header}, {STR("x-ms-date"), date}};
    struct http_req req;
    struct errinfo ei = {0};
    bool is_read_only = false;
    memset(&req, 0, sizeof(req));
    arena_init(&req.arena);
    req.method = STR("GET");
    req.target = target;
    req.headers = headers;
    req.header_count = 2;
    enum err err = cosmos_auth_check(auth, &req, INT64_C(1795245077000), &is_read_only, &ei);
    ASSERT(err != OK);
    ASSERT(ei.code == err);
    struct str claims;
    struct errinfo token_ei = {0};
    err = cosmos_auth_token(auth, &req, INT64_C(1795245077000), &claims, &token_ei);
    ASSERT(err == ERR_UNAUTHORIZED);
    arena_done(&req.arena);
    return 0;
}
