#include "cosmos/errors.h"

#include <stdio.h>

#include "base/contract.h"
#include "base/rng.h"
#include "json/json.h"

const char *cosmos_code_word(int status)
{
    static const struct {
        int status;
        const char *word;
    } words[] = {
        {400, "BadRequest"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "NotFound"},
        {405, "MethodNotAllowed"},
        {408, "RequestTimeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {412, "PreconditionFailed"},
        {413, "RequestEntityTooLarge"},
        {424, "FailedDependency"},
        {429, "TooManyRequests"},
        {431, "RequestHeaderFieldsTooLarge"},
        {449, "RetryWith"},
        {500, "InternalServerError"},
        {501, "NotImplemented"},
        {503, "ServiceUnavailable"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (words[i].status == status) {
            return words[i].word;
        }
    }
    return status < 500 ? "BadRequest" : "InternalServerError";
}

void cosmos_error_body(int status, const struct errinfo *ei, struct buf *out)
{
    struct buf message;
    struct json_out o;
    buf_init(&message, ERRINFO_MESSAGE_SIZE + ERRINFO_HINT_SIZE + 16);
    buf_add_cstr(&message, ei->message[0] ? ei->message : err_text(ei->code));
    if (ei->hint[0]) {
        buf_printf(&message, "; %s", ei->hint);
    }
    json_out_init(&o, out);
    json_out_object(&o);
    json_out_member_cstr(&o, "code", cosmos_code_word(status));
    json_out_member_str(&o, "message", buf_str(&message));
    json_out_object_end(&o);
    buf_done(&message);
}

void cosmos_refuse(void *ctx, int status, const char *why, struct buf *json_body)
{
    UNUSED(ctx);
    struct errinfo ei = {0};
    err_set(&ei, ERR_INVALID, "%s", why);
    cosmos_error_body(status, &ei, json_body);
}

/* Ids of answers need to differ, not to be secret: one system call per thread, not per answer. */
static uint64_t random_u64(void)
{
    static _Thread_local struct rng rng;
    static _Thread_local bool is_seeded;
    if (!is_seeded) {
        uint64_t seed = 0;
        rng_os_bytes(&seed, sizeof(seed));
        rng_init(&rng, seed);
        is_seeded = true;
    }
    return rng_u64(&rng);
}

static struct str activity_id(struct http_req *req)
{
    struct str given = http_header(req, STR("x-ms-activity-id"));
    if (given.n > 0 && given.n <= 64) {
        return given;
    }
    uint64_t high = random_u64();
    uint64_t low = random_u64();
    /* Version 4, variant 1, as in RFC 9562. */
    high = (high & ~UINT64_C(0xf000)) | UINT64_C(0x4000);
    low = (low & ~(UINT64_C(3) << 62)) | UINT64_C(2) << 62;
    struct buf text;
    buf_init(&text, 64);
    buf_reserve(&text, 36);
    buf_add_hex_text(&text, high >> 32, 8);
    buf_add_char(&text, '-');
    buf_add_hex_text(&text, high >> 16 & 0xffff, 4);
    buf_add_char(&text, '-');
    buf_add_hex_text(&text, high & 0xffff, 4);
    buf_add_char(&text, '-');
    buf_add_hex_text(&text, low >> 48, 4);
    buf_add_char(&text, '-');
    buf_add_hex_text(&text, low & UINT64_C(0xffffffffffff), 12);
    struct str ret = arena_str(&req->arena, buf_str(&text));
    buf_done(&text);
    return ret;
}

void cosmos_common_headers(struct http_req *req, struct http_response *res)
{
    http_response_header(res, STR("content-type"), STR("application/json"));
    http_response_header(res, STR("x-ms-activity-id"), activity_id(req));
    http_response_header(res, STR("x-ms-serviceversion"), STR("holdfast " HF_VERSION));
    http_response_header(res, STR("cache-control"), STR("no-store, no-cache"));
}

void cosmos_respond_error(struct http_req *req, const struct errinfo *ei)
{
    int status = err_http_status(ei->code);
    struct buf body;
    struct http_response res = {.status = status};
    buf_init(&body, 4096);
    cosmos_error_body(status, ei, &body);
    res.body = &body;
    cosmos_common_headers(req, &res);
    http_response_header(&res, STR("x-ms-request-charge"), STR("0"));
    if (err_substatus(ei->code) != 0) {
        http_response_header(&res, STR("x-ms-substatus"),
                             arena_printf(&req->arena, "%d", err_substatus(ei->code)));
    }
    if (status == 429) {
        http_response_header(&res, STR("x-ms-retry-after-ms"), STR("20"));
    }
    http_respond(req, &res);
    buf_done(&body);
}
