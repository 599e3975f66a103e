# `cmake --build build --target bundle`: one archive with the command, the test programs for a GPU and every library they
# need but glibc's and the driver's, for a machine with a card and nothing installed. See docs/gpu.md.
option(BUNDLE_CUBLASLT "the bundle has cuBLASLt, which is half a gigabyte; OFF: the machine has the CUDA toolkit" ON)

set(bundle_programs track_cli kcheck test_stages test_tracking test_samurai test_quality test_identity test_failures
    test_cuda test_cuda_memory test_paint test_together frame_bench make_weights)
install(TARGETS ${bundle_programs} RUNTIME DESTINATION bin COMPONENT bundle EXCLUDE_FROM_ALL)
install(DIRECTORY samples/models/ DESTINATION share/track/models COMPONENT bundle EXCLUDE_FROM_ALL
        FILES_MATCHING PATTERN "*.safetensors")
install(FILES LICENSE DESTINATION . COMPONENT bundle EXCLUDE_FROM_ALL)
install(DIRECTORY samples DESTINATION . COMPONENT bundle EXCLUDE_FROM_ALL)
install(DIRECTORY tests/golden/data DESTINATION tests/golden COMPONENT bundle EXCLUDE_FROM_ALL)
install(FILES ${PROJECT_BINARY_DIR}/gpu-tests.txt DESTINATION . COMPONENT bundle EXCLUDE_FROM_ALL)
install(PROGRAMS scripts/run-gpu-tests.sh scripts/sanitize_gpu.sh scripts/gpu_libraries.sh DESTINATION . COMPONENT bundle EXCLUDE_FROM_ALL)

add_custom_target(bundle
  COMMAND sh ${PROJECT_SOURCE_DIR}/scripts/bundle.sh ${CMAKE_COMMAND} ${PROJECT_BINARY_DIR}
          $<IF:$<BOOL:${BUNDLE_CUBLASLT}>,ON,OFF>
  USES_TERMINAL VERBATIM)
add_dependencies(bundle ${bundle_programs})
