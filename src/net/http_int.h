/* The two halves of the HTTP server: http_server.c has the listeners and the life of the daemons,
 * http_exchange.c the life of one request. */
#pragma once

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "net/http_cert_int.h"
#include "net/http_server.h"

enum {
    /* Memory of libmicrohttpd per connection. It is zeroed after every request, used or not, which
     * makes it a cost per request, and pushes everything else out of the nearest cache: beside 64 KiB
     * a request costs 14 % less with 44 and 20 % less with 32. Must hold HTTP_HEADERS_SIZE_MAX of
     * request head, the index of its fields and the head of the answer. */
    HTTP_POOL_SIZE = 44 << 10,
    HTTP_LISTENERS_MAX = 64,
    HTTP_LISTENER_NAME_SIZE = 64,
    /* A body over the cap is read and dropped up to here, so that the sender gets to read the
     * refusal instead of a reset connection. */
    HTTP_DRAIN_SIZE_MAX = 32 << 20,
    HTTP_REFUSAL_SIZE_MAX = 16 << 10,
};

struct http_server {
    struct http_server_opts opts; /* defaults filled in */
    pthread_mutex_t lock;     /* guards the lists; never held while calling libmicrohttpd's stop */
    struct list listeners;    /* struct http_listener.link: accepting */
    struct list retired;      /* accepting no more, connections left */
    size_t listener_count;    /* both lists */
    struct http_certs *certs; /* owned; NULL: plain HTTP, or nothing is listened to yet */
    atomic_ulong connections, requests, bytes_in, bytes_out, refused;
};

struct http_listener {
    struct http_server *server;
    char name[HTTP_LISTENER_NAME_SIZE];
    struct MHD_Daemon *daemon;
    int fd; /* our duplicate */
    struct list link;
    pthread_mutex_t lock;   /* guards conns and conn_count */
    pthread_cond_t emptied; /* conn_count fell to 0 */
    struct list conns;      /* struct http_conn.link */
    size_t conn_count;
    atomic_bool is_draining;  /* every answer closes its connection */
    atomic_uint parked_count; /* exchanges between suspension and the end of their resumption */
};

struct http_conn_state;
/* One TCP connection. Owned by libmicrohttpd's socket context and used by its thread, but for
 * is_busy and for `current`, which is changed under listener.lock. */
struct http_conn {
    struct list link; /* in listener.conns */
    struct http_listener *listener;
    int fd;
    struct http_cert *cert;          /* a reference; NULL: plain */
    atomic_bool is_busy;             /* a request is being read or answered */
    struct http_conn_state *current; /* of the present request, kept for the next one */
};

/* RUNNING -> ANSWERED: answered before the handler returned (the connection never slept)
 * RUNNING -> PARKED -> ANSWERED: answered later; the answering thread resumes the connection
 * PARKED -> ABANDONED: the server gave up waiting; a late answer is thrown away */
enum http_exchange_state {
    EXCHANGE_READING,
    EXCHANGE_RUNNING,
    EXCHANGE_PARKED,
    EXCHANGE_ANSWERED,
    EXCHANGE_ABANDONED,
};

struct http_header_cstr {
    char *name;
    char *value;
};

/* One request and its answer. Two owners, the connection and the handler's side; the last one to
 * leave frees it. */
struct http_conn_state {
    struct http_req req;
    atomic_int state;
    atomic_int refs;
    struct http_listener *listener; /* gone once ABANDONED: its name is kept here */
    char listener_name[HTTP_LISTENER_NAME_SIZE];
    struct MHD_Connection *mhd; /* valid until PARKED is left */
    bool has_head;
    int refuse_status;      /* not 0: drop the body, answer this */
    const char *refuse_why; /* static text */
    uint64_t body_seen;     /* bytes received, kept or dropped */
    struct buf body;
    /* The answer; everything in req.arena but `out_body`. */
    int status;
    struct http_header_cstr headers[HTTP_RESPONSE_HEADERS_MAX];
    size_t header_count;
    bool is_closing;
    char *out_body; /* owned when is_out_body_owned */
    size_t out_body_size;
    bool is_out_body_owned;
};

/* Callbacks for MHD_start_daemon; cls is the listener. */
void http_on_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
                        enum MHD_ConnectionNotificationCode code);
/* For GnuTLS. */
int http_on_handshake(gnutls_session_t session, const gnutls_datum_t *authorities,
                      int authority_count, const gnutls_pk_algorithm_t *algorithms,
                      int algorithm_count, gnutls_pcert_st **ret_chain, unsigned *ret_count,
                      gnutls_privkey_t *ret_key);
void *http_on_uri(void *cls, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result http_on_access(void *cls, struct MHD_Connection *mhd, const char *url,
                               const char *method, const char *version, const char *upload_data,
                               size_t *upload_data_size, void **con_cls);
void http_on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
                       enum MHD_RequestTerminationCode toe);
size_t http_on_unescape(void *cls, struct MHD_Connection *mhd, char *s);

void http_exchange_ref(struct http_conn_state *x);
void http_exchange_unref(struct http_conn_state *x);
/* Answers a parked exchange with 503 on behalf of a handler that never came; no-op otherwise. */
void http_exchange_abandon(struct http_conn_state *x);
