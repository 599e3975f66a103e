/* SPDX-License-Identifier: Apache-2.0
 * A tracking run: video -> tracker -> outputs. The video is decoded and the overlay encoded in threads of video/; the
 * calling thread does what lies between. */
#ifndef TRK_CLI_RUN_H
#define TRK_CLI_RUN_H

#include "session.h"

enum { PICTURES_AHEAD = 3 }; /* decoded ahead of the one being tracked */

/* One video over the model of a session. where: "FILE:LINE" for messages, or NULL. TRK_OK also when stopped by a
 * signal. Then, and when the video breaks off or a frame can not be tracked (failures), the outputs hold the frames up
 * to there, whole; where one of them or the state cannot be completed at the end, the others are. After any other
 * failure, and where there is no such frame, nothing is under their names but files of folders. With --plan: prints the
 * plan only. */
trk_status run_video(session *shared, options *wanted, const char *where);
/* The command: one video with a model of its own. */
trk_status run_track(options *wanted);

/* For whatever tracks: the parameters that the options ask for, but for the order of frames, and a picture for
 * trk_tracker_push: from the device where it is there, so that the pixels need not come over.
 * motion: *out points to it where the policy has a motion model. */
trk_status run_tracker_params(trk_tracker_params *out, trk_motion_params *motion, const options *wanted,
                              const trk_model *model, trk_pool *pool);
trk_frame run_frame(const trk_picture *picture);

#endif
