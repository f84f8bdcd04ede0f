/* What the peers have in common: shared pages, bells, and an end. */
#include "tests/bench-rings/bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "links/link_process.h"

#define PATIENCE 10000 /* ms */

_Noreturn void die(const char *what)
{
    fprintf(stderr, "bench-rings: %s\n", what);
    exit(1);
}

struct offer {
    int socket;
    size_t bytes;
    struct link *link;
};

static void *offer(void *p)
{
    struct offer *o = p;

    if (link_process_offer(o->socket, o->bytes, PATIENCE, &o->link) != 0)
        die("a link that nobody accepts");
    return NULL;
}

/* Both ends of one, in one process: offering waits for the accepting. */
static void link_make(struct link *ends[2], size_t bytes)
{
    struct offer o = { .bytes = bytes };
    int sockets[2];
    pthread_t thread;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0)
        die("no sockets");
    o.socket = sockets[0];
    if (pthread_create(&thread, NULL, offer, &o) != 0)
        die("no thread");
    if (link_process_accept(sockets[1], PATIENCE, &ends[1]) != 0)
        die("a link that nobody offers");
    pthread_join(thread, NULL);
    ends[0] = o.link;
}

void line_share(struct line *line, size_t bytes, bool with_link)
{
    void *pages;

    *line = (struct line){ .bytes = bytes };
    if (with_link) {
        link_make(line->links, bytes);
        line->pages[0] = link_pages(line->links[0]);
        line->pages[1] = link_pages(line->links[1]);
        return;
    }
    pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (pages == MAP_FAILED)
        die("no memory");
    line->pages[0] = line->pages[1] = pages;
}

void line_unshare(struct line *line)
{
    if (line->links[0]) {
        link_close(line->links[0]);
        link_close(line->links[1]);
    } else {
        munmap(line->pages[0], line->bytes);
    }
}

int bell_new(void)
{
    int fd = eventfd(0, EFD_CLOEXEC);

    if (fd < 0)
        die("no eventfd");
    return fd;
}

void bell_ring(int fd)
{
    uint64_t one = 1;

    if (write(fd, &one, sizeof(one)) != sizeof(one))
        die("a bell that does not ring");
}

void bell_wait(int fd)
{
    uint64_t rings;

    if (read(fd, &rings, sizeof(rings)) != sizeof(rings))
        die("a bell that is not heard");
}
