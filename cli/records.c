/* SPDX-License-Identifier: Apache-2.0 */
#include "records.h"

#include <inttypes.h>
#include <math.h>

static void write_score(FILE *stream, const char *key, double value)
{
    if (isfinite(value))
        fprintf(stream, ",\"%s\":%.4f", key, value);
    else
        fprintf(stream, ",\"%s\":null", key);
}

/* Of the characters of compressed run lengths, '0' to 'o', JSON escapes the backslash alone. */
static void write_counts(FILE *stream, const char *text)
{
    for (; *text; text++) {
        if (*text == '\\')
            fputc('\\', stream);
        fputc(*text, stream);
    }
}

static void write_motion(FILE *stream, const record *self)
{
    const trk_motion *motion = &self->motion;
    const trk_box *box = &motion->predicted;
    fprintf(stream, ",\"hypothesis\":%d,\"kept\":%s,\"motion\":{\"predicted\":", self->hypothesis,
            self->kept ? "true" : "false");
    if (motion->has_prediction && isfinite(box->x) && isfinite(box->y) && isfinite(box->width) && isfinite(box->height))
        fprintf(stream, "[%.2f,%.2f,%.2f,%.2f]", (double)box->x, (double)box->y, (double)box->width,
                (double)box->height);
    else
        fputs("null", stream);
    write_score(stream, "score", motion->has_score ? motion->score : NAN);
    fprintf(stream, ",\"stable\":%d}", motion->n_stable);
}

static void write_object(FILE *stream, const record *self, int width, int height)
{
    const trk_region *where = &self->where;
    fprintf(stream, "{\"id\":%d,\"box\":", self->object);
    if (where->area)
        fprintf(stream, "[%d,%d,%d,%d]", where->x, where->y, where->width, where->height);
    else
        fputs("null", stream);
    fprintf(stream, ",\"area\":%d", where->area);
    write_score(stream, "object_score", (double)self->object_score);
    write_score(stream, "iou", (double)self->iou);
    if (self->motion.has_model)
        write_motion(stream, self);
    fprintf(stream, ",\"rle\":{\"size\":[%d,%d],\"counts\":\"", height, width);
    write_counts(stream, self->runs.text);
    fputs("\"}}", stream);
}

void records_write_json(FILE *stream, const record *records, size_t n_records, int64_t frame, double pts, int width,
                        int height)
{
    const char *separator = "";
    fprintf(stream, "{\"frame\":%" PRId64 ",\"pts\":%.6f,\"objects\":[", frame, pts);
    for (size_t i = 0; i < n_records; i++) {
        if (!records[i].present)
            continue;
        fputs(separator, stream);
        write_object(stream, &records[i], width, height);
        separator = ",";
    }
    fputs("]}\n", stream);
}

void record_write_box(FILE *stream, const record *self)
{
    const trk_region none = {0}, *where = self->present ? &self->where : &none;
    fprintf(stream, "%d,%d,%d,%d\n", where->x, where->y, where->width, where->height);
}
