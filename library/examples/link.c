#include <belfry/link_process.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int child(int socket)
{
    struct link *l;

    if (link_process_accept(socket, 1000, &l) != 0)
        return 1;
    strncpy(link_pages(l), "hello", link_bytes(l));
    link_bell(l);
    link_close(l);
    return 0;
}

int main(void)
{
    struct link *l;
    struct pollfd p = { .events = POLLIN };
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return 1;
    if (fork() == 0) {
        close(ends[0]);
        return child(ends[1]);
    }
    close(ends[1]);
    if (link_process_offer(ends[0], 100, 1000, &l) != 0)
        return 1;
    p.fd = link_fd(l);
    poll(&p, 1, 1000);
    while (link_wait(l, 1000) == 0)
        printf("the bell rang: %s\n", (char *)link_pages(l));
    link_close(l); /* the wait said -EPIPE: the child has gone */
    return 0;
}
