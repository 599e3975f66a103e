/* SPDX-License-Identifier: Apache-2.0
 * Readers of datasets: a tiny one of each layout, what is read from it, and what is said of one that is broken. Images
 * of videos are empty files here: only true masks are decoded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "eval/dataset.h"
#include "eval/frame_names.h"
#include "heap.h"
#include "index_map.h"
#include "scratch_folder.h"
#include "video.h"

enum { WIDTH = 6, HEIGHT = 4 };

/* --- files ------------------------------------------------------------------------------------------------------ */

static void make_folders(const char *path)
{
    char copy[256];
    snprintf(copy, sizeof copy, "%s", path);
    for (char *slash = strchr(copy, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(copy, 0777);
        *slash = '/';
    }
}

static void put(const char *path, const char *text)
{
    make_folders(path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* from, from + step, ...: n images named by number. */
static void put_images(const char *path, int digits, int from, int step, int n)
{
    char name[256];
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%s/%0*d.jpg", path, digits, from + i * step);
        put(name, "");
    }
}

/* Rows of a PNG: WIDTH digits each are indices, '9' is 255. */
static void put_mask(const char *path, const char *digits)
{
    static const uint8_t palette[256][3];
    uint8_t indices[WIDTH * HEIGHT];
    assert_int_equal(strlen(digits), sizeof indices);
    for (size_t i = 0; i < sizeof indices; i++)
        indices[i] = digits[i] == '9' ? 255 : (uint8_t)(digits[i] - '0');
    make_folders(path);
    assert_int_equal(trk_image_write_indexed(path, indices, WIDTH, HEIGHT, WIDTH, palette), TRK_OK);
}

static const char nothing[] = "000000000000000000000000";
static const char one[] = "110000110000000000000000";
static const char both[] = "110000110000000022000922";
static const char two[] = "000000000000000222000222";

static void make_davis(void)
{
    put("davis/ImageSets/2017/val.txt", "zebra\r\n\nant\n");
    put("davis/ImageSets/2017/train.txt", "ant\n");
    put_images("davis/JPEGImages/480p/ant", 5, 0, 1, 3);
    put_images("davis/JPEGImages/480p/zebra", 5, 0, 1, 2);
    put_mask("davis/Annotations/480p/ant/00000.png", one);
    put_mask("davis/Annotations/480p/ant/00001.png", both); /* 2 was not there at first: not an object */
    put_mask("davis/Annotations/480p/ant/00002.png", nothing);
    put_mask("davis/Annotations/480p/zebra/00000.png", both);
    put("davis/ImageSets/2017/gap.txt", "cow\n");
    put_images("davis/JPEGImages/480p/cow", 5, 0, 1, 2);
    put_mask("davis/Annotations/480p/cow/00000.png", two);
    put_mask("davis/Annotations/480p/cow/00001.png", both);
}

static void make_sav(void)
{
    put("sav/sav_val.txt", "sav_1\n");
    put_images("sav/JPEGImages_24fps/sav_1", 5, 0, 1, 10);
    put_mask("sav/Annotations_6fps/sav_1/000/00000.png", one);
    put_mask("sav/Annotations_6fps/sav_1/000/00004.png", one);
    put_mask("sav/Annotations_6fps/sav_1/007/00004.png", one); /* over the other one */
    put_mask("sav/Annotations_6fps/sav_1/007/00008.png", two);
}

static void make_youtube(void)
{
    put("youtube/valid/meta.json", "{\"videos\": {\"cat\": {\"objects\": {"
                                   "\"2\": {\"category\": \"cat\", \"frames\": [\"00005\", \"00010\"]},"
                                   "\"1\": {\"category\": \"ape\", \"frames\": [\"00000\"]}}}}}");
    put_images("youtube/valid/JPEGImages/cat", 5, 0, 5, 3);
    put_mask("youtube/valid/Annotations/cat/00000.png", one);
    put_mask("youtube/valid/Annotations/cat/00005.png", two); /* the new object alone */
    put("youtube/train/meta.json", "{\"videos\": {\"cat\": {\"objects\": {\"1\": {\"frames\": [\"00000\"]}, "
                                   "\"2\": {\"frames\": [\"00005\"]}}}, "
                                   "\"dot\": {\"objects\": {\"1\": {\"frames\": [\"00000\"]}}}}}");
    put_images("youtube/train/JPEGImages/cat", 5, 0, 5, 3);
    put_mask("youtube/train/Annotations/cat/00000.png", one);
    put_mask("youtube/train/Annotations/cat/00005.png", both);
    put_mask("youtube/train/Annotations/cat/00010.png", both);
    put_images("youtube/train/JPEGImages/dot", 5, 0, 1, 1);
    put_mask("youtube/train/Annotations/dot/00000.png", one);
    put("lvos/val/val_meta.json",
        "{\"videos\": {\"long\": {\"objects\": {\"2\": {\"frame_range\": {\"start\": 1, \"end\": \"00000011\"}}, "
        "\"1\": {\"frame_range\": {\"start\": \"00000006\", \"end\": 18, \"frame_nums\": 3}}}}}}");
    put_images("lvos/val/JPEGImages/long", 8, 1, 5, 5);
    for (int i = 1; i < 26; i += 5) {
        char path[64];
        snprintf(path, sizeof path, "lvos/val/Annotations/long/%08d.png", i);
        put_mask(path, one);
    }
    put("lvos/odd/odd_meta.json", "{\"videos\": {\"long\": {\"objects\": {\"1\": {\"frame_range\": {\"start\": 1, "
                                  "\"end\": -9223372036854775808, \"frame_nums\": 2}}}}}}");
    put_images("lvos/odd/JPEGImages/long", 8, 1, 5, 3);
    put_mask("lvos/odd/Annotations/long/00000001.png", one);
    put("lvos/test/test_meta.json",
        "{\"videos\": {\"long\": {\"objects\": {\"1\": {\"frame_range\": {\"start\": 1, \"end\": 11}}, "
        "\"2\": {\"frame_range\": {\"start\": 6, \"end\": 11}}}}}}");
    put_images("lvos/test/JPEGImages/long", 8, 1, 5, 3);
    put_mask("lvos/test/Annotations/long/00000001.png", one);
    put_mask("lvos/test/Annotations/long/00000006.png", two);
    put_images("mose/JPEGImages/a", 5, 0, 1, 3); /* no meta.json */
    put_mask("mose/Annotations/a/00000.png", one);
    put_mask("mose/Annotations/a/00001.png", both);
    put_mask("mose/Annotations/a/00002.png", both);
}

static void make_boxes(void)
{
    put("lasot/testing_set.txt", "cat-1\n");
    put_images("lasot/cat/cat-1/img", 8, 1, 1, 4);
    put("lasot/cat/cat-1/groundtruth.txt", "1,2,3,4\n2,2,3,4\n0,0,0,0\n4.5,2,3,4\n");
    put("lasot/cat/cat-1/full_occlusion.txt", "0,1,0,0");
    put("lasot/cat/cat-1/out_of_view.txt", "0,0,0,0\n");
    put_images("lasot/dog/dog-2/img", 8, 1, 1, 1);
    put("lasot/dog/dog-2/groundtruth.txt", "1,2,3,4");
    put("lasot/dog/dog-2/full_occlusion.txt", "0");
    put("lasot/dog/dog-2/out_of_view.txt", "0");
    put("got/val/list.txt", "G_1\n");
    put_images("got/val/G_1", 8, 1, 1, 3);
    put("got/val/G_1/groundtruth.txt", "1.0000,2.0000,3.5000,4.0000\r\n2,2,3,4\r\n3,2,3,4\r\n");
    put("got/val/G_1/absence.label", "0\n1\n0\n");
    put("got/val/G_1/cover.label", "8\n8\n0\n");
    put_images("got/test/G_9", 8, 1, 1, 3);
    put("got/test/G_9/groundtruth.txt", "5,6,7,8\n");
    put_images("tn/TEST/frames/T-1_x", 1, 0, 1, 11); /* 0.jpg ... 10.jpg */
    put("tn/TEST/anno/T-1_x.txt", "5.5,6,7,8.25\n");
    put_images("tn/TRAIN_0/frames/T_2", 1, 8, 1, 3);
    put("tn/TRAIN_0/anno/T_2.txt", "1,2,3,4\n2.5,2,3,4\n0,0,0,0\n");
    put("mot/train/M-1/seqinfo.ini", "[Sequence]\nname=M-1\nimDir=img1\nframeRate=30\nseqLength=4\nimWidth=100\n"
                                     "imHeight = 80\nimExt=.jpg\n");
    put_images("mot/train/M-1/img1", 6, 1, 1, 4);
    put("mot/train/M-1/gt/gt.txt", "3,2,11,21,30,40,1,1,0.5\n" /* behind the others in the file's order */
                                   "1,2,1,1,30,40,1,1,0\n"     /* hidden: no prompt */
                                   "2,2,-9,11,30,100,1,1,1\n"  /* reaches out of the picture on three sides */
                                   "1,5,1,1,30,40,0,1,1\n"     /* flag 0 */
                                   "1,6,1,1,30,40,1,3,1\n"     /* a car */
                                   "4,300,1, 1,10,10,1,1,1\n");
}

#define MANIFEST_CLIP                                                                                                  \
    "{\"name\": \"b/c\", \"tests\": \"runs\", \"video\": \"v.mp4\", \"truth\": {\"rle\": \"t.json\"}, "
static const char manifest[] =
    "{\"format\": \"track-samples-1\", \"made_by\": 1, \"clips\": [" MANIFEST_CLIP
    "\"frames\": 2, \"width\": 6, \"height\": 4, \"fps\": 24, \"objects\": [{\"id\": 2, \"frame\": 1}, "
    "{\"id\": 1, \"box\": [0, 0, 2, 2.5]}]},\n"
    "{\"name\": \"a\", \"video\": \"frames\", \"truth\": \"masks\", \"objects\": "
    "[{\"id\": 1, \"frame\": 1, \"box\": [0, 0, 2, 2], \"prompt\": \"mask\"}]}]}";
/* in columns of 4: `one` is 0 zeros, 2 ones, 2, 2 and 18 zeros, the last two less those two before them 0 and 16; `two`
 * is 14 zeros, then 2 of each kind five times. 3 is no object of the manifest. */
static const char runs[] = "{\"size\": [4, 6], \"frames\": [{\"1\": \"0220`0\"}, {\"2\": \">22000\", \"3\": \"\"}]}";

static void make_manifest(void)
{
    put("samples/manifest.json", manifest);
    put("samples/t.json", runs);
    put("samples/v.mp4", "");
    put_images("samples/frames", 5, 0, 1, 3);
    put_mask("samples/masks/00001.png", one);
    put_mask("samples/masks/00002.png", both);
    put_mask("samples/late/00001.png", one);
    put_mask("samples/late/00002.png", one);
    put_mask("samples/late/00004.png", one);
}

static int make_all(void **state)
{
    if (scratch_enter(state))
        return -1;
    make_davis();
    make_sav();
    make_youtube();
    make_boxes();
    make_manifest();
    put("nothing/readme.txt", "");
    return 0;
}

/* --- what is read ----------------------------------------------------------------------------------------------- */

static void open_as(dataset *out, const char *path, const char *split, dataset_layout layout)
{
    if (dataset_open(out, path, DATASET_AUTO, split, NULL))
        fail_msg("%s: %s", path, trk_error_text());
    assert_int_equal(out->layout, layout);
}

static void check_object(const dataset_object *object, int id, int64_t first, int64_t last, int has_box)
{
    assert_int_equal(object->id, id);
    assert_int_equal(object->first_frame, first);
    assert_int_equal(object->last_frame, last);
    assert_int_equal(object->has_box, has_box);
}

/* The mask of an object on annotated[i], in the digits of put_mask. */
static void check_mask(const dataset_clip *clip, truth_masks *masks, size_t i, size_t object, const char *digits,
                       char of)
{
    uint8_t mask[WIDTH * HEIGHT];
    assert_int_equal(dataset_clip_truth(masks, clip, i), TRK_OK);
    assert_int_equal(masks->width, WIDTH);
    assert_int_equal(masks->height, HEIGHT);
    truth_masks_object(mask, masks, clip, object);
    for (size_t k = 0; k < sizeof mask; k++)
        assert_int_equal(mask[k], digits[k] == of);
}

static void test_davis(void **state)
{
    (void)state;
    dataset set;
    truth_masks masks = {0};
    open_as(&set, "davis//", NULL, DATASET_DAVIS);
    assert_string_equal(set.path, "davis");
    assert_int_equal(set.n_clips, 2);
    const dataset_clip *ant = &set.clips[0], *zebra = &set.clips[1];
    assert_string_equal(ant->name, "ant");
    assert_string_equal(ant->frames, "davis/JPEGImages/480p/ant");
    assert_true(ant->kind == TRUTH_INDEXED && ant->skips_ends && ant->void_label == -1 && ant->n_frames == 3);
    assert_int_equal(ant->n_annotated, 3);
    assert_string_equal(ant->files[1], "davis/Annotations/480p/ant/00001.png");
    assert_int_equal(ant->n_objects, 1);
    check_object(&ant->objects[0], 1, 0, 2, 0);
    check_mask(ant, &masks, 0, 0, one, '1');
    check_mask(ant, &masks, 1, 0, both, '1');
    check_mask(ant, &masks, 2, 0, nothing, '1');
    assert_int_equal(zebra->n_frames, 2);
    assert_int_equal(zebra->n_annotated, 1);
    assert_int_equal(zebra->n_objects, 2); /* 255 is none */
    check_mask(zebra, &masks, 0, 1, both, '2');
    truth_masks_free(&masks);
    dataset_close(&set);
    open_as(&set, "davis", "gap", DATASET_DAVIS);
    const dataset_clip *cow = &set.clips[0];
    assert_int_equal(cow->n_objects, 2); /* 1 is not there at first, but below 2 */
    check_object(&cow->objects[0], 1, 0, 1, 0);
    check_object(&cow->objects[1], 2, 0, 1, 0);
    assert_true(cow->objects[0].unprompted && !cow->objects[1].unprompted);
    dataset_close(&set);
    open_as(&set, "davis", "train", DATASET_DAVIS);
    assert_int_equal(set.n_clips, 1);
    dataset_close(&set);
}

static void test_sav(void **state)
{
    (void)state;
    dataset set;
    truth_masks masks = {0};
    open_as(&set, "sav", "val", DATASET_SAV);
    const dataset_clip *clip = &set.clips[0];
    assert_true(set.n_clips == 1 && clip->kind == TRUTH_BINARY && clip->n_frames == 10);
    assert_true(clip->skips_ends && clip->skips_unseen);
    assert_int_equal(clip->n_annotated, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(clip->annotated[i], 4 * i);
    assert_int_equal(clip->n_objects, 2);
    check_object(&clip->objects[0], 1, 0, 4, 0);
    check_object(&clip->objects[1], 2, 4, 8, 0);
    assert_string_equal(clip->objects[1].name, "007");
    check_mask(clip, &masks, 1, 0, one, '1');
    check_mask(clip, &masks, 1, 1, one, '1');
    check_mask(clip, &masks, 2, 1, two, '2');
    assert_null(masks.masks[0]);
    check_mask(clip, &masks, 0, 0, one, '1');
    assert_null(masks.masks[1]);
    truth_masks_free(&masks);
    dataset_close(&set);
}

/* A clip without a mask that is not some object's prompt: no frame lies between the ends of its objects, which are left
 * out. */
static void check_prompts_alone(const char *path, const char *split)
{
    dataset set;
    open_as(&set, path, split, DATASET_YOUTUBE_VOS);
    const dataset_clip *clip = &set.clips[0];
    assert_true(set.n_clips == 1 && clip->n_frames == 3 && clip->skips_ends && clip->n_objects == 2);
    check_object(&clip->objects[0], 1, 0, 0, 0);
    check_object(&clip->objects[1], 2, 1, 1, 0); /* 00005 is the second image */
    dataset_close(&set);
}

static void test_youtube_vos(void **state)
{
    (void)state;
    dataset set;
    open_as(&set, "youtube", "train", DATASET_YOUTUBE_VOS);
    const dataset_clip *clip = &set.clips[0];
    assert_true(set.n_clips == 2 && clip->n_frames == 3 && !clip->skips_ends && clip->n_objects == 2);
    check_object(&clip->objects[0], 1, 0, 2, 0);
    check_object(&clip->objects[1], 2, 1, 2, 0);
    clip = &set.clips[1];
    assert_true(clip->skips_ends && clip->n_frames == 1); /* a single frame is the prompt */
    check_object(&clip->objects[0], 1, 0, 0, 0);
    dataset_close(&set);
    check_prompts_alone("youtube", NULL);
    check_prompts_alone("lvos", "test");
    assert_int_equal(dataset_open(&set, "lvos", DATASET_AUTO, "odd", NULL), TRK_E_FORMAT);
    assert_non_null(strstr(trk_error_text(), "clip long: object 1: expected \"frames\""));
    open_as(&set, "lvos/val", NULL, DATASET_YOUTUBE_VOS);
    assert_true(set.clips[0].skips_ends && set.clips[0].n_objects == 2);
    check_object(&set.clips[0].objects[0], 1, 1, 3, 0); /* images 1 6 11 16 21: 16 is the last up to 18 */
    check_object(&set.clips[0].objects[1], 2, 0, 2, 0);
    dataset_close(&set);
    assert_int_equal(chdir("lvos/val"), 0);
    open_as(&set, ".", NULL, DATASET_YOUTUBE_VOS); /* val_meta.json all the same */
    check_object(&set.clips[0].objects[0], 1, 1, 3, 0);
    dataset_close(&set);
    assert_int_equal(chdir("../.."), 0);
    open_as(&set, "mose", NULL, DATASET_YOUTUBE_VOS);
    clip = &set.clips[0];
    assert_true(clip->skips_ends && clip->n_frames == 3 && clip->n_annotated == 3 && clip->n_objects == 2);
    check_object(&clip->objects[0], 1, 0, 2, 0);
    check_object(&clip->objects[1], 2, 1, 2, 0);
    dataset_close(&set);
    put("mose/meta.json", "{\"videos\": {\"a\": {\"length\": 3, \"objects\": [1]}}}"); /* tells no frames */
    open_as(&set, "mose", NULL, DATASET_YOUTUBE_VOS);
    assert_int_equal(set.clips[0].n_objects, 2);
    dataset_close(&set);
    unlink("mose/meta.json");
}

static void check_box(trk_box box, double x, double y, double width, double height)
{
    assert_true(box.x == x && box.y == y && box.width == width && box.height == height);
}

static void test_lasot_and_got10k(void **state)
{
    (void)state;
    dataset set;
    open_as(&set, "lasot", NULL, DATASET_LASOT); /* testing_set.txt */
    assert_int_equal(set.n_clips, 1);
    const dataset_clip *clip = &set.clips[0];
    assert_string_equal(clip->name, "cat-1");
    assert_string_equal(clip->frames, "lasot/cat/cat-1/img");
    assert_true(clip->kind == TRUTH_BOXES && clip->n_frames == 4 && clip->n_objects == 1 && !clip->n_annotated);
    check_object(&clip->objects[0], 1, 0, 3, 1);
    check_box(clip->objects[0].box, 1, 2, 3, 4);
    check_box(clip->objects[0].boxes[3], 4.5, 2, 3, 4);
    assert_memory_equal(clip->objects[0].visible, ((unsigned char[]){1, 0, 0, 1}), 4); /* hidden, without area */
    dataset_close(&set);
    assert_int_equal(rename("lasot/testing_set.txt", "lasot/list"), 0);
    open_as(&set, "lasot", NULL, DATASET_LASOT);
    assert_true(set.n_clips == 2 && !strcmp(set.clips[1].name, "dog-2"));
    dataset_close(&set);
    assert_int_equal(rename("lasot/list", "lasot/testing_set.txt"), 0);
    open_as(&set, "lasot/cat", NULL, DATASET_LASOT);
    assert_int_equal(set.n_clips, 1);
    dataset_close(&set);

    open_as(&set, "got", NULL, DATASET_GOT10K);
    clip = &set.clips[0];
    check_box(clip->objects[0].box, 1, 2, 3.5, 4);
    assert_memory_equal(clip->objects[0].visible, ((unsigned char[]){1, 0, 0}), 3); /* absent, cover 0 */
    dataset_close(&set);
    open_as(&set, "got", "test", DATASET_GOT10K); /* the prompt alone */
    assert_true(set.clips[0].n_frames == 3 && !strcmp(set.clips[0].frames, "got/test/G_9"));
    assert_memory_equal(set.clips[0].objects[0].visible, ((unsigned char[]){1, 0, 0}), 3);
    dataset_close(&set);
}

static void test_trackingnet(void **state)
{
    (void)state;
    dataset set;
    open_as(&set, "tn", NULL, DATASET_TRACKINGNET); /* TEST */
    const dataset_clip *clip = &set.clips[0];
    assert_true(set.n_clips == 1 && clip->kind == TRUTH_BOXES && clip->n_frames == 11 && clip->n_objects == 1);
    assert_string_equal(clip->name, "T-1_x");
    assert_string_equal(clip->frames, "tn/TEST/frames/T-1_x");
    assert_string_equal(clip->truth, "tn/TEST/anno/T-1_x.txt");
    check_object(&clip->objects[0], 1, 0, 10, 1);
    check_box(clip->objects[0].box, 5.5, 6, 7, 8.25);
    for (int i = 0; i < 11; i++)
        assert_int_equal(clip->objects[0].visible[i], 0); /* the prompt alone is nothing to score */
    dataset_close(&set);
    open_as(&set, "tn", "TRAIN_0", DATASET_TRACKINGNET);
    clip = &set.clips[0];
    assert_true(set.n_clips == 1 && clip->n_frames == 3);
    check_box(clip->objects[0].box, 1, 2, 3, 4);
    check_box(clip->objects[0].boxes[1], 2.5, 2, 3, 4);
    assert_memory_equal(clip->objects[0].visible, ((unsigned char[]){1, 1, 0}), 3); /* without area */
    dataset_close(&set);
    open_as(&set, "tn/TRAIN_0", NULL, DATASET_TRACKINGNET);
    assert_string_equal(set.clips[0].name, "T_2");
    dataset_close(&set);
}

static void test_mot(void **state)
{
    (void)state;
    dataset set;
    open_as(&set, "mot", NULL, DATASET_MOT);
    const dataset_clip *clip = &set.clips[0];
    assert_true(set.n_clips == 1 && clip->n_frames == 4 && clip->width == 100 && clip->height == 80);
    assert_string_equal(clip->frames, "mot/train/M-1/img1");
    assert_int_equal(clip->n_objects, 2);
    check_object(&clip->objects[0], 2, 1, 2, 1);
    check_box(clip->objects[0].box, 0, 10, 20, 70); /* pixels from 0, cut at the edges */
    check_box(clip->objects[0].boxes[1], -10, 10, 30, 100);
    check_box(clip->objects[0].boxes[2], 10, 20, 30, 40);
    assert_memory_equal(clip->objects[0].visible, ((unsigned char[]){0, 1, 1, 0}), 4);
    check_object(&clip->objects[1], 300, 3, 3, 1);
    dataset_close(&set);
    put("old/A/seqinfo.ini", "seqLength=1\nimWidth=100\nimHeight=80\n");
    put_images("old/A/img1", 6, 1, 1, 1);
    put("old/A/gt/gt.txt", "1,4,2,3,4,5,1,-1,-1,-1\n"); /* 2015: without classes */
    open_as(&set, "old", NULL, DATASET_MOT);
    check_box(set.clips[0].objects[0].box, 1, 2, 4, 5);
    dataset_close(&set);
}

static void test_masks(void **state)
{
    (void)state;
    dataset set;
    open_as(&set, "samples/masks/", NULL, DATASET_MASKS);
    const dataset_clip *clip = &set.clips[0];
    assert_string_equal(clip->name, "masks");
    assert_true(!clip->frames && clip->n_frames == 3 && clip->n_annotated == 2 && clip->void_label == 255);
    assert_int_equal(clip->n_objects, 2);
    check_object(&clip->objects[0], 1, 1, 2, 0);
    check_object(&clip->objects[1], 2, 2, 2, 0);
    dataset_close(&set);
}

static void test_manifest(void **state)
{
    (void)state;
    dataset set;
    truth_masks masks = {0};
    open_as(&set, "samples", NULL, DATASET_MANIFEST);
    assert_int_equal(set.n_clips, 2);
    const dataset_clip *a = &set.clips[0], *b = &set.clips[1];
    assert_true(a->kind == TRUTH_INDEXED && a->n_frames == 3 && !a->skips_ends && !a->tests && !a->width);
    assert_string_equal(a->frames, "samples/frames");
    check_object(&a->objects[0], 1, 1, 2, 0); /* "prompt": "mask" */
    assert_true(b->kind == TRUTH_RLE && b->n_frames == 2 && b->n_annotated == 2 && b->width == 6);
    assert_string_equal(b->name, "b/c");
    assert_string_equal(b->tests, "runs");
    assert_string_equal(b->frames, "samples/v.mp4");
    check_object(&b->objects[0], 1, 0, 1, 1);
    check_box(b->objects[0].box, 0, 0, 2, 2.5);
    check_object(&b->objects[1], 2, 1, 1, 0);
    check_mask(b, &masks, 0, 0, one, '1');
    check_mask(b, &masks, 0, 1, nothing, '2');
    check_mask(a, &masks, 1, 0, both, '1'); /* the same buffers for another kind */
    assert_null(masks.masks);
    check_mask(b, &masks, 1, 1, two, '2');
    assert_null(masks.indices);
    assert_int_equal(dataset_clip_truth(&masks, b, 2), TRK_E_ARGUMENT);
    truth_masks_free(&masks);
    dataset_close(&set);
    open_as(&set, "samples/manifest.json", NULL, DATASET_MANIFEST);
    dataset_close(&set);
}

/* Only the clips that are asked for are opened: what is not there of the others, or broken, does not matter. */
static void test_chosen_clips(void **state)
{
    (void)state;
    static const struct {
        const char *path, *only, *name;
        size_t n_left_out;
    } cases[] = {
        {"samples", "a,b/c2", "a", 1}, /* manifest */
        {"davis", "x,zebra", "zebra", 1}, {"sav", "sav_1", "sav_1", 1},       {"mose", "a", "a", 2},
        {"lasot", "cat-1", "cat-1", 1},   {"lasot/cat", "cat-1", "cat-1", 0}, {"got", "G_1,G_3", "G_1", 1},
        {"tn/TRAIN_0", "T_2", "T_2", 1},  {"mot", "M-1", "M-1", 1},
    };
    put("davis/ImageSets/2017/val.txt", "ant\nzebra\n");
    assert_int_equal(rename("davis/JPEGImages/480p/ant", "ant"), 0);
    put("sav/sav_val.txt", "sav_1\nsav_10\n");
    put("mose/Annotations/aa/00000.png", "no PNG");
    put("mose/Annotations/a,b/00000.png", "no PNG");
    put("lasot/testing_set.txt", "cat-1\ndog-9\n");
    put("got/val/list.txt", "G_1\nG_2\n");
    put("tn/TRAIN_0/frames/T_3/readme", "");
    put("mot/train/M-2/seqinfo.ini", "x");
    assert_int_equal(rename("samples/t.json", "t.json"), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dataset set;
        if (dataset_open(&set, cases[i].path, DATASET_AUTO, NULL, cases[i].only))
            fail_msg("%s: %s", cases[i].path, trk_error_text());
        if (set.n_clips != 1 || strcmp(set.clips[0].name, cases[i].name) || set.n_left_out != cases[i].n_left_out)
            fail_msg("%s: %zu clips, %zu left out", cases[i].path, set.n_clips, set.n_left_out);
        dataset_close(&set);
        assert_int_equal(dataset_open(&set, cases[i].path, DATASET_AUTO, NULL, "nothing"), TRK_OK);
        assert_true(!set.n_clips && set.n_left_out == cases[i].n_left_out + 1); /* to be told by who asked */
        dataset_close(&set);
    }
    assert_int_equal(rename("t.json", "samples/t.json"), 0);
    assert_int_equal(rename("ant", "davis/JPEGImages/480p/ant"), 0);
    put("davis/ImageSets/2017/val.txt", "zebra\r\n\nant\n");
    put("sav/sav_val.txt", "sav_1\n");
    put("lasot/testing_set.txt", "cat-1\n");
    put("got/val/list.txt", "G_1\n");
    assert_true(!scratch_remove("mose/Annotations/aa") && !scratch_remove("mose/Annotations/a,b"));
    assert_true(!scratch_remove("tn/TRAIN_0/frames/T_3") && !scratch_remove("mot/train/M-2"));
}

/* Control characters would end up in the table; what is not UTF-8 stays a name. */
static void test_names_of_folders(void **state)
{
    (void)state;
    static const char *const unsafe[] = {"a\nb", "a\033[2Jb", "a\177"};
    for (size_t i = 0; i < sizeof unsafe / sizeof *unsafe; i++) {
        dataset set;
        char path[64];
        snprintf(path, sizeof path, "mose/Annotations/%s", unsafe[i]);
        assert_int_equal(mkdir(path, 0777), 0);
        assert_int_equal(dataset_open(&set, "mose", DATASET_AUTO, NULL, NULL), TRK_E_FORMAT);
        assert_non_null(strstr(trk_error_text(), "mose/Annotations: folder \"a"));
        dataset_close(&set);
        rmdir(path);
    }
    dataset set;
    put_images("mose/JPEGImages/b\xe4r", 5, 0, 1, 1);
    put_mask("mose/Annotations/b\xe4r/00000.png", one);
    open_as(&set, "mose", NULL, DATASET_YOUTUBE_VOS);
    assert_string_equal(set.clips[1].name, "b\xe4r");
    dataset_close(&set);
    assert_true(!scratch_remove("mose/JPEGImages/b\xe4r") && !scratch_remove("mose/Annotations/b\xe4r"));
}

static void test_names(void **state)
{
    (void)state;
    dataset_layout layout;
    for (int i = DATASET_AUTO; i <= DATASET_MOT; i++) {
        assert_int_equal(dataset_layout_parse(&layout, dataset_layout_name((dataset_layout)i)), TRK_OK);
        assert_int_equal(layout, i);
    }
    assert_int_equal(dataset_layout_parse(&layout, "coco"), TRK_E_ARGUMENT);
    assert_string_equal(trk_error_text(), "\"coco\": expected one of auto, manifest, masks, davis, sav, youtube-vos, "
                                          "lasot, got10k, trackingnet, mot");
}

/* --- what is refused -------------------------------------------------------------------------------------------- */

/* The dataset at `path`, opened after one file of it holds something else (NULL: is not there). */
typedef struct broken {
    const char *path, *split, *file, *text, *says;
} broken;

static void check_broken(const broken *it)
{
    dataset set;
    char kept[128] = "";
    snprintf(kept, sizeof kept, "%s-kept", it->file);
    const int was_there = !rename(it->file, kept);
    if (it->text)
        put(it->file, it->text);
    const trk_status rc = dataset_open(&set, it->path, DATASET_AUTO, it->split, NULL);
    if (rc >= 0 || !strstr(trk_error_text(), it->says) || strchr(trk_error_text(), '\n'))
        fail_msg("%s, %s: %d, \"%s\", expected \"%s\"", it->file, it->text ? it->text : "none", rc,
                 rc ? trk_error_text() : "", it->says);
    dataset_close(&set);
    unlink(it->file);
    assert_true(!was_there || !rename(kept, it->file));
}

static void check_all_broken(const broken *cases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_broken(&cases[i]);
}
#define CHECK_BROKEN(cases) check_all_broken(cases, sizeof cases / sizeof *cases)

/* Frames are called as the images that are read, whatever else lies beside them. */
static void test_frame_names(void **state)
{
    (void)state;
    char path[] = "beside/img";
    const dataset_clip clip = {.frames = path};
    frame_names names;
    char name[16];
    put_images(path, 4, 8, 2, 3);
    put("beside/img/0008.txt", "");
    put("beside/img/0009.json", "");
    assert_int_equal(frame_names_open(&names, &clip), TRK_OK);
    static const char *const expected[] = {"0008", "0010", "0012", "00003"};
    for (int i = 0; i < 4; i++) {
        frame_name(name, sizeof name, &names, i);
        assert_string_equal(name, expected[i]);
    }
    frame_names_free(&names);
}

/* Gray PNGs: their values are the indices, whatever their depth; one that 8 bits do not hold is refused. */
static void test_gray_maps(void **state)
{
    (void)state;
    static const char head[] = "\211PNG\r\n\032\n\0\0\0\rIHDR";
    static const struct {
        const char *rest; /* of a PNG of 4 x 1 pixels, 2 x 1 with 16 bits */
        size_t n_rest;
        uint8_t indices[4];
    } cases[] = {
        /* 1, 2, 4 and 16 bits */
        {"\000\000\000\004\000\000\000\001\001\000\000\000\000\321\107\062\140\000\000\000\012\111\104\101"
         "\124\170\332\143\110\000\000\000\142\000\141\034\020\003\177\000\000\000\000\111\105\116\104\256"
         "\102\140\202",
         51,
         {0, 1, 1, 0}},
        {"\000\000\000\004\000\000\000\001\002\000\000\000\000\226\347\110\260\000\000\000\012\111\104\101"
         "\124\170\332\143\220\006\000\000\035\000\034\043\174\217\254\000\000\000\000\111\105\116\104\256"
         "\102\140\202",
         51,
         {0, 1, 2, 3}},
        {"\000\000\000\004\000\000\000\001\004\000\000\000\000\031\247\275\020\000\000\000\013\111\104\101"
         "\124\170\332\143\140\324\007\000\000\064\000\061\345\313\325\066\000\000\000\000\111\105\116\104"
         "\256\102\140\202",
         52,
         {0, 1, 2, 15}},
        {"\000\000\000\002\000\000\000\001\020\000\000\000\000\201\331\374\025\000\000\000\015\111\104\101"
         "\124\170\332\143\140\140\140\250\007\000\000\204\000\200\342\027\164\005\000\000\000\000\111\105"
         "\116\104\256\102\140\202",
         54,
         {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        trk_image image = {0};
        FILE *file = fopen("gray.png", "wb");
        assert_non_null(file);
        fwrite(head, 1, sizeof head - 1, file);
        fwrite(cases[i].rest, 1, cases[i].n_rest, file);
        assert_int_equal(fclose(file), 0);
        if (i == 3) {
            assert_int_equal(index_map_read(&image, "gray.png"), TRK_E_FORMAT);
            assert_non_null(strstr(trk_error_text(), "gray.png: 16 bits"));
            continue;
        }
        assert_int_equal(index_map_read(&image, "gray.png"), TRK_OK);
        assert_memory_equal(image.data, cases[i].indices, 4);
        trk_image_free(&image);
    }
}

static void test_broken_masks(void **state)
{
    (void)state;
    static const broken cases[] = {
        {"no-such", NULL, "x", NULL, "no-such: not there, expected the folder of a dataset"},
        {"nothing", NULL, "x", NULL, "nothing: of no layout known; expected"},
        {"nothing/readme.txt", NULL, "x", NULL, "a file, expected a folder or a manifest"},
        {"davis", "val", "davis/ImageSets/2017/val.txt", NULL, "davis/ImageSets/2017/val.txt: No such file"},
        {"davis", "../x", "x", NULL, "split \"../x\": expected the name"},
        {"davis", NULL, "davis/ImageSets/2017/val.txt", "\n", "val.txt: empty, expected the names of clips"},
        {"davis", NULL, "davis/ImageSets/2017/val.txt", "ant\n../ant\n", "val.txt:2: \"../ant\", expected the name"},
        {"davis", NULL, "davis/ImageSets/2017/val.txt", "ant\nzebra\nant\n", "davis: two clips named ant"},
        {"davis", NULL, "davis/ImageSets/2017/val.txt", "bee\n", "davis/JPEGImages/480p/bee: No such file"},
        {"davis", NULL, "davis/Annotations/480p/ant/00000.png", NULL, "ant: no mask of 00000.jpg, expected one of the"},
        {"davis", NULL, "davis/Annotations/480p/ant/00001.png", NULL,
         "ant: 2 masks, expected one for each of 3 images of davis/JPEGImages/480p/ant, or of the first alone"},
        {"davis", NULL, "davis/Annotations/480p/ant/00000.png", "no PNG", "00000.png: not an image"},
        {"davis", NULL, "davis/Annotations/480p/zebra/00000.png", NULL, "zebra: no PNGs, expected some named by"},
        {"davis", NULL, "davis/Annotations/480p/ant/00007.png", "",
         "ant/00007.png: expected an image of the same number"},
        {"davis", NULL, "davis/Annotations/480p/ant/first.png", "", "ant/first.png: expected images named by number"},
        {"davis", NULL, "davis/JPEGImages/480p/ant/1.jpg", "", "00001.jpg and 1.jpg have the same number"},
        {"sav", "test", "x", NULL, "sav: neither sav_test.txt nor test.txt"},
        {"sav", NULL, "sav/sav_val.txt", "sav_2", "sav/JPEGImages_24fps/sav_2: No such file"},
        {"sav", NULL, "sav/Annotations_6fps/sav_1/007/00011.png", "",
         "00011.png: expected an image of the same number"},
        {"sav", NULL, "sav/Annotations_6fps/sav_1/000/8.png", "", "00008.png and 8.png, expected the same name"},
        {"sav", NULL, "sav/Annotations_6fps/sav_1/007/004.png", "", "00004.png and 004.png have the same number"},
        {"youtube", "dev", "x", NULL, "youtube/dev: no such folder, expected that of the split"},
        {"youtube", NULL, "youtube/valid/meta.json", "{", "youtube/valid/meta.json: line 1, column 1"},
        {"youtube", NULL, "youtube/valid/meta.json", "[]", "meta.json: no \"videos\", expected"},
        {"youtube", NULL, "youtube/valid/meta.json", "{\"videos\": {}}",
         "clip cat of youtube/valid/Annotations is not"},
        {"youtube", NULL, "youtube/valid/meta.json", "{\"videos\": {\"cat\": {\"objects\": {\"255\": {}}}}}",
         "object \"255\", expected a number from 1 to 254"},
        {"youtube", NULL, "youtube/valid/meta.json",
         "{\"videos\": {\"cat\": {\"objects\": {\"1\": {\"frames\": [\"00004\"]}}}}}", "object 1: expected \"frames\""},
        {"youtube", NULL, "youtube/valid/meta.json",
         "{\"videos\": {\"cat\": {\"objects\": {\"1\": {\"frames\": [\"00010\"]}}}}}",
         "no mask of frame 2, expected that"},
        {"youtube", NULL, "youtube/valid/meta.json", "{\"videos\": {\"cat\": {\"objects\": {}}}}", "cat: no object"},
    };
    CHECK_BROKEN(cases);
}

static void test_broken_boxes(void **state)
{
    (void)state;
    static const broken cases[] = {
        {"lasot", "val", "x", NULL, "split \"val\": expected test or train"},
        {"lasot", "train", "x", NULL, "lasot/training_set.txt: No such file"},
        {"lasot", NULL, "lasot/testing_set.txt", "cat-2", "lasot/cat/cat-2/groundtruth.txt: not there"},
        {"lasot", NULL, "lasot/cat/cat-1/groundtruth.txt", "1,2,3,4\n1,2,3\n",
         "groundtruth.txt:2: \"1,2,3\", expected a"},
        {"lasot", NULL, "lasot/cat/cat-1/groundtruth.txt", "1,2,3,x\n",
         "groundtruth.txt:1: \"1,2,3,x\", expected a box"},
        {"lasot", NULL, "lasot/cat/cat-1/groundtruth.txt", "1,2,3,nan\n", "groundtruth.txt:1: \"1,2,3,nan\""},
        {"lasot", NULL, "lasot/cat/cat-1/groundtruth.txt", "1,2,3,1e10\n", "groundtruth.txt:1: \"1,2,3,1e10\""},
        {"lasot", NULL, "lasot/cat/cat-1/groundtruth.txt", "1,2,3,4,5\n", "groundtruth.txt:1: \"1,2,3,4,5\""},
        {"lasot", NULL, "lasot/cat/cat-1/groundtruth.txt", "1,2,0,4\n", "groundtruth.txt:1: a box without area"},
        {"lasot", NULL, "lasot/cat/cat-1/groundtruth.txt", "1,2,3,4\n", "1 lines, expected 4, one for each image"},
        {"lasot", NULL, "lasot/cat/cat-1/groundtruth.txt", "1,2,3,4\n1,2,3,4\n1,2,3,4\n1,2,3,4\n1,2,3,4",
         "more lines, expected 4"},
        {"lasot", NULL, "lasot/cat/cat-1/groundtruth.txt", "", "groundtruth.txt:1: \"\", expected a box"},
        {"lasot", NULL, "lasot/cat/cat-1/full_occlusion.txt", "0,1,0", "full_occlusion.txt: 3 marks, expected 4"},
        {"lasot", NULL, "lasot/cat/cat-1/full_occlusion.txt", "0,1,0,2.5", "full_occlusion.txt: mark 4 is \"2.5\""},
        {"lasot", NULL, "lasot/cat/cat-1/out_of_view.txt", NULL, "out_of_view.txt: No such file"},
        {"got", NULL, "got/val/G_1/absence.label", NULL, "absence.label: No such file"},
        {"got", NULL, "got/val/G_1/cover.label", "8\n8\n9\n", "cover.label: mark 3 is \"9\""},
        {"got", NULL, "got/val/list.txt", "G_2", "got/val/G_2: No such file"},
        {"tn", "TRAIN_5", "x", NULL, "tn/TRAIN_5: no such folder, expected that of the split"},
        {"tn", "TRAIN_0", "tn/TRAIN_0/anno/T_2.txt", NULL, "tn/TRAIN_0/anno/T_2.txt: No such file"},
        {"tn", "TRAIN_0", "tn/TRAIN_0/anno/T_2.txt", "1,2,3,4\n1,2,3,4\n", "2 lines, expected 3, one for each image"},
        {"tn", NULL, "tn/TEST/anno/T-1_x.txt", "1 2 3 4\n", "T-1_x.txt:1: \"1 2 3 4\", expected a box"},
        {"tn", NULL, "tn/TEST/anno/T-1_x.txt", "1,2,0,4\n", "T-1_x.txt:1: a box without area"},
        {"mot", "test", "x", NULL, "mot/test: no such folder"},
        {"mot", NULL, "mot/train/M-1/seqinfo.ini", NULL, "mot/train: no CLIP/seqinfo.ini"},
        {"mot", NULL, "mot/train/M-1/seqinfo.ini", "seqLength=4\nimWidth=x\n", "seqinfo.ini:2: imWidth is \"x\""},
        {"mot", NULL, "mot/train/M-1/seqinfo.ini", "seqLength=4\n", "seqinfo.ini: expected seqLength, imWidth and"},
        {"mot", NULL, "mot/train/M-1/seqinfo.ini", "imDir=../img\n", "seqinfo.ini:1: imDir is \"../img\""},
        {"mot", NULL, "mot/train/M-1/seqinfo.ini", "seqLength=5\nimWidth=9\nimHeight=9", "4 images, expected the 5 of"},
        {"mot", NULL, "mot/train/M-1/gt/gt.txt", "1,1,1,1,5,5,1,1\n", "gt.txt:1: \"1,1,1,1,5,5,1,1\", expected frame"},
        {"mot", NULL, "mot/train/M-1/gt/gt.txt", "1,1,1,1,5,5,1,1,1\n5,1,1,1,5,5,1,1,1", "gt.txt:2: \"5,1,1,1,5"},
        {"mot", NULL, "mot/train/M-1/gt/gt.txt", "0,1,1,1,5,5,1,1,1\n", "gt.txt:1: "},
        {"mot", NULL, "mot/train/M-1/gt/gt.txt", "1,0,1,1,5,5,1,1,1\n", "gt.txt:1: "},
        {"mot", NULL, "mot/train/M-1/gt/gt.txt", "1,1,1,1,0,5,1,1,1\n", "gt.txt:1: "},
        {"mot", NULL, "mot/train/M-1/gt/gt.txt", "1,1,1,1,5,5,1,1,1\n1,1,2,1,5,5,1,1,1\n",
         "gt.txt:2: frame 1 of id 1 once more, after line 1"},
        {"mot", NULL, "mot/train/M-1/gt/gt.txt", "1,1,200,1,5,5,1,1,1\n", "M-1: no object"},
    };
    CHECK_BROKEN(cases);
}

#define WITH(objects)                                                                                                  \
    "{\"format\": \"track-samples-1\", \"clips\": [" MANIFEST_CLIP                                                     \
    "\"width\": 6, \"height\": 4, \"objects\": " objects "}]}"
/* Masks of frames 1, 2 and 4 of a video that alone tells its length. */
#define DENSE                                                                                                          \
    "{\"format\": \"track-samples-1\", \"clips\": [{\"name\": \"late\", \"video\": \"v.mp4\", \"truth\": \"late\", "   \
    "\"objects\": [{\"id\": 1, \"frame\": 2}]}]}"
#define RUNS(frames) "{\"size\": [4, 6], \"frames\": " frames "}"

static void test_broken_manifests(void **state)
{
    (void)state;
    static const char m[] = "samples/manifest.json", t[] = "samples/t.json";
    static const broken cases[] = {
        {"samples", "val", "x", NULL, "split \"val\": a manifest has none"},
        {m, NULL, "samples/masks/00002.png", NULL,
         "masks: clip a: masks of 1 frames, expected one for each of 2 from the first prompt on"},
        {m, NULL, m, DENSE, "late: clip late: masks of 2 frames, expected one for each of 3 from the first prompt on"},
        {m, NULL, m, "{\"format\": 1,}", "manifest.json: line 1, column 14"},
        {m, NULL, m, "[]", "format \"\", expected {\"format\": \"track-samples-1\""},
        {m, NULL, m, "{\"format\": \"track-samples-2\"}", "format \"track-samples-2\", expected"},
        {m, NULL, m, "{\"format\": \"track-samples-1\", \"clips\": []}", "clips: expected a list"},
        {m, NULL, m, "{\"format\": \"track-samples-1\", \"clips\": [1]}", "clips[0]: expected {\"name\""},
        {m, NULL, m, "{\"format\": \"track-samples-1\", \"clips\": [{\"name\": \"/a\"}]}",
         "clips[0].name: expected a name"},
        {m, NULL, m, "{\"format\": \"track-samples-1\", \"clips\": [{\"name\": \"a\", \"frames\": 0}]}",
         "clips[0].frames: expected a whole"},
        {m, NULL, m, "{\"format\": \"track-samples-1\", \"clips\": [{\"name\": \"a\", \"width\": 9}]}",
         "clips[0].height: expected a whole"},
        {m, NULL, m, "{\"format\": \"track-samples-1\", \"clips\": [{\"name\": \"a\"}]}",
         "clips[0].video: expected the path"},
        {m, NULL, m, "{\"format\": \"track-samples-1\", \"clips\": [{\"name\": \"a\", \"video\": \"w.mp4\"}]}",
         "clips[0].video: samples/w.mp4 is not there"},
        {m, NULL, m,
         "{\"format\": \"track-samples-1\", \"clips\": [{\"name\": \"a\", \"video\": \"frames\", \"frames\": 4}]}",
         "clips[0].frames: 4, expected the 3 images of samples/frames"},
        {m, NULL, m,
         "{\"format\": \"track-samples-1\", \"clips\": [{\"name\": \"a\", \"video\": \"frames\", "
         "\"truth\": \"masks\", \"objects\": [{\"id\": 1}]}]}",
         "no mask of frame 0, expected that of object 1"},
        {m, NULL, m, WITH("[]"), "clips[0].objects: expected a list of 1 to 254"},
        {m, NULL, m, WITH("[3]"), "clips[0].objects[0]: expected {\"id\""},
        {m, NULL, m, WITH("[{\"id\": 255}]"), "clips[0].objects[0].id: expected a whole number from 1 to 254"},
        {m, NULL, m, WITH("[{\"frame\": 1}]"), "clips[0].objects[0].id: expected a whole number from 1 to 254"},
        {m, NULL, m, WITH("[{\"id\": 1}, {\"id\": 1}]"), "clips[0].objects[1].id: expected one that no other"},
        {m, NULL, m, WITH("[{\"id\": 1, \"frame\": -1}]"), "clips[0].objects[0].frame: expected a whole"},
        {m, NULL, m, WITH("[{\"id\": 1, \"frame\": 2}]"), "object 1 starts on frame 2, expected one below 2"},
        {m, NULL, m, WITH("[{\"id\": 1, \"prompt\": \"box\"}]"),
         "clips[0].objects[0].prompt: expected \"box\", with a"},
        {m, NULL, m, WITH("[{\"id\": 1, \"box\": [0, 0, 7, 2]}]"), "objects[0].box: expected [x, y, w, h] inside the"},
        {m, NULL, m, WITH("[{\"id\": 1, \"box\": [-1, 0, 2, 2]}]"), "objects[0].box: expected [x, y, w, h] inside the"},
        {m, NULL, m, WITH("[{\"id\": 1, \"box\": [0, 0, 0, 2]}]"), "objects[0].box: expected [x, y, w, h] inside the"},
        {m, NULL, m, WITH("[{\"id\": 1, \"box\": [0, 0, 2]}]"), "objects[0].box: expected [x, y, w, h] inside the"},
        {m, NULL, t, NULL, "samples/t.json: No such file"},
        {m, NULL, t, "{}", "samples/t.json: frames: 0 entries, expected one for each of 2 frames"},
        {m, NULL, t, "{\"size\": [6, 4], \"frames\": [{}, {}]}", "size: 4 x 6 pixels, expected the 6 x 4 of clip b/c"},
        {m, NULL, t, "{\"size\": [6], \"frames\": [{}, {}]}", "size: expected [height, width]"},
        {m, NULL, t, RUNS("[{}, 3]"), "samples/t.json: frames[1]: expected {\"ID\": TEXT"},
        {m, NULL, t, RUNS("[{}, {\"0\": \"\"}]"), "frames[1]: object \"0\", expected a number from 1 to 254"},
        {m, NULL, t, RUNS("[{}, {\"1\": 3}]"), "frames[1]: expected texts of run lengths"},
        {m, NULL, t, RUNS("[{\"1\": \"0220`0\", \"01\": \"0220`0\"}, {}]"), "frames[0]: the same object twice"},
        {m, NULL, t, RUNS("[{}, {\"1\": \"4\"}]"), "frames[1]: run lengths: 4 pixels in all, expected 24"},
        {m, NULL, t, RUNS("[{}, {\"1\": \"4~\"}]"), "frames[1]: run lengths: character 1: expected a count"},
    };
    CHECK_BROKEN(cases);
}

/* A mask that changes its size is found when it is read. */
static void test_sizes(void **state)
{
    (void)state;
    static const uint8_t palette[256][3], indices[4];
    dataset set;
    truth_masks masks = {0};
    const char *path = "sav/Annotations_6fps/sav_1/007/00004.png";
    assert_int_equal(trk_image_write_indexed(path, indices, 2, 2, 2, palette), TRK_OK);
    open_as(&set, "sav", NULL, DATASET_SAV);
    assert_int_equal(dataset_clip_truth(&masks, &set.clips[0], 1), TRK_E_FORMAT);
    assert_string_equal(trk_error_text(), "sav/Annotations_6fps/sav_1/007/00004.png: 2 x 2 pixels, expected 6 x 4 as "
                                          "clip sav_1 has");
    truth_masks_free(&masks);
    dataset_close(&set);
    put_mask(path, one);
}

/* Every allocation fails once; nothing is left behind (a sanitizer tells) and the error is that of memory. */
static void test_no_memory(void **state)
{
    (void)state;
    static const char *const paths[] = {"samples", "davis", "sav", "youtube",      "lasot",
                                        "got",     "tn",    "mot", "samples/masks"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        trk_status rc = TRK_E_MEMORY;
        uint64_t n = 0;
        while (rc == TRK_E_MEMORY) {
            dataset set;
            trk_heap_fail(++n, 1);
            rc = dataset_open(&set, paths[i], DATASET_AUTO, NULL, NULL);
            trk_heap_fail(0, 0);
            dataset_close(&set);
        }
        if (rc || n < 10)
            fail_msg("%s: allocation %d: %d, %s", paths[i], (int)n, rc, trk_error_text());
    }
}

static void test_no_memory_for_truth(void **state)
{
    (void)state;
    static const char *const paths[] = {"samples", "davis", "sav"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        dataset set;
        trk_status rc = TRK_E_MEMORY;
        uint64_t n = 0;
        assert_int_equal(dataset_open(&set, paths[i], DATASET_AUTO, NULL, NULL), TRK_OK);
        const dataset_clip *clip = &set.clips[set.n_clips - 1];
        while (rc == TRK_E_MEMORY) {
            truth_masks masks = {0};
            trk_heap_fail(++n, 1);
            rc = dataset_clip_truth(&masks, clip, 0);
            trk_heap_fail(0, 0);
            truth_masks_free(&masks);
        }
        if (rc || n < 2)
            fail_msg("%s: allocation %d: %d, %s", paths[i], (int)n, rc, trk_error_text());
        dataset_close(&set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_davis),
        cmocka_unit_test(test_sav),
        cmocka_unit_test(test_youtube_vos),
        cmocka_unit_test(test_lasot_and_got10k),
        cmocka_unit_test(test_trackingnet),
        cmocka_unit_test(test_mot),
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_manifest),
        cmocka_unit_test(test_chosen_clips),
        cmocka_unit_test(test_names_of_folders),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_frame_names),
        cmocka_unit_test(test_gray_maps),
        cmocka_unit_test(test_broken_masks),
        cmocka_unit_test(test_broken_boxes),
        cmocka_unit_test(test_broken_manifests),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_memory_for_truth),
    };
    return cmocka_run_group_tests(tests, make_all, scratch_leave);
}
