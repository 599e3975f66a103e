if(TRK_HAVE_CUDA)
  list(JOIN CMAKE_CUDA_ARCHITECTURES " " cuda_text)
  set(cuda_text "CUDA ${CUDAToolkit_VERSION} (${cuda_text})")
else()
  set(cuda_text "no CUDA")
endif()
message(STATUS "track ${PROJECT_VERSION}: ${CMAKE_BUILD_TYPE}, oneDNN ${TRK_ONEDNN} ${dnnl_VERSION}, ${cuda_text}, "
               "FFmpeg ${TRK_FFMPEG}, tests ${TRK_TESTS}, sanitize '${TRK_SANITIZE}'")
