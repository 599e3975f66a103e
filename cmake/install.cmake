# What `cmake --install` puts in place of the library: archive, headers, what pkg-config says of it, models, licence.
install(FILES $<TARGET_FILE:libtrack> DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${PROJECT_SOURCE_DIR}/include/track.h ${PROJECT_SOURCE_DIR}/base/track_status.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/samples/models/ DESTINATION share/track/models # from bin/: cli/model_path.c
        FILES_MATCHING PATTERN "*.safetensors")
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The archive is static: whoever links it links what it needs. Folders of CUDA are where they were found.
set(pc_libraries "")
if(TRK_ONEDNN)
  get_filename_component(folder ${DNNL_LIBRARY} DIRECTORY)
  string(APPEND pc_libraries " -L${folder} -ldnnl")
endif()
if(TRK_HAVE_CUDA)
  string(APPEND pc_libraries " -L${CUDAToolkit_LIBRARY_DIR} -lcublasLt -lcudart_static -ldl -lrt")
endif()
foreach(which LIB INCLUDE)
  if(IS_ABSOLUTE ${CMAKE_INSTALL_${which}DIR})
    set(pc_${which} ${CMAKE_INSTALL_${which}DIR})
  else()
    set(pc_${which} "\${prefix}/${CMAKE_INSTALL_${which}DIR}")
  endif()
endforeach()
file(RELATIVE_PATH pc_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(${PROJECT_SOURCE_DIR}/cmake/libtrack.pc.in ${PROJECT_BINARY_DIR}/libtrack.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/libtrack.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
