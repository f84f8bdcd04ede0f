/*
 * What the files of the runtime share with each other and no guest sees.
 */
#ifndef GUEST_INTERNAL_H
#define GUEST_INTERNAL_H

#include "guests/lib/guest.h"
#include "lib/pte.h"

/* Entries that read, that write, and that lead to a table. */
#define PTE_READ  (PTE_PRESENT | PTE_USER | PTE_ACCESSED | PTE_NX)
#define PTE_DATA  (PTE_READ | PTE_RW | PTE_DIRTY)
#define PTE_TABLE (PTE_PRESENT | PTE_RW | PTE_USER | PTE_ACCESSED)

#define VIRT_BASE 0x40000000ul

/* A page of the image that a shared frame will be mapped over. */
#define OWN_PAGE __attribute__((section(".bss.page"), aligned(4096)))

/* From guest.lds. */
extern char image_begin[], text_end[], rodata_end[], image_end[];
extern char stack_guard[], stack_bottom[], stack_top[];
extern const char symbols_begin[], symbols_end[];

/* From entry.asm. */
extern char upcall_entry[], failsafe_entry[];
extern void *const trap_entries[20];

/* The parts in the order in which they start. */
void trap_init(void);
void event_init(void);
void memory_init(void);
void console_init(void);
void store_init(void);

/* ---- Memory. ---- */
/* Machine frame of a pseudo-physical page. */
uint64_t pfn_to_mfn(uint64_t pfn);
bool is_own_memory(const void *va, size_t n);
/* An own page at @va: set its entry.  0 or -Exxx. */
int page_set_entry(const void *va, uint64_t pte);
/* The L1 entry of an address, read-only; NULL where there is no table.
 * With @create, missing tables are made; NULL then means no memory. */
const uint64_t *pagetable_entry(uint64_t va, bool create);
void pagetable_init(void);
/* Fill the window [first, end) of own pseudo-physical pages at their usual
 * addresses.  0 or -ENOMEM. */
int pagetable_map_own(uint64_t first, uint64_t end);

/* n pages of address space with page tables but nothing mapped, or NULL. */
void *window_alloc(unsigned int n);
void window_free(void *address, unsigned int n);
/* Is this in a page that window_alloc() has given out? */
bool window_has(uint64_t va);

/* ---- Events. ---- */
/* Sleep until the port rings, without running anybody's handler: for the
 * console and the store, which programs call from within handlers.  False
 * when clock_now() reached the deadline (0: none) first. */
bool event_quiet_wait(evtchn_port_t port, uint64_t deadline);
/* The handler of a port whose ring ends a sleep and is no news otherwise:
 * event_wait does not return for it. */
void event_ignore(evtchn_port_t port, void *data);
/* As if the port had just rung, for its handler. */
void event_raise(evtchn_port_t port);

/* ---- Grants. ---- */
/* Nothing was mapped at @va: was it a page that its owner has taken back?
 * Then another stands there now. */
bool grant_fault(uint64_t va);

/* ---- Console. ---- */
/* Wait for the reader of the ring to have all of it, a second at most. */
void console_drain(void);

/* One vCPU was in the middle of printing when the domain came to its end:
 * whoever reports goes on regardless. */
void console_break_lock(void);

/* ---- Further vCPUs. ---- */
/* The stack of the vCPU that runs this: [*bottom, *top). */
void vcpu_stack(uint64_t *bottom, uint64_t *top);

/* ---- The end. ---- */
_Noreturn void domain_shutdown(unsigned int reason);
void backtrace_print(uint64_t rip, uint64_t rbp);
_Noreturn void runtime_start(struct start_info *start);

#endif
