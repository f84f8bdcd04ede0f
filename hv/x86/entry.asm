; Every way into the hypervisor, and the two ways out.
;
; A guest's registers are saved in its struct vcpu, which begins with them:
;
;     REGS_ES     es ds fs gs        filled in by C when it switches vCPUs
;     REGS_RIP    rip cs rflags rsp ss
;     REGS_VECTOR-4  error code, vector (two dwords)
;     0           r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi
;
; so that another vCPU is put on the CPU by changing one pointer.  The stack
; is the CPU's, empty at each entry: rsp is then the address of struct cpu.
; A hypercall saves only what C may change (and leaves rbx, rbp, r12-r15 in
; their registers until the slow way out needs them saved); every other entry
; saves all.  rcx and r11 are lost to SYSCALL: what the vCPU's have then is
; older values of its own.  Interrupts are off throughout.

%include "asm_offsets.inc"

extern cpu_stacks
extern hypercall_unknown, hypercall_refused, syscall_from_user
extern trap_from_guest, trap_from_hv, trap_on_ist, bad_guest_frame
extern exit_work, handoff_call, handoff_serve

%macro EX_TABLE 2               ; if %1 faults, go on at %2
[section .ex_table progbits alloc noexec nowrite align=4]
        dd      %1 - $
        dd      %2 - $
__SECT__
%endmacro

%macro PUSH_CALLER_SAVED 0
        push    rdi
        push    rsi
        push    rdx
        push    rcx
        push    rax
        push    r8
        push    r9
        push    r10
        push    r11
%endmacro

%macro PUSH_ALL 0
        PUSH_CALLER_SAVED
        push    rbx
        push    rbp
        push    r12
        push    r13
        push    r14
        push    r15
%endmacro

%macro LOAD_CALLEE_SAVED 1      ; from the registers at %1
        mov     rbx, [%1 + REGS_RBX]
        mov     rbp, [%1 + REGS_RBP]
        mov     r12, [%1 + REGS_R12]
        mov     r13, [%1 + REGS_R13]
        mov     r14, [%1 + REGS_R14]
        mov     r15, [%1 + REGS_R15]
%endmacro

%macro SAVE_CALLEE_SAVED 1
        mov     [%1 + REGS_RBX], rbx
        mov     [%1 + REGS_RBP], rbp
        mov     [%1 + REGS_R12], r12
        mov     [%1 + REGS_R13], r13
        mov     [%1 + REGS_R14], r14
        mov     [%1 + REGS_R15], r15
%endmacro

%macro SAVE_ARGUMENTS 1         ; but rdi, rsi
        mov     [%1 + REGS_RDX], rdx
        mov     [%1 + REGS_R8], r8
        mov     [%1 + REGS_R9], r9
        mov     [%1 + REGS_R10], r10
%endmacro

; The guest's flags are not ours: no AC, NT, TF, DF, IF in here.
%macro CLEAN_FLAGS 0
        push    2
        popfq
%endmacro

; The vCPU in rdi.  Is there a reason for the slow way out?  Clobbers rdx.
%macro CHECK_EXIT_WORK 1
        mov     rdi, [rsp + CPU_CURRENT]
        cmp     dword [rsp + CPU_NEED_RESCHED], 0
        jne     %1
        mov     rdx, [rdi + VCPU_INFO]
        movzx   edx, word [rdx]         ; pending in 1..255 and mask 0?
        dec     edx
        cmp     edx, 0xfe
        jbe     %1
%endmacro

section .text

; ---- SYSCALL ---------------------------------------------------------------
;
; LSTAR of CPU n is stub n, which knows that CPU's stack by its address.
;
;   in   rax = hypercall number; rdi rsi rdx r10 r8 = arguments
;        rcx = guest rip; r11 = guest rflags; rsp = still the guest's
;   out  rax = result; rcx and r11 are lost to SYSCALL (the hypercall page
;        saves them)

global syscall_stubs
align 64
syscall_stubs:
%assign n 0
%rep MAX_CPUS
%assign cpu (n + 1) * STACK_BLOCK_SIZE - CPU_SIZE
        align   32
        mov     [rel cpu_stacks + cpu + CPU_GUEST_RSP], rsp
        lea     rsp, [rel cpu_stacks + cpu]
        jmp     near syscall_entry
%assign n n + 1
%endrep

align 64
syscall_entry:
        push    rdi
        mov     rdi, [rsp + 8 + CPU_CURRENT]
        pop     qword [rdi + REGS_RDI]
        mov     [rdi + REGS_RIP], rcx
        mov     [rdi + REGS_RFLAGS], r11
        mov     rcx, [rsp + CPU_GUEST_RSP]
        mov     [rdi + REGS_RSP], rcx
        mov     qword [rdi + REGS_CS], GUEST_CS
        mov     qword [rdi + REGS_SS], GUEST_SS
        mov     dword [rdi + REGS_VECTOR], TRAP_SYSCALL
        mov     [rdi + REGS_RSI], rsi
        mov     [rdi + REGS_RAX], rax

        cmp     byte [rdi + VCPU_KERNEL_MODE], 0
        je      .from_user
        inc     qword [rdi + VCPU_HYPERCALLS]
        cmp     rax, HYPERCALL_CALL
        jae     .beyond
.by_table:
        SAVE_ARGUMENTS rdi
        mov     r9, r8
        mov     r8, r10
        mov     rcx, rdx
        mov     rdx, rsi
        mov     rsi, [rdi + REGS_RDI]
        mov     r10, [rdi + VCPU_CALLS]
        call    [r10 + rax * 8]
.result:
        test    rax, rax
        js      .refused
.checked:
        CHECK_EXIT_WORK .slow
        jmp     return_to_guest

.slow:  mov     [rdi + REGS_RAX], rax
        SAVE_CALLEE_SAVED rdi
        xor     ebp, ebp
        jmp     do_exit_work

.refused:
        mov     rdi, rax
        call    hypercall_refused       ; returns its argument
        jmp     .checked

.beyond:
        cmp     rax, HYPERCALL_SERVE
        jbe     handoff
        cmp     rax, NR_HYPERCALLS
        jb      .by_table
        SAVE_ARGUMENTS rdi
        call    hypercall_unknown
        jmp     .result

.from_user:
        SAVE_ARGUMENTS rdi
        SAVE_CALLEE_SAVED rdi           ; to the guest kernel's handler
        call    syscall_from_user
        jmp     exit_all

; ---- Out -------------------------------------------------------------------

; All registers are saved.
exit_all:
        CHECK_EXIT_WORK do_exit_work
        LOAD_CALLEE_SAVED rdi
        mov     rax, [rdi + REGS_RAX]
        jmp     return_to_guest

do_exit_work:
        call    exit_work               ; may put another vCPU on the CPU,
        cmp     dword [rsp + CPU_NEED_RESCHED], 0
        jne     do_exit_work            ; or end the one that is on it
        mov     rdi, [rsp + CPU_CURRENT]
        LOAD_CALLEE_SAVED rdi
        mov     rax, [rdi + REGS_RAX]

        jmp     return_to_guest

; A call or its answer may be handed over (handoff.c): then another vCPU is
; current, which has nothing else to do on its way out than to return.  Flags
; say which of the two it is.  What the guest had in rdx and r8-r10 is lost: the
; vCPU's are older values of its own.
handoff:
        SAVE_CALLEE_SAVED rdi
        mov     rdx, rsi                ; deadline
        mov     esi, [rdi + REGS_RDI]   ; port
        je      .serve
        call    handoff_call
.done:  test    rax, rax                ; the vCPU to return to
        jz      .not_now
        mov     rdi, rax
        LOAD_CALLEE_SAVED rdi
        mov     rax, [rdi + REGS_RAX]
        jmp     return_to_guest

.serve: call    handoff_serve
        jmp     .done

.not_now:                               ; the long way; nothing of ours may
        mov     rdi, [rsp + CPU_CURRENT] ; be left in the guest's registers
        LOAD_CALLEE_SAVED rdi
        mov     rax, [rdi + REGS_RAX]
        mov     rsi, [rdi + REGS_RSI]
        xor     edx, edx
        xor     r8d, r8d
        xor     r9d, r9d
        xor     r10d, r10d
        jmp     syscall_entry.by_table

; To the vCPU in rdi.  rax, rbx, rbp, r12-r15 are the guest's already.
return_to_guest:
        mov     r8, [rdi + REGS_R8]
        mov     r9, [rdi + REGS_R9]
        mov     r10, [rdi + REGS_R10]
        mov     rsi, [rdi + REGS_RSI]
        test    dword [rdi + REGS_VECTOR], TRAP_SYSCALL
        jz      .iret
        ; SYSRET faults in ring 0 on a non-canonical rcx (row X1).
        mov     rcx, [rdi + REGS_RIP]
        mov     rdx, rcx
        sar     rdx, 47
        inc     rdx
        cmp     rdx, 1
        ja      .iret
        mov     rdx, [rdi + REGS_RDX]
        mov     r11, [rdi + REGS_RFLAGS]
        mov     rsp, [rdi + REGS_RSP]
        mov     rdi, [rdi + REGS_RDI]
        o64 sysret

.iret:  push    qword [rdi + REGS_SS]
        push    qword [rdi + REGS_RSP]
        push    qword [rdi + REGS_RFLAGS]
        push    qword [rdi + REGS_CS]
        push    qword [rdi + REGS_RIP]
        mov     rdx, [rdi + REGS_RDX]
        mov     rcx, [rdi + REGS_RCX]
        mov     r11, [rdi + REGS_R11]
        mov     rdi, [rdi + REGS_RDI]
iret_to_guest:
        iretq
        EX_TABLE iret_to_guest, return_to_guest.bad_frame
return_to_guest.bad_frame:
        add     rsp, 5 * 8
        mov     rdi, [rsp + CPU_CURRENT]
        mov     [rdi + REGS_RAX], rax   ; the rest is as it was loaded
        SAVE_CALLEE_SAVED rdi
        xor     ebp, ebp
        call    bad_guest_frame
        jmp     do_exit_work

; void cpu_start_guests(void): from boot, when vCPUs wait in the run queue.
; The stack of boot is abandoned.
global cpu_start_guests
cpu_start_guests:
        and     rsp, -STACK_BLOCK_SIZE
        add     rsp, STACK_BLOCK_SIZE - CPU_SIZE
        xor     ebp, ebp
        jmp     do_exit_work

; ---- Exceptions and interrupts -----------------------------------------------

global trap_stubs
align 16
trap_stubs:
%assign n 0
%rep 256
        align   16
    %if !(n == 8 || (n >= 10 && n <= 14) || n == 17 || n == 21 || n == 29 || n == 30)
        push    0
    %endif
        mov     dword [rsp + 4], n
    %if n == 1 || n == 2 || n == 8 || n == 18
        jmp     near ist_entry
    %else
        jmp     near trap_entry
    %endif
%assign n n + 1
%endrep

align 16
trap_entry:
        PUSH_ALL
        CLEAN_FLAGS
        test    byte [rsp + REGS_CS], 3
        jnz     trap_by_guest
trap_by_hv:
        mov     rdi, rsp
        call    trap_from_hv
restore_all:
        LOAD_CALLEE_SAVED rsp
        mov     r11, [rsp + REGS_R11]
        mov     r10, [rsp + REGS_R10]
        mov     r9, [rsp + REGS_R9]
        mov     r8, [rsp + REGS_R8]
        mov     rax, [rsp + REGS_RAX]
        mov     rcx, [rsp + REGS_RCX]
        mov     rdx, [rsp + REGS_RDX]
        mov     rsi, [rsp + REGS_RSI]
        mov     rdi, [rsp + REGS_RDI]
        add     rsp, REGS_RIP
        iretq

