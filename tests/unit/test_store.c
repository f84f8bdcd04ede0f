/*
 * The store on the host: the tree and the protocol above it, with memory that
 * can be made to run out.  Tests named S1 to S12 defend the rows of the
 * security catalogue.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guests/control/store_ops.h"
#include "lib/errno.h"

#define must(cond)                                                             \
    do {                                                                       \
        if (!(cond))                                                           \
            ck_abort_msg("line %d: %s", __LINE__, #cond);                      \
    } while (0)

/* ---- Memory: counted, and failing on request. ---- */

static long blocks, allocations, fail_at; /* fail_at 0: never */

void *tree_alloc(size_t size)
{
    void *p;

    if (++allocations == fail_at)
        return NULL;
    p = malloc(size);
    must(p);
    memset(p, 0xa5, size);
    blocks++;
    return p;
}

void tree_free(void *p)
{
    if (p)
        blocks--;
    free(p);
}

/* ---- A store with three connections: 0 is privileged. ---- */

#define CONNS 12

static struct xs xs;
static struct xs_conn *conn[CONNS];

static struct {
    uint32_t type, tx, length;
    char text[XENSTORE_PAYLOAD_MAX + 1];
} answer;
static unsigned int nr_events;
static char last_event[2 * XENSTORE_PAYLOAD_MAX]; /* "path token" */

static void open_domain(unsigned int i)
{
    if (i)
        ck_assert_int_eq(tree_domain_add(xs.tree, (uint16_t)i, false), 0);
    conn[i] = malloc(sizeof(*conn[i]));
    xs_conn_open(&xs, conn[i], (uint16_t)i);
}

static void close_domain(unsigned int i)
{
    xs_conn_close(conn[i]);
    free(conn[i]);
    conn[i] = NULL;
    if (i)
        tree_domain_remove(xs.tree, (uint16_t)i);
}

static void setup(void)
{
    blocks = allocations = fail_at = 0;
    memset(conn, 0, sizeof(conn));
    ck_assert_int_eq(xs_create(&xs), 0);
    for (unsigned int i = 0; i < 3; i++)
        open_domain(i);
}

/* Counters of domains and the tree itself must tell the same. */
static void check_counts(void)
{
    uint32_t sum = 1; /* the root is nobody's */

    for (unsigned int i = 0; i < 40; i++)
        sum += tree_domain_nodes(xs.tree, (uint16_t)i);
    ck_assert_uint_eq(sum, tree_nodes(xs.tree));
}

static void teardown(void)
{
    fail_at = 0;
    check_counts();
    for (unsigned int i = 0; i < CONNS; i++)
        if (conn[i])
            close_domain(i);
    xs_destroy(&xs);
    ck_assert_int_eq(blocks, 0);
}

/* Take one whole message off a connection, in odd pieces: its type, or -1. */
static int receive(struct xs_conn *c, struct xsd_sockmsg *header, char *payload)
{
    uint8_t message[XS_MESSAGE_MAX];
    uint32_t got = 0, want = sizeof(*header);
    const uint8_t *bytes;

    while (got < want) {
        uint32_t n = xs_to_send(c, &bytes);

        if (n == 0) {
            ck_assert_uint_eq(got, 0);
            return -1;
        }
        n = n > 7 ? 7 : n;
        must(got + n <= sizeof(message));
        memcpy(message + got, bytes, n);
        got += n;
        xs_sent(c, n);
        if (got >= sizeof(*header)) {
            memcpy(header, message, sizeof(*header));
            want = (uint32_t)sizeof(*header) + header->len;
        }
    }
    must(header->len <= XENSTORE_PAYLOAD_MAX);
    memcpy(payload, message + sizeof(*header), header->len);
    payload[header->len] = 0;
    return (int)header->type;
}

static void drain(struct xs_conn *c, uint32_t request)
{
    static char payload[XENSTORE_PAYLOAD_MAX + 1];
    struct xsd_sockmsg h;
    unsigned int replies = 0;
    int type;

    while ((type = receive(c, &h, payload)) >= 0) {
        if (type == XS_WATCH_EVENT) {
            nr_events++;
            snprintf(last_event, sizeof(last_event), "%s %s", payload,
                     payload + strlen(payload) + 1);
            continue;
        }
        replies++;
        ck_assert_uint_eq(h.req_id, request);
        answer.type = h.type;
        answer.tx = h.tx_id;
        answer.length = h.len;
        memcpy(answer.text, payload, h.len + 1);
    }
    ck_assert_uint_eq(replies, request != 0);
}

/* Send a request of n bytes; the reply is in `answer`, events are counted.
 * Returns the text of an error, or "" if it was none. */
