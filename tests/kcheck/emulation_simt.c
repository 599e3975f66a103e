/* SPDX-License-Identifier: Apache-2.0 */
#include "emulation.h"

#include <stdio.h>

#include "simt.h"

int emulation_schedules(void)
{
    return 3;
}

void emulation_use_schedule(int i)
{
    simt_set_schedule(i == 0 ? SIMT_UP : i == 1 ? SIMT_DOWN : SIMT_RANDOM, 7);
}

const char *emulation_take_error(void)
{
    static char kept[512];
    const char *text;
    if (!simt_report(&text))
        return NULL;
    snprintf(kept, sizeof kept, "%s", text);
    simt_clear();
    return kept;
}

long emulation_allocations(long *held)
{
    return simt_allocations(held);
}

void emulation_fail_products(int nth_choice, int nth_product)
{
    simt_fail_products(nth_choice, nth_product);
}
