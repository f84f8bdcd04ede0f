/*
 * The page of hypercall stubs.
 *
 * A stub keeps what SYSCALL destroys, rcx and r11, on the guest's stack.
 * That of iret never returns: it leaves them there with rax, and the
 * hypervisor takes all three back (struct iret_context).
 */
#include "hv/x86/build.h"
#include "lib/string.h"

#define STUB_SIZE 32u
#define INT3      0xcc

static const uint8_t plain_stub[] = {
    0x51,             /*  0 push rcx */
    0x41, 0x53,       /*  1 push r11 */
    0xb8, 0, 0, 0, 0, /*  3 mov  eax, number */
    0x0f, 0x05,       /*  8 syscall */
    0x41, 0x5b,       /* 10 pop  r11 */
    0x59,             /* 12 pop  rcx */
    0xc3,             /* 13 ret */
};
#define PLAIN_NUMBER_AT 4

static const uint8_t iret_stub[] = {
    0x51,                              /*  0 push rcx */
    0x41, 0x53,                        /*  1 push r11 */
    0x50,                              /*  3 push rax */
    0xb8, __HYPERVISOR_iret, 0, 0, 0,  /*  4 mov  eax, iret */
    0x0f, 0x05,                        /*  9 syscall */
};

void hypercall_page_fill(void *page)
{
    uint8_t *stub = page;

    memset(page, INT3, PAGE_SIZE);
    for (uint8_t n = 0; n < PAGE_SIZE / STUB_SIZE; n++, stub += STUB_SIZE) {
        memcpy(stub, plain_stub, sizeof(plain_stub));
        stub[PLAIN_NUMBER_AT] = n;
    }
    stub = (uint8_t *)page + __HYPERVISOR_iret * STUB_SIZE;
    memset(stub, INT3, STUB_SIZE);
    memcpy(stub, iret_stub, sizeof(iret_stub));
}
