/*
 * What Belfry adds to Xen's ABI: one hypercall for all that is rare, and two
 * for calls, which must be short ("Calls" below).
 *
 * A guest is a Xen PV64 guest and needs nothing from this file.  Programs
 * that manage or inspect the system (the control domain) and libraries that
 * want to be seen by the control tool use it.  Xen answers the hypercall
 * with -ENOSYS, so a guest can tell where it runs.
 *
 *   long belfry_op(unsigned int cmd, void *arg);
 *
 * number __HYPERVISOR_arch_7 (55); cmd in %rdi, arg in %rsi.
 *
 * Every argument structure starts with `size` and `version`.  The caller
 * sets size = sizeof(struct), version = BELFRY_ABI_VERSION.  A size smaller
 * than the hypervisor's is refused with -EINVAL; a larger one must be zero
 * beyond what the hypervisor knows, else -E2BIG; another version is
 * -EPROTO.  So old callers fail loudly and new fields can be added at the
 * end.  Reserved fields must be zero.
 *
 * Errors common to all: -EFAULT arg not accessible; -EPERM not the initial
 * domain (marked [I] below); -ENOSYS unknown cmd; -ESRCH no such domain.
 * "Domain" arguments carry a generation: 0 means whichever lives under the
 * id now, another value must match, else -ESRCH.
 *
 * Times are in nanoseconds of system time (as in vcpu_time_info), since
 * boot.  A time of 0 means never.
 */
#ifndef BELFRY_ABI_H
#define BELFRY_ABI_H

#include <stdint.h>

#include <xen/xen.h>

#define __HYPERVISOR_belfry_op    __HYPERVISOR_arch_7
#define __HYPERVISOR_belfry_call  __HYPERVISOR_arch_5
#define __HYPERVISOR_belfry_serve __HYPERVISOR_arch_6

#define BELFRY_ABI_VERSION 1u
#define BELFRY_NAME_SIZE   32u

/* Virtual interrupts of Belfry.  All global, the first two for the initial
 * domain. */
#define VIRQ_BELFRY_SERIAL VIRQ_ARCH_0 /* bytes have arrived on COM2 */
#define VIRQ_BELFRY_LOG    VIRQ_ARCH_1 /* the hypervisor's log has grown */
#define VIRQ_BELFRY_GRANT  VIRQ_ARCH_2 /* see BELFRYOP_revoke */
/* VIRQ_DOM_EXC: some domain was created, or changed state. */

#define BELFRYOP_version        0  /* anyone */
#define BELFRYOP_list           1  /* [I] */
#define BELFRYOP_create         2  /* [I] */
#define BELFRYOP_control        3  /* [I] pause, destroy, restart, pin ... */
#define BELFRYOP_peek           4  /* [I] */
#define BELFRYOP_audit          5  /* anyone: a test guest may be alone */
#define BELFRYOP_channels       6  /* [I] */
#define BELFRYOP_grants         7  /* [I] */
#define BELFRYOP_refused        8  /* [I] */
#define BELFRYOP_log            9  /* [I] */
#define BELFRYOP_serial         10 /* [I] */
#define BELFRYOP_register_rings 11 /* anyone, for itself */
#define BELFRYOP_modules        12 /* [I] */
#define BELFRYOP_machine        13 /* [I] */
#define BELFRYOP_vcpus          14 /* [I] */
#define BELFRYOP_port           18 /* anyone, for its own ports */
#define BELFRYOP_inject         19 /* [I] */
#define BELFRYOP_step           20 /* anyone; counts while it is injected */
#define BELFRYOP_revoke         21 /* anyone, its own grants */
#define BELFRYOP_revoked        22 /* anyone, its own grants */
#define BELFRYOP_notices        23 /* anyone, its own mappings */

/*
 * BELFRYOP_version: what the hypervisor is.  The one call whose version
 * field is not checked, so that a mismatch can be reported well.
 */