; The guest's registers, at rsp on whatever stack, go where they belong.
trap_by_guest:
        mov     rsi, rsp
        and     rsp, -STACK_BLOCK_SIZE
        add     rsp, STACK_BLOCK_SIZE - CPU_SIZE
        mov     rdi, [rsp + CPU_CURRENT]
        mov     ecx, REGS_ES / 8
        rep movsq
        mov     rdi, [rsp + CPU_CURRENT]
        xor     ebp, ebp                ; a backtrace ends here
        call    trap_from_guest
        jmp     exit_all

; #DB, NMI, #DF and #MC have stacks of their own.  A guest's #DB goes on as
; any trap does, on the main stack.
ist_entry:
        PUSH_ALL
        CLEAN_FLAGS
        cmp     dword [rsp + REGS_VECTOR], 1
        jne     .on_ist
        test    byte [rsp + REGS_CS], 3
        jz      trap_by_hv
        jmp     trap_by_guest
.on_ist:
        mov     rdi, rsp
        call    trap_on_ist
        jmp     restore_all

; ---- Guest memory ------------------------------------------------------------

extern cpu_has_smap

; int guest_copy_from(void *dst, const void *guest_src, size_t n)
; int guest_copy_to(void *guest_dst, const void *src, size_t n)
; int guest_copy_from8(void *dst, const void *guest_src, size_t n)
; int guest_copy_to8(void *guest_dst, const void *src, size_t n)
;
; Only the first byte's address is checked against the hypervisor's range:
; a copy that runs upwards meets non-canonical addresses before that range.

; Those that end in 8 copy so many times eight bytes.

%macro COPY_BYTES 2             ; the rest after the eights; where it may fault
        mov     ecx, edx
        and     ecx, 7
%1:     rep movsb
        EX_TABLE %1, %2
%endmacro

%macro GUEST_COPY 3             ; name, register with the guest's address, unit
global %1
%1:
        mov     rax, %2
        shr     rax, 43
        cmp     eax, 0x1ffff0           ; HV_START >> 43
        je      guest_copy_fault
        mov     rcx, rdx
    %if %3 == 1
        shr     rcx, 3
    %endif
        cmp     byte [rel cpu_has_smap], 0
        jne     %%smap
%%quads:
        rep movsq
    %if %3 == 1
        COPY_BYTES %%bytes, guest_copy_fault
    %endif
        xor     eax, eax
        ret
%%smap: stac
%%smap_quads:
        rep movsq
    %if %3 == 1
        COPY_BYTES %%smap_bytes, guest_copy_smap_fault
    %endif
        clac
        xor     eax, eax
        ret
        EX_TABLE %%quads, guest_copy_fault
        EX_TABLE %%smap_quads, guest_copy_smap_fault
%endmacro

        GUEST_COPY guest_copy_from, rsi, 1
        GUEST_COPY guest_copy_to, rdi, 1
        GUEST_COPY guest_copy_from8, rsi, 8
        GUEST_COPY guest_copy_to8, rdi, 8

guest_copy_smap_fault:
        clac
guest_copy_fault:
        mov     eax, -14                ; -EFAULT
        ret

; bool load_selector_xx(uint16_t selector): false if it cannot be loaded.
%macro LOAD_SELECTOR 1
global load_selector_%1
load_selector_%1:
%%load: mov     %1, edi
        mov     eax, 1
        ret
%%bad:  xor     eax, eax
        mov     %1, eax
        ret
        EX_TABLE %%load, %%bad
%endmacro

        LOAD_SELECTOR ds
        LOAD_SELECTOR es
        LOAD_SELECTOR fs
        LOAD_SELECTOR gs
