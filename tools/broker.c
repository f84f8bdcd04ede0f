/*
 * The broker: an event loop around one QEMU.
 *
 * Nothing here blocks but poll.  This file has QEMU, its console and the
 * times; the clients are the switchboard's.
 */
#include "tools/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/belfry.h"
#include "tools/buffer.h"
#include "tools/clock.h"
#include "tools/switchboard.h"

#define MAX_LOG       (8u << 20)
#define CONSOLE_AHEAD (256u << 10)
#define TYPED_AHEAD   4096u
#define STOP_TIME     (3 * SECOND)
#define KILL_TIME     (2 * SECOND)
#define ESCAPE_KEY    1 /* QEMU's Ctrl-A */

struct broker {
    const struct broker_setup *setup;
    struct broker_outcome *outcome;
    pid_t qemu;
    int input, output; /* QEMU's standard ones; -1: closed */
    int signals;
    int64_t started;
    int64_t timeout_at;
    int64_t kill_at; /* when SIGTERM, then SIGKILL is due */
    bool terminated; /* SIGTERM was sent */
    bool reaped;
    bool input_ended;
    bool escape_seen; /* Ctrl-A was typed last */
    size_t log_length;
    struct buffer to_input, to_console;
    struct switchboard switchboard;
};

/* ---- QEMU. --------------------------------------------------------------- */

static void become_qemu(const struct broker_setup *setup, int input,
                        int output)
{
    sigset_t none;

    /* A broker that is killed takes its machine along. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0); /* Ctrl-C at a terminal is for the broker */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    dup2(input, 0);
    dup2(output, 1);
    fcntl(setup->com2_of_qemu, F_SETFD, 0);
    execvp(setup->argv[0], setup->argv);
    fprintf(stderr, "belfry: %s: %s%s\n", setup->argv[0], strerror(errno),
            errno == ENOENT ? "; install qemu-system-x86" : "");
    _exit(1);
}

static bool start_qemu(struct broker *b)
{
    int in[2], out[2];

    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC)) {
        complain("pipe: %s", strerror(errno));
        return false;
    }
    b->started = clock_now();
    b->qemu = fork();
    if (b->qemu < 0) {
        complain("fork: %s", strerror(errno));
        return false;
    }
    if (b->qemu == 0)
        become_qemu(b->setup, in[0], out[1]);
    close(in[0]);
    close(out[1]);
    close(b->setup->com2_of_qemu);
    b->input = in[1];
    b->output = out[0];
    fcntl(b->input, F_SETFL, O_NONBLOCK);
    fcntl(b->output, F_SETFL, O_NONBLOCK);
    fcntl(b->setup->com2, F_SETFL, O_NONBLOCK);

    return true;
}

static void reap_qemu(struct broker *b)
{
    if (!b->reaped &&
        waitpid(b->qemu, &b->outcome->wstatus, WNOHANG) == b->qemu) {
        b->reaped = true;
        b->kill_at = b->timeout_at = NEVER;
    }
}

/* Gently first, so that QEMU writes back disks of the user's; a machine that
 * was given up has none that are worth it. */
static void terminate_qemu(struct broker *b)
{
    bool now_or_never = b->terminated || b->outcome->timed_out;

    if (b->reaped)
        return;
    kill(b->qemu, now_or_never ? SIGKILL : SIGTERM);
    b->terminated = true;
    b->kill_at = clock_now() + KILL_TIME;
}

/* ---- The console. -------------------------------------------------------- */

static void write_console(struct broker *b)
{
    struct buffer *buffer = &b->to_console;
    size_t most = b->setup->console_is_log ? buffer->length : 4096;

    if (!buffer->length)
        return;
    if (!buffer_write(buffer, b->setup->console, most)) {
        buffer->length = 0;
        if (!b->setup->console_is_log) {
            b->outcome->user_quit = true; /* belfry run | head */
            terminate_qemu(b);
        }
        return;
    }
    if (!b->setup->console_is_log)
        return;
    b->log_length += most;
    if (b->log_length > MAX_LOG) { /* begin anew rather than fill the disk */
        if (ftruncate(b->setup->console, 0) == 0)
            lseek(b->setup->console, 0, SEEK_SET);
        b->log_length = 0;
    }
}

static void read_output(struct broker *b)
{
    size_t before = b->to_console.length;
    int n = buffer_read(&b->to_console, b->output);

    if (n > 0)
        first_lines_feed(&b->outcome->first_lines,
                         b->to_console.data + before, (size_t)n,
                         (uint64_t)(clock_now() - b->started));
    if (n == 0 || n == -2) {
        close(b->output);
        b->output = -1;
    }
    if (b->setup->console_is_log)
        write_console(b);
}

/* Was it Ctrl-A x?  QEMU sees the bytes too, and ends. */
static void watch_for_quit(struct broker *b, const char *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (b->escape_seen && data[i] == 'x')
            b->outcome->user_quit = true;
        b->escape_seen = !b->escape_seen && data[i] == ESCAPE_KEY;
    }
}

