/*
 * Links between domains: the two sides meet, messages cross while both sleep,
 * and a peer that closes, dies, or writes what is no offer has a name.
 *
 * `partner` is the same program: it does what the word at the start of the
 * first link's pages says, and rings when it has done so.
 */
#include "tests/guest/test.h"

#include "links/link_xen.h"
#include "rings/reqrsp.h"

#define PATIENCE 20000 /* ms */
#define SOON     30
#define BYTES    5000u
#define MESSAGES 2000u

/* The pages of the first link. */
struct board {
    uint32_t word;   /* what the partner is to do: only the judge writes */
    uint32_t number; /* an argument of it */
};

enum { IDLE, SERVE_RING, OFFER_BACK, WRITE_NODE, END_OF_LINK, DIE };

static unsigned int peer_id(void)
{
    return (unsigned int)store_read_number("chan/line/peer", 0);
}

/* What is no offer.  The second number is the ID, then bytes, port, grants. */
static const char *const bad_offers[] = {
    "x",
    "2 1 64 1 8", /* another version */
    "1",          /* cut off */
    "1 1 64",
    "1 1 64 1",                      /* no page */
    "1 1 0 1 8",                     /* no bytes */
    "1 1 5000 1 8",                  /* too few pages */
    "1 1 64 1 8 9",                  /* too many */
    "1 1 5000 1 8 8",                /* the same page twice */
    "1 1 64 4294967296 8",           /* no port */
    "1 18446744073709551616 64 1 8", /* no number of 64 bits */
    "1 1 18446744073709551615 1 8",  /* wraps when rounded up */
    "1 1 64 1 -8",
    "1  1 64 1 8",
};
#define BAD_OFFERS (sizeof(bad_offers) / sizeof(bad_offers[0]))

/* ---- The partner. ---- */

static int answer_all(struct ring_back *b)
{
    uint64_t m;
    int error;

    while ((error = ring_back_take(b, &m, sizeof(m))) == 0) {
        m = ~m;
        ring_back_put(b, &m, sizeof(m));
    }
    return error;
}

/* Until the judge closes the link. */
static void serve_ring(void)
{
    struct ring_back b;
    struct link *l;

    BUG_ON(link_xen_accept(peer_id(), "ring", PATIENCE, &l));
    BUG_ON(link_wait(l, PATIENCE));
    BUG_ON(ring_back_attach(&b, link_pages(l), link_bytes(l), 8));
    do {
        answer_all(&b);
        if (ring_back_publish(&b))
            link_bell(l);
    } while (ring_back_arm(&b) || link_wait(l, PATIENCE) == 0);
    link_close(l);
}

static void offer_back(void)
{
    struct link *l;

    BUG_ON(link_xen_offer(peer_id(), "back", 64, PATIENCE, &l));
    string_copy(link_pages(l), "last words", 64);
    link_bell(l);
    link_close(l);
}

static void write_node(const char *text)
{
    char reader[8];
    const char *perms[] = { "n0", reader };
    char owner[8];

    perms[0] = owner;
    format_string(owner, sizeof(owner), "n%u", guest.domid);
    format_string(reader, sizeof(reader), "r%u", peer_id());
    BUG_ON(store_write("data/link/bad", "%s", text));
    BUG_ON(store_set_perms("data/link/bad", perms, 2));
}

static int partner(void)
{
    struct board *board;
    struct link *l;

    BUG_ON(link_xen_open("line", 1, PATIENCE, &l));
    board = link_pages(l);
    while (link_wait(l, PATIENCE) == 0) {
        uint32_t word = read_once(&board->word);

        if (word == SERVE_RING)
            serve_ring();
        if (word == OFFER_BACK)
            offer_back();
        if (word == WRITE_NODE)
            write_node(bad_offers[board->number]);
        if (word == DIE)
            return 0; /* without a word */
        if (word != IDLE)
            link_bell(l);
    }
    return 1;
}

/* ---- The judge. ---- */

static struct link *line;

static void tell(uint32_t word, uint32_t number)
{
    struct board *board = link_pages(line);

    write_once(&board->number, number);
    write_once(&board->word, word);
    CHECK_EQ(link_bell(line), 0);
}

static void wait_until_done(void)
{
    CHECK_EQ(link_wait(line, PATIENCE), 0);
    tell(IDLE, 0);
}

/* What is left of earlier bells. */
static void silence(struct link *l)
{
    while (link_wait(l, SOON) == 0)
        ;
}

