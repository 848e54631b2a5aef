# How llama.cpp is compiled for this package: CMake reads this file right after llama.cpp's own project() command, given as
# -DCMAKE_PROJECT_llama.cpp_INCLUDE=.../packaging/llama.cpp.cmake in CMAKE_ARGS.

# Only llama.cpp's server and tools use this helper library; without it the build takes 3 minutes instead of 10 on two cores.
set(LLAMA_BUILD_COMMON OFF)

# AMX, Intel's matrix unit. Before its first product in a thread, llama.cpp tells the processor the shape of the tiles. Two
# things are wrong with that (https://github.com/ggml-org/llama.cpp/pull/26954 mends the first, and is open):
#  - GCC 12 believes that the instruction reads 8 of the 64 bytes of the description, and leaves out the writing of the others.
#    What stands there by chance is loaded, and the next instruction is illegal.
#  - The shape is loaded once a thread. If other code in that thread (ONNX Runtime has such) loads another, every later product
#    is silently wrong.
# So the compiler is told that the description is read as a whole, and it is loaded before each product, which costs nothing
# that can be measured.
set(_amx "${CMAKE_CURRENT_SOURCE_DIR}/ggml/src/ggml-cpu/amx/mmq.cpp")
file(READ "${_amx}" _source)
if(NOT _source MATCHES "every byte of tc is read")
  set(_once [[
    static thread_local bool done = false;

    if (done) {
        return;
    }
]])
  set(_load [[
    _tile_loadconfig(&tc);
    done = true;
]])
  set(_load_whole [[
#if defined(__GNUC__)
    __asm__ volatile("" : : "r"(&tc) : "memory");  // every byte of tc is read
#endif
    _tile_loadconfig(&tc);
]])
  foreach(_part IN ITEMS _once _load)
    string(FIND "${_source}" "${${_part}}" _place)
    if(_place EQUAL -1)
      message(FATAL_ERROR "${_amx} is not the version that packaging/llama.cpp.cmake knows how to mend; look at "
        "ggml_tile_config_init in it.")
    endif()
  endforeach()
  string(REPLACE "${_once}" "" _source "${_source}")
  string(REPLACE "${_load}" "${_load_whole}" _source "${_source}")
  file(WRITE "${_amx}" "${_source}")
endif()