static const char *ask(unsigned int who, uint32_t type, uint32_t tx,
                       const char *bytes, size_t n)
{
    static uint32_t request;
    struct xsd_sockmsg h = {
        .type = type, .req_id = ++request, .tx_id = tx, .len = (uint32_t)n
    };
    char *payload = malloc(n + 1); /* exactly, so that ASan sees overruns */

    memcpy(payload, bytes, n);
    must(xs_can_request(conn[who]));
    xs_request(conn[who], &h, payload);
    free(payload);
    nr_events = 0;
    drain(conn[who], h.req_id);
    return answer.type == XS_ERROR ? answer.text : "";
}

static const char *ask_path(unsigned int who, uint32_t type, uint32_t tx,
                            const char *path)
{
    return ask(who, type, tx, path, strlen(path) + 1);
}

static const char *write_in(unsigned int who, uint32_t tx, const char *path,
                            const char *value)
{
    char bytes[2 * XENSTORE_PAYLOAD_MAX];
    size_t n = strlen(path) + 1;

    memcpy(bytes, path, n);
    memcpy(bytes + n, value, strlen(value));
    return ask(who, XS_WRITE, tx, bytes, n + strlen(value));
}

static const char *write_at(unsigned int who, const char *path,
                            const char *value)
{
    return write_in(who, 0, path, value);
}

static const char *two(unsigned int who, uint32_t type, const char *a,
                       const char *b)
{
    char bytes[2 * XENSTORE_PAYLOAD_MAX];
    size_t n = strlen(a) + 1;

    memcpy(bytes, a, n);
    memcpy(bytes + n, b, strlen(b) + 1);
    return ask(who, type, 0, bytes, n + strlen(b) + 1);
}

static const char *value_of(unsigned int who, const char *path)
{
    const char *err = ask_path(who, XS_READ, 0, path);

    return *err ? err : answer.text;
}

static uint32_t begin(unsigned int who)
{
    ck_assert_str_eq(ask_path(who, XS_TRANSACTION_START, 0, ""), "");
    return (uint32_t)strtoul(answer.text, NULL, 10);
}

static const char *commit(unsigned int who, uint32_t tx)
{
    return ask_path(who, XS_TRANSACTION_END, tx, "T");
}

/* A home for domain 1 and 2, each its own. */
static void make_homes(void)
{
    for (unsigned int i = 1; i < 3; i++) {
        char path[32], perm[8];

        snprintf(path, sizeof(path), "/local/domain/%u", i);
        snprintf(perm, sizeof(perm), "n%u", i);
        ck_assert_str_eq(ask_path(0, XS_MKDIR, 0, path), "");
        ck_assert_str_eq(two(0, XS_SET_PERMS, path, perm), "");
    }
}

/* ---- The protocol. ---- */

START_TEST(what_is_written_is_read)
{
    make_homes();
    ck_assert_str_eq(write_at(1, "name", "reader"), "");
    ck_assert_str_eq(value_of(1, "/local/domain/1/name"), "reader");
    ck_assert_str_eq(value_of(1, "name"), "reader");
    ck_assert_str_eq(write_at(1, "a/b/c", ""), "");
    ck_assert_str_eq(value_of(1, "a/b/c"), "");
    ck_assert_str_eq(value_of(1, "a/b"), "");
    ck_assert_str_eq(value_of(1, "a/x"), "ENOENT");
    ck_assert_str_eq(ask_path(1, XS_DIRECTORY, 0, "/local/domain/1"), "");
    ck_assert_uint_eq(answer.length, 7);
    ck_assert_int_eq(memcmp(answer.text, "a\0name", 7), 0);
    ck_assert_str_eq(ask_path(1, XS_RM, 0, "a"), "");
    ck_assert_str_eq(value_of(1, "a/b"), "ENOENT");
    ck_assert_str_eq(ask_path(1, XS_RM, 0, "a"), "");
    ck_assert_str_eq(ask_path(1, XS_RM, 0, "a/b/c"), "ENOENT");
    ck_assert_str_eq(ask_path(0, XS_RM, 0, "/"), "EINVAL");
    ck_assert_str_eq(ask_path(1, XS_GET_DOMAIN_PATH, 0, "7"), "");
    ck_assert_str_eq(answer.text, "/local/domain/7");
    ck_assert_str_eq(ask_path(1, XS_IS_DOMAIN_INTRODUCED, 0, "2"), "");
    ck_assert_str_eq(answer.text, "T");
    ck_assert_str_eq(ask_path(1, XS_IS_DOMAIN_INTRODUCED, 0, "3"), "");
    ck_assert_str_eq(answer.text, "F");
}
END_TEST