#define BELFRY_CAP_COUNTERS (1u << 0) /* per-channel counters and stamps */
#define BELFRY_CAP_AUDIT    (1u << 1)
#define BELFRY_CAP_REFUSED  (1u << 2)
#define BELFRY_CAP_RINGS    (1u << 3) /* rings can be registered */
#define BELFRY_CAP_MANAGE   (1u << 4) /* create, pause, destroy, restart */
#define BELFRY_CAP_CALLS    (1u << 5) /* call, serve, and their lending */
#define BELFRY_CAP_NOTICE   (1u << 6) /* the peer's end is an event */
#define BELFRY_CAP_CREDITS  (1u << 7) /* notifications can be limited */
#define BELFRY_CAP_REVOKE   (1u << 8) /* grants can be taken back in time */
#define BELFRY_CAP_INJECT   (1u << 9) /* deterministic kills */

struct belfry_version {
    uint32_t size, version; /* IN;  OUT version: the hypervisor's */
    uint32_t capabilities;  /* OUT BELFRY_CAP_* */
    uint32_t reserved;
    uint64_t generation; /* OUT the caller's own, never used again */
    char name[BELFRY_NAME_SIZE]; /* OUT the caller's own name */
    char text[64];               /* OUT e.g. "Belfry 0.1" */
};

/* BELFRYOP_list: the domains with id >= first, in order of id. */
#define BELFRY_STATE_RUNNING  0u /* alive; its vCPUs run or block */
#define BELFRY_STATE_PAUSED   1u /* alive, not scheduled */
#define BELFRY_STATE_SHUTDOWN 2u /* ended by itself or crashed; see reason */
#define BELFRY_STATE_DYING    3u /* being destroyed */

/* Reasons of the end: Xen's SHUTDOWN_* (0 poweroff, 1 reboot, 2 suspend,
 * 3 crash, 4 watchdog), and: */
#define BELFRY_REASON_NONE      0xffu /* still alive */
#define BELFRY_REASON_DESTROYED 0xfeu

struct belfry_domain {
    uint16_t id;
    uint8_t state;  /* BELFRY_STATE_* */
    uint8_t reason; /* BELFRY_REASON_* or SHUTDOWN_* */
    uint32_t nr_vcpus;
    uint64_t generation;
    char name[BELFRY_NAME_SIZE];
    uint64_t pages, max_pages;
    uint64_t created, ended; /* times */
    uint64_t cpu_time;       /* ns its vCPUs have run */
    uint64_t hypercalls, refused;
    uint64_t events_sent, events_received; /* over all ports, ever */
    uint64_t page_faults_injected;
    uint32_t priority;
    uint32_t console_port, store_port; /* its own ports, 0: none */
    uint32_t grants_active;            /* grants of it that peers map now */
    uint64_t rings_frame; /* machine frame registered, 0: none */
    /* Set when reason is SHUTDOWN_crash and the hypervisor saw why. */
    uint32_t crash_vector; /* 0xffffffff: none */
    uint32_t crash_error;
    uint64_t crash_rip, crash_cr2;
    char crash_symbol[64]; /* "handle_request+0x1c", "" unknown */
    char crash_text[96];   /* a sentence: what was wrong */
};

struct belfry_list {
    uint32_t size, version;
    uint32_t first;                          /* IN */
    uint32_t count;                          /* IN room; OUT filled */
    struct belfry_domain *domains;           /* IN where */
    uint32_t item_size;                      /* IN sizeof(struct belfry_domain) */
    uint32_t reserved;
};

/*
 * BELFRYOP_create: build a domain from the module whose line has this name.
 *
 * -ENOENT no such module; -EEXIST a domain of that name lives; -ENOMEM;
 * -ENOEXEC not a Xen PV64 ELF; -EINVAL its line is wrong.  `text` says more
 * in a sentence, for a person.  The domain is paused; unpause it when its
 * store entries stand.
 */
struct belfry_create {
    uint32_t size, version;
    char name[BELFRY_NAME_SIZE]; /* IN */
    uint64_t generation;         /* OUT */
    uint32_t id;                 /* OUT */
    uint32_t reserved;
    char text[96]; /* OUT, also when it fails */
};

/*
 * BELFRYOP_control.  -EINVAL an unknown action or the initial domain itself;
 * -EBUSY destroy goes on, call again (the call restarts by itself as a rule).
 *
 * pause and unpause nest as a count.  destroy ends the domain at once and
 * returns when every page has come back, or -EBUSY-free as a zombie if a
 * live peer still maps a page (it is then listed as DYING until released).
 * restart is destroy, then create from the same module: the OUT fields are
 * those of the new domain, which is paused.  pin says where all vCPUs of the
 * domain may run from now on, as cpus= does: a bit a CPU, at least one of them
 * in this machine, else -EINVAL; on return none runs elsewhere.
 */
