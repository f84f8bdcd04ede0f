/*
 * Links between processes that are really two: meeting, bells, a peer that
 * dies, and a peer that sends what is no link.
 */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/errno.h"
#include "links/link_process.h"
#include "links/linux/deadline.h"
#include "rings/reqrsp.h"

#define PATIENCE 10000 /* ms; what takes longer has failed */
#define SOON     50

#define must(cond)                                                             \
    do {                                                                       \
        if (!(cond))                                                           \
            ck_abort_msg("line %d: %s", __LINE__, #cond);                      \
    } while (0)

/* In the peer's process there is no Check: its status tells. */
#define peer_must(cond)                                                        \
    do {                                                                       \
        if (!(cond))                                                           \
            _exit(__LINE__ & 0x7f ? __LINE__ & 0x7f : 1);                      \
    } while (0)

typedef void peer_fn(int socket);

static int ours; /* our end of the socket to the peer */
static pid_t peer;

static void start_peer(peer_fn *fn)
{
    int ends[2];

    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    peer = fork();
    must(peer >= 0);
    if (peer == 0) {
        close(ends[0]);
        fn(ends[1]);
        _exit(0);
    }
    close(ends[1]);
    ours = ends[0];
}

static void peer_ends_well(void)
{
    int status;

    must(waitpid(peer, &status, 0) == peer);
    must(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}

static void kill_peer(void)
{
    kill(peer, SIGKILL);
    must(waitpid(peer, NULL, 0) == peer);
}

static unsigned int open_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned int n = 0;

    must(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* Our end of the link has been closed: a last ring, then the error. */
static void peer_sees_the_end(struct link *l)
{
    peer_must(link_wait(l, PATIENCE) == 0);
    peer_must(link_wait(l, PATIENCE) == -EPIPE);
}

/* ---- Meeting. ---- */

static void accept_and_fill(int socket)
{
    struct link *l;
    const uint8_t *pages;

    peer_must(link_process_accept(socket, PATIENCE, &l) == 0);
    pages = link_pages(l);
    for (size_t i = 0; i < link_bytes(l); i++)
        peer_must(pages[i] == 0);
    memset(link_pages(l), 0x5a, link_bytes(l));
    peer_must(link_bell(l) == 0);
    peer_sees_the_end(l);
    link_close(l);
}

START_TEST(any_size_is_shared_as_offered)
{
    static const size_t sizes[] = { 1, 64, 4095, 4096, 4097, 1 << 20 };
    size_t n = sizes[_i];
    struct link *l;
    const uint8_t *pages;

    start_peer(accept_and_fill);
    must(link_process_offer(ours, n, PATIENCE, &l) == 0);
    must(link_bytes(l) == n);
    must(link_wait(l, PATIENCE) == 0);
    pages = link_pages(l);
    must((uintptr_t)pages % 4096 == 0);
    for (size_t i = 0; i < n; i++)
        must(pages[i] == 0x5a);
    link_close(l);
    peer_ends_well();
}
END_TEST

START_TEST(impossible_sizes_are_refused)
{
    struct link *l;

    must(link_process_offer(0, 0, 0, &l) == -EINVAL);
    must(link_process_offer(0, ((size_t)1 << 30) + 1, 0, &l) == -EINVAL);
    must(link_process_offer(0, SIZE_MAX, 0, &l) == -EINVAL);
    must(link_process_serve("x", 0, 0, &l) == -EINVAL);
}
END_TEST

static char path[64];

static void connect_by_name(int socket)
{
    struct link *l;

    (void)socket;
    peer_must(link_process_connect(path, PATIENCE, &l) == 0);
    peer_must(strcmp(link_pages(l), "") == 0);
    peer_must(link_bell(l) == 0);
    peer_sees_the_end(l);
}

/* The peer may well come first; what lies at the path from before is no
 * hindrance. */
START_TEST(two_processes_meet_by_name)
{
    unsigned int before;
    struct link *l;

    snprintf(path, sizeof(path), "/tmp/test_link.%d", (int)getpid());
    close(open(path, O_CREAT | O_WRONLY, 0600));
    start_peer(connect_by_name);
    before = open_descriptors();
    must(link_process_serve(path, 4096, PATIENCE, &l) == 0);
    must(access(path, F_OK) != 0);
    must(link_wait(l, PATIENCE) == 0);
    link_close(l);
    must(open_descriptors() == before);
    peer_ends_well();
}
END_TEST

START_TEST(nobody_comes_is_a_time_out)
{
    unsigned int before = open_descriptors();
    char too_long[200];
    struct link *l;

    memset(too_long, 'x', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = 0;
    snprintf(path, sizeof(path), "/tmp/test_link.%d", (int)getpid());
    must(link_process_serve(path, 4096, SOON, &l) == -ETIMEDOUT);
    must(access(path, F_OK) != 0);
    must(link_process_connect(path, SOON, &l) == -ETIMEDOUT);
    must(link_process_serve(too_long, 4096, SOON, &l) == -EINVAL);
    must(link_process_connect(too_long, SOON, &l) == -EINVAL);
    must(open_descriptors() == before);
}
END_TEST

/* ---- Bells. ---- */

static void ring_three_times(int socket)
{
    struct link *l;

    peer_must(link_process_accept(socket, PATIENCE, &l) == 0);
    for (int i = 0; i < 3; i++)
        peer_must(link_bell(l) == 0);
    peer_must(write(socket, "x", 1) == 1);
    peer_sees_the_end(l);
}

START_TEST(rings_before_the_look_are_one)
{
    struct link *l;
    char byte;

    start_peer(ring_three_times);
    must(link_process_offer(ours, 64, PATIENCE, &l) == 0);
    must(read(ours, &byte, 1) == 1); /* all three have rung */
    must(link_wait(l, PATIENCE) == 0);
    must(link_wait(l, 0) == -ETIMEDOUT);
    must(link_wait(l, SOON) == -ETIMEDOUT);
    link_close(l);
    peer_ends_well();
}
END_TEST

static void answer_each_ring(int socket)
{
    struct link *l;
    int error;

    peer_must(link_process_accept(socket, PATIENCE, &l) == 0);
    while ((error = link_wait(l, PATIENCE)) == 0)
        link_bell(l);
    peer_must(error == -EPIPE);
}

START_TEST(no_ring_is_lost)
{
    struct link *l;

    start_peer(answer_each_ring);
    must(link_process_offer(ours, 64, PATIENCE, &l) == 0);
    for (int i = 0; i < 20000; i++) {
        must(link_bell(l) == 0);
        must(link_wait(l, PATIENCE) == 0);
    }
    link_close(l);
    peer_ends_well();
}
END_TEST

/* ---- The end of a peer. ---- */

static void leave_a_word_and_hang(int socket)
{
    struct link *l;

    peer_must(link_process_accept(socket, PATIENCE, &l) == 0);
    strcpy(link_pages(l), "last words");
    peer_must(link_bell(l) == 0);
    peer_must(write(socket, "x", 1) == 1);
    pause();
}

START_TEST(a_dead_peer_ends_the_wait_and_leaves_the_pages)
{
    struct link *l;
    char byte;

    start_peer(leave_a_word_and_hang);
    must(link_process_offer(ours, 64, PATIENCE, &l) == 0);
    must(read(ours, &byte, 1) == 1);
    kill_peer();
    must(link_wait(l, PATIENCE) == 0); /* once, whatever it rang before */
    must(strcmp(link_pages(l), "last words") == 0);
    must(link_wait(l, LINK_FOREVER) == -EPIPE);
    must(link_wait(l, LINK_FOREVER) == -EPIPE);
    must(link_bell(l) == -EPIPE);
    must(strcmp(link_pages(l), "last words") == 0);
    link_close(l);
}
END_TEST

static void see_the_end(int socket)
{
    struct link *l;

    peer_must(link_process_accept(socket, PATIENCE, &l) == 0);
    peer_sees_the_end(l);
}

START_TEST(a_copy_of_the_socket_does_not_keep_a_closed_link_open)
{
    struct link *l;

    start_peer(see_the_end);
    must(dup(ours) >= 0);
    must(link_process_offer(ours, 64, PATIENCE, &l) == 0);
    link_close(l);
    peer_ends_well();
}
END_TEST

static void die_while_we_sleep(int socket)
{
    struct link *l;

    peer_must(link_process_accept(socket, PATIENCE, &l) == 0);
    usleep(100000);
    raise(SIGKILL);
}

START_TEST(a_peer_that_dies_wakes_who_sleeps)
{
    struct link *l;

    start_peer(die_while_we_sleep);
    must(link_process_offer(ours, 64, PATIENCE, &l) == 0);
    must(link_wait(l, LINK_FOREVER) == 0);
    must(link_wait(l, LINK_FOREVER) == -EPIPE);
    link_close(l);
    must(waitpid(peer, NULL, 0) == peer);
}
END_TEST

/* ---- What is no link. ---- */

struct raw {
    uint32_t magic, version;
    uint64_t bytes;
};

static void send_raw(int socket, struct raw raw, int *fds, size_t n)
{
    char control[CMSG_SPACE(4 * sizeof(int))] = { 0 };
    struct iovec io = { &raw, sizeof(raw) };
    struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1 };
    struct cmsghdr *c;

    if (n) {
        m.msg_control = control;
        m.msg_controllen = CMSG_SPACE(n * sizeof(int));
        c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n * sizeof(int));
    }
    must(sendmsg(socket, &m, 0) == sizeof(raw));
}

static int memory(size_t bytes, int seals)
{
    int fd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);

    must(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
    must(fcntl(fd, F_ADD_SEALS, seals) == 0);
    return fd;
}

#define ALL_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* An offer that is wrong in one way; 0 is right, to know that the others
 * are refused for what is wrong in them. */
static void wrong_offer(int socket, int which)
{
    struct raw raw = { 0x6b6c666c, 1, 4096 };
    int good = memory(4096, ALL_SEALS), bell = eventfd(0, EFD_CLOEXEC);
    int shrinkable = memory(4096, F_SEAL_GROW | F_SEAL_SEAL);
    int fds[4] = { good, bell, good, bell };
    size_t n = 2;

    switch (which) {
    case 1:
        raw.magic++;
        break;
    case 2:
        raw.version++;
        break;
    case 3:
        raw.bytes = 0;
        break;
    case 4: /* more than the file has */
        raw.bytes = 8192;
        break;
    case 5:
        raw.bytes = UINT64_MAX;
        break;
    case 6:
        n = 0;
        break;
    case 7:
        n = 1;
        break;
    case 8:
        n = 4;
        break;
    case 9:
        fds[0] = shrinkable;
        break;
    case 10: /* not memory */
        fds[0] = bell;
        break;
    case 11: /* cannot ring */
        fds[1] = good;
        break;
    }
    send_raw(socket, raw, fds, n);
    close(good);
    close(bell);
    close(shrinkable);
}

START_TEST(what_is_no_offer_is_a_protocol_fault)
{
    int expected = _i == 0 ? 0 : -EPROTO;
    struct link *l = NULL;
    unsigned int before;
    int ends[2];

    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    before = open_descriptors();
    wrong_offer(ends[1], _i);
    ck_assert_int_eq(link_process_accept(ends[0], SOON, &l), expected);
    if (expected)
        must(open_descriptors() == before);
    link_close(l);
}
END_TEST

START_TEST(a_peer_that_does_not_answer_is_a_time_out)
{
    unsigned int before;
    struct link *l;
    int ends[2];

    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    before = open_descriptors();
    must(link_process_offer(ends[0], 64, SOON, &l) == -ETIMEDOUT);
    must(link_process_accept(ends[0], SOON, &l) == -ETIMEDOUT);
    must(open_descriptors() == before);
}
END_TEST

START_TEST(a_peer_that_goes_away_is_named)
{
    struct link *l;
    int ends[2];

    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    close(ends[1]);
    must(link_process_offer(ends[0], 64, PATIENCE, &l) == -EPIPE);
    must(link_process_accept(ends[0], PATIENCE, &l) == -EPIPE);
}
END_TEST

/* Words that nobody expects fill the socket and change nothing. */
static void chatter(int socket)
{
    char words[4096] = { 0 };
    struct link *l;

    peer_must(link_process_accept(socket, PATIENCE, &l) == 0);
    while (send(socket, words, sizeof(words), MSG_DONTWAIT) > 0)
        ;
    peer_must(link_bell(l) == 0);
    peer_sees_the_end(l);
}

START_TEST(chatter_on_the_socket_is_not_a_bell)
{
    struct link *l;

    start_peer(chatter);
    must(link_process_offer(ours, 64, PATIENCE, &l) == 0);
    must(link_wait(l, PATIENCE) == 0);
    must(link_wait(l, SOON) == -ETIMEDOUT);
    link_close(l);
    peer_ends_well();
}
END_TEST

/* ---- A ring over a link: both sides sleep whenever they may. ---- */

#define MESSAGES 200000u

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

static void serve_ring(int socket)
{
    struct ring_back b;
    struct link *l;

    peer_must(link_process_accept(socket, PATIENCE, &l) == 0);
    peer_must(link_wait(l, PATIENCE) == 0);
    peer_must(ring_back_attach(&b, link_pages(l), link_bytes(l), 8) == 0);
    for (;;) {
        peer_must(answer_all(&b) == -EAGAIN);
        if (ring_back_publish(&b))
            link_bell(l);
        if (ring_back_arm(&b))
            continue;
        if (link_wait(l, PATIENCE) == -EPIPE)
            return;
    }
}

START_TEST(messages_cross_between_processes_that_sleep)
{
    uint64_t sent = 0, received = 0, m;
    struct ring_front f;
    struct link *l;

    start_peer(serve_ring);
    must(link_process_offer(ours, 64 + 16 * 8, PATIENCE, &l) == 0);
    must(ring_front_create(&f, link_pages(l), link_bytes(l), 8) == 0);
    must(link_bell(l) == 0);
    while (received < MESSAGES) {
        for (; sent < MESSAGES && ring_front_put(&f, &sent, 8) == 0; sent++)
            ;
        if (ring_front_publish(&f))
            must(link_bell(l) == 0);
        for (; ring_front_take(&f, &m, 8) == 0; received++)
            must(m == ~received);
        must(f.fault == 0);
        if (received < MESSAGES && !ring_front_free(&f) && !ring_front_arm(&f))
            must(link_wait(l, PATIENCE) == 0);
    }
    link_close(l);
    peer_ends_well();
}
END_TEST

/* ---- A peer that dies at any step. ---- */

static unsigned int dies_after; /* us */

static void serve_and_die(int socket)
{
    struct itimerval t = { .it_value.tv_usec = dies_after };

    signal(SIGALRM, SIG_DFL); /* Check's handler ends the whole test */
    setitimer(ITIMER_REAL, &t, NULL);
    serve_ring(socket);
}

/* Until the peer's end is told.  Every response is right, and none of what a
 * dead peer has left is a fault. */
static uint64_t exchange_until_the_end(struct link *l, struct ring_front *f)
{
    uint64_t sent = 0, received = 0, m;
    int error = 0;

    while (!error) {
        for (; ring_front_put(f, &sent, 8) == 0; sent++)
            ;
        if (ring_front_publish(f))
            link_bell(l);
        for (; ring_front_take(f, &m, 8) == 0; received++)
            must(m == ~received);
        must(f->fault == 0);
        if (!ring_front_free(f) && !ring_front_arm(f))
            error = link_wait(l, PATIENCE);
    }
    must(error == -EPIPE);
    return received;
}

START_TEST(a_peer_may_die_at_any_step)
{
    unsigned int met = 0, exchanged = 0;

    for (unsigned int i = 0; i < 300; i++) {
        struct ring_front f;
        struct link *l;
        int error;

        dies_after = 1 + i * 17;
        start_peer(serve_and_die);
        error = link_process_offer(ours, 64 + 4 * 8, PATIENCE, &l);
        must(error == 0 || error == -EPIPE);
        if (!error) {
            met++;
            ring_front_create(&f, link_pages(l), link_bytes(l), 8);
            link_bell(l);
            exchanged += exchange_until_the_end(l, &f) > 0;
            link_close(l);
        } else {
            close(ours);
        }
        must(waitpid(peer, NULL, 0) == peer);
    }
    printf("%u of 300 peers met, %u of these answered before they died\n", met,
           exchanged);
    ck_assert_uint_gt(exchanged, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("link_process");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, any_size_is_shared_as_offered, 0, 6);
    tcase_add_test(tests, impossible_sizes_are_refused);
    tcase_add_test(tests, two_processes_meet_by_name);
    tcase_add_test(tests, nobody_comes_is_a_time_out);
    tcase_add_test(tests, rings_before_the_look_are_one);
    tcase_add_test(tests, no_ring_is_lost);
    tcase_add_test(tests, a_dead_peer_ends_the_wait_and_leaves_the_pages);
    tcase_add_test(tests,
                   a_copy_of_the_socket_does_not_keep_a_closed_link_open);
    tcase_add_test(tests, a_peer_that_dies_wakes_who_sleeps);
    tcase_add_loop_test(tests, what_is_no_offer_is_a_protocol_fault, 0, 12);
    tcase_add_test(tests, a_peer_that_does_not_answer_is_a_time_out);
    tcase_add_test(tests, a_peer_that_goes_away_is_named);
    tcase_add_test(tests, chatter_on_the_socket_is_not_a_bell);
    tcase_add_test(tests, messages_cross_between_processes_that_sleep);
    tcase_add_test(tests, a_peer_may_die_at_any_step);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
