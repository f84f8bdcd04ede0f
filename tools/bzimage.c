/*
 * The payload of a bzImage, in the form that Linux calls LZ4: blocks of at
 * most 8 MiB, each behind its compressed size.  The file is not trusted:
 * every length is checked against what is there.
 */
#include "tools/bzimage.h"

#include <errno.h>
#include <fcntl.h>
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/belfry.h"

/* Offsets in Linux's boot protocol, Documentation/arch/x86/boot.rst. */
#define SETUP_SECTORS  0x1f1
#define BOOT_FLAG      0x1fe
#define HEADER_MAGIC   0x202
#define VERSION        0x206
#define PAYLOAD_OFFSET 0x248
#define PAYLOAD_LENGTH 0x24c
#define HEADER_END     0x250

#define LZ4_LEGACY_MAGIC 0x184c2102u
#define BLOCK_SIZE       (8u << 20)

struct bytes {
    const uint8_t *at;
    uint64_t left;
};

static uint32_t word_at(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

bool bzimage_is_one(const uint8_t *bytes, uint64_t size)
{
    return size >= HEADER_END && bytes[BOOT_FLAG] == 0x55 &&
           bytes[BOOT_FLAG + 1] == 0xaa && !memcmp(bytes + HEADER_MAGIC, "HdrS", 4);
}

/* The compressed kernel; the last word of the payload is its size unpacked,
 * which the blocks tell as well. */
static bool find_payload(const uint8_t *bytes, uint64_t size,
                         struct bytes *payload)
{
    uint64_t setup = bytes[SETUP_SECTORS] ? bytes[SETUP_SECTORS] : 4;
    uint64_t start = (setup + 1) * 512 + word_at(bytes + PAYLOAD_OFFSET);
    uint64_t length = word_at(bytes + PAYLOAD_LENGTH);

    if (bytes[VERSION + 1] < 2 || (bytes[VERSION + 1] == 2 && bytes[VERSION] < 8))
        return false;
    if (length < 8 || start > size || length > size - start)
        return false;
    payload->at = bytes + start;
    payload->left = length - 4;

    return true;
}

static bool take_word(struct bytes *in, uint32_t *word)
{
    if (in->left < 4)
        return false;
    *word = word_at(in->at);
    in->at += 4;
    in->left -= 4;

    return true;
}

/* Unpack the block that comes next: its size, 0 at the end, -1. */
static int unpack_block(struct bytes *in, char *out)
{
    uint32_t packed;
    int n;

    if (!take_word(in, &packed))
        return in->left ? -1 : 0;
    if (packed > in->left)
        return -1;
    n = LZ4_decompress_safe((const char *)in->at, out, (int)packed,
                            (int)BLOCK_SIZE);
    in->at += packed;
    in->left -= packed;

    return n > 0 ? n : -1;
}

static bool write_all(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t written = write(fd, bytes, n);

        if (written <= 0)
            return false;
        bytes += written;
        n -= (size_t)written;
    }

    return true;
}

static bool unpack(struct bytes *in, int fd, uint64_t *size, const char **why)
{
    char *block = malloc(BLOCK_SIZE);
    int n = block ? 0 : -1;

    *size = 0;
    *why = "its compressed kernel is damaged";
    while (block && (n = unpack_block(in, block)) > 0) {
        if (!write_all(fd, block, (size_t)n)) {
            *why = "there is no room for the unpacked kernel";
            n = -1;
            break;
        }
        *size += (uint64_t)n;
    }
    free(block);

    return n == 0 && *size > 0;
}

char *bzimage_unpack(const uint8_t *bytes, uint64_t size, const char *prefix,
                     uint64_t *kernel_size, const char **why)
{
    struct bytes payload;
    uint32_t magic;
    char *path;
    bool good;
    int fd;

    *why = "its header names no payload inside the file (is it cut off?)";
    if (!find_payload(bytes, size, &payload))
        return NULL;
    *why = "its kernel is not compressed by LZ4; give the vmlinux file itself (Linux's scripts/extract-vmlinux makes it)";
    if (!take_word(&payload, &magic) || magic != LZ4_LEGACY_MAGIC)
        return NULL;
    *why = "no file can be made for the unpacked kernel";
    path = text_of("%s-XXXXXX", prefix);
    fd = mkstemp(path);
    good = fd >= 0 && unpack(&payload, fd, kernel_size, why);
    if (fd >= 0)
        close(fd);
    if (good)
        return path;
    if (fd >= 0)
        unlink(path);
    free(path);

    return NULL;
}

static uint8_t *map(const char *path, uint64_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *bytes = MAP_FAILED;
    struct stat st;

    if (fd >= 0 && !fstat(fd, &st)) {
        *size = (uint64_t)st.st_size;
        bytes = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    if (bytes == MAP_FAILED)
        complain("%s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);

    return bytes == MAP_FAILED ? NULL : bytes;
}

static enum status put_in_place(const char *unpacked, const char *output)
{
    if (chmod(unpacked, 0644) || rename(unpacked, output)) {
        complain("%s: %s", output, strerror(errno));
        unlink(unpacked);
        return STATUS_FAILED;
    }

    return STATUS_FINE;
}

enum status verb_unpack(const struct options *options)
{
    const char *why = "it is no bzImage";
    enum status status = STATUS_FAILED;
    char *unpacked = NULL;
    uint64_t size, kernel_size;
    uint8_t *bytes = map(options->args[0], &size);

    if (!bytes)
        return STATUS_FAILED;
    if (bzimage_is_one(bytes, size))
        unpacked = bzimage_unpack(bytes, size, options->args[1], &kernel_size,
                                  &why);
    munmap(bytes, size);
    if (unpacked)
        status = put_in_place(unpacked, options->args[1]);
    else
        complain("%s: no kernel unpacked: %s", options->args[0], why);
    free(unpacked);

    return status;
}
