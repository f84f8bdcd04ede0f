/*
 * Several CPUs: start-up, TLB shootdown, parking.
 *
 * A shootdown sets a bit for the asker in each target's flush_wanted and
 * waits until the target has cleared it; the target flushes its TLB between
 * seeing and clearing.  A CPU is a target while the domain's tables may be
 * in its CR3 (domain.cpu_mask).
 */
#include "hv/x86/smp.h"

#include "hv/console.h"
#include "hv/x86/apic.h"
#include "hv/x86/boot.h"
#include "hv/x86/cpu.h"
#include "lib/string.h"

#define START_TIMEOUT    100000000ul

extern char ap_trampoline[], ap_trampoline_end[];
extern uint64_t ap_stack;
uint64_t ap_cr3;

uint32_t smp_parker;
static uint64_t park_round; /* changed by the parker alone */

static void wait_ns(uint64_t ns)
{
    stime_t end = now() + ns;

    while (now() < end)
        __builtin_ia32_pause();
}

/* INIT, then two start-up IPIs, as Intel's SDM prescribes.  It counts itself
 * when it runs: until then nr_cpus is its number. */
static bool start(unsigned int id)
{
    const uint32_t startup = APIC_STARTUP | AP_TRAMPOLINE >> PAGE_SHIFT;
    stime_t deadline = now() + START_TIMEOUT;

    write_once(&ap_stack, STACKS_BASE + (uint64_t)(id + 1) * STACK_BLOCK_SIZE -
                              sizeof(struct cpu));
    apic_send(acpi.apic_id[id], APIC_INIT);
    wait_ns(10000000);
    apic_send(acpi.apic_id[id], startup);
    wait_ns(200000);
    if (!read_once(&cpus[id]))
        apic_send(acpi.apic_id[id], startup);
    while (read_once(&nr_cpus) == id && now() < deadline)
        __builtin_ia32_pause();
    return read_once(&nr_cpus) != id;
}

/* The page of the trampoline is lent: under UEFI, GRUB puts modules there. */
void smp_start(void)
{
    char *trampoline = directmap + AP_TRAMPOLINE, lender[PAGE_SIZE];
    unsigned int id = 1;

    ap_cr3 = virt_to_mfn(hv_l4) << PAGE_SHIFT;
    memcpy(lender, trampoline, PAGE_SIZE);
    memcpy(trampoline, ap_trampoline,
           (size_t)(ap_trampoline_end - ap_trampoline));
    while (id < acpi.nr_cpus && start(id))
        id++;
    memcpy(trampoline, lender, PAGE_SIZE);
    if (id < acpi.nr_cpus)
        printk("CPU %u (APIC %u) does not start; going on without\n", id,
               acpi.apic_id[id]);
}

void smp_cpu_main(void)
{
    cpu_init(nr_cpus);
    apic_init_cpu();
    this_cpu()->need_resched = 1;
    cpu_start_guests();
}

void smp_serve(void)
{
    struct cpu *c = this_cpu();
    uint64_t wanted;

    if (!read_once(&c->flush_wanted))
        return;
    wanted = atomic_xchg(&c->flush_wanted, 0);
    write_cr3(c->cr3);
    atomic_or(&c->flush_done, wanted); /* only now may the askers go on */
}

void spin_relax(void)
{
    __builtin_ia32_pause();
    smp_serve();
}

static void ask_flush(unsigned int target, uint64_t me)
{
    struct cpu *c = cpus[target];

    __atomic_fetch_and(&c->flush_done, ~me, __ATOMIC_SEQ_CST);
    __atomic_fetch_or(&c->flush_wanted, me, __ATOMIC_SEQ_CST);
    apic_send(c->apic_id, VECTOR_SERVE);
}

static __attribute__((noinline)) void ask_others(uint64_t me, uint64_t targets)
{
    for (uint64_t left = targets; left; left &= left - 1)
        ask_flush((unsigned int)__builtin_ctzll(left), me);
    for (uint64_t left = targets; left; left &= left - 1)
        while (!(load_acquire(&cpus[__builtin_ctzll(left)]->flush_done) & me))
            spin_relax();
}

static inline void flush_others(const struct cpu *own, struct domain *d)
{
    uint64_t targets = load_seq_cst(&d->cpu_mask) & ~own->bit;

    if (targets)
        ask_others(own->bit, targets);
}

void tlb_flush_domain(struct domain *d)
{
    struct cpu *c = this_cpu();

    if (c->tables_of == d)
        write_cr3(c->cr3);
    flush_others(c, d);
}

/* A page here; the others, who are rarer, flush all. */
void tlb_flush_domain_page(struct domain *d, uint64_t va)
{
    struct cpu *c = this_cpu();

    if (c->tables_of == d)
        invlpg(va);
    flush_others(c, d);
}

/* ---- Parking: others come to rest on their way out, holding nothing. ---- */

void smp_park(void)
{
    struct cpu *c = this_cpu();

    for (;;) {
        uint64_t round = load_acquire(&park_round);
        uint32_t by = load_acquire(&smp_parker);

        if (!by || by == c->id + 1)
            return;
        store_release(&c->parked_round, round);
        spin_relax();
    }
}

void smp_park_others(void)
{
    uint32_t nobody = 0, me = this_cpu()->id + 1;

    while (!atomic_cas(&smp_parker, &nobody, me)) {
        nobody = 0;
        smp_park();
    }
    store_release(&park_round, park_round + 1);
    for (unsigned int i = 0; i < nr_cpus; i++) {
        if (i + 1 == me)
            continue;
        write_once(&cpus[i]->need_resched, 1);
        apic_send(cpus[i]->apic_id, VECTOR_KICK);
        while (load_acquire(&cpus[i]->parked_round) != park_round)
            spin_relax();
    }
}

void smp_release_others(void)
{
    store_release(&smp_parker, 0);
}
