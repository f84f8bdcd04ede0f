/*
 * Reads a whole disk through its ring and prints the disk's SHA-256; then
 * writes a pattern over its end, reads it back, and restores what was there.
 *
 * cmdline: disk=xvda names the disk.
 */
#include "guests/drivers/blkfront.h"
#include "guests/lib/sha256.h"

#define MAX_PATTERN 2048u /* sectors: 1 MiB */

/* "2.0 MiB", "64.0 KiB", "512 bytes". */
static const char *human_size(uint64_t bytes)
{
    static char text[32];
    unsigned int shift = bytes >= 1u << 20 ? 20 : 10;
    uint64_t tenths = bytes * 10 >> shift;

    if (bytes < 1024)
        format_string(text, sizeof(text), "%lu bytes", bytes);
    else
        format_string(text, sizeof(text), "%lu.%lu %s", tenths / 10,
                      tenths % 10, shift == 20 ? "MiB" : "KiB");
    return text;
}

static void add_to_hash(void *data, uint64_t sector, uint8_t *bytes, size_t n)
{
    (void)sector;
    sha256_add(data, bytes, n);
}

static int print_hash(struct blkfront *disk)
{
    uint64_t start = clock_now(), took;
    char hex[SHA256_HEX];
    struct sha256 hash;
    int error;

    sha256_begin(&hash);
    error = blkfront_read_each(disk, 0, disk->sectors, add_to_hash, &hash);
    if (error)
        return error;
    sha256_end(&hash, hex);
    took = (clock_now() - start) / 1000 + 1;
    printf("sha256 %s\n", hex);
    printf("read and hashed %s in %lu.%03lu ms, %u requests at once\n",
           human_size(disk->sectors * BLK_SECTOR), took / 1000, took % 1000,
           disk->depth);
    return 0;
}

/* ---- The pattern: each word of 8 bytes tells its place on the disk. ---- */

static uint64_t pattern_at(uint64_t position)
{
    return (position + 1) * 0x9e3779b97f4a7c15u;
}

static void make_pattern(void *data, uint64_t sector, uint8_t *bytes, size_t n)
{
    (void)data;
    for (size_t i = 0; i < n; i += 8) {
        uint64_t word = pattern_at(sector * BLK_SECTOR + i);

        memcpy(bytes + i, &word, sizeof(word));
    }
}

/* data: a count of the words that are wrong. */
static void check_pattern(void *data, uint64_t sector, uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        uint64_t word;

        memcpy(&word, bytes + i, sizeof(word));
        if (word != pattern_at(sector * BLK_SECTOR + i))
            ++*(uint64_t *)data;
    }
}

static int flush(struct blkfront *disk)
{
    return disk->can_flush ? blkfront_flush(disk) : 0;
}

static int write_and_verify(struct blkfront *disk, uint64_t first,
                            uint64_t count)
{
    uint64_t wrong = 0;
    int error = blkfront_write_each(disk, first, count, make_pattern, NULL);

    if (!error)
        error = flush(disk);
    if (!error)
        error = blkfront_read_each(disk, first, count, check_pattern, &wrong);
    if (error || wrong == 0)
        return error;
    printf("pattern: %lu words came back wrong\n", wrong);
    return -EIO;
}

static int restore(struct blkfront *disk, uint64_t first, uint64_t count,
                   const void *saved)
{
    int error = blkfront_write(disk, first, count, saved);

    return error ? error : flush(disk);
}

/* Memory for *count sectors, or for fewer. */
static void *save_area(uint64_t *count)
{
    void *area = mem_alloc(*count * BLK_SECTOR);

    while (!area && *count > 1) {
        *count /= 2;
        area = mem_alloc(*count * BLK_SECTOR);
    }
    return area;
}

/* On the second half of the disk, 1 MiB at most. */
static int try_pattern(struct blkfront *disk)
{
    uint64_t half = (disk->sectors + 1) / 2;
    uint64_t count = half < MAX_PATTERN ? half : MAX_PATTERN;
    void *saved = save_area(&count);
    uint64_t first = disk->sectors - count;
    int error = saved ? blkfront_read(disk, first, count, saved) : -ENOMEM;

    if (!error)
        error = write_and_verify(disk, first, count);
    if (!error)
        error = restore(disk, first, count, saved);
    mem_free(saved);
    if (!error)
        printf("pattern: wrote%s and verified %s, then put back what was "
               "there\n",
               disk->can_flush ? ", flushed" : "",
               human_size(count * BLK_SECTOR));
    return error;
}

static int use_disk(struct blkfront *disk, const char *name)
{
    int error;

    printf("%s: %s, %lu sectors of %u%s\n", name,
           human_size(disk->sectors * BLK_SECTOR), disk->sectors, BLK_SECTOR,
           disk->readonly ? ", read-only" : "");
    error = print_hash(disk);
    if (!error && !disk->readonly)
        error = try_pattern(disk);
    return error;
}

int guest_main(void)
{
    char name[16] = "xvda";
    struct blkfront *disk;
    int error;

    cmdline_get("disk", name, sizeof(name));
    if (blkfront_open(&disk, name))
        return 1;
    error = use_disk(disk, name);
    blkfront_close(disk);
    if (error)
        printf("%s: failed: error %d\n", name, error);
    return error ? 1 : 0;
}
