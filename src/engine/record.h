/* Keys and records of the document level (doc/format/engine.md is normative). Private to
 * src/engine, its tests and the fuzz target.
 *
 * Keys are built so that memcmp order is the order wanted: a prefix byte, then big-endian numbers
 * and raw key bytes at the end. Records start with a magic byte and a version byte and carry a
 * CRC-32C that also covers their key: a row served under another key is found out.
 *
 * Decoders accept anything: ERR_CORRUPT or ERR_FORMAT_NEWER, with *ret_why set to a static text. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "engine/engine.h"
#include "engine/kv.h"

enum { RECORD_VERSION = 1 };

/* First byte of the keys in KV_MAIN and KV_INDEX; keys in KV_LOG have none. */
enum record_prefix {
    /* KV_MAIN */
    PREFIX_KV = 0x01,    /* name                 -> named value */
    PREFIX_META = 0x02,  /* pid                  -> meta */
    PREFIX_DROP = 0x03,  /* pid                  -> mark: the partition is being removed */
    PREFIX_DIRTY = 0x04, /* pid space key        -> mark */
    PREFIX_DOC = 0x10,   /* pid space key        -> document */
    /* KV_INDEX */
    PREFIX_CHANGE = 0x01, /* pid lsn op_idx      -> document key */
    PREFIX_EXPIRY = 0x02, /* pid expire_at key   -> mark */
    PREFIX_UNIQUE = 0x03, /* pid unique          -> document key */
};

/* Magic byte per kind of record. */
enum record_magic {
    MAGIC_DOC = 0xd1,
    MAGIC_META = 0xd2,
    MAGIC_LOG = 0xd3,
    MAGIC_KV = 0xd4,
    MAGIC_KEY = 0xd5,  /* index row: payload is a document key */
    MAGIC_MARK = 0xd6, /* no payload */
};

enum {
    RECORD_DOC_HEADER_SIZE = 72,
    RECORD_DOC_UNIQUES_SIZE_MAX = ENGINE_UNIQUE_MAX * (2 + ENGINE_KEY_SIZE_MAX),
    RECORD_DOC_HEAD_SIZE_MAX = RECORD_DOC_HEADER_SIZE + RECORD_DOC_UNIQUES_SIZE_MAX,
    RECORD_SMALL_HEADER_SIZE = 6, /* magic, version, crc */
    RECORD_LOG_HEADER_SIZE = 2,   /* magic, version: the entry carries its own checksum */
    RECORD_META_FIXED_SIZE = RECORD_SMALL_HEADER_SIZE + 10 * 8 + 4,
    RECORD_META_EXTRA_MAX = 1 << 20,
};

/* ---- keys ---- */
struct record_key {
    size_t n;
    char p[KV_KEY_SIZE_MAX];
};
static inline struct str record_key_str(const struct record_key *k)
{
    return (struct str){k->p, k->n};
}

void record_key_kv(struct record_key *k, struct str name);
void record_key_meta(struct record_key *k, pid p);
void record_key_drop(struct record_key *k, pid p);
void record_key_dirty(struct record_key *k, pid p, enum engine_space space, struct str key);
void record_key_doc(struct record_key *k, pid p, enum engine_space space, struct str key);
void record_key_log(struct record_key *k, pid p, lsn at);
void record_key_change(struct record_key *k, pid p, lsn at, uint16_t op_idx);
void record_key_expiry(struct record_key *k, pid p, uint64_t expire_at, struct str key);
void record_key_unique(struct record_key *k, pid p, struct str unique);
/* Start of all rows of a partition with that prefix; the range ends at record_key_after(). For
 * KV_LOG the prefix is RECORD_NO_PREFIX. */
enum { RECORD_NO_PREFIX = -1 };
void record_key_begin(struct record_key *k, int prefix, pid p);
/* Turns a prefix into the smallest key above everything that starts with it; n = 0: there is none. */
void record_key_after(struct record_key *k);

/* What a key says; unused fields are 0. False: no key that we write. */
struct record_key_parts {
    enum record_prefix prefix; /* KV_MAIN, KV_INDEX */
    pid pid;
    enum engine_space space;
    lsn lsn;
    uint16_t op_idx;
    uint64_t expire_at;
    struct str key; /* document key, unique or name; points into the row's key */
};
bool record_key_parse(enum kv_table t, struct str row_key, struct record_key_parts *ret);

/* ---- documents ---- */
/* Appends header and uniques to `out`; the text follows as it is. */
void record_doc_encode(struct str row_key, const struct engine_doc *doc, struct buf *out);
/* Uniques are put into `uniques`, which ret points to. Without `want_text` the text is neither
 * checked nor given; ret->version.doc_size is always the text's size. */
enum err record_doc_decode(struct str row_key, struct str record, bool want_text,
                           struct str uniques[ENGINE_UNIQUE_MAX], struct engine_doc *ret,
                           const char **ret_why) MUST_CHECK;
/* Bytes before the text, once record_doc_decode has accepted the record. */
size_t record_doc_head_size(struct str record);

/* ---- small records ---- */
void record_small_encode(enum record_magic magic, struct str row_key, struct str payload,
                         struct buf *out);
/* ret_payload points into `record`. */
enum err record_small_decode(enum record_magic magic, struct str row_key, struct str record,
                             struct str *ret_payload, const char **ret_why) MUST_CHECK;

void record_meta_encode(struct str row_key, const struct engine_part_meta *meta, struct buf *out);
enum err record_meta_decode(struct str row_key, struct str record, struct engine_part_meta *ret,
                            const char **ret_why) MUST_CHECK;

/* Log entry: header only; the entry's bytes follow. */
void record_log_head(char ret[RECORD_LOG_HEADER_SIZE]);
enum err record_log_decode(struct str record, struct str *ret_entry,
                           const char **ret_why) MUST_CHECK;
