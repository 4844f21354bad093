/* The directory of `holdfast up` and what is kept in it: account.json, the management token, and what
 * a ready file says. See up.h. An earlier start's decisions are read back; options may repeat them. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "account/region.h"
#include "base/arena.h"
#include "base/codec.h"
#include "base/contract.h"
#include "base/files.h"
#include "base/mem.h"
#include "base/rng.h"
#include "manage/hosted.h"
#include "manage/manage.h"
#include "server/up_int.h"
#include "json/json.h"

enum err up_open_dir(struct up *up, struct errinfo *ei)
{
    const char *dir = up->opts.dir;
    char path[PATH_SIZE];
    enum err made = files_mkdirs(dir, ei);
    if (made != OK) {
        err_hint(ei, "give a directory that can be written with --dir");
        return made;
    }
    char *resolved = realpath(dir, NULL);
    if (!resolved || strlen(resolved) >= sizeof(up->dir)) {
        err_set(ei, ERR_IO, "cannot resolve directory %s: %s", dir,
                resolved ? "too long" : err_errno_text(errno));
        free(resolved);
        return ERR_IO;
    }
    memcpy(up->dir, resolved, strlen(resolved) + 1);
    free(resolved);
    (void)snprintf(path, sizeof(path), "%s/LOCK", up->dir);
    up->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (up->lock_fd < 0) {
        err_set(ei, ERR_IO, "cannot open %s: %s", path, err_errno_text(errno));
        err_hint(ei, "give a directory that can be written with --dir");
        return ERR_IO;
    }
    if (flock(up->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        err_set(ei, ERR_IN_USE, "directory %s is in use by another holdfast", up->dir);
        err_hint(ei, "stop the other one, or give another directory with --dir");
        return ERR_IN_USE;
    }
    (void)snprintf(path, sizeof(path), "%s/FORMAT", up->dir);
    struct buf text;
    buf_init(&text, 256);
    enum err err = files_read(path, &text, ei);
    if (err == OK) {
        struct str word;
        struct str number;
        uint64_t format = 0;
        if (!str_split(str_trim(buf_str(&text)), ' ', &word, &number) ||
            !str_eq(word, STR("holdfast-data")) || !str_to_u64(number, &format)) {
            err = err_set(ei, ERR_CONFIG,
                          "%s is not a directory of `holdfast up`: its FORMAT is of something else",
                          up->dir);
            err_hint(ei, "give another directory with --dir");
        } else if (format > FORMAT_NOW) {
            err = err_set(ei, ERR_FORMAT_NEWER,
                          "%s has format %" PRIu64 ", this program knows up to %d", up->dir, format,
                          FORMAT_NOW);
            err_hint(ei, "run the newer version that wrote it");
        }
    } else if (err == ERR_NOT_FOUND) {
        err = files_write_durable(path, STR("holdfast-data 1\n"), 0600, ei);
    }
    buf_done(&text);
    TRY(err);
    static const char *const subs[] = {"run", "coordinator", "regions"};
    for (size_t i = 0; i < ARRAY_COUNT(subs); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", up->dir, subs[i]);
        TRY(files_mkdirs(path, ei));
    }
    return OK;
}

void up_random_base64(char *ret, size_t size, size_t bytes)
{
    unsigned char raw[KEY_BYTES];
    ASSERT(bytes <= sizeof(raw));
    rng_os_bytes(raw, bytes);
    struct buf text;
    buf_init(&text, size);
    codec_base64(&text, str_make(raw, bytes));
    ASSERT(buf_ok(&text) && text.n < size);
    memcpy(ret, text.p, text.n);
    ret[text.n] = '\0';
    buf_done_secret(&text);
    explicit_bzero(raw, sizeof(raw));
}

enum err up_check_kept(const struct up *up, const char *what, const char *option, struct str kept,
                       struct str asked, bool is_given, struct errinfo *ei)
{
    if (!is_given || str_eq(kept, asked)) {
        return OK;
    }
    err_set(ei, ERR_CONFIG, "%s has %s '" STR_FMT "', not '" STR_FMT "'", up->dir, what,
            STR_ARG(kept), STR_ARG(asked));
    err_hint(ei, "leave %s out, or start another account with another --dir", option);
    return ERR_CONFIG;
}

/* Of the coordinator: the file, which an operator may have changed, goes over account.json. */
static enum err load_secrets(struct up *up, struct str kept, struct errinfo *ei)
{
    if (up->opts.secret_file) { /* of another `up` */
        (void)snprintf(up->secret_path, PATH_SIZE, "%s", up->opts.secret_file);
        return coord_secrets_read(up->secret_path, &up->secrets, ei);
    }
    (void)snprintf(up->secret_path, PATH_SIZE, "%s/run/coordinator.secret", up->dir);
    struct errinfo why = {0};
    enum err err = coord_secrets_read(up->secret_path, &up->secrets, &why);
    if (err == OK) {
        return OK;
    }
    if (err != ERR_NOT_FOUND) {
        err_hint(&why, "without the file the last one is used"); /* unless there is a better one */
        return err_pass(ei, err, &why);
    }
    char made[64];
    if (kept.n == 0 || kept.n > COORD_SECRET_SIZE_MAX) {
        up_random_base64(made, sizeof(made), SECRET_BYTES);
        kept = str_of(made);
    }
    up->secrets = coord_secrets_of(kept);
    err = files_write_durable(up->secret_path, kept, 0600, ei);
    explicit_bzero(made, sizeof(made));
    return err;
}

