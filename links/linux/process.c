/*
 * Links between processes: see link_process.h.
 *
 * The two sides exchange one message each: the offer carries the memory and
 * the bell to listen to, the answer the other bell.  Nothing that comes over
 * the socket later is read; only its hang-up counts.
 */
#include "links/link_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/string.h"
#include "links/kind.h"
#include "links/linux/deadline.h"

#define MAGIC     0x6b6c666cu /* and the version of this exchange */
#define VERSION   1u
#define BYTES_MAX ((size_t)1 << 30)
#define FDS_MAX   2u
#define SEALS     (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define RETRY_MS  5

/* What an epoll event is about. */
enum { BELL, HANGUP };

struct process {
    struct link link;
    int socket;
    int own_bell;   /* eventfd that we ring */
    int lent_bell;  /* epoll of it, for the peer; -1 once it has it */
    int peers_bell; /* what the peer has lent us */
    int events;     /* epoll: the peer's bell, and the socket's end */
    bool gone;
};

struct message {
    uint32_t magic, version;
    uint64_t bytes;
};

static struct process *process_of(struct link *l)
{
    return (struct process *)l;
}

static int close_if_open(int fd)
{
    return fd >= 0 ? close(fd) : 0;
}

/* ---- One message, with descriptors. ---- */

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

static int send_message(int socket, uint64_t bytes, const int *fds, size_t n)
{
    struct message m = { MAGIC, VERSION, bytes };
    struct iovec io = { &m, sizeof(m) };
    union control control = { .bytes = { 0 } };
    struct msghdr header = { .msg_iov = &io,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
    struct cmsghdr *c = CMSG_FIRSTHDR(&header);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(c), fds, n * sizeof(int));
    if (sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return errno == EAGAIN ? -ENOBUFS : -errno;
    return 0;
}

/* The descriptors that came: how many.  No more than FDS_MAX fit, the kernel
 * drops the rest. */
static size_t take_fds(struct msghdr *header, int *fds)
{
    size_t n = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c;
         c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(c), n * sizeof(int));
    }
    return n;
}

static int wait_readable(int fd, const struct deadline *d)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    int n;

    do
        n = poll(&p, 1, deadline_left(d));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return n == 0 ? -ETIMEDOUT : 0;
}

/* A message with exactly @n descriptors, or none of them are left open. */
static int receive_message(int socket, const struct deadline *d,
                           uint64_t *bytes, int *fds, size_t n)
{
    struct message m;
    struct iovec io = { &m, sizeof(m) };
    union control control;
    struct msghdr header = { .msg_iov = &io,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control) };
    int error = wait_readable(socket, d);
    size_t came;
    ssize_t got;

    if (error)
        return error;
    got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got <= 0)
        return got < 0 && errno != ECONNRESET ? -errno : -EPIPE;
    came = take_fds(&header, fds);
    if (got == sizeof(m) && m.magic == MAGIC && m.version == VERSION &&
        came == n && !(header.msg_flags & MSG_CTRUNC)) {
        *bytes = m.bytes;
        return 0;
    }
    while (came > 0)
        close(fds[--came]);
    return -EPROTO;
}

/* ---- Pages. ---- */

/* A file that cannot shrink: reading it can never raise SIGBUS. */
static int memory_create(size_t bytes, int *fd)
{
    *fd = memfd_create("belfry-link", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd < 0)
        return -errno;
    if (ftruncate(*fd, (off_t)bytes) || fcntl(*fd, F_ADD_SEALS, SEALS)) {
        int error = -errno;

        close(*fd);
        return error;
    }
    return 0;
}

/* Only a memfd can have these seals. */
static int memory_check(int fd, uint64_t bytes)
{
    struct stat st;

    if (bytes == 0 || bytes > BYTES_MAX)
        return -EPROTO;
    if ((fcntl(fd, F_GET_SEALS) & SEALS) != SEALS || fstat(fd, &st))
        return -EPROTO;
    return (uint64_t)st.st_size >= bytes ? 0 : -EPROTO;
}

static int map(struct process *p, int memory, size_t bytes)
{
    void *pages =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);

    if (pages == MAP_FAILED)
        return -errno;
    p->link.pages = pages;
    p->link.bytes = bytes;
    return 0;
}