#define BELFRY_CONTROL_PAUSE   0u
#define BELFRY_CONTROL_UNPAUSE 1u
#define BELFRY_CONTROL_DESTROY 2u
#define BELFRY_CONTROL_RESTART 3u
#define BELFRY_CONTROL_PIN     4u

struct belfry_control {
    uint32_t size, version;
    uint32_t action;
    uint32_t id;         /* IN; OUT after restart */
    uint64_t generation; /* IN 0 or a match; OUT after restart */
    char text[96];       /* OUT what failed */
    uint64_t cpus;       /* IN of pin */
};

/*
 * BELFRYOP_peek: copy from a domain's memory without mapping it.  frame is a
 * machine frame that the domain owns, else -EPERM; offset + length <= 4096,
 * else -EINVAL.
 */
struct belfry_peek {
    uint32_t size, version;
    uint32_t id;
    uint32_t offset, length;
    uint32_t reserved;
    uint64_t generation;
    uint64_t frame;
    void *buffer;
};

/*
 * BELFRYOP_audit: recount every frame's owner, references and types, every
 * grant and every port from scratch, and compare with the stored counts.
 * Each difference is also a line in the hypervisor's log.
 */
struct belfry_audit {
    uint32_t size, version;
    uint64_t frames, page_tables, grants, ports; /* OUT looked at */
    uint64_t differences;                        /* OUT must be 0 */
    char first[128]; /* OUT the first difference, "" if none */
};

/* BELFRYOP_channels: ports of one domain, free ones left out. */
#define BELFRY_PORT_UNBOUND     1u /* waits for remote to bind */
#define BELFRY_PORT_INTERDOMAIN 2u
#define BELFRY_PORT_VIRQ        3u
#define BELFRY_PORT_IPI         4u
#define BELFRY_PORT_GONE        5u /* interdomain, and the peer is dead */

struct belfry_channel {
    uint32_t port;
    uint32_t state;       /* BELFRY_PORT_* */
    uint32_t remote_id;   /* unbound: who may bind; interdomain: the peer */
    uint32_t remote_port; /* interdomain */
    uint64_t remote_generation;
    uint32_t virq;
    uint32_t vcpu;          /* the vCPU that is notified */
    uint8_t pending, masked; /* bits of this port, now */
    uint8_t selector;       /* the pending word's selector bit */
    uint8_t upcall_pending, upcall_masked; /* of that vCPU */
    uint8_t vcpu_state;                    /* BELFRY_VCPU_* */
    uint8_t polled;                        /* a vCPU polls this port now */
    uint8_t options;                       /* BELFRY_PORT_NOTICE ... */
    uint64_t sent;      /* notifications raised on this port by the peer (or
                           the hypervisor: virq, ipi) */
    uint64_t delivered; /* of these: pending went 0 to 1 and an upcall or a
                           poll was raised for it, at once or at unmask */
    uint64_t coalesced; /* of these: found pending already set */
    uint64_t dropped;   /* sends from this end that nobody could receive */
    uint64_t last_sent, last_delivered; /* times */
    uint64_t pending_since; /* time pending went 0 to 1; 0 if not pending */
    uint64_t vcpu_state_since;          /* time */
    uint64_t vcpu_rip; /* of the notified vCPU when last in the hypervisor */
    char vcpu_symbol[48];
    uint64_t throttled; /* of `sent`: held back for want of a credit */
};

struct belfry_channels {
    uint32_t size, version;
    uint32_t id;
    uint32_t first; /* IN first port to look at */
    uint32_t count; /* IN room; OUT filled */
    uint32_t item_size;
    uint64_t generation;
    struct belfry_channel *channels;
};

/* BELFRYOP_grants: entries of one domain's table that permit something or
 * are mapped. */
struct belfry_grant {
    uint32_t ref;
    uint32_t peer; /* who may map it */
    uint64_t frame; /* machine frame while mapped, else the entry's number */
    uint16_t flags; /* GTF_* as the table shows them now */
    uint16_t reserved;
    uint32_t maps_ro, maps_rw; /* live mappings by the peer */
    uint32_t revoking; /* 1: it is being revoked */
    uint64_t since; /* time of the first live mapping, 0: not mapped */
};

