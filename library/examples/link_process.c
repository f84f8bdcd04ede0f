#include <belfry/link_process.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* Two processes that do not know each other agree on a path. */
static int by_name(int we_serve, struct link **l)
{
    if (we_serve)
        return link_process_serve("link.socket", 4096, 1000, l);
    return link_process_connect("link.socket", 1000, l);
}

/* A parent and its child have a pair of sockets. */
static int by_socket(int we_offer, int ends[2], struct link **l)
{
    close(ends[we_offer]);
    if (we_offer)
        return link_process_offer(ends[0], 4096, 1000, l);
    return link_process_accept(ends[1], 1000, l);
}

int main(void)
{
    struct link *named, *inherited;
    int ends[2], parent;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return 1;
    parent = fork() != 0;
    if (by_name(parent, &named) != 0 || by_socket(parent, ends, &inherited))
        return 1;
    if (parent)
        printf("two links of %zu bytes each\n", link_bytes(named));
    link_close(named);
    link_close(inherited);
    return 0;
}
