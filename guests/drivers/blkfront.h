/*
 * The frontend half of block devices.
 *
 *     struct blkfront *disk;
 *
 *     if (blkfront_open(&disk, "xvda") == 0)
 *         blkfront_read(disk, 0, disk->sectors, buffer);
 *
 * Transfers of any length are split into requests of 44 KiB that keep the
 * ring full.  Data passes through pages that were granted to the backend
 * once and hold nothing but data of this disk; a caller's memory is never
 * shared, so what a caller has checked the backend cannot change.
 */
#ifndef DRIVERS_BLKFRONT_H
#define DRIVERS_BLKFRONT_H

#include "guests/drivers/blk.h"
#include "guests/drivers/front.h"

#define BLKFRONT_DEPTH 32u /* what a ring of one page holds */

/* A request's place, and the pages its data goes through. */
struct blkfront_io {
    uint8_t *buffer;
    grant_ref_t ref[BLK_SEGMENTS];
    unsigned int nr_refs;
    uint8_t operation;
    bool done;
    int status; /* 0 or -Exxx, once done */
    uint64_t sector;
    unsigned int sectors;
};

struct blkfront {
    struct front front;
    uint64_t sectors; /* of 512 bytes */
    bool readonly, can_flush;
    unsigned int depth; /* requests at once */
    struct blkfront_io io[BLKFRONT_DEPTH];
};

/* 0 and *out; or -Exxx, and has printed why. */
int blkfront_open(struct blkfront **out, const char *name);
void blkfront_close(struct blkfront *d);

/*
 * Sectors first to first + count - 1.  0; -EINVAL outside the disk; -EROFS;
 * -EIO the backend failed one of the requests (others may have been done);
 * or the device's error.
 */
int blkfront_read(struct blkfront *d, uint64_t first, uint64_t count, void *to);
int blkfront_write(struct blkfront *d, uint64_t first, uint64_t count,
                   const void *from);
/* What was written before is safe.  -EOPNOTSUPP: the backend has no flush. */
int blkfront_flush(struct blkfront *d);

/* As read and write, in order, but the data is looked at or made in place by
 * fn, up to 44 KiB a call: for what is larger than memory. */
typedef void blkfront_fn(void *data, uint64_t sector, uint8_t *bytes, size_t n);
int blkfront_read_each(struct blkfront *d, uint64_t first, uint64_t count,
                       blkfront_fn *fn, void *data);
int blkfront_write_each(struct blkfront *d, uint64_t first, uint64_t count,
                        blkfront_fn *fn, void *data);

#endif