static void read_input(struct broker *b)
{
    size_t before = b->to_input.length;
    int n = buffer_read(&b->to_input, 0);

    if (n > 0)
        watch_for_quit(b, b->to_input.data + before, (size_t)n);
    if (n == 0 || n == -2)
        b->input_ended = true;
}

/* ---- The loop. ----------------------------------------------------------- */

static void on_signal(struct broker *b)
{
    struct signalfd_siginfo info;

    while (read(b->signals, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGCHLD) {
            reap_qemu(b);
            continue;
        }
        b->outcome->signal = (int)info.ssi_signo;
        terminate_qemu(b);
    }
}

/* One entry of the poll set per thing; an fd of -1 is ignored by poll. */
enum slot { SLOT_SIGNAL, SLOT_OUTPUT, SLOT_INPUT, SLOT_TO_INPUT, SLOT_CONSOLE,
            SLOT_SWITCHBOARD };
#define NR_SLOTS (SLOT_SWITCHBOARD + SWITCHBOARD_SLOTS)

static void fill_poll_set(const struct broker *b, struct pollfd *set)
{
    bool typing = b->setup->forward_input && !b->input_ended &&
                  b->to_input.length < TYPED_AHEAD;

    set[SLOT_SIGNAL] = (struct pollfd){ b->signals, POLLIN, 0 };
    set[SLOT_OUTPUT] = (struct pollfd){
        b->to_console.length < CONSOLE_AHEAD ? b->output : -1, POLLIN, 0
    };
    set[SLOT_INPUT] = (struct pollfd){ typing ? 0 : -1, POLLIN, 0 };
    set[SLOT_TO_INPUT] = (struct pollfd){
        b->to_input.length ? b->input : -1, POLLOUT, 0
    };
    set[SLOT_CONSOLE] = (struct pollfd){
        b->to_console.length ? b->setup->console : -1, POLLOUT, 0
    };
    switchboard_fill(&b->switchboard, set + SLOT_SWITCHBOARD);
}

static void serve(struct broker *b, const struct pollfd *set)
{
    if (set[SLOT_SIGNAL].revents)
        on_signal(b);
    if (set[SLOT_OUTPUT].revents)
        read_output(b);
    if (set[SLOT_CONSOLE].revents)
        write_console(b);
    if (set[SLOT_INPUT].revents)
        read_input(b);
    if (set[SLOT_TO_INPUT].revents &&
        !buffer_write(&b->to_input, b->input, TYPED_AHEAD))
        b->to_input.length = 0;
    switchboard_serve(&b->switchboard, set + SLOT_SWITCHBOARD);
}

static int poll_time(const struct broker *b)
{
    int64_t at = clock_earlier(clock_earlier(b->kill_at, b->timeout_at),
                               switchboard_next_time(&b->switchboard));

    if (at == NEVER)
        return -1;
    at -= clock_now();

    return at <= 0 ? 0 : (int)(at / 1000000 + 1);
}

/* A client asked for the end, or the start has failed. */
static void heed_switchboard(struct broker *b)
{
    struct switchboard *s = &b->switchboard;

    if (s->stop_asked) {
        b->outcome->user_quit = true;
        b->kill_at = clock_earlier(b->kill_at, clock_now() + STOP_TIME);
        s->stop_asked = false;
    }
    if (s->start_failed) {
        b->outcome->timed_out = true;
        s->start_failed = false;
        terminate_qemu(b);
    }
}

static void check_times(struct broker *b)
{
    int64_t t = clock_now();

    switchboard_check_times(&b->switchboard, t);
    heed_switchboard(b);
    if (t >= b->timeout_at) {
        b->outcome->timed_out = true;
        b->timeout_at = NEVER;
        terminate_qemu(b);
    }
    if (t >= b->kill_at)
        terminate_qemu(b);
}

static void loop(struct broker *b)
{
    struct pollfd set[NR_SLOTS];

    while (!b->reaped || b->output >= 0 || b->to_console.length) {
        fill_poll_set(b, set);
        if (poll(set, NR_SLOTS, poll_time(b)) > 0)
            serve(b, set);
        check_times(b);
    }
}

static int catch_signals(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);

    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool broker_run(const struct broker_setup *setup,
                struct broker_outcome *outcome)
{
    struct broker *b = allocate(sizeof(*b));

    *outcome = (struct broker_outcome){ 0 };
    b->setup = setup;
    b->outcome = outcome;
    b->kill_at = NEVER;
    b->timeout_at = clock_in(setup->timeout);
    b->signals = catch_signals();
    if (b->signals < 0 || !start_qemu(b)) {
        free(b);
        return false;
    }
    switchboard_open(&b->switchboard, setup, b->qemu, b->started);
    loop(b);
    switchboard_close(&b->switchboard);
    buffer_free(&b->to_input);
    buffer_free(&b->to_console);
    close(b->input);
    close(b->signals);
    free(b);

    return true;
}
