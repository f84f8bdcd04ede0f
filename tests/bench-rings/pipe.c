/*
 * What a program would use without a ring: two pipes, or a pair of stream
 * sockets.  A batch is one system call; what it moved in part is finished
 * before the call returns.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench-rings/bench.h"

static struct side {
    int out, in;
} sides[2];

/* Bytes moved by one call, of @result; none: try again. */
static size_t moved(ssize_t result)
{
    if (result > 0)
        return (size_t)result;
    if (result == 0 || errno != EAGAIN)
        die("pipe: a call that failed");
    return 0;
}

ANY_SIZE pipe_give(const struct side *s, const uint8_t *messages,
                   unsigned int n, size_t size)
{
    size_t done = 0;

    do
        done += moved(write(s->out, messages + done, n * size - done));
    while (done % size != 0);
    return (unsigned int)(done / size);
}

ANY_SIZE pipe_receive(const struct side *s, uint8_t *messages, unsigned int n,
                      size_t size)
{
    size_t done = 0;

    do
        done += moved(read(s->in, messages + done, n * size - done));
    while (done % size != 0);
    return (unsigned int)(done / size);
}

EACH_SIZE(pipe, give)
EACH_SIZE(pipe, receive)

static void set_waiting(int fd, enum waiting waiting)
{
    if (fcntl(fd, F_SETFL, waiting == POLL ? O_NONBLOCK : 0) != 0)
        die("fcntl");
}

static void attach(struct line *line, enum waiting waiting)
{
    *line = (struct line){ .asker = &sides[0], .server = &sides[1] };
    for (unsigned int i = 0; i < 2; i++) {
        set_waiting(sides[i].out, waiting);
        set_waiting(sides[i].in, waiting);
    }
}

static void pipe_open(struct line *line, size_t size, enum waiting waiting)
{
    (void)size;
    for (unsigned int i = 0; i < 2; i++) {
        int ends[2];

        if (pipe(ends) != 0)
            die("no pipe");
        sides[i].out = ends[1];
        sides[!i].in = ends[0];
    }
    attach(line, waiting);
}

static void pipe_close(struct line *line)
{
    (void)line;
    for (unsigned int i = 0; i < 2; i++) {
        close(sides[i].out);
        close(sides[i].in);
    }
}

static void socketpair_open(struct line *line, size_t size,
                            enum waiting waiting)
{
    int ends[2];

    (void)size;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        die("no sockets");
    for (unsigned int i = 0; i < 2; i++)
        sides[i].out = sides[i].in = ends[i];
    attach(line, waiting);
}

static void socketpair_close(struct line *line)
{
    (void)line;
    close(sides[0].out);
    close(sides[1].out);
}

const struct peer peer_pipe = {
    .name = "pipe",
    .one_way = true,
    .open = pipe_open,
    .close = pipe_close,
    .calls = CALLS_OF_TWO(pipe),
};

const struct peer peer_socketpair = {
    .name = "socketpair",
    .one_way = true,
    .open = socketpair_open,
    .close = socketpair_close,
    .calls = CALLS_OF_TWO(pipe),
};
