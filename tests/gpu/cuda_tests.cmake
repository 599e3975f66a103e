# The CUDA backend from end to end. Included by tests/CMakeLists.txt.
add_library(gpu_script OBJECT ${CMAKE_CURRENT_LIST_DIR}/script.c)
target_include_directories(gpu_script PUBLIC ${CMAKE_CURRENT_LIST_DIR})
target_compile_definitions(gpu_script PRIVATE TRK_SAMPLES_DIR="samples")
target_link_libraries(gpu_script PRIVATE trk_flags trk_headers)

set(late_write_simt "")
if(TRK_HAVE_SIMT) # C++, and so without the flags of C
  add_library(late_write_simt OBJECT ${CMAKE_CURRENT_LIST_DIR}/late_write_simt.cc)
  target_link_libraries(late_write_simt PRIVATE simt)
  set(late_write_simt $<TARGET_OBJECTS:late_write_simt>)
endif()

# They look for samples/ where they are run.
file(CREATE_LINK ${TRK_SAMPLES_DIR} ${CMAKE_CURRENT_BINARY_DIR}/samples SYMBOLIC)
set(emulation ${CMAKE_CURRENT_LIST_DIR}/../kcheck/emulation)
foreach(name cuda cuda_memory)
  trk_add_gpu_program(test_${name} SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_${name}.c
                      PLAIN ${emulation}_none.c ${CMAKE_CURRENT_LIST_DIR}/late_write.c
                      EMULATED ${emulation}_simt.c ${late_write_simt}
                      OBJECTS gpu_script LIBRARIES PkgConfig::CMOCKA m)
  target_include_directories(test_${name}_objects PRIVATE
    ${CMAKE_CURRENT_LIST_DIR}/../kcheck ${PROJECT_SOURCE_DIR}/kernels ${PROJECT_SOURCE_DIR}/kernels/cuda
    ${PROJECT_SOURCE_DIR}/memory ${PROJECT_SOURCE_DIR}/model ${PROJECT_SOURCE_DIR}/tracker)
  trk_add_gpu_tests(${name} test_${name} SIMT TIMEOUT 900)
endforeach()
