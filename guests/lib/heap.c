/*
 * Small objects, cut from pages of one size class each.
 *
 * The header at the start of an object's page says which class it is, so an
 * address alone is enough to free it.  What does not fit the largest class
 * gets pages of its own, with the same header.
 */
#include "guests/lib/internal.h"

#define MAGIC      0x70616568u /* "heap" */
#define NR_CLASSES 7u          /* 16, 32, ... 1024 */
#define LARGE      NR_CLASSES

struct slot {
    struct slot *next;
};

/* Objects are aligned to 16 bytes because this is a multiple of it. */
struct page_header {
    struct list node; /* in with_room[], a list of its own when full */
    struct slot *unused;
    uint32_t magic;
    uint16_t size_class;
    uint16_t used;     /* objects, or */
    uint32_t nr_pages; /* of a large object */
    uint32_t reserved;
} __attribute__((aligned(16)));

static struct list with_room[NR_CLASSES];

static size_t class_size(unsigned int size_class)
{
    return (size_t)16 << size_class;
}

static unsigned int class_of(size_t size)
{
    unsigned int size_class = 0;

    while (size_class < NR_CLASSES && class_size(size_class) < size)
        size_class++;
    return size_class;
}

static struct list *room_list(unsigned int size_class)
{
    struct list *head = &with_room[size_class];

    if (!head->next)
        list_init(head);
    return head;
}

static struct page_header *new_page(unsigned int size_class)
{
    struct page_header *page = page_try_alloc();
    size_t size = class_size(size_class);
    char *end = (char *)page + PAGE_SIZE;

    if (!page)
        return NULL;
    page->magic = MAGIC;
    page->size_class = (uint16_t)size_class;
    for (char *p = (char *)(page + 1); p + size <= end; p += size) {
        struct slot *slot = (struct slot *)p;

        slot->next = page->unused;
        page->unused = slot;
    }
    list_add_head(&page->node, room_list(size_class));
    return page;
}

static void *alloc_large(size_t size)
{
    size_t n =
        (size + sizeof(struct page_header) + PAGE_SIZE - 1) >> PAGE_SHIFT;
    struct page_header *page;

    if (n > UINT32_MAX || n < size >> PAGE_SHIFT)
        return NULL;
    page = pages_alloc((unsigned int)n);
    if (!page)
        return NULL;
    page->magic = MAGIC;
    page->size_class = LARGE;
    page->nr_pages = (uint32_t)n;
    return page + 1;
}

void *mem_alloc(size_t size)
{
    unsigned int size_class = class_of(size);
    struct page_header *page;
    struct slot *slot;

    if (size_class == LARGE)
        return alloc_large(size);
    if (list_empty(room_list(size_class)))
        page = new_page(size_class);
    else
        page =
            container_of(with_room[size_class].next, struct page_header, node);
    if (!page)
        return NULL;
    slot = page->unused;
    page->unused = slot->next;
    page->used++;
    if (!page->unused)
        list_remove(&page->node);
    return memset(slot, 0, class_size(size_class));
}

void mem_free(void *p)
{
    struct page_header *page =
        (struct page_header *)((uint64_t)p & ~(PAGE_SIZE - 1));
    struct slot *slot = p;

    if (!p)
        return;
    BUG_ON(page->magic != MAGIC);
    if (page->size_class == LARGE) {
        pages_free(page, page->nr_pages);
        return;
    }
    BUG_ON(page->used == 0);
    list_remove(&page->node);
    if (--page->used == 0) {
        page->magic = 0;
        page_free(page);
        return;
    }
    slot->next = page->unused;
    page->unused = slot;
    list_add_head(&page->node, room_list(page->size_class));
}

char *string_dup(const char *s)
{
    size_t size = strlen(s) + 1;
    char *copy = mem_alloc(size);

    return copy ? memcpy(copy, s, size) : NULL;
}
