/* The two 16550 UARTs: polled output on COM1, buffered on COM2. */
#include "hv/x86/serial.h"

#include "hv/console.h"
#include "hv/machine.h"
#include "hv/x86/x86.h"
#include "lib/spinlock.h"
#include "lib/tail.h"

#define COM1 0x3f8
#define COM2 0x2f8

enum {
    DATA = 0, /* with DLAB: divisor, low */
    IER = 1,  /* with DLAB: divisor, high */
    FCR = 2,
    LCR = 3,
    MCR = 4,
    LSR = 5,
    SCRATCH = 7,
};

#define IER_RX     0x01
#define IER_TX     0x02
#define FCR_ON     0x07 /* enable, clear both FIFOs; interrupt at one byte */
#define LCR_8N1    0x03
#define LCR_DLAB   0x80
#define MCR_ON     0x0b /* DTR, RTS, and OUT2, which gates the interrupt */
#define LSR_DATA   0x01
#define LSR_TX_OK  0x20
#define FIFO_DEPTH 16u
#define FIFO_SIZE  8192u

struct fifo {
    uint64_t in, out; /* bytes ever put and got */
    char data[FIFO_SIZE];
};

struct uart {
    uint16_t port;
    uint8_t virq; /* what tells the initial domain of news */
    spinlock_t lock; /* guards all below and the registers */
    bool present; /* a port that is not there reads as all ones for ever */
    uint8_t ier;
    uint32_t lost;
    bool was_full; /* of tx: tell when there is room again */
    struct fifo rx, tx;
};

struct uart serial_com1 = { .port = COM1, .virq = VIRQ_CONSOLE };
struct uart serial_com2 = { .port = COM2, .virq = VIRQ_BELFRY_SERIAL };

static uint64_t fifo_used(const struct fifo *f)
{
    return f->in - f->out;
}

static bool fifo_put(struct fifo *f, char byte)
{
    if (fifo_used(f) == FIFO_SIZE)
        return false;
    f->data[f->in++ % FIFO_SIZE] = byte;
    return true;
}

static size_t fifo_get(struct fifo *f, char *buf, size_t n)
{
    return tail_read(f->data, FIFO_SIZE, f->in, &f->out, buf, n);
}

static void uart_init(struct uart *u)
{
    out8(u->port + SCRATCH, 0x5a);
    u->present = in8(u->port + SCRATCH) == 0x5a;
    out8(u->port + IER, 0);
    out8(u->port + LCR, LCR_DLAB);
    out8(u->port + DATA, 1); /* 115,200 baud */
    out8(u->port + IER, 0);
    out8(u->port + LCR, LCR_8N1);
    out8(u->port + FCR, FCR_ON);
    out8(u->port + MCR, MCR_ON);
}

void serial_init(void)
{
    uart_init(&serial_com1);
    uart_init(&serial_com2);
}

/* A line that never gets ready must not stop the machine. */
static void com1_wait(void)
{
    for (unsigned int spin = 0; spin < 1000000u; spin++)
        if (in8(COM1 + LSR) & LSR_TX_OK)
            return;
}

size_t serial_com1_write(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i % FIFO_DEPTH == 0)
            com1_wait();
        out8(COM1 + DATA, (uint8_t)text[i]);
    }
    return n;
}

/* Move received bytes to the buffer; false if there were none. */
static bool uart_receive(struct uart *u)
{
    bool any = false;

    while (u->present && (in8(u->port + LSR) & LSR_DATA)) {
        uint8_t byte = in8(u->port + DATA);

        any = true;
        if (u == &serial_com1 && keys_input(byte))
            continue;
        if (!fifo_put(&u->rx, (char)byte))
            u->lost++;
    }
    return any;
}

/* Fill the transmitter from the buffer; true if a writer may go on. */
static bool uart_transmit(struct uart *u)
{
    char chunk[FIFO_DEPTH];
    uint8_t ier;
    bool room;

    while (u->present && fifo_used(&u->tx) && (in8(u->port + LSR) & LSR_TX_OK)) {
        size_t n = fifo_get(&u->tx, chunk, sizeof(chunk));

        for (size_t i = 0; i < n; i++)
            out8(u->port + DATA, (uint8_t)chunk[i]);
    }
    ier = fifo_used(&u->tx) ? IER_RX | IER_TX : IER_RX;
    if (u->present && u->ier != ier)
        out8(u->port + IER, ier);
    u->ier = ier;
    room = u->was_full && fifo_used(&u->tx) < FIFO_SIZE / 2;
    if (room)
        u->was_full = false;
    return room;
}

static void uart_serve(struct uart *u)
{
    bool news;

    spin_lock(&u->lock);
    news = uart_receive(u);
    news |= uart_transmit(u);
    spin_unlock(&u->lock);
    if (news)
        machine_tell(u->virq);
}

void serial_interrupt(void)
{
    uart_serve(&serial_com1);
    uart_serve(&serial_com2);
}

size_t serial_read(void *uart, char *buf, size_t n)
{
    struct uart *u = uart;
    size_t got;

    spin_lock(&u->lock);
    got = fifo_get(&u->rx, buf, n);
    spin_unlock(&u->lock);
    return got;
}

size_t serial_com2_write(const char *text, size_t n)
{
    size_t put = 0;

    if (!serial_com2.present)
        return n; /* nobody will ever read it */
    spin_lock(&serial_com2.lock);
    while (put < n && fifo_put(&serial_com2.tx, text[put]))
        put++;
    if (put < n)
        serial_com2.was_full = true;
    uart_transmit(&serial_com2);
    spin_unlock(&serial_com2.lock);
    return put;
}

uint32_t serial_com2_lost(void)
{
    return serial_com2.lost;
}
