/*
 * The store's client against a server that this test plays itself, also a
 * broken one.
 *
 * The runtime is given a ring in a page of the test's own.  A reply is put
 * there before the request is made, so that the client finds it at once; the
 * request is checked afterwards.
 */
#include "tests/guest/test.h"

#include <xen/io/xs_wire.h>

#include "guests/lib/internal.h"

static struct xenstore_domain_interface *ring;
static evtchn_port_t server_port;
static uint32_t next_request; /* the id that the client will give it */

/* A new ring and a new client of it. */
static void connect(void)
{
    static evtchn_port_t client_port;

    if (client_port) {
        event_close(client_port);
        event_close(server_port);
    }
    BUG_ON(event_alloc_unbound(DOMID_SELF, &client_port));
    BUG_ON(event_bind_interdomain(DOMID_SELF, client_port, &server_port));
    memset(ring, 0, sizeof(*ring));
    guest.start->store_mfn = virt_to_mfn(ring);
    guest.start->store_evtchn = client_port;
    store_init();
}

static void put(const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ring->rsp[MASK_XENSTORE_IDX(ring->rsp_prod + i)] =
            ((const char *)bytes)[i];
    ring->rsp_prod += (uint32_t)n;
}

static void put_message(uint32_t type, uint32_t id, const char *text, size_t n)
{
    struct xsd_sockmsg head = { .type = type,
                                .req_id = id,
                                .len = (uint32_t)n };

    put(&head, sizeof(head));
    put(text, n);
}

/* The answer to the request that comes next; a string without its end. */
static void will_reply(uint32_t type, const char *text)
{
    put_message(type, ++next_request, text, strlen(text));
}

static void will_fail(const char *name)
{
    put_message(XS_ERROR, ++next_request, name, strlen(name) + 1);
}

/* Take the request: is it of this type, with these bytes? */
static bool was_asked(uint32_t type, uint32_t tx, const char *text, size_t n)
{
    struct xsd_sockmsg head;
    char byte[64];
    uint32_t used = ring->req_prod - ring->req_cons;

    if (used != sizeof(head) + n || n > sizeof(byte))
        return false;
    for (size_t i = 0; i < sizeof(head); i++)
        ((char *)&head)[i] = ring->req[MASK_XENSTORE_IDX(ring->req_cons++)];
    for (size_t i = 0; i < n; i++)
        byte[i] = ring->req[MASK_XENSTORE_IDX(ring->req_cons++)];
    return head.type == type && head.tx_id == tx && head.len == n &&
           head.req_id == next_request && !memcmp(byte, text, n);
}

#define ASKED(type, tx, text) was_asked(type, tx, text, sizeof(text) - 1)

/* ---- What is asked and answered. ---- */

static void values_are_read_and_written(void)
{
    int error = 1;
    char *value;

    will_reply(XS_READ, "forty-two");
    value = store_read("a/b", &error);
    CHECK(value && !strcmp(value, "forty-two") && error == 0);
    mem_free(value);
    CHECK(ASKED(XS_READ, 0, "a/b\0"));

    will_reply(XS_WRITE, "OK");
    CHECK_EQ(store_write("a", "%d-%s", 7, "x"), 0);
    CHECK(ASKED(XS_WRITE, 0, "a\0" "7-x"));

    will_reply(XS_READ, "0x10");
    CHECK_EQ(store_read_number("n", 5), 16);
    CHECK(ASKED(XS_READ, 0, "n\0"));
    will_reply(XS_READ, "many");
    CHECK_EQ(store_read_number("n", 5), 5);
    CHECK(ASKED(XS_READ, 0, "n\0"));
    will_reply(XS_READ, "");
    value = store_read("empty", &error);
    CHECK(value && !*value && error == 0);
    mem_free(value);
    CHECK(ASKED(XS_READ, 0, "empty\0"));
}

static void directories_are_listed(void)
{
    unsigned int count;
    char *names;

    put_message(XS_DIRECTORY, ++next_request, "one\0two", 8);
    names = store_directory("d", &count, NULL);
    CHECK(names && count == 2 && !strcmp(names + 4, "two"));
    mem_free(names);
    CHECK(ASKED(XS_DIRECTORY, 0, "d\0"));
    will_reply(XS_DIRECTORY, "");
    names = store_directory("d", &count, NULL);
    CHECK(names && count == 0);
    mem_free(names);
    CHECK(ASKED(XS_DIRECTORY, 0, "d\0"));
}

static void errors_have_their_numbers(void)
{
    int error = 0;

    will_fail("ENOENT");
    CHECK(!store_read("x", &error));
    CHECK_EQ(error, -ENOENT);
    CHECK(ASKED(XS_READ, 0, "x\0"));
    will_fail("EACCES");
    CHECK_EQ(store_rm("x"), -EACCES);
    CHECK(ASKED(XS_RM, 0, "x\0"));
    will_fail("EWHATEVER");
    CHECK_EQ(store_mkdir("x"), -EIO);
    CHECK(ASKED(XS_MKDIR, 0, "x\0"));
}

static void transactions_mark_requests(void)
{
    uint32_t id = 0;

    will_reply(XS_TRANSACTION_START, "77");
    CHECK_EQ(store_transaction_start(&id), 0);
    CHECK_EQ(id, 77);
    CHECK(ASKED(XS_TRANSACTION_START, 0, "\0"));
    store_use_transaction(id);
    will_reply(XS_WRITE, "OK");
    CHECK_EQ(store_write("k", "v"), 0);
    CHECK(ASKED(XS_WRITE, 77, "k\0v"));
    will_fail("EAGAIN");
    CHECK_EQ(store_transaction_end(id, true), -EAGAIN);
    CHECK(ASKED(XS_TRANSACTION_END, 77, "T\0"));
    will_reply(XS_RM, "OK");
    CHECK_EQ(store_rm("k"), 0);
    CHECK(ASKED(XS_RM, 0, "k\0"));
}