struct belfry_grants {
    uint32_t size, version;
    uint32_t id;
    uint32_t first; /* IN first reference to look at */
    uint32_t count; /* IN room; OUT filled */
    uint32_t item_size;
    uint64_t generation;
    struct belfry_grant *grants;
    uint32_t nr_frames, max_frames; /* OUT size of its table */
    uint32_t maptrack, max_maptrack; /* OUT mappings it holds of others */
};

/* BELFRYOP_refused: the last refused hypercalls of all domains, oldest
 * first; the hypervisor keeps BELFRY_REFUSED_KEPT a domain. */
#define BELFRY_REFUSED_KEPT 32u

struct belfry_refusal {
    uint64_t time;
    uint64_t sequence; /* over the machine, from 1 */
    uint32_t id;
    int32_t error; /* -Exxx, or a GNTST_* status */
    uint64_t generation;
    char call[32];     /* "mmu_update", "grant_table_op/map" */
    uint64_t argument; /* the first argument that matters */
    uint64_t rip;
    char symbol[48];
    char reason[96]; /* "" where the error says it all */
};

struct belfry_refused {
    uint32_t size, version;
    uint64_t after; /* IN only those with a greater sequence */
    uint32_t count; /* IN room; OUT filled */
    uint32_t item_size;
    struct belfry_refusal *refusals;
};

/*
 * BELFRYOP_log: the hypervisor's own lines.  position counts bytes since
 * boot; a reader starts at 0 and passes back what it got.  Bytes that the
 * log has already overwritten are skipped.
 */
struct belfry_log {
    uint32_t size, version;
    uint64_t position; /* IN from where; OUT where to go on */
    uint32_t length;   /* IN room; OUT bytes copied */
    uint32_t reserved;
    char *buffer;
};

/*
 * BELFRYOP_serial: bytes of COM2.  First up to write_length bytes are taken
 * (OUT: how many were), then up to read_length are given.  VIRQ_BELFRY_SERIAL
 * fires when bytes arrive and when a full transmit buffer has room again.
 */
struct belfry_serial {
    uint32_t size, version;
    const char *write_buffer;
    char *read_buffer;
    uint32_t write_length, read_length; /* IN; OUT */
    uint32_t lost; /* OUT bytes lost on receive, since boot */
    uint32_t reserved;
};

/*
 * BELFRYOP_register_rings: show the control tool this domain's rings.
 *
 * frame is the machine frame of one of the caller's own pages, which it
 * lays out as struct belfry_rings and keeps up to date; 0 withdraws it.
 * The hypervisor keeps a reference on the page until then, but never reads
 * it.  -EINVAL: not a frame of the caller.
 */
struct belfry_register_rings {
    uint32_t size, version;
    uint64_t frame;
};

/*
 * The statistics page.  [GST] all of it is the guest's; a reader trusts
 * nothing in it.  `in_use` is set last and cleared first.
 */
#define BELFRY_RING_FRONT 0u
#define BELFRY_RING_BACK  1u
#define BELFRY_RINGS_MAX  31u

struct belfry_ring {          /* 128 bytes */
    char protocol[16];        /* "blkif", "" in a free slot */
    char name[16];            /* "xvda" */
    uint32_t in_use;
    uint32_t port;            /* the local event channel */
    uint64_t frame;           /* machine frame of the first ring page; on the
                                 back side 0: find it through the peer */
    uint32_t side;            /* BELFRY_RING_* */
    uint32_t slots;
    uint32_t private_prod;    /* front: requests made; back: responses */
    uint32_t private_cons;    /* front: responses eaten; back: requests */
    uint32_t in_flight;       /* requests without a response */
    uint32_t full;            /* times the ring was found full */
    uint64_t oldest;          /* system time of the oldest in flight */
    uint32_t notified;        /* bells rung */
    uint32_t suppressed;      /* bells saved by the event index */
    uint32_t prod_at_notify;  /* private_prod when the bell was last rung */
    uint32_t fault;           /* sticky (rings/fault.h), 0: none */
    uint32_t req_prod, req_event, rsp_prod, rsp_event; /* last seen */
    uint32_t version, features; /* of the protocol, as this side speaks it */
    uint32_t reserved[2];
};