/* ---- Bells. ---- */

/* Edges, not levels: nothing has to be read to make a bell silent. */
static int watch(int epoll, int fd, uint32_t what, uint32_t about)
{
    struct epoll_event e = { .events = what | EPOLLET, .data.u32 = about };

    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

static int make_bell(struct process *p)
{
    struct epoll_event e = { .events = EPOLLIN };

    p->own_bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    p->lent_bell = epoll_create1(EPOLL_CLOEXEC);
    p->events = epoll_create1(EPOLL_CLOEXEC);
    if (p->own_bell < 0 || p->lent_bell < 0 || p->events < 0)
        return -errno;
    return epoll_ctl(p->lent_bell, EPOLL_CTL_ADD, p->own_bell, &e) ? -errno : 0;
}

/* Takes the descriptor over: an epoll instance does not keep what it
 * watches. */
static int listen_to(struct process *p, int peers_bell)
{
    int error = watch(p->events, peers_bell, EPOLLIN, BELL);

    p->peers_bell = peers_bell;
    return error && error != -ENOMEM && error != -ENOSPC ? -EPROTO : error;
}

static int process_bell(struct link *l)
{
    const struct process *p = process_of(l);
    const uint64_t one = 1;

    if (p->gone)
        return -EPIPE;
    /* Nobody reads the counter: it is full after 2^64 rings. */
    return write(p->own_bell, &one, sizeof(one)) < 0 ? -errno : 0;
}

/* A dead peer's last ring went with its eventfd, so its end is one. */
static int process_wait(struct link *l, int timeout_ms)
{
    struct process *p = process_of(l);
    struct epoll_event e[2];
    int n;

    if (p->gone)
        return -EPIPE;
    n = epoll_wait(p->events, e, 2, timeout_ms);
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < n; i++)
        p->gone |= e[i].data.u32 == HANGUP;
    return n == 0 ? -ETIMEDOUT : 0;
}

static int process_fd(const struct link *l)
{
    return ((const struct process *)l)->events;
}

/* shutdown, since a copy of the socket may be open elsewhere. */
static void process_close(struct link *l)
{
    struct process *p = process_of(l);

    if (p->socket >= 0) {
        shutdown(p->socket, SHUT_RDWR);
        close(p->socket);
    }
    if (p->link.pages)
        munmap(p->link.pages, p->link.bytes);
    close_if_open(p->own_bell);
    close_if_open(p->lent_bell);
    close_if_open(p->peers_bell);
    close_if_open(p->events);
    free(p);
}

static const struct link_kind process_kind = { .bell = process_bell,
                                               .wait = process_wait,
                                               .fd = process_fd,
                                               .close = process_close };

/* ---- Offer and accept. ---- */

static int process_create(struct process **out)
{
    struct process *p = calloc(1, sizeof(*p));
    int error;

    if (!p)
        return -ENOMEM;
    p->link.kind = &process_kind;
    p->socket = p->own_bell = p->lent_bell = p->peers_bell = p->events = -1;
    error = make_bell(p);
    if (error)
        process_close(&p->link);
    else
        *out = p;
    return error;
}

/* Both have what they need: from now on the socket is the link's. */
static int finish(struct process *p, int socket, int error, struct link **out)
{
    if (!error)
        error = watch(p->events, socket, EPOLLRDHUP, HANGUP);
    if (error) {
        process_close(&p->link);
        return error;
    }
    close(p->lent_bell);
    p->lent_bell = -1;
    p->socket = socket;
    *out = &p->link;
    return 0;
}

static int exchange_as_offerer(struct process *p, int socket, int memory,
                               const struct deadline *d)
{
    int fds[FDS_MAX] = { memory, p->lent_bell };
    uint64_t echoed;
    int error = send_message(socket, p->link.bytes, fds, 2);

    if (!error)
        error = receive_message(socket, d, &echoed, fds, 1);
    return error ? error : listen_to(p, fds[0]);
}

int link_process_offer(int socket, size_t bytes, int timeout_ms,
                       struct link **out)
{
    struct deadline d = deadline_in(timeout_ms);
    struct process *p;
    int memory, error;

