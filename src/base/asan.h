/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * asan.h - what must not be touched, said to AddressSanitizer; nothing in other builds
 *
 * What it knows stands by address and is inherited by a forked child, even of memory that the child has not got.
 */
#ifndef BASE_ASAN_H
#define BASE_ASAN_H

#if defined(__SANITIZE_ADDRESS__)
#define VJ_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VJ_ASAN 1
#endif
#endif

#ifdef VJ_ASAN
#include <sanitizer/asan_interface.h>
#define ASAN_HIDE(p, bytes) __asan_poison_memory_region(p, bytes)
#define ASAN_SHOW(p, bytes) __asan_unpoison_memory_region(p, bytes)
#else
#define ASAN_HIDE(p, bytes) ((void)(p), (void)(bytes))
#define ASAN_SHOW(p, bytes) ((void)(p), (void)(bytes))
#endif

#endif