struct belfry_rings {
    uint32_t magic; /* BELFRY_RINGS_MAGIC */
    uint32_t count; /* slots ever used */
    uint32_t reserved[30];
    struct belfry_ring ring[BELFRY_RINGS_MAX];
};
#define BELFRY_RINGS_MAGIC 0x676e6952u /* "Ring" */

/* BELFRYOP_modules: the lines of grub.cfg, ramdisks left out. */
struct belfry_module {
    char line[1024]; /* as GRUB passed it (lib/args.h reads it) */
    uint64_t image_size, ramdisk_size;
};

struct belfry_modules {
    uint32_t size, version;
    uint32_t first, count; /* IN; OUT filled */
    uint32_t item_size;
    uint32_t reserved;
    struct belfry_module *modules;
};

/* BELFRYOP_machine: totals.  free_pages is exact: a test can compare. */
struct belfry_machine {
    uint32_t size, version;
    uint32_t nr_cpus;
    uint32_t nr_domains;
    uint64_t total_pages, free_pages;
    uint64_t cpu_khz;
    uint64_t now;        /* system time */
    uint64_t idle_time;  /* ns, all CPUs */
    uint64_t context_switches, interrupts, hypercalls;
    uint64_t boot_tsc; /* TSC when the hypervisor's first C line ran */
    char run_args[256]; /* text of -fw_cfg opt/belfry/args, or "" */
};

/* BELFRYOP_vcpus: of one domain. */
#define BELFRY_VCPU_RUNNING  0u
#define BELFRY_VCPU_RUNNABLE 1u
#define BELFRY_VCPU_PAUSED   2u
#define BELFRY_VCPU_OFFLINE  3u
#define BELFRY_VCPU_BLOCKED  4u /* from here on: asleep, until woken */
#define BELFRY_VCPU_SERVING  5u /* in belfry_serve */
#define BELFRY_VCPU_CALLING  6u /* in belfry_call */

struct belfry_vcpu {
    uint32_t vcpu;
    uint32_t cpu;   /* where it runs or last ran */
    uint32_t state; /* BELFRY_VCPU_* */
    uint8_t upcall_pending, upcall_masked;
    uint8_t reserved[2];
    uint32_t priority, lent_priority;
    uint64_t since, cpu_time;
    uint64_t rip;
    char symbol[48];
    uint64_t cpus; /* where it may run: a bit a CPU of this machine */
    uint64_t budget, period; /* ns of each period at its priority; 0: all */
    uint64_t budget_left;    /* ns, as last charged; 0: it runs at priority 0 */
};

struct belfry_vcpus {
    uint32_t size, version;
    uint32_t id;
    uint32_t count; /* IN room; OUT filled, from vCPU 0 */
    uint32_t item_size;
    uint32_t reserved;
    uint64_t generation;
    struct belfry_vcpu *vcpus;
};

/*
 * Calls: a send and a wait in one.
 *
 *   long belfry_call(uint32_t port, uint64_t deadline);
 *   long belfry_serve(uint32_t port, uint64_t deadline);
 *
 * numbers __HYPERVISOR_arch_5 and 6 (53, 54); port in %edi, deadline in %rsi.
 * Besides what any hypercall loses, %rdx and %r8 to %r10 are lost.
 * They move no data and are no third kind of object: whoever has no use for them sends and
 * polls, and sees the same rings (rings/call.h does so on Xen).
 *
 * call takes back a ring of @port that nobody has looked at (it can only be
 * a late answer), rings @port, then sleeps until @port is rung.  Until then the caller
 * lends the vCPU that its peer's end notifies its priority, if that is the
 * larger one, and its time: what that vCPU uses up is the caller's.  A vCPU
 * that lends on passes on what it has been lent.  If the other vCPU sleeps in
 * serve on this CPU, it runs at once, on the rest of the caller's turn.
 *
 * serve rings @port unless it is 0, and gives back what the vCPU that calls
 * on that channel has lent, then sleeps until one of its ports that is not
 * masked rings.  If that caller sleeps on this CPU, it runs at once, unless
 * somebody of a higher priority than the caller's waits.
 *
 * A ring that is handed over in this way does not show in the pending bits:
 * serve returns its port, call returns 1.  Else they return 0: look there,
 * as after SCHEDOP_poll.  Both also end, with 0, for an upcall that is due
 * (call), or pending, even where the vCPU masks upcalls (serve), and when the
 * deadline comes, or now and then for no reason.  No ring is lost: one that
 * comes before the sleep ends it at once.
 *
 * @deadline is a system time, 0: none; one that is past lets nobody wait.
 *
 * Without BELFRY_PORT_NOTICE a caller does not hear of its peer's end.
 *
 *   -EINVAL    @port is not open, or has no peer that could be rung
 *   -EPIPE     the peer is gone (call); see BELFRYOP_port
 *   -EDEADLK   the peer waits, perhaps through others, for this very vCPU;
 *              `belfry refused` names the ring of domains (call)
 */

/*
 * BELFRYOP_port: what a port is to do, and how its peer is.
 *
 * First what `set` names is changed, all of it or nothing, then all OUT fields
 * are filled in; so set == 0 only looks.  -EINVAL: no open port of the caller,
 * or an unknown bit.
 *
 * BELFRY_PORT_NOTICE: the end of the peer is an event.  When the peer closes
 * its end, shuts down, crashes or is destroyed the port rings, and from then
 * on a send on it is -EPIPE instead of vanishing.  It rings once more when
 * the peer's domain has been built anew.  If the peer is gone already it
 * rings at once.  Without it all is as on Xen.
 *
 * Credits: at most `credits` rings of this port in a row are delivered as
 * they come, and one more each `interval` ns after; what is not used comes
 * back at that rate.  Those beyond are held back and delivered as one when
 * there is a credit again: late, never lost.  When the limit is changed or the
 * peer leaves, that is at once.  0 credits: no limit.  The first of a row that
 * is held back is a line in the hypervisor's log; the row ends when all
 * credits have been there for a second.
 *
 *   -EINVAL    a VIRQ or an IPI; an interval of 0, or one so long that all
 *              credits would take more than 2^62 ns
 *   -ENOSPC    BELFRY_LIMITS ports of the domain have limits already
 *   -ENOMEM
 */
#define BELFRY_PORT_NOTICE (1u << 0) /* in options */

#define BELFRY_PORT_SET_OPTIONS (1u << 0) /* in set */
#define BELFRY_PORT_SET_CREDITS (1u << 1)

#define BELFRY_LIMITS 48u

#define BELFRY_PEER_NONE      0u /* nobody was ever bound */
#define BELFRY_PEER_ALIVE     1u
#define BELFRY_PEER_CLOSED    2u /* it lives, and has closed its end */
#define BELFRY_PEER_SHUTDOWN  3u /* it ended itself: see peer_reason */
#define BELFRY_PEER_CRASHED   4u
#define BELFRY_PEER_DESTROYED 5u

struct belfry_port {
    uint32_t size, version;
    uint32_t port;     /* IN */
    uint32_t set;      /* IN BELFRY_PORT_SET_* */
    uint32_t options;  /* IN, OUT BELFRY_PORT_* */
    uint32_t credits;  /* IN, OUT */
    uint64_t interval; /* IN, OUT ns; of a limit, not 0 */
    uint64_t throttled; /* OUT rings that were held back, ever */
    /* The peer: OUT, all of it. */
    uint32_t peer;       /* its domain's id */
    uint32_t peer_state; /* BELFRY_PEER_* */
    uint64_t peer_generation;
    uint32_t peer_reason; /* SHUTDOWN_* of one that shut down */
    uint32_t peer_vector; /* exception of a crash, 0xffffffff: none */
    uint64_t peer_rip;    /* of a crash, 0: none */
    uint64_t successor_generation; /* built anew since: 0 if not */
    uint32_t successor;            /* its id */
    /* What a time-out can be laid to, while the peer lives. */
    uint32_t peer_vcpu_state; /* BELFRY_VCPU_* of the vCPU that is notified */
    uint64_t peer_vcpu_since; /* time it came into that state: until then at
                                 the latest it has run */
    uint8_t peer_pending, peer_masked; /* of the peer's end, now */
    uint8_t upcall_pending, upcall_masked; /* of that vCPU */
    uint32_t cpu_runs; /* the domain that its CPU runs now; ~0 nobody */
};

