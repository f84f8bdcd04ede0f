; From GRUB to C: 32-bit protected mode without paging -> long mode in the
; upper half.  The tables made here live until paging.c has made the final
; ones: the first 4 GiB at 0 (to go on running), at IMAGE_BASE and at
; DIRECTMAP_BASE, all from one table.

%include "asm_offsets.inc"

MB2_MAGIC       equ 0xe85250d6

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

unfit:  hlt
        jmp     unfit

;   in  eax = multiboot2's magic, ebx = its information structure
global boot_start
boot_start:
        cli
        cld
        cmp     eax, 0x36d76289
        jne     unfit
        mov     esi, ebx

        mov     eax, 0x80000001         ; long mode and NX, or nothing
        cpuid
        and     edx, (1 << 29) | (1 << 20)
        cmp     edx, (1 << 29) | (1 << 20)
        jne     unfit

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

        lgdt    [gdt_ptr]

; Every CPU, in protected mode.
;
;   in  esi = the information structure on the boot CPU, 0 on others
enter_long_mode:
        mov     eax, 1 << 5             ; PAE
        mov     cr4, eax
        mov     eax, boot_tables_phys
        mov     cr3, eax
        mov     ecx, 0xc0000080         ; EFER: LME, NXE, SCE
        rdmsr
        or      eax, (1 << 8) | (1 << 11) | 1
        wrmsr
        mov     eax, 0x80010033         ; PG, WP, NE, ET, MP, PE; caches on
        mov     cr0, eax
        jmp     8:long_mode

bits 64
long_mode:
        xor     eax, eax
        mov     ds, eax
        mov     es, eax
        mov     ss, eax
        mov     fs, eax
        mov     gs, eax
        mov     rax, ap_upper_half
        test    esi, esi
        jz      .go
        mov     rax, IMAGE_BASE
        lea     rsp, [rax + boot_stack_phys - 8] ; as if it were called
        mov     edi, esi
        mov     rax, boot_main
.go:    jmp     rax

section .boot.data progbits alloc noexec write align=8
gdt:    dq      0, 0x00af9a000000ffff, 0x00cf9a000000ffff
gdt_ptr:
        dw      gdt_ptr - gdt - 1
        dd      gdt

section .text
extern boot_main

; void switch_stack(uint64_t rsp, void (*fn)(void)): go on in fn, for good.
global switch_stack
switch_stack:
        mov     rsp, rdi
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
; CPU in real mode.  Goes the way of the boot CPU to the upper half, and there
; to the final tables and to the stack that ap_stack names.

section .rodata
global ap_trampoline, ap_trampoline_end
align 16
bits 16
ap_trampoline:
        cli
        xor     esi, esi
        mov     ds, si
        o32 lgdt [AP_TRAMPOLINE + .gdt_ptr - ap_trampoline]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        jmp     dword 16:enter_long_mode
.gdt_ptr:
        dw      gdt_ptr - gdt - 1
        dd      gdt
ap_trampoline_end:

section .text
bits 64
extern ap_cr3, smp_cpu_main
ap_upper_half:
        mov     rax, [rel ap_cr3]
        mov     cr3, rax
        mov     rsp, [rel ap_stack]
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