START_TEST(wrong_requests_get_errors)
{
    static const char *const bad[] = { "/a//b", "/a/",   "//",
                                       "/a b",  "/\x80", "/a.b" };
    static char path[TREE_PATH_MAX + 8];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_str_eq(value_of(0, bad[i]), "EINVAL");
    for (uint32_t type = 0; type < 40; type++) {
        if (type == XS_TRANSACTION_START || type == XS_RESET_WATCHES)
            continue; /* these look at no payload */
        must(*ask(1, type, 0, "x", 0));
        must(*ask(1, type, 0, "unterminated", 12));
    }
    ck_assert_str_eq(ask_path(1, XS_INTRODUCE, 0, "1"), "ENOSYS");
    ck_assert_str_eq(ask_path(1, 200, 0, "1"), "ENOSYS");
    ck_assert_str_eq(ask_path(1, XS_READ, 77, "name"), "ENOENT");
    ck_assert_str_eq(ask_path(1, XS_TRANSACTION_END, 0, "T"), "ENOENT");
    ck_assert_str_eq(ask_path(1, XS_TRANSACTION_END, begin(1), "X"), "EINVAL");
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[TREE_PATH_MAX + 1] = 0;
    ck_assert_str_eq(value_of(0, path), "EINVAL");
    path[TREE_PATH_MAX] = 0;
    ck_assert_str_eq(value_of(0, path), "ENOENT");
    path[XENSTORE_REL_PATH_MAX + 2] = 0;
    ck_assert_str_eq(value_of(0, path + 1), "EINVAL");
}
END_TEST

START_TEST(permissions_are_those_of_xenstore)
{
    make_homes();
    ck_assert_str_eq(write_at(1, "secret", "s"), "");
    ck_assert_str_eq(value_of(2, "/local/domain/1/secret"), "EACCES");
    ck_assert_str_eq(value_of(2, "/local/domain/1/missing"), "EACCES");
    ck_assert_str_eq(value_of(0, "/local/domain/1/secret"), "s");
    ck_assert_str_eq(write_at(2, "/local/domain/1/secret", "t"), "EACCES");
    ck_assert_str_eq(write_at(2, "/local/domain/1/new", "t"), "EACCES");
    ck_assert_str_eq(two(2, XS_SET_PERMS, "/local/domain/1/secret", "b2"),
                     "EACCES");
    ck_assert_str_eq(
        ask(1, XS_SET_PERMS, 0, "secret\0n1\0r2", sizeof("secret\0n1\0r2")),
        "");
    ck_assert_str_eq(value_of(2, "/local/domain/1/secret"), "s");
    ck_assert_str_eq(write_at(2, "/local/domain/1/secret", "t"), "EACCES");
    ck_assert_str_eq(ask_path(2, XS_RM, 0, "/local/domain/1/secret"), "EACCES");
    ck_assert_str_eq(ask_path(2, XS_GET_PERMS, 0, "/local/domain/1/secret"),
                     "");
    ck_assert_int_eq(memcmp(answer.text, "n1\0r2", 6), 0);
    ck_assert_str_eq(
        ask(1, XS_SET_PERMS, 0, "secret\0r1\0w2", sizeof("secret\0r1\0w2")),
        "");
    ck_assert_str_eq(value_of(2, "/local/domain/1/secret"), "EACCES");
    ck_assert_str_eq(write_at(2, "/local/domain/1/secret", "t"), "");
    ck_assert_str_eq(two(1, XS_SET_PERMS, "secret", "z1"), "EINVAL");
    ck_assert_str_eq(two(1, XS_SET_PERMS, "secret", "r"), "EINVAL");
    ck_assert_str_eq(two(1, XS_SET_PERMS, "secret", "r99999"), "EINVAL");
    ck_assert_str_eq(two(1, XS_SET_PERMS, "secret", ""), "EINVAL");
}
END_TEST

START_TEST(a_new_node_inherits_and_belongs_to_its_maker)
{
    make_homes();
    ck_assert_str_eq(ask(0, XS_SET_PERMS, 0, "/local/domain/1\0n1\0b2",
                         sizeof("/local/domain/1\0n1\0b2")),
                     "");
    ck_assert_str_eq(write_at(2, "/local/domain/1/x", ""), "");
    ck_assert_str_eq(ask_path(2, XS_GET_PERMS, 0, "/local/domain/1/x"), "");
    ck_assert_int_eq(memcmp(answer.text, "n2\0b2", 6), 0);
    ck_assert_uint_eq(tree_domain_nodes(xs.tree, 2), 2);
    ck_assert_str_eq(write_at(0, "/local/domain/1/y", ""), "");
    ck_assert_uint_eq(tree_domain_nodes(xs.tree, 1), 2);
}
END_TEST

