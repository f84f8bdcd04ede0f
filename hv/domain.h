/*
 * Domains and their vCPUs.
 *
 * A domain is found by its id with domain_get(), which takes a reference;
 * domain_put() drops it.  Every domain has a generation that is never used
 * again, so that a stored (id, generation) can never mean a later one.
 *
 * Life: BUILDING (only the builder knows it) -> RUNNING, with a pause count
 * -> SHUTDOWN (it ended itself or crashed; memory is intact for a
 * post-mortem) -> DYING (destroyed; resources are being taken back) -> gone
 * when the last reference is dropped.
 */
#ifndef HV_DOMAIN_H
#define HV_DOMAIN_H

#include <stdbool.h>
#include <stdint.h>

#include <xen/xen.h>
#include <xen/sched.h>

#include "evtchn/evtchn.h"
#include "hv/abi/belfry.h"
#include "hv/hypercall.h"
#include "hv/inject.h"
#include "hv/sched.h"
#include "hv/timer.h"
#include "hv/x86/page.h"
#include "lib/list.h"

struct grant_table;
struct module;
struct refusals;

enum domain_state {
    DOMAIN_BUILDING,
    DOMAIN_RUNNING,
    DOMAIN_SHUTDOWN,
    DOMAIN_DYING,
};

/* Start of a callback or trap handler in the guest. */
struct guest_entry {
    uint64_t address;
    bool mask_events; /* set evtchn_upcall_mask on the way in */
};

/* The PV machine of one vCPU. */
struct arch_vcpu {
    mfn_t kernel_table, user_table; /* L4 frames, each with a use as L4;
                                       user_table 0: none */
    bool kernel_mode;
    uint32_t iopl;
    uint64_t io_bitmap; /* guest address, of io_ports bits */
    uint32_t io_ports;
    uint64_t kernel_sp;   /* stack_switch */
    union {
        struct {
            uint16_t ds, es, fs, gs;
        };
        uint64_t selectors; /* 0, as a rule, in a 64-bit guest */
    };
    uint64_t fs_base;
    uint64_t gs_base, gs_base_other; /* the other mode's */
    struct guest_entry event_callback, failsafe_callback, syscall_callback,
        nmi_callback;
    bool nmi_pending, nmi_masked; /* masked until the iret hypercall */
    struct trap_info *trap; /* 256 entries, one page */
    union {
        struct {
            uint32_t ldt_entries;
            bool ts;          /* virtual CR0.TS */
            bool breakpoints; /* debugreg[7] enables some */
            bool runstate;    /* there is a runstate_area */
            bool budgeted;    /* its calls go the long way (lend.h) */
        };
        uint64_t rare; /* any of these: a switch has more to do */
    };
    uint64_t ldt_base;
    uint64_t *perdomain_l1; /* GDT and LDT pages of this vCPU, with uses as
                               SEGDESC (x86/descriptor.h) */
    uint64_t debugreg[8];
    void *xsave; /* one page */
    mfn_t info_frame; /* registered vcpu_info, 0: shared_info's */
    uint64_t runstate_area; /* guest address, 0: none */
};

/* A vCPU may be brought up once it is VCPU_INITIALISED. */
enum { VCPU_NEW, VCPU_BEING_INITIALISED, VCPU_INITIALISED };

struct vcpu {
    struct cpu_user_regs regs; /* as of its last entry; first (entry.asm) */
    struct domain *domain;
    uint32_t id;
    uint8_t setup; /* VCPU_*; by compare and swap */
    bool step_open; /* its last call goes on, and has counted its entry */
    hypercall_fn *const *calls; /* hypercall_table, or the injector's */
    struct evtchn_vcpu evtchn;
    struct sched_vcpu sched;
    struct arch_vcpu arch;
    struct timer single, periodic, poll;
    stime_t deadline; /* of the poll, call or serve it is in; 0: none */
    stime_t period;
    bool timers_on; /* a timer that expires may set itself anew */
    uint64_t hypercalls;
};

struct domain {
    uint16_t id;
    enum domain_state state;
    bool privileged;
    uint8_t reason; /* SHUTDOWN_*, once it ended */
    uint32_t refs;  /* atomic */
    uint64_t generation;
    char name[BELFRY_NAME_SIZE];
    struct domain *next_dead; /* in cpu.dead_domains */
    struct list link; /* all domains, ordered by id; domain_list_lock */

    spinlock_t lock; /* guards the page list, the counts, the state */
    uint32_t page_list; /* first frame, 0: none */
    uint64_t nr_pages, max_pages;

    uint64_t cpu_mask; /* CPUs that may have its tables in CR3; atomic */
    spinlock_t pt_lock; /* guards contents and types of page tables, and: */
    struct page *falling; /* a loose table, being taken apart; or NULL */
    struct pagetable_walk walk;

