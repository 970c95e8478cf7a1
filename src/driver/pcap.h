// SPDX-License-Identifier: BSD-2-Clause
/*
 * pcap.h - record frames in a capture file
 *
 * Files are of libpcap's format with Ethernet frames and times in nanoseconds. One file may be appended to by
 * one run after another. What reaches the disk is always a number of whole records, so a reader may follow
 * the file while it grows, and a killed process leaves a file that can be read and continued.
 */
#ifndef VJ_DRIVER_PCAP_H
#define VJ_DRIVER_PCAP_H

#include "base/types.h"
#include "driver/tap.h"

struct capture;

/* Longest frame that is recorded in full. */
#define CAPTURE_SNAP_BYTES 65550u

/*
 * Open `path` for recording, or for going on if it is a capture file already. A new file may be read by its owner
 * only: captures hold what people said.
 * Return: 0; -EINVAL: there is a file, and it isn't a capture of Ethernet with nanoseconds; -EACCES and so on: as
 * open(2); -ENOMEM; -ELIBACC, -ELIBBAD: libpcap is not installed, or not one that we know.
 */
int capture_open(const char *path, struct capture **ret_capture);

/*
 * Record a frame. `now_ns` counts from 1970 if the file is to show wall-clock times; a virtual clock will do.
 * A failure to write shows at the next capture_flush().
 */
void capture_frame(struct capture *capture, uint64_t now_ns, const void *bytes, uint32_t len);

/* Bring everything recorded into the file. Return: 0; -EIO, -ENOSPC and so on: as write(2); records are missing. */
int capture_flush(struct capture *capture);

/* Flush and close; NULL is allowed. Return: as capture_flush(). */
int capture_close(struct capture *capture);

/* Frames recorded since capture_open(). */
uint64_t capture_frames(const struct capture *capture);

/* `capture` as a tap; it must outlive whatever the tap is hung into. */
struct tap capture_tap(struct capture *capture);

#endif
