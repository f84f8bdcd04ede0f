/*
 * What the calls work on, by name: frames, windows to map at, ports, grant
 * references, handles, and pointers of every kind.
 *
 * world_reset() puts all of it into one and the same state, whatever the
 * calls before did, so each block of random calls stands for itself.
 *
 *   d0-d3  frames that are mapped writable
 *   t0-t3  frames that are mapped read-only, to be tables
 *   w0-w3  windows: pages of address space, each with a frame of its own
 *   w4-w7  the same, for mappings of grants alone: h0 is mapped at w4 ...
 *   r0-r3  frames that come and go with the reservation
 *   p0-p9  ports, as they were allocated; some are closed
 *   g0-g7  entries of the own grant table
 *   h0-h3  handles of mappings
 */
#ifndef CONFORMANCE_WORLD_H
#define CONFORMANCE_WORLD_H

#include "tests/conformance/transcript.h"
#include "tests/guest/tables.h"

#define NR_DATA    4u
#define NR_TABLES  4u
#define NR_WINDOWS 8u
#define GRANT_WINDOW 4u /* the first of those for grants */
#define NR_RESERVE 4u
#define NR_PORTS   10u
#define NR_REFS    8u
#define NR_HANDLES 4u
#define FIRST_REF  400u
#define NOBODY     1234u
#define FAR_AWAY   0x0000700000000000ull /* no page tables there */
#define HV_ADDRESS 0xffff830000000000ull
#define NO_FRAME   0x00ffffffffull

struct handle {
    grant_handle_t handle;
    uint64_t where, bus; /* 0: not mapped so */
    bool live;
};

extern struct world {
    uint64_t *data[NR_DATA], data_mfn[NR_DATA];
    uint64_t *table[NR_TABLES], table_mfn[NR_TABLES];
    char *window[NR_WINDOWS];
    uint64_t window_mfn[NR_WINDOWS], window_pte[NR_WINDOWS];
    uint64_t reserve_mfn[NR_RESERVE]; /* NO_FRAME: none, or given back */
    bool reserve_live[NR_RESERVE];
    uint64_t code; /* an address of the kernel's */
    char *hole; /* a page that is not mapped, after one that is */
    evtchn_port_t port[NR_PORTS], first_port;
    struct grant_entry_v1 *grants;
    uint64_t grants_mfn, l1_mfn, l4_mfn;
    struct handle handle[NR_HANDLES];
} world;

void world_init(void);
void world_reset(void);
/* Our own handlers of exceptions, again. */
void world_traps(void);
bool can_read(const void *p);
bool can_write(void *p);

/* ---- Choosers. ---- */
domid_t any_domid(const char *label);
uint32_t any_vcpu(const char *label);
evtchn_port_t any_port(const char *label);
uint32_t any_ref(const char *label);
struct handle *any_handle(const char *label);
uint64_t any_window(const char *label);
/* Frames that a call may name, but not write: all kinds. */
uint64_t any_frame(const char *label);
/* Frames that may be cleared: d, t, w, and some that must be refused. */
uint64_t any_target(const char *label);
/* Bits of an entry. */
uint64_t any_bits(const char *label);

/* The argument structure for a call, at a pointer of some kind: good, null,
 * in the hypervisor ... Chosen first, it makes the rest plain.  pass()
 * copies the structure there, fetch() back. */
void any_pointer(void);
void any_pointer_but_read_only(void);
void *pass(const void *arg, size_t size);
void fetch(void *arg, size_t size);
/* The same kinds, as a number. */
void *odd_pointer(const char *label);

/* A port that was opened goes into a slot; what was in it is closed. */
void keep_port(evtchn_port_t port);
/* A handle's slot is its window's: drop what is in it before mapping. */
void drop_handle(unsigned int slot);
void keep_handle(unsigned int slot, const struct handle *new);

/* Notes in the line: an entry, or any word of data that may be one, with its
 * frame by name; the pending bits. */
void note_entry(uint64_t entry);
void note_pending(void);

/* ---- The calls: what each file has. ---- */
struct call_kind {
    const char *name;
    void (*call)(void);
    unsigned int weight; /* at random: 0 never */
};
extern const struct call_kind event_calls[], grant_calls[], table_calls[],
    memory_calls[], machine_calls[];

#endif
