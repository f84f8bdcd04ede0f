/*
 * What both halves of a block device know: Xen's blkif protocol, and which
 * requests make sense.
 *
 * blk_check is pure: it is tested on the host with everything a frontend can
 * write into a request.
 */
#ifndef DRIVERS_BLK_H
#define DRIVERS_BLK_H

#include <stdbool.h>
#include <stdint.h>

#include <xen/xen.h>
#include <xen/io/blkif.h>

#define BLK_SECTOR       512u
#define BLK_PAGE_SECTORS 8u /* sectors of a page */
#define BLK_SEGMENTS     BLKIF_MAX_SEGMENTS_PER_REQUEST
/* Sectors of the largest request: 44 KiB. */
#define BLK_REQUEST_SECTORS (BLK_SEGMENTS * BLK_PAGE_SECTORS)

/* What blk_check says besides BLKIF_RSP_*: no honest frontend sends this. */
#define BLK_GARBAGE 1

/*
 * Is this request, a private copy, to be done on a disk of @sectors?
 *
 * BLKIF_RSP_OKAY: yes.  BLKIF_RSP_ERROR or BLKIF_RSP_EOPNOTSUPP: answer so.
 * BLK_GARBAGE: its segments are impossible.  *reason is a sentence's end.
 */
int blk_check(const struct blkif_request *request, uint64_t sectors,
              bool readonly, const char **reason);

/* Sectors that a read or write moves; its segments have been checked. */
unsigned int blk_request_sectors(const struct blkif_request *request);

/* The number by which Xen knows "xvda", "xvdb" ..., "xvdb2"; 0: no name. */
unsigned int blk_device_number(const char *name);

#endif
