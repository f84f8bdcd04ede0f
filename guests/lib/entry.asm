; Where the hypervisor enters a guest: its start, its traps, its upcalls.
;
; The program runs with evtchn_upcall_mask set, always; only SCHEDOP_block
; clears it.  So an upcall lands at the end of a block, and never on top of
; another: whoever enters here finds no one else in here.

bits 64
default abs

extern stack_top
extern runtime_start
extern trap_taken

HYPERCALL_IRET equ 23                   ; __HYPERVISOR_iret
VIRT_BASE      equ 0x40000000           ; as in guest.lds

; ---- Notes to the domain builder. --------------------------------------

XEN_ELFNOTE_ENTRY          equ 1
XEN_ELFNOTE_HYPERCALL_PAGE equ 2
XEN_ELFNOTE_VIRT_BASE      equ 3
XEN_ELFNOTE_PADDR_OFFSET   equ 4
XEN_ELFNOTE_XEN_VERSION    equ 5
XEN_ELFNOTE_GUEST_OS       equ 6
XEN_ELFNOTE_GUEST_VERSION  equ 7
XEN_ELFNOTE_LOADER         equ 8
XEN_ELFNOTE_PAE_MODE       equ 9
XEN_ELFNOTE_FEATURES       equ 10

; %1 type, then the description as a string or, with `number`, 8 bytes.
%macro note_text 2
        dd      4, %%end - %%begin, %1
        db      "Xen", 0
%%begin: db     %2, 0
%%end:  align   4, db 0
%endmacro

%macro note_number 2
        dd      4, 8, %1
        db      "Xen", 0
        dq      %2
%endmacro

section .note.Xen note alloc noexec nowrite align=4
        note_text   XEN_ELFNOTE_GUEST_OS, "Belfry guest"
        note_text   XEN_ELFNOTE_GUEST_VERSION, "1"
        note_text   XEN_ELFNOTE_XEN_VERSION, "xen-3.0"
        note_text   XEN_ELFNOTE_LOADER, "generic"
        note_text   XEN_ELFNOTE_PAE_MODE, "yes"
        note_text   XEN_ELFNOTE_FEATURES, ""
        note_number XEN_ELFNOTE_VIRT_BASE, VIRT_BASE
        note_number XEN_ELFNOTE_PADDR_OFFSET, 0
        note_number XEN_ELFNOTE_ENTRY, guest_start
        note_number XEN_ELFNOTE_HYPERCALL_PAGE, hypercall_page

; ---- Filled in by the hypervisor. ----------------------------------------

section .hypercall progbits alloc exec nowrite align=4096
global hypercall_page
hypercall_page:
        times 4096 db 0xcc

section .text

; ---- guest_start: rsi is start_info, rsp the builder's stack. -------------
global guest_start
guest_start:
        cld
        mov     rsp, stack_top
        xor     ebp, ebp                ; the end of every backtrace
        mov     rdi, rsi
        call    runtime_start
        ud2

; ---- upcall_entry: something rings while the program is in a block. -------
;
; There is nothing to do: evtchn_upcall_pending stays set and the program
; will look.  The mask, which the hypervisor set on the way here, stays too,
; so no second upcall can come.  The interrupted code is hypercall_block()
; and wants back neither rcx, r11 nor the flags: no iret is needed, which
; would also fault where the emulator has SMAP.
;
;   rsp + 0 rcx   + 8 r11   + 16 rip   + 24 cs   + 32 rflags   + 40 rsp
;       + 48 ss
global upcall_entry
upcall_entry:
        mov     rcx, [rsp + 16]
        mov     rsp, [rsp + 40]
        jmp     rcx

; ---- failsafe_entry: a segment register could not be loaded. --------------
;
; The program never loads one; an ordinary trap report says where it was.
;   rsp + 0 rcx   + 8 r11   + 16 ds es fs gs   + 48 rip cs rflags rsp ss
global failsafe_entry
failsafe_entry:
        pop     rcx
        pop     r11
        add     rsp, 32
        push    0
        push    255
        jmp     trap_common

; ---- Traps. ---------------------------------------------------------------
;
; The hypervisor pushes ss rsp rflags cs rip [error] r11 rcx.  All become one
; struct trap_regs.
%macro trap_without_error 1
trap_%1:
        pop     rcx
        pop     r11
        push    0
        push    %1
        jmp     trap_common
%endmacro

%macro trap_with_error 1
trap_%1:
        pop     rcx
        pop     r11
        push    %1
        jmp     trap_common
%endmacro

        trap_without_error 0
        trap_without_error 1
        trap_without_error 3
        trap_without_error 4
        trap_without_error 5
        trap_without_error 6
        trap_without_error 7
        trap_with_error    8
        trap_with_error    10
        trap_with_error    11
        trap_with_error    12
        trap_with_error    13
        trap_with_error    14
        trap_without_error 16
        trap_with_error    17
        trap_without_error 18
        trap_without_error 19

; rsp + 0 vector   + 8 error   + 16 rip cs rflags rsp ss
trap_common:
        push    rax
        push    rbx
        push    rcx
        push    rdx
        push    rsi
        push    rdi
        push    rbp
        push    r8
        push    r9
        push    r10
        push    r11
        push    r12
        push    r13
        push    r14
        push    r15
        cld
        mov     rdi, rsp
        call    trap_taken              ; returns if the program handled it
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     r11
        pop     r10
        pop     r9
        pop     r8
        pop     rbp
        pop     rdi
        pop     rsi
        pop     rdx
        pop     rcx
        pop     rbx
        pop     rax
        add     rsp, 16                 ; vector, error
        push    0                       ; flags of the iret hypercall
        jmp     hypercall_page + HYPERCALL_IRET * 32

; The handlers by vector, 0 where there is none.
section .rodata
global trap_entries
trap_entries:
        dq      trap_0, trap_1, 0, trap_3, trap_4, trap_5, trap_6, trap_7
        dq      trap_8, 0, trap_10, trap_11, trap_12, trap_13, trap_14, 0
        dq      trap_16, trap_17, trap_18, trap_19

section .note.GNU-stack noalloc noexec nowrite progbits
