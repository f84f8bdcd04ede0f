/*
 * An ordinary domain under the control domain: console ring, store, channel.
 *
 * `partner` is the same program; the two share a channel.  The rings are
 * overrun on purpose: nothing may be lost or stop for ever.
 */
#include "tests/guest/test.h"

#define ROUNDS 500u
#define SECOND 1000000000ull

/* ---- The channel: each side adds one to what it finds. ---- */
struct shared {
    uint32_t ball; /* the side that rang wrote it last */
};

static void partner_plays(void)
{
    struct channel c;
    struct shared *s;

    if (channel_open("line", &c))
        guest_exit(1);
    s = c.page;
    do {
        channel_wait(&c);
        if (read_once(&s->ball) % 2 == 1) {
            write_once(&s->ball, s->ball + 1);
            channel_send(&c);
        }
    } while (read_once(&s->ball) < 2 * ROUNDS);
    channel_close(&c);
}

static void the_channel_carries(void)
{
    struct channel c;
    struct shared *s;
    unsigned int good = 0;

    if (!CHECK_EQ(channel_open("line", &c), 0))
        return;
    CHECK(c.first);
    s = c.page;
    for (unsigned int i = 0; i < ROUNDS; i++) {
        write_once(&s->ball, 2 * i + 1);
        channel_send(&c);
        while (read_once(&s->ball) == 2 * i + 1)
            channel_wait(&c);
        good += s->ball == 2 * i + 2;
    }
    CHECK_EQ(good, ROUNDS);
    channel_close(&c);
}

/* ---- The store. ---- */

static unsigned int times;
static char changed_path[64];

static void changed(const char *path, void *data)
{
    (void)data;
    times++;
    string_copy(changed_path, path, sizeof(changed_path));
}

static bool wait_for_times(unsigned int n)
{
    uint64_t deadline = clock_now() + 2 * SECOND;

    while (times < n)
        if (!event_wait_until(deadline))
            return false;
    return times == n;
}

static bool value_is(const char *path, const char *wanted)
{
    char *value = store_read(path, NULL);
    bool same = value && !strcmp(value, wanted);

    mem_free(value);
    return same;
}

static void the_store_keeps_values(void)
{
    int error;

    CHECK(value_is("name", "domu"));
    CHECK(!store_read("data/none", &error));
    CHECK_EQ(error, -ENOENT);
    CHECK_EQ(store_write("data/v", "hello %d", 5), 0);
    CHECK(value_is("data/v", "hello 5"));
    CHECK_EQ(store_rm("data/v"), 0);
    CHECK(!value_is("data/v", "hello 5"));
    CHECK_EQ(store_write("/local/domain/0/name", "mine"), -EACCES);
}

static void watches_fire(void)
{
    CHECK_EQ(store_watch("data/w", changed, NULL), 0);
    CHECK(wait_for_times(1)); /* once at once */
    CHECK_EQ(store_write("data/w/below", "x"), 0);
    CHECK(wait_for_times(2) && !strcmp(changed_path, "data/w/below"));
    CHECK_EQ(store_unwatch("data/w", changed, NULL), 0);
    CHECK_EQ(store_write("data/w/below", "y"), 0);
    event_wait_until(clock_now() + SECOND / 100);
    CHECK_EQ(times, 2);
}

/* A listing of several times the ring's 1,024 bytes. */
static void long_answers_arrive(void)
{
    unsigned int count;
    char path[64], *names;

    for (unsigned int i = 0; i < 80; i++) {
        format_string(path, sizeof(path), "data/d/a-long-name-to-list-%03u",
                      i);
        CHECK_EQ(store_write(path, "%u", i), 0);
    }
    names = store_directory("data/d", &count, NULL);
    CHECK(names && count == 80);
    mem_free(names);
    CHECK_EQ(store_rm("data/d"), 0);
}

static void transactions_are_apart(void)
{
    uint32_t id;

    CHECK_EQ(store_transaction_start(&id), 0);
    store_use_transaction(id);
    CHECK_EQ(store_write("data/t", "in"), 0);
    store_use_transaction(0);
    CHECK(!value_is("data/t", "in"));
    CHECK_EQ(store_transaction_end(id, true), 0);
    CHECK(value_is("data/t", "in"));

    CHECK_EQ(store_transaction_start(&id), 0);
    store_use_transaction(id);
    CHECK(value_is("data/t", "in"));
    CHECK_EQ(store_write("data/t", "late"), 0);
    store_use_transaction(0);
    CHECK_EQ(store_write("data/t", "first"), 0);
    CHECK_EQ(store_transaction_end(id, true), -EAGAIN);
    CHECK(value_is("data/t", "first"));
}

static void waiting_for_a_path_ends(void)
{
    int error = 0;

    CHECK(!store_wait("data/never", SECOND / 50, &error));
    CHECK_EQ(error, -ETIMEDOUT);
}

/* ---- The rest. ---- */

static void it_knows_itself(void)
{
    char value[32];

    CHECK(!guest.initial && guest.domid != 0);
    CHECK(!guest.on_belfry || guest.generation != 0);
    CHECK(!strcmp(guest.name, "domu"));
    CHECK_EQ(cmdline_number("first", 0), 1);
    CHECK(cmdline_get("who", value, sizeof(value)) &&
          !strcmp(value, "a friend"));
    CHECK(!cmdline_get("fir", value, sizeof(value)));
}

/* Many times the console ring's 2,048 bytes. */
static void the_console_waits_for_its_reader(void)
{
    for (unsigned int i = 0; i < 300; i++)
        printf("line %3u of 300: %040u\n", i, i);
}

int guest_main(void)
{
    if (!store_available())
        verdict(VERDICT_SKIP, "domu");
    if (!strcmp(guest.name, "partner")) {
        partner_plays();
        return 0;
    }
    it_knows_itself();
    the_channel_carries();
    the_store_keeps_values();
    watches_fire();
    long_answers_arrive();
    transactions_are_apart();
    waiting_for_a_path_ends();
    the_console_waits_for_its_reader();
    test_end("domu");
}
