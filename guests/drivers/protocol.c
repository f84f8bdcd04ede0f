/*
 * A protocol's descriptor in the store: see protocol.h.
 */
#include "guests/drivers/protocol.h"

#include "guests/drivers/xenbus.h"
#include "guests/lib/guest.h"

#include "rings/descriptor.h"
#include "rings/reqrsp.h"

#define KEY "descriptor"

static void describe(struct ring_descriptor *d, const struct protocol *p)
{
    *d = (struct ring_descriptor){
        .version = p->version,
        .features = p->features,
        .needs = p->needs,
        .request_size = p->request_size,
        .response_size = p->response_size,
        .slots = ring_slots(PAGE_SIZE, protocol_slot_size(p)),
    };
    string_copy(d->protocol, p->name, sizeof(d->protocol));
}

int protocol_publish(const struct protocol *p, const char *dir)
{
    char line[RING_DESCRIPTOR_SIZE];
    struct ring_descriptor d;
    int error;

    describe(&d, p);
    error = ring_descriptor_format(line, &d);
    return error ? error : xenbus_write(dir, KEY, "%s", line);
}

const char *protocol_differs(const struct protocol *p, const char *dir)
{
    struct ring_descriptor own, peer;
    char *line = xenbus_read(dir, KEY);
    int error = line ? ring_descriptor_parse(&peer, line) : 0;
    bool silent = !line;

    mem_free(line);
    if (silent)
        return NULL;
    if (error)
        return "describes its end of the ring in words that make no sense";
    describe(&own, p);
    return ring_descriptor_differs(&own, &peer);
}
