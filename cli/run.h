/* SPDX-License-Identifier: Apache-2.0
 * A tracking run: video -> tracker -> outputs. The video is decoded and the overlay encoded in threads of video/; this
 * thread does what lies between. */
#ifndef TRK_CLI_RUN_H
#define TRK_CLI_RUN_H

#include <signal.h>

#include "options.h"

/* The signal that asks the run to end after the current frame; 0: none. Set by signal handlers. */
extern volatile sig_atomic_t run_stop_signal;

/* TRK_OK also when stopped by a signal. Then, and when the video breaks off (a failure), the outputs hold the frames up
 * to there, whole; after any other failure nothing is under their names but files of folders. */
trk_status run_track(options *wanted);

#endif
