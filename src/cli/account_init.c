/* See account_init.h. */
#include "cli/account_init.h"

#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "coord/secret.h"
#include "manage/hosted.h"
#include "server/create.h"
#include "json/json.h"

static enum err fill(const struct account_start *s, char region[RECORD_NAME_MAX],
                     struct create_opts *o, struct errinfo *ei)
{
    *o = (struct create_opts){.account = s->name,
                              .region = region,
                              .coordinator = s->coordinator,
                              .level = CONSISTENCY_SESSION,
                              .max_staleness_ops = s->max_staleness_ops,
                              .max_staleness_s = s->max_staleness_s};
    TRY(hosted_check_account(str_of(s->name), ei));
    if (s->regions.n == 0 || str_find_char(s->regions, ',') >= 0) {
        err_set(ei, ERR_USAGE, "account init makes an account with one region");
        err_hint(ei, "give --regions NAME, the one that writes first; the others follow with "
                     "`holdfast account regions add NAME`");
        return ERR_USAGE;
    }
    TRY(hosted_region_name(s->regions, region, ei));
    if (s->level[0] && !consistency_parse(str_of(s->level), &o->level)) {
        err_set(ei, ERR_USAGE, "unknown consistency level '%s'", s->level);
        err_hint(ei, "one of Strong, BoundedStaleness, Session, ConsistentPrefix, Eventual");
        return ERR_USAGE;
    }
    bool has_bounds = s->max_staleness_ops > 0 || s->max_staleness_s > 0;
    if (has_bounds && o->level != CONSISTENCY_BOUNDED_STALENESS) {
        return err_set(ei, ERR_USAGE, "only BoundedStaleness has bounds");
    }
    if (!s->secret_file[0]) {
        err_set(ei, ERR_USAGE, "the coordinator's secret is missing");
        err_hint(ei, "give --secret-file F, the one that the coordinator itself has");
        return ERR_USAGE;
    }
    return OK;
}

static void print_json(const char *name, const char *region, const char *key)
{
    struct buf text;
    struct json_out o;
    buf_init(&text, 4096);
    json_out_init(&o, &text);
    json_out_object(&o);
    json_out_member_cstr(&o, "account", name);
    json_out_member_cstr(&o, "region", region);
    json_out_member_cstr(&o, "key", key);
    json_out_object_end(&o);
    printf(STR_FMT "\n", STR_ARG(buf_str(&text)));
    buf_done_secret(&text);
}

enum err account_init_run(const struct account_start *s, struct errinfo *ei)
{
    struct create_opts o;
    struct coord_secrets secrets;
    char region[RECORD_NAME_MAX];
    char key[CREATE_KEY_SIZE];
    TRY(fill(s, region, &o, ei));
    TRY(coord_secrets_read(s->secret_file, &secrets, ei));
    o.secrets = &secrets;
    enum err err = create_account(&o, key, ei);
    explicit_bzero(&secrets, sizeof(secrets));
    if (err == OK && s->prints_json) {
        print_json(s->name, region, key);
    } else if (err == OK) {
        printf("account %s is made; it serves once the server of region %s runs\n\n"
               "  key  %s\n\n"
               "Then, with --endpoint of a front and this key as HOLDFAST_KEY:\n"
               "  holdfast account show              is it there?\n"
               "  holdfast account regions add NAME  the next region, while its server runs\n",
               s->name, region, key);
    }
    explicit_bzero(key, sizeof(key));
    return err;
}