START_TEST(watches_tell_of_changes_at_and_below)
{
    make_homes();
    ck_assert_str_eq(two(1, XS_WATCH, "dir", "tok"), "");
    ck_assert_uint_eq(nr_events, 1); /* once at once */
    ck_assert_str_eq(last_event, "dir tok");
    ck_assert_str_eq(two(1, XS_WATCH, "dir", "tok"), "EEXIST");
    ck_assert_str_eq(write_at(1, "dir/a/b", "1"), "");
    ck_assert_uint_eq(nr_events, 1);
    ck_assert_str_eq(last_event, "dir/a/b tok");
    ck_assert_str_eq(write_at(1, "directory", "1"), "");
    ck_assert_uint_eq(nr_events, 0);
    ck_assert_str_eq(two(1, XS_WATCH, "/local/domain/1/dir/a/b", "abs"), "");
    ck_assert_str_eq(ask_path(1, XS_RM, 0, "dir"), "");
    ck_assert_uint_eq(nr_events, 2);
    ck_assert_str_eq(last_event, "/local/domain/1/dir/a/b abs");
    ck_assert_str_eq(two(1, XS_UNWATCH, "dir", "other"), "ENOENT");
    ck_assert_str_eq(two(1, XS_UNWATCH, "dir", "tok"), "");
    ck_assert_str_eq(write_at(1, "dir", "1"), "");
    ck_assert_uint_eq(nr_events, 0);
    ck_assert_str_eq(two(0, XS_WATCH, "@releaseDomain", "r"), "");
    xs_fire_special(&xs, "@releaseDomain");
    nr_events = 0;
    drain(conn[0], 0);
    ck_assert_uint_eq(nr_events, 1);
    ck_assert_str_eq(last_event, "@releaseDomain r");
}
END_TEST

START_TEST(a_transaction_is_alone_until_it_ends)
{
    uint32_t tx;

    make_homes();
    tx = begin(1);
    ck_assert_str_eq(ask_path(1, XS_TRANSACTION_START, tx, ""), "EBUSY");
    ck_assert_str_eq(write_in(1, tx, "a", "1"), "");
    ck_assert_str_eq(write_in(1, tx, "b/c", "2"), "");
    ck_assert_str_eq(value_of(1, "a"), "ENOENT");
    ck_assert_str_eq(ask_path(1, XS_READ, tx, "b/c"), "");
    ck_assert_str_eq(answer.text, "2");
    ck_assert_str_eq(two(1, XS_WATCH, "b", "t"), "");
    ck_assert_str_eq(commit(1, tx), "");
    ck_assert_uint_eq(nr_events, 1);
    ck_assert_str_eq(value_of(1, "a"), "1");
    ck_assert_str_eq(value_of(1, "b/c"), "2");
    tx = begin(1);
    ck_assert_str_eq(ask_path(1, XS_RM, tx, "b"), "");
    ck_assert_str_eq(ask_path(1, XS_TRANSACTION_END, tx, "F"), "");
    ck_assert_str_eq(value_of(1, "b/c"), "2");
    ck_assert_str_eq(commit(1, tx), "ENOENT");
}
END_TEST

START_TEST(a_transaction_meets_what_others_did)
{
    uint32_t tx;

    make_homes();
    ck_assert_str_eq(write_at(1, "n", "1"), "");
    tx = begin(1);
    ck_assert_str_eq(ask_path(1, XS_READ, tx, "n"), "");
    ck_assert_str_eq(write_in(1, tx, "m", "x"), "");
    ck_assert_str_eq(write_at(0, "/local/domain/1/n", "2"), "");
    ck_assert_str_eq(commit(1, tx), "EAGAIN");
    ck_assert_str_eq(value_of(1, "m"), "ENOENT");
    /* Absence is looked at too, and lists of names. */
    tx = begin(1);
    must(*ask_path(1, XS_READ, tx, "absent"));
    ck_assert_str_eq(write_at(1, "absent", "now"), "");
    ck_assert_str_eq(write_in(1, tx, "m", "x"), "");
    ck_assert_str_eq(commit(1, tx), "EAGAIN");
    tx = begin(1);
    ck_assert_str_eq(ask_path(1, XS_DIRECTORY, tx, "/local/domain/1"), "");
    ck_assert_str_eq(write_at(1, "another", ""), "");
    ck_assert_str_eq(write_in(1, tx, "m", "x"), "");
    ck_assert_str_eq(commit(1, tx), "EAGAIN");
    /* What it did not look at is no conflict. */
    tx = begin(1);
    ck_assert_str_eq(write_in(1, tx, "m", "x"), "");
    ck_assert_str_eq(write_at(1, "elsewhere", ""), "");
    ck_assert_str_eq(commit(1, tx), "");
    ck_assert_str_eq(value_of(1, "m"), "x");
    ck_assert_str_eq(value_of(1, "elsewhere"), "");
}
END_TEST

START_TEST(a_transaction_may_fill_most_of_a_quota)
{
    static char value[2001];
    uint32_t tx;

    make_homes();
    memset(value, 'v', 2000);
    tx = begin(1);
    for (unsigned int i = 0; i < 80; i++) {
        char path[16];

        snprintf(path, sizeof(path), "v%u", i);
        ck_assert_str_eq(write_in(1, tx, path, value), "");
    }
    ck_assert_str_eq(commit(1, tx), "");
    ck_assert_str_eq(value_of(1, "v79"), value);
}
END_TEST

