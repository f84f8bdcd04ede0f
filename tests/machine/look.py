"""What gdb looks at while the machine runs (run.sh): rows M23, M24, X5, X16.

The CPU that has hit a breakpoint is in the hypervisor, the others stand where
they happened to be.
"""
import os
import random
import re
import struct

import gdb

STOPS = 400
PAGE = 4096
FRAME = 0x000ffffffffff000
PRESENT, LARGE = 1 << 0, 1 << 7
ACCESSED_DIRTY = 1 << 5 | 1 << 6  # the processor's own to set
FIRST_SLOT, END_SLOT = 256, 272
GUARDS = (0, 2, 4, 6, 8)  # pages of a CPU's block
SMALL_STACKS = (1, 3, 5, 7)
MAIN_STACK = range(9, 16)


def layout(name):
    with open(os.environ['LAYOUT']) as header:
        return int(re.search(r'#define %s\s+(\w+)' % name,
                             header.read()).group(1), 0)


PERDOMAIN_SLOT = layout('PERDOMAIN_BASE') >> 39 & 511
STACKS = layout('STACKS_BASE')
BLOCK = layout('STACK_BLOCK_SIZE')


def value(expression):
    return int(gdb.parse_and_eval(expression))


def read(address, size):
    return bytes(gdb.selected_inferior().read_memory(address, size))


def result(name, wrong):
    print('ok ' + name if not wrong else 'FAIL %s: %s' % (name, wrong))


# ---- The hypervisor's tables. ----

def visit(entry, level, address, found):
    """Entries below one, by address; gdb's own stack is deep enough."""
    table = read(value('(unsigned long)directmap') + (entry & FRAME), PAGE)
    for index, below in enumerate(struct.unpack('<512Q', table)):
        if not below & PRESENT:
            continue
        va = address + (index << 12 + 9 * (level - 1))
        found[level, va] = below & ~ACCESSED_DIRTY
        if level > 1 and not below & LARGE:
            visit(below, level - 1, va, found)


def tables():
    found = {}
    root = value('(unsigned long)hv_l4')
    for slot in range(FIRST_SLOT, END_SLOT):
        if slot == PERDOMAIN_SLOT:
            continue
        entry, = struct.unpack('<Q', read(root + 8 * slot, 8))
        found[4, slot] = entry & ~ACCESSED_DIRTY
        if entry & PRESENT:
            visit(entry, 3, 0xffff << 48 | slot << 39, found)
    return found


def changed(before, after):
    different = {key for key in before.keys() | after.keys()
                 if before.get(key) != after.get(key)}
    if not different:
        return ''
    level, va = min(different)
    return '%d entries have changed, one of level %d for %#x' % (
        len(different), level, va)


# ---- A CPU that has stopped. ----

def tables_are_those_of_its_vcpu(cpu):
    c = 'cpus[%d]->' % cpu
    cr3 = value('$cr3') & FRAME
    if cr3 != value(c + 'cr3') & FRAME:
        return 'CPU %d: CR3 is %#x, noted is another' % (cpu, cr3)
    if not value('(unsigned long)%scurrent' % c):
        return ''
    vcpu = c + 'current->'
    mode = 'kernel' if value(vcpu + 'arch.kernel_mode') else 'user'
    if cr3 >> 12 != value('%sarch.%s_table' % (vcpu, mode)):
        return 'CPU %d: CR3 %#x is not of the vCPU it runs' % (cpu, cr3)
    return ''


def stops():
    """Wrong things seen, at interrupts and calls under load."""
    wrong, guests = '', 0
    points = [gdb.Breakpoint(f) for f in ('trap_from_guest', 'trap_from_hv',
                                          'do_event_channel_op')]
    for _ in range(STOPS):
        random.choice(points).ignore_count = random.randrange(40)
        gdb.execute('continue', to_string=True)
        stopped = gdb.selected_thread()
        for thread in gdb.selected_inferior().threads():
            thread.switch()
            in_guest = value('$cs') & 3 == 3
            guests += in_guest
            if in_guest or thread == stopped:
                wrong = wrong or tables_are_those_of_its_vcpu(thread.num - 1)
        stopped.switch()
    for point in points:
        point.delete()
    print('note %d stops, %d CPUs of them in a guest' % (STOPS, guests))
    return wrong or ('' if guests > STOPS // 40 else 'hardly ever in a guest')


# ---- Stacks. ----

def unused(address, size):
    """Bytes that nobody has written: stacks begin as zeros."""
    return size - len(read(address, size).lstrip(b'\0'))


def guards(found):
    for cpu in range(value('nr_cpus')):
        base = STACKS + cpu * BLOCK
        for page in range(BLOCK // PAGE):
            if ((1, base + page * PAGE) in found) == (page in GUARDS):
                return 'CPU %d: page %d of its stacks' % (cpu, page)
    return ''


def depths():
    for cpu in range(value('nr_cpus')):
        base = STACKS + cpu * BLOCK
        main = len(MAIN_STACK) * PAGE
        left = unused(base + MAIN_STACK[0] * PAGE, main)
        print('note CPU %d has used %d of the %d bytes of its stack' % (
            cpu, main - left, main))
        if left < PAGE:
            return 'CPU %d: %d bytes of its stack are left' % (cpu, left)
        for page in SMALL_STACKS:
            if unused(base + page * PAGE, PAGE) < 512:
                return 'CPU %d: the stack in page %d is full' % (cpu, page)
    return ''


def entry_stacks():
    """X5: in the table that all CPUs have, and in each one's TSS."""
    for cpu in range(value('nr_cpus')):
        used = set()
        for vector in (1, 2, 8, 18):
            ist = value('idt[%d].ist' % vector)
            if ist:
                used.add(value('cpus[%d]->tss.ist[%d]' % (cpu, ist - 1)))
        tops = {STACKS + cpu * BLOCK + (page + 1) * PAGE
                for page in SMALL_STACKS}
        if used != tops:
            return 'CPU %d: not every vector has a stack of its own' % cpu
    return ''


def main():
    gdb.execute('set pagination off')
    gdb.execute('set confirm off')
    gdb.Breakpoint('builder_boot', temporary=True)
    gdb.execute('continue', to_string=True)
    before = tables()
    result('X5_X6_entry_stacks_on_every_cpu', entry_stacks())
    result('M24_tables_are_those_of_the_vcpu', stops())
    gdb.Breakpoint('machine_stop', temporary=True)
    gdb.execute('continue', to_string=True)
    after = tables()
    print('note %d entries of the hypervisor\'s tables' % len(after))
    result('M23_the_hypervisors_tables_do_not_change', changed(before, after))
    result('X16_guards_below_every_stack', guards(after))
    result('X16_stacks_are_deep_enough', depths())
    gdb.execute('detach', to_string=True)
    print('note all looked at')


main()