static bool the_two_meet(void)
{
    const uint8_t *pages;
    bool zero = true;

    CHECK_EQ(link_xen_open("line", 0, 0, &line), -EINVAL);
    CHECK_EQ(link_xen_open("line", LINK_XEN_BYTES_MAX + 1, 0, &line), -EINVAL);
    CHECK_EQ(link_xen_open("li/ne", 64, 0, &line), -EINVAL);
    if (!CHECK_EQ(link_xen_open("line", BYTES, PATIENCE, &line), 0))
        return false;
    CHECK_EQ(link_bytes(line), BYTES);
    CHECK_EQ(link_fd(line), -ENOSYS);
    CHECK_EQ(event_send(link_xen_port(line)), 0);
    pages = link_pages(line);
    CHECK_EQ((uintptr_t)pages % PAGE_SIZE, 0);
    for (unsigned int i = 0; i < BYTES; i++)
        zero &= pages[i] == 0;
    CHECK(zero);
    silence(line);
    return true;
}

static void send_all(struct link *l, struct ring_front *f)
{
    uint64_t sent = 0, received = 0, m;
    unsigned int wrong = 0, slept = 0;

    while (received < MESSAGES) {
        for (; sent < MESSAGES && ring_front_put(f, &sent, 8) == 0; sent++)
            ;
        if (ring_front_publish(f))
            CHECK_EQ(link_bell(l), 0);
        for (; ring_front_take(f, &m, 8) == 0; received++)
            wrong += m != ~received;
        if (received == MESSAGES || ring_front_free(f) || ring_front_arm(f))
            continue;
        slept++;
        if (!CHECK_EQ(link_wait(l, PATIENCE), 0))
            return;
    }
    CHECK_EQ(wrong, 0);
    CHECK(slept > 0);
}

static void messages_cross(void)
{
    struct ring_front f;
    struct link *l;

    tell(SERVE_RING, 0);
    if (!CHECK_EQ(link_xen_offer(peer_id(), "ring", 64 + 16 * 8, PATIENCE, &l),
                  0))
        return;
    CHECK_EQ(ring_front_create(&f, link_pages(l), link_bytes(l), 8), 0);
    CHECK_EQ(link_bell(l), 0);
    send_all(l, &f);
    link_close(l);
    wait_until_done();
}

/* Accepting and offering are the same trade; its end rings once. */
static void a_closed_link_has_its_last_words(void)
{
    struct link *l;

    tell(OFFER_BACK, 0);
    if (!CHECK_EQ(link_xen_accept(peer_id(), "back", PATIENCE, &l), 0))
        return;
    while (link_wait(l, PATIENCE) == 0)
        ;
    CHECK_EQ(link_wait(l, PATIENCE), -EPIPE);
    CHECK_EQ(link_bell(l), -EPIPE);
    CHECK(strcmp(link_pages(l), "last words") == 0);
    link_close(l);
    wait_until_done();
}

static void what_is_no_offer_is_refused(void)
{
    struct link *l;

    for (uint32_t i = 0; i < BAD_OFFERS; i++) {
        tell(WRITE_NODE, i);
        wait_until_done();
        if (!CHECK_EQ(link_xen_accept(peer_id(), "bad", SOON, &l), -EPROTO))
            printf("offer '%s'\n", bad_offers[i]);
    }
}

static void nobody_comes(void)
{
    size_t before;
    struct link *l;

    link_xen_offer(peer_id(), "nobody", 64, SOON, &l); /* tables are made */
    before = pages_available();
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(link_xen_accept(peer_id(), "nobody", SOON, &l), -ETIMEDOUT);
        CHECK_EQ(link_xen_offer(peer_id(), "nobody", BYTES, SOON, &l),
                 -ETIMEDOUT);
    }
    CHECK_EQ(pages_available(), before);
    CHECK(store_read("data/link/nobody", NULL) == NULL);
}

static void a_dead_partner_ends_the_wait(void)
{
    int error;

    tell(DIE, 0);
    while ((error = link_wait(line, PATIENCE)) == 0)
        ;
    CHECK_EQ(error, -EPIPE);
    CHECK_EQ(link_wait(line, LINK_FOREVER), -EPIPE);
    link_close(line);
}

int guest_main(void)
{
    if (!cmdline_number("first", 0))
        return partner();
    test_needs_belfry("link");
    if (the_two_meet()) {
        messages_cross();
        a_closed_link_has_its_last_words();
        what_is_no_offer_is_refused();
        nobody_comes();
        a_dead_partner_ends_the_wait();
    }
    test_end("link");
}
