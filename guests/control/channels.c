/*
 * Channels: ports of two domains, put together and named.
 *
 * Invariant: an interdomain channel is given at one of its ends only: the one
 * that has a name for it, else the one with the smaller id and port.
 */
#include "guests/control/channels.h"

#include "guests/control/hv.h"
#include "guests/control/verbs.h"
#include "guests/control/wire.h"

/* What the wiring calls its channels, gathered before a walk. */
static struct wire wires[128];
static unsigned int nr_wires;

static void gather_wires(void)
{
    nr_wires = 0;
    while (nr_wires < 128 && wire_at(nr_wires, &wires[nr_wires]))
        nr_wires++;
}

static bool name_of_wire(uint32_t id, uint32_t port, char *to, size_t size)
{
    for (unsigned int i = 0; i < nr_wires; i++) {
        const struct wire *w = &wires[i];

        if (w->port != port || !w->front || w->front->info.id != id)
            continue;
        string_copy(to, w->name, size);
        return true;
    }
    return false;
}

/* The name that this end gives the channel, if it has one for it. */
static bool name_of_end(const struct belfry_domain *d, uint32_t port,
                        uint32_t state, uint32_t virq, char *to, size_t size)
{
    if (state == BELFRY_PORT_VIRQ)
        format_string(to, size, "%s.virq%u", d->name, virq);
    else if (state == BELFRY_PORT_IPI)
        format_string(to, size, "%s.ipi%u", d->name, port);
    else if (d->id != guest.domid && port == d->console_port)
        format_string(to, size, "%s.console", d->name);
    else if (d->id != guest.domid && port == d->store_port)
        format_string(to, size, "%s.store", d->name);
    else
        return name_of_wire(d->id, port, to, size);
    return true;
}

static const struct belfry_domain *info_of(uint32_t id)
{
    const struct dom *d = dom_by_id(id);

    if (id == guest.domid)
        return &own_info;
    return d ? &d->info : NULL;
}

static void plain_name(const struct belfry_domain *d,
                       const struct belfry_channel *c, char *to, size_t size)
{
    char peer[BELFRY_NAME_SIZE];

    domain_name(c->remote_id, peer, sizeof(peer));
    if (c->state == BELFRY_PORT_UNBOUND)
        format_string(to, size, "%s:%u-%s", d->name, c->port, peer);
    else
        format_string(to, size, "%s:%u-%s:%u", d->name, c->port, peer,
                      c->remote_port);
}

/* Fill in names and the other end; false if the other end gives it. */
static bool complete(const struct belfry_domain *d, struct channel_info *c)
{
    const struct belfry_channel *port = &c->end[0];
    const struct belfry_domain *peer;
    char other[72];

    if (name_of_end(d, port->port, port->state, port->virq, c->name,
                    sizeof(c->name)) &&
        port->state != BELFRY_PORT_INTERDOMAIN)
        return true;
    if (port->state != BELFRY_PORT_INTERDOMAIN) {
        plain_name(d, port, c->name, sizeof(c->name));
        return true;
    }
    peer = info_of(port->remote_id);
    if (!c->name[0]) {
        if (peer && name_of_end(peer, port->remote_port, port->state, 0, other,
                                sizeof(other)))
            return false;
        if (peer && (peer->id < d->id ||
                     (peer->id == d->id && port->remote_port < port->port)))
            return false;
        plain_name(d, port, c->name, sizeof(c->name));
    }
    if (peer &&
        hv_channels(peer->id, port->remote_generation, port->remote_port,
                    &c->end[1], 1) == 1 &&
        c->end[1].port == port->remote_port) {
        c->id[1] = peer->id;
        c->nr_ends = 2;
    }
    return true;
}

static bool each_of(const struct belfry_domain *d, channel_fn *fn, void *data)
{
    static struct belfry_channel ports[16];
    static struct channel_info c;
    uint32_t next = 0;
    int n;

    while ((n = hv_channels(d->id, d->generation, next, ports, 16)) > 0) {
        for (int i = 0; i < n; i++) {
            memset(&c, 0, sizeof(c));
            c.nr_ends = 1;
            c.id[0] = d->id;
            c.end[0] = ports[i];
            if (complete(d, &c) && !fn(&c, data))
                return false;
        }
        next = ports[n - 1].port + 1;
    }
    return true;
}

void channels_each(channel_fn *fn, void *data)
{
    const struct belfry_domain *all[DOMAINS_MAX + 1];
    unsigned int n = living(all, DOMAINS_MAX + 1);

    gather_wires();
    for (unsigned int i = 0; i < n; i++)
        if (!each_of(all[i], fn, data))
            return;
}
