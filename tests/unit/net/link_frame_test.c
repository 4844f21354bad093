/* The bytes of a link: what is encoded is decoded, what is damaged is refused. */
#include "net/link_frame.h"

#include "lib/t.h"

static struct buf frame_of(enum link_frame_type type, struct str payload)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    link_frame_encode(&b, LINK_VERSION, type, &payload, 1);
    t_check(buf_ok(&b));
    return b;
}

T_TEST("frames are pinned byte by byte")
{
    struct buf b = frame_of(LINK_FRAME_DATA, STR("abc"));
    struct link_hello h = {
        .version_min = 1, .version_max = 1, .role = LINK_ROLE_DIALLER, .hello = STR("east")};
    memset(h.nonce, 7, sizeof(h.nonce));
    struct buf hello;
    buf_init(&hello, 4096);
    link_hello_encode(&hello, &h);
    struct str payload = buf_str(&hello);
    link_frame_encode(&b, LINK_VERSION, LINK_FRAME_HELLO, &payload, 1);
    struct crypto_hmac *key = crypto_hmac_new(STR("secret"));
    uint8_t proof[CRYPTO_SHA256_SIZE];
    link_proof_make(key, LINK_ROLE_DIALLER, 1, payload, STR("other"), proof);
    buf_add(&b, proof, sizeof(proof));
    t_golden("link_v1.bin", buf_str(&b));
    crypto_hmac_free(key);
    buf_done(&hello);
    buf_done(&b);
}

T_TEST("a frame made of parts reads back as one payload, one after another")
{
    struct buf b;
    buf_init(&b, 1 << 20);
    struct str parts[] = {STR("ab"), STR(""), STR("cde")};
    link_frame_encode(&b, 1, LINK_FRAME_DATA, parts, 3);
    link_frame_encode(&b, 1, LINK_FRAME_PING, NULL, 0);
    struct link_frame f;
    size_t need = 0;
    const char *why = NULL;
    t_eq_int(link_frame_decode(buf_str(&b), 100, &f, &need, &why), LINK_FRAME_OK);
    t_eq_lit(f.payload, "abcde");
    t_eq_int(f.type, LINK_FRAME_DATA);
    struct str rest = str_slice(buf_str(&b), f.size, b.n);
    t_eq_int(link_frame_decode(rest, 100, &f, &need, &why), LINK_FRAME_OK);
    t_eq_int(f.type, LINK_FRAME_PING);
    t_eq_u64(f.payload.n, 0);
    t_eq_u64(f.size, rest.n);
    buf_done(&b);
}

T_TEST("every cut of a frame asks for more")
{
    struct buf b = frame_of(LINK_FRAME_DATA, STR("payload"));
    for (size_t n = 0; n < b.n; n++) {
        struct link_frame f;
        size_t need = 0;
        const char *why = NULL;
        t_eq_int(link_frame_decode(str_make(b.p, n), 100, &f, &need, &why), LINK_FRAME_MORE);
        t_check(need > n && need <= b.n);
    }
    buf_done(&b);
}

T_TEST("every flipped bit is noticed")
{
    struct buf b = frame_of(LINK_FRAME_DATA, STR("payload"));
    for (size_t bit = 0; bit < b.n * 8; bit++) {
        b.p[bit / 8] = (char)(b.p[bit / 8] ^ (1 << (bit % 8)));
        struct link_frame f;
        size_t need = 0;
        const char *why = NULL;
        enum link_frame_outcome o = link_frame_decode(buf_str(&b), 1000, &f, &need, &why);
        t_checkf(o != LINK_FRAME_OK, "bit %zu", bit); /* a longer length asks for more */
        b.p[bit / 8] = (char)(b.p[bit / 8] ^ (1 << (bit % 8)));
    }
    buf_done(&b);
}

T_TEST("a payload at the cap is taken, one byte more is refused on its header")
{
    struct buf b = frame_of(LINK_FRAME_DATA, STR("12345678"));
    struct link_frame f;
    size_t need = 0;
    const char *why = NULL;
    t_eq_int(link_frame_decode(buf_str(&b), 8, &f, &need, &why), LINK_FRAME_OK);
    struct str head = str_slice(buf_str(&b), 0, LINK_FRAME_HEADER_SIZE);
    t_eq_int(link_frame_decode(head, 7, &f, &need, &why), LINK_FRAME_BAD);
    t_eq_cstr(why, "frame too long");
    buf_done(&b);
}

T_TEST("a hello reads back; wrong ones are refused")
{
    struct link_hello h = {
        .version_min = 1, .version_max = 3, .role = LINK_ROLE_ACCEPTOR, .hello = STR("x")};
    memset(h.nonce, 9, sizeof(h.nonce));
    struct buf b;
    buf_init(&b, 4096);
    link_hello_encode(&b, &h);
    struct link_hello got;
    t_check(link_hello_decode(buf_str(&b), &got));
    t_eq_int(got.version_max, 3);
    t_eq_str(got.hello, h.hello);
    t_check(memcmp(got.nonce, h.nonce, sizeof(h.nonce)) == 0);
    for (size_t n = 0; n < b.n; n++) {
        t_check(!link_hello_decode(str_make(b.p, n), &got));
    }
    buf_add_u8(&b, 0);
    t_check(!link_hello_decode(buf_str(&b), &got)); /* something after it */
    b.n--;
    b.p[2] = 3;
    t_check(!link_hello_decode(buf_str(&b), &got)); /* no such role */
    b.p[2] = 1;
    b.p[0] = 4;
    t_check(!link_hello_decode(buf_str(&b), &got)); /* lowest above highest */
    buf_done(&b);
}

T_TEST("versions agree on the lower of the two highest, or not at all")
{
    struct link_hello old = {.version_min = 1, .version_max = 2};
    struct link_hello new = {.version_min = 2, .version_max = 5};
    struct link_hello newest = {.version_min = 3, .version_max = 9};
    t_eq_int(link_hello_agree(&old, &new), 2);
    t_eq_int(link_hello_agree(&new, &old), 2);
    t_eq_int(link_hello_agree(&new, &newest), 5);
    t_eq_int(link_hello_agree(&old, &newest), 0);
    t_eq_int(link_hello_agree(&newest, &old), 0);
}

T_TEST("a proof depends on key, role, version and both hellos")
{
    struct crypto_hmac *key = crypto_hmac_new(STR("secret"));
    struct crypto_hmac *other = crypto_hmac_new(STR("Secret"));
    uint8_t p[6][CRYPTO_SHA256_SIZE];
    link_proof_make(key, LINK_ROLE_DIALLER, 1, STR("a"), STR("b"), p[0]);
    link_proof_make(other, LINK_ROLE_DIALLER, 1, STR("a"), STR("b"), p[1]);
    link_proof_make(key, LINK_ROLE_ACCEPTOR, 1, STR("a"), STR("b"), p[2]);
    link_proof_make(key, LINK_ROLE_DIALLER, 2, STR("a"), STR("b"), p[3]);
    link_proof_make(key, LINK_ROLE_DIALLER, 1, STR("c"), STR("b"), p[4]);
    link_proof_make(key, LINK_ROLE_DIALLER, 1, STR("a"), STR("c"), p[5]);
    for (int i = 0; i < 6; i++) {
        for (int j = 0; j < i; j++) {
            t_check(memcmp(p[i], p[j], CRYPTO_SHA256_SIZE) != 0);
        }
    }
    crypto_hmac_free(key);
    crypto_hmac_free(other);
}

T_MAIN()
