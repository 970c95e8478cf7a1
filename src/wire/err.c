// SPDX-License-Identifier: BSD-2-Clause
#include "wire/err.h"

const char *wire_err_name(enum wire_err err)
{
	static const char *const names[] = {
#define WIRE_ERR_NAME(name, word, text) [WIRE_##name] = (word),
		WIRE_ERRS(WIRE_ERR_NAME)
#undef WIRE_ERR_NAME
	};

	return (unsigned int)err < WIRE_ERR_CNT ? names[err] : "unknown";
}

const char *wire_err_text(enum wire_err err)
{
	static const char *const texts[] = {
#define WIRE_ERR_TEXT(name, word, text) [WIRE_##name] = (text),
		WIRE_ERRS(WIRE_ERR_TEXT)
#undef WIRE_ERR_TEXT
	};

	return (unsigned int)err < WIRE_ERR_CNT ? texts[err] : "unknown";
}