/* The management interface belongs to whoever can read the directory. */
enum err up_save_token(struct up *up, struct errinfo *ei)
{
    char path[PATH_SIZE];
    char token[64];
    (void)snprintf(path, sizeof(path), "%s/management.token", up->dir);
    if (up->opts.management_token) {
        return files_write_durable(path, str_of(up->opts.management_token), 0600, ei);
    }
    char kept[FILES_SECRET_SIZE];
    size_t size = 0;
    struct errinfo why = {0};
    enum err err = files_read_secret(path, kept, &size, &why);
    explicit_bzero(kept, sizeof(kept));
    if (err == OK && size < MANAGE_TOKEN_SIZE_MIN) {
        err = err_set(&why, ERR_CONFIG, "the token in %s has fewer than %d characters", path,
                      MANAGE_TOKEN_SIZE_MIN);
    }
    if (err == ERR_NOT_FOUND) {
        up_random_base64(token, sizeof(token), TOKEN_BYTES);
        err = files_write_durable(path, str_of(token), 0600, ei);
        explicit_bzero(token, sizeof(token));
        return err;
    }
    if (err !=
        OK) { /* told here, not by a front that does not start, or keeps its interface closed */
        err_hint(&why, "remove the file and a token is made");
        return err_pass(ei, err, &why);
    }
    return OK;
}

static enum err damaged(const char *path, const char *why, struct errinfo *ei)
{
    (void)err_set(ei, ERR_CORRUPT, "%s is damaged: %s", path, why);
    err_hint(ei, "put back a copy of it: it has the names of the account and its regions, and the "
                 "coordinator's secret");
    return ERR_CORRUPT;
}

/* `v`: as in account.json, NULL when the account is new. False: its name or its port is another's. */
static bool load_region(struct up *up, const struct json *v, struct str name, bool is_member)
{
    uint64_t slot = 0;
    if (up->region_count == UP_NAMES_MAX) {
        return false;
    }
    struct up_region *r = &up->regions[up->region_count];
    r->slot = v && json_get_u64(v, STR("slot"), &slot) && slot < UP_NAMES_MAX ? (unsigned)slot
                                                                              : up_free_slot(up);
    for (size_t i = 0; i < up->region_count; i++) {
        if (str_eq(name, str_of(up->regions[i].name)) || up->regions[i].slot == r->slot) {
            return false;
        }
    }
    up->region_count++;
    r->up = up;
    r->is_member = is_member;
    memcpy(r->name, name.p, name.n);
    return true;
}

