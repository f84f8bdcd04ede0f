/*
 * The hypervisor's address space.  Xen's ABI reserves the L4 slots 256-271;
 * they are the same in every guest L4 and static after boot, but for 260.
 *
 *   256  M2P          frame -> guest's frame number; the guest may read it
 *   258  fixed maps   local APIC, I/O APIC, HPET-free by design
 *   260  per domain   each vCPU's GDT and LDT (2 MiB a vCPU)
 *   261  image        and, 1 GiB above it, the CPUs' stacks
 *   262- direct map   of all physical memory
 *
 * Plain numbers only: the assembler and the linker script read this too.
 */
#ifndef X86_LAYOUT_H
#define X86_LAYOUT_H

#define HV_START        0xffff800000000000
#define HV_END          0xffff880000000000
#define M2P_BASE        0xffff800000000000
#define FIXMAP_BASE     0xffff810000000000
#define PERDOMAIN_BASE  0xffff820000000000
#define IMAGE_BASE      0xffff828000000000
#define STACKS_BASE     0xffff828040000000
#define DIRECTMAP_BASE  0xffff830000000000

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096
#define MAX_CPUS   32
#define MAX_VCPUS  32

/* Machine address of the page where other CPUs start, below 1 MiB. */
#define AP_TRAMPOLINE 0x8000

/* One block a CPU, aligned to its size: the CPU is found by masking rsp.
 * Pages 0, 2, 4, 6 and 8 are guards; 1 #DF, 3 #MC, 5 NMI, 7 #DB; 9-15 the
 * main stack with struct cpu at its top. */
#define STACK_BLOCK_SIZE  0x10000

/* Each vCPU's part of the per-domain area, an L1 table of its own: 16 pages of
 * GDT, 16 of LDT. */
#define PERDOMAIN_VCPU_SHIFT 21

#endif
