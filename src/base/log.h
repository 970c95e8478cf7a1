// SPDX-License-Identifier: BSD-2-Clause
/*
 * Logging into a sink that the caller passes: no globals, so a library with two contexts has two
 * logs. Never called per packet: what a packet does wrong is counted, not logged.
 */
#ifndef VJ_BASE_LOG_H
#define VJ_BASE_LOG_H

#include "base/types.h"

#include <stdarg.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/* A longer line is cut, and ends in "..." then. */
#define LOG_LINE_BYTES 512

struct log_sink {
	/*
	 * Gets one line: `len` bytes and a terminating zero, no newline. `line` is valid during the
	 * call only. NULL: nothing is logged.
	 */
	void (*fn)(void *arg, enum log_level level, const char *line, size_t len);
	void *arg;
	/* Lines above this level are not even formatted. */
	enum log_level level;
};

static inline bool log_enabled(const struct log_sink *sink, enum log_level level)
{
	return sink != NULL && sink->fn != NULL && level <= sink->level;
}

/*
 * `sink` may be NULL. Formats on the stack: no allocation, no system call besides what `fn` does.
 */
void log_write(const struct log_sink *sink, enum log_level level, const char *fmt, ...)
	VJ_PRINTF(3, 4);
void log_vwrite(const struct log_sink *sink, enum log_level level, const char *fmt, va_list args)
	VJ_PRINTF(3, 0);

/* "error", "warning", "info", "debug"; "unknown" for anything else. */
const char *log_level_name(enum log_level level);

#define log_error(sink, ...) log_write(sink, LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_info(sink, ...) log_write(sink, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(sink, ...) log_write(sink, LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
