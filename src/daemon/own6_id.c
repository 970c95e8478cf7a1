// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/own6_id.h"

#include "daemon/app.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { ID_BYTES = 16 };

_Static_assert(crypto_shorthash_siphashx24_KEYBYTES == ID_BYTES, "an id of machine-id(5) is a key");
_Static_assert(crypto_shorthash_siphashx24_KEYBYTES == crypto_shorthash_siphashx24_BYTES, "and so is what is made of it");

void own6_id_init(struct own6_id *id, void (*random)(void *buf, size_t bytes))
{
	static const char what[] = "vjchan: addresses of applications";
	char text[2 * ID_BYTES + 1] = "";
	uint8_t key[ID_BYTES];
	int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

	if (fd >= 0)
		close(fd);
	if (n != (ssize_t)sizeof(text) - 1 || sodium_hex2bin(key, sizeof(key), text, sizeof(text) - 1, NULL, NULL, NULL) != 0)
		random(key, sizeof(key));
	crypto_shorthash_siphashx24(id->secret, (const uint8_t *)what, sizeof(what), key);
}

static uint64_t hash(const struct own6_id *id, const void *p, size_t len)
{
	uint8_t out[crypto_shorthash_siphashx24_BYTES];

	crypto_shorthash_siphashx24(out, p, len, id->secret);
	return load_be64(out);
}

uint64_t own6_id_program(const struct own6_id *id, uint32_t uid, const struct app *app)
{
	struct {
		uint32_t uid, zero;
		char name[CTL_NAME_MAX];
	} who = { .uid = uid };

	if (app != NULL)
		memcpy(who.name, app->name, sizeof(who.name));
	return hash(id, &who, sizeof(who));
}

uint64_t own6_id_draw(const struct own6_id *id, const struct ip_addr *prefix, uint64_t program, uint32_t number)
{
	const struct {
		struct ip_addr prefix;
		uint64_t program;
		uint32_t number, zero;
	} what = { .prefix = *prefix, .program = program, .number = number };

	return hash(id, &what, sizeof(what));
}
