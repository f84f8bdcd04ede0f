#include <belfry/link_xen.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* link_xen: the channel `mail`; link_xen offer|accept PEER: by number. */
int main(int argc, char **argv)
{
    struct link *l;
    int error;

    if (argc < 3)
        error = link_xen_open("mail", 4032, 5000, &l);
    else if (argv[1][0] == 'o')
        error = link_xen_offer(atoi(argv[2]), "mail", 4032, 5000, &l);
    else
        error = link_xen_accept(atoi(argv[2]), "mail", 5000, &l);
    if (error == -ENODEV) {
        puts("this is no Xen domain");
        return 0;
    }
    if (error)
        return 1;
    printf("%zu bytes are shared with another domain, over port %u\n",
           link_bytes(l), link_xen_port(l));
    link_close(l);
    return 0;
}
