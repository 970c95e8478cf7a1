// SPDX-License-Identifier: BSD-2-Clause
#include "base/log.h"

#include <stdio.h>
#include <string.h>

void log_vwrite(const struct log_sink *sink, enum log_level level, const char *fmt, va_list args)
{
	static const char cut[] = "...";
	char line[LOG_LINE_BYTES];
	int written;
	size_t len;

	if (!log_enabled(sink, level))
		return;
	written = vsnprintf(line, sizeof(line), fmt, args);
	if (written <
	    0) /* a conversion that the locale cannot do: say at least where it came from */
		written = snprintf(line, sizeof(line), "(unprintable: %s)", fmt);
	len = (size_t)written;
	if (len >= sizeof(line)) {
		len = sizeof(line) - 1;
		memcpy(line + len + 1 - sizeof(cut), cut, sizeof(cut));
	}
	sink->fn(sink->arg, level, line, len);
}

void log_write(const struct log_sink *sink, enum log_level level, const char *fmt, ...)
{
	va_list args;

	if (!log_enabled(sink, level))
		return;
	va_start(args, fmt);
	log_vwrite(sink, level, fmt, args);
	va_end(args);
}

const char *log_level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARN:
		return "warning";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		return "debug";
	}
	return "unknown";
}
