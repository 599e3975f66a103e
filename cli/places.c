/* SPDX-License-Identifier: Apache-2.0 */
#include "places.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap.h"
#include "target.h"

static trk_status no_memory(void)
{
    return TRK_FAIL(TRK_E_MEMORY, "names of files: out of memory");
}

void places_free(places *list)
{
    for (size_t i = 0; i < list->n_items; i++)
        trk_heap_release(list->items[i].path);
    trk_heap_release(list->items);
    *list = (places){0};
}

/* --- adding ----------------------------------------------------------------------------------------------------- */

static trk_status append(places *list, const place *item)
{
    place *items =
        trk_heap_grown(list->items, &list->capacity, list->n_items + 1, sizeof *items, TRK_MEM_SCRATCH, "path");
    if (!items)
        return no_memory();
    list->items = items;
    list->items[list->n_items] = *item;
    place *at = &list->items[list->n_items];
    at->path = trk_heap_text("path", item->path);
    if (!at->path)
        return no_memory();
    at->name = at->path;
    list->n_items++;
    return TRK_OK;
}

static trk_status find_parent(place *at)
{
    const char *slash = strrchr(at->path, '/');
    at->name = slash ? slash + 1 : at->path;
    char *folder =
        slash ? trk_heap_format("path", "%.*s", (int)(slash + 1 - at->path), at->path) : trk_heap_text("path", ".");
    if (!folder)
        return no_memory();
    at->has_parent = !stat(folder, &at->parent);
    trk_heap_release(folder);
    return TRK_OK;
}

trk_status places_add_output(places *list, const char *role, const char *path, const char *where)
{
    char plain[PATH_MAX];
    if (!path || strlen(path) >= sizeof plain)
        return TRK_OK; /* what is too long for a name fails when opened */
    strcpy(plain, path);
    for (size_t n = strlen(plain); n > 1 && plain[n - 1] == '/'; n--)
        plain[n - 1] = 0; /* of a folder */
    place item = {.role = role, .where = where, .path = plain};
    if (!strcmp(plain, "-"))
        return append(list, &item);
    trk_target_kind kind;
    trk_status rc = trk_target_find(&item.path, &kind, plain);
    if (rc)
        return rc == TRK_E_MEMORY ? rc : TRK_OK; /* links in a circle fail when opened */
    item.exists = !stat(item.path, &item.self);
    rc = append(list, &item);
    trk_heap_release(item.path);
    return rc ? rc : find_parent(&list->items[list->n_items - 1]);
}

trk_status places_add_input(places *list, const char *role, const char *path, const char *where)
{
    place item = {.role = role, .where = where};
    const int is_stream = path && !strcmp(path, "-");
    char resolved[PATH_MAX], stream[] = "standard input", given[PATH_MAX];
    if (!path || strlen(path) >= sizeof given)
        return TRK_OK;
    path = trk_local_path(path);
    item.exists = !(is_stream ? fstat(STDIN_FILENO, &item.self) : stat(path, &item.self));
    if (is_stream && !item.exists)
        return TRK_OK;
    strcpy(given, path);
    item.path = is_stream ? stream : realpath(path, resolved) ? resolved : given;
    trk_status rc = append(list, &item);
    return rc || is_stream ? rc : find_parent(&list->items[list->n_items - 1]);
}

/* --- comparing -------------------------------------------------------------------------------------------------- */

int place_is_inode(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

int place_is_same(const place *a, const place *b)
{
    if (a->exists && b->exists && S_ISCHR(a->self.st_mode))
        return 0;
    if (a->exists && b->exists && place_is_inode(&a->self, &b->self))
        return 1;
    if (a->has_parent != b->has_parent)
        return 0;
    /* without a parent: standard output, or names in a folder that is not there */
    if (!a->has_parent)
        return !strcmp(a->path, b->path);
    return place_is_inode(&a->parent, &b->parent) && !strcmp(a->name, b->name);
}

int place_is_numbered(const place *a, const place *b)
{
    const char *dot = strrchr(a->name, '.');
    const size_t n_stem = dot && dot != a->name ? (size_t)(dot - a->name) : strlen(a->name);
    if (!a->has_parent || !b->has_parent || !place_is_inode(&a->parent, &b->parent) ||
        strncmp(a->name, b->name, n_stem) || b->name[n_stem] != '_')
        return 0;
    const char *digits = b->name + n_stem + 1;
    const size_t n_digits = strspn(digits, "0123456789");
    return n_digits && !strcmp(digits + n_digits, a->name + n_stem);
}