/* ---- The catalogue. ---- */

START_TEST(S1_what_is_too_big_is_an_error_and_the_connection_lives)
{
    static char long_token[XS_TOKEN_MAX + 2];
    char path[64], seen[600] = { 0 };
    size_t offset = 0;

    for (unsigned int i = 0; i < 600; i++) {
        snprintf(path, sizeof(path), "/dir/a-name-of-some-length-%u", i);
        ck_assert_str_eq(write_at(0, path, ""), "");
    }
    ck_assert_str_eq(ask_path(0, XS_DIRECTORY, 0, "/dir"), "E2BIG");
    for (bool more = true; more;) {
        snprintf(path, sizeof(path), "%zu", offset);
        ck_assert_str_eq(two(0, XS_DIRECTORY_PART, "/dir", path), "");
        for (size_t i = strlen(answer.text) + 1; i < answer.length;) {
            unsigned int number;

            if (answer.text[i] == 0) {
                more = false;
                break;
            }
            ck_assert_int_eq(
                sscanf(answer.text + i, "a-name-of-some-length-%u", &number),
                1);
            seen[number]++;
            offset += strlen(answer.text + i) + 1;
            i += strlen(answer.text + i) + 1;
        }
    }
    for (unsigned int i = 0; i < 600; i++)
        ck_assert_int_eq(seen[i], 1);
    memset(long_token, 't', XS_TOKEN_MAX);
    ck_assert_str_eq(two(0, XS_WATCH, "/dir", long_token), "E2BIG");
    ck_assert_int_eq(
        tree_write(xs.tree, NULL, 0, "/x", path, TREE_VALUE_MAX + 1), -E2BIG);
    ck_assert_str_eq(value_of(0, "/dir"), "");
}
END_TEST

START_TEST(S2_a_guest_is_told_only_what_it_may_read)
{
    make_homes();
    ck_assert_str_eq(two(2, XS_WATCH, "/", "root"), "");
    drain(conn[2], 0);
    nr_events = 0;
    ck_assert_str_eq(write_at(1, "secret", "s"), "");
    drain(conn[2], 0);
    ck_assert_uint_eq(nr_events, 0);
    ck_assert_str_eq(ask_path(1, XS_RM, 0, "secret"), "");
    drain(conn[2], 0);
    ck_assert_uint_eq(nr_events, 0);
    ck_assert_str_eq(write_at(2, "mine", "m"), "");
    ck_assert_uint_eq(nr_events, 1);
    ck_assert_str_eq(two(2, XS_WATCH, "@releaseDomain", "r"), "EACCES");
    ck_assert_str_eq(two(2, XS_WATCH, "@introduceDomain", "r"), "EACCES");
    ck_assert_str_eq(two(2, XS_WATCH, "@other", "r"), "EINVAL");
    ck_assert_str_eq(two(2, XS_SET_PERMS, "/", "b2"), "EACCES");
    ck_assert_str_eq(two(0, XS_SET_PERMS, "/", "b2"), "EINVAL");
    ck_assert_str_eq(write_at(2, "/", "x"), "EACCES");
    ck_assert_str_eq(write_at(2, "/top", "x"), "EACCES");
}
END_TEST

START_TEST(S3_an_id_that_is_used_again_inherits_nothing)
{
    uint32_t nodes;

    make_homes();
    nodes = tree_nodes(xs.tree);
    for (unsigned int i = 0; i < 40000; i++) {
        open_domain(3);
        ck_assert_uint_eq(tree_domain_nodes(xs.tree, 3), 0);
        ck_assert_uint_eq(tree_domain_bytes(xs.tree, 3), 0);
        /* Domain 2 let an earlier domain 3 in; this one is not that one. */
        if (i > 0) {
            ck_assert_str_eq(value_of(3, "/local/domain/2/door"), "EACCES");
            ck_assert_str_eq(value_of(3, "/local/domain/3/old"), "ENOENT");
        }
        ck_assert_str_eq(write_at(2, "door", "open"), "");
        ck_assert_str_eq(
            ask(2, XS_SET_PERMS, 0, "door\0n2\0b3", sizeof("door\0n2\0b3")),
            "");
        ck_assert_str_eq(write_at(3, "/local/domain/2/door/in", "side"), "");
        ck_assert_uint_eq(tree_domain_nodes(xs.tree, 3), 1);
        ck_assert_str_eq(ask_path(0, XS_MKDIR, 0, "/local/domain/3/old"), "");
        ck_assert_str_eq(two(0, XS_SET_PERMS, "/local/domain/3/old", "n3"), "");
        close_domain(3);
        ck_assert_str_eq(value_of(2, "door/in"), "ENOENT");
        ck_assert_str_eq(ask_path(0, XS_RM, 0, "/local/domain/3"), "");
    }
    ck_assert_uint_eq(tree_nodes(xs.tree), nodes + 1);
    /* A right for a domain that is not there yet is no right. */
    ck_assert_str_eq(
        ask(2, XS_SET_PERMS, 0, "door\0n2\0b3", sizeof("door\0n2\0b3")), "");
    open_domain(3);
    ck_assert_str_eq(value_of(3, "/local/domain/2/door"), "EACCES");
}
END_TEST

