/*
 * Bootable images: GRUB, for a BIOS and for UEFI, on an ISO 9660 file system.
 *
 * The image carries a note to `belfry run` in the field that ISO 9660 leaves
 * to applications: how much memory it wants, and which file is its disk.
 */
#ifndef TOOLS_ISO_H
#define TOOLS_ISO_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/check.h"

struct iso_note {
    uint64_t memory;   /* bytes, 0: not known */
    uint64_t disk_size;
    char disk[256]; /* the first ramdisk's name in the image, "" for none */
};

/* Build the image of a system without findings.  False after a complaint. */
bool iso_build(const struct system *system, const char *output);

/* False, after a complaint, if it is no image at all; a foreign image has an
 * empty note. */
bool iso_read_note(const char *image, struct iso_note *note);

/* A copy of the image with another file for its disk. */
bool iso_replace_disk(const char *image, const struct iso_note *note,
                      const char *disk, uint64_t disk_size,
                      const char *output);

#endif
