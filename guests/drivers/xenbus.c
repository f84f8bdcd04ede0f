/* The handshake's words: see xenbus.h. */
#include "guests/drivers/xenbus.h"

#include "guests/lib/guest.h"

/* dir/key; false when it would be cut. */
static bool join(char path[XENBUS_PATH_MAX], const char *dir, const char *key)
{
    int n = format_string(path, XENBUS_PATH_MAX, "%s/%s", dir, key);

    return n > 0 && (size_t)n < XENBUS_PATH_MAX;
}

uint64_t xenbus_read_number(const char *dir, const char *key,
                            uint64_t otherwise)
{
    char path[XENBUS_PATH_MAX];

    return join(path, dir, key) ? store_read_number(path, otherwise)
                                : otherwise;
}

char *xenbus_read(const char *dir, const char *key)
{
    char path[XENBUS_PATH_MAX];

    return join(path, dir, key) ? store_read(path, NULL) : NULL;
}

int xenbus_write(const char *dir, const char *key, const char *fmt, ...)
{
    char path[XENBUS_PATH_MAX], value[XENBUS_PATH_MAX];
    va_list args;
    int n;

    va_start(args, fmt);
    n = format_string_v(value, sizeof(value), fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(value) || !join(path, dir, key))
        return -E2BIG;
    return store_write(path, "%s", value);
}

enum xenbus_state xenbus_state_read(const char *dir)
{
    uint64_t state = xenbus_read_number(dir, "state", XenbusStateUnknown);

    return state <= XenbusStateReconfigured ? (enum xenbus_state)state
                                            : XenbusStateUnknown;
}

int xenbus_state_write(const char *dir, enum xenbus_state state)
{
    char *old = xenbus_read(dir, "state");

    if (!old)
        return -ENOENT;
    mem_free(old);
    return xenbus_write(dir, "state", "%u", state);
}

const char *xenbus_state_name(enum xenbus_state state)
{
    static const char *const names[] = {
        "gone",    "Initialising", "InitWait",      "Initialised",  "Connected",
        "Closing", "Closed",       "Reconfiguring", "Reconfigured",
    };

    return names[state <= XenbusStateReconfigured ? state : 0];
}
