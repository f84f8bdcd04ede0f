/*
 * Prints a disk to its console: lines of base64, where *N stands for N lines
 * of zeros, then the disk's SHA-256.
 *
 * cmdline: disk=xvda names the disk; until=WORD waits for whoever writes the
 * disk to put WORD at its very beginning.
 */
#include "guests/drivers/blkfront.h"
#include "guests/lib/sha256.h"

#define LINE_BYTES 96u /* 128 digits: no console breaks such a line */
#define LINE_DIGITS (LINE_BYTES / 3 * 4)
#define LOOK_AGAIN 100000000u /* ns */

struct dump {
    struct sha256 hash;
    uint8_t line[LINE_BYTES];
    size_t n;              /* bytes in it */
    unsigned long skipped; /* lines of zeros that have not been printed */
};

static bool is_zero(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i])
            return false;
    return true;
}

/* Three bytes, or what is left of them, to four digits. */
static void encode(char *out, const uint8_t *bytes, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrst"
                                "uvwxyz0123456789+/";
    uint32_t x = (uint32_t)bytes[0] << 16 | (n > 1 ? bytes[1] << 8 : 0) |
                 (n > 2 ? bytes[2] : 0);

    for (unsigned int i = 0; i < 4; i++)
        out[i] = i > n ? '=' : digit[x >> (18 - 6 * i) & 63];
}

static void end_skip(struct dump *d)
{
    if (d->skipped)
        printf("*%lu\n", d->skipped);
    d->skipped = 0;
}

static void end_line(struct dump *d)
{
    char text[LINE_DIGITS + 1];
    size_t digits = 0;

    if (d->n == LINE_BYTES && is_zero(d->line, d->n)) {
        d->skipped++;
    } else {
        end_skip(d);
        for (size_t i = 0; i < d->n; i += 3, digits += 4)
            encode(text + digits, d->line + i, d->n - i);
        text[digits] = '\0';
        printf("%s\n", text);
    }
    d->n = 0;
}

static void add(void *data, uint64_t sector, uint8_t *bytes, size_t n)
{
    struct dump *d = data;

    (void)sector;
    sha256_add(&d->hash, bytes, n);
    for (size_t i = 0; i < n; i++) {
        d->line[d->n++] = bytes[i];
        if (d->n == LINE_BYTES)
            end_line(d);
    }
}

static int print_disk(struct blkfront *disk)
{
    static struct dump d;
    char hex[SHA256_HEX];
    int error;

    sha256_begin(&d.hash);
    error = blkfront_read_each(disk, 0, disk->sectors, add, &d);
    if (error)
        return error;
    if (d.n)
        end_line(&d);
    end_skip(&d);
    sha256_end(&d.hash, hex);
    printf("sha256 %s\n", hex);
    return 0;
}

static int wait_for(struct blkfront *disk, const char *word)
{
    char sector[BLK_SECTOR];
    int error;

    for (;;) {
        error = blkfront_read(disk, 0, 1, sector);
        if (error || !memcmp(sector, word, strlen(word)))
            return error;
        sleep_ns(LOOK_AGAIN);
    }
}

int guest_main(void)
{
    char name[16] = "xvda", word[32] = "";
    struct blkfront *disk;
    int error;

    cmdline_get("disk", name, sizeof(name));
    cmdline_get("until", word, sizeof(word));
    if (blkfront_open(&disk, name))
        return 1;
    error = wait_for(disk, word);
    if (!error)
        error = print_disk(disk);
    blkfront_close(disk);
    if (error)
        printf("%s: failed: error %d\n", name, error);
    return error ? 1 : 0;
}
