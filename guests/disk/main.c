/*
 * The block backend: its ramdisk is the disk, served in place to every
 * domain whose line says vbd=<this domain>:xvda.
 *
 * cmdline: readonly refuses writes.
 */
#include "guests/drivers/back.h"
#include "guests/drivers/blk.h"
#include "guests/drivers/blkback.h"

int guest_main(void)
{
    char value[8];
    struct blkback_disk disk = {
        .bytes = guest.ramdisk,
        .sectors = guest.ramdisk_size / BLK_SECTOR,
        .readonly = cmdline_get("readonly", value, sizeof(value)),
    };
    int error;

    if (disk.sectors == 0) {
        printf("no disk: a module2 line with ramdisk=%s gives one\n",
               *guest.name ? guest.name : "NAME");
        return 1;
    }
    if (guest.ramdisk_size % BLK_SECTOR)
        printf("the last %zu bytes are no whole sector and are left out\n",
               guest.ramdisk_size % BLK_SECTOR);

    printf("serving %lu sectors of %u bytes%s\n", disk.sectors, BLK_SECTOR,
           disk.readonly ? ", read-only" : "");
    error = blkback_start(&disk);
    if (error) {
        printf("cannot serve: error %d\n", error);
        return 1;
    }
    back_run();
}
