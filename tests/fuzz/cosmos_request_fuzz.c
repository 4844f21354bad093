/* Whole requests through the protocol layer, signed: "METHOD TARGET\nname: value\n...\n\nBODY". Whatever
 * is asked, there is one answer, an error's body is an object with code and message, a read-only key
 * changes nothing. */
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"
#include "lib/fake_core.h"
#include "json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 16 << 10, HEADERS_MAX = 20 };

static const char key_read_only[] = "cmVhZC1vbmx5IGtleSBvZiB0aGUgYWNjb3VudCEhISE=";

struct request {
    char *method, *target; /* owned */
    size_t count;
    char *names[HEADERS_MAX]; /* owned */
    char *values[HEADERS_MAX];
    struct str body;
};

/* As a C string: the HTTP layer hands over no NULs in these. */
static char *copy(struct str s)
{
    char *p = mem_zalloc(s.n + 1);
    memcpy(p, s.p, s.n);
    return p;
}

static bool read_line(struct str *rest, struct str *ret)
{
    struct str tail = STR("");
    bool has_more = str_split(*rest, '\n', ret, &tail);
    *rest = has_more ? tail : STR("");
    return ret->n > 0;
}

static bool parse(struct str in, struct request *r)
{
    struct str line = STR("");
    struct str method = STR("");
    struct str target = STR("");
    memset(r, 0, sizeof(*r));
    if (!read_line(&in, &line) || !str_split(line, ' ', &method, &target) || method.n == 0 ||
        method.n > 16) {
        return false;
    }
    r->method = copy(method);
    r->target = copy(target);
    while (read_line(&in, &line)) {
        struct str name = STR("");
        struct str value = STR("");
        if (r->count < HEADERS_MAX && str_split(line, ':', &name, &value) && name.n > 0) {
            r->names[r->count] = copy(name);
            r->values[r->count++] = copy(str_trim(value));
        }
    }
    r->body = in;
    return true;
}

static void send(struct fake *f, const struct request *r)
{
    for (size_t i = 0; i < r->count; i++) {
        if (!str_eq_nocase(str_of(r->names[i]), STR("authorization")) &&
            !str_eq_nocase(str_of(r->names[i]), STR("x-ms-date"))) {
            fake_header(f, r->names[i], r->values[i]);
        }
    }
    fake_send_str(f, r->method, r->target, r->body);
    int status = f->answer.status;
    ASSERT(status >= 200 && status < 600 && status != 500);
    if (status >= 400) {
        ASSERT(f->doc != NULL && f->doc->type == JSON_OBJECT);
        ASSERT(fake_answer_str(f, "code").n > 0);
        ASSERT(fake_answer_str(f, "message").n > 0);
    }
    if (status == 204 || status == 304) {
        ASSERT(f->answer.body.n == 0);
    }
}

static struct fake *make(void)
{
    struct fake *f = fake_new(&(struct fake_opts){.level = CONSISTENCY_BOUNDED_STALENESS});
    fake_send(f, "POST", "/dbs", "{\"id\":\"db\"}");
    fake_header(f, "x-ms-offer-throughput", "20000");
    fake_send(f, "POST", "/dbs/db/colls",
              "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]},\"defaultTtl\":-1}");
    ASSERT(f->answer.status == 201);
    fake_send(f, "POST", "/dbs/db/users", "{\"id\":\"u\"}");
    ASSERT(f->answer.status == 201);
    for (int i = 0; i < 4; i++) {
        char body[64] = "{\"id\":\"0\",\"pk\":\"a\",\"n\":1}";
        body[7] = (char)('0' + i);
        fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
        fake_send(f, "POST", "/dbs/db/colls/c/docs", body);
        ASSERT(f->answer.status == 201);
    }
    return f;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request r;
    if (size > INPUT_MAX || !parse(str_make(data, size), &r)) {
        return 0;
    }
    struct fake *f = make();
    f->wait_err = ERR_SESSION_BEHIND;
    struct str full = f->key;
    lsn before = f->next_lsn;
    f->key = STR(key_read_only);
    send(f, &r);
    ASSERT(f->next_lsn == before);
    f->key = full;
    send(f, &r);
    fake_free(f);
    mem_free(r.method);
    mem_free(r.target);
    for (size_t i = 0; i < r.count; i++) {
        mem_free(r.names[i]);
        mem_free(r.values[i]);
    }
    return 0;
}
