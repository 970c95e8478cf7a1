// SPDX-License-Identifier: BSD-2-Clause
#include "policy/filter.h"

enum filter_verdict filter_eval(const struct filter_image *img, struct filter_run *run, enum filter_dir dir)
{
	const union filter_cell *head = filter_cell_at(img, 0);

	if (head == NULL || head->head.magic != FILTER_MAGIC)
		return FILTER_DROP;
	filter_begin(run, &head->head, dir);
	for (unsigned i = 0; i < FILTER_STEPS_MAX && run->verdict == FILTER_RUNNING; i++)
		filter_step(run, img);
	return run->verdict != FILTER_RUNNING ? (enum filter_verdict)run->verdict : FILTER_DROP;
}
