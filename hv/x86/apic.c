/* Local APIC (xAPIC mode) and I/O APIC. */
#include "hv/x86/apic.h"

#include "hv/x86/boot.h"
#include "hv/x86/x86.h"

/* Local APIC registers, as indices of 32-bit words. */
enum {
    LAPIC_ID = 0x20 / 4,
    LAPIC_TPR = 0x80 / 4,
    LAPIC_EOI = 0xb0 / 4,
    LAPIC_SVR = 0xf0 / 4,
    LAPIC_IRR = 0x200 / 4, /* 32 vectors every 16 bytes */
    LAPIC_ICR_LOW = 0x300 / 4,
    LAPIC_ICR_HIGH = 0x310 / 4,
    LAPIC_LVT_TIMER = 0x320 / 4,
    LAPIC_LVT_LINT0 = 0x350 / 4,
    LAPIC_LVT_LINT1 = 0x360 / 4,
    LAPIC_LVT_ERROR = 0x370 / 4,
    LAPIC_TIMER_INITIAL = 0x380 / 4,
    LAPIC_TIMER_CURRENT = 0x390 / 4,
    LAPIC_TIMER_DIVIDE = 0x3e0 / 4,
};

#define LAPIC_ENABLE   0x100u
#define LVT_MASKED     0x10000u
#define LVT_NMI        0x400u
#define DIVIDE_BY_16   3u
#define ICR_PENDING    0x1000u

#define IOAPIC_LEVEL   (1u << 15)
#define IOAPIC_LOW     (1u << 13)

/* Legacy interrupt controllers' ports. */
#define PIC1_DATA 0x21
#define PIC2_DATA 0xa1

static volatile uint32_t *lapic, *ioapic;

static void ioapic_write(uint32_t reg, uint32_t value)
{
    ioapic[0] = reg;
    ioapic[4] = value;
}

/* MADT's flags: bits 0-1 polarity (3: low), bits 2-3 trigger (3: level). */
static void route_isa_irq(unsigned int irq, uint8_t vector)
{
    uint16_t flags = acpi.isa_irq[irq].flags;
    uint32_t pin = acpi.isa_irq[irq].gsi - acpi.ioapic_gsi_base;
    uint32_t low = vector;

    if ((flags & 3) == 3)
        low |= IOAPIC_LOW;
    if ((flags >> 2 & 3) == 3)
        low |= IOAPIC_LEVEL;
    ioapic_write(0x11 + 2 * pin, (uint32_t)acpi.apic_id[0] << 24);
    ioapic_write(0x10 + 2 * pin, low);
}

/* ACPI may list the CPUs in any order; CPU 0 is the one that runs. */
static void boot_cpu_first(uint8_t id)
{
    for (unsigned int i = 1; i < acpi.nr_cpus; i++)
        if (acpi.apic_id[i] == id) {
            acpi.apic_id[i] = acpi.apic_id[0];
            acpi.apic_id[0] = id;
        }
}

void apic_init(void)
{
    out8(PIC1_DATA, 0xff);
    out8(PIC2_DATA, 0xff);
    lapic = paging_map_device(acpi.lapic);
    ioapic = paging_map_device(acpi.ioapic);
    boot_cpu_first((uint8_t)(lapic[LAPIC_ID] >> 24));
    apic_init_cpu();
    route_isa_irq(4, VECTOR_SERIAL);
    route_isa_irq(3, VECTOR_SERIAL);
}

void apic_init_cpu(void)
{
    lapic[LAPIC_TPR] = 0;
    lapic[LAPIC_SVR] = LAPIC_ENABLE | VECTOR_SPURIOUS;
    lapic[LAPIC_LVT_LINT0] = LVT_MASKED;
    lapic[LAPIC_LVT_LINT1] = LVT_NMI;
    lapic[LAPIC_LVT_ERROR] = LVT_MASKED;
    lapic[LAPIC_TIMER_DIVIDE] = DIVIDE_BY_16;
    lapic[LAPIC_LVT_TIMER] = VECTOR_TIMER;
    lapic[LAPIC_EOI] = 0;
}

void apic_eoi(void)
{
    lapic[LAPIC_EOI] = 0;
}

/* The words of all vectors that we use. */
bool apic_interrupt_waits(void)
{
    return lapic[LAPIC_IRR + VECTOR_TIMER / 32 * 4] ||
           lapic[LAPIC_IRR + VECTOR_SERIAL / 32 * 4];
}

void apic_send(uint32_t apic_id, uint32_t command)
{
    while (lapic[LAPIC_ICR_LOW] & ICR_PENDING)
        ;
    lapic[LAPIC_ICR_HIGH] = apic_id << 24;
    lapic[LAPIC_ICR_LOW] = command;
}

void apic_timer_set(uint32_t ticks)
{
    lapic[LAPIC_TIMER_INITIAL] = ticks;
}

uint32_t apic_timer_left(void)
{
    return lapic[LAPIC_TIMER_CURRENT];
}
