/* SPDX-License-Identifier: Apache-2.0
 * The pinned tables: built once, and a write to one is found out and named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "model.h"

static const char model_path[] = TRK_SAMPLES_DIR "/models/demo-m.safetensors";

static trk_network_model *load(int image_size)
{
    trk_network_model *model = NULL;
    const trk_network_model_params params = {.backend = {.kind = TRK_BACKEND_REF}, .image_size = image_size};
    assert_int_equal(trk_network_model_load(&model, model_path, &params), TRK_OK);
    return model;
}

static void one_table_per_model_and_size(void **state)
{
    (void)state;
    trk_network_model *small = load(64), *large = load(128);
    assert_int_equal(small->rope_builds, 1);
    assert_int_equal(large->rope_builds, 1);
    assert_int_equal(trk_network_model_verify_tables(small), TRK_OK);
    assert_int_not_equal(trk_network_model_tables_checksum(small), trk_network_model_tables_checksum(large));
    trk_network_model *again = load(64);
    assert_int_equal(trk_network_model_tables_checksum(small), trk_network_model_tables_checksum(again));
    trk_network_model_free(&small);
    trk_network_model_free(&large);
    trk_network_model_free(&again);
}

static void every_changed_byte_is_found(void **state)
{
    (void)state;
    trk_network_model *model = load(64);
    const uint64_t checksum = trk_network_model_tables_checksum(model);
    int n_tables = 0;
    for (size_t i = 0; i < model->n_pinned; i++) {
        const trk_pinned *p = &model->pinned[i];
        if (!p->is_table)
            continue;
        n_tables++;
        for (size_t at = 0; at < p->bytes; at += p->bytes / 5 + 1) {
            ((uint8_t *)p->data)[at] ^= 0x10;
            assert_int_equal(trk_network_model_verify_tables(model), TRK_E_BACKEND);
            assert_non_null(strstr(trk_error_text(), p->owner));
            assert_int_not_equal(trk_network_model_tables_checksum(model), checksum);
            ((uint8_t *)p->data)[at] ^= 0x10;
        }
    }
    assert_int_equal(n_tables, 5); /* RoPE, trunk, sine, image and memory positions */
    assert_int_equal(trk_network_model_verify_tables(model), TRK_OK);
    trk_network_model_free(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_table_per_model_and_size),
        cmocka_unit_test(every_changed_byte_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
