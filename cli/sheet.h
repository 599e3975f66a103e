/* SPDX-License-Identifier: Apache-2.0
 * Contact sheet: up to SHEET_PICTURES evenly spaced pictures of a sequence whose length is not known. Every stride-th
 * picture is kept small; when twice as many as needed are there, every other one goes and the stride doubles. */
#ifndef TRK_CLI_SHEET_H
#define TRK_CLI_SHEET_H

#include "error.h"
#include "font.h"

#define SHEET_PICTURES   12
#define SHEET_COLUMNS    4
#define SHEET_WIDTH_MOST 320 /* of one picture, pixels */

typedef struct sheet sheet;

trk_status sheet_create(sheet **out, int width, int height); /* of the pictures that come */
void sheet_destroy(sheet **handle);                          /* NULL-safe */
/* Call once per picture: 1 if it is to be given to sheet_add, 0 if it is passed over. */
int sheet_wants_next(sheet *self);
void sheet_add(sheet *self, const canvas *picture, int64_t frame);
/* The finished sheet in *out, its rgb owned by the caller (trk_heap_release). */
trk_status sheet_render(const sheet *self, canvas *out);

#endif
