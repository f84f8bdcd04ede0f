/*
 * Xen PV64 ELF images: bounds-checked access to headers, notes and symbols.
 * Pure: works on any bytes, also hostile ones.
 */
#ifndef LIB_ELF_H
#define LIB_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_image {
    const uint8_t *bytes;
    size_t size;
    uint64_t entry, virt_base, paddr_offset;
    uint64_t hypercall_page;   /* virtual, 0: none asked for */
    uint64_t init_p2m;         /* virtual, 0: beside the kernel */
    bool mod_start_pfn;        /* ramdisk is given by frame number, unmapped */
    uint64_t low, high;        /* virtual range that the segments occupy */
};

/* Parse and check.  0 or -ENOEXEC, with a sentence in *why (static). */
int elf_parse(struct elf_image *elf, const void *bytes, size_t size,
              const char **why);

/* Segment @index: 1 and its data, 0 when there are no more.  *dest is the
 * virtual address it belongs at; mem_size >= file_size; the file range is
 * inside the image. */
int elf_segment(const struct elf_image *elf, unsigned int index,
                const uint8_t **data, uint64_t *dest, uint64_t *file_size,
                uint64_t *mem_size);

/* Name of the function at or before @va and the offset in it: true, or false
 * if there is no symbol table or no such function. */
bool elf_symbol(const void *bytes, size_t size, uint64_t va, const char **name,
                uint64_t *offset);

#endif
