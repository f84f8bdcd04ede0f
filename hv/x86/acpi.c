/*
 * The three ACPI tables that matter: MADT (processors, interrupt
 * controllers) and FADT (PM timer, power-off), found through the RSDT or
 * XSDT.  Runs on the boot tables, which map the first 4 GiB.
 */
#include "hv/x86/boot.h"

#include "hv/console.h"
#include "hv/x86/page.h"
#include "lib/string.h"

#define HEADER_SIZE 36u /* of a table: signature, length, and so on */

struct acpi_info acpi;

static const uint8_t *at(uint64_t maddr)
{
    if (!maddr || maddr >= 1ULL << 32)
        return NULL;
    return (const uint8_t *)directmap + maddr;
}

/* A number of @size bytes; fields are not aligned. */
static uint64_t read(const uint8_t *p, unsigned int size)
{
    uint64_t v = 0;

    memcpy(&v, p, size);
    return v;
}

static uint32_t read32(const uint8_t *p)
{
    return (uint32_t)read(p, 4);
}

/* An entry of the MADT: a processor, an I/O APIC, where an ISA interrupt goes
 * instead, a local APIC above 4 GiB. */
static void parse_madt_entry(const uint8_t *e)
{
    if (e[0] == 0 && (e[4] & 1) && acpi.nr_cpus < MAX_CPUS) {
        acpi.apic_id[acpi.nr_cpus++] = e[3];
    } else if (e[0] == 1 && !acpi.ioapic) {
        acpi.ioapic = read32(e + 4);
        acpi.ioapic_gsi_base = read32(e + 8);
    } else if (e[0] == 2 && e[3] < 16) {
        acpi.isa_irq[e[3]].gsi = read32(e + 4);
        acpi.isa_irq[e[3]].flags = (uint16_t)read(e + 8, 2);
    } else if (e[0] == 5) {
        acpi.lapic = read(e + 4, 8);
    }
}

static void parse(const uint8_t *t)
{
    uint32_t length = t ? read32(t + 4) : 0;

    if (length >= 44 && !memcmp(t, "APIC", 4)) {
        acpi.lapic = read32(t + 36);
        for (const uint8_t *e = t + 44; e + 2 <= t + length && e[1] >= 2;
             e += e[1])
            parse_madt_entry(e);
    } else if (length >= 80 && !memcmp(t, "FACP", 4)) {
        acpi.pm1a_control = (uint16_t)read32(t + 64);
        acpi.pm_timer = (uint16_t)read32(t + 76);
    }
}

void acpi_init(const void *rsdp)
{
    const uint8_t *r = rsdp, *root;
    unsigned int size = 4;

    for (unsigned int i = 0; i < 16; i++)
        acpi.isa_irq[i].gsi = i;
    if (!r)
        panic("GRUB passed no ACPI tables");

    root = at(read32(r + 16));
    if (r[15] >= 2 && at(read(r + 24, 8))) {
        root = at(read(r + 24, 8));
        size = 8;
    }
    if (!root)
        panic("the ACPI root table is not below 4 GiB");

    for (uint32_t o = HEADER_SIZE; o + size <= read32(root + 4); o += size)
        parse(at(read(root + o, size)));
    if (!acpi.lapic || !acpi.ioapic || !acpi.nr_cpus)
        panic("ACPI tables name no local APIC or no I/O APIC");
    if (!acpi.pm_timer)
        panic("ACPI tables name no PM timer, nothing to set the clock by");
}
