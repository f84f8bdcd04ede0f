; From GRUB to C: 32-bit protected mode without paging -> long mode in the
; upper half.  The tables made here live until paging.c has made the final
; ones: the first 4 GiB at 0 (to go on running), at IMAGE_BASE and at
; DIRECTMAP_BASE, all from one table.

%include "asm_offsets.inc"

MB2_MAGIC       equ 0xe85250d6

%macro LONG_MODE_ENABLE 0
        mov     ecx, 0xc0000080         ; EFER: LME, NXE, SCE
        rdmsr
        or      eax, (1 << 8) | (1 << 11) | 1
        wrmsr
%endmacro

%macro NULL_SEGMENTS 0
        xor     eax, eax
        mov     ds, eax
        mov     es, eax
        mov     ss, eax
        mov     fs, eax
        mov     gs, eax
%endmacro

section .multiboot progbits alloc noexec nowrite align=8
header: dd      MB2_MAGIC, 0, header_end - header
        dd      -(MB2_MAGIC + (header_end - header))
        dw      6, 0                    ; modules on page boundaries
        dd      8
        dw      0, 0                    ; end of tags
        dd      8
header_end:

section .boot progbits alloc exec write align=16
bits 32

extern boot_tables_phys, boot_stack_phys

;   in  eax = multiboot2's magic, ebx = its information structure
global boot_start
boot_start:
        cli
        cld
        cmp     eax, 0x36d76289
        jne     .stop
        mov     esi, ebx

        mov     eax, 0x80000001         ; long mode and NX, or nothing
        cpuid
        and     edx, (1 << 29) | (1 << 20)
        cmp     edx, (1 << 29) | (1 << 20)
        jne     .stop

        ; boot_tables: L4, L3, four L2s.
        mov     edi, boot_tables_phys
        lea     eax, [edi + 0x1000 + 3]
        mov     [edi], eax
        mov     [edi + 8 * BOOT_SLOT_IMAGE], eax
        mov     [edi + 8 * BOOT_SLOT_DIRECTMAP], eax
        lea     eax, [edi + 0x2000 + 3]
        lea     edx, [edi + 0x1000]
        mov     ecx, 4
.l3:    mov     [edx], eax
        add     edx, 8
        add     eax, 0x1000
        loop    .l3
        lea     edx, [edi + 0x2000]
        mov     eax, 0x83               ; present, writable, 2 MiB
        mov     ecx, 4 * 512
.l2:    mov     [edx], eax
        add     edx, 8
        add     eax, 0x200000
        loop    .l2

        mov     cr3, edi
        mov     eax, cr4
        or      eax, 1 << 5             ; PAE
        mov     cr4, eax
        LONG_MODE_ENABLE
        mov     eax, cr0
        or      eax, (1 << 31) | (1 << 16) | 1
        and     eax, ~((1 << 2) | (1 << 3))     ; no EM, no TS
        mov     cr0, eax
        lgdt    [gdt_ptr]
        jmp     8:long_mode
.stop:  hlt
        jmp     .stop

bits 64
long_mode:
        NULL_SEGMENTS
        mov     rax, IMAGE_BASE
        lea     rsp, [rax + boot_stack_phys]
        mov     edi, esi
        xor     ebp, ebp
        mov     rax, boot_main
        call    rax
        ud2

section .boot.data progbits alloc noexec write align=8
gdt:    dq      0, 0x00af9a000000ffff
gdt_ptr:
        dw      $ - gdt - 1
        dd      gdt

section .text
extern boot_main

; void switch_stack(uint64_t rsp, void (*fn)(void)): go on in fn, for good.
global switch_stack
switch_stack:
        mov     rsp, rdi
        xor     ebp, ebp
        call    rsi
        ud2

; void load_hv_selectors(void): CS and SS of the GDT that is loaded now.
global load_hv_selectors
load_hv_selectors:
        mov     eax, HV_SS
        mov     ss, eax
        pop     rax
        push    HV_CS
        push    rax
        retfq

; ---- Other CPUs --------------------------------------------------------------
;
; Copied to AP_TRAMPOLINE, a page below 1 MiB, where the start-up IPI sends a
; CPU in real mode.  Goes by the boot tables to the upper half, and from there
; to the final ones and to the stack that ap_stack names.

%define AT(label) (AP_TRAMPOLINE + (label) - ap_trampoline)

section .rodata
global ap_trampoline, ap_trampoline_end
align 16
bits 16
ap_trampoline:
        cli
        xor     ax, ax
        mov     ds, ax
        lgdt    [AT(.gdt_ptr)]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        jmp     dword 8:AT(.protected)
bits 32
.protected:
        mov     ax, 16
        mov     ds, ax
        mov     eax, 1 << 5             ; PAE
        mov     cr4, eax
        mov     eax, boot_tables_phys
        mov     cr3, eax
        LONG_MODE_ENABLE
        mov     eax, 0x80010033         ; PG, WP, NE, ET, MP, PE; caches on
        mov     cr0, eax
        jmp     24:AT(.long)
bits 64
.long:  mov     rax, ap_upper_half
        jmp     rax

align 8
.gdt:   dq      0, 0x00cf9a000000ffff, 0x00cf92000000ffff, 0x00af9a000000ffff
.gdt_ptr:
        dw      .gdt_ptr - .gdt - 1
        dd      AT(.gdt)
ap_trampoline_end:

section .text
extern ap_cr3, smp_cpu_main
ap_upper_half:
        mov     rax, [rel ap_cr3]
        mov     cr3, rax
        mov     rsp, [rel ap_stack]
        NULL_SEGMENTS
        xor     ebp, ebp
        call    smp_cpu_main
        ud2

section .data
global ap_stack
ap_stack:
        dq      0

section .bss.page_aligned nobits alloc noexec write align=4096
global boot_tables, boot_stack_end
boot_tables:
        resb    6 * 4096
        resb    16384
boot_stack_end:
