/* SPDX-License-Identifier: Apache-2.0
 * Sequences: what is remembered of one object, and what a tracked frame reads of it.
 * Upstream: SAM2Base._prepare_memory_conditioned_features (which entries are read, and with what age) and
 * select_closest_cond_frames. */
#include <string.h>

#include "bank.h"

void trk_sequence_init(trk_sequence *sequence, trk_bank *bank, const trk_window *window, int n_memories, int n_pointers,
                       int64_t history)
{
    *sequence = (trk_sequence){
        .bank = bank,
        .window = window,
        .n_memories = n_memories,
        .n_pointers = n_pointers,
        .history = history,
        .whole_from = TRK_FRAME_NONE,
    };
}

static void entry_drop(trk_bank *bank, trk_memory_entry *entry)
{
    trk_slot_drop(bank, entry->memory);
    trk_slot_drop(bank, entry->pointer);
    trk_slot_drop(bank, entry->mask);
}

static void list_erase(trk_bank *bank, trk_entry_list *list, int i)
{
    entry_drop(bank, &list->items[i]);
    list->n--;
    memmove(&list->items[i], &list->items[i + 1], (size_t)(list->n - i) * sizeof *list->items);
}

static void list_release(trk_bank *bank, trk_entry_list *list)
{
    for (int i = 0; i < list->n; i++)
        entry_drop(bank, &list->items[i]);
    trk_ledger_release(bank->host, TRK_MEM_BANK, list->items, list->capacity * sizeof *list->items);
}

void trk_sequence_release(trk_sequence *sequence)
{
    if (!sequence->bank)
        return;
    list_release(sequence->bank, &sequence->conditioning);
    list_release(sequence->bank, &sequence->recent);
    *sequence = (trk_sequence){0};
}

static int list_index(const trk_entry_list *list, int64_t frame)
{
    for (int i = 0; i < list->n; i++)
        if (list->items[i].frame == frame)
            return i;
    return -1;
}

static int list_make_room(trk_bank *bank, trk_entry_list *list, int n)
{
    trk_memory_entry *items = trk_ledger_grown(bank->host, list->items, &list->capacity, (size_t)n, sizeof *items,
                                               TRK_MEM_BANK, "entries of a sequence");
    if (items)
        list->items = items;
    return items != NULL;
}

/* An empty entry at the end of the list; NULL: no memory. */
static trk_memory_entry *list_append(trk_bank *bank, trk_entry_list *list, int64_t frame)
{
    if (!list_make_room(bank, list, list->n + 1))
        return NULL;
    trk_memory_entry *entry = &list->items[list->n++];
    *entry = (trk_memory_entry){.frame = frame, .good = 1};
    return entry;
}

static trk_memory_entry *find_or_add(trk_sequence *s, int64_t frame, int conditioning)
{
    const int i = list_index(&s->conditioning, frame), j = list_index(&s->recent, frame);
    if (i >= 0)
        return &s->conditioning.items[i];
    if (conditioning && j >= 0)
        list_erase(s->bank, &s->recent, j);
    if (conditioning)
        return list_append(s->bank, &s->conditioning, frame);
    return j >= 0 ? &s->recent.items[j] : list_append(s->bank, &s->recent, frame);
}

trk_status trk_sequence_put(trk_sequence *sequence, int64_t frame, int conditioning, trk_storage storage, int with_mask,
                            trk_memory_entry **out)
{
    trk_bank *bank = sequence->bank;
    trk_memory_entry *entry = find_or_add(sequence, frame, conditioning);
    if (!entry)
        return TRK_E_MEMORY;
    entry->conditioning = list_index(&sequence->conditioning, frame) >= 0;
    trk_status rc = trk_slot_own(bank, (trk_slot_kind)storage, &entry->memory);
    if (rc >= 0)
        rc = trk_slot_own(bank, TRK_SLOT_POINTER, &entry->pointer);
    if (rc >= 0 && with_mask) {
        rc = trk_slot_own(bank, TRK_SLOT_MASK, &entry->mask);
    } else if (rc >= 0) {
        trk_slot_drop(bank, entry->mask);
        entry->mask = (trk_slot){0, 0};
    }
    if (rc >= 0)
        *out = entry;
    else
        trk_sequence_remove(sequence, frame, frame);
    return rc;
}

static int list_remove(trk_bank *bank, trk_entry_list *list, int64_t first, int64_t last)
{
    const int before = list->n;
    for (int i = list->n - 1; i >= 0; i--)
        if (list->items[i].frame >= first && list->items[i].frame <= last)
            list_erase(bank, list, i);
    return before - list->n;
}

static trk_memory_entry *find_entry(const trk_sequence *s, int64_t frame)
{
    const int i = list_index(&s->conditioning, frame), j = i < 0 ? list_index(&s->recent, frame) : -1;
    return i >= 0 ? &s->conditioning.items[i] : j >= 0 ? &s->recent.items[j] : NULL;
}

void trk_sequence_judge(trk_sequence *s, int64_t frame, const trk_judgement *judgement)
{
    trk_memory_entry *entry = find_entry(s, frame);
    if (!entry)
        return;
    entry->score = judgement->score;
    entry->good = judgement->good != 0;
    entry->note = judgement->note;
}

static void find_newest(const trk_entry_list *list, int64_t frame, int direction, const trk_memory_entry **newest)
{
    for (int i = 0; i < list->n; i++) {
        const trk_memory_entry *entry = &list->items[i];
        if ((frame - entry->frame) * direction > 0 && (!*newest || (entry->frame - (*newest)->frame) * direction > 0))
            *newest = entry;
    }
}

const trk_memory_note *trk_sequence_note_before(const trk_sequence *s, int64_t frame, int direction)
{
    const trk_memory_entry *newest = NULL;
    find_newest(&s->conditioning, frame, direction, &newest);
    find_newest(&s->recent, frame, direction, &newest);
    return newest ? &newest->note : NULL;
}

int trk_sequence_remove(trk_sequence *sequence, int64_t first, int64_t last)
{
    return list_remove(sequence->bank, &sequence->conditioning, first, last) +
           list_remove(sequence->bank, &sequence->recent, first, last);
}

void trk_sequence_clear(trk_sequence *sequence)
{
    trk_sequence_remove(sequence, INT64_MIN, INT64_MAX);
    sequence->whole_from = TRK_FRAME_NONE;
}

const trk_memory_entry *trk_sequence_find(const trk_sequence *sequence, int64_t frame)
{
    return find_entry(sequence, frame);
}

/* --- what can still be read --- */

static const trk_memory_entry *recent_at(const trk_sequence *s, int64_t t, int direction, int age)
{
    return trk_sequence_find(s, t - (int64_t)direction * age);
}

static int64_t recent_last_reader(const trk_sequence *s, const trk_memory_entry *entry, int direction)
{
    return entry->frame + (int64_t)direction * (s->n_memories - 1);
}

const trk_window trk_window_recent = {.at = recent_at, .last_reader = recent_last_reader, .by_age = 1};

/* What `reader` and frames before it in order of tracking wanted is gone. */
static void note_lost(trk_sequence *sequence, int64_t reader, int direction)
{
    const int64_t next = reader + direction;
    if (sequence->whole_from == TRK_FRAME_NONE || (next - sequence->whole_from) * direction > 0)
        sequence->whole_from = next;
}

void trk_sequence_miss(trk_sequence *sequence, const trk_memory_entry *entry, int direction)
{
    const int64_t last = sequence->window->last_reader(sequence, entry, direction);
    note_lost(sequence, last == TRK_FRAME_NONE ? entry->frame + (int64_t)direction * sequence->n_memories : last,
              direction);
}

/* The mask goes with the memory that could be made from it again. */
static void lose_memory(trk_sequence *sequence, trk_memory_entry *entry, int64_t reader, int direction)
{
    if (reader != entry->frame)
        note_lost(sequence, reader, direction);
    trk_slot_drop(sequence->bank, entry->memory);
    trk_slot_drop(sequence->bank, entry->mask);
    entry->memory = entry->mask = (trk_slot){0, 0};
}

static void lose_pointer(trk_sequence *sequence, trk_memory_entry *entry, int64_t reader, int direction)
{
    if (trk_slot_is_null(entry->pointer))
        return;
    if (reader != entry->frame)
        note_lost(sequence, reader, direction);
    trk_slot_drop(sequence->bank, entry->pointer);
    entry->pointer = (trk_slot){0, 0};
}

static int is_empty(const trk_memory_entry *entry)
{
    return !trk_entry_has_memory(entry) && trk_slot_is_null(entry->pointer);
}

/* Which of the others were good decides who reads a memory: so entries go after all have been asked. An entry is read
 * by no frame before its own: most of a long history need not be asked. */
void trk_sequence_advance(trk_sequence *sequence, int64_t frame, int direction)
{
    if (sequence->history < 0)
        return;
    const int64_t first = frame - direction * sequence->history; /* that may still be tracked */
    for (int i = sequence->recent.n - 1; i >= 0; i--) {
        trk_memory_entry *entry = &sequence->recent.items[i];
        const int64_t pointer_reader = entry->frame + (int64_t)direction * (sequence->n_pointers - 1);
        if ((first - entry->frame) * direction <= 0)
            continue;
        const int64_t reader =
            trk_entry_has_memory(entry) ? sequence->window->last_reader(sequence, entry, direction) : TRK_FRAME_NONE;
        if (reader != TRK_FRAME_NONE && (first - reader) * direction > 0)
            lose_memory(sequence, entry, reader, direction);
        if ((first - pointer_reader) * direction > 0)
            lose_pointer(sequence, entry, pointer_reader, direction);
    }
    for (int i = sequence->recent.n - 1; i >= 0; i--)
        if (is_empty(&sequence->recent.items[i]))
            list_erase(sequence->bank, &sequence->recent, i);
}

/* into: empty */
static int list_share(trk_bank *bank, trk_entry_list *into, const trk_entry_list *from)
{
    if (from->n == 0)
        return 1;
    if (!list_make_room(bank, into, from->n))
        return 0;
    into->n = from->n;
    for (int i = 0; i < from->n; i++) {
        trk_memory_entry entry = from->items[i];
        entry.memory = trk_slot_share(bank, entry.memory);
        entry.pointer = trk_slot_share(bank, entry.pointer);
        entry.mask = trk_slot_share(bank, entry.mask);
        into->items[i] = entry;
    }
    return 1;
}

trk_status trk_sequence_fork(trk_sequence *into, const trk_sequence *from)
{
    *into = *from;
    into->conditioning = into->recent = (trk_entry_list){0};
    if (list_share(from->bank, &into->conditioning, &from->conditioning) &&
        list_share(from->bank, &into->recent, &from->recent))
        return TRK_OK;
    trk_sequence_release(into);
    return TRK_E_MEMORY;
}

static void count_own(trk_bank *bank, const trk_entry_list *list, size_t n[TRK_SLOT_KINDS])
{
    for (int i = 0; i < list->n; i++) {
        const trk_memory_entry *entry = &list->items[i];
        const trk_slot slots[] = {entry->memory, entry->pointer, entry->mask};
        for (size_t k = 0; k < sizeof slots / sizeof *slots; k++)
            if (!trk_slot_is_null(slots[k]) && !trk_slot_is_shared(bank, slots[k]))
                n[trk_slot_kind_of(slots[k])]++;
    }
}

void trk_sequence_count_own(const trk_sequence *sequence, size_t n[TRK_SLOT_KINDS])
{
    count_own(sequence->bank, &sequence->conditioning, n);
    count_own(sequence->bank, &sequence->recent, n);
}

void trk_sequence_rebase(trk_sequence *sequence, int64_t delta)
{
    for (int i = 0; i < sequence->conditioning.n; i++)
        sequence->conditioning.items[i].frame += delta;
    for (int i = 0; i < sequence->recent.n; i++)
        sequence->recent.items[i].frame += delta;
    if (sequence->whole_from != TRK_FRAME_NONE)
        sequence->whole_from += delta;
}

int64_t trk_sequence_reach(const trk_sequence *sequence, int64_t start, int direction)
{
    const int64_t whole = sequence->whole_from;
    return whole != TRK_FRAME_NONE && (whole - start) * direction > 1 ? whole : start;
}

int trk_sequence_reaches(const trk_sequence *sequence, int64_t t, int direction)
{
    int conditioned = 0;
    for (int i = 0; i < sequence->conditioning.n; i++)
        conditioned |= (t - sequence->conditioning.items[i].frame) * direction > 0;
    return conditioned && (sequence->whole_from == TRK_FRAME_NONE || (t - sequence->whole_from) * direction >= 0);
}

trk_memory_entry *trk_sequence_next_to_recode(trk_sequence *sequence, int64_t t, int direction, int64_t age,
                                              trk_storage storage)
{
    for (int i = 0; i < sequence->recent.n; i++) {
        trk_memory_entry *entry = &sequence->recent.items[i];
        if ((t - entry->frame) * direction >= age && !trk_slot_is_null(entry->memory) &&
            trk_slot_kind_of(entry->memory) != (trk_slot_kind)storage)
            return entry;
    }
    return NULL;
}

/* --- what a frame reads --- */

/* A query: the frame, the rule and the slots wanted. */
typedef struct reading {
    const trk_sequence *sequence;
    int64_t t;
    const trk_read_rule *rule;
    int pointers; /* 0: memories */
} reading;

static void append(const reading *r, const trk_memory_entry *entry, int age, trk_memory_read *out, int *n)
{
    out[(*n)++] = (trk_memory_read){r->pointers ? entry->pointer : entry->memory, entry->frame, age};
}

static int is_among(const trk_memory_read *reads, int n, int64_t frame)
{
    int i = 0;
    while (i < n && reads[i].frame != frame)
        i++;
    return i < n;
}

/* Adds the nearest conditioning entry that is not there yet, of the frames before t (side -1), at or after t (1), or
 * any (0); of two equally near ones the one made first. */
static void select_nearest(const reading *r, int side, int most, trk_memory_read *out, int *n)
{
    const trk_memory_entry *nearest = NULL;
    int64_t nearest_distance = 0;
    for (int i = 0; *n < most && i < r->sequence->conditioning.n; i++) {
        const trk_memory_entry *entry = &r->sequence->conditioning.items[i];
        int64_t offset = entry->frame - r->t, distance = offset < 0 ? -offset : offset;
        if (entry->frame == r->rule->without || (side && (offset < 0) != (side < 0)) ||
            is_among(out, *n, entry->frame) || (nearest && distance >= nearest_distance))
            continue;
        nearest = entry;
        nearest_distance = distance;
    }
    if (nearest)
        append(r, nearest, 0, out, n);
}

/* Conditioning entries that are read as such. As upstream's: when they are few, all in the order they were made; else
 * the nearest before t, the nearest from t on (by frame number, whatever the direction), then the nearest others.
 * Upstream wants two at least; a single one is sought among the frames tracking came from first. *n_left: entries not
 * selected. */
static int select_conditioning(const reading *r, trk_memory_read *out, int *n_left)
{
    const trk_sequence *s = r->sequence;
    int candidates = s->conditioning.n - (list_index(&s->conditioning, r->rule->without) >= 0);
    int most = r->rule->most_conditioning, n = 0;
    if (most <= 0 || candidates <= most) {
        for (int i = 0; i < s->conditioning.n; i++)
            if (s->conditioning.items[i].frame != r->rule->without)
                append(r, &s->conditioning.items[i], 0, out, &n);
    } else {
        int first_side = most == 1 ? -r->rule->direction : -1;
        select_nearest(r, first_side, most, out, &n);
        select_nearest(r, -first_side, most, out, &n);
        while (n < most)
            select_nearest(r, 0, most, out, &n);
    }
    *n_left = candidates - n;
    return n;
}

/* A tracked frame's entry, or one of a conditioning frame that was not selected; else NULL. */
static const trk_memory_entry *unless_selected(const reading *r, const trk_memory_entry *entry,
                                               const trk_memory_read *selected, int n_selected)
{
    const int is_out = !entry || entry->frame == r->rule->without || is_among(selected, n_selected, entry->frame);
    return is_out ? NULL : entry;
}

int trk_sequence_memories(const trk_sequence *sequence, int64_t t, const trk_read_rule *rule, trk_memory_read *out,
                          int *n_left_out)
{
    const reading r = {sequence, t, rule, 0};
    int n_left, n_selected = select_conditioning(&r, out, &n_left), n = n_selected;
    for (int age = sequence->n_memories - 1; age >= 1; age--) {
        const trk_memory_entry *entry = sequence->window->at(sequence, t, rule->direction, age);
        entry = unless_selected(&r, entry, out, n_selected);
        if (!entry || !trk_entry_has_memory(entry))
            continue;
        append(&r, entry, age, out, &n);
        n_left -= entry->conditioning;
    }
    if (n_left_out)
        *n_left_out = n_left;
    return n;
}

int trk_sequence_pointers(const trk_sequence *sequence, int64_t t, const trk_read_rule *rule, trk_memory_read *out)
{
    const reading r = {sequence, t, rule, 1};
    int n_left, n_selected = select_conditioning(&r, out, &n_left), n = n_selected, n_past = 0;
    for (int age = 1; age < sequence->n_pointers; age++) {
        const trk_memory_entry *entry = trk_sequence_find(sequence, t - (int64_t)rule->direction * age);
        entry = unless_selected(&r, entry, out, n_selected);
        if (entry && !trk_slot_is_null(entry->pointer))
            append(&r, entry, age, out, &n);
    }
    for (int i = 0; i < n; i++) { /* selected ones in the future go */
        int64_t age = (t - out[i].frame) * rule->direction;
        if (age < 0)
            continue;
        out[n_past] = out[i];
        out[n_past++].age = (int)(age > INT32_MAX ? INT32_MAX : age);
    }
    return n_past;
}
