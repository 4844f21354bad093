/* Bodies of batch and bulk through the whole protocol layer: the first byte chooses atomic or not. The
 * answer is JSON (fake_send checks it); when the operations are answered one by one there is one result
 * for each, in an atomic batch nothing is done unless all is. */
#include "base/contract.h"
#include "lib/fake_core.h"
#include "json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DOCS "/dbs/db/colls/c/docs"

enum { BODY_MAX = 16 << 10 };

static size_t count_items(struct fake *f)
{
    uint64_t n = 0;
    fake_send(f, "GET", DOCS, NULL);
    ASSERT(f->answer.status == 200);
    bool has_count = json_get_u64(f->doc, STR("_count"), &n);
    ASSERT(has_count);
    return (size_t)n;
}

static size_t count_operations(struct str body)
{
    struct arena a;
    const struct json *doc = NULL;
    arena_init(&a);
    size_t n =
        json_parse(&a, body, NULL, &doc, NULL) == OK && doc->type == JSON_ARRAY ? doc->count : 0;
    arena_done(&a);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > BODY_MAX) {
        return 0;
    }
    struct fake *f = fake_new(&(struct fake_opts){.level = CONSISTENCY_SESSION});
    struct str body = str_make(data + 1, size - 1);
    bool is_atomic = data[0] == 'a';
    fake_send(f, "POST", "/dbs", "{\"id\":\"db\"}");
    fake_send(f, "POST", "/dbs/db/colls",
              "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]},\"defaultTtl\":-1,"
              "\"uniqueKeyPolicy\":{\"uniqueKeys\":[{\"paths\":[\"/u\"]}]}}");
    ASSERT(f->answer.status == 201);
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    fake_send(f, "POST", DOCS, "{\"id\":\"1\",\"pk\":\"a\",\"n\":1,\"l\":[1,2],\"o\":{}}");
    ASSERT(f->answer.status == 201);
    fake_header(f, "x-ms-cosmos-is-batch-request", "true");
    fake_header(f, "x-ms-cosmos-batch-atomic", is_atomic ? "true" : "false");
    if (is_atomic) {
        fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    }
    lsn before = f->next_lsn;
    fake_send_str(f, "POST", DOCS, body);
    int status = f->answer.status;
    ASSERT(status == 200 || status == 207 || (status >= 400 && status < 500) || status == 501);
    if (status < 300) {
        ASSERT(f->doc->type == JSON_ARRAY);
        ASSERT(f->doc->count == count_operations(body));
    }
    if (is_atomic && status != 200) {
        ASSERT(f->next_lsn == before);
        ASSERT(count_items(f) == 1);
    }
    fake_free(f);
    return 0;
}
