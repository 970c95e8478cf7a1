/* SPDX-License-Identifier: BSD-2-Clause */
/* preload.h - what the files of libvj-preload.so share */
#ifndef PRELOAD_PRELOAD_H
#define PRELOAD_PRELOAD_H

#define EXPORT __attribute__((visibility("default")))

#endif