    uint32_t nr_vcpus;
    struct vcpu *vcpu[MAX_VCPUS];
    struct evtchn_vcpu *evtchn_vcpu[MAX_VCPUS];
    struct evtchn_domain evtchn;
    struct grant_table *grants;

    struct shared_info *shared; /* [GST] a frame shared with the domain */
    uint64_t *perdomain_l3; /* what L4 slot 260 leads to */
    uint64_t *perdomain_l2; /* below it: an L1 table a vCPU */
    uint64_t vm_assist;
    bool destroyed; /* everything of its own has been given back */

    uint32_t console_port, store_port;
    mfn_t rings_frame; /* BELFRYOP_register_rings, 0: none */

    const struct module *module; /* what it was made from */
    struct refusals *refusals;   /* one page: refused.c's */
    uint32_t pauses;             /* by belfry_op and the toolstack */
    struct inject inject;

    stime_t created, ended;
    uint64_t refused, page_faults;
    uint32_t crash_vector, crash_error;
    uint64_t crash_rip, crash_cr2;
    char crash_text[96];
};

#define VECTOR_NONE 0xffffffffu

/* The domain of this id, or NULL.  Without a reference it may be used until
 * this CPU leaves the hypervisor (domain.c).  DOMID_SELF is the caller's
 * business. */
extern struct domain *domain_by_id[DOMID_FIRST_RESERVED];
static inline struct domain *domain_find(uint16_t id)
{
    return id < DOMID_FIRST_RESERVED ? load_acquire(&domain_by_id[id]) : NULL;
}
/* Take a reference; false if the last one has been dropped. */
static inline bool domain_hold(struct domain *d)
{
    uint32_t refs = read_once(&d->refs);

    do
        if (!refs)
            return false;
    while (!atomic_cas(&d->refs, &refs, refs + 1));
    return true;
}
/* A live or ended domain with a reference, or NULL. */
struct domain *domain_get(uint16_t id);
/* The same, and NULL unless generation is 0 or its own. */
struct domain *domain_get_generation(uint16_t id, uint64_t generation);
/* Has a domain this name, other than one that is being destroyed? */
bool domain_name_is_taken(const char *name);
void domain_put(struct domain *d);
/* Free the domains whose last reference this CPU has dropped.  By the
 * scheduler, with no lock. */
void domain_reap(void);
/* The domain with the lowest id >= @id, with a reference, or NULL. */
struct domain *domain_next(uint16_t id);
/* The same for the ids behind that of @d, whose reference is dropped: for
 * walks over all domains. */
struct domain *domain_after(struct domain *d);

/* A new domain in state BUILDING with the name and the number of vCPUs, all
 * paused, that the module's line gives; with event channels and grant table,
 * and no memory.  NULL if memory or ids ran out. */
struct domain *domain_create(const struct module *m, bool privileged);
/* It is complete: others can see it. */
void domain_publish(struct domain *d);

void domain_pause(struct domain *d);
/* false if it is not paused. */
bool domain_unpause(struct domain *d);

/* It ends itself: SCHEDOP_shutdown, or because it did what no domain may. */
void domain_shutdown(struct domain *d, uint8_t reason);
/* Its fault: @fmt says what.  Prints name, vector, rip and symbol, keeps them
 * for BELFRYOP_list, and shuts it down with SHUTDOWN_crash.  The current
 * vCPU, if it is one of its own, does not return to the guest. */
__attribute__((format(printf, 2, 3))) void
domain_crash(struct domain *d, const char *fmt, ...);
/* As domain_crash, for an exception of the current vCPU. */
void domain_crash_trap(struct vcpu *v, uint32_t vector, uint32_t error,
                       uint64_t cr2, const char *text);

/* Take everything back.  0; -ERESTART: call again, progress is kept.  The
 * caller holds a reference; the domain is gone when the last is dropped. */
int domain_destroy(struct domain *d);

/* "name" of the symbol at @rip of the domain, with offset; "" if unknown. */
void domain_symbol(const struct domain *d, uint64_t rip, char *buf,
                   size_t size);

/* ---- arch_: hv/x86 ---- */
int arch_domain_init(struct domain *d);    /* per-domain area; 0, -ENOMEM */
void arch_domain_free(struct domain *d);   /* after the pages are gone */
int arch_vcpu_init(struct vcpu *v);
void arch_vcpu_free(struct vcpu *v);
/* Drop the vCPU's uses of tables, descriptor pages and vcpu_info. */
void arch_vcpu_release(struct vcpu *v);

extern struct domain *initial_domain;

#endif
