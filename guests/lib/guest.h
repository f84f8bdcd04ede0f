/*
 * The guest runtime: everything a guest needs, in one include.
 *
 * A guest is a directory with C files and
 *
 *     #include "guests/lib/guest.h"
 *
 *     int guest_main(void)
 *     {
 *         printf("hello from domain %u\n", guest.domid);
 *         return 0;
 *     }
 *
 * It runs on Belfry and on real Xen alike, as initial domain or not.  The
 * program is single-threaded unless it starts further vCPUs; event handlers
 * run from event_wait() and event_poll() in the main program, never on top of
 * it, so they may call anything.  Upcalls are the runtime's: a program that clears the vCPU's
 * upcall mask must set callbacks of its own.  Returning from guest_main, or guest_exit(), powers the domain
 * off: 0 is success, anything else shuts down with reason crash.
 *
 * Errors are 0 or -Exxx as the hypervisor gave them.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#include "hv/abi/belfry.h"
#include "lib/atomic.h"
#include "lib/errno.h"
#include "lib/format.h"
#include "lib/list.h"
#include "lib/string.h"
#include "guests/lib/hypercall.h"

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ul

/* ---- Who am I: set before guest_main. ---- */
struct guest {
    struct start_info *start; /* as the builder left it */
    struct shared_info *shared;
    domid_t domid;      /* own id */
    bool initial;       /* the initial domain (SIF_INITDOMAIN) */
    bool on_belfry;     /* belfry_op exists */
    uint64_t generation; /* own, 0 on Xen */
    char name[BELFRY_NAME_SIZE]; /* "" on Xen without a store */
    const char *cmdline;
    void *ramdisk; /* or NULL */
    size_t ramdisk_size;
};
extern struct guest guest;

/* The program.  Its result is the exit status. */
int guest_main(void);
_Noreturn void guest_exit(int status);

/* Value of key= on the command line: true and value copied ("" for a bare
 * word), or false. */
bool cmdline_get(const char *key, char *value, size_t size);
/* As a number (decimal or 0x), or @otherwise. */
uint64_t cmdline_number(const char *key, uint64_t otherwise);
/* All of a text as a number (decimal or 0x): true, or false. */
bool number_parse(const char *text, uint64_t *out);

/* ---- Console.  Lines end in \n; nothing is lost while the ring drains. ---- */
__attribute__((format(printf, 1, 2))) int printf(const char *fmt, ...);
void console_write(const char *text, size_t n);
/* Input that has arrived, without waiting: bytes, 0 to n. */
size_t console_read(char *buf, size_t n);

/* Says where, prints a backtrace with symbols, and ends with crash. */
__attribute__((noreturn, format(printf, 1, 2))) void panic(const char *fmt,
                                                           ...);
