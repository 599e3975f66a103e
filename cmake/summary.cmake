message(STATUS "track ${PROJECT_VERSION}: ${CMAKE_BUILD_TYPE}, oneDNN ${TRK_ONEDNN} ${dnnl_VERSION}, "
               "FFmpeg ${TRK_FFMPEG}, tests ${TRK_TESTS}, sanitize '${TRK_SANITIZE}'")
