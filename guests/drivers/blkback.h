/*
 * The backend half of block devices: memory served as a disk.
 *
 * Data goes by grant copy, a request's segments in one hypercall: nothing of
 * a frontend stays mapped, so nothing has to be taken back when one dies,
 * and a segment that cannot be reached fails only its own request.
 */
#ifndef DRIVERS_BLKBACK_H
#define DRIVERS_BLKBACK_H

#include <stdbool.h>
#include <stdint.h>

/* The disk: own memory, used in place.  It outlives its frontends. */
struct blkback_disk {
    uint8_t *bytes;
    uint64_t sectors;
    bool readonly; /* for all; a device of mode r is so for its frontend */
};

/* Serve the disk to every frontend that the store wires to this domain.  Then
 * call back_run().  0 or -Exxx. */
int blkback_start(const struct blkback_disk *disk);

#endif
