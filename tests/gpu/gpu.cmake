# Programs that are linked twice: with the CUDA backend, for a card, and with its emulation on the host (tests/simt),
# which needs a C++ compiler and Boost.Context. Included by tests/CMakeLists.txt. Leaves TRK_HAVE_SIMT.
#
# Tests of a card have the label gpu and names gpu.*; without a card they are skipped. Those of the emulation: simt.

# What a program's own objects need of the library: its headers, whichever way it is linked later.
add_library(trk_headers INTERFACE)
target_include_directories(trk_headers INTERFACE $<TARGET_PROPERTY:libtrack,INTERFACE_INCLUDE_DIRECTORIES>)
target_compile_options(trk_headers INTERFACE $<TARGET_PROPERTY:libtrack,INTERFACE_COMPILE_OPTIONS>)

option(TRK_SIMT "tests of the CUDA kernels in an emulation on the host" ON)
set(TRK_HAVE_SIMT OFF)
set(simt_reason "TRK_SIMT=OFF")
if(TRK_SIMT)
  include(CheckLanguage)
  check_language(CXX)
  if(CMAKE_CXX_COMPILER)
    enable_language(CXX)
    find_package(Boost QUIET COMPONENTS context)
  endif()
  if(NOT CMAKE_CXX_COMPILER)
    set(simt_reason "there is no C++ compiler")
  elseif(NOT TARGET Boost::context)
    set(simt_reason "there is no Boost.Context (Debian: libboost-context-dev)")
  elseif(TRK_SANITIZE AND NOT CMAKE_CXX_COMPILER_ID STREQUAL CMAKE_C_COMPILER_ID)
    set(simt_reason "the sanitizers of two compilers do not mix")
  else()
    set(TRK_HAVE_SIMT ON)
  endif()
endif()

if(TRK_HAVE_SIMT)
  add_subdirectory(simt)
  add_subdirectory(gpu)
else()
  message(STATUS "the CUDA kernels are not tested in the emulation: ${simt_reason}")
  add_test(NAME simt.kernels COMMAND sh -c "echo \"skipped: ${simt_reason}\"; exit 77")
  set_tests_properties(simt.kernels PROPERTIES LABELS simt SKIP_RETURN_CODE 77)
endif()

# trk_add_gpu_program(NAME SOURCES ... [PLAIN ...] [EMULATED ...] [OBJECTS ...] [LIBRARIES ...] [MODULES ...]
#                     [DEFINITIONS ...])
# The executable NAME and, where there is the emulation, NAME_simt, of sources that are compiled once. PLAIN and
# EMULATED: sources of one of the two. OBJECTS: object libraries, LIBRARIES: others. MODULES: of the library's object
# libraries, all of them if not given.
function(trk_add_gpu_program name)
  cmake_parse_arguments(P "" "" "SOURCES;PLAIN;EMULATED;OBJECTS;LIBRARIES;MODULES;DEFINITIONS" ${ARGN})
  if(NOT P_MODULES)
    set(P_MODULES ${TRK_MODULES})
  endif()
  add_library(${name}_objects OBJECT ${P_SOURCES})
  target_link_libraries(${name}_objects PRIVATE trk_flags trk_headers ${P_OBJECTS} ${P_LIBRARIES})
  target_compile_definitions(${name}_objects PRIVATE ${P_DEFINITIONS})
  set(common trk_flags ${name}_objects ${P_OBJECTS} ${P_MODULES} ${P_LIBRARIES})
  add_executable(${name} ${P_PLAIN} $<TARGET_OBJECTS:${name}_objects>)
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE C)
  target_link_libraries(${name} PRIVATE ${common} trk_cuda)
  if(TRK_HAVE_SIMT)
    add_executable(${name}_simt ${P_EMULATED} $<TARGET_OBJECTS:${name}_objects>)
    set_target_properties(${name}_simt PROPERTIES LINKER_LANGUAGE CXX)
    target_link_libraries(${name}_simt PRIVATE ${common} trk_cuda_simt simt)
  endif()
endfunction()

# What scripts/run-gpu-tests.sh runs, in a build or in the bundle: the tests of a card, a line each of
# NAME|LABELS|ENVIRONMENT|PROGRAM ARGS. Paths are relative to the checkout; generated models are @MODELS@/FAMILY-SIZE.
function(trk_list_gpu_test name program labels environment)
  string(REPLACE ";" " " arguments "${ARGN}")
  string(REPLACE "${PROJECT_BINARY_DIR}/tests/golden/" "@MODELS@/" arguments "${arguments}")
  string(REPLACE "${PROJECT_SOURCE_DIR}/" "" arguments "${arguments}")
  set_property(GLOBAL APPEND_STRING PROPERTY TRK_GPU_TESTS "${name}|${labels}|${environment}|${program} ${arguments}\n")
endfunction()

function(trk_write_gpu_tests)
  get_property(lines GLOBAL PROPERTY TRK_GPU_TESTS)
  file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/gpu-tests.txt CONTENT "${lines}")
endfunction()

# trk_add_gpu_tests(NAME PROGRAM [SIMT] [TIMEOUT n] [LABELS ...] [FIXTURES ...] [ENVIRONMENT ...] ARGS ... )
# gpu.NAME runs PROGRAM ARGS on a card; with SIMT, simt.NAME runs PROGRAM_simt ARGS, where there is the emulation.
# cmake/bundle.cmake has every PROGRAM.
function(trk_add_gpu_tests name program)
  cmake_parse_arguments(T "SIMT" "TIMEOUT" "LABELS;FIXTURES;ENVIRONMENT;ARGS" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 600)
  endif()
  trk_list_gpu_test(${name} ${program} "${T_LABELS}" "${T_ENVIRONMENT}" ${T_ARGS})
  set(tests gpu.${name})
  add_test(NAME gpu.${name} COMMAND ${program} ${T_ARGS})
  set_property(TEST gpu.${name} PROPERTY LABELS gpu ${T_LABELS})
  # one card: its tests wait for each other
  set_property(TEST gpu.${name} PROPERTY RESOURCE_LOCK card)
  if(T_SIMT AND TRK_HAVE_SIMT)
    add_test(NAME simt.${name} COMMAND ${program}_simt ${T_ARGS})
    set_property(TEST simt.${name} PROPERTY LABELS simt ${T_LABELS})
    list(APPEND tests simt.${name})
  endif()
  set_tests_properties(${tests} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${T_TIMEOUT})
  if(T_ENVIRONMENT)
    set_tests_properties(${tests} PROPERTIES ENVIRONMENT "${T_ENVIRONMENT}")
  endif()
  if(T_FIXTURES)
    set_tests_properties(${tests} PROPERTIES FIXTURES_REQUIRED "${T_FIXTURES}")
  endif()
endfunction()
