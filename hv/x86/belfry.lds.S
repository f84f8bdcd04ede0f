/*
 * The image: loaded at 2 MiB, where both BIOS and OVMF leave memory free,
 * and running at IMAGE_BASE + its machine address.  The boot part runs at
 * its machine address.  Each part starts on a page of its own, so that
 * paging.c can give it exact permissions.  The text comes first: the list of
 * its functions, which a second link adds to the read-only data, stays true.
 */
#include "hv/x86/layout.h"

#define LOAD 0x200000

ENTRY(boot_start)

PHDRS
{
    boot PT_LOAD FLAGS(7);
    text PT_LOAD FLAGS(5);
    rodata PT_LOAD FLAGS(4);
    data PT_LOAD FLAGS(6);
}

SECTIONS
{
    . = LOAD;
    .boot : { *(.multiboot) *(.boot) *(.boot.data) } :boot

    . = IMAGE_BASE + ALIGN(4096);
    text_start = .;
    .text : AT(ADDR(.text) - IMAGE_BASE) { *(.text .text.*) } :text
    . = ALIGN(4096);
    text_end = .;

    .rodata : AT(ADDR(.rodata) - IMAGE_BASE) {
        *(.rodata .rodata.*)
        symbols_begin = .;
        KEEP(*(.symbols))
        symbols_end = .;
        . = ALIGN(8);
        ex_table_start = .;
        KEEP(*(.ex_table))
        ex_table_end = .;
    } :rodata
    . = ALIGN(4096);
    rodata_end = .;

    .data : AT(ADDR(.data) - IMAGE_BASE) {
        *(.data .data.* .data.rel.ro .data.rel.ro.* .got .got.*)
    } :data
    .bss : AT(ADDR(.bss) - IMAGE_BASE) {
        *(.bss.page_aligned)
        *(.bss .bss.* COMMON)
        . = ALIGN(4096);
    } :data
    image_end = .;

    /DISCARD/ : { *(.comment) *(.note .note.*) *(.eh_frame) *(.dynamic)
                  *(.interp) *(.dynsym) *(.dynstr) *(.hash) *(.gnu.hash) }
}

cpu_stacks = STACKS_BASE;
boot_tables_phys = boot_tables - IMAGE_BASE;
boot_stack_phys = boot_stack_end - IMAGE_BASE;