/* list NULL: there are none. */
static enum err load_regions(struct up *up, const struct json *list, bool is_member,
                             const char *path, struct errinfo *ei)
{
    for (size_t i = 0; list && list->type == JSON_ARRAY && i < list->count; i++) {
        struct str name = STR_NONE;
        if (!json_get_str(list->items[i], STR("name"), &name) ||
            account_check_region_name(name, NULL) != OK) {
            return damaged(path, "a region has no name that a region can have", ei);
        }
        if (!load_region(up, list->items[i], name, is_member)) {
            return damaged(path, "two regions have one name or one place, or there are too many",
                           ei);
        }
    }
    return OK;
}

static bool is_as_asked(const struct up *up)
{
    bool is_same = up->region_count == up->opts.region_count;
    for (size_t i = 0; is_same && i < up->region_count; i++) {
        is_same = strcmp(up->regions[i].name, up->opts.regions[i]) == 0;
    }
    return is_same;
}

/* What an earlier start decided is kept; options may repeat it but not contradict it. */
enum err up_load_account(struct up *up, struct errinfo *ei)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/account.json", up->dir);
    struct buf text;
    struct arena arena;
    buf_init(&text, 64 << 10);
    arena_init(&arena);
    const struct json *doc = NULL;
    struct str secret = STR_NONE;
    enum err ret = OK;
    struct errinfo why = {0};
    enum err err = files_read(path, &text, &why);
    up->is_kept = err == OK;
    if (err != OK && err != ERR_NOT_FOUND) { /* there is one: this is no new account */
        ret = err_pass(ei, err, &why);
        goto out;
    }
    if (up->is_kept) {
        struct str s;
        if (json_parse(&arena, buf_str(&text), NULL, &doc, &why) != OK) {
            ret = damaged(path, why.message, ei);
            goto out;
        }
        const struct json *regions = json_get(doc, STR("regions"));
        if (!json_get_str(doc, STR("account"), &s) || regions == NULL ||
            regions->type != JSON_ARRAY || regions->count == 0) {
            ret = damaged(path, "parts are missing", ei);
            goto out;
        }
        if (hosted_check_account(s, NULL) != OK) {
            ret = damaged(path, "the account has no name that an account can have", ei);
            goto out;
        }
        TRY_GOTO(up_check_kept(up, "account", "--account", s, str_of(up->opts.account),
                               up->opts.has_account, ei),
                 out);
        up->opts.account = mem_strdup(arena_cstr(&arena, s)); /* lives as long as the process */
        if (json_get_str(doc, STR("engine"), &s)) {
            TRY_GOTO(up_check_kept(up, "engine", "--engine", s, str_of(up->opts.engine),
                                   up->opts.has_engine, ei),
                     out);
            up->opts.engine = mem_strdup(arena_cstr(&arena, s));
        }
        (void)json_get_str(doc, STR("coordinatorSecret"), &secret); /* else a new one is made */
        if (json_get_str(doc, STR("key"), &s) && s.n < sizeof(up->key)) {
            memcpy(up->key, s.p, s.n);
        }
        TRY_GOTO(load_regions(up, regions, /* is_member= */ true, path, ei), out);
        if (up->opts.has_regions && !is_as_asked(up)) {
            ret = err_set(ei, ERR_CONFIG, "the account in %s has other regions than --regions says",
                          up->dir);
            err_hint(ei, "leave --regions out, or start another account with another --dir");
            goto out;
        }
        TRY_GOTO(
            load_regions(up, json_get(doc, STR("formerRegions")), /* is_member= */ false, path, ei),
            out);
    } else {
        for (size_t i = 0; i < up->opts.region_count; i++) {
            bool is_loaded =
                load_region(up, NULL, str_of(up->opts.regions[i]), /* is_member= */ true);
            ASSERT(is_loaded); /* the options were checked */
        }
    }
    if (up->opts.key) {
        (void)snprintf(up->key, sizeof(up->key), "%s", up->opts.key);
    } else if (!up->key[0]) {
        up_random_base64(up->key, sizeof(up->key), KEY_BYTES);
    }
    TRY_GOTO(load_secrets(up, secret, ei), out);
    (void)snprintf(up->prefix, sizeof(up->prefix), COORD_PREFIX "%s/", up->opts.account);
