# The attention kernels: one source per instruction set, chosen at run time. Included by kernels/CMakeLists.txt;
# leaves TRK_ATTENTION_SOURCES, relative to kernels/.
set(TRK_ATTENTION_SOURCES cpu/attention_cpu.c cpu/attention_window.c cpu/attention_portable.c)
set(trk_attention_flags -O3 -ffp-contract=fast)
set_source_files_properties(cpu/attention_portable.c PROPERTIES COMPILE_OPTIONS "${trk_attention_flags}")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
  set(trk_avx2_flags -mavx2 -mfma)
  set(trk_avx512_flags ${trk_avx2_flags} -mavx512f -mavx512bw -mavx512dq -mavx512vl)
  list(APPEND TRK_ATTENTION_SOURCES cpu/attention_avx2.c cpu/attention_avx512.c cpu/attention_avx512_bf16.c)
  set_source_files_properties(cpu/attention_avx2.c PROPERTIES
    COMPILE_OPTIONS "${trk_attention_flags};${trk_avx2_flags}")
  set_source_files_properties(cpu/attention_avx512.c PROPERTIES
    COMPILE_OPTIONS "${trk_attention_flags};${trk_avx512_flags}")
  set_source_files_properties(cpu/attention_avx512_bf16.c PROPERTIES
    COMPILE_OPTIONS "${trk_attention_flags};${trk_avx512_flags};-mavx512bf16")
endif()
