# How llama.cpp is compiled for this package: CMake reads this file right after llama.cpp's own project() command, given as
# -DCMAKE_PROJECT_llama.cpp_INCLUDE=.../packaging/llama.cpp.cmake in CMAKE_ARGS.

# Only llama.cpp's server and tools use this helper library; without it the build takes 3 minutes instead of 10 on two cores.
set(LLAMA_BUILD_COMMON OFF)

# AMX, Intel's matrix unit, is used wrongly in three ways by the llama.cpp of llama-cpp-python 0.3.36:
#  - Before its first product in a thread it tells the processor the shape of the tiles. GCC 12 believes that the instruction
#    reads 8 of the 64 bytes of the description, and leaves out the writing of the others. Tiles without a row are described,
#    and the next instruction is illegal. (https://github.com/ggml-org/llama.cpp/pull/26954, open, repairs this.)
#  - The shape is loaded once a thread. If other code in that thread (ONNX Runtime has such) loads another, every later product
#    is silently wrong.
#  - Where one matrix is multiplied with several others in one operation (LFM2 does so with several photos), places are counted
#    in bytes and then used as a number of floats, and a matrix that is alone is not used again but read beyond its end.
# So the compiler is told that the description is read as a whole, it is loaded before each product, which costs nothing that
# can be measured, and places are bytes.
set(_amx "${CMAKE_CURRENT_SOURCE_DIR}/ggml/src/ggml-cpu/amx/mmq.cpp")
file(READ "${_amx}" _source)

function(_repair _old _new)
  string(FIND "${_source}" "${_old}" _place)
  if(_place EQUAL -1)
    message(FATAL_ERROR "${_amx} is not the version that packaging/llama.cpp.cmake knows how to repair; it lacks:\n${_old}")
  endif()
  string(REPLACE "${_old}" "${_new}" _repaired "${_source}")
  set(_source "${_repaired}" PARENT_SCOPE)
endfunction()

if(NOT _source MATCHES "every byte of tc is read")
  _repair([[
    static thread_local bool done = false;

    if (done) {
        return;
    }
]] "")
  _repair([[
    _tile_loadconfig(&tc);
    done = true;
]] [[
#if defined(__GNUC__)
    __asm__ volatile("" : : "r"(&tc) : "memory");  // every byte of tc is read
#endif
    _tile_loadconfig(&tc);
]])
  _repair("= batch_idx % ne2;" "= t->ne[2] == 1 ? 0 : batch_idx % ne2;")
  _repair("= batch_idx / ne2;" "= t->ne[3] == 1 ? 0 : batch_idx / ne2;")
  _repair("(const float *)src1->data + src1_offset" "(const float *)((const char *)src1->data + src1_offset)")
  _repair("(const type *)src0->data + src0_offset" "(const type *)((const char *)src0->data + src0_offset)")
  _repair("(float *)dst->data + dst_offset" "(float *)((char *)dst->data + dst_offset)")
  _repair("(float *) dst->data + dst_offset" "(float *)((char *)dst->data + dst_offset)")
  file(WRITE "${_amx}" "${_source}")
endif()
