# Warnings and sanitizers for our own targets; trk_add_module(NAME sources...) makes one folder's object library.
add_library(trk_flags INTERFACE)
target_compile_options(trk_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wmissing-prototypes -Wvla
                       -Wno-unused-parameter)
if(TRK_WERROR)
  target_compile_options(trk_flags INTERFACE -Werror)
endif()
if(TRK_SANITIZE)
  target_compile_options(trk_flags INTERFACE -fsanitize=${TRK_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
  target_link_options(trk_flags INTERFACE -fsanitize=${TRK_SANITIZE})
endif()
target_compile_definitions(trk_flags INTERFACE _GNU_SOURCE)

# Object library trk_<name> of the current folder; headers of the folder are visible to whoever links it.
function(trk_add_module name)
  add_library(trk_${name} OBJECT ${ARGN})
  target_include_directories(trk_${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(trk_${name} PRIVATE trk_flags)
endfunction()
