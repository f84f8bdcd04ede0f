/* One line that describes an end of a ring: see descriptor.h. */
#include "rings/descriptor.h"

#include <stdbool.h>

#include "lib/atomic.h"
#include "lib/errno.h"
#include "lib/format.h"
#include "lib/string.h"
#include "rings/shared_copy.h"

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Letters of a name, at most what fits. */
static size_t name_length(const char *name)
{
    size_t n = 0;

    while (n < RING_PROTOCOL_SIZE && is_letter(name[n]))
        n++;
    return n;
}

int ring_descriptor_format(char *line, const struct ring_descriptor *d)
{
    size_t n = name_length(d->protocol);

    if (n == 0 || n == RING_PROTOCOL_SIZE || d->protocol[n])
        return -EINVAL;
    format_string(line, RING_DESCRIPTOR_SIZE,
                  "%s version=%u features=0x%x needs=0x%x request=%u "
                  "response=%u slots=%u",
                  d->protocol, d->version, d->features, d->needs,
                  d->request_size, d->response_size, d->slots);
    return 0;
}

static int digit(char c, unsigned int base)
{
    int value = -1;

    if (c >= '0' && c <= '9')
        value = c - '0';
    else if (c >= 'a' && c <= 'f')
        value = c - 'a' + 10;
    return value < (int)base ? value : -1;
}

/* A number of at most 32 bits that ends with the word. */
static bool take_number(const char **at, unsigned int base, uint32_t *out)
{
    const char *p = *at;
    uint64_t value = 0;

    for (; digit(*p, base) >= 0; p++) {
        value = value * base + (unsigned int)digit(*p, base);
        if (value > UINT32_MAX)
            return false;
    }
    if (p == *at || (*p && *p != ' '))
        return false;
    *at = p;
    *out = (uint32_t)value;
    return true;
}

static bool take_text(const char **at, const char *text)
{
    size_t n = strlen(text);

    if (strncmp(*at, text, n) != 0)
        return false;
    *at += n;
    return true;
}

int ring_descriptor_parse(struct ring_descriptor *d, const char *line)
{
    size_t n = name_length(line);
    const char *at = line + n;
    bool good;

    if (n == 0 || n == RING_PROTOCOL_SIZE)
        return -EPROTO;
    memset(d, 0, sizeof(*d));
    string_copy(d->protocol, line, n + 1);
    good = take_text(&at, " version=") && take_number(&at, 10, &d->version) &&
           take_text(&at, " features=0x") &&
           take_number(&at, 16, &d->features) && take_text(&at, " needs=0x") &&
           take_number(&at, 16, &d->needs) && take_text(&at, " request=") &&
           take_number(&at, 10, &d->request_size) &&
           take_text(&at, " response=") &&
           take_number(&at, 10, &d->response_size) &&
           take_text(&at, " slots=") && take_number(&at, 10, &d->slots);
    return good && !*at ? 0 : -EPROTO;
}

/* The first letter comes last, and tells that the others are there. */
int ring_descriptor_write(void *place, const struct ring_descriptor *d)
{
    char line[RING_DESCRIPTOR_SIZE] = "";
    char *shared = place;
    int error = ring_descriptor_format(line, d);

    if (error)
        return error;
    shared_copy(shared + 1, line + 1, sizeof(line) - 1);
    store_release(shared, line[0]);
    return 0;
}

int ring_descriptor_read(struct ring_descriptor *d, const void *place)
{
    char line[RING_DESCRIPTOR_SIZE];
    const char *shared = place;

    line[0] = load_acquire(shared);
    if (line[0] == 0)
        return -EAGAIN;
    shared_copy(line + 1, shared + 1, sizeof(line) - 2);
    line[sizeof(line) - 1] = 0;
    return ring_descriptor_parse(d, line);
}

const char *ring_descriptor_differs(const struct ring_descriptor *own,
                                    const struct ring_descriptor *peer)
{
    if (strncmp(own->protocol, peer->protocol, sizeof(own->protocol)) != 0)
        return "speaks another protocol";
    if (own->version != peer->version)
        return "speaks another version of the protocol";
    if (own->request_size != peer->request_size ||
        own->response_size != peer->response_size)
        return "has messages of another size";
    if (own->slots && peer->slots && own->slots != peer->slots)
        return "has another number of slots";
    if (own->needs & ~peer->features)
        return "lacks a feature that is needed here";
    if (peer->needs & ~own->features)
        return "needs a feature that is missing here";
    return NULL;
}
