/* "METHOD TARGET" in the first line, the body behind it: refused, or answered with a JSON text, and what
 * would be put is a record that passes its check, or a hosted account that can be read. */
#include "manage/decide.h"

#include <stdio.h>
#include <string.h>

#include "account/region.h"
#include "base/contract.h"
#include "manage/doc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* "first" with three regions, "shop" that is being made. */
static void world_fill(struct arena *a, struct manage_world *w)
{
    static const char *const names[] = {"east", "west", "north"};
    static const struct record_epoch first = {
        .epoch = 1, .generation = 1, .writer = 1, .incarnation = 7, .start_lsn = 1};
    struct account_record *rec = ARENA_NEW(a, struct account_record);
    struct hosted *h = ARENA_NEW(a, struct hosted);
    account_init(rec, "first", CONSISTENCY_SESSION);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        ASSERT(account_add_region(rec, names[i], "http://127.0.0.1:1/", "127.0.0.1:1", 0, NULL) ==
               OK);
    }
    record_add_epoch(rec, &first);
    rec->epoch = 1;
    rec->lsn_limit = 1000;
    rec->phase = PHASE_OPEN;
    record_set_state(rec, 1, REGION_ONLINE_WRITE, 0);
    *h = (struct hosted){.account = "shop", .region_count = 1, .regions = {"east"}};
    w->count = 2;
    w->accounts[0] = (struct manage_account){
        .name = STR("first"), .rec = rec, .rev = 5, .endpoint = STR("http://127.0.0.1:1/")};
    w->accounts[1] = (struct manage_account){.name = STR("shop"), .hosted = h, .hosted_rev = 6};
}

static void check_txn(struct arena *a, const struct coord_txn *txn)
{
    if (txn == NULL) {
        return;
    }
    ASSERT(txn->put_count == 1);
    if (str_starts(txn->puts[0].key, STR(HOSTED_PREFIX))) {
        struct hosted h;
        ASSERT(hosted_decode(txn->puts[0].value, &h, NULL) == OK);
        return;
    }
    struct account_record *rec = ARENA_NEW(a, struct account_record);
    ASSERT(record_decode(a, txn->puts[0].value, rec, NULL) == OK); /* checks it */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct manage_call call = {.wall_ms = 1795877477123, .can_host = true};
    struct str line = STR_NONE;
    struct str body = STR_NONE;
    struct str target = STR_NONE;
    arena_init(&a);
    (void)str_split(str_make(data, size), '\n', &line, &body);
    bool is_fine = str_split(line, ' ', &call.method, &target) &&
                   manage_target_parse(&a, target, &call.target, NULL) == OK &&
                   (body.n == 0 || json_parse(&a, body, NULL, &call.body, NULL) == OK);
    if (is_fine) {
        struct manage_world *w = ARENA_NEW(&a, struct manage_world);
        struct manage_answer answer = {0};
        struct errinfo ei = {0};
        struct buf error;
        const struct json *doc = NULL;
        world_fill(&a, w);
        buf_init(&error, 16 << 10);
        if (manage_decide(&a, &call, w, &answer, &ei) == OK) {
            ASSERT(answer.status >= 200 && answer.status < 300);
            check_txn(&a, answer.txn);
            ASSERT(answer.body.n == 0 ||
                   json_parse(&a, buf_str(&answer.body), NULL, &doc, NULL) == OK);
        } else {
            ASSERT(ei.message[0] != '\0' && manage_http_status(ei.code) >= 400);
            manage_doc_error(&ei, &error);
            ASSERT(json_parse(&a, buf_str(&error), NULL, &doc, NULL) == OK);
        }
        buf_done(&error);
        buf_done(&answer.body);
    }
    arena_done(&a);
    return 0;
}