/* As many as it can until it is refused; how many worked. */
static unsigned int until_refused(const char *error,
                                  const char *(*once)(unsigned int i))
{
    for (unsigned int i = 0; i < 200000; i++) {
        const char *err = once(i);

        if (*err) {
            ck_assert_str_eq(err, error);
            return i;
        }
    }
    ck_abort_msg("never refused");
}

static const char *one_node(unsigned int i)
{
    char path[32];

    snprintf(path, sizeof(path), "n%u", i);
    return write_at(1, path, "");
}

static const char *one_value(unsigned int i)
{
    static char value[2001];
    char path[32];

    memset(value, 'v', 2000);
    snprintf(path, sizeof(path), "v%u", i);
    return write_at(1, path, value);
}

static const char *one_watch(unsigned int i)
{
    char token[32];

    snprintf(token, sizeof(token), "%u", i);
    return two(1, XS_WATCH, "w", token);
}

static const char *one_transaction(unsigned int i)
{
    (void)i;
    return ask_path(1, XS_TRANSACTION_START, 0, "");
}

static uint32_t big_transaction;

static const char *one_change(unsigned int i)
{
    char path[32];

    (void)i;
    snprintf(path, sizeof(path), "same");
    return write_in(1, big_transaction, path, "");
}

START_TEST(S5_everything_a_domain_can_pile_up_is_bounded)
{
    long before;

    make_homes();
    must(until_refused("ENOSPC", one_node) < 1000);
    ck_assert_str_eq(ask_path(1, XS_RM, 0, "/local/domain/1"), "");
    make_homes();
    must(until_refused("ENOSPC", one_value) < 130);
    ck_assert_str_eq(ask_path(1, XS_RM, 0, "/local/domain/1"), "");
    make_homes();
    ck_assert_uint_eq(until_refused("ENOSPC", one_watch), XS_WATCHES_MAX);
    ck_assert_str_eq(ask_path(1, XS_RESET_WATCHES, 0, ""), "");
    big_transaction = begin(1);
    must(until_refused("ENOSPC", one_change) < 100000);
    ck_assert_str_eq(ask_path(1, XS_TRANSACTION_END, big_transaction, "F"), "");
    ck_assert_uint_eq(until_refused("ENOSPC", one_transaction), 10);
    ck_assert_str_eq(ask_path(1, XS_RESET_WATCHES, 0, ""), "");
    /* Another one is not refused anything meanwhile. */
    ck_assert_str_eq(write_at(2, "mine", "m"), "");
    /* Events that nobody reads. */
    for (unsigned int i = 0; i < 100; i++)
        one_watch(i);
    before = blocks;
    for (unsigned int i = 0; i < 2000; i++) {
        char path[40];

        snprintf(path, sizeof(path), "/local/domain/1/w/%u", i);
        ck_assert_str_eq(write_at(0, path, ""), "");
        ck_assert_str_eq(ask_path(0, XS_RM, 0, path), "");
    }
    must(conn[1]->event_bytes <= XS_EVENTS_MAX);
    must(blocks - before < 5000);
    must(xs.events_dropped > 0);
    /* The toolstack may write to a domain that is full. */
    ck_assert_str_eq(ask_path(1, XS_RM, 0, "/local/domain/1"), "");
    make_homes();
    until_refused("ENOSPC", one_node);
    ck_assert_str_eq(write_at(0, "/local/domain/1/state", "1"), "");
}
END_TEST

START_TEST(S6_conflicting_clients_all_make_progress)
{
    unsigned int done[CONNS] = { 0 }, tx[CONNS] = { 0 }, rounds;

    ck_assert_str_eq(write_at(0, "/counter", "0"), "");
    ck_assert_str_eq(two(0, XS_SET_PERMS, "/counter", "b0"), "");
    for (unsigned int i = 3; i < CONNS; i++)
        open_domain(i);
    /* Each starts anew when it met a conflict; one request a turn. */
    for (rounds = 0; rounds < 3000; rounds++) {
        unsigned int i = 1 + rounds % (CONNS - 1);

        if (!tx[i]) {
            tx[i] = begin(i);
            must(!*ask_path(i, XS_READ, tx[i], "/counter"));
            must(!*write_in(i, tx[i], "/counter", "x"));
        } else {
            done[i] += !*commit(i, tx[i]);
            tx[i] = 0;
        }
    }
    for (unsigned int i = 1; i < CONNS; i++)
        must(done[i] > 3);
    /* One that is favoured and goes away, or idles, stops nobody. */
    close_domain(3);
    must(!xs.favoured || xs.favoured->id != 3);
    rounds = begin(4);
    ck_assert_str_eq(ask_path(4, XS_READ, rounds, "/counter"), "");
    for (unsigned int i = 0; i < 20; i++)
        if (!*commit(4, rounds))
            return;
        else
            rounds = begin(4);
    ck_abort_msg("held back for ever");
}
END_TEST

