/*
 * The broker: an event loop around one QEMU.
 *
 * Nothing here blocks but poll.  What comes from the machine is untrusted:
 * a reply is parsed before it is passed on, and what is no JSON becomes an
 * error document.
 */
#include "tools/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tools/belfry.h"
#include "tools/buffer.h"

#define PROTOCOL_VERSION 1
#define MAX_CLIENTS    64
#define MAX_LINE       16384        /* the control domain takes 1,000 bytes */
#define MAX_REPLY      (16u << 20)
#define MAX_UNREAD     (32u << 20)  /* a client that does not read is dropped */
#define MAX_LOG        (8u << 20)
#define CONSOLE_AHEAD  (256u << 10)
#define SECOND         1000000000ll
#define REQUEST_TIME   (10 * SECOND)
#define HELLO_TIME     (SECOND / 4)
#define STOP_TIME      (3 * SECOND)
#define KILL_TIME      (2 * SECOND)
#define NEVER          INT64_MAX
#define ESCAPE_KEY     1 /* QEMU's Ctrl-A */

struct client {
    int fd; /* -1: free */
    struct buffer in, out;
    bool finished; /* it sends no more */
};

/* The request under way. */
struct exchange {
    bool active;
    bool raw;        /* the next line is the reply, whatever it is */
    int client;      /* -1: the broker's own, or the client has left */
    char id[24];     /* the client's */
    char own_id[24]; /* ours */
    int64_t deadline;
};

struct broker {
    const struct broker_setup *setup;
    struct broker_outcome *outcome;
    pid_t qemu;
    int input, output; /* QEMU's standard ones; -1: closed */
    int com2;          /* -1: closed */
    int signals;
    int64_t started;
    int64_t kill_at;    /* when SIGTERM, then SIGKILL is due */
    bool terminated;    /* SIGTERM was sent */
    int64_t timeout_at, start_timeout_at, next_hello;
    bool reaped;
    bool input_ended;
    bool escape_seen; /* Ctrl-A was typed last */
    int ready;
    size_t log_length;
    struct buffer to_input, to_console, to_com2, from_com2;
    struct exchange exchange;
    unsigned int counter, turn;
    struct client clients[MAX_CLIENTS];
};

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);

    return t.tv_sec * SECOND + t.tv_nsec;
}

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
    b->started = now();
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
    b->com2 = b->setup->com2;
    fcntl(b->input, F_SETFL, O_NONBLOCK);
    fcntl(b->output, F_SETFL, O_NONBLOCK);
    fcntl(b->com2, F_SETFL, O_NONBLOCK);

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
    b->kill_at = now() + KILL_TIME;
}

/* ---- Replies to clients. ------------------------------------------------- */

static void drop_client(struct broker *b, int index)
{
    struct client *client = &b->clients[index];

    close(client->fd);
    client->fd = -1;
    client->finished = false;
    buffer_free(&client->in);
    buffer_free(&client->out);
    if (b->exchange.client == index)
        b->exchange.client = -1;
}

/* Takes the document. */
static void send_document(struct broker *b, int index, json_t *document)
{
    struct client *client = &b->clients[index];
    char *text = json_dumps(document, JSON_COMPACT);

    json_decref(document);
    if (!text)
        return;
    if (client->out.length + strlen(text) > MAX_UNREAD) {
        free(text);
        drop_client(b, index);
        return;
    }
    buffer_add(&client->out, text, strlen(text));
    buffer_add(&client->out, "\n", 1);
    free(text);
}

static void send_error(struct broker *b, int index, const char *id,
                       enum status code, const char *what)
{
    send_document(b, index,
                  json_pack("{s:s, s:b, s:s, s:i, s:I, s:{s:i, s:s}}",
                            "id", id, "ok", 0, "schema", "belfry.error",
                            "version", 1,
                            "time", (json_int_t)(now() - b->started),
                            "error", "code", (int)code, "what", what));
}

static void send_data(struct broker *b, int index, const char *id,
                      const char *schema, json_t *data)
{
    send_document(b, index,
                  json_pack("{s:s, s:b, s:s, s:i, s:I, s:o}", "id", id, "ok",
                            1, "schema", schema, "version", 1, "time",
                            (json_int_t)(now() - b->started), "data", data));
}

