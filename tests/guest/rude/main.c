/*
 * Defends: whatever domains write into their console and store pages, at most
 * their own connection ends, and the control domain goes on serving the
 * others (S4, S5, S11).
 *
 * The first domain of the test uses its store all the while and gives the
 * verdict; each of the others attacks in one way, checks what became of its
 * own connection, and fails by ending with a crash.
 */
#include "guests/lib/guest.h"

#include <xen/io/console.h>
#include <xen/io/xs_wire.h>

#define MS 1000000ull

static char store_page[PAGE_SIZE] __attribute__((aligned(4096)));
static char console_page[PAGE_SIZE] __attribute__((aligned(4096)));
#define RING ((struct xenstore_domain_interface *)store_page)

/* ---- The store's ring, by hand. ---- */

static void map_store(void)
{
    BUG_ON(map_frame_at(store_page, guest.start->store_mfn, true));
}

/* Bytes as they are; no look at the room there is. */
static void put(const void *bytes, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        RING->req[MASK_XENSTORE_IDX(RING->req_prod + i)] =
            ((const char *)bytes)[i];
    store_release(&RING->req_prod, RING->req_prod + n);
    event_send(guest.start->store_evtchn);
}

static void put_header(uint32_t type, uint32_t length)
{
    struct xsd_sockmsg h = { .type = type, .req_id = 1, .len = length };

    put(&h, sizeof(h));
}

/* Nobody takes what is put into the ring any more. */
static int is_disconnected(void)
{
    uint32_t before;

    sleep_ns(300 * MS);
    before = read_once(&RING->req_cons);
    RING->req_prod = before;
    put_header(XS_READ, 0);
    sleep_ns(300 * MS);
    return read_once(&RING->req_cons) == before ? 0 : 1;
}

/* ---- Attacks: 0 if it went as it should. ---- */

static int attack_length(void)
{
    map_store();
    put_header(XS_READ, 0xfffffff0u);
    return is_disconnected();
}

static int attack_type(void)
{
    map_store();
    put_header(0x80000005u, 1);
    return is_disconnected();
}

static int attack_index(void)
{
    map_store();
    store_release(&RING->req_prod, RING->req_cons + 5000);
    event_send(guest.start->store_evtchn);
    return is_disconnected();
}

/* Requests for ever, and no look at a reply: it is not listened to. */
static int attack_unread(void)
{
    uint64_t end = clock_now() + 1000 * MS;
    uint32_t taken;

    map_store();
    event_mask(guest.start->store_evtchn); /* the runtime would read them */
    while (clock_now() < end) {
        if (RING->req_prod - read_once(&RING->req_cons) <= 1024 - 17) {
            put_header(XS_DIRECTORY, 2);
            put("/", 2);
        } else {
            event_send(guest.start->store_evtchn);
            sleep_ns(MS);
        }
    }
    taken = read_once(&RING->req_cons);
    event_send(guest.start->store_evtchn);
    sleep_ns(100 * MS);
    return read_once(&RING->req_cons) != taken;
}

static void ignore(const char *path, void *data)
{
    (void)path, (void)data;
}

/* Watches until they are refused, then changes that fire them all. */
static int attack_events(void)
{
    static char marks[1000];
    unsigned int n = 0;

    while (n < sizeof(marks) && store_watch("data", ignore, &marks[n]) == 0)
        n++;
    for (unsigned int i = 0; i < 100; i++)
        store_write("data/change", "%u", i);
    return n < 10 || n > 200;
}

/* A byte at a time, with pauses: slow is not wrong.  (The runtime may have
 * taken the reply before we look; its bytes still stand there.) */
static int attack_slow(void)
{
    struct xsd_sockmsg h = { .type = XS_READ, .req_id = 7, .len = 5 };
    struct xsd_sockmsg reply;
    uint32_t at;

    map_store();
    at = RING->rsp_prod;
    for (uint32_t i = 0; i < sizeof(h); i++) {
        put((const char *)&h + i, 1);
        sleep_ns(5 * MS);
    }
    put("name", 5);
    sleep_ns(300 * MS);
    for (uint32_t i = 0; i < sizeof(reply); i++)
        ((char *)&reply)[i] = RING->rsp[MASK_XENSTORE_IDX(at + i)];
    return RING->rsp_prod - at != sizeof(reply) + 4 || reply.type != XS_READ ||
           reply.req_id != 7 || reply.len != 4;
}

static int attack_flood(void)
{
    for (unsigned int i = 0; i < 300; i++)
        printf("\033[2J\033[H\a\x9b%u\n", i);
    return 0;
}

/* Last: nothing that it prints can be seen any more. */
static int attack_console(void)
{
    struct xencons_interface *c = (struct xencons_interface *)console_page;
    uint32_t before;

    BUG_ON(map_frame_at(console_page, guest.start->console.domU.mfn, true));
    store_release(&c->out_prod, c->out_cons + 100000);
    event_send(guest.start->console.domU.evtchn);
    sleep_ns(300 * MS);
    before = read_once(&c->out_cons);
    store_release(&c->out_prod, before);
    event_send(guest.start->console.domU.evtchn);
    /* Its store is another matter. */
    return store_read_number("domid", 0) != guest.domid;
}

/* ---- The one that gives the verdict. ---- */

/* 0, -EAGAIN if somebody's change came in between, or what went wrong. */
static int transaction(unsigned int i)
{
    uint32_t tx;
    int rc = store_transaction_start(&tx), end;

    if (rc)
        return rc;
    store_use_transaction(tx);
    rc = store_write("data/in", "%u", i);
    store_use_transaction(0);
    end = store_transaction_end(tx, true);
    return rc ? rc : end;
}

static bool round_is_good(unsigned int i)
{
    int rc = -EAGAIN;

    if (store_write("data/n", "%u", i) || store_read_number("data/n", 0) != i)
        return false;
    for (unsigned int tries = 0; rc == -EAGAIN && tries < 20; tries++)
        rc = transaction(i);
    if (rc)
        printf("transaction: %d\n", rc);
    return rc == 0 && store_read_number("data/in", 0) == i;
}

static int neighbour(void)
{
    uint64_t end = clock_now() + 2500 * MS, slowest = 0;
    unsigned int rounds = 0;

    while (clock_now() < end) {
        uint64_t since = clock_now();

        if (!round_is_good(++rounds)) {
            printf("not so: round %u is good\n", rounds);
            verdict(VERDICT_FAIL, "rude");
        }
        since = clock_now() - since;
        slowest = since > slowest ? since : slowest;
        sleep_ns(2 * MS);
    }
    printf("%u rounds, the slowest took %lu us\n", rounds, slowest / 1000);
    verdict(rounds > 20 ? VERDICT_PASS : VERDICT_FAIL, "rude");
}

int guest_main(void)
{
    static const struct {
        const char *name;
        int (*run)(void);
    } attacks[] = {
        { "length", attack_length }, { "type", attack_type },
        { "index", attack_index },   { "unread", attack_unread },
        { "events", attack_events }, { "slow", attack_slow },
        { "flood", attack_flood },   { "console", attack_console }
    };
    char name[16];

    if (!cmdline_get("attack", name, sizeof(name)))
        return neighbour();
    for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++)
        if (strcmp(attacks[i].name, name) == 0)
            return attacks[i].run();
    return 1;
}