    if (bytes == 0 || bytes > BYTES_MAX)
        return -EINVAL;
    error = process_create(&p);
    if (error)
        return error;
    error = memory_create(bytes, &memory);
    if (!error) {
        error = map(p, memory, bytes);
        if (!error)
            error = exchange_as_offerer(p, socket, memory, &d);
        close(memory);
    }
    return finish(p, socket, error, out);
}

/* Takes over what the offer carried. */
static int take_offer(struct process *p, uint64_t bytes, const int *fds)
{
    int error = memory_check(fds[0], bytes);

    if (!error)
        error = map(p, fds[0], (size_t)bytes);
    close(fds[0]);
    if (error) {
        close(fds[1]);
        return error;
    }
    return listen_to(p, fds[1]);
}

int link_process_accept(int socket, int timeout_ms, struct link **out)
{
    struct deadline d = deadline_in(timeout_ms);
    struct process *p;
    int fds[FDS_MAX], error = process_create(&p);
    uint64_t bytes;

    if (error)
        return error;
    error = receive_message(socket, &d, &bytes, fds, 2);
    if (!error)
        error = take_offer(p, bytes, fds);
    if (!error)
        error = send_message(socket, bytes, &p->lent_bell, 1);
    return finish(p, socket, error, out);
}

/* ---- By name. ---- */

static int name_socket(const char *path, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (string_copy(address->sun_path, path, sizeof(address->sun_path)) >=
        sizeof(address->sun_path))
        return -EINVAL;
    return 0;
}

static int new_socket(void)
{
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return s < 0 ? -errno : s;
}

static int try_connect(const struct sockaddr_un *address)
{
    int s = new_socket(), error;

    if (s < 0)
        return s;
    if (connect(s, (const struct sockaddr *)address, sizeof(*address)) == 0)
        return s;
    error = -errno;
    close(s);
    return error;
}

/* Bound beside the path, then moved there: what an earlier server has left
 * behind is replaced, and nobody connects before we listen. */
static int listen_at(int s, const char *path)
{
    struct sockaddr_un beside;
    char name[sizeof(beside.sun_path) + 16];

    snprintf(name, sizeof(name), "%s.%d", path, (int)getpid());
    if (name_socket(name, &beside))
        return -EINVAL;
    if (bind(s, (const struct sockaddr *)&beside, sizeof(beside)))
        return -errno;
    if (listen(s, 1) || rename(name, path)) {
        int error = -errno;

        unlink(name);
        return error;
    }
    return 0;
}

/* The first who connects: a socket, or -Exxx. */
static int meet(const char *path, const struct deadline *d)
{
    int s = new_socket(), client, error;

    if (s < 0)
        return s;
    error = listen_at(s, path);
    if (error) {
        close(s);
        return error;
    }
    error = wait_readable(s, d);
    client = error ? error : accept4(s, NULL, NULL, SOCK_CLOEXEC);
    if (!error && client < 0)
        client = -errno;
    unlink(path);
    close(s);
    return client;
}

int link_process_serve(const char *path, size_t bytes, int timeout_ms,
                       struct link **out)
{
    struct deadline d = deadline_in(timeout_ms);
    int s, error;

    if (bytes == 0 || bytes > BYTES_MAX)
        return -EINVAL;
    s = meet(path, &d);
    if (s < 0)
        return s;
    error = link_process_offer(s, bytes, deadline_left(&d), out);
    if (error)
        close(s);
    return error;
}

int link_process_connect(const char *path, int timeout_ms, struct link **out)
{
    struct deadline d = deadline_in(timeout_ms);
    struct sockaddr_un address;
    int s, error = name_socket(path, &address);

    if (error)
        return error;
    while ((s = try_connect(&address)) == -ENOENT || s == -ECONNREFUSED) {
        if (deadline_left(&d) == 0)
            return -ETIMEDOUT;
        poll(NULL, 0, RETRY_MS);
    }
    if (s < 0)
        return s;
    error = link_process_accept(s, deadline_left(&d), out);
    if (error)
        close(s);
    return error;
}