/* The request under way ends with an error. */
static void fail_exchange(struct broker *b, enum status code,
                          const char *what)
{
    struct exchange *e = &b->exchange;

    e->active = false;
    if (e->client >= 0)
        send_error(b, e->client, e->id, code, what);
}

/* ---- Being ready. -------------------------------------------------------- */

static void tell_ready(struct broker *b, enum status status)
{
    char byte = (char)status;

    if (b->ready < 0)
        return;
    if (write(b->ready, &byte, 1) < 0) {
        /* Whoever waited has gone; the system runs on. */
    }
    close(b->ready);
    b->ready = -1;
}

/* Any reply to any of our hellos will do, also one that comes late. */
static void judge_hello(struct broker *b, const json_t *reply)
{
    const json_t *data = json_object_get(reply, "data");
    const json_t *version = json_object_get(data, "version");

    if (json_is_true(json_object_get(reply, "ok")) && json_is_integer(version))
        tell_ready(b, json_integer_value(version) == PROTOCOL_VERSION
                          ? STATUS_FINE : STATUS_VERSION);
}

/* ---- Requests to the machine. -------------------------------------------- */

/* Begin an exchange; index -1 is the broker itself. */
static void begin(struct broker *b, int index, const char *id,
                  int64_t patience)
{
    struct exchange *e = &b->exchange;

    *e = (struct exchange){
        .active = true,
        .client = index,
        .deadline = now() + patience,
    };
    snprintf(e->id, sizeof(e->id), "%s", id);
    snprintf(e->own_id, sizeof(e->own_id), "b%u", ++b->counter);
}