#define BUG_ON(cond)                                                           \
    do {                                                                       \
        if (__builtin_expect(!!(cond), 0))                                     \
            panic("BUG at %s:%d: %s", __FILE__, __LINE__, #cond);              \
    } while (0)

/* ---- Traps.  One that nobody catches is reported and ends with crash. ---- */
struct trap_regs {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error; /* error 0 where the vector has none */
    uint64_t rip, cs, rflags, rsp, ss;
};
/* True: handled, the program goes on as regs say now; it runs on top of the
 * program, so it may not print or wait.  False: report it. */
typedef bool trap_fn(struct trap_regs *regs);
void trap_catch(unsigned int vector, trap_fn *fn); /* NULL: no longer */
/* The address of the last page fault. */
uint64_t trap_cr2(void);

/* The last line of a test guest, and its exit. */
enum verdict { VERDICT_PASS, VERDICT_FAIL, VERDICT_SKIP, VERDICT_BROKEN };
_Noreturn void verdict(enum verdict v, const char *name);

/* ---- Time: nanoseconds since boot of the hypervisor. ---- */
uint64_t clock_now(void);
/* Seconds and nanoseconds since 1970. */
void clock_wall(uint64_t *seconds, uint32_t *nanoseconds);
static inline uint64_t rdtsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* ---- Memory. ---- */
/* One zeroed page, or panic: a guest is sized by its mem=. */
void *page_alloc(void);
/* The same, NULL when there is none. */
void *page_try_alloc(void);
void page_free(void *page);
/* n contiguous (virtually and pseudo-physically) pages, zeroed, or NULL. */
void *pages_alloc(unsigned int n);
void pages_free(void *pages, unsigned int n);
size_t pages_available(void);

/* Machine frame of an own page, and the way back for frames of ours. */
uint64_t virt_to_mfn(const void *va);
/* Map a machine frame at a page of one's own; the page's frame is lost to
 * view until it is mapped back.  For shared_info, grants and the like. */
int map_frame_at(void *page, uint64_t mfn, bool writable);

/* Small objects.  Freed memory is reused; zeroed; NULL when there is none. */
void *mem_alloc(size_t size);
void mem_free(void *p);
char *string_dup(const char *s);

/* ---- Events. ---- */
typedef void event_fn(evtchn_port_t port, void *data);

/* Ports: 0 and *port, or -Exxx.  A bound port starts masked; event_handle
 * unmasks it. */
int event_alloc_unbound(domid_t remote, evtchn_port_t *port);
int event_bind_interdomain(domid_t remote, evtchn_port_t remote_port,
                           evtchn_port_t *port);
int event_bind_virq(unsigned int virq, evtchn_port_t *port);
int event_bind_ipi(evtchn_port_t *port);
/* Call fn(port, data) from event_wait/event_poll when the port rings. */
int event_handle(evtchn_port_t port, event_fn *fn, void *data);
int event_send(evtchn_port_t port);
int event_mask(evtchn_port_t port);
int event_unmask(evtchn_port_t port);
int event_close(evtchn_port_t port);
/* Was the port rung since the last call?  For ports without a handler. */
bool event_take(evtchn_port_t port);

/* At most @credits rings of an own port in a row, then one each @interval_ns;
 * the hypervisor delivers those beyond as one when it is time, and none is
 * lost.  0 credits: no limit.  -EINVAL: not open, a VIRQ, an IPI, or an
 * interval of 0; -ENOSPC: too many ports have limits (48); -ENOSYS on Xen. */
int event_limit(evtchn_port_t port, uint32_t credits, uint64_t interval_ns);
/* From now on the end of the peer rings the port, and sends on it are -EPIPE
 * then.  -EINVAL: not open; -ENOSYS on Xen. */
int event_notice(evtchn_port_t port);

/* Run the handlers of all that has rung; false if nothing had. */
bool event_poll(void);
/* Sleep until something rings, then run handlers.  The look before the sleep
 * and the sleep are one: no ring is lost in between. */
void event_wait(void);
/* The same, at most until clock_now() >= deadline; false on time-out. */
bool event_wait_until(uint64_t deadline);
/* Sleep until the port rings (then take it); handlers of others run. */
void event_wait_for(evtchn_port_t port);
/* Sleep for so long; handlers run meanwhile. */
void sleep_ns(uint64_t ns);

/* ---- Further vCPUs: vcpus=N on the domain's line. ----
 *
 * The program begins on vCPU 0.  Any other runs a function when it is told to.
 * There it may use hypercalls, printf (texts are cut at 255 bytes), panic,
 * guest_exit, the clock, event_send and what stands here; the rest of the
 * runtime is vCPU 0's and has no locks.  Trap handlers serve all vCPUs. */
typedef void vcpu_fn(void *data);
/* How many vCPUs this domain has, and which of them runs this. */
unsigned int vcpu_count(void);
unsigned int vcpu_id(void);
/* From vCPU 0: run fn(data) on vCPU @id, with 28 KiB of stack.  The vCPU goes
 * down when fn returns, and may be started again.  0; -ENOENT no such vCPU,
 * or 0; -EBUSY it is up; -ENOMEM. */
int vcpu_start(unsigned int id, vcpu_fn *fn, void *data);
bool vcpu_is_up(unsigned int id);
/* On any vCPU: sleep until @port rings, and take the ring.  The port stays
 * masked as it was bound (no event_handle), so that it is this vCPU's alone.
 * False when clock_now() reached @deadline (0: none) first. */
bool vcpu_wait_for(evtchn_port_t port, uint64_t deadline);

/* ---- Grants. ---- */
/* Let @peer use the frame of an own page: reference, or -ENOSPC. */
int grant_access(domid_t peer, void *page, bool readonly);
/* Withdraw: 0; -EBUSY while the peer still maps it, the grant then stands
 * and the page must not be reused. */
int grant_end(grant_ref_t ref);
/* Withdraw though the peer maps it: no use of it begins from now on, the peer
 * is told, and what it has not unmapped when clock_now() reaches @deadline is
 * taken from it.  grant_end() is -EBUSY until then; event_wait() returns when
 * it is not any more.  0; -ENOSPC 128 are under way; -ENOMEM; -ENOSYS on Xen. */
int grant_revoke_begin(grant_ref_t ref, uint64_t deadline);
/* The same, and waits for it: with 0 the reference is free, as by grant_end().
 * Handlers run meanwhile. */
int grant_revoke(grant_ref_t ref, uint64_t deadline);
/* Map peers' pages at fresh addresses, at most 32.  All or nothing: 0, -ESRCH
 * no such domain, -ENOENT no such reference, -EACCES not for us or read-only,
 * -ENOSPC no room for the mapping here or there, -EIO anything else. */
struct grant_mapping {
    void *address; /* n contiguous pages */
    unsigned int n;
    grant_handle_t handle[32];
};
int grant_map(domid_t peer, const grant_ref_t *refs, unsigned int n,
              bool readonly, struct grant_mapping *out);
void grant_unmap(struct grant_mapping *m);
/*
 * On Belfry a peer can take back what it granted.  fn(notice) runs from
 * event_wait for each mapping that is to go, until it is unmapped: the time to
 * do so is until notice->deadline, or over (BELFRY_REVOKE_TAKEN).  -ENOSYS on
 * Xen.
 *
 * An access to a page that was taken does no harm: it finds zeroes or what was
 * written since, which nobody else sees.  grant_is_lost() tells.
 */
typedef void grant_notice_fn(const struct belfry_notice *notice);
int grant_on_notice(grant_notice_fn *fn);
bool grant_has_handle(const struct grant_mapping *m, grant_handle_t handle);
bool grant_is_lost(const struct grant_mapping *m);
/* Copy between own memory and a peer's granted page.  0; -EINVAL the range
 * leaves the granted page or own memory; else as grant_map. */
int grant_copy_from(domid_t peer, grant_ref_t ref, unsigned int offset,
                    void *to, size_t n);
int grant_copy_to(domid_t peer, grant_ref_t ref, unsigned int offset,
                  const void *from, size_t n);

/* ---- The store (Xenstore wire protocol; synchronous). ---- */
/* Relative paths are under /local/domain/<own id>/. */
bool store_available(void);
/* The value with a terminator, to be freed with mem_free; or NULL, and the
 * error in *error if not NULL (-ENOENT, -EACCES, ...). */
char *store_read(const char *path, int *error);
__attribute__((format(printf, 2, 3))) int store_write(const char *path,
                                                      const char *fmt, ...);
int store_mkdir(const char *path);
int store_rm(const char *path);
/* Names below a node, each ended by a 0, in one block for mem_free; *count. */
char *store_directory(const char *path, unsigned int *count, int *error);
/* As store_read, as a number; or @otherwise. */
uint64_t store_read_number(const char *path, uint64_t otherwise);
/* fn(path, data) from event_wait when something at or below path changes,
 * and once at once, as Xen does. */
typedef void store_fn(const char *path, void *data);
int store_watch(const char *path, store_fn *fn, void *data);
int store_unwatch(const char *path, store_fn *fn, void *data);
int store_set_perms(const char *path, const char *const *perms,
                    unsigned int n); /* "n0", "r3", ... */
int store_transaction_start(uint32_t *id);
int store_transaction_end(uint32_t id, bool commit); /* -EAGAIN: try again */
/* Reads and writes between start and end go to that transaction. */
void store_use_transaction(uint32_t id); /* 0: none */
/* Wait until a path exists (-ETIMEDOUT after so long), then read it. */
char *store_wait(const char *path, uint64_t timeout_ns, int *error);

/* ---- Named channels: chan=NAME:PEER in grub.cfg. ---- */
struct channel {
    evtchn_port_t port;
    domid_t peer;
    void *page;  /* shared with the peer */
    bool first;  /* we are the domain whose line has the chan= key */
    struct grant_mapping mapping;
};
/* Waits until the control domain has published it.  0, -ETIMEDOUT.  The side
 * that binds last finds its bell rung once: an earlier ring would have been
 * lost.  Open it on both sides before using the page. */
int channel_open(const char *name, struct channel *c);
int channel_send(struct channel *c);
/* Sleep until the peer rings. */
void channel_wait(struct channel *c);
void channel_close(struct channel *c);

#endif
