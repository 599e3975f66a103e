/* SPDX-License-Identifier: Apache-2.0
 * The texts of --help: short, with defaults from the constants that set them. */
#include "options.h"

void options_print_help(FILE *stream)
{
    fprintf(stream,
            "usage: track VIDEO PROMPT... [OPTION...]      follow the prompted objects through a video\n"
            "       track info MODEL                       what a checkpoint is\n"
            "       track eval DATASET [OPTION...]         scores on a dataset; track eval --help\n"
            "Input\n"
            "  VIDEO                            video file, folder of numbered images (frame 0 is the first of\n"
            "                                   them), - for standard input\n"
            "  --start N, --frames N, --reverse first frame (0, --reverse: the last), at most so many, backwards\n"
            "  --decoder auto|cpu|cuda, --encoder auto|cpu|nvenc    auto: the GPU of the model, where it can\n");
    fprintf(stream,
            "Prompts (in pixels; ID@FRAME:, ID: or @FRAME: in front. Without ID a box or mask is a new object,\n"
            "  1, 2, ..., a point refines the prompt before it, on its frame. Without FRAME: the first.)\n"
            "  --box [ID@FRAME:]x,y,w,h         left, top, width, height\n"
            "  --point [ID@FRAME:]x,y[,+|,-]    a click on the object (+, default) or beside it (-)\n"
            "  --mask [ID@FRAME:]FILE.png       non-zero = object; palette PNG without ID: index 1-254 = object\n"
            "  --prompts FILE.json              {\"prompts\": [{\"object\": 1, \"frame\": 0, \"box\": [x,y,w,h]}]}, or\n"
            "                                   \"points\": [[x,y,1],[x,y,0]], or \"mask\": \"FILE.png\" (beside it)\n");
    fprintf(stream,
            "Model\n"
            "  -m, --model FILE|NAME            .pt, .safetensors, or a shipped model (%s)\n"
            "  --model-config FILE.json         architecture, instead of what the file says of it\n"
            "  --image-size N                   side frames are resized to, a multiple of 32 (the model's own)\n"
            "  --device auto|cpu|cuda[:N]|reference    (auto: a GPU that can be used, else the CPU)\n"
            "  --dtype auto|f32|bf16, --threads N      (auto: bf16 where the device multiplies it; all cores)\n"
            "  --fill-holes N                   fill holes up to N low-resolution pixels (%d; 0 = none)\n"
            "  --no-binarize                    remember prompted frames as logits, not as binary masks\n"
            "  --no-stability                   keep the single mask even where it is unstable\n"
            "  --no-postprocess                 all three off\n"
            "  --correct-as-condition           remember prompts on later frames for good, as the first ones are\n",
            OPTIONS_DEFAULT_MODEL, OPTIONS_DEFAULT_FILL_HOLES);
    fprintf(stream,
            "Policy (sam2 takes the best mask and remembers every frame; samurai also asks where each object\n"
            "  should be by its motion, and remembers only frames that went well)\n"
            "  --policy sam2|samurai            (sam2); of samurai:\n"
            "  --motion-weight W                share of motion in the choice of a mask (0.25; large models 0.15)\n"
            "  --stable-frames N, --stable-iou X    good frames before motion counts (15); what makes one (0.3)\n"
            "  --memory-iou X, --memory-object-score X, --memory-motion X    above these a frame is\n"
            "                                   remembered (0.5, 0, 0)\n"
            "  --min-object-score X             above it an object counts as visible (-1)\n"
            "  --strict-reference               the published code, its quirks too\n"
            "  --draw-motion                    predicted boxes too, in --overlay and --sheet\n");
    fprintf(stream,
            "Memory (results do not depend on the budget or on sweeping)\n"
            "  --memory-budget 2GiB|0.8         bytes (MB, MiB, ...) or a share of what is free, the model\n"
            "                                   counted in; a run that may need more is refused\n"
            "  --plan                           print what it may need, and end\n"
            "  --reserve                        take that at the first frame\n"
            "  --sweep-every N | --sweep-above SHARE of the budget | --sweep-never    when features go (every 1)\n"
            "  --max-prompts-in-memory N|all    prompted frames an object reads, nearest first (%d)\n"
            "  --memory-dtype bf16|f32|f16|q8, --older-memory-dtype TYPE[@AGE]   of memories (bf16; from AGE %d)\n"
            "  --history N|all                  further frames remembered (0), for saved states; AGE counts\n"
            "                                   from N frames further back then\n"
            "  --save-state FILE                write the tracker's state at the end\n"
            "  --resume FILE                    go on from it; settings that decide results come from it\n",
            OPTIONS_DEFAULT_MAX_PROMPTS, OPTIONS_DEFAULT_OLDER_AFTER);
    fprintf(stream,
            "Output\n"
            "  -o, --overlay FILE.mp4|.mkv|.mov video with the objects drawn in (lower ids on top)\n"
            "  --masks DIR, --logits DIR        palette PNG per frame, low-resolution float32 .npy per object\n"
            "  --non-overlap                    where objects overlap the highest logit wins; else the lower id\n"
            "  --jsonl FILE|-, --boxes FILE|-   boxes, scores, RLE per frame; x,y,w,h lines (several objects:\n"
            "                                   FILE_ID, one each)\n"
            "  --sheet FILE.png                 contact sheet of the overlay\n"
            "Many videos\n"
            "  --list FILE, --jobs K            lines VIDEO PROMPT... [OPTION...]; K at once (1) over one model\n"
            "Diagnostics\n"
            "  -q, --quiet   -v, --verbose   --memory-report[=FILE.json]   -h, --help   --version\n"
            "  TRK_LOG=info|debug tells what the library does; TRK_MODEL_DIR is looked in for model names\n"
            "  Exit status: 0 done, 1 failed, 2 misuse, 130 or 143 stopped by Ctrl-C or SIGTERM (outputs are\n"
            "  whole up to there). Formats of files: docs/formats.md.\n"
            "Examples\n"
            "  track clip.mp4 --box 120,80,200,160 -o overlay.mp4\n"
            "  track frames/ --mask 00000.png --masks out/ --sheet sheet.png\n"
            "  track - --box 1@0:10,20,30,40 --point 2@25:64,48 --jsonl - < clip.mp4\n");
}

