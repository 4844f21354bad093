/* Endpoints of `holdfast up`: their names, and the certificate for all of them. See up_int.h. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/contract.h"
#include "base/files.h"
#include "base/log.h"
#include "manage/hosted.h"
#include "net/tls.h"
#include "server/up_int.h"

/* A region's name may have blanks and capitals, by which no two differ; a host name may not. */
static void endpoint_host(const struct up *up, const struct up_region *r, char ret[ENDPOINT_SIZE])
{
    char label[RECORD_NAME_MAX] = "";
    if (r != NULL && hosted_region_name(str_of(r->name), label, NULL) != OK) {
        memcpy(label, r->name, sizeof(label));
    }
    if (up->opts.host_suffix) {
        (void)snprintf(ret, ENDPOINT_SIZE, "%s%s%s.%s", up->opts.account, r ? "-" : "", label,
                       up->opts.host_suffix);
    } else {
        (void)snprintf(ret, ENDPOINT_SIZE, "127.0.0.1");
    }
}

void up_endpoint_url(const struct up *up, const struct up_region *r, char ret[ENDPOINT_SIZE])
{
    char host[ENDPOINT_SIZE];
    endpoint_host(up, r, host);
    int n = snprintf(ret, ENDPOINT_SIZE, "%s://%s:%u/", up->opts.has_tls ? "https" : "http", host,
                     r ? r->port : up->opts.port);
    ASSERT(n > 0 && n < ENDPOINT_SIZE); /* names and suffix were checked */
}

/* Of a file that is there, for processes with other working directories. Symbolic links stay what they
 * are: renewals are often done by pointing one elsewhere. */
static enum err absolute_path(const char *path, char ret[PATH_SIZE], struct errinfo *ei)
{
    char folder[PATH_SIZE] = "";
    bool is_fine = access(path, R_OK) == 0 && !strchr(path, '"') &&
                   (path[0] == '/' || getcwd(folder, sizeof(folder)) != NULL);
    int n = snprintf(ret, PATH_SIZE, "%s%s%s", folder, folder[0] ? "/" : "", path);
    if (!is_fine || n >= PATH_SIZE || strchr(folder, '"')) {
        return err_set(ei, ERR_CONFIG, "cannot use the file %s", path);
    }
    return OK;
}

static enum err check_tls_given(struct up *up, const char *const *hosts, struct errinfo *ei)
{
    const char *const from[] = {up->opts.tls_cert, up->opts.tls_key, up->opts.tls_ca};
    char *const to[] = {up->tls_cert, up->tls_key, up->tls_ca};
    for (size_t i = 0; i < ARRAY_COUNT(from); i++) {
        to[i][0] = '\0';
        if (from[i]) {
            TRY(absolute_path(from[i], to[i], ei));
        }
    }
    struct tls_pair pair;
    TRY(tls_pair_load(up->tls_cert, up->tls_key, (int64_t)(clock_wall_ms() / 1000), &pair, ei));
    enum err err = tls_pair_check_hosts(&pair, hosts, up->region_count + 1, ei);
    tls_pair_done(&pair);
    return err;
}

enum err up_prepare_tls(struct up *up, struct errinfo *ei)
{
    if (!up->opts.has_tls) {
        return OK;
    }
    STATIC_ASSERT(UP_NAMES_MAX + 1 <= TLS_HOSTS_MAX, "one certificate names them all");
    char names[UP_NAMES_MAX + 1][ENDPOINT_SIZE];
    const char *hosts[UP_NAMES_MAX + 1];
    for (size_t i = 0; i <= up->region_count; i++) {
        endpoint_host(up, i > 0 ? &up->regions[i - 1] : NULL, names[i]);
        hosts[i] = names[i];
    }
    if (up->opts.tls_cert) {
        return check_tls_given(up, hosts, ei);
    }
    char dir[PATH_SIZE];
    (void)snprintf(dir, sizeof(dir), "%s/tls", up->dir);
    TRY(files_mkdirs(dir, ei));
    bool is_new_ca = false;
    TRY(tls_make(dir, up->opts.account, hosts, up->region_count + 1,
                 (int64_t)(clock_wall_ms() / 1000), &is_new_ca, ei));
    if (is_new_ca && up->is_kept) {
        LOG_WARN("up", "new_authority", "file=%s/ca.pem", dir); /* clients must be told */
    }
    (void)snprintf(up->tls_cert, sizeof(up->tls_cert), "%s/tls/server.pem", up->dir);
    (void)snprintf(up->tls_key, sizeof(up->tls_key), "%s/tls/server.key", up->dir);
    (void)snprintf(up->tls_ca, sizeof(up->tls_ca), "%s/tls/ca.pem", up->dir);
    return OK;
}
