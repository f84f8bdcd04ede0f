/*
 * QEMU's fw_cfg device, by its I/O ports (QEMU's docs/specs/fw_cfg): write a
 * selector, read bytes; the directory is big-endian.
 */
#include "hv/x86/boot.h"

#include "hv/x86/x86.h"
#include "lib/string.h"

#define PORT_SELECTOR 0x510
#define PORT_DATA     0x511

enum { KEY_SIGNATURE = 0x0000, KEY_DIRECTORY = 0x0019 };

struct entry {
    uint8_t size[4], select[2], reserved[2];
    char name[56];
};

static void read_bytes(void *buf, size_t n)
{
    for (uint8_t *p = buf; n--; p++)
        *p = in8(PORT_DATA);
}

static uint32_t big_endian32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
           p[3];
}

static int find(const char *name, struct entry *e)
{
    uint8_t count[4];

    out16(PORT_SELECTOR, KEY_DIRECTORY);
    read_bytes(count, sizeof(count));
    for (uint32_t i = big_endian32(count); i; i--) {
        read_bytes(e, sizeof(*e));
        e->name[sizeof(e->name) - 1] = '\0';
        if (!strcmp(e->name, name))
            return 1;
    }
    return 0;
}

void fw_cfg_read(const char *name, char *buf, size_t size)
{
    char signature[4];
    struct entry e;
    size_t n;

    buf[0] = '\0';
    out16(PORT_SELECTOR, KEY_SIGNATURE);
    read_bytes(signature, sizeof(signature));
    if (memcmp(signature, "QEMU", 4) != 0 || !find(name, &e))
        return;
    n = big_endian32(e.size);
    if (n > size - 1)
        n = size - 1;
    out16(PORT_SELECTOR, (uint16_t)(e.select[0] << 8 | e.select[1]));
    read_bytes(buf, n);
    buf[n] = '\0';
}