void options_print_eval_help(FILE *stream)
{
    fprintf(stream,
            "usage: track eval DATASET [OPTION...]         follow a dataset's objects, and score that\n"
            "       track eval DATASET --pred DIR          score what is there already\n"
            "The dataset\n"
            "  DATASET                          folder, or manifest NAME.json; prompts and truth come from it\n"
            "  --layout NAME                    manifest, masks, davis, sav, youtube-vos (also MOSE and LVOS),\n"
            "                                   lasot, got10k, trackingnet, mot (by the files found)\n"
            "  --split NAME                     val, train, TRAIN_0, ... (the usual one of the layout)\n"
            "  --clip NAME[,NAME...]            only these, others are not opened; may be repeated\n"
            "What is scored\n"
            "  --pred DIR                       DIR/CLIP/FRAME.png: palette PNG, index = object; for sav also\n"
            "                                   DIR/CLIP/OBJECT/FRAME.png; for boxes DIR/CLIP.txt, lines x,y,w,h\n"
            "                                   (CLIP_ID.txt of several objects), or DIR/CLIP/CLIP_001.txt;\n"
            "                                   for masks DIR/FRAME.png\n"
            "  otherwise what is tracked        with the options under Model, Policy (but for --draw-motion) and\n"
            "                                   Memory (but for --plan and states) of track --help, --decoder,\n"
            "                                   and --jobs K: so many clips at once (1)\n");
    fprintf(stream,
            "Results\n"
            "  table on standard output         J, F, J&F of masks; AUC, OP50, OP75, precision, AO of boxes; -\n"
            "                                   where only prompts are public. The mean is over all objects\n"
            "                                   (LVOS, YouTube-VOS publish: over seen and unseen classes)\n"
            "  --by-object, --no-boundary       lines of objects too; without F, which costs time\n"
            "  --out FILE.json                  everything found. Clips that are done are kept in FILE.json.d\n"
            "                                   until all are: run the same command again to go on\n"
            "  --masks DIR                      DIR/CLIP/FRAME.png of what is tracked (where objects overlap\n"
            "                                   the highest logit wins; with truth of boxes the lower id);\n"
            "                                   sav: DIR/CLIP/OBJECT/FRAME.png\n"
            "  --boxes DIR                      boxes of what is tracked, as benchmarks take results:\n"
            "  --box-layout lasot|got10k|trackingnet    (the dataset's, else lasot) DIR/CLIP.txt; got10k:\n"
            "                                   DIR/CLIP/CLIP_001.txt and CLIP_time.txt\n"
            "Diagnostics\n"
            "  -q, --quiet   -v, --verbose   -h, --help   Exit status: as of track --help\n"
            "Examples\n"
            "  track eval DAVIS --split val --model sam2.1_hiera_tiny.pt --out davis.json\n"
            "  track eval DAVIS --pred masks/ --by-object\n"
            "  track eval GOT-10k --split test --policy samurai --boxes results/\n");
}
