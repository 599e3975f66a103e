#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh PYTHON: exit status 77 where that Python lacks what training needs.
"$1" -c 'import cv2, pytest, sam2, torch' 2>/dev/null || {
    echo "skipped: $1 has no cv2, pytest, sam2 or torch (training/train.sh makes one that has)"
    exit 77
}
exec "$1" -m pytest -q -p no:cacheprovider tests