START_TEST(S7_depth_costs_no_stack)
{
    static char path[TREE_PATH_MAX + 1];

    for (size_t i = 0; i < TREE_PATH_MAX; i += 2)
        memcpy(path + i, "/d", 2);
    for (size_t n = 2; n <= TREE_PATH_MAX; n += 2) {
        path[n] = 0;
        ck_assert_int_eq(tree_mkdir(xs.tree, NULL, 0, path), 0);
        path[n] = '/';
    }
    path[TREE_PATH_MAX] = 0;
    ck_assert_uint_eq(tree_nodes(xs.tree), TREE_PATH_MAX / 2 + 1);
    ck_assert_str_eq(ask_path(0, XS_RM, 0, "/d"), "");
    ck_assert_uint_eq(tree_nodes(xs.tree), 1);
    ck_assert_int_eq(tree_mkdir(xs.tree, NULL, 0, path), 0);
    ck_assert_int_eq(tree_rm(xs.tree, NULL, 0, path), 0);
}
END_TEST

/* A transaction of several changes by domain 1; the error of its end. */
static int transact(void)
{
    struct tree_txn *x;
    int err = tree_txn_start(xs.tree, 1, &x);
    struct tree_perm perms[] = { { 1, 0 }, { 2, TREE_READ } };

    if (err)
        return err;
    err = tree_write(xs.tree, x, 1, "/local/domain/1/a", "new", 3);
    if (!err)
        err = tree_write(xs.tree, x, 1, "/local/domain/1/b/c", "new", 3);
    if (!err)
        err = tree_rm(xs.tree, x, 1, "/local/domain/1/old");
    if (!err)
        err = tree_set_perms(xs.tree, x, 1, "/local/domain/1/a", perms, 2);
    if (err) {
        tree_txn_abort(x);
        return err;
    }
    return tree_txn_commit(x);
}

START_TEST(S8_a_transaction_is_all_or_nothing_whatever_fails)
{
    unsigned int failures = 0;

    make_homes();
    ck_assert_str_eq(write_at(1, "a", "old"), "");
    ck_assert_str_eq(write_at(1, "old/x", "old"), "");
    for (long n = 1;; n++) {
        uint32_t nodes = tree_domain_nodes(xs.tree, 1);
        uint32_t bytes = tree_domain_bytes(xs.tree, 1);
        long had = blocks;
        int err;

        allocations = 0;
        fail_at = n;
        err = transact();
        fail_at = 0;
        if (!err)
            break;
        failures++;
        ck_assert_int_eq(err, -ENOMEM);
        ck_assert_int_eq(blocks, had);
        ck_assert_uint_eq(tree_domain_nodes(xs.tree, 1), nodes);
        ck_assert_uint_eq(tree_domain_bytes(xs.tree, 1), bytes);
        ck_assert_str_eq(value_of(1, "a"), "old");
        ck_assert_str_eq(value_of(1, "b/c"), "ENOENT");
        ck_assert_str_eq(value_of(1, "old/x"), "old");
        check_counts();
    }
    must(failures > 20);
    ck_assert_str_eq(value_of(1, "a"), "new");
    ck_assert_str_eq(value_of(1, "b/c"), "new");
    ck_assert_str_eq(value_of(1, "old/x"), "ENOENT");
    ck_assert_str_eq(value_of(2, "/local/domain/1/a"), "new");
}
END_TEST

START_TEST(S8_a_change_is_all_or_nothing_whatever_fails)
{
    make_homes();
    for (long n = 1;; n++) {
        uint32_t nodes = tree_nodes(xs.tree);
        long had = blocks;
        int err;

        allocations = 0;
        fail_at = n;
        err = tree_write(xs.tree, NULL, 1, "/local/domain/1/x/y/z", "v", 1);
        fail_at = 0;
        if (!err)
            break;
        ck_assert_int_eq(err, -ENOMEM);
        ck_assert_int_eq(blocks, had);
        ck_assert_uint_eq(tree_nodes(xs.tree), nodes);
        check_counts();
    }
    ck_assert_str_eq(value_of(1, "x/y/z"), "v");
}
END_TEST

