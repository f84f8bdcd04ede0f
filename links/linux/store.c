/*
 * The store's protocol over a file: see store.h.
 *
 * The kernel's driver queues whole messages, so what has begun to be read
 * comes to its end without waiting for the store.
 */
#include "links/linux/store.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <xen/io/xs_wire.h>

static int file_error(void)
{
    return errno == ENOENT || errno == ENXIO ? -ENODEV : -errno;
}

int store_open(struct store *s)
{
    *s = (struct store){ .fd = open("/dev/xen/xenbus", O_RDWR | O_CLOEXEC) };
    return s->fd < 0 ? file_error() : 0;
}

void store_close(struct store *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static int write_all(int fd, const void *bytes, size_t n)
{
    const char *p = bytes;

    while (n > 0) {
        ssize_t done = write(fd, p, n);

        if (done < 0 && errno != EINTR)
            return -errno;
        if (done > 0) {
            p += done;
            n -= (size_t)done;
        }
    }
    return 0;
}

static int read_all(int fd, void *bytes, size_t n)
{
    char *p = bytes;

    while (n > 0) {
        ssize_t done = read(fd, p, n);

        if (done == 0)
            return -EIO;
        if (done < 0 && errno != EINTR)
            return -errno;
        if (done > 0) {
            p += done;
            n -= (size_t)done;
        }
    }
    return 0;
}

static size_t text_size(const char *text, bool bare)
{
    return strlen(text) + !bare;
}

static int send_request(struct store *s, uint32_t type,
                        const char *const *texts, unsigned int n, bool bare)
{
    struct xsd_sockmsg head = { .type = type, .req_id = ++s->last };
    int error;

    for (unsigned int i = 0; i < n; i++)
        head.len += (uint32_t)text_size(texts[i], bare && i == n - 1);
    if (head.len > XENSTORE_PAYLOAD_MAX)
        return -E2BIG;
    error = write_all(s->fd, &head, sizeof(head));
    for (unsigned int i = 0; i < n && !error; i++)
        error =
            write_all(s->fd, texts[i], text_size(texts[i], bare && i == n - 1));
    return error;
}

/* One message; its text has a terminator. */
static int receive(struct store *s, struct xsd_sockmsg *head, char *text)
{
    int error = read_all(s->fd, head, sizeof(*head));

    if (error)
        return error;
    if (head->len > XENSTORE_PAYLOAD_MAX)
        return -EPROTO;
    text[head->len] = 0;
    error = read_all(s->fd, text, head->len);
    s->news |= !error && head->type == XS_WATCH_EVENT;
    return error;
}

/* What this program can tell apart: all else is -EIO. */
static int named_error(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } errors[] = { { "ENOENT", ENOENT }, { "EACCES", EACCES },
                   { "EEXIST", EEXIST }, { "ENOSPC", ENOSPC },
                   { "EINVAL", EINVAL }, { "E2BIG", E2BIG } };

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (strcmp(name, errors[i].name) == 0)
            return -errors[i].number;
    return -EIO;
}

int store_ask(struct store *s, uint32_t type, const char *const *texts,
              unsigned int n, bool bare, char *answer, size_t size)
{
    char text[XENSTORE_PAYLOAD_MAX + 1];
    struct xsd_sockmsg head;
    int error = send_request(s, type, texts, n, bare);

    do {
        if (error)
            return error;
        error = receive(s, &head, text);
    } while (error || head.type == XS_WATCH_EVENT);
    if (head.type == XS_ERROR)
        return named_error(text);
    if (head.type != type)
        return -EPROTO;
    if (!answer)
        return 0;
    if (head.len >= size)
        return -E2BIG;
    memcpy(answer, text, head.len + 1);
    return 0;
}

int store_drain(struct store *s)
{
    struct pollfd p = { .fd = s->fd, .events = POLLIN };
    char text[XENSTORE_PAYLOAD_MAX + 1];
    struct xsd_sockmsg head;
    int error = 0;

    while (!error && poll(&p, 1, 0) > 0)
        error = receive(s, &head, text);
    return error;
}