out:
    arena_done(&arena);
    buf_done_secret(&text);
    return ret;
}

static void regions_json(struct up *up, struct json_out *o, bool with_pids)
{
    json_out_array(o);
    for (size_t i = 0; i < up->region_count; i++) {
        char endpoint[ENDPOINT_SIZE];
        if (!up->regions[i].is_member) {
            continue;
        }
        up_endpoint_url(up, &up->regions[i], endpoint);
        json_out_object(o);
        json_out_member_cstr(o, "name", up->regions[i].name);
        json_out_member_cstr(o, "endpoint", endpoint);
        if (with_pids) {
            json_out_member_u64(o, "pid", (uint64_t)sup_child_pid(up->regions[i].child));
        } else {
            json_out_member_u64(o, "slot", up->regions[i].slot);
        }
        json_out_object_end(o);
    }
    json_out_array_end(o);
}

/* Regions that were removed: added back they get their directory and their port again. */
static void former_json(struct up *up, struct json_out *o)
{
    json_out_array(o);
    for (size_t i = 0; i < up->region_count; i++) {
        if (!up->regions[i].is_member) {
            json_out_object(o);
            json_out_member_cstr(o, "name", up->regions[i].name);
            json_out_member_u64(o, "slot", up->regions[i].slot);
            json_out_object_end(o);
        }
    }
    json_out_array_end(o);
}

/* Whom clients must trust for https, when the system does not know it. */
static void put_ca(const struct up *up, struct json_out *o)
{
    if (up->tls_ca[0]) {
        json_out_member_cstr(o, "ca", up->tls_ca);
    }
}

enum err up_save_account(struct up *up, struct errinfo *ei)
{
    struct buf text;
    struct json_out o;
    buf_init(&text, 64 << 10);
    json_out_init(&o, &text);
    json_out_object(&o);
    json_out_member_u64(&o, "format", FORMAT_NOW);
    json_out_member_cstr(&o, "account", up->opts.account);
    char endpoint[ENDPOINT_SIZE];
    up_endpoint_url(up, NULL, endpoint);
    json_out_member_cstr(&o, "endpoint", endpoint);
    put_ca(up, &o);
    json_out_member_cstr(&o, "key", up->key);
    json_out_member_cstr(&o, "engine", up->opts.engine);
    (void)snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u", up->coord_port);
    json_out_member_cstr(&o, "coordinator", endpoint);
    json_out_member_str(&o, "coordinatorSecret", coord_secret(&up->secrets, 0));
    json_out_key(&o, "faultProxy");
    if (up->opts.has_fault_proxy) {
        (void)snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%u", up->control_port);
        json_out_cstr(&o, endpoint);
    } else {
        json_out_null(&o);
    }
    json_out_member_u64(&o, "supervisorPid", (uint64_t)getpid());
    json_out_key(&o, "regions");
    regions_json(up, &o, false);
    json_out_key(&o, "formerRegions");
    former_json(up, &o);
    json_out_object_end(&o);
    buf_add_char(&text, '\n');
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/account.json", up->dir);
    enum err err = files_write_durable(path, buf_str(&text), 0600, ei);
    buf_done_secret(&text);
    return err;
}

enum err up_write_ready_file(struct up *up, struct errinfo *ei)
{
    struct buf text;
    struct json_out o;
    char endpoint[ENDPOINT_SIZE];
    buf_init(&text, 64 << 10);
    json_out_init(&o, &text);
    json_out_object(&o);
    up_endpoint_url(up, NULL, endpoint);
    json_out_member_cstr(&o, "endpoint", endpoint);
    put_ca(up, &o);
    json_out_member_cstr(&o, "key", up->key);
    json_out_key(&o, "regions");
    regions_json(up, &o, true);
    json_out_object_end(&o);
    buf_add_char(&text, '\n');
    enum err err = files_write_durable(up->opts.ready_file, buf_str(&text), 0600, ei);
    buf_done_secret(&text);
    return err;
}