START_TEST(S9_rights_given_in_an_open_transaction_do_not_outlive_the_id)
{
    uint32_t tx;

    make_homes();
    open_domain(3);
    ck_assert_str_eq(write_at(2, "door", "open"), "");
    tx = begin(2);
    ck_assert_str_eq(
        ask(2, XS_SET_PERMS, tx, "door\0n2\0b3", sizeof("door\0n2\0b3")), "");
    close_domain(3);
    open_domain(3);
    ck_assert_str_eq(commit(2, tx), "EAGAIN");
    ck_assert_str_eq(value_of(3, "/local/domain/2/door"), "EACCES");
}
END_TEST

START_TEST(S12_the_owner_of_a_node_is_the_toolstacks_to_change)
{
    make_homes();
    ck_assert_str_eq(write_at(1, "n", ""), "");
    ck_assert_str_eq(two(1, XS_SET_PERMS, "n", "b2"), "EPERM");
    ck_assert_str_eq(two(0, XS_SET_PERMS, "/local/domain/1/n", "b2"), "");
    ck_assert_uint_eq(tree_domain_nodes(xs.tree, 2), 2);
    ck_assert_uint_eq(tree_domain_nodes(xs.tree, 1), 1);
    ck_assert_str_eq(two(0, XS_SET_PERMS, "/local/domain/1/n", "b9"), "EINVAL");
}
END_TEST

/* ---- Seeded nonsense. ---- */

static uint64_t seed;

static unsigned int draw(unsigned int below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned int)(seed % below);
}

static size_t random_payload(char *to)
{
    static const char *const words[] = { "/",
                                         "a",
                                         "b",
                                         "a/b",
                                         "a/b/c",
                                         "/local/domain/",
                                         "/local/domain/1",
                                         "/local/domain/2/a",
                                         "..",
                                         "//",
                                         "@releaseDomain",
                                         "@",
                                         "T",
                                         "F",
                                         "1",
                                         "n1",
                                         "b2",
                                         "r1",
                                         "w2",
                                         "",
                                         "tok",
                                         "4294967296",
                                         "/local/domain/1/" };
    size_t n = 0;

    for (unsigned int i = draw(4); i > 0; i--) {
        const char *w = words[draw(sizeof(words) / sizeof(words[0]))];

        memcpy(to + n, w, strlen(w));
        n += strlen(w);
        if (draw(8))
            to[n++] = 0;
        if (!draw(8))
            to[n++] = (char)draw(256);
    }
    return n;
}

START_TEST(S10_no_request_in_any_state_breaks_the_store)
{
    char payload[256];

    seed = 0x5eed0f51073ull;
    make_homes();
    for (unsigned int i = 0; i < 100000; i++) {
        unsigned int who = draw(3);
        uint32_t type = draw(XS_TYPE_COUNT + 2);
        uint32_t tx = draw(3) ? 0 : draw(conn[who]->next_transaction + 2);
        size_t n = random_payload(payload);

        fail_at = draw(50) ? 0 : allocations + 1 + draw(12);
        ask(who, type, tx, payload, n);
        fail_at = 0;
        if (!draw(500)) {
            unsigned int gone = 1 + draw(2);

            close_domain(gone);
            open_domain(gone);
            ck_assert_uint_eq(tree_domain_nodes(xs.tree, (uint16_t)gone), 0);
            make_homes();
        }
        if (i % 64 == 0)
            check_counts();
        for (unsigned int k = 0; k < 3; k++)
            if (!draw(4))
                drain(conn[k], 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_is_written_is_read);
    tcase_add_test(tests, wrong_requests_get_errors);
    tcase_add_test(tests, permissions_are_those_of_xenstore);
    tcase_add_test(tests, a_new_node_inherits_and_belongs_to_its_maker);
    tcase_add_test(tests, watches_tell_of_changes_at_and_below);
    tcase_add_test(tests, a_transaction_is_alone_until_it_ends);
    tcase_add_test(tests, a_transaction_meets_what_others_did);
    tcase_add_test(tests, a_transaction_may_fill_most_of_a_quota);
    tcase_add_test(tests,
                   S1_what_is_too_big_is_an_error_and_the_connection_lives);
    tcase_add_test(tests, S2_a_guest_is_told_only_what_it_may_read);
    tcase_add_test(tests, S3_an_id_that_is_used_again_inherits_nothing);
    tcase_add_test(tests, S5_everything_a_domain_can_pile_up_is_bounded);
    tcase_add_test(tests, S6_conflicting_clients_all_make_progress);
    tcase_add_test(tests, S7_depth_costs_no_stack);
    tcase_add_test(tests, S8_a_transaction_is_all_or_nothing_whatever_fails);
    tcase_add_test(tests, S8_a_change_is_all_or_nothing_whatever_fails);
    tcase_add_test(
        tests, S9_rights_given_in_an_open_transaction_do_not_outlive_the_id);
    tcase_add_test(tests, S10_no_request_in_any_state_breaks_the_store);
    tcase_add_test(tests, S12_the_owner_of_a_node_is_the_toolstacks_to_change);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
