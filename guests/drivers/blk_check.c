/*
 * Which block requests make sense: see blk.h.
 *
 * Every field is a stranger's.  Sums are made so that they cannot wrap.
 */
#include "guests/drivers/blk.h"

static int check_segments(const struct blkif_request *r, const char **reason)
{
    if (r->nr_segments > BLK_SEGMENTS) {
        *reason = "its frontend sent a request of too many segments";
        return BLK_GARBAGE;
    }
    for (unsigned int i = 0; i < r->nr_segments; i++)
        if (r->seg[i].first_sect > r->seg[i].last_sect ||
            r->seg[i].last_sect >= BLK_PAGE_SECTORS) {
            *reason = "its frontend sent a segment outside its page";
            return BLK_GARBAGE;
        }
    return BLKIF_RSP_OKAY;
}

unsigned int blk_request_sectors(const struct blkif_request *request)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < request->nr_segments; i++)
        n += request->seg[i].last_sect - request->seg[i].first_sect + 1u;
    return n;
}

static int check_transfer(const struct blkif_request *r, uint64_t sectors,
                          const char **reason)
{
    int result = check_segments(r, reason);
    unsigned int n;

    if (result != BLKIF_RSP_OKAY)
        return result;
    *reason = "outside the disk";
    n = blk_request_sectors(r);
    if (n == 0 || r->sector_number > sectors || n > sectors - r->sector_number)
        return BLKIF_RSP_ERROR;
    return BLKIF_RSP_OKAY;
}

/* A flush may carry no data: Linux sends an empty one. */
static int check_flush(const struct blkif_request *r, const char **reason)
{
    *reason = "a flush with data";
    return r->nr_segments ? BLKIF_RSP_ERROR : BLKIF_RSP_OKAY;
}

int blk_check(const struct blkif_request *request, uint64_t sectors,
              bool readonly, const char **reason)
{
    switch (request->operation) {
    case BLKIF_OP_READ:
        return check_transfer(request, sectors, reason);
    case BLKIF_OP_WRITE:
        *reason = "read-only";
        return readonly ? BLKIF_RSP_ERROR
                        : check_transfer(request, sectors, reason);
    case BLKIF_OP_FLUSH_DISKCACHE:
        return check_flush(request, reason);
    default:
        *reason = "an operation that we do not offer";
        return BLKIF_RSP_EOPNOTSUPP;
    }
}

unsigned int blk_device_number(const char *name)
{
    unsigned int disk, partition = 0;

    if (name[0] != 'x' || name[1] != 'v' || name[2] != 'd' || name[3] < 'a' ||
        name[3] > 'p')
        return 0;
    disk = (unsigned int)(name[3] - 'a');
    if (name[4]) {
        if (name[4] < '1' || name[4] > '9' || name[5])
            return 0;
        partition = (unsigned int)(name[4] - '0');
    }
    return 202u << 8 | disk << 4 | partition;
}
