/* SPDX-License-Identifier: Apache-2.0
 * The motion model of policy_samurai.c: a Kalman filter of a box with constant velocity. All in pixels of the model's
 * input, frames, and double precision. */
#ifndef TRK_TRACKER_POLICY_SAMURAI_H
#define TRK_TRACKER_POLICY_SAMURAI_H

/* Position i of mean is centre x, centre y, width / height, height; i + 4 its velocity. Noise is independent for each
 * of the four, so their covariance is four blocks. */
typedef struct trk_kalman {
    double mean[8];
    double covariance[4][3]; /* of position; of position and velocity; of velocity */
} trk_kalman;

/* x0, y0, x1, y1 -> centre x, centre y, width / height, height (a height of 0 counts as 1) */
void trk_kalman_measure(double measured[4], const double box[4]);
/* mean -> x0, y0, x1, y1 */
void trk_kalman_box(const trk_kalman *filter, double box[4]);
void trk_kalman_start(trk_kalman *filter, const double measured[4]);
void trk_kalman_predict(trk_kalman *filter);
void trk_kalman_update(trk_kalman *filter, const double measured[4]);

typedef struct trk_samurai_state {
    trk_kalman filter;
    double predicted[4]; /* box of the current frame */
    double score;        /* IoU of that with the chosen mask's box */
    int has_filter, has_prediction, has_score;
    int n_stable;        /* good frames in a row, up to stable_frames */
} trk_samurai_state;

#endif
