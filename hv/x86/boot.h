/*
 * From GRUB's information to a running CPU 0.  Everything here is used once,
 * before the first domain.
 */
#ifndef X86_BOOT_H
#define X86_BOOT_H

#include <stddef.h>
#include <stdint.h>

/* ---- boot_memory.c: RAM before there is a frame table. ---- */

/* The memory map: RAM from start to end.  Machine addresses. */
void boot_memory_add(uint64_t start, uint64_t end);
/* Take a range out: image, modules, tables. */
void boot_memory_reserve(uint64_t start, uint64_t end);
/* n contiguous zeroed pages above 1 MiB; panics if there are none. */
void *boot_memory_alloc(size_t pages);
/* End of the highest RAM. */
uint64_t boot_memory_top(void);
/* Call fn(first, end) for the frames of each free range. */
void boot_memory_for_each(void (*fn)(uint64_t first, uint64_t end));

/* ---- acpi.c ---- */

struct acpi_info {
    uint32_t nr_cpus;
    uint8_t apic_id[32]; /* MAX_CPUS, the boot CPU first */
    uint64_t lapic, ioapic; /* machine addresses */
    uint32_t ioapic_gsi_base;
    struct {
        uint32_t gsi;
        uint16_t flags;
    } isa_irq[16];
    uint16_t pm_timer, pm1a_control; /* ports, 0: none */
};
extern struct acpi_info acpi;
/* @rsdp as GRUB copied it, NULL if it found none.  Panics if there is no
 * local APIC or PM timer to be found. */
void acpi_init(const void *rsdp);

/* ---- fw_cfg.c: QEMU's options of a single run. ---- */

/* The file's text, terminated and cut to fit; "" if there is none. */
void fw_cfg_read(const char *name, char *buf, size_t size);

/* ---- paging.c ---- */

/* Build and load the final address space; frame table, M2P, stacks. */
void paging_init(void);
/* Map a device page at a fixed address. */
volatile void *paging_map_device(uint64_t maddr);
extern uint64_t *hv_l4;
extern uint64_t hv_gdt[512]; /* the page at selector 0xe000 */

#endif
