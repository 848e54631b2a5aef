# CMake reads this file right after ggml's own project() command where it is compiled for 64-bit Arm.

# Of ggml's variants for Arm two use the matrix extension SME, which GCC knows from version 14 on. With an older compiler they are
# left out: a processor with SME then takes the best of the others.
include(CheckCXXCompilerFlag)
check_cxx_compiler_flag("-march=armv9.2-a+sme" GGML_ARM_COMPILER_KNOWS_SME)
if(NOT GGML_ARM_COMPILER_KNOWS_SME)
  set(_list "${CMAKE_CURRENT_SOURCE_DIR}/src/CMakeLists.txt")
  file(READ "${_list}" _source)
  string(REGEX REPLACE "ggml_add_cpu_backend_variant\\(armv9[^)]*SME\\)" "" _source "${_source}")
  file(WRITE "${_list}" "${_source}")
endif()