/*
 * BELFRYOP_inject: end a domain at an exact step of its life.
 *
 * A step is the entry of a hypercall, its return, or a BELFRYOP_step; the
 * steps of all its vCPUs count, from this call on.  Before step number
 * `kill_at` (from 0) the domain crashes, with the reason "killed by the
 * injector before step N".  BELFRY_INJECT_NEVER only counts.  OUT `steps`:
 * those since the last inject of the domain.  -EINVAL: the initial domain.
 *
 *   long belfry_op(BELFRYOP_step, uint64_t point);
 *
 * does nothing and returns 0.  Programs under test put it where they want
 * to be killed; without inject it counts nothing either.
 */
#define BELFRY_INJECT_NEVER 0xffffffffffffffffull

struct belfry_inject {
    uint32_t size, version;
    uint32_t id;         /* IN */
    uint32_t reserved;
    uint64_t generation; /* IN 0 or a match */
    uint64_t kill_at;    /* IN */
    uint64_t steps;      /* OUT */
};

/*
 * BELFRYOP_revoke: take a grant back, whether the peer likes it or not.
 *
 * From now on entry @ref permits nothing: no mapping and no copy of it begins.
 * If the peer maps it, VIRQ_BELFRY_GRANT tells it (BELFRYOP_notices), and it
 * has until @deadline to unmap.  What it maps even then is taken from it: its
 * entry becomes not present, its next access there is a page fault, and it is
 * told once more.  Of a peer that no longer runs it is taken at once, within
 * the call but for what takes long.
 * VIRQ_BELFRY_GRANT tells the caller when the frame is its own alone again
 * (BELFRYOP_revoked); its entry shows neither GTF_reading nor GTF_writing
 * from then on.
 *
 * @deadline is a system time; one that is past, or 0, gives no time at all.
 * To revoke again what is being revoked can only put the deadline off, of
 * which the peer is not told, or, if it no longer runs, end it.  The peer's
 * handle is used for nothing else until it unmaps it, which it may
 * (GNTST_okay): then nothing is left of the mapping.
 *
 *   -EINVAL    the table has no such entry
 *   -ENOSPC    BELFRY_REVOCATIONS of the domain are under way, or have ended
 *              and were not asked about
 *   -ENOMEM
 */
#define BELFRY_REVOCATIONS 128u

#define BELFRY_REVOKE_UNUSED   0u /* nobody mapped it: nothing to wait for */
#define BELFRY_REVOKE_PENDING  1u /* the peer still maps it */
#define BELFRY_REVOKE_RELEASED 2u /* the peer has unmapped it, or is gone */
#define BELFRY_REVOKE_TAKEN    3u /* it was taken from the peer */

struct belfry_revoke {
    uint32_t size, version;
    uint32_t ref;      /* IN */
    uint32_t state;    /* OUT BELFRY_REVOKE_UNUSED or _PENDING */
    uint64_t deadline; /* IN */
};

/* BELFRYOP_revoked: the caller's revocations that have ended.  Each is told
 * once. */
struct belfry_revocation {
    uint32_t ref;
    uint32_t peer; /* who mapped it */
    uint64_t peer_generation;
    uint32_t state; /* BELFRY_REVOKE_RELEASED or _TAKEN */
    uint32_t reserved;
    uint64_t ended; /* time */
};

struct belfry_revoked {
    uint32_t size, version;
    uint32_t count; /* IN room; OUT filled */
    uint32_t item_size;
    struct belfry_revocation *revocations;
};

/* BELFRYOP_notices: the caller's mappings that are being revoked, and those
 * taken from it that it has not unmapped.  A call looks at a part of all:
 * begin with next = 0, and go on until next is 0 again. */
struct belfry_notice {
    uint32_t handle;
    uint32_t ref;
    uint32_t granter;
    uint32_t state; /* BELFRY_REVOKE_PENDING or _TAKEN */
    uint64_t granter_generation;
    uint64_t deadline; /* of one that is pending */
};

struct belfry_notices {
    uint32_t size, version;
    uint32_t next;  /* IN, OUT */
    uint32_t count; /* IN room; OUT filled */
    uint32_t item_size;
    uint32_t reserved;
    struct belfry_notice *notices;
};

_Static_assert(sizeof(struct belfry_ring) == 128, "layout");
_Static_assert(sizeof(struct belfry_rings) == 4096, "one page");
_Static_assert(sizeof(struct belfry_version) == 120, "layout");
_Static_assert(sizeof(struct belfry_port) == 104, "layout");

#endif
