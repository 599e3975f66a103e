/* SPDX-License-Identifier: Apache-2.0
 * The CPU backend's operators, apart from attention (attention_cpu.h), and what they share. */
#ifndef TRK_KERNELS_CPU_CPU_H
#define TRK_KERNELS_CPU_CPU_H

#include "kernels.h"
#include "ops.h"
#include "team.h"

/* Replaces the slots of `ops` that the CPU backend has something faster for. */
void trk_cpu_fill_ops(trk_ops *ops);

/* The best kernels this machine runs. */
const cpu_kernels *trk_cpu_kernels_best(void);

/* Runs work in the backend's team, or in the calling thread alone when there are fewer than two pieces. Not at all in
 * an exec that plans. */
void trk_cpu_run(const trk_exec *x, int n_pieces, cpu_team_work *work, void *context);

/* Runs a kernel over n items, in the exec's threads when there is enough to do: item_work is about the number of
 * elements an item loads and stores (times four where every one costs an exponential). */
void trk_cpu_for(const trk_exec *x, cpu_kernel *kernel, const void *args, int64_t n, int64_t item_work);

void trk_linear_cpu(trk_exec *x, trk_mat out, trk_mat in, const trk_linear *layer, trk_epilogue epilogue);
void trk_matmul_nt_cpu(trk_exec *x, trk_mat out, trk_mat a, trk_mat b);
void trk_conv2d_cpu(trk_exec *x, trk_mat out, trk_mat in, int in_h, int in_w, const trk_conv *layer, trk_act act);
void trk_layernorm_cpu(trk_exec *x, trk_mat out, trk_mat in, const float *gamma, const float *beta, float eps,
                       trk_act act);
void trk_add_cpu(trk_exec *x, trk_mat out, trk_mat a, trk_mat b);
void trk_convert_cpu(trk_exec *x, trk_mat out, trk_mat in);
void trk_maxpool2x2_cpu(trk_exec *x, trk_mat out, trk_mat in, int h, int w);
void trk_add_upsampled2x_cpu(trk_exec *x, trk_mat out, trk_mat in, int h, int w);
void trk_depth_to_space2x_cpu(trk_exec *x, trk_mat out, trk_mat in, int h, int w, trk_mat addend, trk_act act);
void trk_resize_bilinear_cpu(trk_exec *x, trk_mat out, trk_mat in, int antialias);
void trk_mask_to_memory_cpu(trk_exec *x, trk_mat out, trk_mat in, int binarize, float scale, float bias);
void trk_fill_holes_cpu(trk_exec *x, trk_mat mask, int max_area);
void trk_select_mask_cpu(trk_exec *x, trk_mat mask, trk_mat token, float *info, const trk_mask_choice *choice);
void trk_store_cpu(trk_exec *x, void *slot, trk_storage storage, trk_mat in);
void trk_fetch_cpu(trk_exec *x, trk_mat out, const void *slot, trk_storage storage);
void trk_pack_mask_cpu(trk_exec *x, int8_t *out, trk_mat in);
void trk_unpack_mask_cpu(trk_exec *x, trk_mat out, const int8_t *in);
void trk_mask_boxes_cpu(trk_exec *x, float *boxes, trk_mat planes, int side, int scale);
void trk_if_absent_cpu(trk_exec *x, trk_mat io, const float *row, const float *score, float present_above, int replace);
void trk_frame_to_input_cpu(trk_exec *x, trk_mat out, const uint8_t *rgb, int width, int height, ptrdiff_t stride,
                            int size, const float *mean, const float *std);
void trk_frame_to_rgb_cpu(trk_exec *x, uint8_t *rgb, const trk_image *image);
void trk_suppress_cpu(trk_exec *x, trk_mat io, trk_mat original, trk_mat rival, int rival_first);
void trk_mask_bytes_cpu(trk_exec *x, uint8_t *out, ptrdiff_t stride, trk_mat in);
void trk_mask_region_cpu(trk_exec *x, trk_mask_region *region, const uint8_t *mask, ptrdiff_t stride, int width,
                         int height);
void trk_paint_cpu(trk_exec *x, uint8_t *rgb, ptrdiff_t stride, const trk_painting *painting);

#endif
