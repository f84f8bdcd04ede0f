/*
 * The three ACPI tables that matter: MADT (processors, interrupt
 * controllers) and FADT (PM timer, power-off), found through the RSDT or
 * XSDT.  Runs on the boot tables, which map the first 4 GiB.
 */
#include "hv/x86/boot.h"

#include "hv/console.h"
#include "hv/x86/layout.h"
#include "hv/x86/page.h"
#include "lib/string.h"

struct table {
    char signature[4];
    uint32_t length;
    uint8_t rest[28];
} __attribute__((packed));
_Static_assert(sizeof(struct table) == 36, "ACPI table header");

struct acpi_info acpi;

static const void *at(uint64_t maddr)
{
    return maddr && maddr < 1ULL << 32 ? directmap + maddr : NULL;
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

static void add_cpu(uint8_t id, uint32_t flags)
{
    if ((flags & 1) && acpi.nr_cpus < MAX_CPUS)
        acpi.apic_id[acpi.nr_cpus++] = id;
}

static void add_override(const uint8_t *e)
{
    uint8_t irq = e[3];

    if (irq >= 16)
        return;
    acpi.isa_irq[irq].gsi = read32(e + 4);
    acpi.isa_irq[irq].flags = (uint16_t)read(e + 8, 2);
}

static void parse_madt(const uint8_t *madt, uint32_t length)
{
    acpi.lapic = read32(madt + 36);
    for (const uint8_t *e = madt + 44; e + 2 <= madt + length && e[1] >= 2;
         e += e[1]) {
        if (e[0] == 0)
            add_cpu(e[3], read32(e + 4));
        else if (e[0] == 1 && !acpi.ioapic) {
            acpi.ioapic = read32(e + 4);
            acpi.ioapic_gsi_base = read32(e + 8);
        } else if (e[0] == 2)
            add_override(e);
        else if (e[0] == 5)
            acpi.lapic = read(e + 4, 8);
    }
}

static void parse_fadt(const uint8_t *fadt, uint32_t length)
{
    if (length < 80)
        return;
    acpi.pm1a_control = (uint16_t)read32(fadt + 64);
    acpi.pm_timer = (uint16_t)read32(fadt + 76);
}

static void parse(uint64_t maddr)
{
    const struct table *t = at(maddr);

    if (!t)
        return;
    if (!memcmp(t->signature, "APIC", 4))
        parse_madt((const uint8_t *)t, t->length);
    else if (!memcmp(t->signature, "FACP", 4))
        parse_fadt((const uint8_t *)t, t->length);
}

void acpi_init(const void *rsdp)
{
    const uint8_t *r = rsdp;
    const struct table *root;
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

    for (uint32_t o = sizeof(*root); o + size <= root->length; o += size)
        parse(read((const uint8_t *)root + o, size));
    if (!acpi.lapic || !acpi.ioapic || !acpi.nr_cpus)
        panic("ACPI tables name no local APIC or no I/O APIC");
    if (!acpi.pm_timer)
        panic("ACPI tables name no PM timer, nothing to set the clock by");
}