static void send_request(struct broker *b, int index, const char *id,
                         const char *rest, int64_t patience)
{
    begin(b, index, id, patience);
    buffer_add(&b->to_com2, b->exchange.own_id, strlen(b->exchange.own_id));
    buffer_add(&b->to_com2, " ", 1);
    buffer_add(&b->to_com2, rest, strlen(rest));
    buffer_add(&b->to_com2, "\n", 1);
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

static void send_raw(struct broker *b, int index, const char *id,
                     const char *hex)
{
    begin(b, index, id, REQUEST_TIME / 5);
    b->exchange.raw = true;
    for (; hex[0] && hex[1]; hex += 2) {
        int high = hex_digit(hex[0]), low = hex_digit(hex[1]);
        char byte = (char)(high << 4 | low);

        if (high < 0 || low < 0)
            break;
        buffer_add(&b->to_com2, &byte, 1);
    }
}

/* ---- Requests to the broker. --------------------------------------------- */

static void send_status(struct broker *b, int index, const char *id)
{
    send_data(b, index, id, "belfry.run",
              json_pack("{s:s, s:s, s:i, s:i, s:I}", "name", b->setup->name,
                        "image", b->setup->image, "broker", (int)getpid(),
                        "qemu", (int)b->qemu, "running",
                        (json_int_t)(now() - b->started)));
}

/* The control domain is asked to end it; kill_at sees that it does. */
static void stop_machine(struct broker *b, int index, const char *id)
{
    static const char request[] = "\nstop shutdown\n";

    b->outcome->user_quit = true;
    buffer_add(&b->to_com2, request, strlen(request));
    if (b->kill_at == NEVER)
        b->kill_at = now() + STOP_TIME;
    send_data(b, index, id, "belfry.stop",
              json_pack("{s:s}", "name", b->setup->name));
}

/* "ID VERB REST": cuts the line in place; false if it is no request. */
static bool split_request(char *line, const char **id, char **rest)
{
    size_t length = strspn(line, "abcdefghijklmnopqrstuvwxyz"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");

    if (length == 0 || length > 20 || line[length] != ' ')
        return false;
    line[length] = '\0';
    *id = line;
    *rest = line + length + 1;

    return true;
}

static bool is_verb(const char *request, const char *verb)
{
    size_t length = strlen(verb);

    return !strncmp(request, verb, length) &&
           (request[length] == '\0' || request[length] == ' ');
}

/* Act on a client's line.  False: it must wait for the request under way. */
static bool take_request(struct broker *b, int index, char *line)
{
    const char *id;
    char *rest;

    if (!split_request(line, &id, &rest)) {
        send_error(b, index, "?", STATUS_USAGE,
                   "a request is: ID VERB [ARGUMENT ...]");
        return true;
    }
    if (is_verb(rest, "broker.status")) {
        send_status(b, index, id);
        return true;
    }
    if (is_verb(rest, "broker.stop")) {
        stop_machine(b, index, id);
        return true;
    }
    if (b->exchange.active) {
        line[strlen(id)] = ' '; /* whole again */
        return false;
    }
    if (b->com2 < 0)
        send_error(b, index, id, STATUS_UNREACHABLE,
                   "the machine is stopping");
    else if (is_verb(rest, "broker.raw"))
        send_raw(b, index, id, rest + strcspn(rest, " ") + 1);
    else
        send_request(b, index, id, rest, REQUEST_TIME);

    return true;
}

/* Take a client's lines as far as that goes. */
static void take_requests(struct broker *b, int index)
{
    struct client *client = &b->clients[index];
    char *line;

    while (client->fd >= 0 && (line = buffer_take_line(&client->in))) {
        if (!take_request(b, index, line)) {
            struct buffer rest = client->in;

            client->in = (struct buffer){ 0 };
            buffer_add(&client->in, line, strlen(line));
            buffer_add(&client->in, "\n", 1);
            buffer_add(&client->in, rest.data, rest.length);
            buffer_free(&rest);
            free(line);
            return;
        }
        free(line);
    }
    if (client->fd >= 0 && client->in.length > MAX_LINE) {
        send_error(b, index, "?", STATUS_USAGE, "the request is too long");
        client->in.length = 0;
        client->finished = true;
    }
}

/* Everybody in turn, so that one busy client does not keep the others out. */
static void take_all_requests(struct broker *b)
{
    for (unsigned int i = 0; i < MAX_CLIENTS; i++) {
        int index = (int)((b->turn + i) % MAX_CLIENTS);

        if (b->clients[index].fd >= 0 && b->clients[index].in.length)
            take_requests(b, index);
    }
    b->turn = (b->turn + 1) % MAX_CLIENTS;
}

/* ---- Replies from the machine. ------------------------------------------- */

static void on_raw_reply(struct broker *b, char *line)
{
    struct exchange *e = &b->exchange;
    json_t *text = json_string(line);

    e->active = false;
    if (e->client < 0) {
        json_decref(text);
        return;
    }
    if (!text)
        send_error(b, e->client, e->id, STATUS_FAILED,
                   "the machine's reply is no text");
    else
        send_data(b, e->client, e->id, "belfry.raw",
                  json_pack("{s:o}", "line", text));
}

/* Is this one of our ids, of an earlier request? */
static bool is_late(const char *id)
{
    return id[0] == 'b' && id[1] && strspn(id + 1, "0123456789") ==
                                        strlen(id + 1);
}

/* Our id, also behind the remains of a line that somebody left unended. */
static bool ends_with(const char *id, const char *own_id)
{
    size_t length = strlen(id), own = strlen(own_id);

    return length >= own && !strcmp(id + length - own, own_id);
}

static void on_client_reply(struct broker *b, json_t *reply, const char *id)
{
    struct exchange *e = &b->exchange;

    if (!ends_with(id, e->own_id) && strcmp(id, "?")) {
        if (!is_late(id))
            fail_exchange(b, STATUS_FAILED,
                          "the request was garbled on its way to the control "
                          "domain; try again");
        return;
    }
    e->active = false;
    json_object_set_new(reply, "id", json_string(e->id));
    send_document(b, e->client, json_incref(reply));
}

static void on_reply(struct broker *b, json_t *reply)
{
    struct exchange *e = &b->exchange;
    const char *id = json_string_value(json_object_get(reply, "id"));

    if (b->ready >= 0)
        judge_hello(b, reply);
    if (!e->active || !id)
        return;
    if (e->client >= 0)
        on_client_reply(b, reply, id);
    else if (ends_with(id, e->own_id))
        e->active = false;
}

static void on_line(struct broker *b, char *line)
{
    json_t *reply;

    line[strcspn(line, "\r")] = '\0';
    if (!*line)
        return;
    if (b->exchange.active && b->exchange.raw) {
        on_raw_reply(b, line);
        return;
    }
    reply = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(reply))
        on_reply(b, reply);
    else if (b->exchange.active && b->exchange.client >= 0)
        fail_exchange(b, STATUS_FAILED,
                      "the control domain sent a broken reply (no JSON)");
    json_decref(reply);
}

static void read_com2(struct broker *b)
{
    int n = buffer_read(&b->from_com2, b->com2);
    char *line;

    if (n == 0 || n == -2) {
        close(b->com2);
        b->com2 = -1;
        if (b->exchange.active)
            fail_exchange(b, STATUS_UNREACHABLE, "the machine has stopped");
        return;
    }
    while ((line = buffer_take_line(&b->from_com2))) {
        on_line(b, line);
        free(line);
    }
    if (b->from_com2.length > MAX_REPLY) {
        b->from_com2.length = 0;
        if (b->exchange.active)
            fail_exchange(b, STATUS_FAILED,
                          "the control domain's reply has no end");
    }
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
                         (uint64_t)(now() - b->started));
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

static void accept_client(struct broker *b)
{
    int fd = accept4(b->setup->listener, NULL, NULL,
                     SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    for (int i = 0; i < MAX_CLIENTS; i++) {
        if (b->clients[i].fd < 0) {
            b->clients[i].fd = fd;
            return;
        }
    }
    close(fd); /* too many; its user sees the connection end */
}

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

static void serve_client(struct broker *b, int index, short events)
{
    struct client *client = &b->clients[index];

    if (events & POLLOUT && !buffer_write(&client->out, client->fd, MAX_REPLY)) {
        drop_client(b, index);
        return;
    }
    if (events & (POLLIN | POLLHUP | POLLERR)) {
        int n = buffer_read(&client->in, client->fd);

        if (n == -2) {
            drop_client(b, index);
            return;
        }
        if (n == 0)
            client->finished = true;
    }
}

/* Clients that send no more and have got all they asked for.  What is left in
 * `in` is then no whole line. */
static void drop_finished(struct broker *b)
{
    const struct exchange *e = &b->exchange;

    for (int i = 0; i < MAX_CLIENTS; i++) {
        const struct client *client = &b->clients[i];

        if (client->fd < 0 || !client->finished || client->out.length ||
            (e->active && e->client == i))
            continue;
        if (!client->in.length ||
            !memchr(client->in.data, '\n', client->in.length))
            drop_client(b, i);
    }
}

/* One entry of the poll set per thing; an fd of -1 is ignored by poll. */
enum slot { SLOT_SIGNAL, SLOT_OUTPUT, SLOT_COM2, SLOT_LISTENER, SLOT_INPUT,
            SLOT_TO_INPUT, SLOT_CONSOLE, SLOT_CLIENTS };

static void fill_poll_set(const struct broker *b, struct pollfd *set)
{
    bool typing = b->setup->forward_input && !b->input_ended &&
                  b->to_input.length < 4096;

    set[SLOT_SIGNAL] = (struct pollfd){ b->signals, POLLIN, 0 };
    set[SLOT_OUTPUT] = (struct pollfd){
        b->to_console.length < CONSOLE_AHEAD ? b->output : -1, POLLIN, 0
    };
    set[SLOT_COM2] = (struct pollfd){
        b->com2, (short)(POLLIN | (b->to_com2.length ? POLLOUT : 0)), 0
    };
    set[SLOT_LISTENER] = (struct pollfd){ b->setup->listener, POLLIN, 0 };
    set[SLOT_INPUT] = (struct pollfd){ typing ? 0 : -1, POLLIN, 0 };
    set[SLOT_TO_INPUT] = (struct pollfd){
        b->to_input.length ? b->input : -1, POLLOUT, 0
    };
    set[SLOT_CONSOLE] = (struct pollfd){
        b->to_console.length ? b->setup->console : -1, POLLOUT, 0
    };
    for (int i = 0; i < MAX_CLIENTS; i++) {
        const struct client *c = &b->clients[i];
        short in = c->finished || c->in.length > MAX_LINE ? 0 : POLLIN;

        set[SLOT_CLIENTS + i] = (struct pollfd){
            in || c->out.length ? c->fd : -1,
            (short)(in | (c->out.length ? POLLOUT : 0)), 0
        };
    }
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
        !buffer_write(&b->to_input, b->input, MAX_REPLY))
        b->to_input.length = 0;
    if (set[SLOT_COM2].revents & POLLOUT &&
        !buffer_write(&b->to_com2, b->com2, MAX_REPLY))
        b->to_com2.length = 0;
    if (set[SLOT_COM2].revents & (POLLIN | POLLHUP | POLLERR))
        read_com2(b);
    for (int i = 0; i < MAX_CLIENTS; i++) {
        if (set[SLOT_CLIENTS + i].revents)
            serve_client(b, i, set[SLOT_CLIENTS + i].revents);
    }
    if (set[SLOT_LISTENER].revents)
        accept_client(b);
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int poll_time(const struct broker *b)
{
    int64_t at = earliest(b->kill_at, b->timeout_at);

    if (b->ready >= 0)
        at = earliest(at, earliest(b->start_timeout_at, b->next_hello));
    if (b->exchange.active)
        at = earliest(at, b->exchange.deadline);
    if (at == NEVER)
        return -1;
    at -= now();

    return at <= 0 ? 0 : (int)(at / 1000000 + 1);
}

static void say_hello(struct broker *b, int64_t t)
{
    if (t >= b->start_timeout_at) {
        tell_ready(b, STATUS_TIMED_OUT);
        b->outcome->timed_out = true;
        terminate_qemu(b);
    } else if (t >= b->next_hello && !b->exchange.active && b->com2 >= 0) {
        /* The newline ends what the port may have lost the start of. */
        buffer_add(&b->to_com2, "\n", 1);
        send_request(b, -1, "", "hello", HELLO_TIME);
        b->next_hello = t + HELLO_TIME;
    }
}

static void check_times(struct broker *b)
{
    int64_t t = now();

    if (b->exchange.active && t >= b->exchange.deadline)
        fail_exchange(b, STATUS_TIMED_OUT,
                      b->exchange.raw
                          ? "the control domain did not answer that"
                          : "the control domain did not answer within 10 s "
                            "(its console may say why)");
    if (b->ready >= 0)
        say_hello(b, t);
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
    struct pollfd set[SLOT_CLIENTS + MAX_CLIENTS];

    while (!b->reaped || b->output >= 0 || b->to_console.length) {
        fill_poll_set(b, set);
        if (poll(set, SLOT_CLIENTS + MAX_CLIENTS, poll_time(b)) > 0)
            serve(b, set);
        take_all_requests(b);
        drop_finished(b);
        check_times(b);
    }
}

/* The machine is gone: whoever waits is told, as far as they listen. */
static void part(struct broker *b)
{
    if (b->exchange.active)
        fail_exchange(b, STATUS_UNREACHABLE, "the machine has stopped");
    tell_ready(b, STATUS_FAILED);
    for (int i = 0; i < MAX_CLIENTS; i++) {
        if (b->clients[i].fd < 0)
            continue;
        if (b->clients[i].out.length)
            buffer_write(&b->clients[i].out, b->clients[i].fd, MAX_REPLY);
        drop_client(b, i);
    }
    buffer_free(&b->to_input);
    buffer_free(&b->to_console);
    buffer_free(&b->to_com2);
    buffer_free(&b->from_com2);
    if (b->com2 >= 0)
        close(b->com2);
    close(b->input);
    close(b->signals);
}

static int64_t deadline_in(double seconds)
{
    return seconds > 0 ? now() + (int64_t)(seconds * (double)SECOND) : NEVER;
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
    b->ready = setup->ready;
    b->kill_at = NEVER;
    for (int i = 0; i < MAX_CLIENTS; i++)
        b->clients[i].fd = -1;
    b->exchange.client = -1;
    b->signals = catch_signals();
    b->timeout_at = deadline_in(setup->timeout);
    b->start_timeout_at = deadline_in(setup->start_timeout);
    if (b->signals < 0 || !start_qemu(b)) {
        free(b);
        return false;
    }
    loop(b);
    part(b);
    free(b);

    return true;
}