/* ---- Watches. ---- */

static char watched[32];
static unsigned int times;

static void changed(const char *path, void *data)
{
    CHECK(data == watched);
    string_copy(watched, path, sizeof(watched));
    times++;
}

/* Reads the token that the client chose out of its request. */
static uint32_t token_asked(uint32_t type, const char *path)
{
    char text[64];
    uint32_t n = ring->req_prod - ring->req_cons - sizeof(struct xsd_sockmsg);
    uint64_t token = 0;

    for (uint32_t i = 0; i < n && i < sizeof(text); i++)
        text[i] = ring->req[MASK_XENSTORE_IDX(
            ring->req_cons + sizeof(struct xsd_sockmsg) + i)];
    CHECK(n < sizeof(text) && number_parse(text + strlen(path) + 1, &token));
    CHECK(was_asked(type, 0, text, n) && !strcmp(text, path));
    return (uint32_t)token;
}

static void put_event(const char *path, uint32_t token)
{
    char text[64];
    int n = format_string(text, sizeof(text), "%s%c%u%c", path, 0, token, 0);

    put_message(XS_WATCH_EVENT, 0, text, (size_t)n);
}

static void watches_run_from_event_poll(void)
{
    uint32_t token;

    will_reply(XS_WATCH, "OK");
    CHECK_EQ(store_watch("w", changed, watched), 0);
    token = token_asked(XS_WATCH, "w");

    put_event("w/below", token);
    event_send(server_port);
    CHECK(times == 0 && event_poll() && times == 1);
    CHECK(!strcmp(watched, "w/below"));

    /* One that comes before a reply waits for the next turn. */
    put_event("w", token);
    will_reply(XS_READ, "v");
    mem_free(store_read("r", NULL));
    CHECK(ASKED(XS_READ, 0, "r\0"));
    CHECK(times == 1 && event_poll() && times == 2);

    /* One for nobody, and one that is no event, are dropped. */
    put_event("w", token + 1);
    put_message(XS_WATCH_EVENT, 0, "no end", 6);
    event_send(server_port);
    event_poll();
    CHECK_EQ(times, 2);

    /* One that is under way when the watch goes does not call it. */
    put_event("w", token);
    will_reply(XS_UNWATCH, "OK");
    CHECK_EQ(store_unwatch("w", changed, watched), 0);
    CHECK_EQ(token_asked(XS_UNWATCH, "w"), token);
    event_poll();
    CHECK_EQ(times, 2);
    CHECK_EQ(store_unwatch("w", changed, watched), -ENOENT);
}

/* Runs while the client waits for events, and so between two requests: a
 * reply that stood there earlier would be taken for an event. */
static void server_rang(evtchn_port_t port, void *data)
{
    (void)port, (void)data;
    if (ring->rsp_prod == ring->rsp_cons)
        will_reply(XS_UNWATCH, "OK");
}

static void waiting_ends_when_nothing_comes(void)
{
    uint64_t begin = clock_now();
    int error = 0;

    will_reply(XS_WATCH, "OK");
    will_fail("ENOENT");
    CHECK_EQ(event_handle(server_port, server_rang, NULL), 0);
    CHECK(!store_wait("never", 5000000, &error));
    CHECK_EQ(error, -ETIMEDOUT);
    CHECK(clock_now() - begin >= 5000000);
}

/* ---- A server that breaks the protocol is not believed again. ---- */

static void breaks_now(void)
{
    uint32_t asked;

    next_request++;
    CHECK_EQ(store_rm("x"), -EPROTO);
    asked = ring->req_prod;
    CHECK_EQ(store_rm("x"), -EPROTO);
    CHECK_EQ(ring->req_prod, asked);
}

static void impossible_lengths_end_it(void)
{
    struct xsd_sockmsg head = { .type = XS_READ,
                                .req_id = next_request + 1,
                                .len = XENSTORE_PAYLOAD_MAX + 1 };

    connect();
    put(&head, sizeof(head));
    breaks_now();
    CHECK(ASKED(XS_RM, 0, "x\0"));
}

static void answers_to_nothing_end_it(void)
{
    connect();
    put_message(XS_RM, 999999, "OK", 2);
    breaks_now();
    CHECK(ASKED(XS_RM, 0, "x\0"));
}

static void impossible_indices_end_it(void)
{
    connect();
    ring->rsp_prod = ring->rsp_cons + XENSTORE_RING_SIZE + 1;
    breaks_now();
    connect();
    ring->req_cons = ring->req_prod + 1;
    breaks_now();
}

static void too_long_a_value_is_refused(void)
{
    connect();
    CHECK_EQ(store_write("x", "%05000d", 1), -E2BIG);
    CHECK_EQ(ring->req_prod, 0);
}

int guest_main(void)
{
    size_t before;

    if (store_available())
        verdict(VERDICT_SKIP, "storeclient"); /* it has a real one */
    ring = page_alloc();
    connect();
    mem_free(mem_alloc(1));
    before = pages_available();
    values_are_read_and_written();
    directories_are_listed();
    errors_have_their_numbers();
    transactions_mark_requests();
    watches_run_from_event_poll();
    waiting_ends_when_nothing_comes();
    impossible_lengths_end_it();
    answers_to_nothing_end_it();
    impossible_indices_end_it();
    too_long_a_value_is_refused();
    CHECK_EQ(pages_available(), before);
    test_end("storeclient");
}
